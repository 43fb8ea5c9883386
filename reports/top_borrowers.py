"""Who owes most at a date, and who owes most of what is overdue?

Outstanding is the sum of body - body payments by the date, each at least 0, of the borrower's open credits.
Overdue is the same of those due before the date. Borrowers that owe the same are in the order of logins.
Without a date, it is the last day up to today that has an issuance or a payment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from heapq import nsmallest
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from credits.book.money import ZERO, percent
from credits.book.reading import chunks
from credits.models import Credit, Movement, Payment
from fintrack.api.params import NumberField

from .at_date import ParamsAtDate, date_of, month_ends_beside
from .report import Report, summed

OUTSTANDING, OVERDUE = "outstanding", "overdue"
COUNT, MOST = 20, 100  # borrowers in a list
FIRST = 5000  # borrowers among which it looks first; most books need no others
AT_ONCE = 200  # borrowers in one query
NOBODY = (ZERO, "")  # the place after all borrowers that owe something


class Params(ParamsAtDate):
    count = NumberField(
        required=False,
        initial=COUNT,
        min_value=1,
        max_value=MOST,
        label=_("Borrowers"),
        help_text=_("a whole number from 1 to 100"),
    )

    def clean(self) -> None:
        super().clean()
        self.cleaned_data["count"] = self.cleaned_data.get("count") or COUNT


@dataclass(frozen=True, slots=True)
class Row:
    """Amounts are principal."""

    by: str  # the list: outstanding or overdue
    rank: int
    borrower_id: int
    login: str
    credits: int  # open
    outstanding: Decimal
    overdue: Decimal
    days_past_due: int  # of the open credit that was due first


class Debt(NamedTuple):
    """What a borrower owes, in the order of Row's columns."""

    borrower_id: int
    login: str
    credits: int = 0
    outstanding: Decimal = ZERO
    overdue: Decimal = ZERO
    days_past_due: int = 0


def compute(check_date: date | None, count: int, today: date) -> list[Row]:
    """Returns the rows of both lists, each with at most `count` borrowers that owe something.

    A borrower owes at most the bodies of its open credits. So it reads the payments of those with the
    greatest bodies until no other can owe as much. If these are too many, the database finds the rest.
    """
    day = date_of(check_date, today)
    if day is None:
        return []
    lists = {
        OUTSTANDING: Credit.objects.in_state([Credit.OPEN], day),
        OVERDUE: Credit.objects.in_state([Credit.OVERDUE], day),
    }
    debts: dict[int, Debt] = {}
    others = NOBODY  # nobody outside of debts has a place before this one
    first = list(lists[OUTSTANDING].lent_by_borrower()[:FIRST])
    for some in chunks(first, AT_ONCE):
        others = (-some[0][1], "")
        if all(greatest(debts, by, count)[1] <= others for by in lists):
            break
        debts |= debts_of([borrower for borrower, _lent in some], day)
    else:
        others = (-first[-1][1], "") if len(first) == FIRST else NOBODY
    rows: list[Row] = []
    for by, found_in in lists.items():
        found, last = greatest(debts, by, count)
        if last > others:
            debts |= debts_of(found_in.owing_most(-last[0], count, day), day)
            found, last = greatest(debts, by, count)
        rows += (Row(by, rank, *debt) for rank, debt in enumerate(found, 1))
        others = max(others, last)  # nobody owes more overdue than outstanding
    return rows


def greatest(debts: dict[int, Debt], by: str, count: int) -> tuple[list[Debt], tuple[Decimal, str]]:
    """Returns the greatest debts, and the place of the last one: NOBODY if there are fewer than count."""
    places = {(-getattr(debt, by), debt.login): debt for debt in debts.values()}
    first = nsmallest(count, (place for place in places if place < NOBODY))
    return [places[place] for place in first], first[-1] if len(first) == count else NOBODY


def debts_of(borrowers: Iterable[int], day: date) -> dict[int, Debt]:
    """Returns what these borrowers owe on the day, by their ids."""
    debts: dict[int, Debt] = {}
    columns = ("pk", "borrower", "borrower__login", "return_date", "body")
    every = Credit.objects.in_state([Credit.OPEN], day).values_list(*columns)
    for some in chunks(borrowers, AT_ONCE):
        found = every.filter(borrower__in=some)
        paid = Payment.objects.filter(credit__in=[pk for pk, *_ in found]).paid_for_body(day)
        for pk, borrower, login, due, body in found:
            sums = debts.get(borrower, Debt(borrower, login))
            owed = max(body - paid.get(pk, [ZERO])[0], ZERO)
            late = max((day - due).days, 0)
            debts[borrower] = sums._replace(
                credits=sums.credits + 1,
                outstanding=sums.outstanding + owed,
                overdue=sums.overdue + (owed if late else ZERO),
                days_past_due=max(sums.days_past_due, late),
            )
    return debts


def totals(rows: list[Row]) -> list[dict[str, Any]]:
    """Returns a row for each list."""
    return [
        {"by": by} | summed([row for row in rows if row.by == by], "credits", "outstanding", "overdue")
        for by in dict.fromkeys(row.by for row in rows)
    ]


def page_context(rows: list[Row], check_date: date | None, count: int, today: date) -> dict[str, Any]:
    """Returns each list with its totals and its share of what the whole book owes."""
    day = date_of(check_date, today)
    if day is None:
        return {}
    current, *past_due = (standing.outstanding for standing in Movement.objects.ageing(day))
    overdue = sum(past_due, ZERO)
    whole = {OUTSTANDING: current + overdue, OVERDUE: overdue}
    return {
        "until": day,
        **month_ends_beside(day),
        "count": count,
        "lists": [
            (
                total["by"],
                [row for row in rows if row.by == total["by"]],
                total,
                percent(total[total["by"]], whole[total["by"]]),
            )
            for total in totals(rows)
        ],
    }


report = Report(
    name="top_borrowers",
    title=_("Top borrowers"),
    question=_("Who owes most at a date, and who owes most of what is overdue?"),
    formula=_(
        "Outstanding is the sum of body − body payments by the date, each at least 0, of the open credits. "
        "Overdue is the same of those that were due before the date. Days past due are those of the credit "
        "that was due first. Borrowers that owe the same are in the order of their logins."
    ),
    params=Params,
    row=Row,
    compute=compute,
    totals=totals,
    page_context=page_context,
    example=(
        {"check_date": "2022-07-31", "count": 20},
        Row(OUTSTANDING, 1, 3932, "anna", 4, Decimal("12016.44"), Decimal("4034.22"), 4),
    ),
)
