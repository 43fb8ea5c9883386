"""Is the month of a date on its way to its plans?

Even pace spreads the plan evenly over the days: expected so far is plan × days elapsed / days in the month,
pace is actual / expected, and the run rate is actual / days elapsed × days in the month. Needed per day is
(plan - actual) / days left.

Usual pace takes the share of a month's sum that is usually there by this day, the mean of the six months
before: expected so far is plan × share, pace is actual / expected, and the expected month end is
actual / share.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent, rounded, rounded_if_known
from credits.models import Dictionary
from credits.totals import DailyTotal
from plans.models import Plan

from .params import DayField, ReportParams
from .report import Report
from .stretch import last_of_month


class Params(ReportParams):
    check_date = DayField()


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percents have two places.

    Percents of the plan, or of what is expected of it, are None if that is 0. The usual columns are None if
    one of the six months before has no sum.
    """

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
    usual_share_percent: Decimal | None
    usual_expected_sum: Decimal | None
    usual_pace_percent: Decimal | None
    usual_month_end_sum: Decimal | None  # also None if the share is 0


def compute(check_date: date) -> list[Row]:
    """Returns a row for each plan of the month."""
    month = check_date.replace(day=1)
    elapsed, days = check_date.day, last_of_month(month).day
    totals = {
        Dictionary.ISSUANCE: DailyTotal.objects.issued(),
        Dictionary.COLLECTION: DailyTotal.objects.collected(),
    }
    actual = {category: rows.between(month, check_date).total().sum for category, rows in totals.items()}
    shares = {category: rows.usual_share(check_date) for category, rows in totals.items()}
    rows = []
    for plan in Plan.objects.between(month, month).in_order().select_related("category"):
        done, share = actual[plan.category_id], shares[plan.category_id]
        usual = None if share is None else plan.sum * share
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
                usual_share_percent=rounded_if_known(share and share * 100),
                usual_expected_sum=rounded_if_known(usual),
                usual_pace_percent=percent(done, usual or ZERO),
                usual_month_end_sum=rounded(done / share) if share else None,
            )
        )
    return rows


report = Report(
    name="pace",
    title=_("Pace"),
    question=_("Is the month of a date on its way to its plans?"),
    formula=_(
        "Even pace spreads the plan evenly over the days: expected so far is plan × days elapsed / days in "
        "the month, pace is actual / expected, in percent, and the run rate is actual / days elapsed × days "
        "in the month. Needed per day is (plan − actual) / days left. Usual pace takes the share of a "
        "month's sum that is usually there by this day, the mean of the six months before: expected so far "
        "is plan × share, pace is actual / expected, in percent, and the expected month end is actual / "
        "share."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=lambda rows: [],
)
