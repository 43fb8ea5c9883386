"""Reading files: the rows of a table, the values of cells, and the faults."""

import codecs
import io
import zipfile
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from credits.book.cells import Amount, Day, Id, Text
from credits.book.files import Fault, Faults, Row, Unreadable, read_rows
from credits.book.money import KOPECK, ZERO
from plans.resources import Month

COLUMNS = ("id", "login")
QUOTES = "cells whose quotation marks match"
TABLE = "CSV or XLSX"
SHEET = "xl/worksheets/sheet1.xml"
ANNA = Row(2, {"id": "1", "login": "anna"})
FIRST = date(2021, 6, 1)
MIDNIGHT = datetime.combine(FIRST, time.min)
NOON = datetime.combine(FIRST, time(12))


def read(content, columns=COLUMNS, **options):
    """Returns the rows of a file without faults."""
    faults = Faults()
    rows = list(read_rows(io.BytesIO(content), columns, faults, **options))
    assert faults.listed == []
    return rows


def read_faulty(content, columns=COLUMNS, limit=100, **options):
    """Returns the rows that were read, whether reading stopped before the end, and the faults."""
    faults, rows = Faults(limit), []
    try:
        rows.extend(read_rows(io.BytesIO(content), columns, faults, **options))
    except Unreadable:
        return rows, True, faults
    return rows, False, faults


def unreadable(content, **options):
    """Returns the faults of a file that can't be read."""
    rows, stopped, faults = read_faulty(content, **options)
    assert (rows, stopped) == ([], True)
    return faults.listed


def workbook(*rows, **more_sheets):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, others in more_sheets.items():
        sheet = book.create_sheet(title)
        for row in others:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def rewritten(content, part, change):
    """Returns the workbook with one part, such as xl/workbook.xml, replaced by what change returns."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return result.getvalue()


@pytest.mark.parametrize("separator", ["\t", ";", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_separator_and_line_ends_are_detected(separator, end):
    content = end.join([f"id{separator}login", f"1{separator}anna", f"2{separator}Богдан", ""])
    assert read(content.encode()) == [ANNA, Row(3, {"id": "2", "login": "Богдан"})]


def test_the_separator_is_the_most_frequent_in_the_header():
    assert read(b"id;login;note, or none\n1;anna;a, b, c\n") == [ANNA]
    assert read(b"id,login,note; or none\n1,anna,a; b; c\n") == [ANNA]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
@pytest.mark.parametrize("told", ["utf-8", "cp1251"])
def test_a_byte_order_mark_overrides_the_given_encoding(mark, encoding, told):
    content = mark + "id\tlogin\n1\tЇжак\n".encode(encoding)
    assert read(content, encoding=told) == [Row(2, {"id": "1", "login": "Їжак"})]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-u", "utf-16-le"])
def test_the_given_encoding_is_used(encoding):
    content = "id\tlogin\n1\tЇжак\n".encode(encoding)
    assert read(content, encoding=encoding) == [Row(2, {"id": "1", "login": "Їжак"})]


def told(content, columns=COLUMNS, **options):
    """Returns the rows of a file without faults, and the remarks about it."""
    faults = Faults()
    rows = list(read_rows(io.BytesIO(content), columns, faults, **options))
    assert faults.listed == []
    return rows, faults.remarks


@pytest.mark.parametrize(
    "login",
    ["їжак", "Їжак «Колючий»", "Об’єкт № 5 – “так”", "Ёлка", "bank ощад", "Ґанок\xa0і поріг", "г"],
)
def test_cp1251_is_detected_and_reported(login):
    content = f"id\tlogin\n1\t{login}\n"
    row = [Row(2, {"id": "1", "login": login})]
    assert told(content.encode("cp1251")) == (row, ["Read as Windows-1251."])
    assert told(content.encode()) == (row, [])


@pytest.mark.parametrize(
    ("login", "encoding"),
    [
        ("їжак", "koi8-u"),
        ("Їжак", "koi8-u"),
        ("їжак", "cp866"),
        ("ЇЖАК", "cp1251"),  # small letters of KOI8-U look like this
        ("знак ±", "cp1251"),  # a character that such texts don't have
        ("café déjà", "latin-1"),
        ("über Öl", "cp1252"),
        ("zażółć gęślą", "cp1250"),
    ],
)
def test_other_encodings_are_not_guessed(login, encoding):
    """Bytes that aren't UTF-8 are read as U+FFFD, which is a fault in any cell."""
    rows, remarks = told(f"id\tlogin\n1\t{login}\n".encode(encoding))
    assert "\ufffd" in rows[0].cells["login"]
    assert remarks == []


def test_one_bad_byte_at_the_end_of_utf8_is_not_cp1251():
    rows, remarks = told(b"id\tlogin\n" + "1\tЇжак\n".encode() * 10_000 + b"2\tx\xd0\n")
    assert (rows[0].cells["login"], rows[-1].cells["login"], remarks) == ("Їжак", "x\ufffd", [])


def test_cp1251_far_into_a_file_is_detected_in_little_memory():
    class Counting(io.BytesIO):
        most = 0

        def read(self, size=-1):
            content = super().read(size)
            self.most = max(self.most, len(content))
            return content

    file = Counting(b"id\tlogin\n" + b"1\tanna\n" * 300_000 + "2\tЇжак\n".encode("cp1251"))
    faults = Faults()
    assert [row.cells["login"] for row in read_rows(file, COLUMNS, faults)][-1] == "Їжак"
    assert faults.remarks == ["Read as Windows-1251."]
    assert file.most <= 2**16


@given(st.lists(st.text("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", min_size=1, max_size=9), min_size=1, max_size=9))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_small_letters_of_ukrainian_are_read_in_both_encodings(words):
    content = "id\tlogin\n" + "".join(f"1\t{word}\n" for word in words)
    with suppress(UnicodeDecodeError):
        content.encode("cp1251").decode("utf-8")
        reject()  # such as "аєє", whose bytes are text in both encodings
    for encoding in ("utf-8", "cp1251"):
        rows, _remarks = told(content.encode(encoding))
        assert [row.cells["login"] for row in rows] == words


@pytest.mark.parametrize("line", ['"sep=;\n', 'sep=;"\n'])
def test_an_unmatched_quote_around_the_separator_is_a_fault(line):
    faults = Faults()
    with pytest.raises(Unreadable):
        list(read_rows(io.BytesIO(f"{line}id;login\n1;anna\n".encode()), ["id", "login"], faults))
    assert [fault.expected for fault in faults.listed] == ["cells whose quotation marks match"]


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n", "\ufeffsep=;\r\n"])
def test_a_first_line_may_name_the_separator(line):
    content = f"{line}id;login;note, or none\n1;anna;a,b,c\n"
    assert told(content.encode()) == ([Row(3, ANNA.cells)], [])


def test_any_character_may_be_the_named_separator():
    assert told(b"sep=|\nid|login\n1|anna\n") == ([Row(3, ANNA.cells)], [])


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_title_may_stand_above_the_header(kind):
    table = [["Users, as of today, all"], ["id", "x"], [""], [" ID ", "Login"], ["1", "anna"]]
    content = workbook(*table) if kind == "xlsx" else "\n".join(map(";".join, table)).encode()
    rows = [Row(5, ANNA.cells)]
    assert told(content) == (rows, ["The header is row 4; the rows above it aren't read."])


def test_a_header_below_too_many_rows_is_not_found():
    title = b"title\n" * 19
    assert told(title + b"id,login\n1,anna\n")[0] == [Row(21, ANNA.cells)]
    assert unreadable(b"title\n" + title + b"id,login\n1,anna\n") == [
        Fault(1, column, "title", "each column once: id, login", "header") for column in COLUMNS
    ]


def test_without_a_complete_header_the_best_row_is_reported():
    assert unreadable(b"Users\n\nId;name\n1;anna\n") == [
        Fault(3, "login", "Id, name", "each column once: id, login", "header")
    ]


def test_faults_name_columns_as_the_file_does():
    faults = Faults()
    rows = read_rows(io.BytesIO(b"ID,Login name,LOGIN\n1,x,anna\n"), COLUMNS, faults)
    for row in rows:
        faults.add(row.number, "login", row.cells["login"], "another")
    assert faults.listed == [Fault(2, "LOGIN", "anna", "another")]


def test_a_quoted_cell_may_hold_separators_quotes_and_line_ends():
    content = b'id,login\n1,"a,\r\n""b""\r\n\r\nc"\n2,anna\n'
    assert read(content) == [
        Row(2, {"id": "1", "login": 'a,\r\n"b"\r\n\r\nc'}),
        Row(6, {"id": "2", "login": "anna"}),
    ]


def test_row_numbers_count_empty_rows_as_editors_do():
    content = b"\n\nid,login\n\n1,anna\n , \n\n2,bohdan\n"
    assert read(content) == [Row(5, {"id": "1", "login": "anna"}), Row(8, {"id": "2", "login": "bohdan"})]


def test_spaces_around_a_cell_are_stripped_but_not_inside():
    assert read("id , login\n 1 ,\u00a0an  na \n".encode()) == [Row(2, {"id": "1", "login": "an  na"})]


def test_missing_cells_of_a_short_row_are_empty():
    assert read(b"id,login\n1\n") == [Row(2, {"id": "1", "login": ""})]


def test_the_header_may_have_any_case_order_and_extra_columns():
    assert read(b"Note,LOGIN,note,Id\nx,anna,y,1\n") == [ANNA]


def test_empty_cells_beyond_the_header_are_ignored():
    assert read(b"id,login,,\n1,anna,,,,\n") == [ANNA]


def test_a_cell_beyond_the_header_is_a_fault_and_reading_goes_on():
    rows, stopped, faults = read_faulty(b"id,login\n1,anna,,x,y\n2,bohdan\n")
    assert rows == [ANNA, Row(3, {"id": "2", "login": "bohdan"})]
    assert not stopped
    assert faults.listed == [Fault(2, None, "x", "no cell to the right of the header's last")]


def test_every_missing_or_repeated_column_is_a_fault():
    assert unreadable(b"\nid,name,ID,sum\n1,anna,1,1\n", columns=("id", "login", "sum")) == [
        Fault(2, "id", "id, name, ID, sum", "each column once: id, login, sum", "header"),
        Fault(2, "login", "id, name, ID, sum", "each column once: id, login, sum", "header"),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", codecs.BOM_UTF8, b" , \n"])
def test_a_file_without_a_cell_has_no_columns(content):
    assert unreadable(content) == [
        Fault(1, "id", "", "each column once: id, login", "header"),
        Fault(1, "login", "", "each column once: id, login", "header"),
    ]


def test_a_header_alone_is_a_file_without_rows():
    assert read(b"id,login\n") == []


@pytest.mark.parametrize(
    "content",
    [b'id,login\n1,anna\n2,"boh\ndan\n3,olena\n', b'id,login\n1,anna\n2,"boh"dan\n3,olena\n'],
    ids=["never closed", "closed too early"],
)
def test_unmatched_quotes_stop_reading_at_the_row_where_they_open(content):
    rows, stopped, faults = read_faulty(content)
    assert (rows, stopped) == ([ANNA], True)
    (fault,) = faults.listed
    assert (fault.row, fault.column, fault.expected) == (3, None, QUOTES)


def test_a_quote_within_a_cell_is_plain_text():
    assert read(b'id,login\n1,an"na\n') == [Row(2, {"id": "1", "login": 'an"na'})]


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\x01" + bytes(100), b"id\tlogin\n1\tan\0na\n"])
def test_binary_data_is_not_a_table(content):
    assert unreadable(content) == [Fault(None, None, "binary data", TABLE, "parse_error")]


def test_an_xls_workbook_is_refused_by_name():
    content = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
    fault = Fault(None, None, "an old .xls or a workbook with a password", TABLE, "parse_error")
    assert unreadable(content) == [fault]


def test_a_workbook_keeps_numbers_and_dates():
    content = workbook(
        ["id", "login", "paid"],
        [1, " anna ", FIRST],
        [2.5, True, MIDNIGHT],
        [None, None, None],
        [3, 0, NOON],
    )
    assert read(content, columns=("id", "login", "paid")) == [
        Row(2, {"id": 1, "login": "anna", "paid": MIDNIGHT}),
        Row(3, {"id": 2.5, "login": True, "paid": MIDNIGHT}),
        Row(5, {"id": 3, "login": 0, "paid": NOON}),
    ]


def test_the_first_visible_sheet_is_read_and_others_are_mentioned():
    users = [["id", "login"], ["1", "anna"]]
    book = openpyxl.load_workbook(io.BytesIO(workbook(["x"], Users=users, Empty=[], Old=[[], [None, 0]])))
    book.worksheets[0].sheet_state = "hidden"
    content = io.BytesIO()
    book.save(content)
    assert told(content.getvalue()) == (
        [ANNA],
        ["Read from the sheet “Users”.", "Other sheets with data aren't read: Sheet, Old."],
    )
    assert told(workbook(*users)) == ([ANNA], [])


def test_a_formula_has_its_stored_value():
    content = rewritten(
        workbook(["id", "login"], ["=1+1", "anna"], ["=1+2", "bohdan"]),
        SHEET,
        lambda xml: xml.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"),
    )
    assert read(content) == [Row(2, {"id": 2, "login": "anna"}), Row(3, {"id": "", "login": "bohdan"})]


def test_a_workbook_with_wrong_dimensions_is_read_completely():
    content = rewritten(
        workbook(["id", "login"], ["1", "anna"]),
        SHEET,
        lambda xml: xml.replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1:A1"'),
    )
    assert b'ref="A1:A1"' in zipfile.ZipFile(io.BytesIO(content)).read(SHEET)
    assert read(content) == [ANNA]


def test_rows_missing_from_a_workbook_still_count():
    book = openpyxl.Workbook()
    for cell, value in {"A3": "id", "B3": "login", "A7": "1", "B7": "anna"}.items():
        book.active[cell] = value
    content = io.BytesIO()
    book.save(content)
    assert read(content.getvalue()) == [Row(7, ANNA.cells)]


def test_a_workbook_that_unpacks_too_large_is_refused_before_parsing():
    """Its sheet is a megabyte that isn't XML, which would be another fault if it were parsed."""
    content = rewritten(workbook(["id", "login"]), SHEET, lambda xml: b"x" * 2**20)
    unpacked = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
    assert len(content) < 20_000
    assert unreadable(content, max_unzipped=unpacked - 1) == [
        Fault(None, None, f"{unpacked} bytes unpacked", f"at most {unpacked - 1}", "too_large")
    ]
    (fault,) = unreadable(content, max_unzipped=unpacked)
    assert fault.found.startswith("a workbook that can't be read")


def test_a_workbook_cannot_unpack_more_than_its_declared_size():
    content = workbook(["id", "login"], *([number, "x" * 50] for number in range(500)))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        told = archive.getinfo(SHEET).file_size
    small = content.replace(told.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert small != content
    (fault,) = unreadable(small, max_unzipped=10_000_000)
    assert fault.found.startswith("a workbook that can't be read")


@pytest.mark.parametrize(
    "content",
    [
        workbook(["id", "login"])[:-100],
        rewritten(workbook(["id", "login"]), SHEET, lambda xml: xml[:-40]),
        rewritten(workbook(["id", "login"]), "xl/workbook.xml", lambda xml: b""),
        b"PK\x03\x04" + bytes(100),
    ],
    ids=["cut off", "half a sheet", "no book", "no archive"],
)
def test_a_broken_workbook_is_a_fault_of_the_file(content):
    rows, stopped, faults = read_faulty(content)
    (fault,) = faults.listed
    assert (rows, stopped) == ([], True)
    assert (fault.row, fault.column, fault.expected) == (None, None, TABLE)
    assert fault.found.startswith("a workbook that can't be read (")


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (b"<row/>" * 5000, "tags and attributes"),
        (b'<row r="3">' + b"<c></c>" * 5000 + b"</row>", "tags and attributes"),
        (b'<row r="3"><c ' + b" ".join(b'a%d=""' % n for n in range(10_000)) + b"/></row>", "tags and attr"),
        (b"<!--" + b"x" * 10 + b"-->", "comments or declarations"),
        (b'<row r="3"><c a="' + b"x" * 600_000 + b'"/></row>', "longer texts"),
    ],
    ids=["rows", "cells", "attributes", "comment", "long attribute"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_workbook_that_parses_too_slowly_is_refused_before_parsing(monkeypatch, more, found, encoding):
    content = rewritten(
        workbook(["id", "login"], ["1", "anna"]),
        SHEET,
        lambda xml: xml.replace(b"</sheetData>", more + b"</sheetData>").decode().encode(encoding),
    )
    monkeypatch.setattr("credits.book.files.load_workbook", None)
    (fault,) = unreadable(content, max_marks=10_000)
    assert found in fault.found
    assert (fault.row, fault.column) == (None, None)


def test_styles_count_more_than_cells_because_they_parse_slower():
    content = rewritten(
        workbook(["id", "login"]),
        "xl/styles.xml",
        lambda xml: xml.replace(b"</fonts>", b"<font/>" * 500 + b"</fonts>"),
    )
    (fault,) = unreadable(content, max_marks=10_000)
    assert fault.expected == "at most 10000"


def test_pictures_in_a_workbook_do_not_count():
    content = io.BytesIO(workbook(["id", "login"], ["1", "anna"]))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("xl/media/image1.png", b"\x89PNG" + b"<!=" * 100_000)
    assert read(content.getvalue(), max_marks=10_000) == [ANNA]


def test_another_zip_archive_is_a_fault_of_the_file():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("users.csv", "id,login\n1,anna\n")
    (fault,) = unreadable(content.getvalue())
    assert fault.found.startswith("a workbook that can't be read (")


def test_entities_of_a_workbook_are_never_expanded():
    """A billion laughs: ten entities, each of which repeats the one before ten times."""
    assert openpyxl.DEFUSEDXML
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    declaration = f'<!DOCTYPE worksheet [<!ENTITY l0 "ha">{laughs}]>'.encode()
    content = rewritten(
        workbook(["id", "login"], ["1", "anna"]),
        SHEET,
        lambda xml: declaration + xml.replace(b"<t>anna</t>", b"<t>&l9;</t>"),
    )
    (fault,) = unreadable(content)
    assert fault.found.startswith("a workbook that can't be read (EntitiesForbidden")


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_reading_stops_after_the_maximum_number_of_rows(kind):
    table = [["id", "login"], ["1", "anna"], ["2", "bohdan"], ["3", "olena"]]
    content = workbook(*table) if kind == "xlsx" else "\n".join(map(",".join, table)).encode()
    assert len(read(content, max_rows=3)) == 3
    rows, stopped, faults = read_faulty(content, max_rows=2)
    assert (rows, stopped) == ([ANNA, Row(3, {"id": "2", "login": "bohdan"})], True)
    assert faults.listed == [Fault(4, None, "more rows", "at most 2 rows under the header", "too_large")]


def test_faults_beyond_the_limit_are_only_counted():
    content = b"id,login\n" + b"1,anna,x\n" * 5
    _, _, faults = read_faulty(content, limit=3)
    assert ([fault.row for fault in faults.listed], faults.count) == ([2, 3, 4], 5)


def test_without_a_limit_every_fault_is_listed():
    _, _, faults = read_faulty(b"id,login\n" + b"1,anna,x\n" * 500, limit=None)
    assert (len(faults.listed), faults.count) == (500, 500)


def test_faults_are_sorted_by_row_after_those_of_the_whole_file():
    faults = Faults()
    assert not faults
    for row in (3, None, 2):
        faults.add(row, "id", None, "a number")
    assert faults
    assert [fault.row for fault in faults.in_order()] == [None, 2, 3]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ((2, "id", "x", "a number"), "row 2, column id, found 'x', expected a number"),
        ((2, None, "x", "no cell"), "row 2, found 'x', expected no cell"),
        ((None, "id", None, "a row with the id 1"), "column id, expected a row with the id 1"),
        ((None, None, "binary data", "CSV"), "found 'binary data', expected CSV"),
        ((2, "id", "", "a number"), "row 2, column id, found '', expected a number"),
        ((2, "d", MIDNIGHT, "x"), "row 2, column d, found '2021-06-01', expected x"),
        ((2, "d", NOON, "x"), "row 2, column d, found '2021-06-01 12:00:00', expected x"),
        ((2, "d", 1.5, "x"), "row 2, column d, found '1.5', expected x"),
        ((2, "d", "y" * 100, "x"), f"row 2, column d, found '{'y' * 100}', expected x"),
        ((2, "d", "y" * 101, "x"), f"row 2, column d, found '{'y' * 99}…', expected x"),
    ],
)
def test_a_fault_names_its_place_the_value_and_what_was_expected(fault, text):
    faults = Faults()
    faults.add(*fault)
    assert [str(listed) for listed in faults.listed] == [text]


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1000", "1000"),
        ("1000.5", "1000.50"),
        ("1000,05", "1000.05"),
        ("1 234 567,89", "1234567.89"),
        ("1\u00a0234\u00a0567.89", "1234567.89"),
        ("12\u202f345", "12345"),
        ("0", "0"),
        ("0.00", "0"),
        ("999999999999.99", "999999999999.99"),
        (1000, "1000"),
        (0.1 + 0.2, "0.30"),
        (1059206.68, "1059206.68"),
        (999999999999.99, "999999999999.99"),
    ],
)
def test_an_amount_is_exact(cell, amount):
    assert Amount(ZERO).clean(cell) == Decimal(amount)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "-1",
        -0.01,
        "1.005",
        1.005,
        "1,000",
        "1,000.50",
        "1.000,50",
        "12 34",
        "1 2345",
        "1  000",
        "1e3",
        "+1",
        ".5",
        "1.",
        "1000 UAH",
        "١٠٠",
        "NaN",
        "Infinity",
        float("nan"),
        float("inf"),
        1e15,
        "1000000000000",
        True,
        FIRST,
        "#REF!",
    ],
)
def test_an_invalid_amount_is_a_fault(cell):
    with pytest.raises(ValueError, match=r"an amount of 0\.00 or more, at most 12 digits and 2 decimals"):
        Amount(ZERO).clean(cell)


def test_a_payment_is_at_least_a_kopeck():
    assert Amount(KOPECK).clean("0,01") == Decimal("0.01")
    with pytest.raises(ValueError, match=r"an amount of 0\.01 or more"):
        Amount(KOPECK).clean("0.00")


@pytest.mark.parametrize(
    "cell",
    [
        "01.06.2021",
        "1.6.2021",
        "1.06.2021",
        "2021-06-01",
        "2021-06-01 00:00:00",
        "2021-06-01T00:00",
        "01.06.2021 00:00:00",
        FIRST,
        MIDNIGHT,
    ],
)
def test_a_day_has_two_text_formats_and_is_a_date_in_a_workbook(cell):
    assert Day().clean(cell) == FIRST
    assert Month().clean(cell) == FIRST


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "001.6.2021",
        "2021-6-1",
        "1/6/2021",
        "01/06/2021",
        "06.2021",
        "2021-06",
        "20210601",
        "2021-06-01 12:00:00",
        "2021-06-01 00:00:01",
        "2021-06-01 ",
        "01.06.21",
        "1.6.21",
        "٠١.٠٦.٢٠٢١",
        "31.06.2021",
        "29.02.2021",
        "2021-13-01",
        "31.12.1899",
        "01.01.3000",
        NOON,
        time(0),
        44348,
    ],
)
def test_a_day_in_another_format_is_a_fault(cell):
    with pytest.raises(ValueError, match=r"a date, dd\.mm\.yyyy or yyyy-mm-dd, from 1900 to 2999"):
        Day().clean(cell)


def test_an_empty_optional_day_is_none():
    assert Day(required=False).clean("") is None


@pytest.mark.parametrize("cell", ["02.06.2021", "2021-06-30", date(2021, 6, 15)])
def test_a_month_is_given_by_its_first_day(cell):
    with pytest.raises(ValueError, match="the first day of a month"):
        Month().clean(cell)


@pytest.mark.parametrize(
    ("cell", "number"), [("1", 1), ("007", 7), (7, 7), (7.0, 7), ("9223372036854775807", 2**63 - 1)]
)
def test_an_id_is_a_whole_number(cell, number):
    assert Id().clean(cell) == number


@pytest.mark.parametrize(
    "cell", ["", "0", "-1", "1.0", "1 000", "x", "²", 0, 1.5, True, FIRST, "9223372036854775808", "9" * 5000]
)
def test_an_id_in_another_format_is_a_fault(cell):
    with pytest.raises(ValueError, match="a whole number from 1"):
        Id().clean(cell)


@pytest.mark.parametrize("cell", ["anna", "Їжак 'колючий'", "x" * 150, "漢字", "a=b"])
def test_text_is_kept_unchanged(cell):
    assert Text(max_length=150).clean(cell) == cell


@pytest.mark.parametrize("cell", ["", "x" * 151, "\ufffd", "an\0na", "an\nna", "an\u202ena"])
def test_invalid_text_is_a_fault(cell):
    with pytest.raises(ValueError, match="1 to 150 characters in UTF-8 or the chosen encoding"):
        Text(max_length=150).clean(cell)
