"""How does a year compare with the year before, over equal stretches?

In the year of the book's last day (the last day up to today that has an issuance or a payment) the stretch
ends on that day: its month is compared with the same days a year before. 29 February is compared with 28
February.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from credits.book.money import percent
from credits.totals import DailyTotal, Total

from .params import FIRST_YEAR, LAST_YEAR, ParamsAtToday, YearField
from .report import Report, summed
from .stretch import a_year_before, last_day_of_book, last_of_month


class Params(ParamsAtToday):
    year = YearField()


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. A change is (this year - the year before) / the year before; None if that is 0."""

    month_year: str  # 2021-06
    until: date  # the last day included
    until_before: date  # the last day included, a year before
    issuance_sum: Decimal
    issuance_before_sum: Decimal
    issuance_change_percent: Decimal | None
    collection_sum: Decimal
    collection_before_sum: Decimal
    collection_change_percent: Decimal | None


def compute(year: int, today: date) -> list[Row]:
    """Returns a row for each month of the stretch in which either year has an issuance or a payment."""
    until = last_day_of_book(today)
    if until is None or until.year < year:
        return []
    until = min(until, date(year, 12, 31))
    first, first_before, until_before = date(year, 1, 1), date(year - 1, 1, 1), a_year_before(until)
    issued = DailyTotal.objects.issued().between(first, until).by_month()
    collected = DailyTotal.objects.collected().between(first, until).by_month()
    issued_before = DailyTotal.objects.issued().between(first_before, until_before).by_month()
    collected_before = DailyTotal.objects.collected().between(first_before, until_before).by_month()
    rows = []
    for number in range(1, until.month + 1):
        month, before = f"{year}-{number:02}", f"{year - 1}-{number:02}"
        if not {month, before} & {*issued, *collected, *issued_before, *collected_before}:
            continue
        sums = {
            "issuance_sum": issued.get(month, Total()).sum,
            "issuance_before_sum": issued_before.get(before, Total()).sum,
            "collection_sum": collected.get(month, Total()).sum,
            "collection_before_sum": collected_before.get(before, Total()).sum,
        }
        end = min(until, last_of_month(date(year, number, 1)))
        end_before = min(until_before, last_of_month(date(year - 1, number, 1)))
        rows.append(Row(month_year=month, until=end, until_before=end_before, **changes(sums)))
    return rows


def changes(sums: dict[str, Any]) -> dict[str, Any]:
    """Returns the sums, and the changes from the year before to this year."""
    issued, collected = sums["issuance_before_sum"], sums["collection_before_sum"]
    return sums | {
        "issuance_change_percent": percent(sums["issuance_sum"] - issued, issued),
        "collection_change_percent": percent(sums["collection_sum"] - collected, collected),
    }


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    columns = ("issuance_sum", "issuance_before_sum", "collection_sum", "collection_before_sum")
    if not rows:
        return []
    last = rows[-1]
    ends = {"until": last.until, "until_before": last.until_before}
    return [ends | changes(summed(rows, *columns))]


def page_context(rows: list[Row], year: int, today: date) -> dict[str, Any]:
    return {
        "year": year,
        "year_before": year - 1,
        "has_year_before": year > FIRST_YEAR,
        "year_after": year + 1 if year < LAST_YEAR else None,
    }


report = Report(
    name="year_on_year",
    title=_("Year on year"),
    question=_("How does a year compare with the year before, over equal stretches?"),
    formula=_(
        "Both years count up to the same day, the last one that has an issuance or a payment. 29 February is "
        "compared with 28 February. Change is (this year − the year before) / the year before, in percent."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
)
