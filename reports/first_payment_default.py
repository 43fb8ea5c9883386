"""Which share of the credits due in each month was not returned in time?

A credit defaulted if it was not returned by its due date + the days of grace. It counts once that day isn't
after the date, so nothing that happens later changes a figure. The histories are those of
credits.movements.History.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from credits.book.money import percent
from credits.models import Movement
from credits.movements import History

from .at_date import ParamsAtDate, date_of, month_ends_beside
from .grace import GRACES, IN_CHART, cells, curve, due_by, name_of
from .listing import HISTORIES
from .report import Report, summed

GRACE_OF_HISTORIES = 30  # in the chart of the histories


@dataclass(frozen=True, slots=True)
class Row:
    """The percent has two places."""

    month_due: str  # 2021-06
    grace: int  # days
    history: str  # new, returning or late_before
    credits: int  # whose grace has passed
    defaulted: int  # not returned by the due date + the grace
    default_percent: Decimal | None


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each month, grace and history that has credits; none for an empty book."""
    until = date_of(check_date, today)
    if until is None:
        return []
    found = Movement.objects.returned_in_time(until, GRACES)
    return [
        Row(
            month_due=due.month,
            grace=due.grace,
            history=History(due.history).name.lower(),
            credits=due.credits,
            defaulted=due.credits - due.returned,
            default_percent=percent(Decimal(due.credits - due.returned), Decimal(due.credits)),
        )
        for due in sorted(found, key=attrgetter("month", "grace", "history"))
    ]


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns, for each grace, a row of all credits and then one for each history."""
    totals = []
    for grace in GRACES:
        of_grace = [row for row in rows if row.grace == grace]
        if of_grace:
            totals.append({"grace": grace, **together(of_grace)})
        for history in HISTORIES:
            if of_history := [row for row in of_grace if row.history == history]:
                totals.append({"grace": grace, "history": history, **together(of_history)})
    return totals


def together(rows: list[Row]) -> dict[str, Any]:
    sums = summed(rows, "credits", "defaulted")
    return sums | {"default_percent": percent(Decimal(sums["defaulted"]), Decimal(sums["credits"]))}


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the lines of the tables with the addresses of the rows behind them, and the curves."""
    until = date_of(check_date, today)
    if until is None:
        return {}
    lines = {
        month: parts([row for row in rows if row.month_due == month], until, month)
        for month in dict.fromkeys(row.month_due for row in rows)
    }
    of_all = {month: of_month["all"]["percents"] for month, of_month in lines.items()}
    of_histories = {
        history: {month: of_month["histories"][history]["percents"] for month, of_month in lines.items()}
        for history in HISTORIES
    }
    return {
        "until": until,
        **month_ends_beside(until),
        "graces": GRACES,
        "histories": HISTORIES,
        "lines": lines,
        "total": parts(rows, until),
        "months": list(lines),
        "curves": [curve(name_of(grace), of_all, late(), grace, until) for grace in IN_CHART],
        "history_grace": GRACE_OF_HISTORIES,
        "history_curves": [
            curve(label, of_histories[history], late(filter_of(history)), GRACE_OF_HISTORIES, until)
            for history, label in HISTORIES.items()
        ],
    }


def parts(rows: list[Row], until: date, month: str = "") -> dict[str, Any]:
    """Returns the figures of all credits, and those of each history."""
    histories = {
        history: part([row for row in rows if row.history == history], until, month, filter_of(history))
        for history in HISTORIES
    }
    return {"all": part(rows, until, month), "histories": histories}


def part(rows: list[Row], until: date, month: str, filters: str = "") -> dict[str, Any]:
    """Returns the credits due, and a cell for each grace, with the addresses of the lists of the credits."""
    of_graces = {grace: [row for row in rows if row.grace == grace] for grace in GRACES}
    percents = {grace: together(group)["default_percent"] for grace, group in of_graces.items() if group}
    credits_ = f"{reverse('credits_page')}?{filters}"
    return {
        "credits": summed(of_graces[0], "credits")["credits"],
        "behind": credits_ + due_by(until, 0, month),
        "percents": percents,
        "cells": cells(percents, late(filters), until, month),
    }


def filter_of(history: str) -> str:
    return f"history={history}&"


def late(filters: str = "") -> str:
    """Returns where the address of the list of late credits begins; cells() adds the days due."""
    return f"{reverse('credits_page')}?{filters}late={{grace}}&"


report = Report(
    name="first_payment_default",
    title=_("First-payment default"),
    question=_("Which share of the credits due in each month was not returned in time?"),
    formula=_(
        "A credit defaulted if it was not returned by its due date + the days of grace; the percent is of "
        "the credits due in the month. A credit counts once its due date + the days of grace isn't after the "
        "date, so nothing that happens later changes a figure. A borrower is new if no credit was issued to "
        "them on an earlier day, and late before if, by the day of issuance, an earlier credit had been "
        "unreturned 30 days after its due date. All others are returning."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=({"check_date": "2022-07-31"}, Row("2021-06", 0, "new", 86, 76, Decimal("88.37"))),
)
