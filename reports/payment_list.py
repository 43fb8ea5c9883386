"""The list of payments, newest first."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from credits.models import Credit, Dictionary, Movement, Payment, PaymentQuerySet
from credits.totals import DailyTotal, Total

from .listing import DaysField, HistoryField, Listing, ListingParams, between, given, histories
from .params import BorrowerField, DayField, IdField

MANY = 50_000  # credits; the payments of fewer are soon sorted
TYPES = {str(Dictionary.BODY): _("body"), str(Dictionary.INTEREST): _("interest")}


class Params(ListingParams):
    paid_from = DayField(label=_("Paid from"), required=False)
    paid_to = DayField(label=_("Paid to"), required=False)
    kind = forms.ChoiceField(
        label=_("Purpose"),
        required=False,
        choices=[("", _("any")), *TYPES.items()],
        help_text=_("1 (body) or 2 (interest)"),
    )
    credit = IdField(
        label=_("Credit's id"), required=False, help_text=_("the id of a credit, a whole number from 1")
    )
    borrower = BorrowerField(required=False)
    issued_from = DayField(label=_("Credit issued from"), required=False)
    issued_to = DayField(label=_("Credit issued to"), required=False)
    due_from = DayField(label=_("Credit due from"), required=False)
    due_to = DayField(label=_("Credit due to"), required=False)
    within = DaysField(
        label=_("By days after due"),
        help_text=_("a whole number of days from 0 to 9999: payments by the credit's due date + these days"),
    )
    history = HistoryField()

    rare = ("issued_from", "issued_to", "due_from", "due_to", "within", "history")


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
    issued_from: date | None,
    issued_to: date | None,
    due_from: date | None,
    due_to: date | None,
    within: int | None,
    history: list[str],
    today: date,
    in_order: bool = True,
) -> PaymentQuerySet:
    """If in_order, the first payments of a list must be found soon, whatever their number."""
    found = Payment.objects.filter(
        between("payment_date", paid_from, paid_to),
        **given(type=kind, credit=credit, credit__borrower=borrower),
    )
    if within is not None:
        found = found.within(within)
    if issued_from or issued_to or due_from or due_to or history:
        lent = Credit.objects.filter(
            between("issuance_date", issued_from, issued_to), between("return_date", due_from, due_to)
        )
        moved = Movement.objects.filter(
            between("issued_on", issued_from, issued_to), between("due_on", due_from, due_to)
        )
        if history:
            wanted = histories(history)
            lent, moved = lent.with_history().filter(history__in=wanted), moved.filter(history__in=wanted)
        if in_order and moved.total().count > MANY:
            found = found.filter(between("payment_date", *moved.days())).of_many(lent)
        else:
            found = found.of_few(lent)
    return found.prefetch_related("credit", "type").order_by("-payment_date", "-id")


def total(
    found: PaymentQuerySet, paid_from: date | None, paid_to: date | None, kind: str, **others: Any
) -> Total:
    of_credit = {name: value for name, value in others.items() if name != "today"}
    if any(value not in (None, [], "") for value in of_credit.values()):
        return find(paid_from, paid_to, kind, **others, in_order=False).total()
    paid = DailyTotal.objects.filter(kind=kind) if kind else DailyTotal.objects.collected()
    return paid.between(paid_from, paid_to).total()


def row_of(payment: Payment, **filters: Any) -> Row:
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
