"""The list of credits, newest first."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django import forms
from django.utils.translation import gettext_lazy as _

from credits.models import Credit, CreditQuerySet
from credits.totals import DailyTotal, Total

from .listing import Listing, ListingParams, given
from .params import BorrowerField, DayField

STATES = {
    Credit.OPEN: _("open"),
    Credit.IN_TERM: _("in term"),
    Credit.OVERDUE: _("overdue"),
    Credit.CLOSED: _("closed"),
}


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
    borrower = BorrowerField(required=False)


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


def find(
    issued_from: date | None, issued_to: date | None, state: list[str], borrower: int | None, today: date
) -> CreditQuerySet:
    wanted = given(issuance_date__gte=issued_from, issuance_date__lte=issued_to, borrower=borrower)
    found = Credit.objects.filter(**wanted)
    if state:
        found = found.in_state(state, today)
    return found.prefetch_related("borrower").order_by("-issuance_date", "-id")


def total(
    found: CreditQuerySet,
    issued_from: date | None,
    issued_to: date | None,
    state: list[str],
    borrower: int | None,
    today: date,
) -> Total:
    if state or borrower:
        return found.total()
    return DailyTotal.objects.issued().between(issued_from, issued_to).total()


def row_of(credit: Credit, today: date) -> Row:
    state = credit.state(today)
    return Row(
        credit_id=credit.pk,
        borrower_id=credit.borrower_id,
        login=credit.borrower.login,
        issuance_date=credit.issuance_date,
        return_date=credit.return_date,
        actual_return_date=credit.actual_return_date,
        state=state,
        days_past_due=0 if state == Credit.CLOSED else credit.days_past_due(today),
        body=credit.body,
        interest=credit.percent,
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
