"""Generated books: the reports equal the same figures calculated row by row in Decimal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
import time_machine
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credits.models import Borrower, Credit, Payment
from plans.models import Plan

pytestmark = pytest.mark.django_db

any_books = settings(
    max_examples=50,
    deadline=None,
    # Each example deletes what it stored, so they can share a database. No deadline: machines may be slow.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

CATEGORIES = {3: "видача", 4: "збір"}

# Around the ends of years and of a leap February, so that the edges of months and years are tested.
days = st.one_of(
    st.dates(date(2019, 12, 28), date(2020, 3, 3)),
    st.dates(date(2020, 12, 28), date(2021, 2, 3)),
    st.sampled_from([date(1900, 1, 1), date(2020, 2, 29), date(2020, 6, 15), date(2999, 12, 31)]),
)


def money(least: int):
    """Generates amounts from this many kopecks to the maximum, often near the minimum."""
    kopecks = st.integers(least, least + 300) | st.integers(least, 10**14 - 1)
    return kopecks.map(lambda number: Decimal(number).scaleb(-2))


nothing = st.just(Decimal("0.00"))


@dataclass
class Book:
    """Credits: borrower, issued, days to the deadline, days to the return, body, interest. Payments: credit,
    paid, type, sum. Borrowers and credits are numbered from 0.
    """

    borrowers: int
    credits: list[tuple[int, date, int, int | None, Decimal, Decimal]]
    payments: list[tuple[int, date, int, Decimal]]
    plans: dict[tuple[date, int], Decimal]


@st.composite
def books(draw):
    borrowers = draw(st.integers(1, 3))
    credit = st.tuples(
        st.integers(0, borrowers - 1),
        days,
        st.integers(0, 60),
        st.none() | st.integers(0, 90),
        nothing | money(1),
        nothing | money(1),
    )
    issued = draw(st.lists(credit, min_size=1, max_size=8))
    payment = st.tuples(st.integers(0, len(issued) - 1), days, st.sampled_from([1, 2]), money(1))
    months = days.map(lambda day: day.replace(day=1))
    target = st.tuples(months, st.sampled_from([3, 4]))
    # The minimal plan keeps percentages within the 15 digits that JSON numbers keep exactly.
    plans = draw(st.dictionaries(target, nothing | money(100_00), max_size=6))
    return Book(borrowers, issued, draw(st.lists(payment, max_size=8)), plans)


@contextmanager
def stored(book: Book) -> Iterator[list[Borrower]]:
    """Stores the book in the database, and deletes it afterwards."""
    with transaction.atomic():
        borrowers = [
            Borrower.objects.create(login=f"borrower{number}", registration_date=date(2000, 1, 1))
            for number in range(book.borrowers)
        ]
        issued = [
            Credit.objects.create(
                borrower=borrowers[borrower],
                issuance_date=day,
                return_date=later(day, due),
                actual_return_date=None if returned is None else later(day, returned),
                body=body,
                percent=interest,
            )
            for borrower, day, due, returned, body, interest in book.credits
        ]
        Payment.objects.bulk_create(
            Payment(credit=issued[credit], payment_date=day, type_id=kind, sum=amount)
            for credit, day, kind, amount in book.payments
        )
        Plan.objects.bulk_create(
            Plan(period=period, category_id=category, sum=amount)
            for (period, category), amount in book.plans.items()
        )
        yield borrowers
        transaction.set_rollback(True)


def later(day: date, number: int) -> date:
    return day + timedelta(days=number)


def asked(client, address):
    """Returns the response with numbers as text."""
    response = client.get(address)
    assert response.status_code == 200
    return json.loads(response.content, parse_float=Decimal)


def total(amounts):
    return sum(amounts, Decimal(0))


def ratio(part, whole):
    if whole == 0:
        return None
    return (part / whole * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


@any_books
@given(book=books(), year=st.sampled_from([1900, 2019, 2020, 2021, 2999]))
def test_year_performance(analyst, book, year):
    def of_month(rows, month):
        return [amount for day, amount in rows if (day.year, day.month) == (year, month)]

    issued = [(day, body) for _, day, _, _, body, _ in book.credits]
    paid = [(day, amount) for _, day, _, amount in book.payments]
    issued_in_year = total(amount for day, amount in issued if day.year == year)
    paid_in_year = total(amount for day, amount in paid if day.year == year)
    expected = []
    for month in range(1, 13):
        issuances, payments = of_month(issued, month), of_month(paid, month)
        targets = [book.plans.get((date(year, month, 1), category)) for category in CATEGORIES]
        if issuances or payments or targets != [None, None]:
            to_issue, to_collect = (target or Decimal(0) for target in targets)
            expected.append(
                {
                    "month_year": f"{year}-{month:02}",
                    "issuance_count": len(issuances),
                    "plan_issuance_sum": to_issue,
                    "actual_issuance_sum": total(issuances),
                    "issuance_performance_percent": ratio(total(issuances), to_issue),
                    "payment_count": len(payments),
                    "plan_collection_sum": to_collect,
                    "actual_collection_sum": total(payments),
                    "collection_performance_percent": ratio(total(payments), to_collect),
                    "issuance_percent_of_year": ratio(total(issuances), issued_in_year),
                    "collection_percent_of_year": ratio(total(payments), paid_in_year),
                }
            )
    with stored(book):
        assert asked(analyst, f"/year_performance?year={year}") == expected


@any_books
@given(book=books(), day=days)
def test_plans_performance(analyst, book, day):
    expected = []
    for (period, category), target in sorted(book.plans.items()):
        if category == 3:
            rows = [(when, body) for _, when, _, _, body, _ in book.credits]
        else:
            rows = [(when, amount) for _, when, _, amount in book.payments]
        done = total(
            amount
            for when, amount in rows
            if when <= day and (when.year, when.month) == (period.year, period.month)
        )
        if period <= day:
            expected.append(
                {
                    "month": period.isoformat(),
                    "category": CATEGORIES[category],
                    "plan_sum": target,
                    "actual_sum": done,
                    "performance_percent": ratio(done, target),
                }
            )
    with stored(book):
        assert asked(analyst, f"/plans_performance?check_date={day}") == expected


@any_books
@given(book=books(), today=st.dates(date(2019, 12, 1), date(2021, 6, 1)))
def test_user_credits(analyst, book, today):
    def paid(credit, *kinds):
        return total(amount for of, _, kind, amount in book.payments if of == credit and kind in kinds)

    with stored(book) as borrowers:
        first = Credit.objects.earliest("pk").pk
        for borrower in range(book.borrowers):
            expected = []
            for number, (of, issued, due, returned, body, interest) in enumerate(book.credits):
                if of != borrower:
                    continue
                is_open = returned is None
                deadline = later(issued, due)
                expected.append(
                    {
                        "credit_id": first + number,
                        "issuance_date": issued.isoformat(),
                        "is_closed": not is_open,
                        "actual_return_date": None if is_open else later(issued, returned).isoformat(),
                        "return_date": deadline.isoformat(),
                        "overdue_days": max(0, (today - deadline).days) if is_open else None,
                        "body": body,
                        "percent": interest,
                        "total_payments": None if is_open else paid(number, 1, 2),
                        "body_payments": paid(number, 1) if is_open else None,
                        "percent_payments": paid(number, 2) if is_open else None,
                    }
                )
            with time_machine.travel(
                datetime(today.year, today.month, today.day, 12, tzinfo=UTC), tick=False
            ):
                assert asked(analyst, f"/user_credits/{borrowers[borrower].pk}") == expected
