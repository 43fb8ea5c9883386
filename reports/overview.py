"""How do this month and this year stand against plan, and against the same stretch a year before?

Both stretches end on the date or, without one, on the last day up to today that has an issuance or a payment.
Expected so far is, for the month, plan × days elapsed / days in the month; for the year, it adds the plans of
the months before. Even pace is actual / expected. Usual pace is the same, but for the share of a month's sum
that is usually there by this day, the mean of the six months before, in place of days elapsed / days in the
month. The expected month end is actual / that share.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from credits.book.days import days_before
from credits.book.money import ZERO, percent, rounded, rounded_if_known
from credits.book.trail import Load
from credits.models import Dictionary, Movement
from credits.totals import DailyTotal
from plans.models import Plan

from . import ageing, data_quality, forecast, portfolio_trend, year_performance
from . import month as month_by_days
from .at_date import ParamsAtDate, date_of, open_credits
from .cache import get_or_compute
from .report import Report
from .stretch import a_year_before, day_after, last_of_month

MONTH, YEAR = "month", "year"
ISSUANCE, COLLECTION = "issuance", "collection"
CATEGORIES = {ISSUANCE: Dictionary.ISSUANCE, COLLECTION: Dictionary.COLLECTION}
SOON = 7  # days from the date on
NEWEST = 5  # imports


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
    category = CATEGORIES[kind]
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
    """Returns the days and the months for the charts, the month's forecast, the portfolio, and looks."""
    if not rows:
        return {}
    until = rows[0].until
    at_date = {"check_date": until, "today": today}
    days = get_or_compute(month_by_days.report, {"month": until.replace(day=1)}).rows
    of_year = get_or_compute(year_performance.report, {"year": until.year}).rows
    of_month = {row.month_year: row for row in of_year}
    names = [f"{until.year:04}-{number:02}" for number in range(1, until.month + 1)]
    *months, now = [of_month.get(name, year_performance.Row(name)) for name in names]
    last = days[until.day - 1]
    so_far = replace(
        now,
        actual_issuance_sum=last.cumulative_issuance_sum,
        actual_collection_sum=last.cumulative_collection_sum,
    )
    portfolio = ageing.portfolio(get_or_compute(ageing.report, at_date).rows, until)
    par0, par30, *pars = portfolio["pars"]
    next_month = day_after(last_of_month(until)) or until
    planned = Plan.objects.between(date(until.year, 1, 1), next_month).by_month()
    first = min(of_month, default=now.month_year)  # the months before have nothing to plan
    return {
        "until": until,
        "days": days[: until.day],
        "days_in_month": len(days),
        "months": [*months, so_far],
        "month_end": month_end(rows, planned, forecast.of_month(until, today)),
        "portfolio": portfolio,
        "par30": par30,
        "other_pars": [par0, *pars],
        "trend": get_or_compute(portfolio_trend.report, at_date).rows,
        "looks": looks(rows, unplanned(planned, first, next_month), today),
        "last_issuance": DailyTotal.objects.issued().last_day(today),
        "last_payment": DailyTotal.objects.collected().last_day(today),
    }


def month_end(
    rows: list[Row], planned: dict[str, dict[int, Decimal]], forecasts: forecast.Row | None
) -> dict[str, Any]:
    """Returns the plan of the month's collection beside its forecasts, and the greatest of these sums."""
    (row,) = (row for row in rows if (row.stretch, row.kind) == (MONTH, COLLECTION))
    plan = planned.get(f"{row.until:%Y-%m}", {}).get(Dictionary.COLLECTION)
    sums = [plan, row.actual_sum, row.usual_month_end_sum]
    sums += [forecasts.buckets_sum, forecasts.high_sum] if forecasts else []
    return {
        "plan": plan,
        "forecast": forecasts,
        "usual": row.usual_month_end_sum,
        "collected": row.actual_sum,
        "greatest": max(amount for amount in sums if amount is not None),
    }


class Unplanned(NamedTuple):
    """How many months up to the last have no plan of a kind, and the page that shows them."""

    kind: str
    months: int
    last: str  # 2021-06
    behind: str


class Due(NamedTuple):
    """How many credits due up to a day are open at the date, and their list."""

    credits: int
    last: date
    behind: str


def looks(rows: list[Row], unplanned: Iterable[Unplanned], today: date) -> dict[str, Any]:
    """Returns what needs a look as slow, unplanned, overdue, due and flaws, each only if there is any."""
    until = rows[0].until
    slow = [
        row
        for row in rows
        if row.stretch == MONTH and row.usual_pace_percent is not None and row.usual_pace_percent < 100
    ]
    quality = get_or_compute(data_quality.report, {"today": today}).rows
    flaws = [
        (data_quality.CHECKS[row.check].label, row.count, data_quality.behind(row, today))
        for row in quality
        if row.count and row.check not in data_quality.PLANS
    ]
    found = {"slow": slow, "unplanned": [*unplanned], **due(until), "flaws": flaws}
    return {name: value for name, value in found.items() if value}


def unplanned(planned: dict[str, dict[int, Decimal]], first: str, last: date) -> Iterator[Unplanned]:
    """Yields the kinds that some months lack, from the first to that of the last day."""
    names = data_quality.months_between(first, f"{last}")
    for kind, category in CATEGORIES.items():
        missing = [name for name in names if category not in planned.get(name, {})]
        if missing:
            alone = f"{reverse('month_page')}?month={missing[0]}"
            of_year = f"{reverse('year_performance_page')}?year={missing[0][:4]}"
            behind = alone if len(missing) == 1 else of_year
            yield Unplanned(kind, len(missing), names[-1], behind)


def due(until: date) -> dict[str, Due | None]:
    """Returns the credits that are overdue since the date, and those due in the 7 days from it on."""
    yesterday = days_before(until, 1)
    soon = until + min(timedelta(days=SOON - 1), date.max - until)
    # Of these credits, only those due yesterday are past due.
    in_term, overdue, *_later = Movement.objects.filter(due_on__range=(yesterday, soon)).ageing(until)
    since, to_come = open_credits(until, yesterday, yesterday), open_credits(until, until, soon)
    return {
        "overdue": Due(overdue.credits, yesterday, since) if overdue.credits else None,
        "due": Due(in_term.credits, soon, to_come) if in_term.credits else None,
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
    latest=lambda: {"loads": Load.objects.last_ones(NEWEST)},
)
