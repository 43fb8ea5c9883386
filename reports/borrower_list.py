"""The list of borrowers, with what each owes today."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from credits.book.money import rounded
from credits.models import Borrower, BorrowerDebt

from .listing import Listing, ListingParams

ORDERS = {
    "outstanding": ["-outstanding", "-borrower_id"],
    "overdue": ["oldest_due", "borrower_id"],
    "id": ["borrower_id"],
}


class Params(ListingParams):
    search = forms.CharField(
        label=_("Login or id"), required=False, max_length=150, help_text=_("part of a login, or an id")
    )
    order = forms.ChoiceField(
        label=_("Show first"),
        required=False,
        choices=[
            ("outstanding", _("most outstanding")),
            ("overdue", _("longest overdue")),
            ("id", _("lowest id")),
        ],
        help_text=", ".join(ORDERS),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """outstanding is principal: the sum of body - body payments of the open credits, each at least 0."""

    borrower_id: int
    login: str
    registration_date: date
    credits: int
    open_credits: int
    outstanding: Decimal
    days_past_due: int  # of the open credit that was due first


def find(search: str, order: str, today: date) -> QuerySet[BorrowerDebt]:
    found = BorrowerDebt.objects.prefetch_related("borrower").order_by(*ORDERS[order or "outstanding"])
    return found.filter(borrower__in=Borrower.objects.search(search)) if search else found


def row_of(debt: BorrowerDebt, today: date, **filters: Any) -> Row:
    return Row(
        borrower_id=debt.borrower_id,
        login=debt.borrower.login,
        registration_date=debt.borrower.registration_date,
        credits=debt.credit_count,
        open_credits=debt.open_count,
        outstanding=rounded(debt.outstanding),
        days_past_due=max(0, (today - debt.oldest_due).days),
    )


listing = Listing(
    name="borrowers",
    title=_("Borrowers"),
    params=Params,
    row=Row,
    prepare=BorrowerDebt.bring_to,
    find=find,
    row_of=row_of,
)
