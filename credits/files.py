"""Tables in files: CSV in the shapes that lenders' programs write, and XLSX, told apart by content."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

from django.utils.translation import gettext_lazy as _
from openpyxl import load_workbook

MAX_COLUMNS = 100
MAX_ROWS = 1_048_576  # of an XLSX sheet


class Row(NamedTuple):
    """A row of a file: its number as an editor counts (the header is 1), and {column: cell}.

    A cell is text without spaces around it ("" where it is empty) or, from XLSX, a number or a date.
    """

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file. No row: with the whole file; no column: with the whole row."""

    row: int | None
    column: str | None
    found: str | None
    expected: str

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row else []
        where += [f"column {self.column}"] if self.column else []
        found = [] if self.found is None else [f"found {self.found!r}"]
        return ", ".join([*where, *found, f"expected {self.expected}"])


@dataclass
class Faults:
    """The faults of one file: the first ones, and how many there are in all.

    remarks: sentences on how the file was read, for those who look at it before it is stored.
    """

    limit: int | None = 100
    listed: list[Fault] = field(default_factory=list)
    count: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, row: int | None, column: str | None, found: Any, expected: Any) -> None:
        self.count += 1
        if self.limit is None or len(self.listed) < self.limit:
            self.listed.append(Fault(row, column, shown(found), str(expected)))

    def __bool__(self) -> bool:
        return self.count > 0

    def in_order(self) -> list[Fault]:
        return sorted(self.listed, key=lambda fault: fault.row or 0)


class Unreadable(Exception):
    """Reading can't go on; the file's faults say why."""


class Faulty(Exception):
    """A file with faults. Nothing of it is stored."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(f"{faults.count} faults")
        self.faults = faults


def shown(cell: Any) -> str | None:
    """A cell as people see it, long ones cut."""
    if cell is None:
        return None
    if isinstance(cell, datetime) and cell.time() == datetime.min.time():
        cell = cell.date()
    text = cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)
    return text if len(text) <= 100 else f"{text[:99]}…"


def stripped(cell: Any) -> Any:
    """A cell of a workbook in the form that Row promises."""
    if cell is None:
        return ""
    return cell.strip() if isinstance(cell, str) else cell


def guarded(value: Any) -> Any:
    """The value for a cell of a file; text that a spreadsheet program would run gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value


def unguarded(text: str) -> str:
    """The text that was guarded."""
    return text[1:] if text.startswith("'") and is_formula(text[1:]) else text


def is_formula(text: str) -> bool:
    # With apostrophes before it, or else a text that has one of its own would come back without it.
    return text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r"))


class Line:
    """A file for csv.writer that gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The lines of a file, with a byte order mark, by which spreadsheet programs know UTF-8."""
    writer = csv.writer(Line())
    yield "\ufeff"
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow(row)


def read_rows(
    file: BinaryIO,
    columns: Sequence[str],
    faults: Faults,
    encoding: str = "utf-8",
    max_unzipped: int = 2**31,
    max_rows: int | None = None,
) -> Iterator[Row]:
    """The rows under the header that have a cell with something in it, with the columns asked for.

    encoding is that of a text file without a byte order mark. max_unzipped, in bytes, is how large a
    workbook may be when unpacked. Raise Unreadable.
    """
    kind = file.read(8)
    file.seek(0)
    if kind.startswith(b"PK\x03\x04"):
        lines = xlsx_lines(file, faults, max_unzipped)
    elif kind.startswith(b"\xd0\xcf\x11\xe0"):
        faults.add(None, None, "an old .xls or a workbook with a password", _("CSV or XLSX"))
        raise Unreadable
    else:
        lines = csv_lines(file, faults, encoding)
    lines = ((number, cells) for number, cells in lines if any(cell != "" for cell in cells))
    number, header = next(lines, (1, []))
    positions = header_positions(header, columns, number, faults)
    for number, cells in lines:
        if extra := [cell for cell in cells[len(header) :] if cell != ""]:
            faults.add(number, None, extra[0], _("no cell to the right of the header's last"))
        if max_rows and number > max_rows:
            faults.add(number, None, "more rows", _("at most %d rows") % max_rows)
            raise Unreadable
        cells += [""] * (len(header) - len(cells))
        yield Row(number, {column: cells[position] for column, position in positions})


def header_positions(
    header: list[Any], columns: Sequence[str], number: int, faults: Faults
) -> list[tuple[str, int]]:
    """Where in the header each column stands. Case doesn't matter, nor do columns not asked for."""
    while header and header[-1] == "":
        header.pop()
    names = [str(cell).casefold() for cell in header]
    for column in columns:
        if names.count(column) != 1:
            expected = _("each column once: %(columns)s") % {"columns": ", ".join(columns)}
            faults.add(number, column, ", ".join(names), expected)
    if faults:
        raise Unreadable
    return [(column, names.index(column)) for column in columns]


def csv_lines(file: BinaryIO, faults: Faults, encoding: str) -> Iterator[tuple[int, list[Any]]]:
    """Each row's number and cells. What can't be decoded becomes U+FFFD, which no cell may hold."""
    mark = file.read(3)
    file.seek(0)
    if mark == b"\xef\xbb\xbf":
        encoding = "utf-8-sig"
    elif mark.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    try:
        start = text.read(4096)
        text.seek(0)
        if "\0" in start:
            faults.add(None, None, "binary data", _("CSV or XLSX"))
            raise Unreadable
        header = "".join(start.lstrip().splitlines()[:1])
        separator = max("\t;,", key=header.count)
        reader = csv.reader(text, delimiter=separator, strict=True)
        number = 1
        for cells in reader:
            yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        faults.add(number, None, str(error), _("cells whose quotation marks match"))
        raise Unreadable from error
    finally:
        if not file.closed:  # whoever stopped reading may have closed it since
            text.detach()


def xlsx_lines(file: BinaryIO, faults: Faults, max_unzipped: int) -> Iterator[tuple[int, list[Any]]]:
    """Each row's number and cells, from the first visible sheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            unzipped = sum(entry.file_size for entry in archive.infolist())
        if unzipped > max_unzipped:
            faults.add(None, None, f"{unzipped} bytes unpacked", _("at most %d") % max_unzipped)
            raise Unreadable
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        sheet = (sheets or book.worksheets)[0]
        if len(book.worksheets) > 1:
            faults.remarks.append(str(_("Read from the sheet “%s”.") % sheet.title))
        sheet.reset_dimensions()  # what the file says of its own size can't be trusted
        lines = sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True)
        for number, cells in enumerate(lines, start=1):
            if cells.count(None) < len(cells):
                yield number, [stripped(cell) for cell in cells]
    except (Unreadable, GeneratorExit):
        raise
    except Exception as error:  # openpyxl raises whatever a broken part of a workbook leads to
        reason = error.__cause__ or error  # its own ValueError says only which part it is
        faults.add(None, None, f"a workbook that can't be read ({reason})", _("CSV or XLSX"))
        raise Unreadable from error
