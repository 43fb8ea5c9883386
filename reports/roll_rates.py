"""Where do the credits of each ageing bucket move in a month?

Only credits open at the end of the month before count, by their bucket then. A share is the outstanding
principal of those that are in another bucket at the end of the month, or were returned in it / that of all of
them, both as it was at the end of the month before. The average adds up the principal of its months before it
divides, so that months with more principal weigh more.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from credits.book.days import month_end_before, month_ends
from credits.book.money import ZERO, percent
from credits.models import BUCKETS, Movement
from credits.movements import Bucket, Roll
from fintrack.api.params import NumberField

from .at_date import open_credits
from .listing import given
from .params import MonthField, ParamsAtToday
from .report import Report, summed
from .stretch import day_after, last_day_of_book, last_of_month

MONTH, AVERAGE = "month", "average"
CLOSED, TOTAL = "closed", "total"
WAYS = [*(bucket.name for bucket in BUCKETS), CLOSED]
MONTHS = 6  # of the average, if none are asked


class Params(ParamsAtToday):
    month = MonthField(required=False)
    months = NumberField(
        label=_("Months of the average"),
        required=False,
        initial=MONTHS,
        min_value=1,
        max_value=24,
        help_text=_("a whole number from 1 to 24"),
        widget=forms.NumberInput(attrs={"placeholder": MONTHS}),
    )

    def clean(self) -> None:
        super().clean()
        self.cleaned_data["months"] = self.cleaned_data.get("months") or MONTHS


@dataclass(frozen=True, slots=True)
class Row:
    """Credits that moved from one bucket to another, in the month or in the months of the average.

    Sums are money. The percent has two places; it is None if the credits of from_bucket owed nothing.
    """

    over: str  # month or average
    first_month: str  # 2021-06
    last_month: str
    from_bucket: str  # at the end of the month before
    to_bucket: str  # at the end of the month, or closed
    credits: int
    opening: Decimal  # the outstanding principal at the end of the month before
    closing: Decimal  # the outstanding principal at the end of the month
    percent: Decimal | None  # opening / the opening of all credits of from_bucket


def compute(month: date | None, months: int, today: date) -> list[Row]:
    """Returns the rows of the month, then those of the average. month is its first day."""
    last = month_end(month, today)
    starts = month_ends(month_end_before(last), months) if last else []
    if not last or not starts:
        return []
    rolls = Movement.objects.rolls([*starts, last])
    added: dict[tuple[int, int], Roll] = defaultdict(Roll)
    for of_month in rolls:
        for way, roll in of_month.items():
            added[way] += roll
    first_month, last_month = f"{day_after(starts[0]):%Y-%m}", f"{last:%Y-%m}"
    return [
        *rows_of(MONTH, last_month, last_month, rolls[-1]),
        *rows_of(AVERAGE, first_month, last_month, added),
    ]


def month_end(month: date | None, today: date) -> date | None:
    """Returns the end of the month, or else of the last month that is over by the last day of the book."""
    if month:
        return last_of_month(month)
    until = last_day_of_book(today)
    return next(iter(month_ends(until, 1)), None) if until else None


def rows_of(over: str, first_month: str, last_month: str, rolls: dict[tuple[int, int], Roll]) -> list[Row]:
    openings: dict[int, Decimal] = defaultdict(Decimal)
    for (before, _after), roll in rolls.items():
        openings[before] += roll.opening
    return [
        Row(
            over=over,
            first_month=first_month,
            last_month=last_month,
            from_bucket=BUCKETS[before].name,
            to_bucket=WAYS[after],
            credits=roll.credits,
            opening=roll.opening,
            closing=roll.closing,
            percent=percent(roll.opening, openings[before]),
        )
        for (before, after), roll in sorted(rolls.items())
    ]


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns where the credits of all buckets moved, in the month and in the months of the average."""
    totals = []
    for over in dict.fromkeys(row.over for row in rows):
        of_all = [row for row in rows if row.over == over]
        opening = summed(of_all, "opening")["opening"]
        months = {"first_month": of_all[0].first_month, "last_month": of_all[0].last_month}
        for way in WAYS:
            moved = [row for row in of_all if row.to_bucket == way]
            if moved:
                sums = summed(moved, "credits", "opening", "closing")
                sums["percent"] = percent(sums["opening"], opening)
                totals.append({"over": over, **months, "from_bucket": TOTAL, "to_bucket": way, **sums})
    return totals


def page_context(rows: list[Row], month: date | None, months: int, today: date) -> dict[str, Any]:
    """Returns the matrices of the month and of the average, and the months before and after."""
    last = month_end(month, today)
    if last is None:
        return {}
    first = month_end_before(last)
    found = [*map(asdict, rows), *totals(rows)]
    return {
        "first": first,
        "last": last,
        "until": last if rows else "",
        "months": months,
        "first_month": date.fromisoformat(f"{rows[-1].first_month}-01") if rows else None,
        "with_months": "" if months == MONTHS else f"&months={months}",
        "month_before": first if first < last.replace(day=1) else None,
        "month_after": day_after(last),
        "ways": WAYS,
        "of_month": matrix([row for row in found if row["over"] == MONTH], first, last),
        "of_average": matrix([row for row in found if row["over"] == AVERAGE]),
    }


def matrix(
    rows: list[dict[str, Any]], first: date | None = None, last: date | None = None
) -> list[dict[str, Any]]:
    """Returns a line for each bucket, and one for all.

    A line has the sums of its credits and a cell for each of WAYS: a row, or None. With first and last, the
    ends of the month before and of the month, both have the address of the list of their credits.
    """
    lines = []
    for bucket in [*BUCKETS, None]:
        name = bucket.name if bucket else TOTAL
        of_line = {row["to_bucket"]: row for row in rows if row["from_bucket"] == name}
        cells = [
            (of_line.get(way), moved(bucket, to, first, last) if first and last else None)
            for way, to in zip(WAYS, [*BUCKETS, None], strict=True)
        ]
        lines.append(
            {
                "name": name,
                "cells": cells,
                "credits": sum(row["credits"] for row in of_line.values()),
                "opening": sum((row["opening"] for row in of_line.values()), ZERO),
                "behind": open_credits(first, *due_in(bucket, first)) if first else None,
            }
        )
    return lines


def moved(bucket: Bucket | None, to: Bucket | None, first: date, last: date) -> str:
    """Returns the address of the list of the credits that moved.

    A bucket of None is all of them. If `to` is None, the credits were returned.
    """
    since, until = due_in(bucket, first)
    if to:
        due_from = max(filter(None, (since, due_in(to, last)[0])), default=None)
        due_to = min(filter(None, (until, due_in(to, last)[1])), default=None)
        return f"{open_credits(last, due_from, due_to)}&issued_to={first}"
    returned = {"returned_from": last.replace(day=1), "returned_to": last}
    filters = {"check_date": last, **returned, "issued_to": first, **given(due_from=since, due_to=until)}
    return f"{reverse('credits_page')}?{urlencode(filters)}"


def due_in(bucket: Bucket | None, day: date) -> tuple[date | None, date | None]:
    return bucket.due_between(day) if bucket else (None, None)


report = Report(
    name="roll_rates",
    title=_("Roll rates"),
    question=_("Where do the credits of each ageing bucket move in a month?"),
    formula=_(
        "Only credits open at the end of the month before count. “From bucket” is their bucket then; “to "
        "bucket” is their bucket at the end of the month, or closed if they were returned in the month. "
        "Percent is the principal of those that moved from the one to the other / that of all credits of the "
        "first, both as it was outstanding at the end of the month before. The average adds up the principal "
        "of its months before it divides, so that months with more principal weigh more."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"month": "2022-06"},
        Row(
            over=MONTH,
            first_month="2022-06",
            last_month="2022-06",
            from_bucket="31 to 60",
            to_bucket="61 to 90",
            credits=98,
            opening=Decimal("205124.15"),
            closing=Decimal("176785.33"),
            percent=Decimal("94.75"),
        ),
    ),
)
