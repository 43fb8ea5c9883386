"""The pace of a month's plans. The figures come from the design."""

from datetime import date

import pytest

from credits.models import Dictionary
from reports.pace import compute

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    builders.plan("2021-06", Dictionary.ISSUANCE, "272000")
    builders.plan("2021-06", Dictionary.COLLECTION, "0")
    builders.plan("2021-05", Dictionary.ISSUANCE, "1")
    credit = builders.credit("2021-06-01", "100000")
    builders.credit("2021-06-15", "45000")
    builders.credit("2021-06-16", "7")
    builders.credit("2021-05-31", "7")
    builders.payment(credit, "2021-06-15", "10.01")


def ask(client, day):
    return client.get("/api/v1/pace", {"check_date": day}).json()


def test_pace_run_rate_and_need_depend_on_the_days_elapsed(book, analyst):
    issuance, collection = ask(analyst, "2021-06-15")
    assert issuance == {
        "month": "2021-06-01",
        "category": "видача",
        "days_elapsed": 15,
        "days_left": 15,
        "plan_sum": 272000,
        "actual_sum": 145000,
        "performance_percent": 53.31,
        "expected_sum": 136000,
        "pace_percent": 106.62,
        "run_rate_sum": 290000,
        "needed_per_day_sum": 8466.67,
    }
    assert collection == issuance | {
        "category": "збір",
        "plan_sum": 0,
        "actual_sum": 10.01,
        "performance_percent": None,
        "expected_sum": 0,
        "pace_percent": None,
        "run_rate_sum": 20.02,
        "needed_per_day_sum": -0.67,
    }


def test_on_the_last_day_nothing_is_needed_per_day(book, analyst):
    issuance, _ = ask(analyst, "2021-06-30")
    assert (issuance["days_left"], issuance["needed_per_day_sum"]) == (0, None)
    assert (issuance["expected_sum"], issuance["run_rate_sum"]) == (272000, 145007)


def test_an_exceeded_plan_has_a_negative_need(analyst):
    builders.plan("2021-06", Dictionary.ISSUANCE, "100")
    builders.credit("2021-06-01", "130")
    (row,) = ask(analyst, "2021-06-20")
    assert row["needed_per_day_sum"] == -3


def test_a_month_without_plans_has_no_pace(book, analyst):
    assert ask(analyst, "2021-07-01") == []


def test_the_report_takes_three_queries(book, django_assert_num_queries):
    with django_assert_num_queries(3):
        compute(date(2021, 6, 15))
