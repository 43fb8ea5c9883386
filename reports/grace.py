"""What the reports on credits by their month due share: the days of grace after the due date."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credits.book.days import days_before

from .matrix import Cell
from .stretch import last_of_month
from .templatetags.charts import Curve

GRACES = (0, 7, 30, 60, 90)  # days
IN_CHART = (0, 30, 90)

Figures = dict[int, Decimal | None]  # by grace


def name_of(grace: int) -> str:
    if not grace:
        return _("by the due date")
    text = ngettext("%(days)d day after the due date", "%(days)d days after the due date", grace)
    return text % {"days": grace}


def last_day(month: str) -> date:
    return last_of_month(date.fromisoformat(f"{month}-01"))


def is_over(month: str, grace: int, until: date) -> bool:
    """Tells whether the grace of all credits due in the month has passed."""
    return last_day(month) <= days_before(until, grace)


def due_by(until: date, grace: int, month: str = "") -> str:
    """Returns the filter for the credits, of all or due in the month, whose grace has passed."""
    last = days_before(until, grace)
    return f"due_from={month}-01&due_to={min(last, last_day(month))}" if month else f"due_to={last}"


def cells(percents: Figures, address: str, until: date, month: str = "") -> list[Cell | None]:
    """Returns a cell for each grace, or None without a percent.

    Addresses of the rows behind the cells begin with address, in which {grace} stands for the days of grace.
    """
    return [
        Cell(
            percents[grace],
            f"{address.format(grace=grace)}{due_by(until, grace, month)}",
            is_partial=bool(month) and not is_over(month, grace, until),
        )
        if grace in percents
        else None
        for grace in GRACES
    ]


def curve(name: Any, months: dict[str, Figures], address: str, grace: int, until: date) -> Curve:
    """Returns the curve of a grace over the months. It has a gap where some grace hasn't passed.

    The address is that of cells().
    """
    over = {month: figures.get(grace) for month, figures in months.items() if is_over(month, grace, until)}
    behind = [f"{address.format(grace=grace)}{due_by(until, grace, month)}" for month in months]
    return Curve(str(name), [over.get(month) for month in months], behind)
