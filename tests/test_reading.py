"""Reading in batches: all rows, in order, from one snapshot."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from django.db import connection
from django.db.models import F

from credits.book import reading
from credits.book.reading import in_batches
from credits.book.writing import writing
from credits.models import Borrower, Credit, Payment

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def batches_of_two(monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 2)


@pytest.fixture
def payments():
    """Sums by day: on the 2nd 10, 20 and 30, on the 3rd 40, on the 4th 50 and 60."""
    credit = builders.credit("2021-06-01")
    days = {10: 2, 40: 3, 20: 2, 50: 4, 30: 2, 60: 4}
    for amount, day in days.items():
        builders.payment(credit, f"2021-06-0{day}", amount)


@pytest.mark.parametrize(
    ("order", "sums"),
    [
        (["payment_date", "pk"], [10, 20, 30, 40, 50, 60]),
        (["-payment_date", "-pk"], [60, 50, 40, 30, 20, 10]),
        (["-payment_date", "pk"], [50, 60, 40, 10, 20, 30]),
        (["pk"], [10, 40, 20, 50, 30, 60]),
        ([F("sum").desc(), "pk"], [60, 50, 40, 30, 20, 10]),
    ],
)
def test_every_row_is_read_once_and_in_order(payments, order, sums):
    assert [row.sum for row in in_batches(Payment.objects.order_by(*order))] == sums
    assert [row.sum for row in in_batches(Payment.objects.filter(sum__gt=20).order_by(*order))] == [
        amount for amount in sums if amount > 20
    ]


def test_a_full_batch_can_prefetch_a_row_for_each_of_its_rows(monkeypatch):
    monkeypatch.undo()
    day = date(2021, 6, 1)
    with writing():
        borrowers = Borrower.objects.bulk_create(
            Borrower(login=f"borrower{number}", registration_date=day) for number in range(1100)
        )
        Credit.objects.bulk_create(
            Credit(borrower=borrower, issuance_date=day, return_date=day, body=1, percent=0)
            for borrower in borrowers
        )
    rows = in_batches(Credit.objects.prefetch_related("borrower").order_by("-issuance_date", "-pk"))
    assert [row.borrower.login for row in rows] == [f"borrower{number}" for number in range(1099, -1, -1)]


def test_an_empty_table_has_no_batches():
    assert list(in_batches(Payment.objects.order_by("pk"))) == []
    assert list(in_batches(Payment.objects.order_by(F("sum"), "pk"))) == []


def test_a_batch_takes_three_queries(payments, django_assert_num_queries):
    # Of three batches each: the ids, the rows, and their credits. Then one finds no more.
    with django_assert_num_queries(10):
        rows = list(in_batches(Payment.objects.prefetch_related("credit").order_by("-payment_date", "-pk")))
        assert {row.credit.issuance_date for row in rows} == {date(2021, 6, 1)}


def test_rows_written_during_reading_are_not_included(committed):
    credit = builders.credit("2021-06-01")
    for day in (2, 3, 4, 5):
        builders.payment(credit, f"2021-06-0{day}", day)

    def move_the_first_payment_to_the_end() -> None:
        try:
            row = Payment.objects.get(sum=2)
            row.payment_date = date(2021, 6, 30)
            row.save()
            builders.payment(credit, "2021-06-29", 29)
        finally:
            connection.close()

    rows = in_batches(Payment.objects.order_by("payment_date", "pk"))
    found = [next(rows)]
    with ThreadPoolExecutor(1) as pool:
        pool.submit(move_the_first_payment_to_the_end).result(20)
    found += rows
    assert [row.sum for row in found] == [2, 3, 4, 5]
    assert Credit.objects.get().payments.count() == 5
