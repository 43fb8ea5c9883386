"""What do the open credits still owe, by the week they are due?

The credits are those open at the end of the date or, without one, of the book's last day. A credit due before
the date is overdue. Weeks run from Monday to Sunday; this week begins on the date. Principal left is what the
credits owe at the end of the date: later payments and returns don't count. Interest is known only as the book
has it now, so it is left out at a date; without one, all payments and returns in the book count for it, even
those after the book's last day.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from credits.models import Movement

from .at_date import ParamsAtDate, date_of, month_ends_beside, open_credits
from .report import Report, summed
from .stretch import day_after, day_before

# {name of a period: its label}
LABELS = {
    "overdue": pgettext_lazy("period", "overdue"),
    "this week": _("this week"),
    "in 1 week": _("in 1 week"),
    "in 2 weeks": _("in 2 weeks"),
    "in 3 weeks": _("in 3 weeks"),
    "in 4 weeks": _("in 4 weeks"),
    "in 5 weeks": _("in 5 weeks"),
    "in 6 weeks": _("in 6 weeks"),
    "in 7 weeks": _("in 7 weeks"),
    "in 8 weeks": _("in 8 weeks"),
    "later": _("later"),
}
OVERDUE, *WEEKS, LATER = LABELS


@dataclass(frozen=True, slots=True)
class Row:
    """The open credits that are due in a period. Amounts are money."""

    period: str  # overdue, this week, in 1 week, …, in 8 weeks or later
    since: date | None  # the first due day; None for overdue
    until: date | None  # the last due day; None for later
    credits: int
    body_left: Decimal
    interest_left: Decimal | None  # None at a date


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns a row for each period; without a date, none for an empty book.

    The period after the last week has a row only if a credit is due then.
    """
    day = date_of(check_date, today)
    if day is None:
        return []
    periods = periods_from(day)
    sums = Movement.objects.by_period(day, [since for _name, since, _until in periods if since])
    rows = [
        Row(*period, standing.credits, standing.outstanding, None if check_date else interest)
        for period, (standing, interest) in zip(periods, sums, strict=True)
    ]
    return [row for row in rows if row.period != LATER or row.credits]


def periods_from(day: date) -> list[tuple[str, date | None, date | None]]:
    """Returns the name, first day and last day of each period; fewer near the last day that a date can be."""
    periods: list[tuple[str, date | None, date | None]] = [(OVERDUE, None, day_before(day))]
    since: date | None = day
    for name in WEEKS:
        if since:
            until = since + min(timedelta(days=6 - since.weekday()), date.max - since)
            periods.append((name, since, until))
            since = day_after(until)
    return [*periods, (LATER, since, None)] if since else periods


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    sums = summed(rows, "credits", "body_left", "interest_left")
    is_known = any(row.interest_left is not None for row in rows)
    return [sums if is_known else sums | {"interest_left": None}]


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the date, the month ends beside it, and each row with its label and the list of its credits."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    return {
        "until": day,
        "is_asked": bool(check_date),
        **month_ends_beside(day),
        "periods": [(row, LABELS[row.period], open_credits(day, row.since, row.until)) for row in rows],
        "every": open_credits(day),
    }


report = Report(
    name="expected_receipts",
    title=_("Expected receipts"),
    question=_("What do the open credits still owe, by the week they are due?"),
    formula=_(
        "The credits are those open at the end of the date or, without one, of the book's last day. A credit "
        "due before the date is overdue. Weeks run from Monday to Sunday; this week begins on the date. "
        "Principal left is the body less the payments for it up to the date. Interest left is the interest "
        "less all payments for it; it is known only as the book has it now, so it is left out at a date."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-06-30"},
        Row("in 1 week", date(2022, 7, 4), date(2022, 7, 10), 123, Decimal("287169.36"), None),
    ),
)
