"""How much of the body due in each month came back by the due date, and within some days of grace?

Efficiency is the body paid by the due date + the days of grace / the body of the credits due. A credit counts
once that day isn't after the date, so nothing that happens later changes a figure.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from credits.book.money import percent
from credits.models import Dictionary, Movement

from .at_date import ParamsAtDate, date_of, month_ends_beside
from .grace import GRACES, IN_CHART, Figures, cells, curve, due_by, name_of
from .report import Report, summed


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percent has two places; it is None if the body is 0."""

    month_due: str  # 2021-06
    grace: int  # days
    credits: int  # whose grace has passed
    body: Decimal
    paid: Decimal  # for the body, by the due date + the grace
    efficiency_percent: Decimal | None


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each month and grace that has credits; none for an empty book."""
    until = date_of(check_date, today)
    if until is None:
        return []
    return [
        Row(
            paid.month,
            paid.grace,
            paid.credits,
            paid.body,
            paid.body_paid,
            percent(paid.body_paid, paid.body),
        )
        for paid in Movement.objects.paid_in_time(until, GRACES)
    ]


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns a row for each grace."""
    totals = []
    for grace in GRACES:
        if of_grace := [row for row in rows if row.grace == grace]:
            sums = summed(of_grace, "credits", "body", "paid")
            totals.append({"grace": grace, **sums, "efficiency_percent": percent(sums["paid"], sums["body"])})
    return totals


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the lines of the table with the addresses of the rows behind them, and the curves."""
    until = date_of(check_date, today)
    if until is None:
        return {}
    due = {row.month_due: row for row in rows if row.grace == 0}
    percents = by_month(rows, "efficiency_percent")
    body, paid = by_month(rows, "body"), by_month(rows, "paid")
    credits_ = f"{reverse('credits_page')}?"
    payments = f"{reverse('payments_page')}?kind={Dictionary.BODY}&within={{grace}}&"
    of_all = {total["grace"]: total["efficiency_percent"] for total in totals(rows)}
    return {
        "until": until,
        **month_ends_beside(until),
        "graces": GRACES,
        "lines": [
            (due[month], credits_ + due_by(until, 0, month), cells(of_month, payments, until, month))
            for month, of_month in percents.items()
        ],
        "all_credits": credits_ + due_by(until, 0),
        "all_cells": cells(of_all, payments, until),
        "months": list(percents),
        "curves": [curve(name_of(grace), percents, payments, grace, until) for grace in IN_CHART],
        "sum_curves": [
            curve(_("due in the month"), body, credits_, 0, until),
            *(curve(paid_by(grace), paid, payments, grace, until) for grace in IN_CHART),
        ],
    }


def paid_by(grace: int) -> str:
    if not grace:
        return str(_("paid by the due date"))
    text = ngettext(
        "paid by %(days)d day after the due date", "paid by %(days)d days after the due date", grace
    )
    return text % {"days": grace}


def by_month(rows: list[Row], column: str) -> dict[str, Figures]:
    """Returns {month: {grace: figure}} of a column."""
    return {
        month: {row.grace: getattr(row, column) for row in group}
        for month, group in groupby(rows, attrgetter("month_due"))
    }


report = Report(
    name="collection_efficiency",
    title=_("Collection efficiency"),
    question=_(
        "How much of the body due in each month came back by the due date, and within some days of grace?"
    ),
    formula=_(
        "Efficiency is the body paid by the due date + the days of grace / the body of the credits due in "
        "the month, in percent. A credit counts once its due date + the days of grace isn't after the date, "
        "so nothing that happens later changes a figure."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31"},
        Row("2021-06", 0, 116, Decimal("305000"), Decimal("86840.55"), Decimal("28.47")),
    ),
)
