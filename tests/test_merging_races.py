"""Two forms sent at the same time, each on its own connection.

The second is sent when the first has read what it will change. It either waits for the first or overtakes it.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from credits.book.trail import Change
from credits.models import Credit
from fintrack.access import ADMINISTRATOR, EDITOR
from fintrack.models import IdempotencyKey
from plans.models import Plan

from . import builders
from .test_interleavings import MYSQL, around_query
from .test_merging import TWICE, YEAR, change_page, errors, new_payment, opened, sums, told, year_errors

pytestmark = pytest.mark.slow


@pytest.fixture
def credit(committed) -> Credit:
    credit = builders.credit("2021-06-01", 1000, percent=50)
    builders.payment(credit, "2021-06-05", 511)
    return credit


@pytest.fixture
def both(committed, client_as) -> list[Any]:
    return [client_as(EDITOR), client_as(ADMINISTRATOR)]


@pytest.fixture
def beside(committed) -> Iterator[Callable[..., list[Any]]]:
    """beside(first, second, read) runs second when first has read that table, and returns both results."""
    with ThreadPoolExecutor(1) as pool:

        def run(first: Callable[[], Any], second: Callable[[], Any], read: str) -> list[Any]:
            sent: list[Future] = []

            def send() -> None:
                if not sent:
                    sent.append(pool.submit(second))
                    wait(sent, timeout=1)  # long enough, unless it has to wait

            with around_query(lambda sql: sql.startswith("SELECT") and read in sql, after=send):
                response = first()
            return [response, sent[0].result(30)]

        yield run
        pool.submit(connection.close)


def post(client: Any, address: str, form: dict[str, Any]) -> Callable[[], Any]:
    return lambda: client.post(address, form)


def in_order(table: str) -> list[list[Any]]:
    """Returns the changes of the table's sums, in order."""
    changes = Change.objects.filter(table=table, fields__has_key="sum").order_by("pk")
    return [change.fields["sum"] for change in changes]


def test_one_of_two_who_change_a_payment_gets_an_error(both, credit, beside):
    address = change_page(credit)
    forms = [
        opened(each, address) | {"payments-0-sum": amount} for each, amount in zip(both, "12", strict=True)
    ]
    first, second = beside(
        post(both[0], address, forms[0]), post(both[1], address, forms[1]), "credits_payment"
    )
    assert first.status_code == 302
    (error,) = errors(second)
    assert "“Sum” was changed from 511.00 to 1.00 meanwhile by" in error
    assert in_order("credits.payment") == [[None, "511.00"], ["511.00", "1.00"]]


def test_simultaneous_changes_of_different_fields_are_both_stored(both, credit, beside):
    (payment,) = credit.payments.all()
    first, second = beside(
        post(both[0], change_page(credit), opened(both[0], change_page(credit)) | {"percent": "60"}),
        post(both[1], change_page(payment), opened(both[1], change_page(payment)) | {"sum": "77.77"}),
        "credits_payment",
    )
    assert (first.status_code, second.status_code) == (302, 302)
    credit.refresh_from_db()
    assert (credit.percent, *map(str, sums(credit))) == (60, "77.77")


def test_a_double_click_is_stored_once_and_both_get_a_response(both, credit, beside):
    form = new_payment(both[0], credit)
    send = post(both[0], "/admin/credits/payment/add/", form)
    first, second = beside(send, send, "credits_credit")
    assert first.url == second.url == "/admin/credits/payment/"
    assert (TWICE in told(first), TWICE in told(second)) == (False, True)
    assert sums(credit) == [511, 5]


def test_a_plan_changed_before_a_year_is_saved_is_not_overwritten(both, beside):
    builders.plan("2021-01", 3, 100)
    first, second = beside(
        *(
            post(each, YEAR, opened(each, YEAR) | {"3-1": amount})
            for each, amount in zip(both, "12", strict=True)
        ),
        "plans_plan",
    )
    assert first.status_code == 302
    assert "from 100.00 to 1.00 meanwhile" in year_errors(second)["3-1"][0]
    assert in_order("plans.plan") == [[None, "100.00"], ["100.00", "1.00"]]


def test_a_plan_added_before_a_year_is_saved_is_an_error(both, beside):
    responses = beside(
        *(
            post(each, YEAR, opened(each, YEAR) | {"3-1": amount})
            for each, amount in zip(both, "12", strict=True)
        ),
        "plans_plan",
    )
    taken, refused = sorted(responses, key=lambda response: -response.status_code)
    assert taken.status_code == 302
    ((error,),) = year_errors(refused).values()
    assert f"“issuance 2021-01” was changed from empty to {Plan.objects.get().sum} meanwhile" in error


def impatient() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 1" if MYSQL else "PRAGMA busy_timeout = 0")


@pytest.mark.parametrize("page", ["credit", "year", "delete"])
def test_a_form_that_waits_too_long_for_a_lock_stores_nothing(both, credit, page):
    plan = builders.plan("2021-01", 3, 100)
    deletion = change_page(plan).replace("change", "delete")
    address = {"credit": change_page(credit), "year": YEAR, "delete": deletion}[page]
    form = opened(both[1], address) | {"percent": "60", "3-1": "200", "post": "yes"}
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                list(Credit.objects.select_for_update())
                list(Plan.objects.select_for_update())
                held.set()
                done.wait(30)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(20)
        try:
            impatient()
            response = both[1].post(address, form)
        finally:
            done.set()
        holding.result(20)
        connection.close()
    assert response.status_code == 409
    assert "Nothing was stored" in response.content.decode()
    assert (Credit.objects.get().percent, Plan.objects.get().sum) == (50, 100)


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_nobody_waits_for_the_deletion_of_old_keys(both, credit):
    account = builders.account(EDITOR)
    old = timezone.now() - timedelta(days=8)
    IdempotencyKey.objects.create(account=account, key="old", digest="", answer="", made=old)
    held, done = threading.Event(), threading.Event()

    def clear() -> None:
        try:
            with transaction.atomic():
                IdempotencyKey.once(account, "first", "", lambda: 1)
                held.set()
                done.wait(30)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        clearing = pool.submit(clear)
        assert held.wait(20)
        try:
            impatient()
            with transaction.atomic():
                assert IdempotencyKey.once(account, "second", "", lambda: 2) == (2, False)
        finally:
            done.set()
        clearing.result(20)
        connection.close()
    assert IdempotencyKey.objects.count() == 2
