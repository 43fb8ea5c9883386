"""The admin of plans: the list, and a form for all plans of a year."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, register_converter
from django.urls.converters import IntConverter
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credits.book.admin import BookAdmin, warn
from credits.book.money import grouped
from credits.book.writing import writing
from fintrack.merging import SENT_TWICE, NotStored, once, stored_once

from .forms import YearForm
from .models import Plan
from .resources import PlanResource, PlanUploadResource


class YearConverter(IntConverter):
    regex = "19[0-9]{2}|2[0-9]{3}"


register_converter(YearConverter, "year")


@admin.register(Plan)
class PlanAdmin(BookAdmin):
    resource_classes = [PlanResource, PlanUploadResource]
    import_export_change_list_template = "admin/plans/plan/change_list.html"
    list_display = ("month", "category", "amount")
    list_filter = ("category", "period")
    date_hierarchy = "period"
    search_fields = ("period",)
    search_help_text = _("A year, a month (2021-06) or an amount (1500.50).")
    ordering = ("-period", "category")
    totals = ("sum",)
    list_select_related = ("category",)

    @admin.display(description=_("month"), ordering="period")
    def month(self, row: Plan) -> str:
        return f"{row.period:%Y-%m}"

    @admin.display(description=_("sum"), ordering="sum")
    def amount(self, row: Plan) -> str:
        return grouped(row.sum)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.year_view)
        return [path("year/<year:year>/", view, name="plans_plan_year"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(
            request, {"this_year": timezone.localdate().year} | (extra_context or {})
        )

    def year_view(self, request: HttpRequest, year: int) -> HttpResponseBase:
        for may in (self.has_add_permission, self.has_change_permission, self.has_delete_permission):
            if not may(request):
                raise PermissionDenied

        def store() -> dict[str, int]:
            form = YearForm(year, request.POST)
            if not form.is_valid():
                raise NotStored(form)
            for change in form.moved.values():
                messages.info(request, change)
            done = form.save()
            for plan in form.stored:
                warn(request, plan, plan.doubts(timezone.localdate()))
            return done

        if request.method == "POST":
            try:
                counts, again = stored_once(request, store, writing)
            except NotStored as refused:
                form = refused.shown
            else:
                if again:
                    messages.warning(request, SENT_TWICE)
                text = _("Plans of %(year)d. Added: %(added)d, changed: %(changed)d, deleted: %(deleted)d.")
                messages.success(request, text % {"year": year, **counts})
                return HttpResponseRedirect(request.path)
        else:
            form = YearForm(year)
        form.add_hints()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Plans of %d") % year,
            "opts": self.opts,
            "form": form,
            "once": once(request),
            "media": self.media,
            "previous": year - 1 if year > 1900 else None,
            "next": year + 1 if year < 2999 else None,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/plans/plan/year.html", context)
