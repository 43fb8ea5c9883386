"""The list of credits, newest first, as of a day.

As of a past day it has only what had happened by then: the issuances, the returns, and the payments that made
the outstanding principal.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from credits.book.money import rounded
from credits.models import Credit, CreditQuerySet, Flaw, Movement, Rate
from credits.movements import MovementQuerySet, Standing
from credits.totals import Total

from .listing import DaysField, HistoryField, Listing, ListingParams, between, given, histories
from .params import BorrowerField, DayField

STATES = {
    Credit.OPEN: _("open"),
    Credit.IN_TERM: _("in term"),
    Credit.OVERDUE: _("overdue"),
    Credit.CLOSED: _("closed"),
}
BEYOND_RATE = "interest_beyond_rate"
FLAWS = {flaw.name.lower(): flaw.label for flaw in Flaw.Kind} | {BEYOND_RATE: _("interest beyond the rate")}


class Params(ListingParams):
    issued_from = DayField(label=_("Issued from"), required=False)
    issued_to = DayField(label=_("Issued to"), required=False)
    state = forms.MultipleChoiceField(
        label=_("State"),
        required=False,
        choices=STATES,
        widget=forms.CheckboxSelectMultiple,
        help_text=", ".join(STATES),
    )
    check_date = DayField(label=_("As of"), required=False)
    borrower = BorrowerField(required=False)
    due_from = DayField(label=_("Due from"), required=False)
    due_to = DayField(label=_("Due to"), required=False)
    returned_from = DayField(label=_("Returned from"), required=False)
    returned_to = DayField(label=_("Returned to"), required=False)
    late = DaysField(
        label=_("Late, days after due"),
        help_text=_(
            "a whole number of days from 0 to 9999: credits not returned by their due date + these days, "
            "also if that day is still to come"
        ),
    )
    flaw = forms.ChoiceField(
        label=_("Flaw, as of today"),
        required=False,
        choices=[("", _("any or none")), *FLAWS.items()],
        help_text=", ".join(FLAWS),
    )
    history = HistoryField()

    rare = ("due_from", "due_to", "returned_from", "returned_to", "late", "flaw", "history")


@dataclass(frozen=True, slots=True)
class Row:
    """Amounts are money."""

    credit_id: int
    borrower_id: int
    login: str
    issuance_date: date
    return_date: date
    actual_return_date: date | None
    state: str  # "" if the day of issuance is in the future
    days_past_due: int  # 0 for a closed credit
    body: Decimal
    interest: Decimal
    outstanding: Decimal  # 0 for a credit that is not open


def earliest(*days: date | None) -> date | None:
    return min((day for day in days if day), default=None)


def find(
    issued_from: date | None,
    issued_to: date | None,
    state: list[str],
    check_date: date | None,
    borrower: int | None,
    due_from: date | None,
    due_to: date | None,
    returned_from: date | None,
    returned_to: date | None,
    late: int | None,
    flaw: str,
    history: list[str],
    today: date,
) -> CreditQuerySet:
    day = check_date or today
    found = Credit.objects.filter(
        # No credit is issued after it is due; this bound lets the database start in the index of the order.
        between("issuance_date", issued_from, earliest(issued_to, check_date, due_to)),
        between("return_date", due_from, due_to),
        **given(borrower=borrower),
    )
    if returned_from or returned_to:
        found = found.filter(between("actual_return_date", returned_from, earliest(returned_to, check_date)))
    if state:
        found = found.in_state(state, day)
    if late is not None:
        found = found.late(late, day)
    if history:
        found = found.with_history().filter(history__in=histories(history))
    if flaw == BEYOND_RATE:
        rate = Rate.objects.percents()[Rate.DAILY_INTEREST]
        found = found.none() if rate is None else found.beyond_daily_rate(rate, today)
    elif flaw:
        found = found.flawed(Flaw.Kind[flaw.upper()])
    return found.with_outstanding(day).prefetch_related("borrower").order_by("-issuance_date", "-id")


def total(
    found: CreditQuerySet,
    issued_from: date | None,
    issued_to: date | None,
    state: list[str],
    check_date: date | None,
    due_from: date | None,
    due_to: date | None,
    late: int | None,
    history: list[str],
    today: date,
    **others: Any,
) -> Total:
    """Returns the total from the movements as far as they have it."""
    day = check_date or today
    if any(others.values()):
        return found.total_on(day)
    moved = Movement.objects.filter(
        between("issued_on", issued_from, earliest(issued_to, check_date)),
        between("due_on", due_from, due_to),
        **given(history__in=histories(history)),
    )
    # Movements don't have the bodies of credits in a state. Credits that owe on the day are all late.
    counted = found.total() if state or late is not None else moved.total()
    return replace(counted, outstanding=outstanding(moved, state, day))


def outstanding(moved: MovementQuerySet, state: Collection[str], day: date) -> Decimal:
    """Returns what the credits in any of these states owe on the day. No state means all credits."""
    in_term, *overdue = moved.ageing(day)
    every = not state or Credit.OPEN in state
    owed = [in_term] if every or Credit.IN_TERM in state else []
    if every or Credit.OVERDUE in state:
        owed += overdue
    return sum(owed, Standing()).outstanding


def row_of(credit: Credit, check_date: date | None, today: date, **filters: Any) -> Row:
    day = check_date or today
    state = credit.state(day)
    closed = state == Credit.CLOSED
    return Row(
        credit_id=credit.pk,
        borrower_id=credit.borrower_id,
        login=credit.borrower.login,
        issuance_date=credit.issuance_date,
        return_date=credit.return_date,
        actual_return_date=credit.actual_return_date if closed or not check_date else None,
        state=state,
        days_past_due=0 if closed else credit.days_past_due(day),
        body=credit.body,
        interest=credit.percent,
        outstanding=rounded(credit.outstanding),
    )


listing = Listing(
    name="credits",
    title=_("Credits"),
    params=Params,
    row=Row,
    find=find,
    row_of=row_of,
    total=total,
)
