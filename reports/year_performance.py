"""How did a year go, month by month, against plan?

Performance is actual / plan; the percent of the year is the month / the whole year. A month has a row if
it has a plan, an issuance or a payment.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent
from credits.models import Dictionary
from credits.totals import DailyTotal, Total
from plans.models import Plan

from .params import FIRST_YEAR, LAST_YEAR, ReportParams, YearField
from .report import Report, summed


class Params(ReportParams):
    year = YearField()


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percents have two places; they are None if they would be a percent of 0.

    Row(month) is the row of a month without a plan, an issuance or a payment.
    """

    month_year: str  # 2021-06
    issuance_count: int = 0
    plan_issuance_sum: Decimal = ZERO
    actual_issuance_sum: Decimal = ZERO
    issuance_performance_percent: Decimal | None = None
    payment_count: int = 0
    plan_collection_sum: Decimal = ZERO
    actual_collection_sum: Decimal = ZERO
    collection_performance_percent: Decimal | None = None
    issuance_percent_of_year: Decimal | None = None
    collection_percent_of_year: Decimal | None = None


def compute(year: int) -> list[Row]:
    first, last = date(year, 1, 1), date(year, 12, 31)
    issued = DailyTotal.objects.issued().between(first, last).by_month()
    collected = DailyTotal.objects.collected().between(first, last).by_month()
    planned = Plan.objects.between(first, last).by_month()
    issued_in_year = sum((total.sum for total in issued.values()), ZERO)
    collected_in_year = sum((total.sum for total in collected.values()), ZERO)
    rows = []
    for month in sorted(issued.keys() | collected.keys() | planned.keys()):
        issuance, collection = issued.get(month, Total()), collected.get(month, Total())
        plans = planned.get(month, {})
        issuance_plan = plans.get(Dictionary.ISSUANCE, ZERO)
        collection_plan = plans.get(Dictionary.COLLECTION, ZERO)
        rows.append(
            Row(
                month_year=month,
                issuance_count=issuance.count,
                plan_issuance_sum=issuance_plan,
                actual_issuance_sum=issuance.sum,
                issuance_performance_percent=percent(issuance.sum, issuance_plan),
                payment_count=collection.count,
                plan_collection_sum=collection_plan,
                actual_collection_sum=collection.sum,
                collection_performance_percent=percent(collection.sum, collection_plan),
                issuance_percent_of_year=percent(issuance.sum, issued_in_year),
                collection_percent_of_year=percent(collection.sum, collected_in_year),
            )
        )
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    sums = summed(
        rows,
        "issuance_count",
        "plan_issuance_sum",
        "actual_issuance_sum",
        "payment_count",
        "plan_collection_sum",
        "actual_collection_sum",
    )
    issued, collected = sums["actual_issuance_sum"], sums["actual_collection_sum"]
    return [
        sums
        | {
            "issuance_performance_percent": percent(issued, sums["plan_issuance_sum"]),
            "collection_performance_percent": percent(collected, sums["plan_collection_sum"]),
            "issuance_percent_of_year": percent(issued, issued),
            "collection_percent_of_year": percent(collected, collected),
        }
    ]


def page_context(rows: list[Row], year: int) -> dict[str, Any]:
    return {
        "year": year,
        "year_before": year - 1 if year > FIRST_YEAR else None,
        "year_after": year + 1 if year < LAST_YEAR else None,
        "last": rows[-1] if rows else None,
    }


report = Report(
    name="year_performance",
    title=_("Year performance"),
    question=_("How did a year go, month by month, against plan?"),
    formula=_(
        "Performance is actual / plan; the percent of the year is month / whole year. Both are in percent. "
        "A month has a row if it has a plan, an issuance or a payment."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"year": 2021},
        Row(
            month_year="2021-06",
            issuance_count=118,
            plan_issuance_sum=Decimal("272000"),
            actual_issuance_sum=Decimal("324000"),
            issuance_performance_percent=Decimal("119.12"),
            payment_count=1812,
            plan_collection_sum=Decimal("1133000"),
            actual_collection_sum=Decimal("1059206.68"),
            collection_performance_percent=Decimal("93.49"),
            issuance_percent_of_year=Decimal("5.64"),
            collection_percent_of_year=Decimal("7.48"),
        ),
    ),
)
