"""How much of the outstanding principal should be put aside for losses at a date?

Provision is outstanding × rate for each bucket of days past due. Staff set the rates; they are today's for
every date. Change compares with the end of the month before the date's month.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from credits.book.days import month_end_before
from credits.book.money import ZERO, percent, rounded
from credits.models import Rate
from credits.movements import BUCKETS, Movement

from .at_date import ParamsAtDate, date_of, month_ends_beside, open_credits
from .report import Report, summed


@dataclass(frozen=True, slots=True)
class Row:
    """A bucket of days past due. Sums are money; rate_percent is a percent of the outstanding principal."""

    bucket: str
    outstanding: Decimal
    rate_percent: Decimal
    provision: Decimal
    provision_month_before: Decimal
    change: Decimal


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each bucket; without a date, none for an empty book."""
    day = date_of(check_date, today)
    if day is None:
        return []
    rates = Rate.objects.percents()
    ageing, ageing_before = Movement.objects.ageing(day), Movement.objects.ageing(month_end_before(day))
    rows = []
    for bucket, now, before in zip(BUCKETS, ageing, ageing_before, strict=True):
        rate = rates[bucket.name] or ZERO
        provision, provision_before = (
            rounded(standing.outstanding * rate / 100) for standing in (now, before)
        )
        change = provision - provision_before
        rows.append(Row(bucket.name, now.outstanding, rate, provision, provision_before, change))
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns the sums, and the rate of all buckets together."""
    sums = summed(rows, "outstanding", "provision", "provision_month_before", "change")
    return [sums | {"rate_percent": percent(sums["provision"], sums["outstanding"])}]


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns each row with the lists of the bucket's credits at the date and at the month end before."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    before = month_end_before(day)
    return {
        "until": day,
        "before": before,
        **month_ends_beside(day),
        "buckets": [
            (row, *(open_credits(at, *bucket.due_between(at)) for at in (day, before)))
            for bucket, row in zip(BUCKETS, rows, strict=True)
        ],
        "every": open_credits(day),
        "every_before": open_credits(before),
    }


report = Report(
    name="provisions",
    title=_("Provisions"),
    question=_("How much should be put aside for losses on the outstanding principal?"),
    formula=_(
        "Provision is outstanding × rate, for each bucket of days past due. The total is the sum of the "
        "rows; its rate is provision / outstanding. Today's rates are applied to every date. Change compares "
        "with the end of the month before."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31"},
        Row(
            bucket="61 to 90",
            outstanding=Decimal("216448.69"),
            rate_percent=Decimal("35"),
            provision=Decimal("75757.04"),
            provision_month_before=Decimal("61874.87"),
            change=Decimal("13882.17"),
        ),
    ),
)
