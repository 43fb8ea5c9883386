"""How much of the principal issued in each month has come back, by age?

A cohort is the credits issued in one month. Its age is the number of calendar months after that month.
Recovered is the body paid up to the end of the age's month, and collected is the body and interest; both are
divided by the principal issued. A month that the date cuts counts up to the date. The multiple is collected /
issued. A cohort breaks even at the first age at which it has collected what was issued.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent, rounded
from credits.models import Dictionary, Movement
from credits.movements import CohortMonth

from .at_date import ParamsAtDate, date_of, month_ends_beside
from .matrix import Cell
from .report import Report, summed
from .stretch import day_after, last_of_month
from .templatetags.charts import Curve
from .templatetags.figures import month as month_of

AGES = 60  # on the page: a wrong date in the book would ask for thousands of columns
CURVES = 6  # cohorts in the chart


@dataclass(frozen=True, slots=True)
class Row:
    """Sums are money, paid up to `until`. The percents and the multiple have two places.

    They are None if the principal issued is 0.
    """

    cohort: str  # 2021-06
    age: int  # months
    until: date  # the last day of the age's month, or the date
    credits: int
    issued: Decimal
    recovered_sum: Decimal
    recovered_percent: Decimal | None
    collected_sum: Decimal
    collected_percent: Decimal | None
    multiple: Decimal | None
    breaks_even: bool

    def is_over(self) -> bool:
        """Tells whether the age's month is over at the date."""
        return self.until == last_of_month(self.until)


def compute(check_date: date | None, today: date) -> list[Row]:
    """Returns the ages of each cohort that have begun by the date; none for an empty book."""
    until = date_of(check_date, today)
    if until is None:
        return []
    months = Movement.objects.until(until).by_cohort()
    last = max([today.isoformat()[:7], *(month.month for month in months)])
    # A date far in the future would have ages without end.
    end = min(until, last_of_month(date.fromisoformat(f"{last}-01")))
    return [row for _cohort, group in groupby(months, attrgetter("cohort")) for row in ages(list(group), end)]


def ages(months: list[CohortMonth], until: date) -> Iterator[Row]:
    """Yields the rows of a cohort. The first of its months is that of its issuance."""
    moved = {month.month: month for month in months}
    first = months[0]
    month: date | None = date.fromisoformat(f"{first.cohort}-01")
    recovered = collected = ZERO
    broke_even = False
    age = 0
    while month and month <= until:
        last = last_of_month(month)
        if now := moved.get(month.isoformat()[:7]):
            recovered += now.body_paid
            collected += now.body_paid + now.interest_paid
        breaks_even = 0 < first.issued <= collected and not broke_even
        broke_even = broke_even or breaks_even
        yield Row(
            cohort=first.cohort,
            age=age,
            until=min(last, until),
            credits=first.credits,
            issued=first.issued,
            recovered_sum=recovered,
            recovered_percent=percent(recovered, first.issued),
            collected_sum=collected,
            collected_percent=percent(collected, first.issued),
            multiple=multiple(collected, first.issued),
            breaks_even=breaks_even,
        )
        month, age = day_after(last), age + 1


def multiple(collected: Decimal, issued: Decimal) -> Decimal | None:
    return rounded(collected / issued) if issued else None


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns a row for each age: all cohorts for which the age's month is over."""
    totals = []
    for age, group in groupby(sorted(filter(Row.is_over, rows), key=attrgetter("age")), attrgetter("age")):
        sums = summed(list(group), "credits", "issued", "recovered_sum", "collected_sum")
        issued, collected = sums["issued"], sums["collected_sum"]
        shares = {
            "recovered_percent": percent(sums["recovered_sum"], issued),
            "collected_percent": percent(collected, issued),
            "multiple": multiple(collected, issued),
        }
        totals.append({"age": age, **sums, **shares})
    return totals


def page_context(rows: list[Row], check_date: date | None, today: date) -> dict[str, Any]:
    """Returns the lines of the tables, and the curves of the latest cohorts."""
    until = date_of(check_date, today)
    if until is None:
        return {}
    cohorts = [list(group) for _cohort, group in groupby(rows, attrgetter("cohort"))]
    count = max(map(len, cohorts), default=0)
    averages = totals(rows)
    lines = [line(cohort, min(count, AGES)) for cohort in cohorts]
    return {
        "until": until,
        **month_ends_beside(until),
        "month_is_over": until == last_of_month(until),
        "ages": range(min(count, AGES)),
        "has_more_ages": count > AGES,
        "lines": lines,
        "all_credits": f"{reverse('credits_page')}?issued_to={last_over(cohorts)}",
        "average": {
            "recovered": [Cell(row["recovered_percent"]) for row in averages[:AGES]],
            "collected": [Cell(row["collected_percent"]) for row in averages[:AGES]],
            "ahead": min(count, AGES) - len(averages[:AGES]),
        },
        **curves(lines, averages),
    }


def last_over(cohorts: list[list[Row]]) -> date | str:
    """Returns the last day of the latest cohort whose month of issuance is over."""
    return max((first.until for first, *_later in cohorts if first.is_over()), default="")


def line(rows: list[Row], count: int) -> dict[str, Any]:
    """Returns a cohort's figures at `count` ages, with the addresses of the rows behind them."""
    first, last, shown = rows[0], rows[-1], rows[:count]
    issued = f"issued_from={first.cohort}-01&issued_to={first.until}"
    payments = f"{reverse('payments_page')}?{issued}"
    break_even = next((row for row in rows if row.breaks_even), None)
    return {
        "first": first,
        "credits": f"{reverse('credits_page')}?{issued}",
        "multiple": last.multiple,
        "payments": f"{payments}&paid_to={last.until}",
        "break_even": break_even and break_even.age,
        "break_even_payments": break_even and f"{payments}&paid_to={break_even.until}",
        "recovered": cells(shown, "recovered_percent", f"{payments}&kind={Dictionary.BODY}"),
        "collected": cells(shown, "collected_percent", payments),
        "ahead": count - len(shown),
    }


def cells(rows: list[Row], column: str, payments: str) -> list[Cell]:
    return [
        Cell(getattr(row, column), f"{payments}&paid_to={row.until}", is_partial=not row.is_over())
        for row in rows
    ]


def curves(lines: list[dict[str, Any]], averages: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the curves of the latest lines at the ages that are over, and of all cohorts beside them."""
    over = [
        (line, count)
        for line in lines
        if (count := sum(not cell.is_partial for cell in line["recovered"]))  # the same for all columns
    ]
    latest = over[-CURVES:]
    ages = range(max((count for _line, count in latest), default=0))

    def drawn(column: str) -> list[Curve]:
        of_cohorts = [
            Curve(
                month_of(line["first"].cohort),
                [cell.percent for cell in cells],
                [cell.behind for cell in cells],
            )
            for line, count in latest
            for cells in [line[column][:count]]
        ]
        of_all = [averages[age][f"{column}_percent"] for age in ages]
        return [*of_cohorts, Curve(str(_("all cohorts")), of_all)]

    return {
        "labels": [str(age) for age in ages],
        "recovered_curves": drawn("recovered"),
        "collected_curves": drawn("collected"),
    }


report = Report(
    name="vintages",
    title=_("Vintages"),
    question=_("How much of the principal issued in each month has come back, by age?"),
    formula=_(
        "A cohort is the credits issued in one month. Its age is the number of calendar months after that "
        "month. Recovered is the body paid up to the end of the age's month, and collected is the body and "
        "interest; both are in percent of the principal issued. A month that the date cuts counts up to the "
        "date. The multiple is collected / issued. A cohort breaks even at the first age at which it has "
        "collected what was issued. Nothing that happens after the date counts."
    ),
    params=ParamsAtDate,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31"},
        Row(
            cohort="2021-06",
            age=1,
            until=date(2021, 7, 31),
            credits=118,
            issued=Decimal("324000"),
            recovered_sum=Decimal("193164.42"),
            recovered_percent=Decimal("59.62"),
            collected_sum=Decimal("391272.83"),
            collected_percent=Decimal("120.76"),
            multiple=Decimal("1.21"),
            breaks_even=True,
        ),
    ),
)
