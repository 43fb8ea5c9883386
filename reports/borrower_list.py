"""The borrowers, and what each owes today."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from credits.book.money import rounded
from credits.models import Borrower, BorrowerQuerySet

from .listing import Listing, ListingParams

ORDERS: dict[str, list[Any]] = {
    "outstanding": [F("outstanding").desc(), "pk"],
    "overdue": [F("oldest_due").asc(nulls_last=True), "pk"],
    "id": ["pk"],
}


class Params(ListingParams):
    search = forms.CharField(
        label=_("Login or id"), required=False, max_length=150, help_text=_("part of a login, or an id")
    )
    order = forms.ChoiceField(
        label=_("First"),
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
    """outstanding is principal: body - body payments of the open credits, each never under 0."""

    borrower_id: int
    login: str
    registration_date: date
    credits: int
    open_credits: int
    outstanding: Decimal
    days_past_due: int  # of the credit that is overdue longest


def find(search: str, order: str, today: date) -> BorrowerQuerySet:
    found = Borrower.objects.search(search) if search else Borrower.objects.all()
    return found.with_debt(today).order_by(*ORDERS[order or "outstanding"])


def row_of(borrower: Borrower, today: date) -> Row:
    due = borrower.oldest_due
    return Row(
        borrower_id=borrower.pk,
        login=borrower.login,
        registration_date=borrower.registration_date,
        credits=borrower.credit_count,
        open_credits=borrower.open_count,
        outstanding=rounded(borrower.outstanding),
        days_past_due=max(0, (today - due).days) if due else 0,
    )


listing = Listing(name="borrowers", title=_("Borrowers"), params=Params, row=Row, find=find, row_of=row_of)
