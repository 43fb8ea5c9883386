"""How do this month and this year stand against plan, and against the same stretch a year before?

Both stretches end on the date or, without one, on the last day up to today that has an issuance or a payment.
Expected so far is, for the month, plan × days elapsed / days in the month; for the year, it adds the plans of
the months before. Even pace is actual / expected. Usual pace is the same, but for the share of a month's sum
that is usually there by this day, the mean of the six months before, in place of days elapsed / days in the
month. The expected month end is actual / that share.
"""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent, rounded, rounded_if_known
from credits.models import Dictionary
from credits.totals import DailyTotal
from plans.models import Plan

from . import ageing, forecast, portfolio_trend, year_performance
from . import month as month_by_days
from .at_date import ParamsAtDate, date_of
from .cache import get_or_compute
from .report import Report
from .stretch import a_year_before, last_of_month

MONTH, YEAR = "month", "year"
ISSUANCE, COLLECTION = "issuance", "collection"


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money. The percents have two places; they are None if they would be a percent of 0.

    The usual columns are None if one of the six months before has no sum.
    """

    stretch: str  # month or year
    kind: str  # issuance or collection
    since: date
    until: date
    count: int
    actual_sum: Decimal
    plan_sum: Decimal  # of the whole month or year
    performance_percent: Decimal | None
    expected_sum: Decimal
    pace_percent: Decimal | None
    before_sum: Decimal  # of the same stretch a year before
    change_percent: Decimal | None
    usual_expected_sum: Decimal | None
    usual_pace_percent: Decimal | None
    usual_month_end_sum: Decimal | None  # of the month; None for the year, and if the share is 0


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns four rows, for issuance and collection of the month and of the year; none for an empty book."""
    until = date_of(check_date, today)
    if until is None:
        return []
    month, year = until.replace(day=1), date(until.year, 1, 1)
    planned = Plan.objects.between(year, date(until.year, 12, 31)).by_month()
    shares = {
        ISSUANCE: DailyTotal.objects.issued().usual_share(until),
        COLLECTION: DailyTotal.objects.collected().usual_share(until),
    }
    return [
        row(stretch, kind, since, until, planned, shares[kind])
        for stretch, since in ((MONTH, month), (YEAR, year))
        for kind in (ISSUANCE, COLLECTION)
    ]


def row(
    stretch: str,
    kind: str,
    since: date,
    until: date,
    planned: dict[str, dict[int, Decimal]],
    share: Decimal | None,
) -> Row:
    category = Dictionary.ISSUANCE if kind == ISSUANCE else Dictionary.COLLECTION
    totals = DailyTotal.objects.issued() if kind == ISSUANCE else DailyTotal.objects.collected()
    actual = totals.between(since, until).total()
    before = totals.between(a_year_before(since), a_year_before(until)).total().sum
    now = f"{until:%Y-%m}"
    plans = {month: of_month[category] for month, of_month in planned.items() if category in of_month}
    plan_now = plans.get(now, ZERO)
    past = sum((plan for month, plan in plans.items() if month < now), ZERO) if stretch == YEAR else ZERO
    days = last_of_month(until).day
    # Multiplied by the days of the month, so that nothing is rounded before the end.
    expected = plan_now * until.day + past * days
    usual = None if share is None else plan_now * share + past
    plan = sum(plans.values(), ZERO) if stretch == YEAR else plan_now
    return Row(
        stretch=stretch,
        kind=kind,
        since=since,
        until=until,
        count=actual.count,
        actual_sum=actual.sum,
        plan_sum=plan,
        performance_percent=percent(actual.sum, plan),
        expected_sum=rounded(expected / days),
        pace_percent=percent(actual.sum * days, expected),
        before_sum=before,
        change_percent=percent(actual.sum - before, before),
        usual_expected_sum=rounded_if_known(usual),
        usual_pace_percent=percent(actual.sum, usual or ZERO),
        usual_month_end_sum=rounded(actual.sum / share) if share and stretch == MONTH else None,
    )


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the forecast of the month, the days and the months for the charts, and the portfolio."""
    if not rows:
        return {}
    until = rows[0].until
    at_date = {"check_date": until, "today": today}
    days = get_or_compute(month_by_days.report, {"month": until.replace(day=1)}).rows
    of_year = get_or_compute(year_performance.report, {"year": until.year}).rows
    of_month = {row.month_year: row for row in of_year}
    names = [f"{until.year}-{number:02}" for number in range(1, until.month + 1)]
    *months, now = [of_month.get(name, year_performance.Row(name)) for name in names]
    last = days[until.day - 1]
    so_far = replace(
        now,
        actual_issuance_sum=last.cumulative_issuance_sum,
        actual_collection_sum=last.cumulative_collection_sum,
    )
    portfolio = ageing.portfolio(get_or_compute(ageing.report, at_date).rows, until)
    par0, par30, *pars = portfolio["pars"]
    return {
        "until": until,
        "forecast": forecast.of_month(until, today),
        "days": days[: until.day],
        "days_in_month": len(days),
        "months": [*months, so_far],
        "portfolio": portfolio,
        "par30": par30,
        "other_pars": [par0, *pars],
        "trend": get_or_compute(portfolio_trend.report, at_date).rows,
    }


report = Report(
    name="overview",
    title=_("Overview"),
    question=_("How do this month and this year stand against plan?"),
    formula=_(
        "Even pace is actual / expected so far. Expected so far is, for the month, plan × days elapsed / "
        "days in the month; for the year, it adds the plans of the months before. Usual pace is the same, "
        "but for the share of a month's sum that is usually there by this day, the mean of the six months "
        "before, in place of days elapsed / days in the month. The expected month end is actual / that "
        "share. Change compares with the same days a year before."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=lambda rows: [],
    page_context=page_context,
)
