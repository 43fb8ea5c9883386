"""The admin site: who may enter it, and its index page."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from credits.book.admin import CappedPaginator
from credits.book.trail import Load
from credits.models import Borrower, Credit, Payment
from credits.totals import DailyTotal
from plans.models import Plan

from .access import is_staff
from .api.problems import is_retryable

METHODS = ["GET", "HEAD", "POST"]


class StaffSite(AdminSite):
    """The admin for editors and administrators. The role decides who may enter; is_staff is ignored."""

    site_title = site_header = "FinTrack"
    index_title = _("The book")
    index_template = "admin/dashboard.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return is_staff(request.user)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        entered: Any = super().admin_view(view, cacheable)

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied
            if request.method not in METHODS:
                return HttpResponseNotAllowed(METHODS)
            try:
                return entered(request, *args, **kwargs)
            except DatabaseError as error:
                if not (is_retryable(error) or isinstance(error, IntegrityError)):
                    raise
            context = {**self.each_context(request), "title": _("Nothing was stored")}
            return render(request, "admin/conflict.html", context, status=HTTPStatus.CONFLICT)

        return inner

    @login_not_required
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:  # type: ignore[override]
        """Redirects to the site's only sign-in page."""
        index = reverse("admin:index")
        if self.has_permission(request):
            return HttpResponseRedirect(index)
        return redirect_to_login(request.GET.get("next") or index)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Redirects to the site's only page for changing one's password."""
        return HttpResponseRedirect(reverse("password_change"))

    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().index(request, dashboard() | (extra_context or {}))


def dashboard() -> dict[str, Any]:
    """Returns the context of the index page: how many rows each table has, and the latest imports."""
    today = timezone.localdate()
    counted = [
        (_("Borrowers"), "credits_borrower", "", Borrower.objects.all()),
        (_("Credits"), "credits_credit", "", Credit.objects.all()),
        *(
            (label, "credits_credit", f"?state={state}", Credit.objects.in_state([state], today))
            for state, label in (
                (Credit.IN_TERM, _("Credits in term")),
                (Credit.OVERDUE, _("Overdue credits")),
            )
        ),
        (_("Payments"), "credits_payment", "", Payment.objects.all()),
        (_("Plans"), "plans_plan", "", Plan.objects.all()),
    ]
    return {
        "counts": [
            (label, f"{reverse(f'admin:{table}_changelist')}{query}", capped_count(rows))
            for label, table, query, rows in counted
        ],
        "last_issuance": DailyTotal.objects.issued().last_day(today),
        "last_payment": DailyTotal.objects.collected().last_day(today),
        "loads": Load.objects.last_ones(10),
        "this_year": today.year,
    }


def capped_count(rows: QuerySet[Any]) -> str:
    paginator = CappedPaginator(rows.order_by("pk"), 1)
    number = number_format(paginator.count, force_grouping=True)
    return f"> {number}" if paginator.is_capped else number
