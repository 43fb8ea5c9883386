"""The list of payments, newest first."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django import forms
from django.utils.translation import gettext_lazy as _

from credits.models import Dictionary, Payment, PaymentQuerySet
from credits.totals import DailyTotal, Total

from .listing import Listing, ListingParams, given
from .params import BorrowerField, DayField, IdField

TYPES = {str(Dictionary.BODY): _("body"), str(Dictionary.INTEREST): _("interest")}


class Params(ListingParams):
    paid_from = DayField(label=_("Paid from"), required=False)
    paid_to = DayField(label=_("Paid to"), required=False)
    kind = forms.ChoiceField(
        label=_("For"),
        required=False,
        choices=[("", _("any")), *TYPES.items()],
        help_text=_("1 (body) or 2 (interest)"),
    )
    credit = IdField(
        label=_("Credit's id"), required=False, help_text=_("the id of a credit, a whole number from 1")
    )
    borrower = BorrowerField(required=False)


@dataclass(frozen=True, slots=True)
class Row:
    """The sum is money."""

    payment_id: int
    payment_date: date
    credit_id: int
    borrower_id: int
    type: str  # the dictionary's name
    sum: Decimal


def find(
    paid_from: date | None,
    paid_to: date | None,
    kind: str,
    credit: int | None,
    borrower: int | None,
    today: date,
) -> PaymentQuerySet:
    wanted = given(
        payment_date__gte=paid_from,
        payment_date__lte=paid_to,
        type=kind,
        credit=credit,
        credit__borrower=borrower,
    )
    found = Payment.objects.filter(**wanted)
    return found.prefetch_related("credit", "type").order_by("-payment_date", "-id")


def total(
    found: PaymentQuerySet,
    paid_from: date | None,
    paid_to: date | None,
    kind: str,
    credit: int | None,
    borrower: int | None,
    today: date,
) -> Total:
    if credit or borrower:
        return found.total()
    paid = DailyTotal.objects.filter(kind=kind) if kind else DailyTotal.objects.collected()
    return paid.between(paid_from, paid_to).total()


def row_of(payment: Payment, today: date) -> Row:
    return Row(
        payment_id=payment.pk,
        payment_date=payment.payment_date,
        credit_id=payment.credit_id,
        borrower_id=payment.credit.borrower_id,
        type=payment.type.name,
        sum=payment.sum,
    )


listing = Listing(
    name="payments",
    title=_("Payments"),
    params=Params,
    row=Row,
    find=find,
    row_of=row_of,
    total=total,
)
