"""Provisions at a date: every figure is calculated by hand."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook

from credits.models import BUCKETS, Rate
from reports.provisions import compute

from . import builders

pytestmark = pytest.mark.django_db

END, BEFORE = "2022-03-31", "2022-02-28"


@pytest.fixture
def book() -> None:
    """At the end of March 1,000.10 are 61 days past due, 2,000 are 120 days, and 400 are in term."""
    builders.credit("2022-01-15", "1000.10")  # due on 29 January: 30 days before the end of February
    first = builders.credit("2021-11-17", 2500)  # due on 1 December: 89 days before it
    builders.payment(first, "2022-03-31", 500)
    builders.credit("2022-03-20", 400)


def ask(client: Any, on: str = END) -> Any:
    response = client.get("/api/v1/provisions", {"check_date": on})
    assert response.status_code == 200
    return response.json()


def provisions(client: Any, on: str = END) -> list[float]:
    return [row["provision"] for row in ask(client, on)]


def rate(bucket: str, percent: Any) -> None:
    one = Rate.objects.get(name=bucket)
    one.percent = Decimal(percent)
    one.save()


def test_a_bucket_is_multiplied_by_its_rate_and_compared_with_the_month_before(book, analyst):
    names = [
        "bucket",
        "outstanding",
        "rate_percent",
        "provision",
        "provision_month_before",
        "change",
    ]
    rows = ask(analyst)
    assert [list(row) for row in rows] == [names] * 7
    assert [tuple(row.values()) for row in rows] == [
        ("current", 400, 0, 0, 0, 0),
        ("1 to 30", 0, 0, 0, 0, 0),
        ("31 to 60", 0, 0, 0, 0, 0),
        ("61 to 90", 1000.1, 35, 350.04, 875, -524.96),  # 350.035; 2,500 × 35 % a month before
        ("91 to 180", 2000, 60, 1200, 0, 1200),
        ("181 to 360", 0, 80, 0, 0, 0),
        ("over 360", 0, 100, 0, 0, 0),
    ]


def test_within_a_month_the_change_is_since_the_end_of_the_month_before(book, analyst):
    of_day = {row["bucket"]: row for row in ask(analyst, "2022-03-15")}
    assert of_day["91 to 180"]["provision_month_before"] == 0
    assert of_day["61 to 90"]["provision_month_before"] == 875
    assert provisions(analyst, BEFORE) == [0, 0, 0, 875, 0, 0, 0]


def test_each_row_is_rounded_once_and_the_total_is_their_sum(analyst):
    rate("current", "0.50")
    rate("1 to 30", "0.50")
    builders.credit("2022-03-31", 1)
    builders.credit("2022-03-01", 1)  # due on 15 March
    assert provisions(analyst)[:2] == [0.01, 0.01]  # 0.005 each
    page = analyst.get("/reports/provisions/", {"check_date": END})
    (total,) = page.context["totals"]
    assert total == {
        "outstanding": 2,
        "rate_percent": 1,  # 0.02 / 2
        "provision": Decimal("0.02"),
        "provision_month_before": 0,
        "change": Decimal("0.02"),
    }


def test_a_new_rate_applies_to_every_date(book, analyst):
    rate("61 to 90", 50)
    assert provisions(analyst, END)[3] == 500.05
    assert provisions(analyst, BEFORE)[3] == 1250
    assert ask(analyst)[3]["provision_month_before"] == 1250


def test_nothing_that_happens_later_changes_a_past_provision(book, analyst):
    first = builders.Credit.objects.get(body=2500)
    before = ask(analyst)
    builders.payment(first, "2022-04-01", 100)
    first.actual_return_date = date(2022, 4, 2)
    first.save()
    builders.credit("2022-04-01", 5000)
    assert ask(analyst) == before


def test_an_empty_book_has_no_rows(analyst):
    assert analyst.get("/api/v1/provisions").json() == []
    assert "There is nothing in the book for this." in analyst.get("/reports/provisions/").content.decode()


def test_before_the_first_credit_nothing_is_provided(book, analyst):
    assert provisions(analyst, "2021-01-01") == [0] * 7
    page = analyst.get("/reports/provisions/", {"check_date": "2021-01-01"})
    assert page.context["totals"][0]["rate_percent"] is None


@pytest.mark.parametrize("on", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_date_have_a_page(book, analyst, on):
    assert "Provision at" in analyst.get("/reports/provisions/", {"check_date": on}).content.decode()


def test_each_amount_leads_to_its_credits(book, analyst):
    html = unescape(analyst.get("/reports/provisions/", {"check_date": END}).content.decode())
    assert f"Provision at {BEFORE}" in html
    rows = re.findall(r'<th scope="row">([^<]+)</th>(.*?)</tr>', html, re.DOTALL)
    links = {name: re.findall(r'<a href="([^"]+)">', row) for name, row in rows}
    assert list(links) == [*(bucket.name for bucket in BUCKETS), "Total"]
    now = f"/reports/credits/?state=open&check_date={END}"
    before = f"/reports/credits/?state=open&check_date={BEFORE}"
    assert links["61 to 90"] == [
        *[f"{now}&due_from=2021-12-31&due_to=2022-01-29"] * 2,
        f"{before}&due_from=2021-11-30&due_to=2021-12-29",
    ]
    assert links["Total"] == [now, now, before]


def test_xlsx_has_the_rows_and_the_total(book, analyst):
    response = analyst.get("/reports/provisions/", {"check_date": END, "format": "xlsx"})
    content = b"".join(response.streaming_content) if response.streaming else response.content
    sheet = load_workbook(BytesIO(content)).worksheets[0]
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[4] == ("61 to 90", 1000.1, 35, 350.04, 875, -524.96)
    assert rows[8] == ("Total", 3400.1, 45.59, 1550.04, 875, 675.04)


def test_the_report_takes_three_queries(book, django_assert_num_queries):
    with django_assert_num_queries(3):
        compute(date(2022, 3, 31), date(2022, 6, 1))
