"""Movements of credits: the figures on any day, worked out by hand."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from credits.book.days import month_ends
from credits.book.summaries import differences
from credits.book.writing import writing
from credits.models import BUCKETS, Dictionary, Flaw, History, Movement, Payment
from credits.movements import Flow, Standing, movements_of

from . import builders

pytestmark = pytest.mark.django_db

NAMES = [bucket.name for bucket in BUCKETS]


def day(text: str) -> date:
    return date.fromisoformat(text)


def moved(*payments: tuple[str, int, int], issued="2021-06-10", returned=None, body=1000, interest=300):
    """Returns {day: [opened, closed, …, carried]}, the columns of Movement in their order.

    Amounts are whole units.
    """
    rows = movements_of(
        day(issued),
        returned and day(returned),
        Decimal(body),
        Decimal(interest),
        [(day(paid), kind, Decimal(amount)) for paid, kind, amount in payments],
    )
    return {f"{moment}": [int(value) for value in values] for moment, values in rows}


def ageing(on: str) -> dict[str, tuple[int, int]]:
    """Returns {bucket: (credits, outstanding)} of the buckets that hold credits."""
    standings = Movement.objects.ageing(day(on))
    return {
        name: (standing.credits, int(standing.outstanding))
        for name, standing in zip(NAMES, standings, strict=True)
        if standing.credits
    }


def test_a_credit_owes_its_body_from_issuance_and_its_payments_lower_it():
    assert moved(("2021-06-20", 1, 400), ("2021-06-20", 2, 100), ("2021-07-02", 1, 100)) == {
        "2021-06-10": [1, 0, 1000, 1000, 0, 0, 300, 0],
        "2021-06-20": [0, 0, 0, -400, 400, 100, -100, 0],
        "2021-07-02": [0, 0, 0, -100, 100, 0, 0, 0],
    }


def test_a_returned_credit_owes_nothing_and_carried_what_it_owed_at_the_end_of_the_month_before():
    paid = [("2021-06-20", 1, 400), ("2021-07-02", 1, 100), ("2021-07-20", 1, 450)]
    assert moved(*paid, returned="2021-07-20") == {
        "2021-06-10": [1, 0, 1000, 1000, 0, 0, 300, 0],
        "2021-06-20": [0, 0, 0, -400, 400, 0, 0, 0],
        "2021-07-02": [0, 0, 0, -100, 100, 0, 0, 0],
        "2021-07-20": [0, 1, 0, -500, 450, 0, -300, 600],
    }


def test_a_credit_returned_in_the_month_of_its_issuance_carried_nothing():
    assert moved(returned="2021-06-30")["2021-06-30"] == [0, 1, 0, -1000, 0, 0, -300, 0]


def test_a_credit_returned_on_the_day_of_its_issuance_never_owes():
    assert moved(("2021-06-10", 1, 1000), returned="2021-06-10") == {
        "2021-06-10": [1, 1, 1000, 0, 1000, 0, 0, 0]
    }


def test_an_overpaid_credit_owes_nothing_rather_than_less():
    assert moved(("2021-06-20", 1, 1200), ("2021-06-21", 2, 500)) == {
        "2021-06-10": [1, 0, 1000, 1000, 0, 0, 300, 0],
        "2021-06-20": [0, 0, 0, -1000, 1200, 0, 0, 0],
        "2021-06-21": [0, 0, 0, 0, 0, 500, -300, 0],
    }


def test_a_payment_before_issuance_lowers_what_the_credit_owes_from_its_issuance():
    assert moved(("2021-06-01", 1, 400)) == {
        "2021-06-01": [0, 0, 0, 0, 400, 0, 0, 0],
        "2021-06-10": [1, 0, 1000, 600, 0, 0, 300, 0],
    }


def test_a_payment_after_the_return_changes_nothing_that_is_owed():
    assert moved(("2021-07-20", 1, 400), returned="2021-06-20")["2021-07-20"] == [0, 0, 0, 0, 400, 0, 0, 0]


def test_a_credit_moves_through_the_buckets_after_it_is_due():
    builders.credit("2021-06-01", 1000, return_date=day("2021-06-15"))
    edges = {
        "2021-05-31": None,
        "2021-06-01": "current",
        "2021-06-15": "current",
        "2021-06-16": "1 to 30",
        "2021-07-15": "1 to 30",
        "2021-07-16": "31 to 60",
        "2021-08-15": "61 to 90",
        "2021-09-13": "61 to 90",
        "2021-09-14": "91 to 180",
        "2021-12-13": "181 to 360",
        "2022-06-10": "181 to 360",
        "2022-06-11": "over 360",
    }
    for on, name in edges.items():
        assert ageing(on) == ({name: (1, 1000)} if name else {}), on


def test_nothing_that_happens_later_changes_a_past_ageing():
    credit = builders.credit("2021-06-01", 1000, return_date=day("2021-06-15"))
    builders.payment(credit, "2021-06-20", 300)
    before = {"current": (1, 1000)}, {"1 to 30": (1, 700)}
    assert (ageing("2021-06-10"), ageing("2021-06-30")) == before
    builders.payment(credit, "2021-07-01", 500)
    builders.credit("2021-07-01", 5000)
    credit.actual_return_date = day("2021-07-02")
    credit.save()
    assert (ageing("2021-06-10"), ageing("2021-06-30")) == before


def test_ageings_of_month_ends_are_those_of_each_month_end():
    credit = builders.credit("2021-03-20", 1000, return_date=day("2021-04-03"))
    builders.payment(credit, "2021-05-31", 300)
    builders.credit("2021-05-20", 2000, actual_return_date=day("2021-06-30"))
    ends = month_ends(day("2021-07-30"), 6)
    assert [f"{end:%m-%d}" for end in ends] == ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30"]
    ageings = Movement.objects.ageings(ends)
    assert ageings == [Movement.objects.ageing(end) for end in ends]
    assert [[row.outstanding for row in ageing if row.credits] for ageing in ageings] == [
        [],
        [],
        [1000],
        [1000],
        [2000, 700],
        [700],
    ]


def test_the_flow_of_a_month_follows_the_buckets_of_its_start_and_the_credits_issued_in_it():
    current = builders.credit("2021-05-20", 1000, return_date=day("2021-06-20"))  # 10 days late on 30 June
    builders.payment(current, "2021-06-30", 100)
    builders.payment(current, "2021-06-30", 7, Dictionary.INTEREST)
    builders.payment(current, "2021-07-01", 900)  # later
    late = builders.credit("2021-05-01", 500, actual_return_date=day("2021-06-20"))  # 16 days late on 31 May
    builders.payment(late, "2021-05-31", 200)  # earlier
    builders.payment(late, "2021-06-20", 300)
    closed = builders.credit("2021-03-01", 50, actual_return_date=day("2021-04-20"))  # was 77 days late
    builders.payment(closed, "2021-06-01", 9)
    new = builders.credit("2021-06-10", 800)  # 6 days late on 30 June
    builders.payment(new, "2021-06-09", 1)  # before its issuance, in the same month
    builders.payment(new, "2021-06-24", 79)
    builders.payment(builders.credit("2021-07-10", 700), "2021-06-15", 5)  # in no flow
    flow = Movement.objects.flows(month_ends(day("2021-07-31"), 3))[day("2021-06-30")]
    assert flow == Flow(
        opening=[1000, 300, 0, 0, 0, 0, 0],
        cash=[107, 300, 0, 9, 0, 0, 0],
        moved=flow.moved,
        issued=800,
        new_cash=80,
        new_closing=[0, 720, 0, 0, 0, 0, 0],
    )
    assert {way: owed for way, owed in flow.moved.items() if owed} == {(0, 1): 900}
    assert flow.closing == [0, 1620, 0, 0, 0, 0, 0]


def test_flows_of_months_are_those_of_each_month():
    for month in range(1, 6):
        credit = builders.credit(f"2021-0{month}-20", 1000)
        builders.payment(credit, f"2021-0{month + 1}-10", 100 * month)
    ends = month_ends(day("2021-07-31"), 7)
    flows = Movement.objects.flows(ends)
    assert [*flows] == ends[1:]
    for number, end in enumerate(ends[1:]):
        of_month = Movement.objects.flows(ends[number : number + 2])[end]
        assert replace(flows[end], moved={}) == replace(of_month, moved={})
        assert flows[end].closing == [row.outstanding for row in Movement.objects.ageing(end)]
    assert flows[ends[2]].cash == [200, 0, 0, 0, 0, 0, 0]  # for the credit that is due on 6 March
    assert [Movement.objects.flows(ends[:count]) for count in (0, 1)] == [{}, {}]


def test_flows_take_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        Movement.objects.flows(month_ends(day("2021-07-31"), 7))


def test_a_changed_return_of_an_earlier_credit_changes_the_history_of_later_ones():
    anna = builders.borrower()
    first = builders.credit("2021-01-01", borrower=anna)
    builders.credit("2021-06-01", borrower=anna)
    histories = Movement.objects.order_by("issued_on").values_list("history", flat=True)
    assert list(histories.all()) == [1, 3]
    first.actual_return_date = day("2021-01-20")
    first.save()
    assert list(histories.all()) == [1, 1, 2]
    first.delete()
    assert list(histories.all()) == [1]


def test_movements_are_computed_in_parts_of_any_size(monkeypatch):
    for name in ("IDS_AT_ONCE", "DAYS_AT_ONCE"):
        monkeypatch.setattr(f"credits.movements.{name}", 1)
    anna = builders.borrower()
    lent = [builders.credit(f"2021-06-0{number}", 1000, borrower=anna) for number in (1, 1, 2)]
    with writing():
        for credit in lent:
            builders.payment(credit, "2021-06-05", 10)
    movements = Movement.objects.filter(day=day("2021-06-05")).order_by("due_on")
    assert list(movements.values_list("issued_on", "body_paid")) == [
        (day("2021-06-01"), 20),
        (day("2021-06-02"), 10),
    ]


@pytest.mark.parametrize("few", [0, 1, 2, 1000])
def test_an_earlier_payment_for_a_returned_credit_changes_its_later_movements(monkeypatch, few):
    monkeypatch.setattr("credits.movements.FEW", few)
    for _ in range(2):  # the second one isn't paid, but due with the first
        credit = builders.credit("2021-06-01", 1000, actual_return_date=day("2021-07-20"))
    builders.payment(credit, "2021-07-05", 100)
    builders.payment(credit, "2021-06-20", 300)
    assert [*differences(Movement)] == []
    (row,) = Movement.objects.filter(day=day("2021-07-20"))
    assert (row.closed, row.outstanding, row.carried) == (2, -1600, 1700)


def test_a_return_thirty_days_after_the_due_day_changes_the_history_of_later_credits():
    anna = builders.borrower()
    first = builders.credit("2021-01-01", borrower=anna, return_date=day("2021-01-15"))
    builders.credit("2021-06-01", borrower=anna)
    first.actual_return_date = day("2021-02-14")
    first.save()
    assert Movement.objects.get(issued_on=day("2021-06-01")).history == History.RETURNING
    first.actual_return_date = day("2021-02-15")
    first.save()
    assert Movement.objects.get(issued_on=day("2021-06-01")).history == History.LATE_BEFORE


def test_a_payment_for_no_credit_is_refused_by_the_database(db):
    def pay() -> None:
        days = (day("2021-06-01"), day("2021-06-02"))
        Payment.objects.bulk_create(
            Payment(credit_id=987654, payment_date=paid, type_id=1, sum=1) for paid in days
        )
        connection.check_constraints()  # SQLite checks them at the commit

    with pytest.raises(IntegrityError), transaction.atomic():
        pay()


def test_a_standing_of_nothing_is_zero():
    assert Movement.objects.ageing(day("2021-06-30")) == [Standing(0, Decimal("0.00"))] * 7


@pytest.mark.parametrize(
    ("returned", "payments", "kinds"),
    [
        (None, [("2021-06-05", 1, 10)], []),
        (None, [], ["NEVER_PAID"]),
        (None, [("2021-05-31", 1, 10)], ["PAID_BEFORE_ISSUANCE"]),
        (None, [("2021-06-05", 1, 1000)], []),
        (None, [("2021-06-05", 1, 1000), ("2021-06-06", 2, 300)], ["OPEN_PAID"]),
        (None, [("2021-06-05", 1, "1000.01")], ["BODY_OVERPAID"]),
        (None, [("2021-06-05", 2, "300.01")], ["INTEREST_OVERPAID"]),
        ("2021-06-06", [("2021-06-06", 1, "999.99"), ("2021-06-06", 2, "299.99")], []),
        ("2021-06-06", [("2021-06-06", 1, "999.98"), ("2021-06-06", 2, 300)], ["CLOSED_UNPAID"]),
        ("2021-06-06", [("2021-06-06", 1, 1000), ("2021-06-06", 2, "299.98")], ["CLOSED_UNPAID"]),
        ("2021-06-06", [], ["CLOSED_UNPAID"]),
    ],
)
def test_flaws_of_a_credit(returned, payments, kinds):
    credit = builders.credit("2021-06-01", 1000, percent=300, actual_return_date=returned and day(returned))
    for paid, kind, amount in payments:
        builders.payment(credit, paid, amount, kind)
    assert [Flaw.Kind(flaw.kind).name for flaw in Flaw.objects.all()] == kinds


def test_a_corrected_flaw_disappears():
    credit = builders.credit("2021-06-01", 1000)
    payment = builders.payment(credit, "2021-06-05", 1001, Dictionary.BODY)
    assert [flaw.credit_id for flaw in Flaw.objects.filter(kind=Flaw.Kind.BODY_OVERPAID)] == [credit.pk]
    payment.delete()
    assert [flaw.kind for flaw in Flaw.objects.all()] == [Flaw.Kind.NEVER_PAID]
