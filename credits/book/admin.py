"""The base of the admin of every table: lists, forms, import and export, the trail."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from io import BytesIO
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import BaseModelAdmin, IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.paginator import Paginator
from django.core.validators import MinValueValidator
from django.db import DatabaseError, models
from django.db.models import Model, QuerySet
from django.forms.models import apply_limit_choices_to_to_formfield
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import CSV, XLSX, Format
from import_export.forms import ExportForm, ImportForm
from openpyxl import Workbook

from fintrack.merging import MergingAdmin, MergingModelForm, MergingRows, who_and_when

from . import filters  # noqa: F401  # registers the filter of date columns
from .deleting import delete_selected
from .fields import AmountField, DayField
from .files import Faults, Faulty, csv_text, workbook_cell
from .loading import Differs, fitting, load_file, preview_file
from .money import MoneySum
from .reading import in_batches
from .resources import BookResource
from .searching import ids
from .trail import Change, Load, Record, Upload, last_touch
from .writing import writing

COUNTED = 100_000  # lists count, add up and page at most this many rows
MAX_BYTES = 10 * 2**20  # of a file to import
MAX_XLSX_ROWS = 200_000
KEPT_FOR = timedelta(hours=12)  # uploads that nobody confirms or cancels
GONE = _("Nothing was stored: this upload was already imported or cancelled, or it has expired.")
REFUSED = _("Nothing was stored: the database refused (%s). Try again.")


class CappedPaginator(Paginator):
    """Counts at most COUNTED rows."""

    @cached_property
    def counted(self) -> int:
        rows: Any = self.object_list
        return rows.order_by().values("pk")[: COUNTED + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self.counted, COUNTED)

    @property
    def is_capped(self) -> bool:
        return self.counted > COUNTED


class BookChangeList(ChangeList):
    """Reads a page in two queries, for the ids and for the rows, and adds the totals of all pages."""

    totals: list[tuple[str, Any]] = []

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Raises IncorrectLookupParameters for numbers out of range too: Django then shows the whole list."""
        try:
            return super().get_queryset(request, exclude_parameters)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error
        staff: Any = self.model_admin
        pks = [row.pk for row in self.result_list]
        rows = staff.for_list(self.model._default_manager.filter(pk__in=pks)).in_bulk()
        self.result_list = [rows[pk] for pk in pks]
        if not self.paginator.is_capped:
            self.totals = staff.sums(self.queryset)


class TableFile(Format):
    """The only format of import-export's form: CSV or XLSX, which files.py detects by content."""

    def get_title(self) -> str:
        return "CSV, XLSX"

    def can_import(self) -> bool:
        return True


class UploadForm(ImportForm):
    import_file = forms.FileField(
        label=_("File"),
        help_text=format_lazy(
            _("CSV or XLSX, at most {size} MB and {rows} rows. manage.py load_data takes larger ones."),
            size=MAX_BYTES // 2**20,
            rows=BookResource.max_rows,
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx"}),
    )

    encoding = forms.ChoiceField(
        label=_("Encoding of a text file"),
        choices=[
            ("", _("Automatic")),
            ("utf-8", "UTF-8"),
            ("cp1251", "Windows-1251"),
            ("koi8-u", "KOI8-U"),
            ("utf-16-le", "UTF-16"),
        ],
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["format"].widget = forms.HiddenInput()
        self.fields["format"].required = False
        self.fields["resource"].widget = forms.HiddenInput()  # the file's header decides

    @property
    def media(self) -> forms.Media:
        return forms.Media()

    def clean_format(self) -> str:
        return "0"

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_BYTES:
            message = _(
                "The file is %(found).1f MB; expected at most %(most)d MB. "
                "manage.py load_data takes larger ones."
            )
            raise forms.ValidationError(message % {"found": file.size / 2**20, "most": MAX_BYTES // 2**20})
        return file


class BookFields(BaseModelAdmin):
    """Reads dates and amounts as files do; shows only valid choices of a relation, without pop-ups."""

    formfield_overrides = {
        models.DateField: {"form_class": DayField},
        models.DecimalField: {"form_class": AmountField},
    }

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, models.DecimalField):
            kwargs["least"] = max(v.limit_value for v in db_field.validators if type(v) is MinValueValidator)
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.is_relation and db_field.get_limit_choices_to():
            for pop_up in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{pop_up}_related", False)
            apply_limit_choices_to_to_formfield(field)
            field.choices = list(field.choices)  # one query for all rows of a form
        return field


def warn(request: HttpRequest, row: Model, doubts: Iterable[tuple[str, Any]]) -> None:
    """Shows a warning for each doubtful value of a row that has just been stored."""
    for name, doubt in doubts:
        field: Any = row._meta.get_field(name)
        values = {"row": capfirst(f"{row._meta.verbose_name} {row}"), "field": field.verbose_name}
        text = _("%(row)s, %(field)s: %(doubt)s It was stored anyway.")
        messages.warning(request, text % (values | {"doubt": doubt}))


class BookForm(MergingModelForm):
    def last_change(self, name: str) -> Record | None:
        return last_touch(self.instance, name)


class BookAdmin(BookFields, ImportExportMixin, MergingAdmin):
    """The admin of a table of the book.

    resource_classes: the first imports and exports the table's file, the others only import.
    totals: money columns whose sums are shown below the list.
    """

    totals: tuple[str, ...] = ()
    form = BookForm
    writing = staticmethod(writing)
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    save_on_top = True
    actions = [delete_selected, "export_csv", "export_xlsx"]
    object_history_template = "admin/trail.html"
    import_export_change_list_template = "admin/book_change_list.html"
    import_template_name = "admin/import_export/import.html"
    export_template_name = "admin/import_export/export.html"
    import_form_class = UploadForm
    export_form_class = ExportForm
    import_formats = [TableFile]
    export_formats = [CSV, XLSX]

    # Lists

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> Any:
        if any(not ids(pk) for pk in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise SuspiciousOperation("Rows are selected by their ids.")
        return super().response_action(request, queryset, *args)

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Adds to the rows of a page what the list's columns show."""
        related: Any = self.list_select_related
        return rows.select_related(*related) if related else rows

    def sums(self, rows: QuerySet[Any]) -> list[tuple[str, Any]]:
        """Returns (label, sum) for each column of `totals`."""
        if not self.totals:
            return []
        sums = rows.order_by().aggregate(**{f"{name}_total": MoneySum(name) for name in self.totals})
        labels: list[Any] = [label_for_field(name, self.model, self) for name in self.totals]
        return [(capfirst(label), amount) for label, amount in zip(labels, sums.values(), strict=True)]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BookChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        rows: Any = queryset
        return rows.search(term) if term and self.search_fields else rows, False

    # Forms

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        stored = [form.instance]
        for rows in formsets:
            stored += [*rows.new_objects, *(row for row, fields in rows.changed_objects)]
        for row in stored:
            warn(request, row, row.doubts(timezone.localdate()))

    # Deletion

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Doesn't delete a row that somebody has changed since the page was shown."""
        with writing() if request.method == "POST" else nullcontext():
            row = self.get_object(request, unquote(object_id))
            last = Change.objects.of_object(self.opts.label_lower, row.pk).first() if row else None
            now = f"{last.pk}" if last else ""
            if last and request.POST.get("seen", now) != now:
                text = _("Changed meanwhile by %(who)s: %(what)s. Check the row before you delete it.")
                what = ", ".join(f"{name} {old} → {new}" for name, old, new in last.readable_fields())
                messages.error(request, text % {"who": who_and_when(last), "what": what})
                return HttpResponseRedirect(request.path)
            return super().delete_view(request, object_id, {"seen": now} | (extra_context or {}))

    # Import

    def get_urls(self) -> list[Any]:
        name = "{}_{}_template".format(*self.get_model_info())
        view = self.admin_site.admin_view(self.template_view)
        return [path("template.<str:kind>", view, name=name), *super().get_urls()]

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return self.attempted(self.previewed, request)

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return self.attempted(self.cancelled if "cancel" in request.POST else self.confirmed, request)

    def attempted(
        self, view: Callable[[HttpRequest], HttpResponseBase], request: HttpRequest
    ) -> HttpResponseBase:
        if not self.has_import_permission(request):
            raise PermissionDenied
        problem: Any
        try:
            return view(request)
        except Upload.DoesNotExist:
            problem = GONE
        except DatabaseError as error:
            problem = REFUSED % error
        messages.error(request, problem)
        return self.redirect_to("import")

    def redirect_to(self, view: str) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:{}_{}_{}".format(*self.get_model_info(), view)))

    def import_page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        context |= {**self.admin_site.each_context(request), "title": _("Import"), "opts": self.opts}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.import_template_name, context)

    def previewed(self, request: HttpRequest) -> HttpResponse:
        """Previews an uploaded file. If it has no faults, it is kept until it is imported or cancelled."""
        form = self.create_import_form(request)
        if not (request.method == "POST" and form.is_valid()):
            return self.import_page(request, form=form)
        file, encoding = form.cleaned_data["import_file"], form.cleaned_data["encoding"]
        columns = fitting(self.resource_classes, file, encoding)
        preview = preview_file(self.resource_classes[columns](), file, file.name, encoding)
        if preview.faults:
            return self.import_page(request, form=form, result=preview)
        Upload.objects.filter(moment__lt=timezone.now() - KEPT_FOR).delete()
        file.seek(0)
        upload = Upload.objects.create(
            key=uuid4().hex,
            table=self.opts.label_lower,
            columns=columns,
            encoding=encoding,
            name=file.name[:255],
            content=file.read(),
            digest=preview.digest,
        )
        return self.import_page(request, result=preview, upload=upload)

    def uploads(self, request: HttpRequest) -> QuerySet[Upload]:
        return Upload.objects.filter(key=request.POST.get("upload", ""), table=self.opts.label_lower)

    def cancelled(self, request: HttpRequest) -> HttpResponse:
        self.uploads(request).delete()
        return self.redirect_to("import")

    def confirmed(self, request: HttpRequest) -> HttpResponse:
        """Stores what the preview showed. If the book has changed since, shows a new preview instead."""
        upload = self.uploads(request).get()
        resource = self.resource_classes[upload.columns]
        try:
            counts = load_file(resource(), BytesIO(upload.content), upload.name, Faults(), upload)
        except (Differs, Faulty, DatabaseError) as error:
            preview = preview_file(resource(), BytesIO(upload.content), upload.name, upload.encoding)
            if isinstance(error, DatabaseError) and preview.digest == upload.digest:
                messages.error(request, REFUSED % error)
            else:
                messages.warning(request, _("Nothing was stored: the book has changed since the preview."))
            if preview.faults:
                upload.delete()
                form = UploadForm(self.import_formats, self.resource_classes)
                return self.import_page(request, form=form, result=preview)
            changes = preview.changes_since(upload.moment)
            self.uploads(request).update(digest=preview.digest, moment=timezone.now())
            return self.import_page(request, result=preview, upload=upload, changes=changes)
        text = _("Imported %(file)s. New rows: %(new)d, changed: %(changed)d, unchanged: %(unchanged)d.")
        messages.success(request, text % {"file": upload.name, **asdict(counts)})
        return self.redirect_to("changelist")

    # Export

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[BookResource]]:
        return self.resource_classes[:1]

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def template_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """Returns a file with only the header; ?resource= is the index of the resource class."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        classes = self.get_import_resource_classes(request)
        number = request.GET.get("resource", "0")
        if kind not in WRITERS or not (number.isascii() and number.isdigit() and int(number) < len(classes)):
            raise Http404
        return download(classes[int(number)](), [], kind, f"{self.opts.model_name}-template")

    def _do_file_export(
        self, file_format: Format, request: HttpRequest, queryset: QuerySet[Any], export_form: Any = None
    ) -> HttpResponseBase:
        kind = file_format.get_extension()
        rows = self.model._default_manager.filter(pk__in=queryset.order_by().values("pk")).order_by("pk")
        if kind == "xlsx" and rows.values("pk")[: MAX_XLSX_ROWS + 1].count() > MAX_XLSX_ROWS:
            raise ValueError(
                _("XLSX holds at most %d rows here. Choose CSV, or filter the list.") % MAX_XLSX_ROWS
            )
        name = f"{self.opts.model_name}-{timezone.localdate()}"
        return download(self.resource_classes[0](), in_batches(rows), kind, name)

    @admin.action(description=_("Export selected rows as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        return self._do_file_export(CSV(), request, queryset)

    @admin.action(description=_("Export selected rows as XLSX"), permissions=["view"])
    def export_xlsx(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        try:
            return self._do_file_export(XLSX(), request, queryset)
        except ValueError as error:
            messages.error(request, str(error))
            return None

    # The trail

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows the object's history from the trail."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        table = self.opts.label_lower
        changes = Change.objects.of_object(table, row.pk).select_related("account", "load")
        context = {
            **self.admin_site.each_context(request),
            "title": _("History: %s") % row,
            "opts": self.opts,
            "object": row,
            "page": Paginator(changes, 50).get_page(request.GET.get("page")),
            "loads": Load.objects.select_related("account").bringing(table, row.pk),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.object_history_template, context)


class LabelledRows(MergingRows):
    """Labels each field of a row with its column's heading, for screen readers."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for field in form.fields.values():
            widget = getattr(field.widget, "widget", field.widget)  # Django wraps it to add pop-ups
            widget.attrs["aria-label"] = capfirst(field.label)


class ShownRows(BookFields, admin.TabularInline):
    """The latest rows that belong to an object."""

    most = 50
    extra = 0
    form = BookForm
    formset = LabelledRows
    template = "admin/shown_rows.html"
    show_change_link = True
    fk_name: str

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.most = self.most
        formset.may_change = self.has_change_permission(request, obj)
        formset.are_many = self.are_many(obj)
        return formset

    def are_many(self, obj: Model | None) -> bool:
        """Tells whether the object has more rows than are shown."""
        if obj is None:
            return False
        rows = self.model._default_manager.filter(**{self.fk_name: obj})
        return rows[: self.most + 1].count() > self.most

    def all_url(self) -> str:
        """Returns the address of the list of all rows; the template appends the object's id."""
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{address}?{self.fk_name}__id__exact="


# Downloads


def text_download(resource: BookResource, rows: Iterable[Any]) -> StreamingHttpResponse:
    lines = csv_text(resource.columns(), map(resource.text_cells, rows))
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")


def workbook_download(resource: BookResource, rows: Iterable[Any]) -> FileResponse:
    book = Workbook(write_only=True)
    sheet = book.create_sheet(resource._meta.model._meta.model_name)
    sheet.freeze_panes = "A2"
    sheet.append(resource.columns())
    for row in rows:  # styled cells are slow; openpyxl formats dates by itself
        values = resource.workbook_cells(row)
        sheet.append([workbook_cell(sheet, v) if isinstance(v, Decimal) else v for v in values])
    file = TemporaryFile()  # noqa: SIM115  # the response closes it
    book.save(file)
    file.seek(0)
    return FileResponse(file, content_type=XLSX.CONTENT_TYPE)


WRITERS = {"csv": text_download, "xlsx": workbook_download}


def download(resource: BookResource, rows: Iterable[Any], kind: str, name: str) -> HttpResponseBase:
    response: HttpResponseBase = WRITERS[kind](resource, rows)
    response["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    response["Cache-Control"] = "private, no-cache"
    return response
