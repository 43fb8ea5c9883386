"""How do the plans stand at a date?

Actual is what was issued or collected from the month's first day to the date, and never past that
month's end; performance is actual / plan.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credits.models import Credit, Dictionary, Payment, Total
from credits.money import percent
from plans.models import Plan

from .report import Report, ReportParams, summed


class Params(ReportParams):
    check_date = forms.DateField(
        label=_("Date"),
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        initial=timezone.localdate,
        help_text=_("a date, yyyy-mm-dd"),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money; the percent has two places and is None for a plan of 0."""

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
        Dictionary.ISSUANCE: Credit.objects.issued_between(first, check_date).by_month(),
        Dictionary.COLLECTION: Payment.objects.paid_between(first, check_date).by_month(),
    }
    rows = []
    for plan in plans:
        done = actual[plan.category_id].get(f"{plan.period:%Y-%m}", Total()).sum
        rows.append(Row(plan.period, plan.category.name, plan.sum, done, percent(done, plan.sum)))
    return rows


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """A row for each category."""
    totals = []
    for category in dict.fromkeys(row.category for row in rows):
        sums = summed([row for row in rows if row.category == category], "plan_sum", "actual_sum")
        performance = percent(sums["actual_sum"], sums["plan_sum"])
        totals.append({"category": category, **sums, "performance_percent": performance})
    return totals


report = Report(
    name="plans_performance",
    title=_("Plans performance"),
    question=_("How do the plans stand at a date?"),
    formula=_(
        "Actual is what was issued or collected from the month's first day to the date, and never past that "
        "month's end. Performance is actual / plan in percent."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
)
