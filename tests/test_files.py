"""Reading files: which rows come out of a table, which values out of a cell, and which faults."""

import codecs
import io
import zipfile
from datetime import date, datetime, time
from decimal import Decimal

import openpyxl
import pytest

from credits.files import Fault, Faults, Row, Unreadable, read_rows
from credits.money import KOPECK, ZERO
from credits.resources import Amount, Day, Id, Text
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
    """The rows of a file without faults."""
    faults = Faults()
    rows = list(read_rows(io.BytesIO(content), columns, faults, **options))
    assert faults.listed == []
    return rows


def read_faulty(content, columns=COLUMNS, limit=100, **options):
    """The rows up to where reading stopped, whether it stopped before the end, and the faults."""
    faults, rows = Faults(limit), []
    try:
        rows.extend(read_rows(io.BytesIO(content), columns, faults, **options))
    except Unreadable:
        return rows, True, faults
    return rows, False, faults


def unreadable(content, **options):
    """The faults of a file that has no rows to read."""
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
    """The workbook with one of its parts, such as xl/workbook.xml, changed; change returns bytes."""
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
def test_the_separator_and_the_line_ends_are_told_by_content(separator, end):
    content = end.join([f"id{separator}login", f"1{separator}anna", f"2{separator}Богдан", ""])
    assert read(content.encode()) == [ANNA, Row(3, {"id": "2", "login": "Богдан"})]


def test_the_separator_is_the_one_that_the_header_has_most_of():
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
def test_unicode_is_told_by_its_mark_whatever_encoding_is_asked_for(mark, encoding, told):
    content = mark + "id\tlogin\n1\tЇжак\n".encode(encoding)
    assert read(content, encoding=told) == [Row(2, {"id": "1", "login": "Їжак"})]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-u", "utf-16-le"])
def test_another_encoding_is_read_when_it_is_asked_for(encoding):
    content = "id\tlogin\n1\tЇжак\n".encode(encoding)
    assert read(content, encoding=encoding) == [Row(2, {"id": "1", "login": "Їжак"})]


def test_cp1251_that_nobody_asked_for_is_not_guessed():
    """Each letter comes out as U+FFFD, which no cell may hold."""
    (row,) = read("id\tlogin\n1\tЇжак\n".encode("cp1251"))
    assert row == Row(2, {"id": "1", "login": "\ufffd" * 4})


def test_a_cell_in_quotes_may_hold_separators_quotes_and_line_ends():
    content = b'id,login\n1,"a,\r\n""b""\r\n\r\nc"\n2,anna\n'
    assert read(content) == [
        Row(2, {"id": "1", "login": 'a,\r\n"b"\r\n\r\nc'}),
        Row(6, {"id": "2", "login": "anna"}),
    ]


def test_rows_are_numbered_as_an_editor_counts_empty_ones_too():
    content = b"\n\nid,login\n\n1,anna\n , \n\n2,bohdan\n"
    assert read(content) == [Row(5, {"id": "1", "login": "anna"}), Row(8, {"id": "2", "login": "bohdan"})]


def test_spaces_around_a_cell_do_not_count_those_within_do():
    assert read("id , login\n 1 ,\u00a0an  na \n".encode()) == [Row(2, {"id": "1", "login": "an  na"})]


def test_a_short_row_ends_in_empty_cells():
    assert read(b"id,login\n1\n") == [Row(2, {"id": "1", "login": ""})]


def test_the_header_may_be_in_any_case_and_order_with_columns_nobody_asked_for():
    assert read(b"Note,LOGIN,note,Id\nx,anna,y,1\n") == [ANNA]


def test_empty_cells_to_the_right_of_the_header_are_no_fault():
    assert read(b"id,login,,\n1,anna,,,,\n") == [ANNA]


def test_a_cell_to_the_right_of_the_header_is_a_fault_and_reading_goes_on():
    rows, stopped, faults = read_faulty(b"id,login\n1,anna,,x,y\n2,bohdan\n")
    assert rows == [ANNA, Row(3, {"id": "2", "login": "bohdan"})]
    assert not stopped
    assert faults.listed == [Fault(2, None, "x", "no cell to the right of the header's last")]


def test_every_column_that_is_missing_or_there_twice_is_a_fault():
    assert unreadable(b"\nid,name,ID,sum\n1,anna,1,1\n", columns=("id", "login", "sum")) == [
        Fault(2, "id", "id, name, id, sum", "each column once: id, login, sum"),
        Fault(2, "login", "id, name, id, sum", "each column once: id, login, sum"),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", codecs.BOM_UTF8, b" , \n"])
def test_a_file_without_a_cell_has_no_columns(content):
    assert unreadable(content) == [
        Fault(1, "id", "", "each column once: id, login"),
        Fault(1, "login", "", "each column once: id, login"),
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


def test_a_quote_within_a_cell_is_a_letter():
    assert read(b'id,login\n1,an"na\n') == [Row(2, {"id": "1", "login": 'an"na'})]


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\x01" + bytes(100), b"id\tlogin\n1\tan\0na\n"])
def test_binary_data_is_no_table(content):
    assert unreadable(content) == [Fault(None, None, "binary data", TABLE)]


def test_an_old_workbook_is_refused_by_its_name():
    content = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
    assert unreadable(content) == [Fault(None, None, "an old .xls or a workbook with a password", TABLE)]


def test_a_workbook_gives_numbers_and_dates_as_they_are():
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


def test_the_first_visible_sheet_is_read_and_named():
    book = openpyxl.load_workbook(
        io.BytesIO(workbook(["id", "login"], Users=[["id", "login"], ["1", "anna"]]))
    )
    book.worksheets[0].sheet_state = "hidden"
    content = io.BytesIO()
    book.save(content)
    faults = Faults()
    content.seek(0)
    assert list(read_rows(content, COLUMNS, faults)) == [ANNA]
    assert faults.remarks == ["Read from the sheet “Users”."]


def test_a_formula_is_worth_what_the_workbook_keeps_of_it():
    content = rewritten(
        workbook(["id", "login"], ["=1+1", "anna"], ["=1+2", "bohdan"]),
        SHEET,
        lambda xml: xml.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"),
    )
    assert read(content) == [Row(2, {"id": 2, "login": "anna"}), Row(3, {"id": "", "login": "bohdan"})]


def test_a_workbook_that_lies_about_its_size_is_read_whole():
    content = rewritten(
        workbook(["id", "login"], ["1", "anna"]),
        SHEET,
        lambda xml: xml.replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1:A1"'),
    )
    assert b'ref="A1:A1"' in zipfile.ZipFile(io.BytesIO(content)).read(SHEET)
    assert read(content) == [ANNA]


def test_rows_that_a_workbook_leaves_out_are_counted():
    book = openpyxl.Workbook()
    for cell, value in {"A3": "id", "B3": "login", "A7": "1", "B7": "anna"}.items():
        book.active[cell] = value
    content = io.BytesIO()
    book.save(content)
    assert read(content.getvalue()) == [Row(7, ANNA.cells)]


def test_a_workbook_too_large_when_unpacked_is_refused_before_it_is_opened():
    """Its sheet is a megabyte of no XML at all, which would be another fault if it were parsed."""
    content = rewritten(workbook(["id", "login"]), SHEET, lambda xml: b"x" * 2**20)
    unpacked = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
    assert len(content) < 20_000
    assert unreadable(content, max_unzipped=unpacked - 1) == [
        Fault(None, None, f"{unpacked} bytes unpacked", f"at most {unpacked - 1}")
    ]
    (fault,) = unreadable(content, max_unzipped=unpacked)
    assert fault.found.startswith("a workbook that can't be read")


def test_a_workbook_that_lies_about_its_size_unpacked_gets_no_more_than_it_told():
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


def test_any_other_archive_is_a_fault_of_the_file():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("users.csv", "id,login\n1,anna\n")
    (fault,) = unreadable(content.getvalue())
    assert fault.found.startswith("a workbook that can't be read (")


def test_entities_of_a_workbook_are_never_expanded():
    """A billion laughs: ten entities, each ten of the one before."""
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
def test_rows_beyond_the_most_allowed_stop_reading(kind):
    table = [["id", "login"], ["1", "anna"], ["2", "bohdan"], ["3", "olena"]]
    content = workbook(*table) if kind == "xlsx" else "\n".join(map(",".join, table)).encode()
    assert len(read(content, max_rows=4)) == 3
    rows, stopped, faults = read_faulty(content, max_rows=3)
    assert (rows, stopped) == ([ANNA, Row(3, {"id": "2", "login": "bohdan"})], True)
    assert faults.listed == [Fault(4, None, "more rows", "at most 3 rows")]


def test_faults_beyond_the_limit_are_counted_alone():
    content = b"id,login\n" + b"1,anna,x\n" * 5
    _, _, faults = read_faulty(content, limit=3)
    assert ([fault.row for fault in faults.listed], faults.count) == ([2, 3, 4], 5)


def test_without_a_limit_every_fault_is_listed():
    _, _, faults = read_faulty(b"id,login\n" + b"1,anna,x\n" * 500, limit=None)
    assert (len(faults.listed), faults.count) == (500, 500)


def test_faults_are_told_from_top_to_bottom_those_of_the_whole_file_first():
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
def test_a_fault_tells_where_it_is_what_was_found_and_what_was_expected(fault, text):
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
def test_an_amount_that_is_doubtful_is_a_fault(cell):
    with pytest.raises(ValueError, match=r"an amount of 0\.00 or more, at most 12 digits and 2 decimals"):
        Amount(ZERO).clean(cell)


def test_a_payment_is_a_kopeck_at_least():
    assert Amount(KOPECK).clean("0,01") == Decimal("0.01")
    with pytest.raises(ValueError, match=r"an amount of 0\.01 or more"):
        Amount(KOPECK).clean("0.00")


@pytest.mark.parametrize("cell", ["01.06.2021", "2021-06-01", FIRST, MIDNIGHT])
def test_a_day_has_two_forms_in_text_and_is_a_date_in_a_workbook(cell):
    assert Day().clean(cell) == FIRST
    assert Month().clean(cell) == FIRST


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "1.6.2021",
        "01/06/2021",
        "06.2021",
        "2021-06",
        "20210601",
        "2021-06-01 00:00",
        "01.06.21",
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
def test_a_day_in_another_form_is_a_fault(cell):
    with pytest.raises(ValueError, match=r"a date, dd\.mm\.yyyy or yyyy-mm-dd, from 1900 to 2999"):
        Day().clean(cell)


def test_a_day_that_may_be_left_out_is_none():
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
def test_an_id_in_another_form_is_a_fault(cell):
    with pytest.raises(ValueError, match="a whole number from 1"):
        Id().clean(cell)


@pytest.mark.parametrize("cell", ["anna", "Їжак 'колючий'", "x" * 150, "漢字", "a=b"])
def test_text_is_taken_as_it_is(cell):
    assert Text(max_length=150).clean(cell) == cell


@pytest.mark.parametrize("cell", ["", "x" * 151, "\ufffd", "an\0na", "an\nna", "an\u202ena"])
def test_text_that_cannot_be_shown_is_a_fault(cell):
    with pytest.raises(ValueError, match="1 to 150 characters in UTF-8, or in the encoding told"):
        Text(max_length=150).clean(cell)
