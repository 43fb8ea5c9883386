"""The pace of a month's plans. The figures of even pace come from the design."""

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


@pytest.fixture
def half_year():
    """The six months before June 2021. By the 15th a third of a month's sum is usually issued."""
    # The shares by then are 0, 1/3 four times and 2/3; June's own sums and those of November don't count.
    for month, early, late in [
        ("2020-11", 900, 1),
        ("2020-12", 0, 5000),
        ("2021-01", 100, 200),
        ("2021-02", 100, 200),
        ("2021-03", 100, 200),
        ("2021-04", 100, 200),
        ("2021-05", 200, 100),
    ]:
        builders.credit(f"{month}-15", early)
        builders.credit(f"{month}-16", late)


def steady_book():
    """Of a credit of 1,000 on the first of each month, half is paid on the 10th and half on the next 20th.

    The last is of November 2021. By the 10th, all of a month is usually issued and half of it collected. By
    buckets the forecast is 500, what is outstanding, + half of the planned issuance. All months collect
    1,000; with planned issuances of 600, 2,000 and otherwise 1,000, that is 5/4, 2/3 and 1 of the forecast.
    """
    for month in range(1, 11):
        credit = builders.credit(f"2021-{month:02}-01", 1000, actual_return_date=f"2021-{month + 1:02}-20")
        builders.payment(credit, f"2021-{month:02}-10", 500)
        builders.payment(credit, f"2021-{month + 1:02}-20", 500)
    builders.payment(builders.credit("2021-11-01", 1000), "2021-11-10", 500)
    for month in range(3, 11):
        builders.plan(f"2021-{month:02}", Dictionary.ISSUANCE, {5: 600, 8: 2000}.get(month, 1000))
    builders.plan("2021-11", Dictionary.ISSUANCE, 900)
    builders.plan("2021-11", Dictionary.COLLECTION, 1200)


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
        "usual_share_percent": None,
        "usual_expected_sum": None,
        "usual_pace_percent": None,
        "usual_month_end_sum": None,
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


def usual(row):
    """Returns [share, expected, pace, month end]."""
    return [
        row[f"usual_{name}"] for name in ("share_percent", "expected_sum", "pace_percent", "month_end_sum")
    ]


def test_usual_pace_takes_the_share_that_is_usually_there_by_the_day(half_year, analyst):
    builders.plan("2021-06", Dictionary.ISSUANCE, "272000")
    builders.credit("2021-06-15", "145000")
    builders.credit("2021-06-16", "7")
    # 272,000 / 3; 145,000 × 3 / 272,000; 145,000 × 3: the share isn't rounded before.
    assert [usual(row) for row in ask(analyst, "2021-06-15")] == [[33.33, 90666.67, 159.93, 435000]]


def test_each_category_has_its_own_usual_course(analyst):
    steady_book()
    issuance, collection = ask(analyst, "2021-11-10")
    assert usual(issuance) == [100, 900, 111.11, 1000]
    assert usual(collection) == [50, 600, 83.33, 1000]
    assert (collection["expected_sum"], collection["pace_percent"]) == (400, 125)  # 1,200 × 10 / 30


def test_a_month_without_a_sum_tells_no_usual_course(half_year, analyst):
    builders.plan("2021-07", Dictionary.ISSUANCE, "100")
    assert [usual(row) for row in ask(analyst, "2021-07-15")] == [[None] * 4]


def test_by_a_day_when_usually_nothing_is_there_no_pace_is_known(analyst):
    steady_book()
    _, collection = ask(analyst, "2021-11-09")
    assert usual(collection) == [0, 0, None, None]


def test_a_plan_of_0_has_an_expected_month_end_but_no_usual_pace(half_year, analyst):
    builders.plan("2021-06", Dictionary.ISSUANCE, "0")
    builders.credit("2021-06-15", "10")
    assert [usual(row) for row in ask(analyst, "2021-06-15")] == [[33.33, 0, None, 30]]


def test_on_the_last_day_the_month_end_is_what_is_there(half_year, analyst):
    builders.plan("2021-06", Dictionary.ISSUANCE, "200")
    builders.credit("2021-06-30", "150")
    assert [usual(row) for row in ask(analyst, "2021-06-30")] == [[100, 200, 75, 150]]


def test_the_report_takes_five_queries(book, django_assert_num_queries):
    with django_assert_num_queries(5):
        compute(date(2021, 6, 15))
