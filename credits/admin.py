"""The admin of the book's tables and of its trail."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .book.admin import REFUSED, BookAdmin, CappedPaginator, ShownRows, warn
from .book.loading import SHOWN
from .book.money import grouped
from .book.trail import Change, Load, RowsAtFault
from .book.undoing import NotUndone, Undoing, undo
from .models import Borrower, Credit, Dictionary, Payment, Rate
from .resources import BorrowerResource, CreditResource, DictionaryResource, PaymentResource


class CreditInline(ShownRows):
    model = Credit
    fk_name = "borrower"
    fields = readonly_fields = (
        "id",
        "issuance_date",
        "return_date",
        "actual_return_date",
        "amount",
        "interest",
    )
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("body"))
    def amount(self, row: Credit) -> str:
        return grouped(row.body)

    @admin.display(description=_("interest"))
    def interest(self, row: Credit) -> str:
        return grouped(row.percent)


@admin.register(Borrower)
class BorrowerAdmin(BookAdmin):
    resource_classes = [BorrowerResource]
    list_display = ("id", "login", "registration_date", "credit_count", "lent")
    list_display_links = ("id", "login")
    list_filter = ("registration_date",)
    date_hierarchy = "registration_date"
    search_fields = ("login",)
    search_help_text = _("A part of the login, or the id.")
    ordering = ("-id",)
    inlines = (CreditInline,)

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        found: Any = rows
        return found.with_credits()

    def view_on_site(self, row: Borrower) -> str:
        return reverse("borrower_page", args=[row.pk])

    @admin.display(description=_("credits"))
    def credit_count(self, row: Borrower) -> int:
        return row.credit_count

    @admin.display(description=_("lent in all"))
    def lent(self, row: Borrower) -> str:
        return grouped(row.lent)


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"
    OVERPAID = "overpaid"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            (Credit.OPEN, _("open")),
            (Credit.IN_TERM, _("open, in term")),
            (Credit.OVERDUE, _("open, overdue")),
            (Credit.CLOSED, _("closed")),
            (self.OVERPAID, _("body overpaid")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: Any = queryset
        state = self.value()
        if state == self.OVERPAID:
            return rows.overpaid()
        return rows.in_state([state], timezone.localdate()) if state in Credit.STATES else rows


class PaymentInline(ShownRows):
    model = Payment
    fk_name = "credit"
    fields = ("payment_date", "type", "sum")
    extra = 1

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("type")


@admin.register(Credit)
class CreditAdmin(BookAdmin):
    resource_classes = [CreditResource]
    list_display = (
        "id",
        "borrower",
        "issuance_date",
        "return_date",
        "actual_return_date",
        "amount",
        "interest",
        "paid_body",
        "paid_interest",
    )
    list_filter = (StateFilter, "issuance_date", "return_date", "actual_return_date")
    date_hierarchy = "issuance_date"
    search_fields = ("id",)
    search_help_text = _(
        "The id of the credit or its borrower, a part of the login, "
        "an amount (1500.50) or a day (2021-06-15)."
    )
    autocomplete_fields = ("borrower",)
    ordering = ("-id",)
    totals = ("body", "percent")
    inlines = (PaymentInline,)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Leaves amounts and days out of autocompletion: they would hide the credit with that id."""
        if request.resolver_match and request.resolver_match.url_name == "autocomplete":
            rows: Any = queryset
            return rows.named(search_term.strip()), False
        return super().get_search_results(request, queryset, search_term)

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        found: Any = rows
        return found.with_payments().select_related("borrower")

    @admin.display(description=_("body"), ordering="body")
    def amount(self, row: Credit) -> str:
        return grouped(row.body)

    @admin.display(description=_("interest"), ordering="percent")
    def interest(self, row: Credit) -> str:
        return grouped(row.percent)

    @admin.display(description=_("body paid"))
    def paid_body(self, row: Credit) -> str:
        return grouped(row.body_payments)

    @admin.display(description=_("interest paid"))
    def paid_interest(self, row: Credit) -> str:
        return grouped(row.percent_payments)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        warn(request, form.instance, form.instance.doubts_of_payments())


@admin.register(Payment)
class PaymentAdmin(BookAdmin):
    resource_classes = [PaymentResource]
    list_display = ("id", "credit_link", "borrower", "payment_date", "type", "amount")
    list_filter = ("type", "payment_date")
    date_hierarchy = "payment_date"
    search_fields = ("id",)
    search_help_text = _(
        "The id of the payment or its credit, a part of the borrower's login, "
        "an amount (1500.50) or a day (2021-06-15)."
    )
    autocomplete_fields = ("credit",)
    ordering = ("-id",)
    totals = ("sum",)
    list_select_related = ("credit__borrower", "type")

    @admin.display(description=_("credit"), ordering="credit")
    def credit_link(self, row: Payment) -> SafeString:
        address = reverse("admin:credits_credit_change", args=[row.credit_id])
        return format_html('<a href="{}">{}</a>', address, row.credit_id)

    @admin.display(description=_("borrower"))
    def borrower(self, row: Payment) -> str:
        return row.credit.borrower.login

    @admin.display(description=_("sum"), ordering="sum")
    def amount(self, row: Payment) -> str:
        return grouped(row.sum)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        credit = form.instance.credit
        warn(request, credit, credit.doubts_of_payments())


@admin.register(Dictionary)
class DictionaryAdmin(BookAdmin):
    resource_classes = [DictionaryResource]
    list_display = ("id", "name")
    list_display_links = ("id", "name")
    search_fields = ("name",)
    ordering = ("id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.pk not in Dictionary.FIXED)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # the selection might include the four fixed entries
        return actions


@admin.register(Rate)
class RateAdmin(BookAdmin):
    """The rates are fixed rows, and belong to no file. Staff change their percents."""

    list_display = ("name", "percent")
    fields = ("name", "percent")
    readonly_fields = ("name",)
    ordering = ("id",)
    actions = None  # type: ignore[assignment]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_import_permission(self, request: HttpRequest) -> bool:
        return False

    def has_export_permission(self, request: HttpRequest) -> bool:
        return False


class TrailAdmin(admin.ModelAdmin):
    """A read-only admin: nothing can alter the trail."""

    actions = None
    actions_on_bottom = True  # otherwise Django writes an inline style, which our CSP forbids
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_select_related = ("account",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Change)
class ChangeAdmin(TrailAdmin):
    list_display = ("moment", "account", "via", "table", "object_id", "action", "what")
    list_filter = ("action", "table", "moment", "account")
    search_fields = ("=object_id", "account__username")
    search_help_text = _("The id of the changed row, or a part of the account's name.")
    fields = readonly_fields = ("moment", "account", "via", "load", "table", "object_id", "action", "what")

    @admin.display(description=_("before → after"))
    def what(self, row: Change) -> SafeString:
        return format_html('<ul class="changes">{}</ul>', row.as_items())


@admin.register(Load)
class LoadAdmin(TrailAdmin):
    list_display = (
        "moment",
        "title",
        "table",
        "account",
        "via",
        "result",
        "new",
        "changed",
        "unchanged",
        "removed",
        "faults",
    )
    list_display_links = ("moment", "title")
    list_filter = ("outcome", "table", "moment", "account")
    list_select_related = ("account", "undone_by__account")  # type: ignore[assignment]
    search_fields = ("file", "=digest")
    search_help_text = _("A part of the file's name, or its SHA-256.")
    fields = readonly_fields = (
        "moment",
        "account",
        "via",
        "table",
        "file",
        "digest",
        "result",
        "undoes",
        "new",
        "changed",
        "unchanged",
        "removed",
        "faults",
        "amounts",
        "rows_digest",
    )

    @admin.display(description=_("file"), ordering="file")
    def title(self, load: Load) -> str:
        return load.title()

    @admin.display(description=_("outcome"), ordering="outcome")
    def result(self, load: Load) -> str | SafeString:
        if not (undone_by := getattr(load, "undone_by", None)):
            return load.get_outcome_display()
        address = reverse("admin:credits_load_change", args=[undone_by.pk])
        return format_html('<a href="{}">{}</a>', address, _("undone: %s") % undone_by.signature())

    @admin.display(description=_("sums of the new rows"))
    def amounts(self, load: Load) -> str:
        fields: Any = apps.get_model(load.table)._meta
        labelled = ((fields.get_field(name).verbose_name, amount) for name, amount in load.sums.items())
        return ", ".join(f"{label} {grouped(Decimal(amount))}" for label, amount in labelled) or "–"

    def get_urls(self) -> list[Any]:
        undo_view, faults_view = map(self.admin_site.admin_view, (self.undo_view, self.faults_view))
        return [
            path("<int:object_id>/undo/", undo_view, name="credits_load_undo"),
            path("<int:object_id>/faults.csv", faults_view, name="credits_load_faults"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Adds links to the import's new and changed rows, and to the page that undoes it."""
        load: Any = self.get_object(request, unquote(object_id))
        context = {}
        if load:
            context = {
                "new_rows": self.new_rows(load),
                "undone": hasattr(load, "undone_by"),
                "rows_at_fault": RowsAtFault.objects.filter(load=load).exists(),
            }
            if load.outcome == Load.STORED:
                context["missing"] = self.missing_permission(request, load)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def new_rows(self, load: Load) -> str | None:
        """Returns the address of a list of exactly the new rows, or None if there is none."""
        ids = load.ranges.aggregate(first=Min("first_id"), last=Max("last_id"))
        if not load.new or ids["last"] - ids["first"] + 1 != load.new or hasattr(load, "undone_by"):
            return None
        address = reverse("admin:{}_{}_changelist".format(*load.table.split(".")))
        return f"{address}?id__gte={ids['first']}&id__lte={ids['last']}"

    def book_admin(self, load: Load) -> BookAdmin:
        staff: Any = self.admin_site.get_model_admin(apps.get_model(load.table))
        return staff

    def missing_permission(self, request: HttpRequest, load: Load) -> Any:
        """Says why the account may not undo the import; None if it may."""
        staff = self.book_admin(load)
        if load.new and not staff.has_delete_permission(request):
            return _("It added rows: only accounts that may delete rows of this table can undo it.")
        if load.changed and not staff.has_change_permission(request):
            return _("Only accounts that may change rows of this table can undo it.")
        return None

    def faults_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Returns the rows with faults of a refused file as CSV."""
        load = get_object_or_404(Load, pk=object_id)
        rows = get_object_or_404(RowsAtFault, load=load)
        if not self.book_admin(load).has_view_permission(request):
            raise PermissionDenied
        response = StreamingHttpResponse(rows.lines(), content_type="text/csv; charset=utf-8")
        name = f"{Path(load.file).stem}-faults.csv"
        response["Content-Disposition"] = content_disposition_header(True, name) or ""
        response["Cache-Control"] = "private, no-cache"
        return response

    def undo_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Shows what undoing the import will do, and undoes it once confirmed."""
        load = get_object_or_404(Load.objects.select_related("account"), pk=object_id)
        if not self.has_view_permission(request, load) or self.missing_permission(request, load):
            raise PermissionDenied
        resource = self.book_admin(load).resource_classes[0]
        reasons: list[str] = []
        if request.method == "POST":
            try:
                record = undo(load, resource)
            except NotUndone as error:
                reasons = error.reasons
            except DatabaseError as error:
                messages.error(request, REFUSED % error)
                return HttpResponseRedirect(request.path)
            else:
                text = _("Undone. Rows deleted: %(removed)d, restored: %(changed)d.")
                messages.success(request, text % {"removed": record.removed, "changed": record.changed})
                return HttpResponseRedirect(reverse("admin:credits_load_change", args=[record.pk]))
        undoing = Undoing(load, resource)
        if request.method != "POST":
            undoing.preview()
            reasons = undoing.reasons
        context = {
            **self.admin_site.each_context(request),
            "title": _("Undo: %s") % load,
            "opts": self.opts,
            "load": load,
            "reasons": reasons[:SHOWN],
            "reason_count": len(reasons),
            "later_imports": undoing.later_imports()[:SHOWN],
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/credits/load/undo.html", context)
