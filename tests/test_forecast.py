"""The forecast of collection, its record and its parts, worked out by hand."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from typing import Any

import pytest

from credits.book.writing import writing
from credits.models import Credit, Dictionary, Payment
from plans.models import Plan
from reports import forecast_parts
from reports.forecast import compute, totals

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2023, 6, 1)
NO_PLAN, NO_MONTHS = "no plan of issuance", "too few months to learn from"
COLUMNS = [
    "month",
    "months_ahead",
    "is_over",
    "issuance_plan_sum",
    "plan_sum",
    "buckets_sum",
    "buckets_lack",
    "low_sum",
    "high_sum",
    "vintages_sum",
    "vintages_lack",
    "usual_sum",
    "actual_sum",
    "plan_error_percent",
    "buckets_error_percent",
    "vintages_error_percent",
]


def ask(client: Any, on: str, report: str = "forecast", **params: Any) -> Any:
    response = client.get(f"/api/v1/{report}", {"check_date": on, **params})
    assert response.status_code == 200, response.content
    return response.json()


def column(rows: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    """Returns {month: value}, or {month: values} of several columns."""
    return {
        row["month"]: row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows
    }


def months(first: str, count: int) -> list[str]:
    """Returns so many months in a row, such as 2021-06."""
    start = int(first[:4]) * 12 + int(first[5:]) - 1
    return [f"{number // 12}-{number % 12 + 1:02}" for number in range(start, start + count)]


def lasting(issued: str, body: Any, **fields: Any) -> Credit:
    """Creates a credit that stays in its term for years."""
    return builders.credit(issued, body, return_date=date(2031, 1, 1), **fields)


def plan_issuance(first: str, *sums: Any) -> None:
    with writing():
        for month, amount in zip(months(first, len(sums)), sums, strict=True):
            builders.plan(month, Dictionary.ISSUANCE, amount)


@pytest.fixture
def book() -> None:
    """A book whose forecasts at the end of May 2021 are learned from May."""
    current = builders.credit("2021-04-10", 1000, return_date=date(2021, 9, 15))
    late = builders.credit("2021-03-10", 500, return_date=date(2021, 4, 20))  # 10 days late on 30 April
    later = builders.credit("2021-03-01", 400, actual_return_date=date(2021, 5, 20))  # 46 days late then
    new = builders.credit("2021-05-05", 800)  # 12 days late on 31 May
    builders.payment(current, "2021-05-10", 100)
    builders.payment(late, "2021-05-10", 50)
    builders.payment(late, "2021-05-31", 25, Dictionary.INTEREST)
    builders.payment(later, "2021-05-20", 200)
    builders.payment(new, "2021-05-20", 80)
    plan_issuance("2021-06", 2000, 1000, 3000)


@pytest.fixture
def steady() -> Credit:
    """A credit of 1,000 that stays in its term, and no plans to issue others until the end of 2023.

    If only interest is paid for it, the forecast of the next months is the cash of the last one.
    """
    plan_issuance("2021-01", *[0] * 36)
    return lasting("2021-01-01", 1000)


def pay_interest(credit: Credit, first: str, *amounts: Any) -> None:
    """Pays an amount on the 15th of each month."""
    with writing():
        for month, amount in zip(months(first, len(amounts)), amounts, strict=True):
            builders.payment(credit, f"{month}-15", amount, Dictionary.INTEREST)


# By buckets


def test_a_month_gets_the_share_of_each_bucket_and_of_the_planned_issuance(book, analyst):
    rows = [row for row in ask(analyst, "2021-05-31", "forecast_parts") if row["method"] == "buckets"]
    assert {row["month"] for row in rows} == {"2021-06"}
    names = ("base_sum", "cash_before_sum", "base_before_sum", "share_percent", "expected_sum")
    assert {row["part"]: tuple(row[name] for name in names) for row in rows} == {
        "current": (900, 100, 1000, 10, 90),
        "1 to 30": (720, 75, 500, 15, 108),  # the principal of the new credit, the share of the late one
        "31 to 60": (450, 200, 400, 50, 225),
        "61 to 90": (0, 0, 0, None, None),
        "91 to 180": (0, 0, 0, None, None),
        "181 to 360": (0, 0, 0, None, None),
        "over 360": (0, 0, 0, None, None),
        "planned issuance": (2000, 80, 800, 10, 200),
    }
    assert column(ask(analyst, "2021-05-31"), "buckets_sum", "buckets_lack")["2021-06"] == (623, None)


def test_later_months_roll_what_is_owed_through_the_buckets(book, analyst):
    # In May 90 % of current stayed current, 90 % of 1 to 30 went to 31 to 60, nothing was left of 31 to 60,
    # and 90 % of what was issued was in 1 to 30 at the end.
    # End of June: 900 × 0.9 = 810, 2000 × 0.9 = 1800, 720 × 0.9 = 648. July: 81 + 270 + 324 + 100.
    # End of July: 810 × 0.9 = 729, 1000 × 0.9 = 900, 1800 × 0.9 = 1620. August: 72.9 + 135 + 810 + 300.
    rows = ask(analyst, "2021-05-31")
    assert column(rows, "months_ahead", "is_over", "buckets_sum") == {
        "2021-05": (1, True, None),
        "2021-06": (1, False, 623),
        "2021-07": (2, False, 775),
        "2021-08": (3, False, 1317.9),
    }
    assert [list(row) for row in rows] == [COLUMNS] * 4


def test_within_a_month_the_forecast_is_that_of_its_start(book, analyst):
    builders.payment(Credit.objects.get(body=800), "2021-06-02", 300)
    rows = ask(analyst, "2021-06-29")
    assert column(rows, "buckets_sum") == column(ask(analyst, "2021-05-31"), "buckets_sum")
    assert column(rows, "actual_sum") == {"2021-05": 455, "2021-06": 300, "2021-07": None, "2021-08": None}


def test_a_credit_closed_before_the_month_adds_cash_but_no_principal(book, analyst):
    closed = builders.credit("2021-03-01", 700, actual_return_date=date(2021, 4, 1))
    builders.payment(closed, "2021-05-07", 40)  # 46 days after it was due on 30 April: 450 × 240 / 400
    assert column(ask(analyst, "2021-05-31"), "buckets_sum")["2021-06"] == 90 + 108 + 270 + 200


def test_money_paid_in_a_month_before_the_issuance_is_only_actual(book, analyst):
    early = builders.credit("2021-06-10", 700)
    builders.payment(early, "2021-05-07", 40)
    rows = ask(analyst, "2021-05-31")
    assert column(rows, "actual_sum", "buckets_sum")["2021-05"] == (495, None)
    assert column(rows, "buckets_sum")["2021-06"] == 623


@pytest.mark.parametrize(
    ("planned", "lacks"),
    [
        (["2021-06"], [None, NO_PLAN, NO_PLAN]),
        (["2021-06", "2021-08"], [None, NO_PLAN, NO_PLAN]),
        (["2021-07", "2021-08"], [NO_PLAN, NO_PLAN, NO_PLAN]),
        ([], [NO_PLAN, NO_PLAN, NO_PLAN]),
    ],
)
def test_without_a_plan_of_issuance_there_is_no_forecast_of_that_month_and_later_ones(
    book, analyst, planned, lacks
):
    Plan.objects.exclude(period__in=[f"{month}-01" for month in planned]).delete()
    rows = ask(analyst, "2021-05-31")[1:]
    assert [row["buckets_lack"] for row in rows] == lacks
    assert [row["buckets_sum"] is None for row in rows] == [bool(lack) for lack in lacks]


@pytest.mark.parametrize(
    ("body", "planned", "expected"),
    [
        ("100", "0", (50, None)),  # 1 % of 10,000
        ("100.01", "0", (None, NO_MONTHS)),  # more than 1 % of 10,000.01
        ("100.01", "1", (50, None)),  # less than 1 % of 10,001.01
    ],
)
def test_a_bucket_that_owed_nothing_a_month_before_counts_0_up_to_a_hundredth(
    analyst, body, planned, expected
):
    pay_interest(lasting("2021-04-01", 9900), "2021-05", 50)
    builders.credit("2021-05-01", body)  # 16 days late on 31 May; on 30 April no credit was late
    plan_issuance("2021-06", planned)
    rows = ask(analyst, "2021-05-31")
    assert column(rows, "buckets_sum", "buckets_lack")["2021-06"] == expected


def test_what_is_not_learned_for_a_month_is_not_learned_for_later_ones(analyst):
    pay_interest(lasting("2021-04-01", 10_000), "2021-05", 50)
    builders.credit("2021-03-01", 1000)  # 46 days late on 30 April, 77 on 31 May
    plan_issuance("2021-06", 0, 0, 0)
    rows = ask(analyst, "2021-05-31")[1:]
    assert [(row["buckets_sum"], row["buckets_lack"]) for row in rows] == [(None, NO_MONTHS)] * 3


def test_the_first_month_of_a_book_teaches_nothing_about_what_is_owed(analyst, steady):
    pay_interest(steady, "2021-01", 10, 30)
    assert column(ask(analyst, "2021-01-31"), "buckets_sum", "buckets_lack")["2021-02"] == (None, NO_MONTHS)
    assert column(ask(analyst, "2021-02-28"), "buckets_sum", "buckets_lack")["2021-03"] == (30, None)


def test_before_anything_is_issued_nothing_is_learned_even_for_a_planned_issuance_of_0(analyst, steady):
    # On 1 January nothing was owed, and nothing was issued before.
    rows = ask(analyst, "2021-01-01")
    assert column(rows, "buckets_sum", "buckets_lack")["2021-01"] == (None, NO_MONTHS)


def test_a_month_without_issuance_teaches_nothing_about_new_credits(analyst, steady):
    pay_interest(steady, "2021-02", 30)
    for planned, expected in ((0, (30, None)), ("10.10", (30, None)), ("10.11", (None, NO_MONTHS))):
        # 10.10 is less than 1 % of 1,010.10; 10.11 is more than 1 % of 1,010.11.
        rows = ask(analyst, "2021-02-28", issuance=planned)
        assert column(rows, "buckets_sum", "buckets_lack")["2021-03"] == expected


def test_a_sum_is_rounded_once(analyst):
    lasting("2021-04-01", 700, actual_return_date=date(2021, 5, 1))
    pay_interest(lasting("2021-04-01", 300), "2021-05", "0.01")
    pay_interest(lasting("2021-05-01", 100), "2021-05", 1)
    plan_issuance("2021-06", "0.40")
    # In term 400 × 0.01 / 1000 = 0.004, and planned 0.40 × 1 / 100 = 0.004.
    assert column(ask(analyst, "2021-05-31"), "buckets_sum")["2021-06"] == 0.01


# What if


def test_another_planned_issuance_counts_for_the_months_ahead_only(book, analyst):
    builders.plan("2021-05", Dictionary.ISSUANCE, 7)
    before, rows = ask(analyst, "2021-05-31"), ask(analyst, "2021-05-31", issuance="1000")
    assert rows[0] == before[0]
    # June: 423 + 100. End of June: 810, 900, 648; July: 81 + 135 + 324 + 100.
    # End of July: 729, 900, 810; August: 72.9 + 135 + 405 + 100.
    assert column(rows, "issuance_plan_sum", "buckets_sum") == {
        "2021-05": (7, None),
        "2021-06": (1000, 523),
        "2021-07": (1000, 640),
        "2021-08": (1000, 712.9),
    }
    assert ask(analyst, "2021-05-31") == before


def test_within_a_month_another_planned_issuance_counts_for_it_too(book, analyst):
    assert column(ask(analyst, "2021-06-15", issuance="1000"), "buckets_sum")["2021-06"] == 523


def test_a_planned_issuance_of_0_is_a_plan(book, analyst):
    Plan.objects.all().delete()
    rows = ask(analyst, "2021-05-31", issuance="0")[1:]
    # End of June: 810, 0, 648; July: 81 + 324. End of July: 729; August: 72.9.
    assert [(row["buckets_sum"], row["buckets_lack"]) for row in rows] == [
        (423, None),
        (405, None),
        (72.9, None),
    ]
    parts = ask(analyst, "2021-05-31", "forecast_parts", issuance="0")
    assert {part["base_sum"] for part in parts if part["part"] == "planned issuance"} == {0}


@pytest.mark.parametrize("report", ["forecast", "forecast_parts"])
def test_a_planned_issuance_that_is_no_amount_is_refused(analyst, report):
    for issuance in ("", "-1", "many", "1e3", "1_000", "1 000", "1,5", "1.234", "1000000000000", "٣"):
        response = analyst.get(f"/api/v1/{report}", {"issuance": issuance})
        assert response.status_code == 400
        (fault,) = response.json()["errors"]
        assert (fault["parameter"], fault["found"]) == ("issuance", issuance)


def test_the_record_keeps_the_plans_of_its_months(analyst, steady):
    pay_interest(steady, "2021-02", 30, 40, 50)
    rows = [row for row in ask(analyst, "2021-04-30", issuance="7777") if row["is_over"]]
    assert rows == [row for row in ask(analyst, "2021-04-30") if row["is_over"]]


# By vintages


@pytest.fixture
def cohorts() -> dict[str, Credit]:
    """Cohorts without one of April 2021. That of January is too small to need a forecast of its own."""
    lent = {day: lasting(day, body) for day, body in COHORTS.items()}
    for cohort, *payment in (
        ("2021-01-05", "2021-02-05", "6.00"),
        ("2021-01-05", "2021-04-05", "2.00"),
        ("2021-01-05", "2021-05-05", "1.00"),
        ("2021-02-05", "2021-02-25", "100.00"),
        ("2021-02-05", "2021-03-05", "300.00"),
        ("2021-02-05", "2021-05-05", "400.00"),
        ("2021-03-05", "2021-02-28", "100.00"),  # before its issuance: at age 0
        ("2021-03-05", "2021-03-31", "300.00"),
    ):
        builders.payment(lent[cohort], *payment, kind=Dictionary.INTEREST)
    plan_issuance("2021-06", 4000)
    return lent


COHORTS = {"2021-01-05": 10, "2021-02-05": 1000, "2021-03-05": 2000, "2021-05-05": 500}
BY_COHORT = {
    "2021-01": (10, None, None),  # no cohort is older
    "2021-02": (1000, 10, 100),  # at age 4: January 1 of 10
    "2021-03": (2000, 30, 600),  # at age 3: January 2 of 10, February 400 of 1,000
    "2021-05": (500, 30, 150),  # at age 1: January 6 of 10, February 300 of 1,000, March 0
    "planned issuance": (4000, 10, 400),  # at age 0: February 100 of 1,000, March 400 of 2,000, May 0
}


def by_cohort(client: Any, on: str) -> dict[str, Any]:
    rows = [row for row in ask(client, on, "forecast_parts") if row["method"] == "vintages"]
    return {row["part"]: (row["base_sum"], row["share_percent"], row["expected_sum"]) for row in rows}


def test_each_cohort_gets_the_mean_share_of_up_to_three_cohorts_that_reached_its_next_age(cohorts, analyst):
    assert by_cohort(analyst, "2021-05-31") == BY_COHORT
    assert column(ask(analyst, "2021-05-31"), "vintages_sum", "vintages_lack")["2021-06"] == (1250, None)


def test_a_cohort_of_which_nothing_was_issued_is_no_peer(cohorts, analyst):
    empty = lasting("2021-04-05", 0)
    builders.payment(empty, "2021-04-06", 9)
    builders.payment(empty, "2021-05-06", 9)
    assert by_cohort(analyst, "2021-05-31") == BY_COHORT


def test_only_the_next_month_is_forecast_by_vintages(cohorts, analyst):
    plan_issuance("2021-07", 4000, 4000)
    rows = ask(analyst, "2021-05-31")[-2:]
    assert [(row["vintages_sum"], row["vintages_lack"]) for row in rows] == [(None, None)] * 2


def test_vintages_lack_a_plan_or_months(cohorts, analyst):
    names = ("vintages_sum", "vintages_lack")
    # The cohort of January, which can't be learned, owes 10 of 3,510.
    assert column(ask(analyst, "2021-05-31"), *names)["2021-06"] == (1250, None)
    cohorts["2021-01-05"].body = 100  # of 3,600
    cohorts["2021-01-05"].save()
    assert column(ask(analyst, "2021-05-31"), *names)["2021-06"] == (None, NO_MONTHS)
    builders.payment(cohorts["2021-01-05"], "2021-05-31", 90)  # 10 of 3,510 are left again
    assert column(ask(analyst, "2021-05-31"), *names)["2021-06"][1] is None
    Plan.objects.all().delete()
    assert column(ask(analyst, "2021-05-31"), *names)["2021-06"] == (None, NO_PLAN)


# The usual course


@pytest.fixture
def course() -> Credit:
    """Six months of which 10, 20, …, 60 % were paid by the tenth day, and 70 paid by it in July."""
    credit = lasting("2021-01-01", 1000)
    for number, month in enumerate(months("2021-01", 6), start=1):
        builders.payment(credit, f"{month}-10", 10 * number)
        builders.payment(credit, f"{month}-11", 100 - 10 * number)
    builders.payment(credit, "2021-07-10", 70)
    return credit


def test_the_usual_course_is_collected_so_far_by_the_usual_share(course, analyst):
    # By the tenth day 35 % is usually there, and by the ninth nothing.
    rows = ask(analyst, "2021-07-10")
    assert column(rows, "usual_sum", "actual_sum")["2021-07"] == (200, 70)
    assert {row["usual_sum"] for row in rows if row["month"] != "2021-07"} == {None}
    assert column(ask(analyst, "2021-07-09"), "usual_sum", "actual_sum")["2021-07"] == (None, 0)
    assert column(ask(analyst, "2021-07-30"), "usual_sum")["2021-07"] == 70


def test_the_usual_course_needs_six_months_with_a_payment(course, analyst):
    assert column(ask(analyst, "2021-06-10"), "usual_sum")["2021-06"] is None
    Payment.objects.filter(payment_date__range=("2021-03-01", "2021-03-31")).delete()
    assert column(ask(analyst, "2021-07-10"), "usual_sum")["2021-07"] is None


def test_on_the_last_day_a_month_is_over(course, analyst):
    rows = ask(analyst, "2021-07-31")
    assert column(rows, "is_over", "usual_sum", "actual_sum")["2021-07"] == (True, None, 70)
    assert column(rows, "months_ahead", "usual_sum", "actual_sum")["2021-08"] == (1, None, None)


# The record


def of_errors(plan: Any, buckets: Any) -> dict[str, Any]:
    """Returns errors of which vintages have none."""
    return {
        "plan_error_percent": plan,
        "buckets_error_percent": buckets,
        "vintages_error_percent": None,
    }


def test_the_record_has_what_was_forecast_planned_and_collected_and_the_errors(analyst, steady):
    pay_interest(steady, "2021-02", 100, 200, 250, 200)
    for month in months("2021-03", 3):
        builders.plan(month, Dictionary.COLLECTION, 150)
    rows = ask(analyst, "2021-05-31")
    names = ("plan_sum", "plan_error_percent", "buckets_sum", "buckets_error_percent", "actual_sum")
    assert column(rows, *names) == {
        "2021-02": (None, None, None, None, 100),
        "2021-03": (150, 25, 100, 50, 200),
        "2021-04": (150, 40, 200, 20, 250),
        "2021-05": (150, 25, 250, 25, 200),
        "2021-06": (None, None, 200, None, None),
        "2021-07": (None, None, 200, None, None),
        "2021-08": (None, None, 200, None, None),
    }
    # The only cohort has no older one to learn from.
    assert {row["vintages_error_percent"] for row in rows} == {None}
    assert totals(compute(date(2021, 5, 31), None, TODAY)) == [
        {"month": "mean", **of_errors(30, Decimal("31.67"))},
        {"month": "median", **of_errors(25, 25)},
        {"month": "worst", **of_errors(40, 50)},
    ]


def test_the_record_has_errors_of_vintages(analyst, cohorts):
    builders.payment(cohorts["2021-05-05"], "2021-06-05", 1000)
    found = column(ask(analyst, "2021-06-30"), "vintages_sum", "actual_sum", "vintages_error_percent")
    assert found["2021-06"] == (1250, 1000, 25)


def test_a_month_without_payments_has_no_errors(analyst, steady):
    pay_interest(steady, "2021-02", 100)
    builders.plan("2021-03", Dictionary.COLLECTION, 150)
    names = ("actual_sum", "plan_sum", "buckets_sum", "plan_error_percent", "buckets_error_percent")
    assert column(ask(analyst, "2021-03-31"), *names)["2021-03"] == (0, 150, 100, None, None)
    rows = compute(date(2021, 3, 31), None, TODAY)
    assert totals(rows) == [{"month": name, **of_errors(None, None)} for name in ("mean", "median", "worst")]
    html = page(analyst, check_date="2021-03-31")
    errors = re.findall(r'<tr class="total">(.*?)</tr>', html, re.DOTALL)[:3]
    assert [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in errors] == [["", *["–"] * 3]] * 3


def test_the_record_begins_with_the_first_payment_and_has_at_most_18_months(analyst, steady):
    pay_interest(steady, "2021-03", *[100] * 19)
    for on, first, count in (
        ("2020-12-31", None, 0),
        ("2021-02-28", "2021-02", 3),  # the months after the last of the book
        ("2021-03-14", "2021-02", 3),
        ("2021-03-15", "2021-03", 3),  # the month itself and two more
        ("2021-03-31", "2021-03", 4),
        ("2021-04-01", "2021-03", 4),
        ("2022-08-31", "2021-03", 21),
        ("2022-09-30", "2021-04", 21),
    ):
        found = [row["month"] for row in ask(analyst, on)]
        assert found == (months(first, count) if first else []), on


# The band


def test_the_band_needs_six_earlier_forecasts_as_far_ahead(analyst, steady):
    # A month ahead, actual / forecast is 2, 1/2, 2, … for March to September; two months ahead it is 1.
    pay_interest(steady, "2021-02", 100, 200, 100, 200, 100, 200, 100, 200)
    rows = ask(analyst, "2021-09-30")
    assert column(rows, "buckets_sum", "low_sum", "high_sum") == {
        "2021-02": (None, None, None),
        "2021-03": (100, None, None),
        "2021-04": (200, None, None),
        "2021-05": (100, None, None),
        "2021-06": (200, None, None),
        "2021-07": (100, None, None),
        "2021-08": (200, None, None),  # March to July are five
        "2021-09": (100, 50, 200),  # March to August
        "2021-10": (200, 100, 400),
        "2021-11": (200, 200, 200),  # two months ahead: April to September
        "2021-12": (200, None, None),  # three months ahead: May to September are five
    }


def test_the_band_forgets_what_is_older_than_18_months(analyst, steady):
    pay_interest(steady, "2021-02", 10, *[100] * 20)  # ten times the forecast of March 2021
    assert column(ask(analyst, "2022-08-31"), "low_sum", "high_sum")["2022-09"] == (100, 1000)
    assert column(ask(analyst, "2022-09-30"), "low_sum", "high_sum")["2022-10"] == (100, 100)
    # The first month of the record has the band that it had then.
    assert column(ask(analyst, "2024-02-29"), "low_sum", "high_sum")["2022-09"] == (100, 1000)


# The parts


@pytest.mark.parametrize("on", ["2021-05-31", "2021-06-30", "2021-07-15"])
def test_the_parts_add_up_to_the_forecast(cohorts, analyst, on):
    pay_interest(cohorts["2021-05-05"], "2021-06", "33.33")
    for params in ({}, {"issuance": "12345.67"}):
        (row, *_later) = (row for row in ask(analyst, on, **params) if not row["is_over"])
        parts = ask(analyst, on, "forecast_parts", **params)
        assert {part["month"] for part in parts} == {row["month"]}
        for method in ("buckets", "vintages"):
            of_method = [part for part in parts if part["method"] == method]
            assert of_method[-1]["base_sum"] == row["issuance_plan_sum"]
            if row[f"{method}_sum"] is not None:
                found = sum(part["expected_sum"] or 0 for part in of_method)
                assert found == pytest.approx(row[f"{method}_sum"], abs=0.005 * len(of_method))


def test_without_a_plan_the_planned_issuance_has_a_share_but_no_base(book, analyst):
    Plan.objects.all().delete()
    rows = [row for row in ask(analyst, "2021-05-31", "forecast_parts") if row["part"] == "planned issuance"]
    names = ("method", "base_sum", "share_percent", "expected_sum")
    # By vintages: nothing of March and April was paid at age 0, and a tenth of May.
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("buckets", None, 10, None),
        ("vintages", None, 3.33, None),
    ]


# No look-ahead


@pytest.fixture
def long_book() -> None:
    """Credits of ten months, in and past their terms, some returned, and plans for these months and later."""
    with writing():
        lasting("2020-11-01", 10)
        large = lasting("2020-12-01", 200_000)
        for number, month in enumerate(months("2021-01", 10), start=1):
            credit = builders.credit(f"{month}-05", 1000 + number)
            if number % 3 == 0:
                credit.actual_return_date = date(2021, number, 28)
                credit.save()
            builders.payment(credit, f"{month}-08", 100 + number)
            builders.payment(credit, f"2021-{number + 1:02}-20", 50 + number)
            builders.payment(large, f"{month}-10", 500 + 7 * number, Dictionary.INTEREST)
            builders.plan(month, Dictionary.COLLECTION, 900)
    plan_issuance("2021-01", *range(1000, 1013))


@pytest.mark.parametrize("on", ["2021-07-31", "2021-08-15"])
@pytest.mark.parametrize("params", [{}, {"issuance": "500"}])
def test_nothing_that_happens_later_changes_a_forecast(long_book, analyst, on, params):
    def answers() -> list[bytes]:
        asked = {"check_date": on, **params}
        return [analyst.get(f"/api/v1/{name}", asked).content for name in ("forecast", "forecast_parts")]

    before = answers()
    found = column(ask(analyst, on, **params), "buckets_sum", "low_sum", "high_sum", "vintages_sum")
    assert None not in found["2021-08"]
    # Of what came later, nothing came,
    with writing():
        Payment.objects.filter(payment_date__gt=on).delete()
        Credit.objects.filter(issuance_date__gt=on).delete()
        Credit.objects.filter(actual_return_date__gt=on).update(actual_return_date=None)
    assert answers() == before
    # and then other things came.
    with writing():
        for credit in Credit.objects.filter(actual_return_date=None):
            builders.payment(credit, "2021-08-16", 60)
            credit.actual_return_date = date(2021, 8, 16)
            credit.save()
        for day in ("2021-08-16", "2021-08-31", "2021-09-30", "2022-02-01"):
            builders.payment(builders.credit(day, 9999), day, 77, Dictionary.INTEREST)
    assert answers() == before


def test_a_later_day_repeats_the_forecasts_of_earlier_ones(long_book, analyst):
    names = ("buckets_sum", "low_sum", "high_sum", "vintages_sum", "buckets_lack", "vintages_lack")
    found = column(ask(analyst, "2021-09-30"), *names)
    for end in ("2021-05-31", "2021-06-30", "2021-07-31", "2021-08-31"):
        rows = column([row for row in ask(analyst, end) if row["months_ahead"] == 1], *names)
        assert rows == {month: found[month] for month in rows}


# Books and days at the edges


@pytest.mark.parametrize("on", ["0001-01-01", "0001-01-31", "2021-06-15", "9999-12-31"])
def test_an_empty_book_has_no_forecast(analyst, on):
    assert ask(analyst, on) == []
    assert {part["expected_sum"] for part in ask(analyst, on, "forecast_parts")} <= {None}
    for report in ("forecast", "forecast_parts"):
        assert analyst.get(f"/api/v1/{report}").json() == []


def test_without_a_date_the_forecast_is_that_of_the_last_day_of_the_book(book, analyst):
    assert analyst.get("/api/v1/forecast").json() == ask(analyst, "2021-05-31")


@pytest.mark.parametrize("on", ["0001-01-01", "0001-01-31", "0001-02-28", "2020-12-31"])
def test_before_the_book_there_is_no_forecast(book, analyst, on):
    assert ask(analyst, on) == ask(analyst, on, "forecast_parts") == []


@pytest.mark.parametrize("on", ["2021-07-15", "2021-09-30", "2031-05-05", "9999-11-30", "9999-12-31"])
def test_months_after_the_last_of_the_book_are_not_over_and_teach_nothing(book, analyst, on):
    known, later = ask(analyst, "2021-05-31"), ask(analyst, on)
    so_far = {row["month"]: 0 for row in later if row["month"] <= on[:7] and not row["is_over"]}
    assert later == [row | {"actual_sum": so_far.get(row["month"], row["actual_sum"])} for row in known]
    assert ask(analyst, on, "forecast_parts") == ask(analyst, "2021-05-31", "forecast_parts")


def test_the_reports_take_few_queries(book, django_assert_num_queries):
    with django_assert_num_queries(6):
        assert len(compute(date(2021, 6, 15), None, TODAY)) == 4
    with django_assert_num_queries(5):
        assert compute(date(2021, 5, 31), None, TODAY)
    with django_assert_num_queries(4):
        assert forecast_parts.compute(date(2021, 6, 15), None, TODAY)
    with django_assert_num_queries(3):
        assert forecast_parts.compute(date(2021, 6, 15), Decimal(5), TODAY)


# The page


def page(client: Any, **params: Any) -> str:
    response = client.get("/reports/forecast/", params)
    assert response.status_code == 200
    return unescape(response.content.decode()).replace("\u00a0", " ").replace("\u202f", " ")


def test_the_page_links_each_part_to_the_rows_that_it_is_learned_from(book, analyst):
    html = page(analyst, check_date="2021-05-31")
    buckets = html[html.index('<h2 id="buckets">') : html.index('<h2 id="vintages">')]
    late = buckets[buckets.index("31 to 60") :]
    paid = "/reports/payments/?paid_from=2021-05-01&paid_to=2021-05-31"
    assert re.findall(r'<a href="([^"]+)">', late)[:3] == [
        "/reports/credits/?state=open&check_date=2021-05-31&due_from=2021-04-01&due_to=2021-04-30",
        f"{paid}&issued_to=2021-04-30&due_from=2021-03-01&due_to=2021-03-30",
        "/reports/credits/?state=open&check_date=2021-04-30&due_from=2021-03-01&due_to=2021-03-30",
    ]
    new = buckets[buckets.index("planned issuance, as issued in 2021-05") :]
    assert re.findall(r'<a href="([^"]+)">', new) == [
        f"{paid}&issued_from=2021-05-01&issued_to=2021-05-31",
        "/reports/credits/?issued_from=2021-05-01&issued_to=2021-05-31",
    ]


def test_the_page_says_why_there_is_no_forecast(book, analyst):
    Plan.objects.all().delete()
    html = page(analyst, check_date="2021-05-31")
    ahead = html[html.index("The months ahead") : html.index("How near such forecasts were")]
    assert ahead.count(NO_PLAN) == 3 + 1  # by buckets, and the first month by vintages
    assert html.count(NO_PLAN) > 4  # also in place of the sums of the parts


def test_the_page_asks_what_another_issuance_would_bring(book, analyst):
    html = page(analyst, check_date="2021-05-31", issuance="1234.5")
    assert "What if 1 234.50 UAH is issued each month?" in html
    assert '<a href="?check_date=2021-05-31">With the plans of issuance</a>' in html
    assert 'name="issuance" value="1234.5"' in html
    assert "What if" not in page(analyst, check_date="2021-05-31")
    assert not Plan.objects.filter(sum="1234.5").exists()


def test_the_chart_has_the_forecast_the_collected_sums_the_plan_and_the_band(analyst, steady):
    pay_interest(steady, "2021-02", *[100] * 11)
    html = page(analyst, check_date="2021-12-31")
    chart = html[html.index('<figure class="chart">') : html.index("</figure>")]
    for key in ("forecast by buckets", "collected", "plan", "range of past errors"):
        assert key in chart
    assert '<polygon class="band"' in chart
    assert re.search(r"rougher.*rougher", html, re.DOTALL)


def test_the_downloads_have_the_rows_of_the_record_and_of_the_months_ahead(book, analyst):
    lines = analyst.get("/reports/forecast/?check_date=2021-05-31&format=csv").getvalue().decode("utf-8-sig")
    assert lines.splitlines()[0] == ",".join(COLUMNS)
    rows = ask(analyst, "2021-05-31")
    assert [line.split(",")[0] for line in lines.splitlines()[1:]][: len(rows)] == [
        row["month"] for row in rows
    ]
