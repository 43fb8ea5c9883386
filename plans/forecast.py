"""Forecasts of what will be collected in a month, from what was known at the end of an earlier one.

By buckets: Σ outstanding principal of each ageing bucket × (cash of the month from that bucket / its
principal at the end of the month before) + planned issuance × (cash of the month from the credits issued in
it / issued in it). For later months the principal moves between the buckets as it moved in that month.

By vintages: Σ issued of each month's cohort × the mean share collected at its next age by the last three
cohorts that reached it.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.utils.translation import gettext_noop

from credits.book.days import month_ends, month_name, month_number
from credits.book.money import ZERO
from credits.models import BUCKETS, Dictionary, Movement
from credits.movements import CohortMonth, Flow

from .models import Plan

AHEAD = 3  # months
PEERS = 3  # cohorts whose mean is taken
NEW = gettext_noop("planned issuance")  # the part for the credits to come
NO_PLAN = gettext_noop("no plan of issuance")
NO_MONTHS = gettext_noop("too few months to learn from")
# The share of all weights that may be of parts without a month to learn from. These parts count 0. The weight
# of a bucket is its base, and that of a cohort its principal that isn't paid.
UNLEARNED = Decimal("0.01")


class Part(NamedTuple):
    """A part of what will be collected: a share of a base."""

    name: str  # of a bucket, of a cohort such as 2021-06, or NEW
    base: Decimal | None  # money: outstanding, issued or planned to be issued; None without a plan
    share: Decimal | None  # such as 0.25; None without a month to learn from
    # The cash and the base in the month that the share is learned from; None if it is a mean.
    cash_before: Decimal | None = None
    base_before: Decimal | None = None

    @property
    def expected(self) -> Decimal | None:
        return None if self.base is None or self.share is None else self.base * self.share


class Forecast(NamedTuple):
    """What will be collected in a month."""

    parts: list[Part]
    lacks: str | None = NO_MONTHS  # why there is no sum

    @property
    def sum(self) -> Decimal | None:
        """Returns the sum of money, not rounded."""
        return None if self.lacks else sum((part.expected or ZERO for part in self.parts), ZERO)


def lacking(parts: list[Part], weights: list[Decimal]) -> str | None:
    """Says why the parts have no sum. A part without a share counts 0 if its weight is small enough."""
    if parts[-1].base is None:
        return NO_PLAN
    unlearned = [weight for part, weight in zip(parts, weights, strict=True) if part.share is None]
    is_learned = len(unlearned) < len(parts) and sum(unlearned, ZERO) <= sum(weights, ZERO) * UNLEARNED
    return None if is_learned else NO_MONTHS


def by_buckets(flow: Flow, issuances: Iterable[Decimal | None]) -> Iterator[Forecast]:
    """Yields the forecast of each month after that of the flow. issuances are their plans."""
    outstanding: list[Decimal | None] = [*flow.closing]
    names = [*(bucket.name for bucket in BUCKETS), NEW]
    cash, bases = [*flow.cash, flow.new_cash], [*flow.opening, flow.issued]
    lacks = None
    for issuance in issuances:
        parts = [
            Part(name, base, quotient(paid, before), paid, before)
            for name, base, paid, before in zip(names, [*outstanding, issuance], cash, bases, strict=True)
        ]
        lacks = lacks or lacking(parts, [part.base or ZERO for part in parts])
        yield Forecast(parts, lacks)
        outstanding = [None] * len(BUCKETS) if lacks else [*moved(flow, parts)]


def moved(flow: Flow, parts: list[Part]) -> list[Decimal]:
    """Returns what each bucket will owe a month later than in these parts."""
    *outstanding, issuance = (part.base or ZERO for part in parts)
    new = quotient(issuance, flow.issued) or ZERO
    found = [closing * new for closing in flow.new_closing]
    for (before, after), closing in flow.moved.items():
        found[after] += outstanding[before] * (quotient(closing, flow.opening[before]) or ZERO)
    return found


def quotient(part: Decimal, whole: Decimal) -> Decimal | None:
    return part / whole if whole else None


class Cohorts:
    """What the credits issued in each month have brought at each age. Months are numbers."""

    def __init__(self, months: list[CohortMonth]) -> None:
        self.issued: dict[int, Decimal] = defaultdict(Decimal)
        self.cash: dict[tuple[int, int], Decimal] = {}  # by cohort and age
        self.body_paid: dict[tuple[int, int], Decimal] = {}
        for row in months:
            cohort = month_number(row.cohort)
            self.issued[cohort] += row.issued
            age = month_number(row.month) - cohort
            self.cash[cohort, age] = row.body_paid + row.interest_paid
            self.body_paid[cohort, age] = row.body_paid
        self.order = sorted(cohort for cohort, issued in self.issued.items() if issued)

    def forecast(self, month: int, issuance: Decimal | None) -> Forecast:
        """Returns the forecast of a month from what was known before it. issuance is its plan."""
        known = self.order[: bisect(self.order, month - 1)]
        parts = [
            Part(month_name(cohort), self.issued[cohort], self.share(month - 1, month - cohort))
            for cohort in known
        ]
        parts.append(Part(NEW, issuance, self.share(month - 1, 0)))
        owed = [self.issued[cohort] - self.repaid(cohort, month - 1 - cohort) for cohort in known]
        new = issuance if issuance and parts[-1].share is None else ZERO
        return Forecast(parts, lacking(parts, [*(max(amount, ZERO) for amount in owed), new]))

    def repaid(self, cohort: int, age: int) -> Decimal:
        """Returns the body that was paid by the age."""
        return sum((self.body_paid.get((cohort, each), ZERO) for each in range(age + 1)), ZERO)

    def share(self, month: int, age: int) -> Decimal | None:
        """Returns the mean share of issued that the last cohorts to reach the age collected at it.

        They have reached it by the month. It is None if no cohort has.
        """
        last = bisect(self.order, month - age)
        peers = self.order[max(0, last - PEERS) : last]
        shares = [self.cash.get((cohort, age), ZERO) / self.issued[cohort] for cohort in peers]
        return sum(shares, ZERO) / len(shares) if shares else None


def next_months(day: date) -> dict[str, Forecast]:
    """Returns {"2022-07": forecast by buckets} for the months after the last month end up to the day."""
    ends = month_ends(day, 2)
    flows = Movement.objects.flows(ends)
    if not flows:
        return {}
    months = months_after(ends[-1])
    return dict(zip(months, by_buckets(flows[ends[-1]], planned_issuance(months)), strict=True))


def months_after(month_end: date) -> list[str]:
    """Returns the months that are forecast at a month end."""
    last = month_number(f"{month_end}")
    return [month_name(last + ahead) for ahead in range(1, AHEAD + 1)]


def planned_issuance(months: Iterable[str]) -> list[Decimal | None]:
    """Returns the plan of issuance of each month."""
    planned = Plan.objects.filter(category=Dictionary.ISSUANCE).by_month()
    return [planned.get(month, {}).get(Dictionary.ISSUANCE) for month in months]
