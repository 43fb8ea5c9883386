"""User credits: every figure is calculated by hand."""

from datetime import UTC, date, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from credits.models import Dictionary

from . import builders

pytestmark = pytest.mark.django_db

INTEREST = Dictionary.INTEREST


def at(now):
    """Stops the clock at the given time."""
    return time_machine.travel(now, tick=False)


def ask(client, borrower):
    return client.get(f"/user_credits/{borrower.pk}")


@pytest.fixture
def anna():
    """A borrower with a closed credit, paid on several days, and an open credit due on 15 June 2021."""
    anna = builders.borrower()
    closed = builders.credit(
        "2021-01-10", "1000.50", borrower=anna, percent="420.25", actual_return_date=date(2021, 1, 20)
    )
    builders.payment(closed, "2021-01-15", "0.10")
    builders.payment(closed, "2021-01-20", "1000.40")
    builders.payment(closed, "2021-01-15", "0.20", INTEREST)
    builders.payment(closed, "2021-01-20", "419.90", INTEREST)
    opened = builders.credit("2021-06-01", "2000", borrower=anna, percent="5")
    builders.payment(opened, "2021-06-10", "0.10")
    builders.payment(opened, "2021-06-11", "0.20")
    builders.payment(opened, "2021-06-11", "4.70", INTEREST)
    return anna


def test_a_row_for_each_credit(anna, analyst):
    first, second = anna.credits.order_by("pk")
    with at(datetime(2021, 6, 18, 12, tzinfo=UTC)):
        rows = ask(analyst, anna).json()
    assert rows == [
        {
            "credit_id": first.pk,
            "issuance_date": "2021-01-10",
            "is_closed": True,
            "actual_return_date": "2021-01-20",
            "return_date": "2021-01-24",
            "overdue_days": None,
            "body": 1000.5,
            "percent": 420.25,
            "total_payments": 1420.6,
            "body_payments": None,
            "percent_payments": None,
        },
        {
            "credit_id": second.pk,
            "issuance_date": "2021-06-01",
            "is_closed": False,
            "actual_return_date": None,
            "return_date": "2021-06-15",
            "overdue_days": 3,
            "body": 2000,
            "percent": 5,
            "total_payments": None,
            "body_payments": 0.3,
            "percent_payments": 4.7,
        },
    ]


def test_fields_have_the_order_of_the_contract(anna, analyst):
    assert list(ask(analyst, anna).json()[0]) == [
        "credit_id",
        "issuance_date",
        "is_closed",
        "actual_return_date",
        "return_date",
        "overdue_days",
        "body",
        "percent",
        "total_payments",
        "body_payments",
        "percent_payments",
    ]


@pytest.mark.parametrize(
    ("now", "days"),
    [
        # Midnight in Kyiv is 21:00 UTC in summer.
        (datetime(2021, 6, 1, 12, tzinfo=UTC), 0),
        (datetime(2021, 6, 15, 20, 59, 59, tzinfo=UTC), 0),
        (datetime(2021, 6, 15, 21, 0, 0, tzinfo=UTC), 1),
        (datetime(2021, 6, 16, 20, 59, 59, tzinfo=UTC), 1),
        (datetime(2021, 6, 16, 21, 0, 0, tzinfo=UTC), 2),
        # And 22:00 UTC in winter.
        (datetime(2021, 12, 31, 21, 59, 59, tzinfo=UTC), 199),
        (datetime(2021, 12, 31, 22, 0, 0, tzinfo=UTC), 200),
    ],
)
def test_an_open_credit_is_overdue_by_the_days_since_its_deadline_in_kyiv(anna, analyst, now, days):
    with at(now):
        _, opened = ask(analyst, anna).json()
    assert opened["overdue_days"] == days


def test_today_is_the_date_in_the_time_zone_of_the_settings(anna, analyst, settings):
    settings.TIME_ZONE = "America/New_York"  # midnight is 04:00 UTC in summer
    with at(datetime(2021, 6, 16, 3, 59, tzinfo=UTC)):
        assert ask(analyst, anna).json()[1]["overdue_days"] == 0
    with at(datetime(2021, 6, 16, 4, 0, tzinfo=UTC)):
        assert ask(analyst, anna).json()[1]["overdue_days"] == 1


def test_all_payments_count_whatever_their_date(anna, analyst):
    opened = anna.credits.order_by("pk").last()
    builders.payment(opened, "2999-12-31", "10")
    builders.payment(opened, "2021-06-01", "10", INTEREST)
    _, row = ask(analyst, anna).json()
    assert (row["body_payments"], row["percent_payments"]) == (10.3, 14.7)


def test_credits_without_payments_have_sums_of_zero(analyst):
    borrower = builders.borrower()
    builders.credit(borrower=borrower)
    builders.credit(borrower=borrower, actual_return_date=date(2021, 6, 2))
    opened, closed = ask(analyst, borrower).json()
    names = ("total_payments", "body_payments", "percent_payments")
    assert [opened[name] for name in names] == [None, 0, 0]
    assert [closed[name] for name in names] == [0, None, None]


def test_a_credit_returned_after_its_deadline_is_closed_and_not_overdue(analyst):
    credit = builders.credit(actual_return_date=date(2021, 12, 31))
    (row,) = ask(analyst, credit.borrower).json()
    assert (row["is_closed"], row["overdue_days"]) == (True, None)


def test_an_open_credit_paid_in_full_stays_open(analyst):
    credit = builders.credit("2021-06-01", "1000")
    builders.payment(credit, "2021-06-02", "1000")
    with at(datetime(2021, 6, 20, tzinfo=UTC)):
        (row,) = ask(analyst, credit.borrower).json()
    assert (row["is_closed"], row["overdue_days"], row["body_payments"]) == (False, 5, 1000)


def test_credits_are_sorted_by_id_not_date(analyst):
    borrower = builders.borrower()
    later = builders.credit("2021-06-02", borrower=borrower)
    sooner = builders.credit("2021-06-01", borrower=borrower)
    assert [row["credit_id"] for row in ask(analyst, borrower).json()] == [later.pk, sooner.pk]


def test_credits_of_other_borrowers_are_not_shown(anna, analyst):
    other = builders.credit()
    builders.payment(other, "2021-06-02", "1")
    assert [row["credit_id"] for row in ask(analyst, other.borrower).json()] == [other.pk]
    assert len(ask(analyst, anna).json()) == 2


def test_a_borrower_without_credits_has_an_empty_list(analyst):
    response = ask(analyst, builders.borrower())
    assert (response.status_code, response.json()) == (200, [])


@pytest.mark.parametrize("number", [404, 2**63 - 1])
def test_an_unknown_borrower_is_not_found(anna, analyst, number):
    response = analyst.get(f"/user_credits/{number}")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    problem = response.json()
    assert problem.pop("detail")
    assert problem == {"type": "about:blank", "title": "Not Found", "status": 404}


@pytest.mark.parametrize("number", [2**63, 10**100])
def test_an_id_too_large_for_the_database_is_not_found(analyst, number):
    response = analyst.get(f"/user_credits/{number}")
    assert response.status_code in (400, 404)
    assert response["Content-Type"] == "application/problem+json"


def test_the_report_takes_two_queries_for_any_number_of_credits(anna, analyst):
    for _ in range(10):
        builders.payment(builders.credit(borrower=anna), "2021-06-02", "1")
    with CaptureQueriesContext(connection) as captured:
        assert len(ask(analyst, anna).json()) == 12
    assert len([query for query in captured if "credits_" in query["sql"]]) == 2


def test_both_addresses_return_the_same(anna, analyst):
    assert ask(analyst, anna).content == analyst.get(f"/api/v1/user_credits/{anna.pk}").content
