"""Is the month of a date on its way to its plans?

Expected so far is plan × days elapsed / days in the month, pace is actual / expected, the run rate is
actual / days elapsed × days in the month, and needed per day is (plan - actual) / days left.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credits.book.money import percent, rounded
from credits.models import Dictionary
from credits.totals import DailyTotal
from plans.models import Plan

from .params import DayField, ReportParams
from .report import Report
from .stretch import last_of_month


class Params(ReportParams):
    check_date = DayField(initial=timezone.localdate)


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percents have two places; they are None for a plan of 0."""

    month: date
    category: str  # the dictionary's name
    days_elapsed: int  # including the date
    days_left: int
    plan_sum: Decimal
    actual_sum: Decimal
    performance_percent: Decimal | None
    expected_sum: Decimal
    pace_percent: Decimal | None
    run_rate_sum: Decimal
    needed_per_day_sum: Decimal | None  # negative if actual exceeds the plan; None on the last day


def compute(check_date: date) -> list[Row]:
    """Returns a row for each plan of the month."""
    month = check_date.replace(day=1)
    elapsed, days = check_date.day, last_of_month(month).day
    actual = {
        Dictionary.ISSUANCE: DailyTotal.objects.issued().between(month, check_date).total().sum,
        Dictionary.COLLECTION: DailyTotal.objects.collected().between(month, check_date).total().sum,
    }
    rows = []
    for plan in Plan.objects.between(month, month).in_order().select_related("category"):
        done = actual[plan.category_id]
        left = days - elapsed
        rows.append(
            Row(
                month=month,
                category=plan.category.name,
                days_elapsed=elapsed,
                days_left=left,
                plan_sum=plan.sum,
                actual_sum=done,
                performance_percent=percent(done, plan.sum),
                expected_sum=rounded(plan.sum * elapsed / days),
                pace_percent=percent(done * days, plan.sum * elapsed),
                run_rate_sum=rounded(done * days / elapsed),
                needed_per_day_sum=rounded((plan.sum - done) / left) if left else None,
            )
        )
    return rows


report = Report(
    name="pace",
    title=_("Pace"),
    question=_("Is the month of a date on its way to its plans?"),
    formula=_(
        "Expected so far is plan × days elapsed / days in the month. Pace is actual / expected, in percent. "
        "The run rate is actual / days elapsed × days in the month. Needed per day is (plan − actual) / days "
        "left."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=lambda rows: [],
)
