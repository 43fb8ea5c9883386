"""The month report: every figure is calculated by hand."""

from datetime import date

import pytest

from credits.models import Dictionary
from reports.month import compute

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    """February 2021, with 28 days: plans of 2,800 and 1,000; 700 issued on day 1 and 1,400 on day 14."""
    builders.plan("2021-02", Dictionary.ISSUANCE, "2800")
    builders.plan("2021-02", Dictionary.COLLECTION, "1000")
    first = builders.credit("2021-02-01", "700")
    builders.credit("2021-02-14", "1000")
    builders.credit("2021-02-14", "400")
    builders.credit("2021-01-31", "5000")
    builders.credit("2021-03-01", "5000")
    builders.payment(first, "2021-02-28", "333.33")
    builders.payment(first, "2021-03-01", "9")


def ask(client, month="2021-02"):
    return client.get("/api/v1/month", {"month": month})


def test_a_month_has_a_row_for_each_day_with_cumulative_and_expected_sums(book, analyst):
    rows = ask(analyst).json()
    assert [row["day"] for row in rows] == [f"2021-02-{day:02}" for day in range(1, 29)]
    assert rows[0] == {
        "day": "2021-02-01",
        "issuance_count": 1,
        "actual_issuance_sum": 700,
        "cumulative_issuance_sum": 700,
        "expected_issuance_sum": 100,
        "issuance_performance_percent": 25,
        "payment_count": 0,
        "actual_collection_sum": 0,
        "cumulative_collection_sum": 0,
        "expected_collection_sum": 35.71,  # 1,000 / 28 = 35.714…
        "collection_performance_percent": 0,
    }
    assert rows[13] == rows[0] | {
        "day": "2021-02-14",
        "issuance_count": 2,
        "actual_issuance_sum": 1400,
        "cumulative_issuance_sum": 2100,
        "expected_issuance_sum": 1400,
        "issuance_performance_percent": 75,
        "expected_collection_sum": 500,
    }
    assert rows[27] == {
        "day": "2021-02-28",
        "issuance_count": 0,
        "actual_issuance_sum": 0,
        "cumulative_issuance_sum": 2100,
        "expected_issuance_sum": 2800,
        "issuance_performance_percent": 75,
        "payment_count": 1,
        "actual_collection_sum": 333.33,
        "cumulative_collection_sum": 333.33,
        "expected_collection_sum": 1000,
        "collection_performance_percent": 33.33,
    }


def test_a_month_without_plans_expects_nothing_and_has_no_percents(book, analyst):
    rows = ask(analyst, "2021-03").json()
    assert len(rows) == 31
    assert rows[30] == {
        "day": "2021-03-31",
        "issuance_count": 0,
        "actual_issuance_sum": 0,
        "cumulative_issuance_sum": 5000,
        "expected_issuance_sum": 0,
        "issuance_performance_percent": None,
        "payment_count": 0,
        "actual_collection_sum": 0,
        "cumulative_collection_sum": 9,
        "expected_collection_sum": 0,
        "collection_performance_percent": None,
    }


def test_the_last_day_agrees_with_the_year(book, analyst):
    last = ask(analyst).json()[-1]
    (row,) = [
        row for row in analyst.get("/year_performance?year=2021").json() if row["month_year"] == "2021-02"
    ]
    assert last["cumulative_issuance_sum"] == row["actual_issuance_sum"]
    assert last["cumulative_collection_sum"] == row["actual_collection_sum"]
    assert last["issuance_performance_percent"] == row["issuance_performance_percent"]
    assert last["collection_performance_percent"] == row["collection_performance_percent"]


def test_the_page_shows_days_and_totals(book, analyst):
    response = analyst.get("/reports/month/?month=2021-02")
    assert response.status_code == 200
    assert response.context["totals"][0]["issuance_count"] == 3
    html = response.content.decode()
    assert '<input type="month" name="month" value="2021-02"' in html
    assert html.count('<th scope="row">') == 29
    assert "2\u00a0100.00" in html


@pytest.mark.parametrize("month", ["", "2021", "2021-13", "2021-02-01", "June"])
def test_an_invalid_month_is_reported(analyst, month):
    response = ask(analyst, month)
    assert response.status_code == 400
    (fault,) = response.json()["errors"]
    code = fault.pop("code")
    assert fault == {"parameter": "month", "found": month, "expected": "a month, yyyy-mm"}
    assert code == ("invalid" if month else "required")


def test_the_month_report_is_not_served_at_the_root(analyst):
    assert analyst.get("/month?month=2021-02").status_code == 404


def test_the_report_takes_three_queries(book, django_assert_num_queries):
    with django_assert_num_queries(3):
        compute(date(2021, 2, 1))
