"""Downloads of reports: the same rows, real numbers, and no formulas in text."""

import csv
import io
import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.utils.translation import override
from openpyxl import load_workbook

from credits.book.cells import Text
from credits.book.files import guarded, unguarded
from credits.models import Dictionary
from fintrack.api.problems import Refused
from reports import urls, user_credits
from reports.columns import LABELS, label
from reports.downloads import MAX_XLSX_ROWS, csv_download, xlsx_download

from . import builders

ADDRESSES = ["/year_performance", "/api/v1/year_performance", "/reports/year-performance/"]


@pytest.fixture
def book(db):
    credit = builders.credit("2021-01-31", "1500.50")
    builders.payment(credit, "2021-02-01", "100.05")
    builders.plan("2021-01", Dictionary.ISSUANCE, "3000")


def opened(response):
    assert response["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return load_workbook(io.BytesIO(response.getvalue()))


def lines_of(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))


@pytest.mark.parametrize("address", ADDRESSES)
def test_csv_has_only_the_header_and_the_rows(book, analyst, address):
    response = analyst.get(address, {"year": 2021, "format": "csv"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="year_performance-2021.csv"'
    assert response.getvalue().decode("utf-8") == (
        "\ufeffmonth_year,issuance_count,plan_issuance_sum,actual_issuance_sum,issuance_performance_percent,"
        "payment_count,plan_collection_sum,actual_collection_sum,collection_performance_percent,"
        "issuance_percent_of_year,collection_percent_of_year\r\n"
        "2021-01,1,3000.00,1500.50,50.02,0,0.00,0.00,,100.00,0.00\r\n"
        "2021-02,0,0.00,0.00,,1,0.00,100.05,,0.00,100.00\r\n"
    )


@pytest.mark.parametrize("address", ADDRESSES)
def test_xlsx_has_numbers_a_frozen_header_and_totals(book, analyst, address):
    response = analyst.get(address, {"year": 2021, "format": "xlsx"})
    assert response["Content-Disposition"] == 'attachment; filename="year_performance-2021.xlsx"'
    sheet = opened(response).worksheets[0]
    assert sheet.title == "Year performance"
    assert sheet.freeze_panes == "A2"
    assert list(sheet.values) == [
        (
            "Month",
            "Credits",
            "Plan of issuance",
            "Issued",
            "Performance of issuance, %",
            "Payments",
            "Plan of collection",
            "Collected",
            "Performance of collection, %",
            "Share of the year's issuance, %",
            "Share of the year's collection, %",
        ),
        ("2021-01", 1, 3000, 1500.5, 50.02, 0, 0, 0, None, 100, 0),
        ("2021-02", 0, 0, 0, None, 1, 0, 100.05, None, 0, 100),
        ("Total", 1, 3000, 1500.5, 50.02, 1, 0, 100.05, None, 100, 100),
    ]
    assert sheet["D2"].number_format == "#,##0.00"
    assert sheet["B2"].number_format == "0"
    for letter, width in {"A": 12, "E": len("Performance of issuance, %") + 2}.items():
        assert sheet.column_dimensions[letter].width == width


@time_machine.travel("2021-03-01 10:30 +0000", tick=False)
def test_xlsx_names_its_parameters_time_and_formula(book, analyst):
    about = opened(analyst.get("/year_performance", {"year": 2021, "format": "xlsx"}))["About"]
    facts = dict(about.values)
    assert facts.pop("Formula").startswith("Performance is actual / plan")
    assert facts == {
        "Report": "Year performance",
        "Year": 2021,
        "Currency": "UAH",
        "Made": "2021-03-01 12:30 EET",
    }


@time_machine.travel("2021-03-01 10:30 +0000", tick=False)
def test_xlsx_is_in_the_language_of_the_reader(book, analyst):
    address = "/reports/plans-performance/?check_date=2021-01-31&format=xlsx"
    sheet, about = opened(analyst.get(address, headers={"Accept-Language": "uk"})).worksheets
    assert sheet.title == "Виконання планів"
    assert [cell.value for cell in sheet[1]][:4] == ["Місяць", "Категорія", "План", "Факт"]
    assert sheet["A2"].number_format == "dd.mm.yyyy"
    assert sheet["C2"].number_format == "#,##0.00"
    assert sheet["A3"].value == "Усього"
    facts = dict(about.values)
    assert facts["Дата"].date() == date(2021, 1, 31)
    assert about["B2"].number_format == "dd.mm.yyyy"
    assert "01.03.2021 12:30 EET" in facts.values()


@time_machine.travel("2021-03-01", tick=False)
def test_xlsx_names_the_date_today_and_the_default_of_a_date_that_was_not_asked(book, analyst):
    about = opened(analyst.get("/api/v1/ageing", {"format": "xlsx"}))["About"]
    facts = dict(about.values)
    assert (facts["Date"], facts["Today"].date()) == ("the last day of the book", date(2021, 3, 1))


def test_xlsx_names_a_month_as_pages_do(book, analyst):
    about = opened(analyst.get("/api/v1/month", {"month": "2021-02", "format": "xlsx"}))["About"]
    assert dict(about.values)["Month"] == "2021-02"


REPORTS = {
    route.callback.view_initkwargs["report"].name: route.callback.view_initkwargs["report"]
    for route in urls.api
    if "report" in route.callback.view_initkwargs
}


def test_every_column_of_a_report_has_a_label_of_its_own_and_no_label_is_unused():
    used = set()
    for report in REPORTS.values():
        own = {column: f"{report.name}.{column}" for column in report.columns}
        keys = [own[column] if own[column] in LABELS else column for column in report.columns]
        assert set(keys) <= set(LABELS), report.name
        labels = [label(report.name, column) for column in report.columns]
        assert len(set(labels)) == len(labels), report.name
        used |= set(keys)
    assert set(LABELS) == used


@pytest.mark.parametrize("language", ["en", "uk"])
def test_every_title_of_a_report_can_be_the_name_of_a_sheet(language):
    with override(language):
        titles = [str(report.title) for report in REPORTS.values()]
    assert [title for title in titles if len(title) > 31 or re.search(r"[\\*?:/\[\]]", title)] == []


@time_machine.travel("2021-03-01", tick=False)
def test_dates_are_dates_in_xlsx_and_iso_in_csv(db, analyst):
    credit = builders.credit("2021-01-31", "1000")
    address = f"/user_credits/{credit.borrower_id}"
    sheet = opened(analyst.get(address, {"format": "xlsx"})).worksheets[0]
    assert sheet["B2"].value.isoformat() == "2021-01-31T00:00:00"
    assert sheet["B2"].number_format == "yyyy-mm-dd"
    text = analyst.get(address, {"format": "csv"}).getvalue()
    assert lines_of(text)[1] == [
        str(credit.pk),
        "2021-01-31",
        "false",
        "",
        "2021-02-14",
        "15",
        "1000.00",
        "0.00",
        "",
        "0.00",
        "0.00",
    ]


def test_page_api_and_downloads_show_the_same_rows(book, analyst):
    rows = [list(row.values()) for row in analyst.get("/year_performance?year=2021").json()]
    workbook = opened(analyst.get("/year_performance?year=2021&format=xlsx"))
    assert [list(row) for row in workbook.worksheets[0].values][1:-1] == rows
    text = analyst.get("/year_performance?year=2021&format=csv").getvalue()
    lines = lines_of(text)[1:]
    assert [[line[0], *(None if cell == "" else float(cell) for cell in line[1:])] for line in lines] == rows
    page = analyst.get("/reports/year-performance/?year=2021")
    shown = [[getattr(row, column) for column in lines_of(text)[0]] for row in page.context["rows"]]
    assert [[float(v) if isinstance(v, Decimal) else v for v in row] for row in shown] == rows


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1+1", "''-x"])
def test_formulas_in_text_get_an_apostrophe_that_import_removes(text):
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["anna", "o'neil", "'tis", "", "1-2", "видача"])
def test_other_text_is_unchanged(text):
    assert guarded(text) == text
    assert unguarded(text) == text


def test_import_removes_the_apostrophe():
    assert Text(max_length=150).clean("'=cmd") == "=cmd"


def test_negative_numbers_stay_numbers():
    assert guarded(Decimal("-5.00")) == Decimal("-5.00")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    day: date | None
    amount: Decimal


EVIL = replace(
    user_credits.report,
    name="evil",
    row=Row,
    totals=lambda rows: [],
)


def test_formulas_in_text_are_neutralised_in_both_kinds_of_file():
    rows = [Row('=HYPERLINK("http://x")', None, Decimal("-1.50"))]
    text = b"".join(csv_download(EVIL, rows, {}).streaming_content).decode("utf-8-sig")
    assert text == 'name,day,amount\r\n"\'=HYPERLINK(""http://x"")",,-1.50\r\n'
    sheet = load_workbook(io.BytesIO(b"".join(xlsx_download(EVIL, rows, {}).streaming_content))).worksheets[0]
    assert (sheet["A2"].value, sheet["A2"].data_type) == ('\'=HYPERLINK("http://x")', "s")
    assert (sheet["C2"].value, sheet["C2"].data_type) == (-1.5, "n")


def test_too_many_rows_for_a_sheet_are_refused_and_csv_is_suggested():
    row = Row("x", None, Decimal(1))
    with pytest.raises(Refused) as refused:
        xlsx_download(EVIL, [row] * (MAX_XLSX_ROWS + 1), {})
    (error,) = refused.value.errors
    assert error == {
        "parameter": "format",
        "found": "xlsx",
        "expected": "csv: an XLSX file holds at most 100000 rows",
        "code": "too_many_rows",
    }


def test_csv_is_streamed_line_by_line():
    lines = iter(csv_download(EVIL, [Row("x", None, Decimal(1))] * 3, {}))
    assert next(lines) == "\ufeff".encode()
    assert next(lines) == b"name,day,amount\r\n"
    assert next(lines) == b"x,,1\r\n"


def test_an_unknown_format_is_an_error_that_names_the_known_ones(db, analyst):
    response = analyst.get("/year_performance?year=2021&format=pdf")
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {
            "parameter": "format",
            "found": "pdf",
            "expected": "json, csv or xlsx",
            "code": "invalid_choice",
        }
    ]
