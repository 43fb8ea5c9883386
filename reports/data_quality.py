"""Which credits contradict their payments or the lender's rules, and which months have no plan?

Each check counts credits of the book as it stands today, or months from the first to the last of the book.
Today's month is the latest that counts.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from credits.book.days import days_before, month_name, month_number
from credits.models import Credit, CreditQuerySet, Dictionary, Flaw, Rate
from credits.totals import DailyTotal
from plans.models import Plan

from .credit_list import BEYOND_RATE
from .params import ParamsAtToday
from .report import Report

PAST_DUE = 90  # days after which a credit without a payment counts
LISTED = 60  # months on the page; a mistyped year makes the book thousands of months long


class Check(NamedTuple):
    label: str | Promise
    meaning: str | Promise


NEVER_PAID = "never_paid_90"
PLANS = {
    "months_without_issuance_plan": Dictionary.ISSUANCE,
    "months_without_collection_plan": Dictionary.COLLECTION,
}
CHECKS = {
    "paid_before_issuance": Check(
        _("Paid before issuance"), _("Credits that have a payment before the day of their issuance.")
    ),
    "body_overpaid": Check(_("Body overpaid"), _("Credits whose payments for body exceed the body.")),
    "interest_overpaid": Check(
        _("Interest overpaid"), _("Credits whose payments for interest exceed the interest.")
    ),
    "closed_unpaid": Check(
        _("Closed, but unpaid"),
        _("Returned credits of which more than a kopeck of body, or of interest, is unpaid."),
    ),
    "open_paid": Check(
        _("Open, but paid"), _("Credits that are not returned, though body and interest are paid.")
    ),
    NEVER_PAID: Check(
        _("Never paid"), _("Open credits that have no payment and are more than 90 days past due.")
    ),
    BEYOND_RATE: Check(
        _("Interest beyond the rate"), _("Credits with more interest than body × daily rate × days.")
    ),
    "months_without_issuance_plan": Check(
        _("No issuance plan"), _("Months of the book without a plan for issuance.")
    ),
    "months_without_collection_plan": Check(
        _("No collection plan"), _("Months of the book without a plan for collection.")
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A check, and how many credits or months it found. count is None if no daily rate is set for it."""

    check: str
    count: int | None
    amount: Decimal | None  # the bodies of the credits; None for months


def compute(today: date) -> list[Row]:
    """Returns a row for each check, even if it found nothing."""
    found = flawed_credits(today)
    missing = months_without_plan(today)
    rows = []
    for check in CHECKS:
        if check in PLANS:
            rows.append(Row(check, len(missing[check]), None))
        elif check in found:
            total = found[check].total()
            rows.append(Row(check, total.count, total.sum))
        else:
            rows.append(Row(check, None, None))
    return rows


def flawed_credits(today: date) -> dict[str, CreditQuerySet]:
    """Returns {check: its credits}, without the interest beyond the rate if there is no rate."""
    every = Credit.objects.all()
    found = {kind.name.lower(): every.flawed(kind) for kind in Flaw.Kind if kind != Flaw.Kind.NEVER_PAID}
    found[NEVER_PAID] = every.flawed(Flaw.Kind.NEVER_PAID).filter(return_date__lte=last_due(today))
    if (rate := Rate.objects.percents()[Rate.DAILY_INTEREST]) is not None:
        found[BEYOND_RATE] = every.beyond_daily_rate(rate, today)
    return found


def last_due(today: date) -> date:
    """Returns the last due day of the credits that are more than 90 days past due today."""
    return days_before(today, PAST_DUE + 1)


def months_without_plan(today: date) -> dict[str, list[str]]:
    """Returns {check: months} for each category of plans."""
    moved = [*DailyTotal.objects.between(None, today).by_month()]
    if not moved:
        return {check: [] for check in PLANS}
    planned = Plan.objects.by_month()
    months = months_between(moved[0], moved[-1])
    return {
        check: [month for month in months if category not in planned.get(month, {})]
        for check, category in PLANS.items()
    }


def months_between(first: str, last: str) -> list[str]:
    """Returns the months from the first to the last, such as 2021-06."""
    return [month_name(number) for number in range(month_number(first), month_number(last) + 1)]


def page_context(rows: list[Row], today: date) -> dict[str, Any]:
    """Returns each row with its check and the address of what it counted, and the months without a plan."""
    return {
        "today": today,
        "rate": Rate.objects.percents()[Rate.DAILY_INTEREST],
        "clean": not any(row.count for row in rows),
        "checks": [(row, CHECKS[row.check], behind(row, today)) for row in rows],
        "missing": [
            (check, CHECKS[check].label, by_year(months[:LISTED]), len(months[LISTED:]))
            for check, months in months_without_plan(today).items()
            if months
        ],
    }


def by_year(months: list[str]) -> list[tuple[str, list[str]]]:
    return [(year, [*of_year]) for year, of_year in groupby(months, lambda month: month[:4])]


def behind(row: Row, today: date) -> str | None:
    """Returns the address of what the row counted, if it counted anything."""
    if not row.count:
        return None
    if row.check in PLANS:
        return f"#{row.check}"
    filters = (
        {"flaw": "never_paid", "due_to": str(last_due(today))}
        if row.check == NEVER_PAID
        else {"flaw": row.check}
    )
    return f"{reverse('credits_page')}?{urlencode(filters)}"


report = Report(
    name="data_quality",
    title=_("Data quality"),
    question=_("Which credits contradict their payments or the rate, and which months have no plan?"),
    formula=_(
        "Each check counts credits of the book as it stands today, or months from the first of the book to "
        "its last, up to today's month. Staff set the daily rate, in percent of the body; its days are those "
        "from issuance to return, or to today, at least 1."
    ),
    params=ParamsAtToday,
    row=Row,
    compute=compute,
    totals=lambda rows: [],
    page_context=page_context,
    example=({}, Row("body_overpaid", 185, Decimal("511000"))),
)
