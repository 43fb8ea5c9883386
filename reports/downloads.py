"""Downloads of a report's rows: CSV, streamed, and XLSX, with totals and a sheet that explains them."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.http import FileResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import content_disposition_header
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from credits.book.files import csv_text, guarded, workbook_cell
from fintrack.api.problems import Refused, parameter_fault

from .columns import label
from .listing import Listing
from .params import CSV, XLSX, MonthField
from .report import Report
from .templatetags.figures import NOTHING, month

MAX_XLSX_ROWS = 100_000
TYPES = {CSV: "text/csv", XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


def csv_download(
    report: Report | Listing, rows: Iterable[Any], params: dict[str, Any]
) -> StreamingHttpResponse:
    """Returns a file with only the header and the rows."""
    cells = attrgetter(*report.columns)
    lines = csv_text(report.columns, (map(text_of, cells(row)) for row in rows))
    response = StreamingHttpResponse(lines, content_type=f"{TYPES[CSV]}; charset=utf-8")
    response["Content-Disposition"] = content_disposition_header(True, f"{filename(report, params)}.csv")
    return response


def text_of(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else guarded(value)


def xlsx_download(report: Report, rows: list[Any], params: dict[str, Any]) -> FileResponse:
    """Returns a file with rows and totals, and a sheet that explains them, in the current language.

    Raises Refused.
    """
    if len(rows) > MAX_XLSX_ROWS:
        expected = _("csv: an XLSX file holds at most %d rows") % MAX_XLSX_ROWS
        fault = parameter_fault("format", XLSX, expected, "too_many_rows")
        raise Refused(_("There are too many rows."), [fault])
    book = Workbook(write_only=True)
    sheet = book.create_sheet(str(report.title)[:31])  # a name's limit
    sheet.freeze_panes = "A2"
    labels = [label(report.name, column) for column in report.columns]
    for number, text in enumerate(labels, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = max(12, len(text) + 2)
    bold = Font(bold=True)
    sheet.append([cell(sheet, text, bold) for text in labels])
    cells = attrgetter(*report.columns)
    for row in rows:
        sheet.append([cell(sheet, value) for value in cells(row)])
    for total in report.totals(rows):
        first, *others = report.columns
        values = [total.get(first, _("Total")), *(total.get(column) for column in others)]
        sheet.append([cell(sheet, value, bold) for value in values])
    about = book.create_sheet(_("About"))
    about.column_dimensions["A"].width = 24
    about.column_dimensions["B"].width = 100
    for name, value in facts(report, params):
        about.append([cell(about, name, bold), cell(about, value)])
    file = BytesIO()
    book.save(file)
    file.seek(0)
    name = f"{filename(report, params)}.xlsx"
    return FileResponse(file, as_attachment=True, filename=name, content_type=TYPES[XLSX])


def facts(report: Report, params: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the names and values of the sheet that explains the rows; parameters as the form names them."""
    yield _("Report"), str(report.title)
    for name, value in params.items():
        field = report.params.base_fields.get(name)
        if value is None:
            value = str(getattr(field, "default_name", NOTHING))
        elif isinstance(field, MonthField):
            value = month(value)
        yield str(field.label) if field else _("Today"), value  # the form adds today's date itself
    yield _("Currency"), settings.CURRENCY
    now = timezone.localtime()
    yield _("Made"), f"{date_format(now, 'SHORT_DATETIME_FORMAT')} {now:%Z}"
    yield _("Formula"), str(report.formula)


def cell(sheet: Any, value: Any, font: Font | None = None) -> Any:
    made = workbook_cell(sheet, guarded(value))
    made.alignment = Alignment(vertical="top", wrap_text=isinstance(value, str) and len(value) > 60)
    if font:
        made.font = font
    return made


def filename(report: Report | Listing, params: dict[str, Any]) -> str:
    """Returns the report's name and parameters, without characters that file systems or headers refuse."""
    return get_valid_filename("-".join([report.name, *map(str, params.values())]))


DOWNLOADS = {CSV: csv_download, XLSX: xlsx_download}
