"""Previews and imports: a preview blocks nobody, and an import does exactly what its preview showed."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from html import unescape
from io import BytesIO, StringIO
from typing import Any

import pytest
import time_machine
from django.conf import settings as project
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import OperationalError, connection

from credits.book.files import Faults
from credits.book.loading import load_file, preview_file
from credits.book.money import grouped
from credits.book.trail import Load, Upload
from credits.book.writing import one_at_a_time, writing
from credits.models import Borrower, Credit, Dictionary, Payment
from credits.resources import CreditResource, DictionaryResource
from fintrack.access import EDITOR
from plans.resources import insert_plans

from . import builders

MYSQL = "mysql" in project.DATABASES["default"]["ENGINE"]
HEADER = "id;credit_id;payment_date;type_id;sum\n"
CHANGED = "Nothing was stored: the book has changed since the preview."


def preview(client: Any, table: str, lines: str, name: str = "file.csv", **fields: Any) -> Any:
    file = SimpleUploadedFile(name, lines.encode())
    return client.post(f"/admin/{table}/import/", {"import_file": file, "resource": "0", **fields})


def send(client: Any, table: str, response: Any, **fields: Any) -> Any:
    """Presses a button below a preview."""
    fields |= {"upload": response.context["upload"].key}
    return client.post(f"/admin/{table}/process_import/", fields, follow=True)


def words(response: Any) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", response.content.decode())).split())


def line(pk: Any, credit: Credit, amount: Any) -> str:
    return f"{pk};{credit.pk};2021-06-05;1;{amount}\n"


def paid(pk: int, credit: Credit, amount: Any) -> Payment:
    return Payment.objects.create(
        pk=pk, credit=credit, payment_date=date(2021, 6, 5), type_id=Dictionary.BODY, sum=amount
    )


def counts(response: Any) -> str:
    return str(response.context["result"].counts)


@contextmanager
def before_query(matches: str, action: Callable[[], Any]) -> Iterator[list[str]]:
    """Acts before the first query of this connection that matches, and records that query."""
    met: list[str] = []

    def wrapper(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if not met and re.match(matches, sql):
            met.append(sql)
            action()
        return execute(sql, *args)

    with connection.execute_wrapper(wrapper):
        yield met


@pytest.fixture
def elsewhere(committed) -> Iterator[Callable[[Callable[[], Any]], Future]]:
    """elsewhere(action) runs it on another connection, which waits only briefly for locks."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(be_impatient).result(20)
        yield lambda action: pool.submit(action)
        pool.submit(connection.close)


def be_impatient() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 1" if MYSQL else "PRAGMA busy_timeout = 0")


# Previews


@pytest.mark.parametrize("table", ["credits_payment", "credits_credit", "credits_dictionary"])
def test_others_can_write_during_a_preview(client_as, elsewhere, table):
    editor = client_as(EDITOR)
    payment = builders.payment(builders.credit("2021-06-01"), "2021-06-05", 1)
    lines = f"{HEADER}{payment.pk};{payment.credit_id};2021-06-05;1;2\n;{payment.credit_id};2021-06-05;1;3\n"

    def save() -> None:
        Payment.objects.filter(pk=payment.pk).update(sum=7)
        Dictionary.objects.filter(pk=1).update(name="Тіло")
        builders.payment(payment.credit, "2021-06-06", 8)

    with before_query(
        rf"SELECT.*FROM [`\"]{table}[`\"] WHERE .*\bIN\b", lambda: elsewhere(save).result(20)
    ) as met:
        response = preview(editor, "credits/payment", lines)
    assert met
    assert counts(response) == "1 new, 1 changed, 0 unchanged"
    assert sorted(Payment.objects.values_list("sum", flat=True)) == [7, 8]


def test_preview_stores_only_the_upload(editor):
    payment = builders.payment(builders.credit("2021-06-01"), "2021-06-05", 1)
    lines = f"{HEADER}{payment.pk};{payment.credit_id};2021-06-05;1;2\n;{payment.credit_id};2021-06-05;1;3\n"
    written = []

    def watch(execute: Any, sql: str, *args: Any) -> Any:
        if not sql.startswith("SELECT") or "FOR UPDATE" in sql:
            written.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        response = preview(editor, "credits/payment", lines)
    assert counts(response) == "1 new, 1 changed, 0 unchanged"
    assert [re.findall(r"\w+", sql)[:3] for sql in written] == [
        ["DELETE", "FROM", "trail_upload"],
        ["INSERT", "INTO", "trail_upload"],
    ]


def faults_of(resource: Any, lines: str) -> list[str]:
    """Returns the faults of a preview, and checks that an import finds the same."""
    told = preview_file(resource(), BytesIO(lines.encode()), "f.csv").faults
    stored = Faults(limit=None)
    with pytest.raises(Exception, match="faults"):
        load_file(resource(), BytesIO(lines.encode()), "f.csv", stored)
    assert stored == told
    return [str(fault) for fault in told.in_order()]


def test_preview_and_import_find_the_faults_that_need_the_whole_file(db):
    credit = builders.credit("2021-06-01", pk=5, borrower=builders.borrower(pk=6))
    builders.payment(credit, "2021-06-05", 1)
    header = "id;user_id;issuance_date;return_date;actual_return_date;body;percent\n"
    assert faults_of(CreditResource, f"{header}5;6;2021-06-06;2021-07-01;;1;1\n") == [
        "row 2, column issuance_date, found '2021-06-06', expected the day of the first payment, "
        "2021-06-05, or earlier"
    ]
    same = "expected a name that no other row has, in any case"
    assert faults_of(DictionaryResource, "id;name\n7;Інше\n8;ІНШЕ\n9;ЗБІР\n") == [
        f"column name, found '{name}', {same}" for name in ("збір", "Інше", "ІНШЕ", "ЗБІР")
    ]
    assert (
        preview_file(DictionaryResource(), BytesIO("id;name\n3;збір\n4;Видача\n".encode()), "").faults.count
        == 0
    )


# An import stores what its preview showed


def test_import_shows_a_new_preview_if_the_book_has_changed(editor, administrator):
    credit = builders.credit("2021-06-01")
    lines = f"{HEADER}99;{credit.pk};2021-06-05;1;5\n"
    first = preview(editor, "credits/payment", lines)
    assert counts(first) == "1 new, 0 changed, 0 unchanged"
    done = send(
        administrator,
        "credits/payment",
        preview(administrator, "credits/payment", lines.replace("5\n", "6\n")),
    )
    assert "Imported file.csv. New rows: 1," in words(done)

    second = send(editor, "credits/payment", first)
    assert CHANGED in words(second)
    assert "6.00 → 5.00" in words(second)
    assert (counts(second), Payment.objects.get().sum) == ("0 new, 1 changed, 0 unchanged", 6)

    Payment.objects.update(sum=7)  # the same counts, other values
    third = send(editor, "credits/payment", second)
    assert CHANGED in words(third)
    assert "7.00 → 5.00" in words(third)
    assert "sum: 6.00 → 7.00" in words(third)  # who changed what
    done = send(editor, "credits/payment", third)
    assert "Imported file.csv. New rows: 0, changed: 1, unchanged: 0." in words(done)
    assert (Payment.objects.get().sum, Upload.objects.count()) == (5, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda: Payment.objects.filter(pk=1).delete(),  # it would be new again
        lambda: Payment.objects.filter(pk=1).update(sum=2),  # it would be unchanged
        lambda: Payment.objects.filter(pk=2).update(sum=3),  # it would be changed
    ],
    ids=["deleted", "as in the file", "no longer as in the file"],
)
def test_import_that_would_differ_from_its_preview_stores_nothing(editor, change):
    credit = builders.credit("2021-06-01")
    paid(1, credit, 1)
    paid(2, credit, 1)
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2) + line(2, credit, 1))
    change()
    before = list(Payment.objects.values())
    assert CHANGED in words(send(editor, "credits/payment", response))
    assert list(Payment.objects.values()) == before


def test_upload_that_has_become_invalid_is_deleted(editor):
    credit = builders.credit("2021-06-01")
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2))
    Credit.objects.update(issuance_date="2021-06-06")
    done = send(editor, "credits/payment", response)
    assert "the credit's issuance date, 2021-06-06, or later" in words(done)
    assert (Payment.objects.count(), Upload.objects.count()) == (0, 0)
    assert Load.objects.get().outcome == "refused"


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_row_added_during_the_import_is_not_overwritten(client_as, elsewhere):
    editor, credit = client_as(EDITOR), builders.credit("2021-06-01")
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2))
    with before_query(
        "INSERT INTO `credits_payment`", lambda: elsewhere(lambda: paid(1, credit, 5)).result(20)
    ):
        second = send(editor, "credits/payment", response)
    assert CHANGED in words(second)
    assert "5.00 → 2.00" in words(second)
    assert [load.outcome for load in Load.objects.all()] == []
    assert Payment.objects.get().sum == 5


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_row_changed_between_reading_and_locking_is_not_overwritten(client_as, elsewhere):
    editor, credit = client_as(EDITOR), builders.credit("2021-06-01")
    paid(1, credit, 1)
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2))

    def change() -> None:
        elsewhere(lambda: Payment.objects.update(sum=5)).result(20)

    with before_query("SELECT.*`credits_payment`.*FOR UPDATE", change) as met:
        second = send(editor, "credits/payment", response)
    assert met
    assert CHANGED in words(second)
    assert "5.00 → 2.00" in words(second)
    assert Payment.objects.get().sum == 5


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_import_locks_only_rows_that_it_changes(client_as, elsewhere):
    editor, credit = client_as(EDITOR), builders.credit("2021-06-01")
    for pk in (1, 2):
        paid(pk, credit, 1)
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2) + line(2, credit, 1))

    def change() -> None:
        Payment.objects.filter(pk=2).update(sum=9)
        with pytest.raises(OperationalError, match="Lock wait timeout"):
            Payment.objects.filter(pk=1).update(sum=9)

    with before_query("INSERT INTO `credits_payment`", lambda: elsewhere(change).result(20)) as met:
        done = send(editor, "credits/payment", response)
    assert met
    assert "Imported file.csv. New rows: 0, changed: 1, unchanged: 1." in words(done)
    assert dict(Payment.objects.values_list("pk", "sum")) == {1: 2, 2: 9}


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_credit_of_an_unchanged_payment_can_be_changed_meanwhile(client_as, elsewhere):
    editor = client_as(EDITOR)
    stays, changes = builders.credit("2021-06-01"), builders.credit("2021-06-01")
    paid(1, stays, 1)
    paid(2, changes, 1)
    response = preview(editor, "credits/payment", HEADER + line(1, stays, 1) + line(2, changes, 5))

    def change() -> None:
        Credit.objects.filter(pk=stays.pk).update(percent=9)
        with pytest.raises(OperationalError, match="Lock wait timeout"):
            Credit.objects.filter(pk=changes.pk).update(percent=9)

    with before_query("INSERT INTO `credits_payment`", lambda: elsewhere(change).result(20)) as met:
        send(editor, "credits/payment", response)
    assert met
    assert dict(Credit.objects.values_list("pk", "percent")) == {stays.pk: 9, changes.pk: 0}


def test_import_confirmed_twice_stores_once(editor):
    credit = builders.credit("2021-06-01")
    response = preview(editor, "credits/payment", HEADER + line("", credit, 2))
    assert "Imported file.csv. New rows: 1," in words(send(editor, "credits/payment", response))
    again = words(send(editor, "credits/payment", response))
    assert "Nothing was stored: this upload was already imported or cancelled, or it has expired." in again
    assert Payment.objects.count() == 1


def test_import_confirmed_twice_at_once_stores_once(client_as, committed):
    editor, credit = client_as(EDITOR), builders.credit("2021-06-01")
    response = preview(editor, "credits/payment", HEADER + line("", credit, 2))
    both = threading.Barrier(2)

    def press(_number: int) -> str:
        try:
            both.wait(20)
            return words(send(editor, "credits/payment", response))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(press, range(2)))
    assert sorted("Imported file.csv. New rows: 1," in text for text in said) == [False, True]
    assert (Payment.objects.count(), Load.objects.count()) == (1, 1)


# Uploads


def test_upload_with_faults_is_not_kept(editor):
    credit = builders.credit("2021-06-01")
    preview(editor, "credits/payment", HEADER + line(1, credit, 0))
    assert Upload.objects.count() == 0


def test_cancelled_upload_is_deleted_and_nothing_stored(editor):
    credit = builders.credit("2021-06-01")
    response = preview(editor, "credits/payment", HEADER + line(1, credit, 2))
    assert re.search('<input type="submit" name="cancel" value="Cancel">', response.content.decode())
    assert Upload.objects.count() == 1
    done = send(editor, "credits/payment", response, cancel="Cancel")
    assert done.redirect_chain == [("/admin/credits/payment/import/", 302)]
    assert (Payment.objects.count(), Upload.objects.count()) == (0, 0)


def test_upload_cannot_be_confirmed_or_cancelled_for_another_table(editor):
    response = preview(editor, "credits/payment", HEADER + line(1, builders.credit("2021-06-01"), 2))
    for button in ("confirm", "cancel"):
        send(editor, "credits/credit", response, **{button: "x"})
    assert (Payment.objects.count(), Upload.objects.count()) == (0, 1)


# Rows without an id


def test_database_assigns_ids_to_rows_without_one(editor):
    credit = builders.credit("2021-06-01")
    known = builders.payment(credit, "2021-06-05", 1)
    free = known.pk + 1  # the id that the database would assign next
    lines = [line("", credit, 2), line(free, credit, 3), line(known.pk, credit, 4), line("", credit, 2)]
    response = preview(editor, "credits/payment", HEADER + "".join(lines))
    assert counts(response) == "3 new, 1 changed, 0 unchanged"
    assert "2 rows have no id: the database will give them one." in words(response)
    assert "Imported file.csv. New rows: 3, changed: 1," in words(send(editor, "credits/payment", response))
    sums = dict(Payment.objects.order_by("pk").values_list("pk", "sum"))
    assert list(sums.values()) == [4, 3, 2, 2]
    assert list(sums)[:2] == [known.pk, free]
    for pk in list(sums)[1:]:
        assert [load.file for load in Load.objects.bringing("credits.payment", pk)] == ["file.csv"]


def test_rows_without_an_id_never_take_ids_of_later_rows(editor, monkeypatch):
    monkeypatch.setattr("credits.book.loading.BATCH_SIZE", 2)
    credit = builders.credit("2021-06-01")
    first = builders.payment(credit, "2021-06-05", 1).pk + 1
    lines = [line("", credit, 2)] * 5 + [line(first + number, credit, 3) for number in range(3)]
    response = preview(editor, "credits/payment", HEADER + "".join(lines))
    assert "Imported file.csv. New rows: 8, changed: 0, unchanged: 0." in words(
        send(editor, "credits/payment", response)
    )
    assert list(Payment.objects.order_by("pk").values_list("sum", flat=True)) == [1, 3, 3, 3, 2, 2, 2, 2, 2]


def test_borrowers_and_credits_may_also_have_no_id(editor):
    lines = "id;login;registration_date\n;olena;2021-01-01\n900;petro;2021-01-01\n"
    response = preview(editor, "credits/borrower", lines)
    assert "1 row has no id: the database will give it one." in words(response)
    send(editor, "credits/borrower", response)
    olena = Borrower.objects.get(login="olena")
    assert (olena.pk not in (None, 900), Borrower.objects.get(login="petro").pk) == (True, 900)
    header = "id;user_id;issuance_date;return_date;actual_return_date;body;percent\n"
    lines = f"{header};{olena.pk};2021-06-06;2021-07-01;;100;1\n"
    assert "Imported" in words(send(editor, "credits/credit", preview(editor, "credits/credit", lines)))
    assert Credit.objects.get().borrower == olena


def test_login_of_another_borrower_is_a_fault_even_without_an_id(editor):
    anna = builders.borrower(login="anna")
    lines = "id;login;registration_date\n;anna;2021-01-01\n;vera;2021-01-01\n;vera;2021-01-01\n"
    response = preview(editor, "credits/borrower", lines)
    assert [str(fault) for fault in response.context["result"].listed_faults] == [
        f"row 2, column login, found 'anna', expected another login: borrower {anna.pk} has this one",
        "row 4, column login, found 'vera', expected a login that no other row has",
    ]


def test_file_that_was_imported_before_gets_a_remark(editor):
    lines = HEADER + line("", builders.credit("2021-06-01"), 2)
    assert "was imported" not in words(preview(editor, "credits/payment", lines))
    send(editor, "credits/payment", preview(editor, "credits/payment", lines, name="may.csv"))
    load = Load.objects.get()
    remark = f"A file with the same content was imported before: {load} by {load.account}."
    assert remark in words(preview(editor, "credits/payment", lines, name="june.csv"))


def test_file_without_ids_previewed_twice_needs_a_second_confirmation(editor, administrator):
    lines = HEADER + line("", builders.credit("2021-06-01"), 2)
    first = preview(editor, "credits/payment", lines)
    second = preview(administrator, "credits/payment", lines)
    send(editor, "credits/payment", first)
    response = send(administrator, "credits/payment", second)
    assert CHANGED in words(response)
    assert "A file with the same content was imported before" in words(response)
    assert Payment.objects.count() == 1
    assert "Imported file.csv. New rows: 1," in words(send(administrator, "credits/payment", response))
    assert Payment.objects.count() == 2


def test_file_whose_import_was_undone_gets_no_remark(editor, administrator):
    lines = HEADER + line("", builders.credit("2021-06-01"), 2)
    send(editor, "credits/payment", preview(editor, "credits/payment", lines))
    administrator.post(f"/admin/credits/load/{Load.objects.get().pk}/undo/")
    assert Payment.objects.count() == 0
    assert "was imported before" not in words(preview(editor, "credits/payment", lines))


# Doubts


def doubts(response: Any) -> list[tuple[int, str, str, str]]:
    result = response.context["result"]
    assert len(result.doubts) == result.doubt_count
    return [(number, column, found, str(reason)) for number, column, found, reason in result.doubts]


@time_machine.travel("2021-07-01")
def test_doubtful_values_are_shown_and_stored(editor):
    credit = builders.credit("2021-06-01", "2000000000")
    same = paid(7, credit, 3_000_000)
    lines = [
        line(1, credit, 999_999_999),
        f"2;{credit.pk};2202-06-05;1;5\n",
        line(3, credit, 5),
        line(same.pk, credit, 3_000_000),
    ]
    response = preview(editor, "credits/payment", HEADER + "".join(lines))
    assert doubts(response) == [
        (
            2,
            "sum",
            "999999999",
            f"{grouped(Decimal(999_999_999))} is unusually high: {grouped(Decimal(1_000_000))} or more.",
        ),
        (3, "payment_date", "2202-06-05", "2202-06-05 is still to come."),
    ]
    assert "Doubtful: 2" in words(response)
    assert "3 payment_date 2202-06-05 2202-06-05 is still to come." in words(response)
    assert "Imported file.csv. New rows: 3," in words(send(editor, "credits/payment", response))


@time_machine.travel("2021-07-01")
def test_overpayments_are_doubtful(editor, monkeypatch):
    monkeypatch.setattr("credits.book.loading.BATCH_SIZE", 2)
    credit, other = builders.credit("2021-06-01", 100, percent=10), builders.credit("2021-06-01", 100)
    paid(1, credit, 50)
    paid(2, credit, 20)
    lines = [
        line("", credit, "30"),  # 100: all of it
        line("", credit, "0.01"),
        line(2, credit, "19"),  # 99.01
        line("", other, "100"),
        line("", credit, "1"),
        line("", other, "0.5").replace(";1;", ";2;"),
    ]
    response = preview(editor, "credits/payment", HEADER + "".join(lines))
    assert doubts(response) == [
        (3, "sum", "0.01", "With it 0.01 more is paid for body than is owed."),
        (6, "sum", "1", "With it 0.01 more is paid for body than is owed."),
        (7, "sum", "0.5", "With it 0.50 more is paid for interest than is owed."),
    ]


@time_machine.travel("2021-07-01")
def test_closing_a_credit_with_a_debt_is_doubtful(editor):
    header = "id;user_id;issuance_date;return_date;actual_return_date;body;percent\n"
    lines = ""
    for sum_paid in ("99.99", "100"):
        credit = builders.credit("2021-06-01", 100)
        builders.payment(credit, "2021-06-05", sum_paid)
        lines += f"{credit.pk};{credit.borrower_id};2021-06-01;2021-06-15;2021-06-20;100;0\n"
    lines += f";{credit.borrower_id};2021-06-01;2021-06-15;2021-06-20;100;0\n"  # its payments follow later
    response = preview(editor, "credits/credit", header + lines)
    assert doubts(response) == [(2, "actual_return_date", "2021-06-20", "0.01 of the body isn't paid.")]


def test_first_doubts_are_shown_and_all_are_counted(editor):
    credit = builders.credit("2021-06-01", 1)
    response = preview(editor, "credits/payment", HEADER + line("", credit, 2) * 101)
    result = response.context["result"]
    assert (len(result.doubts), result.doubt_count) == (100, 101)
    assert "Doubtful: 101" in words(response)
    assert "The first 100:" in words(response)


# One load at a time


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
def test_payment_can_be_saved_during_a_load(elsewhere, tmp_path):
    payment = builders.payment(builders.credit("2021-06-01", pk=900), "2021-06-05", 1)

    def save() -> None:
        builders.payment(payment.credit, "2021-06-06", 8)

    with before_query("INSERT INTO `credits_payment`", lambda: elsewhere(save).result(20)) as met:
        call_command("load_data", builders.files(tmp_path), stdout=StringIO())
    assert met
    assert Payment.objects.filter(credit=900).count() == 2


@pytest.mark.skipif(not MYSQL, reason="on SQLite one writes at a time")
@pytest.mark.parametrize("name", ["load_data", "plans.plan"])
def test_second_load_waits_for_the_first(elsewhere, tmp_path, name):
    def second() -> None:
        with pytest.raises(OperationalError, match="Lock wait timeout"), writing():
            one_at_a_time(name)

    with before_query("INSERT INTO `plans_plan`", lambda: elsewhere(second).result(20)) as met:
        if name == "load_data":
            call_command("load_data", builders.files(tmp_path), stdout=StringIO())
        else:
            insert_plans(BytesIO(b"month,category_name,sum\n2021-06-01,issuance,5\n"))
    assert met
    with writing():
        one_at_a_time(name)
