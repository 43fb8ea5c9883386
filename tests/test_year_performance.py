"""Year performance: every figure is calculated by hand."""

import pytest

from credits.models import Dictionary
from reports.year_performance import compute

from . import builders

pytestmark = pytest.mark.django_db


def ask(client, year=2021):
    return client.get("/year_performance", {"year": year})


@pytest.fixture
def book():
    """January: issuances of 1,000 and 500.50, and two payments. March: only a payment. May: only a plan."""
    first = builders.credit("2021-01-31", "1000")
    builders.credit("2021-01-01", "500.50")
    builders.credit("2020-12-31", "7000")
    builders.credit("2022-01-01", "7000")
    builders.payment(first, "2021-01-31", "100.05")
    builders.payment(first, "2021-01-31", "0.10", Dictionary.INTEREST)
    builders.payment(first, "2021-03-01", "299.85")
    builders.plan("2021-01", Dictionary.ISSUANCE, "3000")
    builders.plan("2021-01", Dictionary.COLLECTION, "0")
    builders.plan("2021-05", Dictionary.COLLECTION, "400")


def test_each_month_with_a_plan_an_issuance_or_a_payment_has_a_row(book, analyst):
    assert ask(analyst).json() == [
        {
            "month_year": "2021-01",
            "issuance_count": 2,
            "plan_issuance_sum": 3000,
            "actual_issuance_sum": 1500.5,
            "issuance_performance_percent": 50.02,  # 50.01666…
            "payment_count": 2,
            "plan_collection_sum": 0,
            "actual_collection_sum": 100.15,
            "collection_performance_percent": None,
            "issuance_percent_of_year": 100,
            "collection_percent_of_year": 25.04,  # 100.15 / 400 = 25.0375
        },
        {
            "month_year": "2021-03",
            "issuance_count": 0,
            "plan_issuance_sum": 0,
            "actual_issuance_sum": 0,
            "issuance_performance_percent": None,
            "payment_count": 1,
            "plan_collection_sum": 0,
            "actual_collection_sum": 299.85,
            "collection_performance_percent": None,
            "issuance_percent_of_year": 0,
            "collection_percent_of_year": 74.96,  # 74.9625
        },
        {
            "month_year": "2021-05",
            "issuance_count": 0,
            "plan_issuance_sum": 0,
            "actual_issuance_sum": 0,
            "issuance_performance_percent": None,
            "payment_count": 0,
            "plan_collection_sum": 400,
            "actual_collection_sum": 0,
            "collection_performance_percent": 0,
            "issuance_percent_of_year": 0,
            "collection_percent_of_year": 0,
        },
    ]


def test_fields_have_the_order_of_the_contract(book, analyst):
    assert list(ask(analyst).json()[0]) == [
        "month_year",
        "issuance_count",
        "plan_issuance_sum",
        "actual_issuance_sum",
        "issuance_performance_percent",
        "payment_count",
        "plan_collection_sum",
        "actual_collection_sum",
        "collection_performance_percent",
        "issuance_percent_of_year",
        "collection_percent_of_year",
    ]


def test_an_empty_year_is_an_empty_list(book, analyst):
    response = ask(analyst, 1999)
    assert (response.status_code, response.json()) == (200, [])


def test_a_year_with_only_plans_has_no_percent_of_the_year(analyst):
    builders.plan("2021-05", Dictionary.ISSUANCE, "10")
    (row,) = ask(analyst).json()
    assert row["issuance_performance_percent"] == 0
    assert row["issuance_percent_of_year"] is None
    assert row["collection_percent_of_year"] is None


def test_a_percent_is_rounded_half_up_once(analyst):
    builders.credit("2021-06-01", "100.04")
    builders.plan("2021-06", Dictionary.ISSUANCE, "800")
    (row,) = ask(analyst).json()
    assert row["issuance_performance_percent"] == 12.51  # 12.505; rounding half to even would give 12.50


def test_the_report_takes_three_queries(book, django_assert_num_queries):
    with django_assert_num_queries(3):
        compute(2021)


def test_both_addresses_return_the_same(book, analyst):
    assert ask(analyst).content == analyst.get("/api/v1/year_performance?year=2021").content
