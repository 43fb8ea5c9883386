"""What credits does a borrower have, and what was paid for them?

An open credit shows how many days it is overdue today, and its payments by kind. A closed credit shows its
total payments.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404
from django.utils.translation import gettext_lazy as _

from credits.models import Borrower, Credit

from .params import BorrowerField, ParamsAtToday
from .report import Report, summed


class Params(ParamsAtToday):
    user_id = BorrowerField()


@dataclass(frozen=True, slots=True)
class Row:
    """Amounts are money. Columns that don't apply to an open or a closed credit are None."""

    credit_id: int
    issuance_date: date
    is_closed: bool
    actual_return_date: date | None
    return_date: date
    overdue_days: int | None
    body: Decimal
    percent: Decimal
    total_payments: Decimal | None
    body_payments: Decimal | None
    percent_payments: Decimal | None


def compute(user_id: int, today: date) -> list[Row]:
    """Raises Http404 for an unknown borrower."""
    borrower = Borrower.objects.filter(pk=user_id).first()
    if borrower is None:
        raise Http404(_("There is no borrower with the id %d.") % user_id)
    return [row(credit, today) for credit in borrower.credits.with_payments().order_by("pk")]


def row(credit: Credit, today: date) -> Row:
    closed = credit.is_closed
    return Row(
        credit_id=credit.pk,
        issuance_date=credit.issuance_date,
        is_closed=closed,
        actual_return_date=credit.actual_return_date,
        return_date=credit.return_date,
        overdue_days=None if closed else credit.days_past_due(today),
        body=credit.body,
        percent=credit.percent,
        total_payments=credit.body_payments + credit.percent_payments if closed else None,
        body_payments=None if closed else credit.body_payments,
        percent_payments=None if closed else credit.percent_payments,
    )


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    return [summed(rows, "body", "percent", "total_payments", "body_payments", "percent_payments")]


report = Report(
    name="user_credits",
    title=_("Credits of a borrower"),
    question=_("What credits does a borrower have, and what was paid for them?"),
    formula=_(
        "An open credit shows the days it is overdue today, max(0, today − due date), and its payments by "
        "kind. A closed credit shows its total payments. Interest is the amount of money that has accrued."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    example=(
        {"user_id": 10},
        Row(
            credit_id=1690,
            issuance_date=date(2021, 10, 9),
            is_closed=True,
            actual_return_date=date(2021, 11, 28),
            return_date=date(2021, 10, 23),
            overdue_days=None,
            body=Decimal("1000"),
            percent=Decimal("960"),
            total_payments=Decimal("1960"),
            body_payments=None,
            percent_payments=None,
        ),
    ),
)
