"""How do the plans stand at a date?

Actual is the sum issued or collected from the month's first day to the date, or to the end of the month if
that is earlier. Performance is actual / plan.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credits.book.days import month_number
from credits.book.money import percent
from credits.models import Dictionary, name_for_people
from credits.totals import DailyTotal, Total
from plans.models import Plan

from . import forecast, pace
from .at_date import month_ends_beside
from .cache import get_or_compute
from .params import DayField, ReportParams
from .report import Report, summed
from .stretch import last_of_month
from .templatetags.charts import Curve


class Params(ReportParams):
    check_date = DayField()


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percent has two places; it is None for a plan of 0."""

    month: date
    category: str  # the dictionary's name
    plan_sum: Decimal
    actual_sum: Decimal
    performance_percent: Decimal | None


def compute(check_date: date) -> list[Row]:
    plans = Plan.objects.until(check_date).in_order().select_related("category")
    if not plans:
        return []
    first = plans[0].period
    actual = {
        Dictionary.ISSUANCE: DailyTotal.objects.issued().between(first, check_date).by_month(),
        Dictionary.COLLECTION: DailyTotal.objects.collected().between(first, check_date).by_month(),
    }
    rows = []
    for plan in plans:
        done = actual[plan.category_id].get(f"{plan.period:%Y-%m}", Total()).sum
        rows.append(Row(plan.period, plan.category.name, plan.sum, done, percent(done, plan.sum)))
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns a row for each category."""
    totals = []
    for category in dict.fromkeys(row.category for row in rows):
        sums = summed([row for row in rows if row.category == category], "plan_sum", "actual_sum")
        performance = percent(sums["actual_sum"], sums["plan_sum"])
        totals.append({"category": category, **sums, "performance_percent": performance})
    return totals


def page_context(rows: list[Row], check_date: date) -> dict[str, Any]:
    """Returns the date's month with its forecast, the months before by year, the totals, and the month ends.

    Each row or total comes with the address of the list of the credits or payments that it sums.
    """
    month = check_date.replace(day=1)
    issuance = Dictionary.objects.get(pk=Dictionary.ISSUANCE).name
    paces = get_or_compute(pace.report, {"check_date": check_date}).rows
    past = sorted((row for row in rows if row.month < month), key=lambda row: row.month, reverse=True)
    return {
        "check_date": check_date,
        "paces": [(row, behind([row], check_date, issuance)) for row in paces],
        "lacks_usual": any(row.usual_share_percent is None for row in paces),
        "forecast": forecast.of_month(check_date, timezone.localdate()) if paces else None,
        "years": [
            (year, [(row, behind([row], check_date, issuance)) for row in of_year])
            for year, of_year in groupby(past, lambda row: row.month.year)
        ],
        "sums": [
            (total, behind([row for row in rows if row.category == total["category"]], check_date, issuance))
            for total in totals(rows)
        ],
        **month_ends_beside(check_date),
        **chart(rows, check_date, issuance),
    }


def chart(rows: list[Row], check_date: date, issuance: str) -> dict[str, Any]:
    """Returns the chart of the performance of each category."""
    months = [f"{month:%Y-%m}" for month in dict.fromkeys(row.month for row in rows)]
    found = {(row.category, f"{row.month:%Y-%m}"): row for row in rows}
    return {
        "months": months,
        "curves": [
            Curve(
                name_for_people(category),
                [row.performance_percent if row else None for row in of_months],
                [behind([row], check_date, issuance) if row else "" for row in of_months],
            )
            for category in dict.fromkeys(row.category for row in rows)
            for of_months in [[found.get((category, month)) for month in months]]
        ],
    }


def behind(rows: list[Any], check_date: date, issuance: str) -> str:
    """Returns the address of the list of the credits or payments that the rows of a category sum.

    It is empty if there is a month without a plan between them, which a list can't leave out.
    """
    first, last = rows[0].month, rows[-1].month
    if month_number(f"{last}") - month_number(f"{first}") != len(rows) - 1:
        return ""
    until = min(check_date, last_of_month(last))
    if rows[0].category == issuance:
        return f"{reverse('credits_page')}?issued_from={first}&issued_to={until}"
    return f"{reverse('payments_page')}?paid_from={first}&paid_to={until}"


report = Report(
    name="plans_performance",
    title=_("Plans performance"),
    question=_("How do the plans stand at a date?"),
    formula=_(
        "Actual is the sum issued or collected from the month's first day to the date, or to the end of the "
        "month if that is earlier. Performance is actual / plan, in percent."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2021-06-15"},
        Row(date(2021, 6, 1), "видача", Decimal("272000"), Decimal("145000"), Decimal("53.31")),
    ),
)
