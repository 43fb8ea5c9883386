"""POST /plans_insert: a file of new plans is stored completely, or refused with every fault."""

import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, OperationalError, connection, connections
from openpyxl import Workbook
from rest_framework.test import APIClient

from credits.models import Dictionary
from fintrack.access import EDITOR
from plans.models import Plan

from . import builders

pytestmark = pytest.mark.django_db

HEADER = ["month", "category_name", "sum"]
FIRST = date(2021, 1, 1)
A_FILE = "one CSV or XLSX file, at most 2 MB"
A_MONTH = "the first day of a month, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999"
A_CATEGORY = "видача, issuance, збір or collection"
AN_AMOUNT = "an amount of 0.00 or more, at most 12 digits and 2 decimals"
NO_PLAN_YET = "a month that has no plan yet for this category"
NO_EARLIER_ROW = "a month and category that no earlier row has"


def csv(*lines: str) -> bytes:
    return "\n".join(["month,category_name,sum", *lines]).encode()


def xlsx(*rows: list[Any], header: list[str] = HEADER) -> bytes:
    book, file = Workbook(), io.BytesIO()
    for row in [header, *rows]:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def upload(client, content, name="plans.csv", address="/plans_insert", **fields):
    fields["file"] = SimpleUploadedFile(name, content)
    return client.post(address, fields, format="multipart")


def stored():
    """Returns {(month, category): sum}."""
    return {(plan.period, plan.category_id): plan.sum for plan in Plan.objects.all()}


def inserted(response):
    """Checks a successful response, and returns the number of inserted plans."""
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    answer = response.json()
    assert answer == {"message": "Plans inserted successfully", "inserted": answer["inserted"]}
    return answer["inserted"]


def faults(response, detail="The file has faults; nothing was stored."):
    """Returns the faults of a refused file as (row, column, found, expected)."""
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    problem = response.json()
    errors = problem.pop("errors")
    assert problem == {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}
    assert {tuple(error) for error in errors} == {("row", "column", "found", "expected", "code")}
    return [tuple(error.values())[:4] for error in errors]


def wrong_parameters(response):
    """Returns (parameter, found, expected) of the faults of a request without a readable file."""
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    problem = response.json()
    errors = problem.pop("errors")
    assert problem == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Check the parameters.",
    }
    assert {tuple(error) for error in errors} == {("parameter", "found", "expected", "code")}
    return [tuple(error.values())[:3] for error in errors]


class TestTaken:
    @pytest.mark.parametrize("address", ["/plans_insert", "/api/v1/plans_insert"])
    def test_the_example_of_the_readme_works(self, editor, address):
        response = upload(editor, b"month,category_name,sum\n2021-01-01,Issuance,10000\n", address=address)
        assert inserted(response) == 1
        assert stored() == {(FIRST, Dictionary.ISSUANCE): Decimal(10000)}

    def test_every_row_is_stored_as_a_plan(self, editor):
        content = csv(
            "2021-01-01,видача,25000", "2021-01-01,збір,6000.5", "2021-02-01,видача,0.01", "2021-02-01,збір,0"
        )
        assert inserted(upload(editor, content)) == 4
        assert stored() == {
            (FIRST, Dictionary.ISSUANCE): Decimal(25000),
            (FIRST, Dictionary.COLLECTION): Decimal("6000.50"),
            (date(2021, 2, 1), Dictionary.ISSUANCE): Decimal("0.01"),
            (date(2021, 2, 1), Dictionary.COLLECTION): Decimal(0),
        }

    @pytest.mark.parametrize("separator", ["\t", ";", ","])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_csv_of_every_form_is_accepted(self, editor, separator, encoding, end):
        lines = [HEADER, ["01.02.2021", "видача", '"1 234,50"'], ["2021-03-01", " збір ", "7.5"]]
        content = "".join(separator.join(line) + end for line in lines).encode(encoding)
        assert inserted(upload(editor, content)) == 2
        assert stored() == {
            (date(2021, 2, 1), Dictionary.ISSUANCE): Decimal("1234.50"),
            (date(2021, 3, 1), Dictionary.COLLECTION): Decimal("7.50"),
        }

    def test_columns_may_have_any_order_and_case_and_others_are_ignored(self, editor):
        content = "note,SUM,Category_Name,MONTH\nfirst,5,видача,2021-01-01\n,6,збір,2021-01-01".encode()
        assert inserted(upload(editor, content)) == 2
        assert stored() == {
            (FIRST, Dictionary.ISSUANCE): Decimal(5),
            (FIRST, Dictionary.COLLECTION): Decimal(6),
        }

    def test_a_workbook_with_dates_and_numbers_is_accepted(self, editor):
        content = xlsx(
            [date(2021, 1, 1), "видача", 25000],
            [datetime(2021, 2, 1), "збір", 0.1 + 0.2],  # noqa: DTZ001
            ["2021-03-01", "Issuance", "1 234,50"],
            [None, None, None],
            ["01.04.2021", "Collection", 999999999999.99],
        )
        assert inserted(upload(editor, content, "plans.xlsx")) == 4
        assert stored() == {
            (FIRST, Dictionary.ISSUANCE): Decimal(25000),
            (date(2021, 2, 1), Dictionary.COLLECTION): Decimal("0.30"),
            (date(2021, 3, 1), Dictionary.ISSUANCE): Decimal("1234.50"),
            (date(2021, 4, 1), Dictionary.COLLECTION): Decimal("999999999999.99"),
        }

    @pytest.mark.parametrize(
        ("name", "category"),
        [
            ("видача", Dictionary.ISSUANCE),
            ("ВИДАЧА", Dictionary.ISSUANCE),
            ("issuance", Dictionary.ISSUANCE),
            ("Issuance", Dictionary.ISSUANCE),
            ("збір", Dictionary.COLLECTION),
            ("Збір", Dictionary.COLLECTION),
            ("collection", Dictionary.COLLECTION),
            ("COLLECTION", Dictionary.COLLECTION),
        ],
    )
    def test_a_category_has_any_of_its_names_in_any_case(self, editor, name, category):
        assert inserted(upload(editor, csv(f"2021-01-01,{name},1"))) == 1
        assert stored() == {(FIRST, category): Decimal(1)}

    @pytest.mark.parametrize("name", ["Große Ausgabe", "GROSSE AUSGABE", "видача", "Issuance"])
    def test_a_renamed_category_keeps_its_old_names(self, editor, name):
        Dictionary.objects.filter(pk=Dictionary.ISSUANCE).update(name="große Ausgabe")
        assert inserted(upload(editor, csv(f"2021-01-01,{name},1"))) == 1
        assert stored() == {(FIRST, Dictionary.ISSUANCE): Decimal(1)}

    @pytest.mark.parametrize("name", ["plans.xlsx", "plans.csv", "plans", "plans.exe", "план.csv"])
    @pytest.mark.parametrize(
        "content",
        [csv("2021-01-01,видача,1"), xlsx([FIRST, "видача", 1])],
        ids=["text", "workbook"],
    )
    def test_the_format_is_detected_by_content_not_name(self, editor, name, content):
        assert inserted(upload(editor, content, name)) == 1

    @pytest.mark.parametrize("kind", ["application/json", "image/png", "application/vnd.ms-excel"])
    def test_the_content_type_of_the_part_is_ignored(self, editor, kind):
        file = SimpleUploadedFile("plans.csv", csv("2021-01-01,видача,1"), kind)
        assert inserted(editor.post("/plans_insert", {"file": file}, format="multipart")) == 1

    def test_plans_of_other_months_and_categories_stay(self, editor):
        builders.plan("2021-01", Dictionary.COLLECTION, 7)
        builders.plan("2021-02", Dictionary.ISSUANCE, 7)
        assert inserted(upload(editor, csv("2021-01-01,видача,1"))) == 1
        assert len(stored()) == 3

    def test_the_maximum_number_of_rows_is_accepted(self, editor):
        months = [f"{year}-{month:02}-01" for year in range(2000, 2417) for month in range(1, 13)]
        lines = [f"{month},{name},1" for month in months for name in ("видача", "збір")]
        assert inserted(upload(editor, csv(*lines[:9999]))) == 9999  # 10,000 with the header

    def test_a_file_of_the_maximum_size_is_accepted(self, editor):
        content = csv("2021-01-01,видача,1")
        content += (b"\n" + b" " * 99_999) * 20
        assert inserted(upload(editor, content + b"\n" * (2 * 2**20 - len(content)))) == 1

    def test_the_number_of_queries_does_not_grow_with_the_rows(self, editor, django_assert_max_num_queries):
        lines = [f"{year}-01-01,видача,1" for year in range(2000, 2400)]
        with django_assert_max_num_queries(20):
            assert inserted(upload(editor, csv(*lines))) == 400


class TestRefused:
    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("2021-01-02,видача,1", (2, "month", "2021-01-02", A_MONTH)),
            ("31.01.2021,видача,1", (2, "month", "31.01.2021", A_MONTH)),
            ("2021-13-01,видача,1", (2, "month", "2021-13-01", A_MONTH)),
            ("01/02/2021,видача,1", (2, "month", "01/02/2021", A_MONTH)),
            ("1899-12-01,видача,1", (2, "month", "1899-12-01", A_MONTH)),
            ("3000-01-01,видача,1", (2, "month", "3000-01-01", A_MONTH)),
            ("2021-01,видача,1", (2, "month", "2021-01", A_MONTH)),
            (",видача,1", (2, "month", "", A_MONTH)),
            ("2021-01-01,тіло,1", (2, "category_name", "тіло", A_CATEGORY)),
            ("2021-01-01,3,1", (2, "category_name", "3", A_CATEGORY)),
            ("2021-01-01,,1", (2, "category_name", "", A_CATEGORY)),
            ("2021-01-01,видача,", (2, "sum", "", AN_AMOUNT)),
            ("2021-01-01,видача", (2, "sum", "", AN_AMOUNT)),
            ("2021-01-01,видача,-0.01", (2, "sum", "-0.01", AN_AMOUNT)),
            ("2021-01-01,видача,0.001", (2, "sum", "0.001", AN_AMOUNT)),
            ("2021-01-01,видача,1000000000000", (2, "sum", "1000000000000", AN_AMOUNT)),
            ("2021-01-01,видача,1e3", (2, "sum", "1e3", AN_AMOUNT)),
            ("2021-01-01,видача,NaN", (2, "sum", "NaN", AN_AMOUNT)),
            ("2021-01-01,видача,1 00", (2, "sum", "1 00", AN_AMOUNT)),
            ("2021-01-01,видача,1,5", (2, None, "5", "no cell to the right of the header's last")),
            (f"2021-01-01,{'x' * 200},1", (2, "category_name", "x" * 99 + "…", A_CATEGORY)),
            (
                '2021-01-01,"видача,1',
                (2, None, None, "cells whose quotation marks match"),
            ),
        ],
    )
    def test_a_wrong_row_is_a_fault(self, editor, line, fault):
        assert faults(upload(editor, csv(line))) == [fault]
        assert stored() == {}

    @pytest.mark.parametrize(
        ("cells", "fault"),
        [
            ([date(2021, 1, 15), "видача", 1], (2, "month", "2021-01-15", A_MONTH)),
            ([datetime.combine(FIRST, time(1)), "видача", 1], (2, "month", "2021-01-01 01:00:00", A_MONTH)),
            ([44197, "видача", 1], (2, "month", "44197", A_MONTH)),
            ([FIRST, "видача", None], (2, "sum", "", AN_AMOUNT)),
            ([FIRST, "видача", True], (2, "sum", "True", AN_AMOUNT)),
            ([FIRST, "видача", "=1+1"], (2, "sum", "", AN_AMOUNT)),
            ([FIRST, "видача", -1], (2, "sum", "-1", AN_AMOUNT)),
            ([FIRST, "видача", 0.001], (2, "sum", "0.001", AN_AMOUNT)),
            ([FIRST, "видача", FIRST], (2, "sum", "2021-01-01", AN_AMOUNT)),
            ([FIRST, None, 1], (2, "category_name", "", A_CATEGORY)),
        ],
    )
    def test_a_wrong_row_of_a_workbook_is_a_fault(self, editor, cells, fault):
        assert faults(upload(editor, xlsx(cells), "plans.xlsx")) == [fault]
        assert stored() == {}

    def test_all_faults_are_listed_with_their_places(self, editor):
        builders.plan("2021-01", Dictionary.COLLECTION, 7)
        content = csv(
            "2021-01-01,видача,1",  # correct, but not stored either
            "2021-01-15,loan,",
            "",
            "2021-01-01,Collection,5",
            "2021-02-01,збір,5",
            "01.02.2021,collection,x",
            "01.02.2021,collection,6",
        )
        assert faults(upload(editor, content)) == [
            (3, "month", "2021-01-15", A_MONTH),
            (3, "category_name", "loan", A_CATEGORY),
            (3, "sum", "", AN_AMOUNT),
            (5, "month", "2021-01-01", NO_PLAN_YET),
            (7, "sum", "x", AN_AMOUNT),
            (7, "month", "01.02.2021", NO_EARLIER_ROW),
            (8, "month", "01.02.2021", NO_EARLIER_ROW),
        ]
        assert stored() == {(FIRST, Dictionary.COLLECTION): Decimal(7)}

    def test_very_many_faults_are_all_listed(self, editor):
        found = faults(upload(editor, csv(*["2021-01-02,видача,1"] * 3000)))
        assert found == [(row, "month", "2021-01-02", A_MONTH) for row in range(2, 3002)]

    def test_row_numbers_of_workbooks_match_the_editor(self, editor):
        content = xlsx([FIRST, "видача", 1], [None], [None], [FIRST, "збір", "?"])
        assert faults(upload(editor, content)) == [(5, "sum", "?", AN_AMOUNT)]

    def test_row_numbers_of_csv_count_lines_within_cells(self, editor):
        content = (
            b'month,category_name,sum,note\n2021-01-01,Issuance,1,"two\nlines"\n2021-02-01,Issuance,?,\n'
        )
        assert faults(upload(editor, content)) == [(4, "sum", "?", AN_AMOUNT)]

    def test_duplicates_under_different_category_names_are_faults(self, editor):
        content = csv("2021-01-01,видача,1", "2021-01-01,збір,1", "01.01.2021,ISSUANCE,1")
        assert faults(upload(editor, content)) == [(4, "month", "01.01.2021", NO_EARLIER_ROW)]
        assert stored() == {}

    def test_duplicates_far_apart_are_faults(self, editor):
        lines = [f"{year}-{month:02}-01,видача,1" for year in range(2000, 2250) for month in range(1, 13)]
        assert faults(upload(editor, csv(*lines, lines[0]))) == [
            (3002, "month", "2000-01-01", NO_EARLIER_ROW)
        ]
        assert stored() == {}

    def test_the_same_file_is_refused_the_second_time(self, editor):
        content = csv("2021-01-01,видача,1", "2021-01-01,збір,2")
        upload(editor, content)
        assert faults(upload(editor, content)) == [
            (2, "month", "2021-01-01", NO_PLAN_YET),
            (3, "month", "2021-01-01", NO_PLAN_YET),
        ]
        assert len(stored()) == 2

    def test_a_plan_is_not_overwritten(self, editor):
        builders.plan("2021-01", Dictionary.ISSUANCE, 7)
        upload(editor, csv("2021-01-01,видача,8"))
        assert stored() == {(FIRST, Dictionary.ISSUANCE): Decimal(7)}

    @pytest.mark.parametrize("make", [csv, xlsx])
    def test_a_file_without_rows_is_refused(self, editor, make):
        assert faults(upload(editor, make())) == [(2, None, None, "at least one plan")]

    @pytest.mark.parametrize(
        ("content", "row", "names", "missing"),
        [
            (
                b"wrong_column,category_name,sum\n2021-01-01,Issuance,1",
                1,
                "wrong_column, category_name, sum",
                ["month"],
            ),
            (b"\n \nmonth,sum\n2021-01-01,1", 3, "month, sum", ["category_name"]),
            (
                b"month,category_name,sum,SUM\n2021-01-01,Issuance,1,1",
                1,
                "month, category_name, sum, SUM",
                ["sum"],
            ),
            (b"2021-01-01,Issuance,1", 1, "2021-01-01, Issuance, 1", HEADER),
            (b"\n", 1, "", HEADER),
            (xlsx([1, 1], header=["month", "sum"]), 1, "month, sum", ["category_name"]),
        ],
        ids=["other name", "under empty lines", "twice", "no header", "empty lines alone", "workbook"],
    )
    def test_missing_and_repeated_columns_are_faults(self, editor, content, row, names, missing):
        expected = "each column once: month, category_name, sum"
        assert faults(upload(editor, content)) == [(row, column, names, expected) for column in missing]

    def test_too_many_rows_are_refused(self, editor):
        months = [f"{year}-{month:02}-01" for year in range(1900, 2800) for month in range(1, 13)]
        assert len(months) > 10_000
        for content in (
            csv(*(f"{month},видача,1" for month in months)),
            csv("", *(f"{month},видача,1" for month in months)),
        ):
            row = 2 + content.count(b"\n\n") + 10_000
            expected = "at most 10000 rows under the header"
            assert faults(upload(editor, content)) == [(row, None, "more rows", expected)]
        assert stored() == {}

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504, "an old .xls or a workbook with a password"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary data"),
            (b"month,category_name,sum\n\0", "binary data"),
        ],
        ids=["xls", "picture", "zero byte"],
    )
    @pytest.mark.parametrize("name", ["plans.csv", "plans.xlsx"])
    def test_files_of_other_formats_are_refused(self, editor, content, found, name):
        assert faults(upload(editor, content, name)) == [(None, None, found, "CSV or XLSX")]

    @pytest.mark.parametrize("cut", [30, 1000, -30])
    def test_a_truncated_workbook_is_refused(self, editor, cut):
        ((row, column, found, expected),) = faults(upload(editor, xlsx([FIRST, "видача", 1])[:cut]))
        assert (row, column, expected) == (None, None, "CSV or XLSX")
        assert found.startswith("a workbook that can't be read")

    def test_another_zip_archive_is_refused(self, editor):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("plans.csv", csv("2021-01-01,видача,1"))
        ((_, _, found, expected),) = faults(upload(editor, file.getvalue()))
        assert found.startswith("a workbook that can't be read")
        assert expected == "CSV or XLSX"

    def test_a_workbook_that_unpacks_too_large_is_refused(self, editor):
        file = io.BytesIO(xlsx([FIRST, "видача", 1]))
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/media/image1.png", b"\0" * 21 * 2**20)
            size = sum(entry.file_size for entry in archive.infolist())
        assert len(file.getvalue()) < 100_000
        assert faults(upload(editor, file.getvalue())) == [
            (None, None, f"{size} bytes unpacked", "at most 20971520")
        ]

    def test_a_workbook_with_an_entity_bomb_is_refused(self, editor):
        """A billion laughs: entities that refer to entities."""
        bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        bomb = f'<!DOCTYPE sst [<!ENTITY e0 "1">{bomb}]>'
        content = io.BytesIO(xlsx([FIRST, "видача", 1]))
        file = io.BytesIO()
        with zipfile.ZipFile(content) as good, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bad:
            for entry in good.infolist():
                text = good.read(entry).decode()
                if entry.filename == "xl/worksheets/sheet1.xml":
                    start = text.index("<worksheet")
                    text = (text[:start] + bomb + text[start:]).replace("<v>1</v>", "<v>&e9;</v>")
                    assert "&e9;" in text
                bad.writestr(entry.filename, text)
        ((_, _, found, _),) = faults(upload(editor, file.getvalue()))
        assert found == "comments or declarations in its XML"

    def test_an_undetected_encoding_is_a_fault(self, editor):
        content = "month,category_name,sum\n2021-01-01,видача,1".encode("koi8-u")
        assert faults(upload(editor, content)) == [(2, "category_name", "\ufffd" * 6, A_CATEGORY)]

    def test_cp1251_is_detected(self, editor):
        content = "month;category_name;sum\n1.1.2021;видача;1\n2021-02-01 00:00:00;збір;2,5".encode("cp1251")
        assert inserted(upload(editor, content)) == 2
        assert stored() == {
            (FIRST, Dictionary.ISSUANCE): Decimal(1),
            (date(2021, 2, 1), Dictionary.COLLECTION): Decimal("2.5"),
        }

    def test_a_small_workbook_of_very_many_cells_is_refused(self, editor):
        file = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(xlsx([FIRST, "видача", 1]))) as good,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bad,
        ):
            for entry in good.infolist():
                content = good.read(entry)
                if entry.filename == "xl/worksheets/sheet1.xml":
                    content = content.replace(b"</row>", b"<c/>" * 4_000_000 + b"</row>", 1)
                bad.writestr(entry.filename, content)
        assert len(file.getvalue()) < 60_000
        ((row, column, found, expected),) = faults(upload(editor, file.getvalue()))
        assert (row, column, expected) == (None, None, "at most 1000000")
        assert found.endswith("tags and attributes in its sheets and styles")

    def test_faults_name_columns_as_the_file_does(self, editor):
        content = b"Month,CATEGORY_NAME,Sum\n2021-01-02,issuance,1"
        assert faults(upload(editor, content))[0][:3] == (2, "Month", "2021-01-02")


def codes(response):
    return {(error["row"], error["column"]): error["code"] for error in response.json()["errors"]}


class TestCodes:
    """Each fault has a code for programs."""

    def test_codes_of_requests_without_a_file_to_read(self, editor):
        large = upload(editor, b"x" * (3 * 2**20)).json()["errors"]
        assert [(fault["parameter"], fault["code"]) for fault in large] == [("file", "too_large")]
        text = editor.post("/plans_insert", {"file": "abc"}, format="multipart").json()["errors"]
        assert [(fault["found"], fault["code"]) for fault in text] == [("abc", "invalid")]
        missing = editor.post("/plans_insert", {}, format="multipart").json()["errors"]
        assert [(fault["found"], fault["code"]) for fault in missing] == [(None, "required")]

    def test_codes_of_wrong_rows(self, editor):
        builders.plan("2021-03", Dictionary.ISSUANCE, 1)
        rows = (
            "2021-03-01,видача,1",
            "2021-04-01,збір,1",
            "2021-04-01,збір,1",
            "2021-05-02,x,",
            ",видача,-1,2",
        )
        assert codes(upload(editor, csv(*rows))) == {
            (2, "month"): "unique",
            (4, "month"): "repeated",
            (5, "month"): "invalid",
            (5, "category_name"): "invalid",
            (5, "sum"): "required",
            (6, "month"): "required",
            (6, "sum"): "invalid",
            (6, None): "invalid",
        }

    @pytest.mark.parametrize(
        ("content", "place", "code"),
        [
            (b"month,category_name,sum\n", (2, None), "empty"),
            (b"month,category_name\n2021-01-01,issuance\n", (1, "sum"), "header"),
            (b"\0\0", (None, None), "parse_error"),
            (b'month,category_name,sum\n"2021', (2, None), "parse_error"),
            (b"PK\x03\x04", (None, None), "parse_error"),
            (csv(*["2021-01-01,issuance,1"] * 10_001), (10_002, None), "too_large"),
        ],
        ids=["no rows", "no column", "binary", "quotes", "no workbook", "too many rows"],
    )
    def test_codes_of_files_that_cannot_be_read(self, editor, content, place, code):
        assert codes(upload(editor, content))[place] == code


class TestWrongRequests:
    def post(self, client, query="", **fields):
        return client.post(f"/plans_insert{query}", fields, format="multipart")

    @pytest.fixture
    def file(self) -> Callable[..., SimpleUploadedFile]:
        def make(name="plans.csv", content=None):
            return SimpleUploadedFile(name, csv("2021-01-01,видача,1") if content is None else content)

        return make

    def test_a_request_without_a_file_is_refused(self, editor):
        assert wrong_parameters(self.post(editor)) == [("file", None, A_FILE)]

    def test_text_in_place_of_a_file_is_refused(self, editor):
        assert wrong_parameters(self.post(editor, file="month,sum")) == [("file", "month,sum", A_FILE)]

    def test_an_empty_file_is_refused(self, editor, file):
        assert wrong_parameters(self.post(editor, file=file(content=b""))) == [("file", "plans.csv", A_FILE)]

    def test_two_files_are_refused(self, editor, file):
        response = self.post(editor, file=[file("one.csv"), file("two.csv")])
        assert wrong_parameters(response) == [("file", "one.csv, two.csv", "one value")]
        assert stored() == {}

    def test_a_file_under_another_key_is_refused(self, editor, file):
        assert wrong_parameters(self.post(editor, upload=file())) == [
            ("upload", "plans.csv", "one of these parameters: file"),
            ("file", None, A_FILE),
        ]

    def test_a_second_file_under_another_key_is_refused(self, editor, file):
        response = self.post(editor, file=file(), second=file("second.csv"))
        assert wrong_parameters(response) == [("second", "second.csv", "one of these parameters: file")]
        assert stored() == {}

    def test_unknown_parameters_are_refused_in_query_and_body(self, editor, file):
        response = self.post(editor, "?dry_run=1", file=file(), mode="replace")
        assert sorted(wrong_parameters(response)) == [
            ("dry_run", "1", "one of these parameters: file"),
            ("mode", "replace", "one of these parameters: file"),
        ]
        assert stored() == {}

    @pytest.mark.parametrize("excess", [1, 10 * 2**20])
    def test_a_file_that_is_too_large_is_refused(self, editor, file, excess):
        content = csv("2021-01-01,видача,1") + b"\n" * (2 * 2**20)
        response = self.post(editor, file=file(content=content + b"\n" * excess))
        ((parameter, _, expected),) = wrong_parameters(response)
        assert (parameter, expected) == ("file", A_FILE)
        assert stored() == {}

    @pytest.mark.parametrize("number", [101, 1001])
    def test_too_many_parts_are_refused(self, editor, file, number):
        part = file() if number == 101 else "1"
        response = self.post(editor, **{f"part{n}": part for n in range(number)})
        assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("multipart/form-data", b"file"),
            ("multipart/form-data; boundary=x", b"file"),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"',
            ),
        ],
    )
    def test_a_malformed_form_is_refused(self, editor, kind, body):
        response = editor.generic("POST", "/plans_insert", body, content_type=kind)
        assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
        assert response.json()["title"] == "Bad Request"

    @pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/csv"])
    def test_bodies_of_other_content_types_are_415(self, editor, kind):
        response = editor.generic("POST", "/plans_insert", b"{}", content_type=kind)
        assert (response.status_code, response["Content-Type"]) == (415, "application/problem+json")
        assert response.json()["title"] == "Unsupported Media Type"

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("address", ["/plans_insert", "/api/v1/plans_insert"])
    def test_other_methods_are_405(self, editor, method, address):
        response = editor.generic(method, address)
        assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
        assert response["Allow"] == "POST, OPTIONS"

    @pytest.mark.parametrize("address", ["/plans_insert", "/api/v1/plans_insert"])
    def test_a_request_without_credentials_is_401(self, db, address):
        response = upload(APIClient(), csv("2021-01-01,видача,1"), address=address)
        assert (response.status_code, response["Content-Type"]) == (401, "application/problem+json")
        assert response["WWW-Authenticate"] == "Token"
        assert stored() == {}

    @pytest.mark.parametrize("address", ["/plans_insert", "/api/v1/plans_insert"])
    def test_accounts_without_permission_are_403(self, analyst, stranger, address):
        for client in (analyst, stranger):
            response = upload(client, csv("2021-01-01,видача,1"), address=address)
            assert (response.status_code, response["Content-Type"]) == (403, "application/problem+json")
        assert stored() == {}

    def test_an_administrator_may_insert_plans(self, administrator):
        assert inserted(upload(administrator, csv("2021-01-01,видача,1"))) == 1

    def test_a_session_without_a_csrf_token_is_403(self):
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(builders.account(EDITOR))
        response = upload(client, csv("2021-01-01,видача,1"))
        assert (response.status_code, response["Content-Type"]) == (403, "application/problem+json")
        assert stored() == {}


class TestFaultsOfTheDatabase:
    def test_rows_inserted_before_an_error_are_rolled_back(self, committed, client_as):
        """The third bulk insert fails after two have succeeded."""
        client = client_as(EDITOR)
        client.raise_request_exception = False
        lines = [f"{year}-{month:02}-01,видача,1" for year in range(1900, 2650) for month in range(1, 13)]
        inserts = 0

        def third_fails(execute, sql, *args):
            nonlocal inserts
            inserts += sql.startswith("INSERT INTO") and "plans_plan" in sql
            if inserts == 3:
                raise OperationalError("The server has gone away.")
            return execute(sql, *args)

        with connection.execute_wrapper(third_fails):
            assert upload(client, csv(*lines)).status_code == 500
        assert inserts == 3
        assert stored() == {}
        assert inserted(upload(client, csv(*lines))) == 9000


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Runs the tasks at the same time, each on its own connection, and returns their results."""
    barrier = Barrier(len(tasks))

    def run(task):
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return task()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


class TestAtTheSameMoment:
    def test_one_of_two_simultaneous_uploads_is_stored(self, committed, client_as):
        clients = [client_as(EDITOR), client_as(EDITOR)]
        for year in range(2000, 2020):
            content = csv(f"{year}-01-01,видача,1", f"{year}-01-01,збір,2")
            responses = at_once(*(partial(upload, client, content) for client in clients))
            taken, refused = sorted(responses, key=lambda response: response.status_code)
            assert inserted(taken) == 2
            assert faults(refused) == [(row, "month", f"{year}-01-01", NO_PLAN_YET) for row in (2, 3)]
        assert len(stored()) == 40

    def test_simultaneous_uploads_that_share_a_plan_do_not_deadlock(self, committed, client_as):
        clients = [client_as(EDITOR), client_as(EDITOR)]
        for year in range(2000, 2020):
            lines = [f"{year}-{month:02}-01,видача,1" for month in (1, 2, 3)]
            files = csv(*lines[:2]), csv(*lines[:0:-1])
            responses = at_once(*(partial(upload, *each) for each in zip(clients, files, strict=True)))
            taken, refused = sorted(responses, key=lambda response: response.status_code)
            assert inserted(taken) == 2
            ((_, column, found, expected),) = faults(refused)
            assert (column, found, expected) == ("month", f"{year}-02-01", NO_PLAN_YET)
        assert len(stored()) == 40

    def test_an_upload_never_duplicates_a_plan_added_by_hand(self, committed, client_as):
        client = client_as(EDITOR)

        def by_hand(month):
            try:
                return builders.plan(month, Dictionary.ISSUANCE, 2)
            except IntegrityError:
                return None

        for year in range(2000, 2020):
            response, plan = at_once(
                partial(upload, client, csv(f"{year}-01-01,видача,1")), partial(by_hand, f"{year}-01")
            )
            if plan:
                assert faults(response) == [(2, "month", f"{year}-01-01", NO_PLAN_YET)]
            else:
                assert inserted(response) == 1
            assert stored()[date(year, 1, 1), Dictionary.ISSUANCE] == (2 if plan else 1)
