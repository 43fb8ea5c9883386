"""How much principal is outstanding at a date, and how long is it past due?

The outstanding principal of a credit is its body less the payments for it up to the date, at least 0. There
is none before the credit's issuance, and none from its return on. Days past due count from the due day to
the date. PAR>x, the portfolio at risk, is the outstanding principal more than x days past due / all of it.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from credits.book.money import percent
from credits.movements import BUCKETS, Movement, Standing, at_risk

from . import portfolio_trend
from .at_date import ParamsAtDate, credits_past_due, date_of, month_ends_beside, open_credits
from .cache import get_or_compute
from .report import Report, summed


@dataclass(frozen=True, slots=True)
class Row:
    """A bucket of days past due. The sum is money.

    The percents have two places; they are None if nothing is outstanding. par_percent is the share of this
    bucket and the later ones: PAR>30 for "31 to 60". It is None for "current".
    """

    bucket: str
    credits: int
    outstanding: Decimal
    share_percent: Decimal | None
    par_percent: Decimal | None


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each bucket; without a date, none for an empty book."""
    day = date_of(check_date, today)
    if day is None:
        return []
    ageing = Movement.objects.ageing(day)
    whole = sum(ageing, Standing()).outstanding
    return [
        Row(
            bucket=bucket.name,
            credits=standing.credits,
            outstanding=standing.outstanding,
            share_percent=percent(standing.outstanding, whole),
            par_percent=par if bucket.least else None,
        )
        for bucket, standing, par in zip(BUCKETS, ageing, at_risk(ageing), strict=True)
    ]


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    sums = summed(rows, "credits", "outstanding")
    return [sums | {"share_percent": percent(sums["outstanding"], sums["outstanding"])}]


class Par(NamedTuple):
    """A share of the outstanding principal, and the address of the list of the credits that owe it."""

    name: str  # PAR>30
    percent: Decimal | None
    behind: str


def portfolio(rows: list[Row], day: date) -> dict[str, Any]:
    """Returns what the cards show: credits, outstanding principal and PAR, with the lists behind them."""
    return summed(rows, "credits", "outstanding") | {
        "late_credits": summed(rows[1:], "credits")["credits"],
        "every": open_credits(day),
        "late": credits_past_due(day, 0),
        "pars": [
            Par(f"PAR>{bucket.least - 1}", row.par_percent, credits_past_due(day, bucket.least - 1))
            for bucket, row in zip(BUCKETS, rows, strict=True)
            if bucket.least - 1 in portfolio_trend.PARS
        ],
    }


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the portfolio, the trend, and each bucket with the list of its credits."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    trend = get_or_compute(portfolio_trend.report, {"check_date": day, "today": today}).rows
    return {
        "until": day,
        **month_ends_beside(day),
        "portfolio": portfolio(rows, day),
        **portfolio_trend.charts(trend),
        "buckets": [
            (
                row,
                open_credits(day, *bucket.due_between(day)),
                credits_past_due(day, bucket.least - 1) if bucket.least else None,
            )
            for bucket, row in zip(BUCKETS, rows, strict=True)
        ],
    }


report = Report(
    name="ageing",
    title=_("Ageing"),
    question=_("How much principal is outstanding, and how long is it past due?"),
    formula=_(
        "Outstanding is the body of the credits open at the date, less the payments for it up to the date. "
        "PAR>x, the portfolio at risk, is what is more than x days past due / all outstanding, in percent. "
        "The row of a bucket has the PAR of its days and all later ones: that of “31 to 60” is PAR>30. "
        "Nothing that happens after the date counts."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31"},
        Row("31 to 60", 282, Decimal("413016.06"), Decimal("20.59"), Decimal("77.55")),
    ),
)
