"""How much goes to new borrowers and how much to returning ones, and how much do both pay?

A credit is new if its borrower had no credit issued on an earlier day; otherwise it is returning. Collected
is all that is paid in the month for such credits, whenever they were issued. The percent of new is the sum
of the new credits / all issued. Without a date, it is the last day up to today that has an issuance or a
payment.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from credits.book.days import month_ends
from credits.book.money import ZERO, percent
from credits.models import Movement
from credits.movements import Turnover

from .at_date import ParamsAtDate, date_of, month_ends_beside
from .report import Report, summed
from .stretch import last_of_month
from .templatetags.charts import Curve

DRAWN = 24  # months in the charts


@dataclass(frozen=True, slots=True)
class Row:
    """Issued and collected are money. The percent has two places; it is None if nothing was issued.

    Row(month) is the row of a month without an issuance or a payment.
    """

    month: str  # 2021-06
    new_credits: int = 0
    new_issued: Decimal = ZERO
    new_collected: Decimal = ZERO
    returning_credits: int = 0
    returning_issued: Decimal = ZERO
    returning_collected: Decimal = ZERO
    new_percent: Decimal | None = None


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each month by the date that has an issuance or a payment."""
    day = date_of(check_date, today)
    if day is None:
        return []
    found = Movement.objects.turnover(day)
    rows = []
    for month in dict.fromkeys(month for month, _is_new in found):
        new, returning = (found.get((month, is_new), Turnover()) for is_new in (True, False))
        rows.append(
            Row(
                month=month,
                new_credits=new.credits,
                new_issued=new.issued,
                new_collected=new.collected,
                returning_credits=returning.credits,
                returning_issued=returning.issued,
                returning_collected=returning.collected,
                new_percent=percent(new.issued, new.issued + returning.issued),
            )
        )
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    if not rows:
        return []
    sums = summed(
        rows,
        "new_credits",
        "new_issued",
        "new_collected",
        "returning_credits",
        "returning_issued",
        "returning_collected",
    )
    issued = sums["new_issued"] + sums["returning_issued"]
    return [sums | {"new_percent": percent(sums["new_issued"], issued)}]


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns each month, newest first, with its first and last day, and the charts of the last months."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    context = {"until": day, **month_ends_beside(day)}
    if not rows:
        return context
    firsts = [date.fromisoformat(f"{row.month}-01") for row in rows]
    ends = [end for end in month_ends(last_of_month(firsts[-1]), DRAWN) if end > firsts[0]]
    of_month = {row.month: row for row in rows}
    drawn = [of_month.get(month, Row(month)) for month in (str(end)[:7] for end in ends)]
    credits_, payments = reverse("credits_page"), reverse("payments_page")
    return context | {
        "months": [
            (row, first, min(day, last_of_month(first))) for row, first in zip(rows, firsts, strict=True)
        ][::-1],
        "first": firsts[0],
        "labels": [row.month for row in drawn],
        "issued": curves(drawn, "issued", f"{credits_}?issued_from={{first}}&issued_to={{last}}", day),
        "collected": curves(drawn, "collected", f"{payments}?paid_from={{first}}&paid_to={{last}}", day),
    }


def curves(rows: list[Row], column: str, address: str, day: date) -> list[Curve]:
    """Returns the curves of a column. {first} and {last} in the address stand for the days of a month."""
    firsts = [date.fromisoformat(f"{row.month}-01") for row in rows]
    behind = [address.format(first=first, last=min(day, last_of_month(first))) for first in firsts]
    return [
        Curve(
            name,
            [getattr(row, f"{kind}_{column}") for row in rows],
            [f"{month}&{filters}" for month in behind],
        )
        for name, kind, filters in (
            (gettext("new"), "new", "history=new"),
            (gettext("returning"), "returning", "history=returning&history=late_before"),
        )
    ]


report = Report(
    name="new_and_returning",
    title=_("New and returning"),
    question=_("How much goes to new borrowers, how much to returning ones, and how much do both pay?"),
    formula=_(
        "A credit is new if its borrower had no credit issued on an earlier day; otherwise it is returning. "
        "Collected is all that is paid in the month for such credits, whenever they were issued. The share "
        "of new is the sum of the new credits / all issued, in percent."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2021-06-30"},
        Row(
            month="2021-06",
            new_credits=88,
            new_issued=Decimal("239000"),
            new_collected=Decimal("839198.95"),
            returning_credits=30,
            returning_issued=Decimal("85000"),
            returning_collected=Decimal("220007.73"),
            new_percent=Decimal("73.77"),
        ),
    ),
)
