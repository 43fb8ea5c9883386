"""How did the outstanding principal and the portfolio at risk move over the last 24 month ends?

Each row has the figures of the ageing report at the month end.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import dropwhile
from typing import Any

from django.utils.translation import gettext_lazy as _

from credits.book.days import month_ends
from credits.movements import Movement, Standing, at_risk

from .at_date import ParamsAtDate, credits_past_due, date_of, month_ends_beside, open_credits
from .report import Report
from .templatetags.charts import Curve

MONTHS = 24
PARS = {0: "par0_percent", 30: "par30_percent", 60: "par60_percent", 90: "par90_percent"}


@dataclass(frozen=True, slots=True)
class Row:
    """The sum is money. The percents have two places; they are None if nothing is outstanding."""

    month_end: date
    credits: int
    outstanding: Decimal
    par0_percent: Decimal | None
    par30_percent: Decimal | None
    par60_percent: Decimal | None
    par90_percent: Decimal | None


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each month end, from the first that has an open credit; none for an empty book."""
    day = date_of(check_date, today)
    if day is None:
        return []
    ends = month_ends(day, MONTHS)
    rows = [row_of(end, ageing) for end, ageing in zip(ends, Movement.objects.ageings(ends), strict=True)]
    return list(dropwhile(lambda row: not row.credits, rows))


def row_of(end: date, ageing: list[Standing]) -> Row:
    whole = sum(ageing, Standing())
    return Row(end, whole.credits, whole.outstanding, *at_risk(ageing)[1 : 1 + len(PARS)])


def charts(rows: list[Row]) -> dict[str, Any]:
    """Returns the labels and the series of the charts."""
    return {
        "months": [f"{row.month_end:%Y-%m}" for row in rows],
        "outstanding_curves": [
            Curve(
                str(_("Outstanding")),
                [row.outstanding for row in rows],
                [open_credits(row.month_end) for row in rows],
            )
        ],
        "par_curves": [
            Curve(
                f"PAR>{days}",
                [getattr(row, column) for row in rows],
                [credits_past_due(row.month_end, days) for row in rows],
            )
            for days, column in PARS.items()
        ],
    }


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the charts, and the rows, latest first, with the lists of their credits."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    ends = [(row, open_credits(row.month_end), pars(row)) for row in reversed(rows)]
    return {"until": day, **month_ends_beside(day), **charts(rows), "ends": ends}


def pars(row: Row) -> list[tuple[Decimal | None, str]]:
    """Returns each PAR with the address of the list of the credits at risk."""
    return [(getattr(row, column), credits_past_due(row.month_end, days)) for days, column in PARS.items()]


report = Report(
    name="portfolio_trend",
    title=_("Portfolio trend"),
    question=_("How did the outstanding principal and the portfolio at risk move over the last 24 months?"),
    formula=_(
        "Outstanding is the body of the credits open at the month end, less the payments for it by then. "
        "PAR>x, the portfolio at risk, is what is more than x days past due / all outstanding, in percent. "
        "Nothing that happens after a month end counts in its row."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=lambda rows: [],
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31"},
        Row(
            month_end=date(2022, 7, 31),
            credits=1320,
            outstanding=Decimal("2006038.07"),
            par0_percent=Decimal("96.49"),
            par30_percent=Decimal("77.55"),
            par60_percent=Decimal("56.96"),
            par90_percent=Decimal("46.17"),
        ),
    ),
)
