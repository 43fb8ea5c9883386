"""What does a borrower owe today, credit by credit?

Remaining body is body - body payments, and remaining interest is interest - interest payments. Both are
at least 0, and 0 once the credit is returned. Issuances, payments and returns after today don't count.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404
from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO
from credits.models import Borrower, Credit, Payment

from .params import BorrowerField, ParamsAtToday
from .report import Report, summed


class Params(ParamsAtToday):
    borrower_id = BorrowerField()


@dataclass(frozen=True, slots=True)
class Row:
    """Amounts are money."""

    credit_id: int
    state: str  # in_term, overdue or closed
    issuance_date: date
    return_date: date
    actual_return_date: date | None
    days_past_due: int  # 0 for a closed credit
    body: Decimal
    body_paid: Decimal
    body_remaining: Decimal
    interest: Decimal
    interest_paid: Decimal
    interest_remaining: Decimal


def compute(borrower_id: int, today: date) -> list[Row]:
    """Raises Http404 for an unknown borrower."""
    borrower = Borrower.objects.filter(pk=borrower_id).first()
    if borrower is None:
        raise Http404(_("There is no borrower with the id %d.") % borrower_id)
    issued = borrower.credits.filter(issuance_date__lte=today).with_payments(today)
    return [row(credit, today) for credit in issued.order_by("pk")]


def row(credit: Credit, today: date) -> Row:
    state = credit.state(today)
    closed = state == Credit.CLOSED
    return Row(
        credit_id=credit.pk,
        state=state,
        issuance_date=credit.issuance_date,
        return_date=credit.return_date,
        actual_return_date=credit.actual_return_date,
        days_past_due=0 if closed else credit.days_past_due(today),
        body=credit.body,
        body_paid=credit.body_payments,
        body_remaining=ZERO if closed else max(ZERO, credit.body - credit.body_payments),
        interest=credit.percent,
        interest_paid=credit.percent_payments,
        interest_remaining=ZERO if closed else max(ZERO, credit.percent - credit.percent_payments),
    )


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    amounts = ("body", "body_paid", "body_remaining", "interest", "interest_paid", "interest_remaining")
    return [summed(rows, *amounts)]


def page_context(rows: list[Row], borrower_id: int, today: date) -> dict[str, Any]:
    """Returns the borrower, and each credit with its payments."""
    payments: dict[int, list[Payment]] = {row.credit_id: [] for row in rows}
    of_borrower = Payment.objects.filter(credit__borrower=borrower_id, payment_date__lte=today)
    for payment in of_borrower.select_related("type").order_by("payment_date", "pk"):
        payments.setdefault(payment.credit_id, []).append(payment)
    return {
        "borrower": Borrower.objects.filter(pk=borrower_id).first(),
        "today": today,
        "credits": [(row, payments[row.credit_id]) for row in rows],
    }


report = Report(
    name="borrower",
    title=_("A borrower"),
    question=_("What does a borrower owe today, credit by credit?"),
    formula=_(
        "Remaining body is body − body payments; remaining interest is interest − interest payments. Both "
        "are at least 0, and 0 once the credit is returned. Days overdue count from the due date to today."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
)
