"""Daily totals: the usual course of a month, worked out by hand."""

from datetime import date
from decimal import Decimal

import pytest

from credits.book.writing import writing
from credits.models import Dictionary
from credits.totals import DailyTotal

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> None:
    """Pays 100 in each month of September 2020 to March 2021, and issues 10 on each first of these months.

    On the fifth day 10, 20, …, 70 are paid, and the rest on the last day.
    """
    months = (
        "2020-09-30",
        "2020-10-31",
        "2020-11-30",
        "2020-12-31",
        "2021-01-31",
        "2021-02-28",
        "2021-03-31",
    )
    with writing():
        for number, end in enumerate(months, start=1):
            credit = builders.credit(f"{end[:7]}-01", 10)
            builders.payment(credit, f"{end[:7]}-05", 10 * number, Dictionary.INTEREST)
            builders.payment(credit, end, 100 - 10 * number)


def usual_share(day: str) -> Decimal | None:
    return DailyTotal.objects.collected().usual_share(date.fromisoformat(day))


@pytest.mark.parametrize(
    ("day", "paid"),
    [
        ("2021-03-04", 0),
        ("2021-03-05", 210),  # 10 + … + 60, of September to February
        ("2021-03-27", 210),
        ("2021-03-28", 250),  # 40 more: all of February
        ("2021-03-30", 410),  # 90 and 70 more: all of September and November
        ("2021-03-31", 600),
        ("2021-04-05", 270),  # 20 + … + 70, of October to March
        ("2021-04-29", 310),  # 40 more: all of February
        ("2021-04-30", 600),  # the last day of a month, though others have a 31st
    ],
)
def test_the_usual_share_is_the_mean_of_the_six_months_before(book, day, paid):
    share = usual_share(day)
    assert share is not None
    assert round(share * 600, 20) == paid


def test_a_february_of_28_days_ends_on_its_28th_and_one_of_29_does_not():
    for month in ("2019-08", "2019-09", "2019-10", "2019-11", "2019-12", "2020-01"):
        credit = builders.credit(f"{month}-01")
        builders.payment(credit, f"{month}-28", 25)
        builders.payment(credit, f"{month}-30", 75)
    assert (usual_share("2020-02-28"), usual_share("2020-02-29")) == (Decimal("0.25"), 1)


def test_what_the_month_itself_and_later_ones_bring_does_not_count(book):
    builders.payment(builders.credit("2021-03-01"), "2021-03-02", 9999)
    assert usual_share("2021-03-05") == Decimal("0.35")


@pytest.mark.parametrize(
    "day", ["2021-02-15", "2021-02-28", "2021-05-01", "0001-01-01", "0001-06-15", "9999-12-31"]
)
def test_without_a_sum_in_each_of_six_months_there_is_no_usual_share(book, day):
    assert usual_share(day) is None


def test_issuances_have_a_usual_share_of_their_own(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert DailyTotal.objects.issued().usual_share(date(2021, 3, 1)) == 1
