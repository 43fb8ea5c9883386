"""Tables in files: CSV in the shapes that lenders' programs write, and XLSX, told apart by content."""

import codecs
import csv
import io
import re
import sys
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import IO, Any, BinaryIO, NamedTuple

from django.utils.translation import gettext_lazy as _
from openpyxl import load_workbook
from openpyxl.cell import WriteOnlyCell

MAX_COLUMNS = 100
MAX_ROWS = 1_048_576  # of an XLSX sheet
ABOVE = 20  # rows with something in them, among which the header is looked for

# What Excel writes as the first line of a file to say by what its columns are separated.
SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?[\r\n]', re.IGNORECASE)

# Windows-1251 of Ukrainian and Russian: what may be there, and a word as people write it.
UPPER, LOWER = "А-ЯЁЄІЇҐ", "а-яёєіїґ"
FOREIGN = re.compile(rf"[^\x00-\x7f{UPPER}{LOWER}’‘“”„«»‹›–—…•№§°\xa0\xad]")
WORD = re.compile(r"[^\W\d_]+")
NATURAL = re.compile(rf"[{UPPER}]?[{LOWER}]+")


class Row(NamedTuple):
    """A row of a file: its number as an editor counts (the header is 1), and {column: cell}.

    A cell is text without spaces around it ("" where it is empty) or, from XLSX, a number or a date.
    """

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file. No row: with the whole file; no column: with the whole row.

    The code tells a program what kind of fault it is.
    """

    row: int | None
    column: str | None
    found: str | None
    expected: str
    code: str = "invalid"

    def __str__(self) -> str:
        return f"row {self.row}, {self.reason()}" if self.row else self.reason()

    def reason(self) -> str:
        """The fault as one reads it at its row."""
        where = [f"column {self.column}"] if self.column else []
        found = [] if self.found is None else [f"found {self.found!r}"]
        return ", ".join([*where, *found, f"expected {self.expected}"])


@dataclass
class Faults:
    """The faults of one file: the first ones, and how many there are in all.

    remarks: sentences on how the file was read, for those who look at it before it is stored.
    spelling: the file's own of its columns.
    """

    limit: int | None = 100
    listed: list[Fault] = field(default_factory=list)
    count: int = 0
    remarks: list[str] = field(default_factory=list)
    spelling: dict[str, str] = field(default_factory=dict)

    def add(
        self, row: int | None, column: str | None, found: Any, expected: Any, code: str = "invalid"
    ) -> None:
        self.count += 1
        if self.limit is None or len(self.listed) < self.limit:
            column = self.spelling.get(column, column) if column else None
            # What is expected is the same of many cells: it is kept once.
            self.listed.append(Fault(row, column, excerpt(found), sys.intern(str(expected)), code))

    def remark(self, text: Any) -> None:
        self.remarks.append(str(text))

    def __bool__(self) -> bool:
        return self.count > 0

    def in_order(self) -> list[Fault]:
        return sorted(self.listed, key=lambda fault: fault.row or 0)


class Unreadable(Exception):
    """Reading can't go on; the file's faults say why."""


class Faulty(Exception):
    """A file with faults. Nothing of its rows is stored."""

    def __init__(self, faults: Faults, rows: list[Row]) -> None:
        super().__init__(f"{faults.count} faults")
        self.faults = faults
        self.rows = rows


def excerpt(cell: Any) -> str | None:
    """A cell as people see it, long ones cut."""
    if cell is None:
        return None
    text = text_of(cell)
    return text if len(text) <= 100 else f"{text[:99]}…"


def text_of(cell: Any) -> str:
    if isinstance(cell, datetime) and cell.time() == datetime.min.time():
        cell = cell.date()
    return cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)


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


# How a workbook shows the values of a type.
NUMBER_FORMATS = {Decimal: "#,##0.00", date: "yyyy-mm-dd", int: "0"}


def workbook_cell(sheet: Any, value: Any) -> Any:
    cell = WriteOnlyCell(sheet, value)
    cell.number_format = NUMBER_FORMATS.get(type(value), "General")
    return cell


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


def rows_at_fault(columns: Sequence[str], rows: Iterable[Row], faults: Faults) -> Iterator[str]:
    """The lines of a file of the rows at fault: number, cells, and in the column "faults" what is wrong.

    Faults of the whole file stand in a line of their own. Import takes such a file: it ignores both columns.
    """
    reasons: dict[int, list[str]] = {}
    for fault in faults.in_order():
        reasons.setdefault(fault.row or 0, []).append(fault.reason())
    cells = {row.number: row.cells for row in rows if row.number in reasons}
    spelled = [faults.spelling.get(column, column) for column in columns]
    lines = (
        [
            number or "",
            *(guarded(text_of(cells[number][column])) if number in cells else "" for column in columns),
            guarded("; ".join(found)),
        ]
        for number, found in reasons.items()
    )
    return csv_text(["row", *spelled, "faults"], lines)


def read_rows(
    file: BinaryIO,
    columns: Sequence[str],
    faults: Faults,
    encoding: str = "",
    max_unzipped: int = 2**31,
    max_marks: int | None = None,
    max_rows: int | None = None,
) -> Iterator[Row]:
    """The rows under the header that have a cell with something in it, with the columns asked for.

    encoding is that of a text file without a byte order mark; "" means that it is found out. max_unzipped,
    in bytes, is how large a workbook may be when unpacked, and max_marks how many tags and attributes its
    parts may have. Raises Unreadable.
    """
    lines = table_lines(file, columns, faults, encoding, max_unzipped, max_marks)
    number, header = find_header(lines, columns, faults)
    positions = header_positions(header, columns, number, faults)
    for count, (number, cells) in enumerate(lines, start=1):
        if extra := [cell for cell in cells[len(header) :] if cell != ""]:
            faults.add(number, None, extra[0], _("no cell to the right of the header's last"))
        if max_rows and count > max_rows:
            expected = _("at most %d rows under the header") % max_rows
            faults.add(number, None, "more rows", expected, "too_large")
            raise Unreadable
        cells += [""] * (len(header) - len(cells))
        yield Row(number, {column: cells[position] for column, position in positions})


def best_columns(
    file: BinaryIO,
    choices: Sequence[Sequence[str]],
    encoding: str,
    max_unzipped: int,
    max_marks: int | None,
) -> int:
    """Which of the choices a header among the file's first rows lacks the fewest columns of."""
    asked = {column for columns in choices for column in columns}
    rows: list[set[str]] = [set()]
    with suppress(Unreadable):  # who reads the file then says why
        lines = table_lines(file, asked, Faults(), encoding, max_unzipped, max_marks)
        for _number, cells in islice(lines, ABOVE):
            rows.append(set(names_of(cells)))
    lacking = [min(len(set(columns) - row) for row in rows) for columns in choices]
    return lacking.index(min(lacking))


def table_lines(
    file: BinaryIO,
    columns: Collection[str],
    faults: Faults,
    encoding: str,
    max_unzipped: int,
    max_marks: int | None,
) -> Iterator[tuple[int, list[Any]]]:
    """The number and the cells of each row that has something in it, from a file of any kind."""
    file.seek(0)
    kind = file.read(8)
    file.seek(0)
    if kind.startswith(b"PK\x03\x04"):
        lines = xlsx_lines(file, faults, max_unzipped, max_marks)
    elif kind.startswith(b"\xd0\xcf\x11\xe0"):
        faults.add(None, None, "an old .xls or a workbook with a password", _("CSV or XLSX"), "parse_error")
        raise Unreadable
    else:
        lines = csv_lines(file, columns, faults, encoding)
    for number, cells in lines:
        if cells.count("") < len(cells):
            yield number, cells


def names_of(cells: Iterable[Any]) -> list[str]:
    """The names of columns in a row that may be a header. Case doesn't matter, nor do spaces around."""
    return [str(cell).strip().casefold() for cell in cells]


def find_header(
    lines: Iterator[tuple[int, list[Any]]], columns: Collection[str], faults: Faults
) -> tuple[int, list[Any]]:
    """The row that has all columns, a title above it or not; or of the first rows that which has most."""
    best: tuple[int, list[Any]] = (1, [])
    most = -1
    for place, (number, cells) in enumerate(islice(lines, ABOVE)):
        had = len(set(columns) & set(names_of(cells)))
        if had > most:
            best, most = (number, cells), had
        if had == len(columns):
            if place:
                faults.remark(_("The header is row %d; what is above it isn't read.") % number)
            break
    return best


def header_positions(
    header: list[Any], columns: Sequence[str], number: int, faults: Faults
) -> list[tuple[str, int]]:
    """Where in the header each column stands. Columns not asked for don't matter."""
    while header and header[-1] == "":
        header.pop()
    names = names_of(header)
    for column in columns:
        if names.count(column) != 1:
            expected = _("each column once: %(columns)s") % {"columns": ", ".join(columns)}
            faults.add(number, column, ", ".join(map(str, header)), expected, "header")
    if faults:
        raise Unreadable
    positions = [(column, names.index(column)) for column in columns]
    faults.spelling = {column: str(header[position]) for column, position in positions}
    return positions


def is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in iter(partial(file.read, 2**16), b""):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def is_cp1251(file: BinaryIO) -> bool:
    """Whether the first Cyrillic words are plainly that: letters and quotation marks of Ukrainian or Russian
    alone, and most words all small or with one capital, as they are in no other encoding.
    """
    natural, words = 0, 0
    text = io.TextIOWrapper(file, "cp1251", errors="replace")
    for line in text:
        if FOREIGN.search(line):
            natural = 0
            break
        for word in WORD.findall(line):
            if not word.isascii():
                words += 1
                natural += NATURAL.fullmatch(word) is not None
        if words > 1000:
            break
    text.detach()
    file.seek(0)
    return natural * 2 > words


def csv_lines(
    file: BinaryIO, columns: Collection[str], faults: Faults, encoding: str
) -> Iterator[tuple[int, list[Any]]]:
    """Each row's number and cells. What can't be decoded becomes U+FFFD, which no cell may hold."""
    mark = file.read(3)
    file.seek(0)
    if mark == b"\xef\xbb\xbf":
        encoding = "utf-8-sig"
    elif mark.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif not encoding:
        encoding = "utf-8"
        if not is_utf8(file) and is_cp1251(file):
            encoding = "cp1251"
            faults.remark(_("Read as Windows-1251."))
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    number = 1
    try:
        start = text.read(2**14)
        text.seek(0)
        if "\0" in start:
            faults.add(None, None, "binary data", _("CSV or XLSX"), "parse_error")
            raise Unreadable
        told = SEPARATOR.match(start)
        reader = csv.reader(text, delimiter=told[1] if told else separator(start, columns), strict=True)
        if told:
            next(reader)
        number = reader.line_num + 1
        for cells in reader:
            yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        faults.add(number, None, str(error), _("cells whose quotation marks match"), "parse_error")
        raise Unreadable from error
    finally:
        if not file.closed:  # whoever stopped reading may have closed it since
            text.detach()


def separator(start: str, columns: Collection[str]) -> str:
    """What separates the cells: by it a row has most of the columns, or else the first row most cells."""

    def fitness(delimiter: str) -> tuple[int, int]:
        rows = list(islice(csv.reader(start.splitlines(), delimiter=delimiter), ABOVE))
        had = max((len(set(columns) & set(names_of(cells))) for cells in rows), default=0)
        return had, next((len(cells) for cells in rows if any(cells)), 0)

    return max("\t;,", key=fitness)


def marks(part: IO[bytes]) -> int:
    """How many tags and attributes an XML part of a workbook has; 0 of any other part.

    A parser's time grows with their number, and with the square of their length. Raises ValueError where that
    has no bounds: spreadsheet programs write nothing of the kind.
    """
    count, last = 0, b""
    while chunk := part.read(2**18):
        text = chunk.replace(b"\0", b"")  # of UTF-16
        if not (last or text.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")):
            break
        if b"<!" in last + text:
            raise ValueError("comments or declarations in its XML")
        if b"<" not in text and len(chunk) == 2**18:
            raise ValueError("longer texts in its XML than a cell has")
        count += text.count(b"<") + text.count(b"/>") + text.count(b"=")
        last = text[-1:]
    return count


def check_size(archive: zipfile.ZipFile, faults: Faults, max_unzipped: int, max_marks: int | None) -> None:
    """Refuse a workbook that would take long to parse, small as it may be. Raises Unreadable."""
    unzipped = sum(entry.file_size for entry in archive.infolist())
    if unzipped > max_unzipped:
        found = f"{unzipped} bytes unpacked"
        faults.add(None, None, found, _("at most %d") % max_unzipped, "too_large")
        raise Unreadable
    if max_marks is None:
        return
    total = 0
    for entry in archive.infolist():
        with archive.open(entry) as part:
            try:
                count = marks(part)
            except ValueError as error:
                expected = _("a workbook as spreadsheet programs write it")
                faults.add(None, None, str(error), expected, "parse_error")
                raise Unreadable from error
        # What openpyxl makes objects of takes it ten times as long.
        total += count * (10 if entry.filename in ("xl/styles.xml", "[Content_Types].xml") else 1)
    if total > max_marks:
        found = f"{total} tags and attributes in its sheets and styles"
        faults.add(None, None, found, _("at most %d") % max_marks, "too_large")
        raise Unreadable


def holds_data(sheet: Any) -> bool:
    """Whether there is a value in one of the sheet's first rows."""
    rows = sheet.iter_rows(max_row=1000, max_col=MAX_COLUMNS, values_only=True)
    return any(cells.count(None) < len(cells) for cells in rows)


def xlsx_lines(
    file: BinaryIO, faults: Faults, max_unzipped: int, max_marks: int | None
) -> Iterator[tuple[int, list[Any]]]:
    """Each row's number and cells, from the first visible sheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_size(archive, faults, max_unzipped, max_marks)
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        sheet = next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])
        for each in sheets:
            each.reset_dimensions()  # what the file says of its own size can't be trusted
        if len(sheets) > 1:
            faults.remark(_("Read from the sheet “%s”.") % sheet.title)
        if others := [each.title for each in sheets if each is not sheet and holds_data(each)]:
            faults.remark(_("Other sheets with data aren't read: %s.") % ", ".join(others))
        lines = sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True)
        for number, cells in enumerate(lines, start=1):
            if cells.count(None) < len(cells):
                yield number, [stripped(cell) for cell in cells]
    except (Unreadable, GeneratorExit):
        raise
    except Exception as error:  # openpyxl raises whatever a broken part of a workbook leads to
        reason = error.__cause__ or error  # its own ValueError says only which part it is
        found = f"a workbook that can't be read ({reason})"
        faults.add(None, None, found, _("CSV or XLSX"), "parse_error")
        raise Unreadable from error
