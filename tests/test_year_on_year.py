"""Year on year: every figure is calculated by hand."""

from datetime import date

import pytest
import time_machine

from reports.stretch import a_year_before, last_day_of_book, last_of_month
from reports.year_on_year import compute

from . import builders

pytestmark = pytest.mark.django_db


def ask(client, year):
    return client.get("/api/v1/year_on_year", {"year": year}).json()


@pytest.fixture
def book():
    """2021: 100 on 10 January, 40 on 15 and 60 on 16 February. 2022: 150 in January, 50 on 15 February."""
    first = builders.credit("2021-01-10", "100")
    builders.credit("2021-02-15", "40")
    builders.credit("2021-02-16", "60")
    builders.credit("2022-01-31", "150")
    builders.credit("2022-02-01", "50")
    builders.payment(first, "2021-03-01", "9")
    builders.payment(first, "2022-02-15", "8")


@time_machine.travel("2022-12-01", tick=False)
def test_the_last_month_is_cut_at_the_same_day_in_both_years(book, analyst):
    assert ask(analyst, 2022) == [
        {
            "month_year": "2022-01",
            "until": "2022-01-31",
            "until_before": "2021-01-31",
            "issuance_sum": 150,
            "issuance_before_sum": 100,
            "issuance_change_percent": 50,
            "collection_sum": 0,
            "collection_before_sum": 0,
            "collection_change_percent": None,
        },
        {
            "month_year": "2022-02",
            "until": "2022-02-15",
            "until_before": "2021-02-15",
            "issuance_sum": 50,
            "issuance_before_sum": 40,
            "issuance_change_percent": 25,
            "collection_sum": 8,
            "collection_before_sum": 0,
            "collection_change_percent": None,
        },
    ]


@time_machine.travel("2022-12-01", tick=False)
def test_totals_compare_equal_stretches(book, analyst):
    (total,) = analyst.get("/reports/year-on-year/?year=2022").context["totals"]
    assert (total["issuance_sum"], total["issuance_before_sum"]) == (200, 140)
    assert str(total["issuance_change_percent"]) == "42.86"


@time_machine.travel("2022-12-01", tick=False)
def test_a_past_year_counts_completely(book, analyst):
    january, february, march = ask(analyst, 2021)
    assert (february["until"], february["issuance_sum"]) == ("2021-02-28", 100)
    assert (march["month_year"], march["collection_sum"]) == ("2021-03", 9)
    assert january["issuance_before_sum"] == 0


@time_machine.travel("2022-01-20", tick=False)
def test_days_after_today_do_not_count(book, analyst):
    rows = ask(analyst, 2022)
    assert rows == []  # the book's last day up to today is in 2021
    assert ask(analyst, 2021)[-1]["month_year"] == "2021-03"


def test_an_empty_book_has_no_rows(analyst):
    assert ask(analyst, 2022) == []


def test_29_february_is_compared_with_28_february():
    assert a_year_before(date(2024, 2, 29)) == date(2023, 2, 28)
    assert a_year_before(date(2025, 2, 28)) == date(2024, 2, 28)
    assert last_of_month(date(2024, 2, 1)) == date(2024, 2, 29)


def test_a_whole_leap_february_is_compared_with_a_whole_february(analyst):
    builders.credit("2023-02-28", "10")
    builders.credit("2024-02-29", "30")
    with time_machine.travel("2024-02-29 12:00", tick=False):
        (row,) = compute(2024, date(2024, 2, 29))
    assert (row.issuance_sum, row.issuance_before_sum) == (30, 10)


def test_the_last_day_of_the_book_is_never_after_today(book):
    assert last_day_of_book(date(2022, 2, 14)) == date(2022, 2, 1)
    assert last_day_of_book(date(2030, 1, 1)) == date(2022, 2, 15)
    assert last_day_of_book(date(2020, 1, 1)) is None
