"""Reports on the health of the book: all equal plain Python over the rows, and they agree with each other."""

import json
import os
import random
import re
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from io import StringIO
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import transaction
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credits.models import Borrower, Credit, Payment
from plans.models import Plan
from reports import urls
from reports.templatetags.figures import count, money, percent

from . import builders

pytestmark = pytest.mark.django_db

any_books = settings(
    max_examples=25,
    deadline=None,
    # Each example deletes what it stored, so they can share a database. No deadline: machines may be slow.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

GRACES = (0, 7, 30, 60, 90)
BUCKETS = {
    "current": 0,
    "1 to 30": 30,
    "31 to 60": 60,
    "61 to 90": 90,
    "91 to 180": 180,
    "181 to 360": 360,
    "over 360": 10**6,
}
ZERO = Decimal(0)


# The same figures in plain Python


@dataclass(eq=False)
class Loan:
    borrower: int
    issued: date
    due: date
    returned: date | None
    body: Decimal
    interest: Decimal
    payments: list[tuple[date, int, Decimal]] = field(default_factory=list)
    history: str = ""

    def paid(self, until: date, *kinds: int) -> Decimal:
        return sum((amount for day, kind, amount in self.payments if day <= until and kind in kinds), ZERO)

    def is_open(self, day: date) -> bool:
        return self.issued <= day and (self.returned is None or self.returned > day)

    def owed(self, day: date) -> Decimal:
        return max(self.body - self.paid(day, 1), ZERO) if self.is_open(day) else ZERO

    def bucket(self, day: date) -> str:
        return next(name for name, most in BUCKETS.items() if (day - self.due).days <= most)

    def in_time(self, grace: int) -> bool:
        return self.returned is not None and self.returned <= self.due + timedelta(grace)


def loans() -> list[Loan]:
    """Reads all credits and payments from the database."""
    columns = ("pk", "borrower_id", "issuance_date", "return_date", "actual_return_date", "body", "percent")
    found = {pk: Loan(*values) for pk, *values in Credit.objects.values_list(*columns)}
    for credit, *payment in Payment.objects.values_list("credit_id", "payment_date", "type_id", "sum"):
        found[credit].payments.append(tuple(payment))
    of_borrowers = defaultdict(list)
    for loan in found.values():
        of_borrowers[loan.borrower].append(loan)
    for loan in found.values():
        loan.history = history(loan, of_borrowers[loan.borrower])
    return list(found.values())


def history(loan: Loan, of_borrower: list[Loan]) -> str:
    earlier = [each for each in of_borrower if each.issued < loan.issued]
    if any(each.due + timedelta(30) <= loan.issued and not each.in_time(30) for each in earlier):
        return "late_before"
    return "returning" if earlier else "new"


def name_of(month: date) -> str:
    return f"{month:%Y-%m}"


def end_of(month: date, later: int = 0) -> date:
    """Returns the last day of a month, or of one some months later."""
    number = month.year * 12 + month.month - 1 + later
    year, index = divmod(number, 12)
    return date(year, index + 1, monthrange(year, index + 1)[1])


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    return (part * 100 / whole).quantize(Decimal("0.01"), ROUND_HALF_UP) if whole else None


def total(amounts: Any) -> Decimal:
    return sum(amounts, ZERO)


def ageing(book: list[Loan], day: date) -> dict[str, tuple[int, Decimal]]:
    """Returns {bucket: (credits, outstanding)}."""
    found = {}
    for name in BUCKETS:
        within = [loan for loan in book if loan.is_open(day) and loan.bucket(day) == name]
        found[name] = (len(within), total(loan.owed(day) for loan in within))
    return found


def vintages(book: list[Loan], day: date) -> list[dict[str, Any]]:
    cohorts = defaultdict(list)
    for loan in book:
        if loan.issued <= day:
            cohorts[loan.issued.replace(day=1)].append(loan)
    rows = []
    for month, cohort in sorted(cohorts.items()):
        issued = total(loan.body for loan in cohort)
        age, broke_even = 0, False
        while end_of(month, age).replace(day=1) <= day:
            until = min(end_of(month, age), day)
            recovered = total(loan.paid(until, 1) for loan in cohort)
            collected = total(loan.paid(until, 1, 2) for loan in cohort)
            rows.append(
                {
                    "cohort": name_of(month),
                    "age": age,
                    "credits": len(cohort),
                    "issued": issued,
                    "recovered_sum": recovered,
                    "recovered_percent": ratio(recovered, issued),
                    "collected_sum": collected,
                    "collected_percent": ratio(collected, issued),
                    "until": until.isoformat(),
                    "multiple": ratio(collected / 100, issued),
                    "breaks_even": collected >= issued and not broke_even,
                }
            )
            broke_even = broke_even or collected >= issued
            age += 1
    return rows


def due_cells(book: list[Loan], day: date) -> Iterator[tuple[str, int, list[Loan]]]:
    """Yields (month due, grace, credits) for the credits whose grace has passed by the day."""
    for month in sorted({name_of(loan.due) for loan in book}):
        for grace in GRACES:
            due = [loan for loan in book if name_of(loan.due) == month and loan.due + timedelta(grace) <= day]
            if due:
                yield month, grace, due


def efficiency(book: list[Loan], day: date) -> list[dict[str, Any]]:
    rows = []
    for month, grace, due in due_cells(book, day):
        body = total(loan.body for loan in due)
        paid = total(loan.paid(loan.due + timedelta(grace), 1) for loan in due)
        rows.append(
            {
                "month_due": month,
                "grace": grace,
                "credits": len(due),
                "body": body,
                "paid": paid,
                "efficiency_percent": ratio(paid, body),
            }
        )
    return rows


def defaults(book: list[Loan], day: date) -> list[dict[str, Any]]:
    rows = []
    for month, grace, due in due_cells(book, day):
        for name in ("new", "returning", "late_before"):
            of_kind = [loan for loan in due if loan.history == name]
            if of_kind:
                late = sum(not loan.in_time(grace) for loan in of_kind)
                rows.append(
                    {
                        "month_due": month,
                        "grace": grace,
                        "history": name,
                        "credits": len(of_kind),
                        "defaulted": late,
                        "default_percent": ratio(Decimal(late), Decimal(len(of_kind))),
                    }
                )
    return rows


def rolls(book: list[Loan], month: date) -> dict[tuple[str, str], tuple[int, Decimal, Decimal]]:
    """Returns {(from bucket, to bucket or closed): (credits, opening, closing)} of one month."""
    before, end = end_of(month, -1), end_of(month)
    found: dict[tuple[str, str], tuple[int, Decimal, Decimal]] = {}
    for loan in book:
        if loan.is_open(before):
            way = (loan.bucket(before), loan.bucket(end) if loan.is_open(end) else "closed")
            count, opening, closing = found.get(way, (0, ZERO, ZERO))
            found[way] = (count + 1, opening + loan.owed(before), closing + loan.owed(end))
    return found


NEW = "planned issuance"
ISSUANCE, COLLECTION = 3, 4
NO_PLAN, NO_MONTHS = "no plan of issuance", "too few months to learn from"
Parts = dict[str, tuple[Decimal | None, Decimal | None]]  # {name: (base, share)}


def plans() -> dict[tuple[str, int], Decimal]:
    """Reads {(month, category): sum} from the database."""
    return {(name_of(plan.period), plan.category_id): plan.sum for plan in Plan.objects.all()}


def cash(some: list[Loan], month: date, until: date = date.max) -> Decimal:
    """Returns what was paid for these credits in a month, by a day."""
    before = end_of(month, -1)
    return total(loan.paid(min(end_of(month), until), 1, 2) - loan.paid(before, 1, 2) for loan in some)


def added(parts: Parts, weights: dict[str, Decimal] | None = None) -> tuple[Decimal | None, str | None]:
    """Returns (sum of base × share, why there is none). What has no share counts 0, up to 1 % of the weights.

    The weights are the bases, if no others are given.
    """
    if any(base is None for base, _share in parts.values()):
        return None, NO_PLAN
    weights = weights or {name: base for name, (base, _share) in parts.items()}
    known = {name: (base, share) for name, (base, share) in parts.items() if share is not None}
    unknown = total(weight for name, weight in weights.items() if name not in known)
    if not known or unknown * 100 > total(weights.values()):
        return None, NO_MONTHS
    return total(base * share for base, share in known.values()), None


def unpaid(book: list[Loan], end: date, parts: Parts) -> dict[str, Decimal]:
    """Returns the weights of the parts by vintages: the principal of each cohort that isn't paid."""
    weights = {}
    for name in parts:
        cohort = [loan for loan in book if name_of(loan.issued) == name]
        weights[name] = max(total(loan.body - loan.paid(end, 1) for loan in cohort), ZERO)
    issuance, share = parts[NEW]
    return weights | {NEW: ZERO if share is not None else issuance or ZERO}


def by_buckets(book: list[Loan], end: date, issuances: list[Decimal | None]) -> Iterator[Parts]:
    """Yields the parts of each month after the one that ends then."""
    before = end_of(end, -1)
    old = [loan for loan in book if loan.issued <= before]
    groups = {name: [loan for loan in old if loan.bucket(before) == name] for name in BUCKETS}
    bases = {name: total(loan.owed(before) for loan in group) for name, group in groups.items()}
    groups[NEW] = [loan for loan in book if before < loan.issued <= end]
    bases[NEW] = total(loan.body for loan in groups[NEW])
    shares = {name: cash(group, end) / bases[name] if bases[name] else None for name, group in groups.items()}
    ways = {
        (name, to): total(loan.owed(end) for loan in group if loan.bucket(end) == to) / bases[name]
        for name, group in groups.items()
        for to in BUCKETS
        if bases[name]
    }
    now: dict[str, Any] = {name: owed for name, (_credits, owed) in ageing(book, end).items()}
    for issuance in issuances:
        now[NEW] = issuance
        yield {name: (now[name], shares[name]) for name in groups}
        if None in now.values():
            now = dict.fromkeys(BUCKETS)
        else:
            now = {
                to: total(now[name] * way for (name, other), way in ways.items() if other == to)
                for to in BUCKETS
            }


def by_vintages(book: list[Loan], end: date, issuance: Decimal | None) -> Parts:
    """Returns the parts of the month after the one that ends then."""
    cohorts = defaultdict(list)
    for loan in book:
        if loan.issued <= end and loan.body:
            cohorts[end_of(loan.issued)].append(loan)

    def share_at(cohort: date, age: int) -> Decimal:
        month, loans_of = end_of(cohort, age), cohorts[cohort]
        paid = cash(loans_of, month) if age else total(loan.paid(month, 1, 2) for loan in loans_of)
        return paid / total(loan.body for loan in loans_of)

    def mean_at(age: int) -> Decimal | None:
        peers = sorted(cohort for cohort in cohorts if end_of(cohort, age) <= end)[-3:]
        return total(share_at(peer, age) for peer in peers) / len(peers) if peers else None

    parts: Parts = {}
    for cohort in sorted(cohorts):
        age = (end.year - cohort.year) * 12 + end.month - cohort.month + 1
        parts[name_of(cohort)] = (total(loan.body for loan in cohorts[cohort]), mean_at(age))
    return parts | {NEW: (issuance, mean_at(0))}


def usual_share(book: list[Loan], day: date) -> Decimal | None:
    """Returns the share of a month's cash that is paid by this day of it, a mean of the six months before."""
    months = [end_of(day, -earlier) for earlier in range(1, 7)]
    if not all(cash(book, month) for month in months):
        return None
    by_day = [cash(book, month, month.replace(day=min(day.day, month.day))) for month in months]
    return total(part / cash(book, month) for part, month in zip(by_day, months, strict=True)) / 6


def cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


class Outlook:
    """What could be forecast on a day. issuance stands in place of the plans of the months ahead."""

    def __init__(self, book: list[Loan], day: date, issuance: Decimal | None = None) -> None:
        self.book, self.day, self.issuance, self.plans = book, day, issuance, plans()
        paid_on = [paid for loan in book for paid, *_ in loan.payments if paid <= day]
        used_on = [*paid_on, *(loan.issued for loan in book if loan.issued <= day)]
        self.first = min(paid_on, default=date.max)
        self.is_empty = not used_on
        known = min(day, end_of(max(used_on, default=day)))  # a later month tells nothing
        self.last = known if known == end_of(known) else end_of(known, -1)
        self.made: dict[tuple[date, int], tuple[Decimal | None, str | None]] = {}  # by month and months ahead
        for earlier in range(37):
            self.make(end_of(self.last, -earlier))

    def planned(self, month: date) -> Decimal | None:
        asked = self.issuance is not None and month > self.last
        return self.issuance if asked else self.plans.get((name_of(month), ISSUANCE))

    def make(self, end: date) -> None:
        """Makes the forecasts by buckets at a month end."""
        months = [end_of(end, ahead) for ahead in (1, 2, 3)]
        lack = None
        for ahead, parts in enumerate(by_buckets(self.book, end, [*map(self.planned, months)]), start=1):
            # What a month can't tell, no later one can.
            amount, lack = (None, lack) if lack == NO_MONTHS else added(parts)
            self.made[months[ahead - 1], ahead] = (amount, lack)

    def band(self, month: date, ahead: int) -> tuple[Decimal, Decimal] | None:
        past = [end_of(month, -ahead - earlier) for earlier in range(18)]
        amounts_made = {each: self.made.get((each, ahead), (None, None))[0] for each in past}
        ratios = [cash(self.book, each) / amount for each, amount in amounts_made.items() if amount]
        return (min(ratios), max(ratios)) if len(ratios) >= 6 else None

    def parts(self) -> list[dict[str, Any]]:
        """Returns the rows of the report on the parts of the forecast."""
        if self.is_empty:
            return []
        planned = self.planned(end_of(self.last, 1))
        methods = {
            "buckets": next(by_buckets(self.book, self.last, [planned])),
            "vintages": by_vintages(self.book, self.last, planned),
        }
        return [
            {
                "month": name_of(end_of(self.last, 1)),
                "method": method,
                "part": name,
                "base_sum": base,
                "share_percent": None if share is None else cents(share * 100),
                "expected_sum": None if None in (base, share) else cents(base * share),
            }
            for method, parts in methods.items()
            for name, (base, share) in parts.items()
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows of the report on the forecast."""
        months = [(end_of(self.last, later), max(1, later)) for later in range(-17, 4)]
        known = [each for each in months if each[0] >= min(self.first, end_of(self.last, 1))]
        return [] if self.is_empty else [self.row(*each) for each in known]

    def row(self, month: date, ahead: int) -> dict[str, Any]:
        is_over, has_begun = month <= self.last, end_of(month, -1) < self.day
        actual = cash(self.book, month, self.day) if has_begun else None
        plan = self.plans.get((name_of(month), COLLECTION))
        buckets, buckets_lack = self.made[month, ahead]
        vintages, vintages_lack = None, None
        if ahead == 1:
            of_vintages = by_vintages(self.book, end_of(month, -1), self.planned(month))
            vintages, vintages_lack = added(of_vintages, unpaid(self.book, end_of(month, -1), of_vintages))
        low, high = self.band(month, ahead) or (None, None)
        share = usual_share(self.book, self.day) if has_begun and not is_over else None

        def error(amount: Decimal | None) -> Decimal | None:
            return ratio(abs(amount - actual), actual) if is_over and amount is not None else None

        return {
            "month": name_of(month),
            "months_ahead": ahead,
            "is_over": is_over,
            "issuance_plan_sum": self.planned(month),
            "plan_sum": plan,
            "buckets_sum": cents(buckets),
            "buckets_lack": buckets_lack,
            "low_sum": None if None in (buckets, low) else cents(buckets * low),
            "high_sum": None if None in (buckets, high) else cents(buckets * high),
            "vintages_sum": cents(vintages),
            "vintages_lack": vintages_lack,
            "usual_sum": cents(actual / share) if share else None,
            "actual_sum": actual,
            "plan_error_percent": error(plan),
            "buckets_error_percent": error(cents(buckets)),
            "vintages_error_percent": error(cents(vintages)),
        }


# Books


days = st.dates(date(2021, 1, 25), date(2021, 5, 5))
dates_asked = st.dates(date(2021, 1, 1), date(2022, 3, 31)) | st.sampled_from(
    [date(2021, 1, 31), date(2021, 2, 28), date(2021, 4, 30), date(2999, 12, 31)]
)
amounts = st.integers(1, 500_000).map(lambda number: Decimal(number).scaleb(-2))
bodies = st.integers(100_00, 5000_00).map(lambda number: Decimal(number).scaleb(-2))


@st.composite
def books(draw, earliest_payment=-5):
    """Borrowers, and credits: (borrower, issued, days to the deadline, days to the return, body, interest,
    payments: (days since issuance, type, sum)).
    """
    payment = st.tuples(st.integers(earliest_payment, 120), st.sampled_from([1, 2]), amounts | bodies)
    credit = st.tuples(
        st.integers(0, 2),
        days,
        st.sampled_from([0, 14, 30]) | st.integers(0, 60),
        st.none() | st.integers(0, 150),
        bodies,
        st.just(ZERO) | amounts,
        st.lists(payment, max_size=4),
    )
    return draw(st.lists(credit, min_size=1, max_size=8))


@contextmanager
def stored(book: Any) -> Iterator[list[Loan]]:
    """Stores a generated book, yields it as read back, and deletes it afterwards."""
    with transaction.atomic():
        borrowers = [builders.borrower() for _ in range(3)]
        for borrower, issued, term, returned, body, interest, payments in book:
            credit = Credit.objects.create(
                borrower=borrowers[borrower],
                issuance_date=issued,
                return_date=issued + timedelta(term),
                actual_return_date=None if returned is None else issued + timedelta(returned),
                body=body,
                percent=interest,
            )
            Payment.objects.bulk_create(
                Payment(credit=credit, payment_date=issued + timedelta(later), type_id=kind, sum=amount)
                for later, kind, amount in payments
            )
        yield loans()
        transaction.set_rollback(True)


def asked(client: Any, address: str) -> Any:
    """Returns the rows of a report, with numbers as Decimal."""
    response = client.get(f"/api/v1/{address}")
    assert response.status_code == 200, response.content
    return json.loads(response.content, parse_float=Decimal)


def part(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows with only the columns that the expected rows have."""
    return [{name: row[name] for name in (like[0] if like else ())} for row in rows]


# Each report equals plain Python


@any_books
@given(book=books(), day=dates_asked)
def test_ageing(analyst, book, day):
    with stored(book) as rows:
        found = {
            row["bucket"]: (row["credits"], row["outstanding"])
            for row in asked(analyst, f"ageing?check_date={day}")
        }
        assert found == ageing(rows, day)


@any_books
@given(book=books(), day=dates_asked)
def test_the_trend_is_the_ageing_of_each_month_end(analyst, book, day):
    with stored(book) as rows:
        found = asked(analyst, f"portfolio_trend?check_date={day}")
        last = day if day == end_of(day) else end_of(day, -1)
        ends = [end_of(last, -later) for later in reversed(range(24))]
        open_ = [any(loan.is_open(end) for loan in rows) for end in ends]
        since = open_.index(True) if any(open_) else 24
        assert [row["month_end"] for row in found] == [end.isoformat() for end in ends[since:]]
        for row in found:
            of_buckets = ageing(rows, date.fromisoformat(row["month_end"]))
            amounts_owed = [owed for _count, owed in of_buckets.values()]
            assert (row["credits"], row["outstanding"]) == (
                sum(count for count, _owed in of_buckets.values()),
                sum(amounts_owed),
            )
            for number, limit in enumerate((0, 30, 60, 90), start=1):
                assert row[f"par{limit}_percent"] == ratio(sum(amounts_owed[number:]), sum(amounts_owed))


@any_books
@given(book=books(), day=dates_asked.filter(lambda day: day.year < 2999))
def test_vintages(analyst, book, day):
    with stored(book) as rows:
        expected = vintages(rows, day)
        assert part(asked(analyst, f"vintages?check_date={day}"), expected) == expected


@any_books
@given(book=books(), day=dates_asked)
def test_collection_efficiency(analyst, book, day):
    with stored(book) as rows:
        assert asked(analyst, f"collection_efficiency?check_date={day}") == efficiency(rows, day)


@any_books
@given(book=books(), day=dates_asked)
def test_first_payment_default(analyst, book, day):
    with stored(book) as rows:
        assert asked(analyst, f"first_payment_default?check_date={day}") == defaults(rows, day)


@any_books
@given(book=books(), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_roll_rates(analyst, book, month):
    with stored(book) as rows:
        found = {
            (row["from_bucket"], row["to_bucket"]): (row["credits"], row["opening"], row["closing"])
            for row in asked(analyst, f"roll_rates?month={month:%Y-%m}&months=1")
            if row["over"] == "month"
        }
        assert found == rolls(rows, month)


@any_books
@given(book=books(), day=dates_asked.filter(lambda day: day.year < 2999))
def test_expected_receipts(analyst, book, day):
    with stored(book) as rows:
        found = asked(analyst, f"expected_receipts?check_date={day}")
        for row in found:
            since = date.fromisoformat(row["since"]) if row["since"] else date.min
            until = date.fromisoformat(row["until"]) if row["until"] else date.max
            due = [loan for loan in rows if loan.is_open(day) and since <= loan.due <= until]
            assert (row["credits"], row["body_left"]) == (len(due), total(loan.owed(day) for loan in due))
        assert sum(row["body_left"] for row in found) == total(loan.owed(day) for loan in rows)


@any_books
@given(book=books(), day=dates_asked)
def test_new_and_returning(analyst, book, day):
    with stored(book) as rows:
        moved = {loan.issued for loan in rows} | {paid for loan in rows for paid, *_ in loan.payments}
        found = asked(analyst, f"new_and_returning?check_date={day}")
        assert [row["month"] for row in found] == sorted({name_of(each) for each in moved if each <= day})
        for row in found:
            for kind in ("new", "returning"):
                of_kind = [loan for loan in rows if (loan.history == "new") == (kind == "new")]
                issued = [
                    loan for loan in of_kind if loan.issued <= day and name_of(loan.issued) == row["month"]
                ]
                assert (row[f"{kind}_credits"], row[f"{kind}_issued"], row[f"{kind}_collected"]) == (
                    len(issued),
                    total(loan.body for loan in issued),
                    total(
                        amount
                        for loan in of_kind
                        for paid, _kind, amount in loan.payments
                        if paid <= day and name_of(paid) == row["month"]
                    ),
                )


@st.composite
def planned_books(draw):
    """A book, plans: {(month, category): sum or none}, and a planned issuance to ask for or none.

    Many books have a small credit before all others, and a large one that is paid for each month: then all
    methods have enough to learn from.
    """
    book = draw(books())
    if draw(st.integers(0, 3)):
        book.append((0, date(2020, 12, 15), 5, None, Decimal("9.99"), ZERO, [(40, 2, draw(amounts))]))
        days_paid = draw(st.lists(st.integers(30, 50), min_size=8, max_size=15))
        paid = [(day + 30 * number, 2, draw(bodies)) for number, day in enumerate(days_paid)]
        book.append((0, date(2021, 1, 3), 2000, None, draw(bodies) * 1000, ZERO, paid))
    keys = [(end_of(date(2021, 1, 1), later), kind) for later in range(18) for kind in (ISSUANCE, COLLECTION)]
    changed = draw(st.dictionaries(st.sampled_from(keys), st.none() | st.just(ZERO), max_size=4))
    return book, {key: draw(bodies) for key in keys} | changed, draw(st.none() | st.just(ZERO) | amounts)


@any_books
@given(planned_book=planned_books(), day=dates_asked)
def test_forecast(analyst, planned_book, day):
    book, planned, issuance = planned_book
    query = f"check_date={day}" + ("" if issuance is None else f"&issuance={issuance}")
    with stored(book) as rows:
        Plan.objects.bulk_create(
            Plan(period=month.replace(day=1), category_id=kind, sum=amount)
            for (month, kind), amount in planned.items()
            if amount is not None
        )
        outlook = Outlook(rows, day, issuance)
        assert asked(analyst, f"forecast?{query}") == outlook.rows()
        expected = outlook.parts()
        assert part(asked(analyst, f"forecast_parts?{query}"), expected) == expected


# The reports agree with each other


@any_books
@given(book=books(), span=st.tuples(dates_asked, dates_asked).map(sorted))
def test_outstanding_changes_by_what_was_issued_paid_left_and_overpaid(analyst, book, span):
    first, last = span

    def used(loan: Loan, day: date) -> Decimal:
        """Returns the payments by the day that lowered what the credit owes."""
        end = min(day, loan.returned or day)
        return min(loan.body, loan.paid(end, 1)) if loan.issued <= day else ZERO

    with stored(book) as rows:
        owed = [sum(row["outstanding"] for row in asked(analyst, f"ageing?check_date={day}")) for day in span]
        issued = total(loan.body for loan in rows if first < loan.issued <= last)
        paid = total(loan.paid(last, 1) - loan.paid(first, 1) for loan in rows)
        overpaid = paid - total(used(loan, last) - used(loan, first) for loan in rows)
        left = total(
            loan.body - used(loan, last) for loan in rows if loan.returned and first < loan.returned <= last
        )
        assert owed[1] == owed[0] + issued - paid - left + overpaid


@any_books
@given(book=books(earliest_payment=0), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_the_cash_of_all_cohorts_in_a_month_is_the_months_collection(analyst, book, month):
    with stored(book):
        collected = [
            sum(
                max(
                    row["collected_sum"]
                    for row in asked(analyst, f"vintages?check_date={day}")
                    if row["cohort"] == cohort
                )
                for cohort in {row["cohort"] for row in asked(analyst, f"vintages?check_date={day}")}
            )
            for day in (end_of(month, -1), end_of(month))
        ]
        days_of_month = asked(analyst, f"month?month={month:%Y-%m}")
        assert collected[1] - collected[0] == days_of_month[-1]["cumulative_collection_sum"]


@any_books
@given(book=books(), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_what_rolled_and_what_was_issued_make_the_next_ageing(analyst, book, month):
    with stored(book) as rows:
        end = end_of(month)
        new = [loan for loan in rows if loan.is_open(end) and name_of(loan.issued) == name_of(month)]
        rolled = [
            row
            for row in asked(analyst, f"roll_rates?month={month:%Y-%m}&months=1")
            if row["over"] == "month"
        ]
        for row in asked(analyst, f"ageing?check_date={end}"):
            arrived = [each for each in rolled if each["to_bucket"] == row["bucket"]]
            issued = [loan for loan in new if loan.bucket(end) == row["bucket"]]
            assert row["credits"] == sum(each["credits"] for each in arrived) + len(issued)
            assert row["outstanding"] == sum(each["closing"] for each in arrived) + total(
                loan.owed(end) for loan in issued
            )


# Whole books, loaded from files: a generated one or, if DATA names a folder, the one there


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    if given_folder := os.environ.get("DATA"):
        return Path(given_folder)
    made = tmp_path_factory.mktemp("book")
    call_command("demo_data", made, credits=300, until="2022-07-31", seed=3, stdout=StringIO())
    return made


LAST_DAY = "2022-07-31"
ADDRESSES = [
    f"ageing?check_date={LAST_DAY}",
    "ageing?check_date=2021-06-15",
    f"portfolio_trend?check_date={LAST_DAY}",
    f"provisions?check_date={LAST_DAY}",
    f"vintages?check_date={LAST_DAY}",
    f"collection_efficiency?check_date={LAST_DAY}",
    f"first_payment_default?check_date={LAST_DAY}",
    "roll_rates?month=2022-06&months=6",
    f"expected_receipts?check_date={LAST_DAY}",
    "expected_receipts",
    "forecast?check_date=2022-06-15",
    "forecast_parts?check_date=2022-06-15",
    f"new_and_returning?check_date={LAST_DAY}",
    f"top_borrowers?check_date={LAST_DAY}",
    "data_quality",
]


def answers(client: Any) -> dict[str, Any]:
    """Returns {address: rows} without ids and without counts of payments."""
    with time_machine.travel(datetime(2022, 8, 1, 9, tzinfo=UTC), tick=False):
        return {
            address: [
                {name: value for name, value in row.items() if name not in ("borrower_id", "login")}
                for row in asked(client, address)
            ]
            for address in ADDRESSES
        }


def written(folder: Path, lines: dict[str, list[list[str]]]) -> Path:
    for name, rows in lines.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    return folder


def read(folder: Path) -> dict[str, list[list[str]]]:
    return {
        name: [
            line.split("\t") for line in (folder / f"{name}.csv").read_text("utf-8-sig").splitlines() if line
        ]
        for name in ("users", "credits", "payments", "dictionary", "plans")
    }


def test_a_whole_book_equals_plain_python_and_its_reports_agree(analyst, folder):
    call_command("load_data", folder, stdout=StringIO())
    book = loans()
    for day in (date(2021, 6, 15), date(2022, 5, 31), date(2022, 7, 31)):
        rows = asked(analyst, f"ageing?check_date={day}")
        assert {row["bucket"]: (row["credits"], row["outstanding"]) for row in rows} == ageing(book, day)
        expected = vintages(book, day)
        assert part(asked(analyst, f"vintages?check_date={day}"), expected) == expected
        assert asked(analyst, f"collection_efficiency?check_date={day}") == efficiency(book, day)
        assert asked(analyst, f"first_payment_default?check_date={day}") == defaults(book, day)
        found = {
            (row["from_bucket"], row["to_bucket"]): (row["credits"], row["opening"], row["closing"])
            for row in asked(analyst, f"roll_rates?month={day:%Y-%m}&months=1")
            if row["over"] == "month"
        }
        assert found == rolls(book, day.replace(day=1))
        outlook = Outlook(book, day)
        assert asked(analyst, f"forecast?check_date={day}") == outlook.rows()
        expected = outlook.parts()
        assert part(asked(analyst, f"forecast_parts?check_date={day}"), expected) == expected


def test_order_ids_and_split_payments_change_no_figure(analyst, folder, tmp_path):
    call_command("load_data", folder, stdout=StringIO())
    before = answers(analyst)
    lines, chance = read(folder), random.Random(5)
    numbers = {
        name: {row[0]: str(place) for place, row in enumerate(chance.sample(rows[1:], len(rows) - 1), 1)}
        for name, rows in lines.items()
        if name in ("users", "credits", "payments")
    }
    for name, rows in lines.items():
        head, *body = rows
        for row in body:
            row[0] = numbers.get(name, {}).get(row[0], row[0])
            if name == "credits":
                row[1] = numbers["users"][row[1]]
            if name == "payments":
                row[1] = numbers["credits"][row[1]]
        chance.shuffle(body)
        lines[name] = [head, *body]
    payments = lines["payments"]
    column = payments[0].index("sum")
    for number, row in enumerate(payments[1:200]):
        if Decimal(row[column]) > Decimal("0.02"):
            other = [*row]
            other[0] = str(len(payments) + 1000 + number)
            row[column], other[column] = "0.01", str(Decimal(row[column]) - Decimal("0.01"))
            payments.append(other)
    call_command("load_data", written(tmp_path, lines), replace=True, stdout=StringIO())
    after = answers(analyst)
    for address, rows in before.items():
        assert after[address] == rows, address


def test_buckets_add_up_to_the_borrowers_list_and_the_overview(analyst, folder):
    call_command("load_data", folder, stdout=StringIO())
    outstanding = sum(row["outstanding"] for row in asked(analyst, f"ageing?check_date={LAST_DAY}"))
    with time_machine.travel(datetime(2022, 7, 31, 9, tzinfo=UTC), tick=False):
        response = analyst.get("/reports/borrowers/?format=csv")
        lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
        column = lines[0].split(",").index("outstanding")
        assert sum(Decimal(line.split(",")[column]) for line in lines[1:]) == outstanding
        trend = asked(analyst, "portfolio_trend")[-1]
        assert trend["outstanding"] == outstanding == total(loan.owed(date(2022, 7, 31)) for loan in loans())
    assert Borrower.objects.count() == len(lines) - 1


PAGES = [
    "forecast/?check_date=2021-06-15",
    "ageing/?check_date=2021-06-30",
    "portfolio-trend/?check_date=2021-06-30",
    "provisions/?check_date=2021-06-30",
    "vintages/?check_date=2020-12-31",
    "collection-efficiency/?check_date=2021-06-15",
    "first-payment-default/?check_date=2021-06-15",
    "roll-rates/?month=2021-06",
    "expected-receipts/?check_date=2021-06-16",
    "new-and-returning/?check_date=2021-06-16",
    "top-borrowers/?check_date=2021-06-30&count=5",
    "data-quality/",
]
SAID = re.compile(
    r"(?P<count>[^.]+) found, (?P<sum>[^ ]+)\u00a0UAH in all\.(?: Outstanding: (?P<owed>[^ ]+)\u00a0UAH\.)?$"
)


def links(page: str) -> list[tuple[str, str]]:
    """Returns (address, text) of each link to a list in the cells of a page's tables."""
    found = re.findall(r'<td[^>]*>\s*<a href="([^"]+)">([^<]+)</a>', page)
    return [
        (unescape(address), unescape(text))
        for address, text in found
        if re.search("/reports/(credits|payments)/", address)
    ]


def amounts_of(page: str) -> set[str]:
    """Returns all counts and amounts of a report, as its page and the lists show them."""
    path, query = page.split("/?") if "?" in page else (page.strip("/"), "")
    report = next(r.callback.view_initkwargs["report"] for r in urls.api if r.name == path.replace("-", "_"))
    params = report.params(QueryDict(query)).checked()
    params.pop("format")
    rows = report.compute(**params)
    found = [asdict(row) for row in rows] + report.totals(rows)
    if path == "first-payment-default":  # the page adds up the histories of a month
        for key, group in groupby(rows, attrgetter("month_due", "grace")):
            found.append({"defaulted": sum(row.defaulted for row in group), "key": key})
    return {
        count(value) if isinstance(value, int) else money(value)
        for row in found
        for value in row.values()
        if isinstance(value, int | Decimal)
    }


@pytest.mark.parametrize("page", PAGES)
def test_each_count_and_amount_of_a_page_is_that_of_the_rows_behind_it(analyst, folder, page):
    call_command("load_data", folder, stdout=StringIO())
    response = analyst.get(f"/reports/{page}")
    assert response.status_code == 200
    html = response.content.decode()
    if page.startswith("provisions"):  # the provisions themselves are no sums of rows
        html = re.sub(r"(</th>\s*<td>.*?</td>).*?</tr>", r"\1</tr>", html, flags=re.DOTALL)
    followed = links(html)
    assert followed
    parts_of_percents = amounts_of(page)
    of_totals = links("".join(re.findall(r"<tfoot>.*?</tfoot>|<thead>.*?</thead>", html, re.DOTALL)))
    for address, text in of_totals + random.Random(1).sample(followed, min(60, len(followed))):
        behind = analyst.get(address)
        assert behind.status_code == 200, address
        question = re.search(r'<p class="question">(.*?)</p>', behind.content.decode(), re.DOTALL)
        said = SAID.search(re.sub(r"[ \n]+", " ", question[1]).strip()) if question else None
        assert said, address
        numbers = {number.strip() for number in said.groups() if number}
        if "%" in text and page.startswith(("ageing", "portfolio-trend")):
            day = QueryDict(address)["check_date"]
            whole = total(row["outstanding"] for row in asked(analyst, f"ageing?check_date={day}"))
            owed = Decimal(said["owed"].replace("\xa0", ""))
            assert text == percent(ratio(owed, whole)), address
        elif "%" in text or page.startswith("vintages"):
            assert numbers & parts_of_percents, (address, text, said[0])
        else:
            assert text in numbers, (address, text, said[0])
