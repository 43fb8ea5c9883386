"""What will be collected in this month and the next ones, and how near were such forecasts?

The forecasts by buckets and by vintages are those of plans/forecast.py; each is made from what was known at a
month end. The usual course of a month, for the month of the date, is collected so far / the share that is
usually there by that day, the mean of the six months before. The band is forecast × the lowest and the
highest actual / forecast of the 18 months before it was made. An error is |forecast − actual| / actual.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import mean, median
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from credits.book.days import month_end_before, month_name, month_number
from credits.book.money import ZERO, percent, rounded, rounded_if_known
from credits.models import BUCKETS, Dictionary, Movement
from credits.totals import DailyTotal
from plans.forecast import AHEAD, Cohorts, Forecast, by_buckets
from plans.models import Plan

from . import forecast_parts
from .at_date import date_of, month_ends_beside, open_credits
from .cache import get_or_compute
from .forecast_parts import Params, known_ends
from .listing import given
from .report import Report
from .templatetags.charts import Band, Curve, filled

RECORD = 18  # months
LEAST = 6  # months that make a band
STATISTICS: dict[str, Callable[[list[Decimal]], Decimal]] = {"mean": mean, "median": median, "worst": max}


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money, percents have two places. Each is None if it can't be known, or learned."""

    month: str  # 2022-07
    months_ahead: int  # since the month end that the forecast was made at: 1 or, rougher, 2 or 3
    is_over: bool
    issuance_plan_sum: Decimal | None
    plan_sum: Decimal | None  # of collection
    buckets_sum: Decimal | None
    buckets_lack: str | None  # why there is no sum by buckets
    low_sum: Decimal | None  # the band around the sum by buckets
    high_sum: Decimal | None
    vintages_sum: Decimal | None  # one month ahead
    vintages_lack: str | None
    usual_sum: Decimal | None  # of the month of the date
    actual_sum: Decimal | None  # so far, if the month is not over
    plan_error_percent: Decimal | None
    buckets_error_percent: Decimal | None
    vintages_error_percent: Decimal | None


class Record:
    """The plans, the forecasts and the actual sums of a book's months up to a day. Months are numbers."""

    def __init__(self, day: date, ends: list[date], issuance: Decimal | None) -> None:
        self.day = day
        self.last = month_number(f"{ends[-1]}")  # the last month that is over
        self.issuance = issuance
        self.plans = Plan.objects.by_month()
        collected = DailyTotal.objects.collected().between(None, day).by_month()
        self.actual = {month_number(month): total.sum for month, total in collected.items()}
        self.cohorts = Cohorts(Movement.objects.until(ends[-1]).by_cohort())
        self.forecasts: dict[tuple[int, int], Forecast] = {}  # by buckets, by month and months ahead
        for end, flow in Movement.objects.flows(ends).items():
            base = month_number(f"{end}")
            issuances = [self.planned_issuance(base + ahead) for ahead in range(1, AHEAD + 1)]
            for ahead, forecast in enumerate(by_buckets(flow, issuances), 1):
                self.forecasts[base + ahead, ahead] = forecast

    def plan(self, month: int, category: int) -> Decimal | None:
        return self.plans.get(month_name(month), {}).get(category)

    def planned_issuance(self, month: int) -> Decimal | None:
        asked = month > self.last and self.issuance is not None
        return self.issuance if asked else self.plan(month, Dictionary.ISSUANCE)

    def band(self, month: int, ahead: int) -> tuple[Decimal, Decimal] | None:
        """Returns the lowest and the highest actual / forecast that were known when the forecast was made."""
        made_at = month - ahead
        ratios = [
            self.actual.get(past, ZERO) / made
            for past in range(made_at - RECORD + 1, made_at + 1)
            if (made := self.forecast(past, ahead).sum)
        ]
        return (min(ratios), max(ratios)) if len(ratios) >= LEAST else None

    def forecast(self, month: int, ahead: int) -> Forecast:
        """Returns the forecast by buckets of the month, made so many months before."""
        return self.forecasts.get((month, ahead), Forecast([]))

    def usual(self) -> Decimal | None:
        """Returns what will be collected in the month of the day if it takes its usual course."""
        share = DailyTotal.objects.collected().usual_share(self.day)
        return self.actual.get(month_number(f"{self.day}"), ZERO) / share if share else None

    def row(self, month: int) -> Row:
        ahead = max(1, month - self.last)
        is_over, now = month <= self.last, month_number(f"{self.day}")
        actual = self.actual.get(month, ZERO) if month <= now else None
        plan = self.plan(month, Dictionary.COLLECTION)
        buckets = self.forecast(month, ahead)
        buckets_sum = rounded_if_known(buckets.sum)
        vintages = self.cohorts.forecast(month, self.planned_issuance(month)) if ahead == 1 else None
        vintages_sum = rounded_if_known(vintages.sum) if vintages else None
        low, high = self.band(month, ahead) or (None, None)
        final = actual if is_over else None
        return Row(
            month=month_name(month),
            months_ahead=ahead,
            is_over=is_over,
            issuance_plan_sum=self.planned_issuance(month),
            plan_sum=plan,
            buckets_sum=buckets_sum,
            buckets_lack=buckets.lacks,
            low_sum=times(buckets.sum, low),
            high_sum=times(buckets.sum, high),
            vintages_sum=vintages_sum,
            vintages_lack=vintages.lacks if vintages else None,
            usual_sum=rounded_if_known(self.usual()) if month == now and not is_over else None,
            actual_sum=actual,
            plan_error_percent=error(plan, final),
            buckets_error_percent=error(buckets_sum, final),
            vintages_error_percent=error(vintages_sum, final),
        )


def times(forecast: Decimal | None, ratio: Decimal | None) -> Decimal | None:
    return None if forecast is None or ratio is None else rounded(forecast * ratio)


def error(forecast: Decimal | None, actual: Decimal | None) -> Decimal | None:
    return None if forecast is None or actual is None else percent(abs(forecast - actual), actual)


def compute(check_date: date | None, issuance: Decimal | None, today: date) -> list[Row]:
    """Returns rows of up to 18 months that are over, from the first with a payment, and of the next three."""
    day = date_of(check_date, today)
    # The first band is learned from 18 more months, and their forecasts from two month ends before.
    ends = known_ends(check_date, today, 2 * RECORD + 2)
    if not day or not ends:
        return []
    record = Record(day, ends, issuance)
    first = max(record.last - RECORD + 1, min(record.actual, default=record.last + 1))
    return [record.row(month) for month in range(first, record.last + 1 + AHEAD)]


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns the mean, the median and the worst error of each forecast."""
    columns = {column: errors(rows, column) for column in ("plan", "buckets", "vintages")}
    return [
        {"month": name}
        | {
            f"{column}_error_percent": rounded(statistic(found)) if found else None
            for column, found in columns.items()
        }
        for name, statistic in STATISTICS.items()
    ]


def errors(rows: list[Row], column: str) -> list[Decimal]:
    """Returns the errors, not rounded."""
    forecasts = [(getattr(row, f"{column}_sum"), row.actual_sum) for row in rows if row.is_over]
    return [abs(made - actual) * 100 / actual for made, actual in forecasts if made is not None and actual]


def of_month(day: date, today: date) -> Row | None:
    """Returns the row of the day's month, as known on the day; None if the book tells nothing."""
    rows = get_or_compute(report, {"check_date": day, "issuance": None, "today": today}).rows
    return next((row for row in rows if row.month == f"{day:%Y-%m}"), None)


def page_context(
    rows: list[Row], check_date: date | None, issuance: Decimal | None, today: date
) -> dict[str, Any]:
    """Returns the chart, the months ahead and of the record, and the parts of the first month ahead."""
    day = date_of(check_date, today)
    if not day or not rows:
        return {}
    (end,) = known_ends(check_date, today, 1)
    asked = {"check_date": check_date, "issuance": issuance, "today": today}
    parts = get_or_compute(forecast_parts.report, asked).rows
    record = [row for row in rows if row.is_over]
    nearer = [
        row.buckets_error_percent < row.plan_error_percent
        for row in record
        if row.buckets_error_percent is not None and row.plan_error_percent is not None
    ]
    within = [
        row.low_sum <= row.actual_sum <= row.high_sum
        for row in record
        if row.low_sum is not None and row.actual_sum is not None and row.high_sum is not None
    ]
    return {
        "until": day,
        "issuance": issuance,
        "with_issuance": "" if issuance is None else f"&issuance={issuance}",
        "lacks_usual": any(
            row.usual_sum is None for row in rows if row.month == f"{day:%Y-%m}" and not row.is_over
        ),
        **month_ends_beside(day),
        **charts(rows),
        "ahead": [row for row in rows if not row.is_over],
        "record": [(row, month_end_before(date.fromisoformat(f"{row.month}-01"))) for row in record[::-1]],
        "nearer": (sum(nearer), len(nearer)),
        "within": (sum(within), len(within)),
        "end": end,
        "before": month_end_before(end),
        "buckets": list(zip(parts, behind(end), strict=False)),
        "vintages": [row for row in parts if row.method == forecast_parts.VINTAGES],
    }


def charts(rows: list[Row]) -> dict[str, Any]:
    """Returns the labels and the series of the charts. What a month has collected so far isn't drawn."""
    paid = f"{reverse('payments_page')}?paid_from={{first}}&paid_to={{last}}"
    ranges = [
        None if row.low_sum is None or row.high_sum is None else (row.low_sum, row.high_sum) for row in rows
    ]
    return {
        "months": [row.month for row in rows],
        "curves": [
            Curve(str(_("forecast by buckets")), [row.buckets_sum for row in rows]),
            Curve(
                str(_("collected")),
                [row.actual_sum if row.is_over else None for row in rows],
                [filled(paid, row.month) for row in rows],
            ),
            Curve(str(_("plan")), [row.plan_sum for row in rows]),
        ],
        "past": [row.month for row in rows if row.is_over],
        "errors": [
            Curve(str(_("forecast by buckets")), [row.buckets_error_percent for row in rows if row.is_over]),
            Curve(str(_("plan")), [row.plan_error_percent for row in rows if row.is_over]),
        ],
        "band": Band(str(_("range of past errors")), ranges),
    }


def behind(end: date) -> list[dict[str, str]]:
    """Returns, for each part by buckets, the addresses of the credits and payments that it sums."""
    first, before = end.replace(day=1), month_end_before(end)
    paid = f"{reverse('payments_page')}?paid_from={first}&paid_to={end}"
    issued = f"issued_from={first}&issued_to={end}"
    found = []
    for bucket in BUCKETS:
        due_from, due_to = bucket.due_between(before)
        due = urlencode(given(issued_to=before, due_from=due_from, due_to=due_to))
        found.append(
            {
                "base": open_credits(end, *bucket.due_between(end)),
                "cash_before": f"{paid}&{due}",
                "base_before": open_credits(before, due_from, due_to),
            }
        )
    return [*found, {"cash_before": f"{paid}&{issued}", "base_before": f"{reverse('credits_page')}?{issued}"}]


report = Report(
    name="forecast",
    title=_("Forecast"),
    question=_("What will be collected in this month and the next ones, and how near were such forecasts?"),
    formula=_(
        "By buckets: outstanding principal of each ageing bucket × (cash of the month from it / its "
        "principal at the end of the month before) + planned issuance × (cash of the month from the credits "
        "issued in it / issued in it). For later months the principal moves on between the buckets as it "
        "moved in that month. By vintages: issued of each month × the mean share that the last three months "
        "to reach its next age collected at that age. By the usual course: collected so far / the share "
        "that is usually there by that day, the mean of the six months before. The band is the forecast by "
        "buckets × the lowest and the highest actual / forecast of the 18 months before it. Error is the "
        "difference from actual / actual, in percent. Only what had happened when a forecast was made "
        "counts in it; plans count as they are now."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-06-30"},
        Row(
            month="2022-07",
            months_ahead=1,
            is_over=False,
            issuance_plan_sum=Decimal("214000"),
            plan_sum=Decimal("1179000"),
            buckets_sum=Decimal("1376354.83"),
            buckets_lack=None,
            low_sum=Decimal("892471.62"),
            high_sum=Decimal("1824230.60"),
            vintages_sum=Decimal("1466875.84"),
            vintages_lack=None,
            usual_sum=None,
            actual_sum=None,
            plan_error_percent=None,
            buckets_error_percent=None,
            vintages_error_percent=None,
        ),
    ),
)
