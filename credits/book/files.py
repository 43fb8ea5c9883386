"""Reads and writes tables in files: CSV in the variants that lenders' programs write, and XLSX."""

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

from django.utils.formats import get_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from openpyxl import load_workbook
from openpyxl.cell import WriteOnlyCell

MAX_COLUMNS = 100
MAX_ROWS = 1_048_576  # the most that an XLSX sheet can have
ABOVE = 20  # the header must be among this many first rows that aren't empty

# The first line that Excel writes to name the separator of a file's columns.
SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?[\r\n]', re.IGNORECASE)

# For Ukrainian and Russian in Windows-1251: characters that don't occur in it, and words with usual capitals.
UPPER, LOWER = "А-ЯЁЄІЇҐ", "а-яёєіїґ"
FOREIGN = re.compile(rf"[^\x00-\x7f{UPPER}{LOWER}’‘“”„«»‹›–—…•№§°\xa0\xad]")
WORD = re.compile(r"[^\W\d_]+")
NATURAL = re.compile(rf"[{UPPER}]?[{LOWER}]+")


class Row(NamedTuple):
    """A row of a file: its number as an editor shows it (the header is 1), and {column: cell}.

    A cell is text without spaces around it ("" if it is empty) or, from XLSX, a number or a date.
    """

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in a file. Without a row it is a fault of the whole file; without a column, of the whole row.

    The code tells programs the kind of the fault.
    """

    row: int | None
    column: str | None
    found: str | None
    expected: str
    code: str = "invalid"

    def __str__(self) -> str:
        if not self.row:
            return self.reason()
        return _("row %(row)d, %(reason)s") % {"row": self.row, "reason": self.reason()}

    def reason(self) -> str:
        """Returns the fault as text, without the row."""
        if self.column and self.found is not None:
            text = _("column %(column)s, found %(found)s, expected %(expected)s")
        elif self.column:
            text = _("column %(column)s, expected %(expected)s")
        elif self.found is not None:
            text = _("found %(found)s, expected %(expected)s")
        else:
            text = _("expected %(expected)s")
        return text % {"column": self.column, "found": repr(self.found), "expected": self.expected}


@dataclass
class Faults:
    """The faults of one file: the first ones in `listed`, and the number of all in `count`.

    remarks: sentences on how the file was read, for people who check it before it is stored.
    spelling: {column: its name as the file spells it}.
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
            # Many faults expect the same, so one string serves them all.
            self.listed.append(Fault(row, column, excerpt(found), sys.intern(str(expected)), code))

    def remark(self, text: Any) -> None:
        self.remarks.append(str(text))

    def __bool__(self) -> bool:
        return self.count > 0

    def in_order(self) -> list[Fault]:
        return sorted(self.listed, key=lambda fault: fault.row or 0)


class Unreadable(Exception):
    """The file can't be read further. Its faults say why."""


class Faulty(Exception):
    """The file has faults. None of its rows is stored."""

    def __init__(self, faults: Faults, rows: list[Row]) -> None:
        super().__init__(f"{faults.count} faults")
        self.faults = faults
        self.rows = rows


def excerpt(cell: Any) -> str | None:
    """Returns the text of a cell as people see it, at most 100 characters."""
    if cell is None:
        return None
    text = text_of(cell)
    return text if len(text) <= 100 else f"{text[:99]}…"


def text_of(cell: Any) -> str:
    if isinstance(cell, datetime) and cell.time() == datetime.min.time():
        cell = cell.date()
    return cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)


def stripped(cell: Any) -> Any:
    """Returns a workbook's cell in the form that Row describes."""
    if cell is None:
        return ""
    return cell.strip() if isinstance(cell, str) else cell


def guarded(value: Any) -> Any:
    """Returns the value for a cell. Text that a spreadsheet would run as a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value


def unguarded(text: str) -> str:
    """Returns the text that was passed to guarded()."""
    return text[1:] if text.startswith("'") and is_formula(text[1:]) else text


def is_formula(text: str) -> bool:
    # Apostrophes before a formula count too: or else unguarded() would remove one that belongs to the text.
    return text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r"))


# The formats in which a workbook shows numbers; each reader's program writes its own separators.
NUMBER_FORMATS = {Decimal: "#,##0.00", int: "0"}
DATE_PARTS = str.maketrans({"Y": "yyyy", "m": "mm", "d": "dd"})


def workbook_cell(sheet: Any, value: Any) -> Any:
    """Returns the cell. A date is shown as the current language writes it."""
    cell = WriteOnlyCell(sheet, value)
    if type(value) is date:
        cell.number_format = get_format("SHORT_DATE_FORMAT").translate(DATE_PARTS)
    else:
        cell.number_format = NUMBER_FORMATS.get(type(value), "General")
    return cell


class Line:
    """A file for csv.writer whose write() returns the line."""

    def write(self, line: str) -> str:
        return line


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yields the lines of a file. They begin with a byte order mark, so spreadsheet programs read UTF-8."""
    writer = csv.writer(Line())
    yield "\ufeff"
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow(row)


def rows_at_fault(columns: Sequence[str], rows: Iterable[Row], faults: Faults) -> Iterator[str]:
    """Returns the lines of a CSV file of the rows at fault: row number, cells, faults.

    Faults of the whole file have a line of their own. The file can be imported: the columns "row" and
    "faults" are ignored.
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
    """Yields the rows under the header that aren't empty, with these columns. Raises Unreadable.

    encoding: of a text file without a byte order mark; "" means that it is detected.
    max_unzipped: the largest size in bytes of an unpacked workbook.
    max_marks: the largest number of tags and attributes in a workbook's parts.
    """
    lines = table_lines(file, columns, faults, encoding, max_unzipped, max_marks)
    number, header = find_header(lines, columns, faults)
    positions = header_positions(header, columns, number, faults)
    for count, (number, cells) in enumerate(lines, start=1):
        if extra := [cell for cell in cells[len(header) :] if cell != ""]:
            faults.add(number, None, extra[0], _("no cell to the right of the header's last"))
        if max_rows and count > max_rows:
            expected = _("at most %d rows under the header") % max_rows
            faults.add(number, None, _("more rows"), expected, "too_large")
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
    """Returns the index of the columns that fit the header best: the fewest are missing from it."""
    asked = {column for columns in choices for column in columns}
    rows: list[set[str]] = [set()]
    with suppress(Unreadable):  # read_rows() reports the fault later
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
    """Yields the number and the cells of each row that isn't empty, from a CSV or XLSX file."""
    file.seek(0)
    kind = file.read(8)
    file.seek(0)
    if kind.startswith(b"PK\x03\x04"):
        lines = xlsx_lines(file, faults, max_unzipped, max_marks)
    elif kind.startswith(b"\xd0\xcf\x11\xe0"):
        found = _("an old .xls or a workbook with a password")
        faults.add(None, None, found, _("CSV or XLSX"), "parse_error")
        raise Unreadable
    else:
        lines = csv_lines(file, columns, faults, encoding)
    for number, cells in lines:
        if cells.count("") < len(cells):
            yield number, cells


def names_of(cells: Iterable[Any]) -> list[str]:
    """Returns the cells of a possible header as column names: in lower case, without spaces around them."""
    return [str(cell).strip().casefold() for cell in cells]


def find_header(
    lines: Iterator[tuple[int, list[Any]]], columns: Collection[str], faults: Faults
) -> tuple[int, list[Any]]:
    """Returns the first row that has all columns or, if none has, the row near the top that has most."""
    best: tuple[int, list[Any]] = (1, [])
    most = -1
    for place, (number, cells) in enumerate(islice(lines, ABOVE)):
        had = len(set(columns) & set(names_of(cells)))
        if had > most:
            best, most = (number, cells), had
        if had == len(columns):
            if place:
                faults.remark(_("The header is row %d; the rows above it aren't read.") % number)
            break
    return best


def header_positions(
    header: list[Any], columns: Sequence[str], number: int, faults: Faults
) -> list[tuple[str, int]]:
    """Returns (column, its position in the header) for each of the columns. Other columns are ignored."""
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
    """Tells whether the file's first thousand Cyrillic words look like Windows-1251.

    They do if all characters occur in Ukrainian or Russian text, and most words are in lower case, or have
    only their first letter in upper case. Text in another encoding doesn't look like this.
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
    """Yields each row's number and cells. Bytes that can't be decoded become U+FFFD, which cells refuse."""
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
            faults.add(None, None, _("binary data"), _("CSV or XLSX"), "parse_error")
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
        faults.add(number, None, None, _("cells whose quotation marks match"), "parse_error")
        raise Unreadable from error
    finally:
        if not file.closed:  # a caller that stopped reading early may have closed it
            text.detach()


def separator(start: str, columns: Collection[str]) -> str:
    """Returns the separator that finds most of the columns in a row, or else most cells in the first row."""

    def fitness(delimiter: str) -> tuple[int, int]:
        rows = list(islice(csv.reader(start.splitlines(), delimiter=delimiter), ABOVE))
        had = max((len(set(columns) & set(names_of(cells))) for cells in rows), default=0)
        return had, next((len(cells) for cells in rows if any(cells)), 0)

    return max("\t;,", key=fitness)


def marks(part: IO[bytes]) -> int:
    """Returns the number of tags and attributes in an XML part of a workbook; 0 for other parts.

    A parser's time grows with their number, and with the square of their length. Raises ValueError for
    comments, declarations and very long texts, which spreadsheet programs don't write.
    """
    count, last = 0, b""
    while chunk := part.read(2**18):
        text = chunk.replace(b"\0", b"")  # UTF-16 has a zero byte with each ASCII character
        if not (last or text.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")):
            break
        if b"<!" in last + text:
            raise ValueError(_("comments or declarations in its XML"))
        if b"<" not in text and len(chunk) == 2**18:
            raise ValueError(_("longer texts in its XML than a cell has"))
        count += text.count(b"<") + text.count(b"/>") + text.count(b"=")
        last = text[-1:]
    return count


def check_size(archive: zipfile.ZipFile, faults: Faults, max_unzipped: int, max_marks: int | None) -> None:
    """Raises Unreadable if the workbook would take long to parse, even if its file is small."""
    unzipped = sum(entry.file_size for entry in archive.infolist())
    if unzipped > max_unzipped:
        found = ngettext("%d byte unpacked", "%d bytes unpacked", unzipped) % unzipped
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
        # openpyxl makes objects of these parts, which takes ten times as long.
        total += count * (10 if entry.filename in ("xl/styles.xml", "[Content_Types].xml") else 1)
    if total > max_marks:
        text = ngettext(
            "%d tag or attribute in its sheets and styles",
            "%d tags and attributes in its sheets and styles",
            total,
        )
        found = text % total
        faults.add(None, None, found, _("at most %d") % max_marks, "too_large")
        raise Unreadable


def holds_data(sheet: Any) -> bool:
    """Tells whether one of the sheet's first 1,000 rows has a value."""
    rows = sheet.iter_rows(max_row=1000, max_col=MAX_COLUMNS, values_only=True)
    return any(cells.count(None) < len(cells) for cells in rows)


def xlsx_lines(
    file: BinaryIO, faults: Faults, max_unzipped: int, max_marks: int | None
) -> Iterator[tuple[int, list[Any]]]:
    """Yields each row's number and cells from the first visible sheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_size(archive, faults, max_unzipped, max_marks)
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        sheet = next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])
        for each in sheets:
            each.reset_dimensions()  # the size that the file states may be wrong
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
    except Exception as error:  # openpyxl raises errors of many types for broken parts of a workbook
        reason = error.__cause__ or error  # its own ValueError says only which part it is
        found = _("a workbook that can't be read (%s)") % reason
        faults.add(None, None, found, _("CSV or XLSX"), "parse_error")
        raise Unreadable from error
