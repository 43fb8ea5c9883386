"""The stored debts of borrowers equal those computed from their credits and payments, on every day."""

from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from random import Random
from types import SimpleNamespace

import pytest
import time_machine
from django.apps import apps
from django.db import OperationalError, connection
from django.utils import timezone

from credits.models import Borrower, BorrowerDebt, Credit, Dictionary, Payment
from reports.borrower_list import listing

from . import builders

pytestmark = pytest.mark.django_db

JULY_1 = date(2021, 7, 1)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(JULY_1, tick=False) as traveller:
        yield traveller


def owed(borrower: Borrower, day: date) -> tuple[int, int, Decimal, int]:
    """Computes (credits, open credits, outstanding, days past due) on the day from the rows."""
    issued = [each for each in Credit.objects.filter(borrower=borrower) if each.issuance_date <= day]
    running = [each for each in issued if each.state(day) != Credit.CLOSED]
    outstanding = Decimal(0)
    for credit in running:
        payments = Payment.objects.filter(credit=credit, type=Dictionary.BODY, payment_date__lte=day)
        outstanding += max(Decimal(0), credit.body - sum(payment.sum for payment in payments))
    late = max((each.days_past_due(day) for each in running), default=0)
    return len(issued), len(running), outstanding, late


def listed() -> dict[int, tuple[int, int, Decimal, int]]:
    """Returns the same figures from today's list: {borrower: figures}."""
    params = {"search": "", "order": "", "today": timezone.localdate()}
    return {
        row.borrower_id: (row.credits, row.open_credits, row.outstanding, row.days_past_due)
        for row in listing.every_row(params)
    }


def expected(day: date = JULY_1) -> dict[int, tuple[int, int, Decimal, int]]:
    return {borrower.pk: owed(borrower, day) for borrower in Borrower.objects.all()}


@pytest.mark.parametrize("seed", range(5))
def test_the_list_is_right_on_every_day_in_any_order_of_days(clock, seed):
    random = Random(seed)

    def some_day() -> date:
        return JULY_1 + timedelta(days=random.randint(-20, 20))

    borrowers = [builders.borrower() for _ in range(6)]
    for _ in range(12):
        issued = some_day()
        credit = builders.credit(
            issued.isoformat(),
            random.randint(1, 5000),
            borrower=random.choice(borrowers),
            actual_return_date=random.choice([None, max(issued, some_day())]),
        )
        for _ in range(random.randint(0, 4)):
            paid = max(issued, some_day()).isoformat()
            builders.payment(credit, paid, random.randint(1, 2000), random.choice(Dictionary.FIXED[:2]))
    days = [JULY_1 + timedelta(days=number) for number in range(-25, 26, 5)]
    for day in [*days, *random.sample(days, len(days))]:
        clock.move_to(day)
        assert listed() == expected(day)


WRITES = {
    "a payment is added": lambda payment: builders.payment(payment.credit, "2021-06-20", 1),
    "a payment is changed": lambda payment: Payment.objects.filter(pk=payment.pk).update(sum=7),
    "a payment moves to another credit": lambda payment: Payment.objects.filter(pk=payment.pk).update(
        credit=builders.credit("2021-06-01", 10)
    ),
    "a payment is deleted": lambda payment: payment.delete(),
    "a credit is returned": lambda payment: Credit.objects.update(actual_return_date=date(2021, 6, 30)),
    "a credit moves to another borrower": lambda payment: Credit.objects.filter(pk=payment.credit_id).update(
        borrower=builders.borrower()
    ),
    "a deadline is moved": lambda payment: Credit.objects.update(return_date=date(2021, 6, 2)),
    "a borrower is added": lambda payment: builders.borrower(),
    "the book is emptied": lambda payment: (Payment.objects.all().empty(), Credit.objects.all().empty()),
    "a borrower is deleted with its credit": lambda payment: (
        payment.delete(),
        payment.credit.delete(),
        payment.credit.borrower.delete(),
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_list_shows_a_write_at_once(write):
    payment = builders.payment(builders.credit("2021-06-01", 1000), "2021-06-10", 300)
    before = listed()
    assert before == expected()
    write(payment)
    assert listed() == expected() != before


def test_a_new_day_without_changes_writes_no_debts(clock, django_assert_max_num_queries):
    builders.payment(builders.credit("2021-06-01", 1000), "2021-06-10", 300)
    kept = BorrowerDebt.objects.values().get()
    clock.move_to(date(2022, 7, 1))
    with django_assert_max_num_queries(2):
        BorrowerDebt.bring_to(date(2022, 7, 1))
    assert BorrowerDebt.objects.values().get() == kept


@pytest.mark.parametrize("address", ["/reports/borrowers/", "/reports/borrowers/?format=csv"])
def test_while_the_figures_of_today_cannot_be_stored_the_list_is_busy(analyst, monkeypatch, address):
    def locked(name: str) -> None:
        raise OperationalError("database is locked")

    builders.credit("2021-06-01", 1000)
    BorrowerDebt.objects.update(since=date.max)
    with monkeypatch.context() as patches:
        patches.setattr("credits.models.one_at_a_time", locked)
        response = analyst.get(address)
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert analyst.get(address).status_code == 200


def test_the_first_reader_after_the_migration_computes_the_debts():
    builders.payment(builders.credit("2021-06-01", 1000), "2021-06-10", 300)
    migration = import_module("credits.migrations.0012_lists")
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert [debt.since for debt in BorrowerDebt.objects.all()] == [date.max]
    assert listed() == expected()
    assert Borrower.objects.count() == 1


def test_counting_all_borrowers_reads_the_registrations_only(django_assert_num_queries):
    for day in (1, 1, 2):
        builders.borrower(registration_date=date(2021, 6, day))
    with django_assert_num_queries(1) as queries:
        assert Borrower.objects.count() == 3
    assert "credits_borrower" not in queries.captured_queries[0]["sql"]
    assert Borrower.objects.filter(registration_date=date(2021, 6, 1)).count() == 2
    assert Borrower.objects.all()[:2].count() == 2
    assert Borrower.objects.values("registration_date").distinct().count() == 2
    Borrower.objects.all()[0].delete()
    assert Borrower.objects.count() == len(Borrower.objects.all()) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("order", ["id", "-id", "login", "-registration_date"])
def test_numbered_pages_together_equal_the_whole_list(analyst, size, order):
    for number in (3, 1, 4, 2, 7, 6, 5):
        builders.borrower(login=f"b{number}", registration_date=date(2021, 6, 1 + number % 3))
    first = analyst.get(f"/api/v1/borrowers?ordering={order}").json()["results"]
    address, found = f"/api/v1/borrowers?ordering={order}&page_size={size}", []
    while address:
        answer = analyst.get(address).json()
        assert (answer["count"], len(answer["results"])) == (7, min(size, 7 - len(found)))
        found += answer["results"]
        address = answer["next"]
    assert found == first
