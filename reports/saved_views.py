"""Saved views: pages of reports and lists under a name, for oneself or for everybody."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import resolve
from django.utils.translation import gettext_lazy as _

from .listing import Listing
from .models import SavedView
from .report import Report
from .views import ListingPage, Page, ReportPage


def shown_at(address: str) -> Report | Listing | None:
    """Returns the report or list whose page has this address; None for any other address."""
    try:
        view: Any = resolve(address.partition("?")[0]).func
    except Http404:
        return None
    if getattr(view, "view_class", None) not in (ReportPage, ListingPage):
        return None
    shown = view.view_initkwargs
    return shown.get("report") or shown["listing"]


class SavedViewForm(forms.ModelForm):
    class Meta:
        model = SavedView
        fields = ("name", "shared", "address")
        widgets = {"address": forms.HiddenInput}

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if not name.isprintable():
            raise forms.ValidationError(_("The name has characters that can't be shown."))
        return name

    def clean_address(self) -> str:
        """Returns the address of the whole page: the first of a list, and no download."""
        path, _question_mark, query = self.cleaned_data["address"].partition("?")
        if not shown_at(path):
            raise forms.ValidationError(_("Only pages of reports and lists can be saved."))
        kept = QueryDict(query, mutable=True)
        for name in ("cursor", "format"):
            kept.pop(name, None)
        return f"{path}?{kept.urlencode()}" if kept else path

    def store_for(self, account: Any) -> bool:
        """Stores the view, unless the form has errors or the account has a view with this name."""
        if not self.is_valid():
            return False
        fields = self.cleaned_data
        name = fields.pop("name")
        _view, is_new = SavedView.objects.get_or_create(account=account, name=name, defaults=fields)
        if not is_new:
            taken = _("You have a view with this name. Choose another name, or delete that view first.")
            self.add_error("name", taken)
        return is_new


class SavedViewsPage(Page):
    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SavedViewForm(request.POST)
        return redirect("saved_views_page") if form.store_for(request.user) else self.show(request, form=form)

    def show(self, request: HttpRequest, **context: Any) -> HttpResponse:
        views = [(view, shown_at(view.address)) for view in SavedView.objects.seen_by(request.user)]
        return render(request, "reports/saved_views.html", {"views": views, **context})


class SavedViewDeletion(Page):
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        get_object_or_404(SavedView.objects.deletable_by(request.user), pk=pk).delete()
        return redirect("saved_views_page")
