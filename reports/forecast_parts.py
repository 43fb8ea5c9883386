"""Which parts make up the forecast of the first month that is not over at a date?

By buckets, a part is what the credits of an ageing bucket owe at the last month end. Share is the cash of the
month that ended then from the bucket / what it owed at the end of the month before. By vintages, a part is
what was issued in a month. Share is the mean of what the last three cohorts that reached its next age
collected at that age. In both, the last part is the planned issuance. Expected is base × share.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from credits.book.days import month_ends, month_number
from credits.book.money import rounded_if_known
from credits.models import Movement
from fintrack.api.params import AmountField
from plans.forecast import Cohorts, Part, by_buckets, months_after, planned_issuance

from .at_date import ParamsAtDate, date_of
from .report import Report
from .stretch import last_day_of_book, last_of_month

BUCKETS, VINTAGES = "buckets", "vintages"


class Params(ParamsAtDate):
    issuance = AmountField(
        label=_("Planned issuance a month"),
        required=False,
        help_text=_("an amount such as 250000 or 1500.50, in place of the plans of issuance"),
    )

    def clean(self) -> None:
        super().clean()
        self.cleaned_data["issuance"] = rounded_if_known(self.cleaned_data.get("issuance"))


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percent has two places; it is None if no month before tells it."""

    month: str  # 2022-07
    method: str  # buckets or vintages
    part: str  # a bucket, a cohort such as 2021-06, or planned issuance
    base_sum: Decimal | None  # outstanding, issued or planned; None without a plan
    cash_before_sum: Decimal | None  # of the month that the share is learned from; None if it is a mean
    base_before_sum: Decimal | None
    share_percent: Decimal | None
    expected_sum: Decimal | None


def compute(check_date: date | None, issuance: Decimal | None, today: date) -> list[Row]:
    """Returns the parts by buckets, then those by vintages; none without a month that is over."""
    ends = known_ends(check_date, today, 2)
    flows = Movement.objects.flows(ends)
    if not flows:
        return []
    month = months_after(ends[-1])[0]
    (planned,) = planned_issuance([month]) if issuance is None else [issuance]
    (buckets,) = by_buckets(flows[ends[-1]], [planned])
    cohorts = Cohorts(Movement.objects.until(ends[-1]).by_cohort())
    forecasts = {BUCKETS: buckets, VINTAGES: cohorts.forecast(month_number(month), planned)}
    return [row_of(month, method, part) for method, found in forecasts.items() for part in found.parts]


def known_ends(check_date: date | None, today: date, count: int) -> list[date]:
    """Returns the last month ends by the date, up to the last month of the book; none for an empty book.

    A later month has nothing to learn from.
    """
    day = date_of(check_date, today)
    last = day and last_day_of_book(min(day, today))
    return month_ends(min(day, last_of_month(last)), count) if day and last else []


def row_of(month: str, method: str, part: Part) -> Row:
    return Row(
        month=month,
        method=method,
        part=part.name,
        base_sum=part.base,
        cash_before_sum=part.cash_before,
        base_before_sum=part.base_before,
        share_percent=rounded_if_known(part.share and part.share * 100),
        expected_sum=rounded_if_known(part.expected),
    )


report = Report(
    name="forecast_parts",
    title=_("Parts of the forecast"),
    question=_("Which parts make up the forecast of the first month that is not over at a date?"),
    formula=_(
        "By buckets, a part is what the credits of an ageing bucket owe at the last month end. Share is the "
        "cash of the month that ended then from the bucket / what it owed at the end of the month before. "
        "By vintages, a part is what was issued in a month. Share is the mean of what the last three "
        "cohorts that reached its next age collected at that age. In both, the last part is the planned "
        "issuance, whose share is learned from the credits issued in one month. Expected is base × share."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=lambda rows: [],  # they are those of the report forecast, which are rounded only once
    example=(
        {"check_date": "2022-06-30"},
        Row(
            month="2022-07",
            method=BUCKETS,
            part="31 to 60",
            base_sum=Decimal("265300.09"),
            cash_before_sum=Decimal("101569.70"),
            base_before_sum=Decimal("216499.14"),
            share_percent=Decimal("46.91"),
            expected_sum=Decimal("124464.47"),
        ),
    ),
)
