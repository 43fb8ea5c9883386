"""How did a month go, day by day, against plan?

Cumulative is from the month's first day to the day; expected is plan × day / days in the month;
performance is cumulative / plan of the whole month.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent, rounded
from credits.models import Dictionary
from credits.totals import DailyTotal, Total
from plans.models import Plan

from .params import MonthField, ReportParams
from .report import Report, summed
from .stretch import day_after, day_before, last_day_of_book, last_of_month


class Params(ReportParams):
    month = MonthField()


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percents have two places; they are None if there is no plan or it is 0."""

    day: date
    issuance_count: int
    actual_issuance_sum: Decimal
    cumulative_issuance_sum: Decimal
    expected_issuance_sum: Decimal
    issuance_performance_percent: Decimal | None
    payment_count: int
    actual_collection_sum: Decimal
    cumulative_collection_sum: Decimal
    expected_collection_sum: Decimal
    collection_performance_percent: Decimal | None


def compute(month: date) -> list[Row]:
    """Returns a row for each day of the month. month is its first day."""
    last = last_of_month(month)
    days = last.day
    issued = DailyTotal.objects.issued().between(month, last).by_day()
    collected = DailyTotal.objects.collected().between(month, last).by_day()
    plans = Plan.objects.between(month, month).by_month().get(f"{month:%Y-%m}", {})
    issuance_plan = plans.get(Dictionary.ISSUANCE, ZERO)
    collection_plan = plans.get(Dictionary.COLLECTION, ZERO)
    issued_so_far = collected_so_far = ZERO
    rows = []
    for number in range(1, days + 1):
        day = month.replace(day=number)
        issuance, collection = issued.get(day, Total()), collected.get(day, Total())
        issued_so_far += issuance.sum
        collected_so_far += collection.sum
        rows.append(
            Row(
                day=day,
                issuance_count=issuance.count,
                actual_issuance_sum=issuance.sum,
                cumulative_issuance_sum=issued_so_far,
                expected_issuance_sum=rounded(issuance_plan * number / days),
                issuance_performance_percent=percent(issued_so_far, issuance_plan),
                payment_count=collection.count,
                actual_collection_sum=collection.sum,
                cumulative_collection_sum=collected_so_far,
                expected_collection_sum=rounded(collection_plan * number / days),
                collection_performance_percent=percent(collected_so_far, collection_plan),
            )
        )
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns the sums of the month, and its cumulative figures on the last day."""
    last = rows[-1]
    return [
        summed(rows, "issuance_count", "actual_issuance_sum", "payment_count", "actual_collection_sum")
        | {
            "cumulative_issuance_sum": last.cumulative_issuance_sum,
            "expected_issuance_sum": last.expected_issuance_sum,
            "issuance_performance_percent": last.issuance_performance_percent,
            "cumulative_collection_sum": last.cumulative_collection_sum,
            "expected_collection_sum": last.expected_collection_sum,
            "collection_performance_percent": last.collection_performance_percent,
        }
    ]


def page_context(rows: list[Row], month: date) -> dict[str, Any]:
    """Returns the months before and after, and the last day of the book, where the charts' lines end."""
    return {
        "nothing": not any(totals(rows)[0].values()),
        "month": month,
        "month_before": day_before(month),
        "month_after": day_after(last_of_month(month)),
        "last_day": last_day_of_book(timezone.localdate()),
    }


report = Report(
    name="month",
    title=_("A month by days"),
    question=_("How did a month go, day by day, against plan?"),
    formula=_(
        "Cumulative is from the month's first day to the day. Expected is plan × day / days in the month. "
        "Performance is cumulative / plan of the whole month, in percent."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
)
