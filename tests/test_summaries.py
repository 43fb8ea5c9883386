"""Stored totals equal the totals of the rows, however the rows were written."""

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credits.apps import compute_new_summaries
from credits.book.files import Faults, Faulty
from credits.book.loading import load_file
from credits.book.summaries import NEW, Summary, differences
from credits.book.trail import Load
from credits.book.undoing import undo
from credits.book.writing import writing
from credits.models import Borrower, Credit, Dictionary, Flaw, Lock, Movement, Payment
from credits.resources import CreditResource, PaymentResource
from credits.totals import DailyTotal, Total
from reports.models import DataStamp

from . import builders

PROJECT = Path(__file__).parent.parent
JUNE_1, JUNE_2, JUNE_3 = date(2021, 6, 1), date(2021, 6, 2), date(2021, 6, 3)


def wrong_totals() -> list[str]:
    return [line for summary in Summary.__subclasses__() for line in differences(summary)]


def daily_totals() -> dict[tuple[int, date], tuple[int, Decimal]]:
    return {(row.kind, row.day): (row.count, row.sum) for row in DailyTotal.objects.all()}


@pytest.fixture
def book(db) -> Payment:
    """Issues 1,000 on 1 June; pays 100 for the body and 5.50 for interest on 2 June."""
    credit = builders.credit("2021-06-01", 1000)
    builders.payment(credit, "2021-06-02", "5.50", Dictionary.INTEREST)
    return builders.payment(credit, "2021-06-02", 100)


# Totals


def test_each_day_has_a_total_for_each_kind_of_money(book):
    builders.payment(book.credit, "2021-06-02", "0.01")
    assert daily_totals() == {
        (DailyTotal.ISSUED, JUNE_1): (1, Decimal("1000.00")),
        (DailyTotal.BODY_PAID, JUNE_2): (2, Decimal("100.01")),
        (DailyTotal.INTEREST_PAID, JUNE_2): (1, Decimal("5.50")),
    }


def test_changing_the_day_of_a_row_updates_both_days(book):
    book.payment_date = JUNE_3
    book.save()
    assert daily_totals() == {
        (DailyTotal.ISSUED, JUNE_1): (1, Decimal("1000.00")),
        (DailyTotal.BODY_PAID, JUNE_3): (1, Decimal("100.00")),
        (DailyTotal.INTEREST_PAID, JUNE_2): (1, Decimal("5.50")),
    }


def test_totals_with_more_than_fifteen_digits_are_exact(db):
    most = Decimal("999999999999.99")
    for _ in range(11):
        builders.credit("2021-06-01", most)
    assert daily_totals() == {(DailyTotal.ISSUED, JUNE_1): (11, Decimal("10999999999999.89"))}
    assert DailyTotal.objects.issued().total() == Total(11, Decimal("10999999999999.89"))


def test_totals_read_inside_writing_include_its_rows(book):
    with writing():
        builders.payment(book.credit, "2021-06-02", 7)
        assert DailyTotal.objects.collected().total() == Total(3, Decimal("112.50"))
        builders.payment(book.credit, "2021-06-03", 1)
    assert DailyTotal.objects.collected().total() == Total(4, Decimal("113.50"))


def test_the_next_write_to_a_day_corrects_its_wrong_total(book):
    DailyTotal.objects.filter(day=JUNE_2).update(sum=0, count=99)
    builders.payment(book.credit, "2021-06-02", 1)
    assert wrong_totals() == []


@pytest.mark.around
def test_a_failed_writing_leaves_no_touched_days_to_the_next_one(book):
    with suppress(ZeroDivisionError), writing():
        builders.payment(book.credit, "2021-06-03", 1)
        raise ZeroDivisionError
    # This total is wrong. It stays wrong, because no later write touches its day.
    DailyTotal.objects.create(kind=DailyTotal.BODY_PAID, day=JUNE_3, count=1, sum=1)
    builders.payment(book.credit, "2021-06-02", 1)
    assert daily_totals()[DailyTotal.BODY_PAID, JUNE_3] == (1, Decimal("1.00"))


def test_changing_a_field_that_no_total_depends_on_computes_no_totals(book, django_assert_num_queries):
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        book.credit.percent += 1
        book.credit.save()
    assert [query["sql"] for query in captured if "book_daily_total" in query["sql"]] == []


# All ways to write rows

DAYS = st.dates(date(2021, 5, 30), date(2021, 6, 3))
AMOUNTS = st.integers(1, 300).map(lambda kopecks: Decimal(kopecks).scaleb(-2))
KINDS = st.sampled_from([Dictionary.BODY, Dictionary.INTEREST])


def any_row(model, pick: int):
    rows = list(model.objects.order_by("pk"))
    return rows[pick % len(rows)] if rows else None


def pay(pick, day, amount, kind):
    builders.payment(any_row(Credit, pick), f"{day}", amount, kind)


def issue(pick, day, amount, kind):
    borrower = Borrower.objects.first()
    builders.credit(f"{day}", amount, borrower=borrower)


def save(pick, day, amount, kind):
    if payment := any_row(Payment, pick):
        payment.payment_date, payment.sum, payment.type_id = day, amount, kind
        payment.save()


def save_credit(pick, day, amount, kind):
    credit = any_row(Credit, pick)
    credit.issuance_date, credit.return_date, credit.body = day, day + timedelta(days=9), amount
    if credit.actual_return_date:
        credit.actual_return_date = max(credit.actual_return_date, day)  # not before its issuance
    credit.save()


def close(pick, day, amount, kind):
    """Sets or clears a return, on a day that is sometimes more than 30 days after the credit was due."""
    credit = any_row(Credit, pick)
    later = max(day, credit.issuance_date) + timedelta(days=pick)
    credit.actual_return_date = None if credit.is_closed else later
    credit.save()


def lend_again(pick, day, amount, kind):
    """Issues another credit to a borrower, sometimes long after the first one."""
    builders.credit(f"{day + timedelta(days=pick)}", amount, borrower=any_row(Credit, pick).borrower)


def change_borrower(pick, day, amount, kind):
    credit = any_row(Credit, pick)
    credit.borrower = any_row(Credit, pick + 1).borrower
    credit.save()


def delete(pick, day, amount, kind):
    if payment := any_row(Payment, pick):
        payment.delete()


def delete_rows(pick, day, amount, kind):
    Payment.objects.filter(payment_date=day).delete()


def update_rows(pick, day, amount, kind):
    Payment.objects.filter(type=kind).update(sum=F("sum") + amount)


def move_rows(pick, day, amount, kind):
    Payment.objects.filter(payment_date__gt=day).update(payment_date=day, type=kind)


def bulk_create(pick, day, amount, kind):
    credit = any_row(Credit, pick)
    Payment.objects.bulk_create(
        Payment(credit=credit, payment_date=day + timedelta(days=n), type_id=kind, sum=amount)
        for n in range(3)
    )


def bulk_update(pick, day, amount, kind):
    payments = list(Payment.objects.all())
    for payment in payments:
        payment.payment_date, payment.sum = day, payment.sum + amount
    Payment.objects.bulk_update(payments, ["payment_date", "sum"])


def import_payments(pick, day, amount, kind):
    """Imports a changed row, and a new row without an id."""
    lines = ["id,credit_id,payment_date,type_id,sum"]
    credit = any_row(Credit, pick)
    if payment := any_row(Payment, pick):
        lines.append(f"{payment.pk},{payment.credit_id},{day},{kind},{amount}")
    lines.append(f",{credit.pk},{day},{kind},{amount}")
    with suppress(Faulty):  # the day may be before the credit's issuance
        load_file(PaymentResource(), io.BytesIO("\n".join(lines).encode()), "payments.csv", Faults())


def import_credits(pick, day, amount, kind):
    credit = any_row(Credit, pick)
    if not credit.payments.exists():
        text = "id,user_id,issuance_date,return_date,actual_return_date,body,percent\n"
        text += f"{credit.pk},{credit.borrower_id},{day},{day + timedelta(days=3)},,{amount},0\n"
        load_file(CreditResource(), io.BytesIO(text.encode()), "credits.csv", Faults())


def undo_last_import(pick, day, amount, kind):
    if load := Load.objects.filter(outcome=Load.STORED, undone_by=None).first():
        resource = PaymentResource if load.table == "credits.payment" else CreditResource
        with suppress(Exception), transaction.atomic():  # it is refused if rows have changed since
            undo(load, resource)


STEPS = [
    pay,
    issue,
    save,
    save_credit,
    close,
    close,
    lend_again,
    change_borrower,
    delete,
    delete_rows,
    update_rows,
    move_rows,
    bulk_create,
    bulk_update,
    import_payments,
    import_credits,
    undo_last_import,
]
ENDS = ["commit", "commit", "roll back", "several in one writing"]


@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 50), DAYS, AMOUNTS, KINDS, st.sampled_from(ENDS)),
        min_size=1,
        max_size=12,
    )
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.django_db
def test_totals_equal_their_rows_after_any_sequence_of_writes(steps):
    with transaction.atomic():
        builders.credit("2021-06-01", 1000)
        for step, pick, day, amount, kind, end in steps:
            if end == "several in one writing":
                with writing():
                    step(pick, day, amount, kind)
                    bulk_create(pick, day, amount, kind)
                    save_credit(pick, day, amount, kind)
            elif end == "roll back":
                with suppress(ZeroDivisionError), writing():
                    step(pick, day, amount, kind)
                    raise ZeroDivisionError
            else:
                step(pick, day, amount, kind)
            assert wrong_totals() == []
        transaction.set_rollback(True)


@pytest.mark.parametrize("saved", [True, False], ids=["a saved row", "an update of no row"])
def test_totals_follow_sql_in_a_writing_that_also_saves(book, saved):
    with writing():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE credits_payment SET sum = 7")
        if saved:
            builders.payment(book.credit, "2021-06-03", 5)
        else:
            Payment.objects.filter(pk=-1).update(sum=3)
    assert wrong_totals() == []


def test_totals_read_in_a_savepoint_that_is_undone_are_computed_again(book):
    with writing():
        builders.payment(book.credit, "2021-06-03", 5)
        with suppress(ZeroDivisionError), transaction.atomic():
            assert DailyTotal.objects.last_day(JUNE_3) == JUNE_3
            raise ZeroDivisionError
    assert wrong_totals() == []


def test_load_data_and_its_replace_option_update_the_totals(db, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    call_command("load_data", builders.files(tmp_path / "one"), stdout=io.StringIO())
    first = {
        (DailyTotal.ISSUED, date(2021, 1, 10)): (1, Decimal("1000.00")),
        (DailyTotal.ISSUED, date(2021, 1, 20)): (1, Decimal("2500.00")),
        (DailyTotal.BODY_PAID, date(2021, 1, 20)): (1, Decimal("1000.00")),
        (DailyTotal.INTEREST_PAID, date(2021, 1, 20)): (1, Decimal("420.00")),
        (DailyTotal.BODY_PAID, date(2021, 2, 1)): (1, Decimal("0.01")),
    }
    assert daily_totals() == first
    payments = [*builders.FILES["payments"][:2]]
    folder = builders.files(tmp_path / "two", payments=payments)
    call_command("load_data", folder, replace=True, stdout=io.StringIO())
    kept = [(DailyTotal.ISSUED, date(2021, 1, 10)), (DailyTotal.ISSUED, date(2021, 1, 20))]
    assert daily_totals() == {key: first[key] for key in [*kept, (DailyTotal.BODY_PAID, date(2021, 1, 20))]}


# The command, and the migration


def checked(**options) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with suppress(CommandError):
        call_command("check_summaries", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.mark.around
def test_check_summaries_names_each_total_that_differs(book):
    DailyTotal.objects.filter(kind=DailyTotal.ISSUED).update(sum=Decimal("900.00"))
    DailyTotal.objects.filter(kind=DailyTotal.BODY_PAID).delete()
    DailyTotal.objects.create(kind=DailyTotal.BODY_PAID, day=JUNE_3, count=1, sum=1)
    assert checked() == (
        "",
        "book_daily_total: found nothing; expected kind 1, day 2021-06-02, count 1, sum 100.00\n"
        "book_daily_total: found kind 1, day 2021-06-03, count 1, sum 1.00; expected nothing\n"
        "book_daily_total: found kind 3, day 2021-06-01, count 1, sum 900.00; "
        "expected kind 3, day 2021-06-01, count 1, sum 1000.00\n",
    )
    with pytest.raises(CommandError, match="3 totals differ from their rows"):
        call_command("check_summaries", stderr=io.StringIO())


def test_check_summaries_repairs_and_renews_the_stamp(book):
    from reports.models import DataStamp

    DailyTotal.objects.all().delete()
    before = DataStamp.current()
    assert checked(repair=True) == ("All totals agree with their rows.\n", "")
    assert len(daily_totals()) == 3
    assert DataStamp.current() != before
    assert checked() == ("All totals agree with their rows.\n", "")


def test_renew_stamp_computes_the_totals_too(book):
    DailyTotal.objects.all().delete()
    call_command("renew_stamp")
    assert wrong_totals() == []


def test_the_migration_fills_the_totals(book):
    expected = daily_totals()
    DailyTotal.objects.all().update(sum=0)
    migration = import_module("credits.migrations.0011_daily_totals")
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert daily_totals() == expected


@pytest.mark.around
def test_new_tables_are_filled_after_the_migrations_and_renew_the_stamp(book):
    """Even if another process has written, and so has stored some of the new totals, in between."""
    Movement.objects.all().delete()
    Flaw.objects.all().delete()
    builders.credit("2021-07-01", 1000)
    assert {line.split(":")[0] for line in wrong_totals()} == {"book_flaw", "book_movement"}
    before = DataStamp.current()
    compute_new_summaries()
    assert DataStamp.current() == before
    Lock.objects.create(name=NEW)
    compute_new_summaries()
    assert wrong_totals() == []
    assert DataStamp.current() != before
    assert not Lock.objects.filter(name=NEW).exists()


@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite rolls back an interrupted migration")
def test_interrupted_migrations_can_run_again(committed):
    loader = MigrationLoader(connection)
    state = loader.project_state(("credits", "0010_rows_at_fault"))
    with connection.schema_editor() as editor:
        for name in ("0011_daily_totals", "0012_lists"):
            for operation in loader.get_migration("credits", name).operations:
                before, state = state, state.clone()
                operation.state_forwards("credits", state)
                operation.database_forwards("credits", editor, before, state)
    builders.payment(builders.credit("2021-06-01", 1000), "2021-06-02", 100)
    assert wrong_totals() == []


# Simultaneous writers, and killed writers


@pytest.mark.slow
@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one writer at a time")
def test_simultaneous_writers_of_the_same_rows_leave_correct_totals(committed):
    """For 6 seconds, four writers move the same 12 payments between 3 days, and change their sums."""
    credit = builders.credit("2021-05-01", 1000)
    pks = [builders.payment(credit, "2021-06-01", 10).pk for _ in range(12)]
    end = time.monotonic() + 6
    done, failures = [0] * 4, []

    def write(number: int) -> None:
        luck = random.Random(number)
        try:
            while time.monotonic() < end:
                day = JUNE_1 + timedelta(days=luck.randrange(3))
                amount = Decimal(luck.randrange(1, 10_000)).scaleb(-2)
                with suppress(OperationalError):  # a deadlock, which rolls back
                    if luck.random() < 0.4:
                        chosen = luck.sample(pks, 3)
                        Payment.objects.filter(pk__in=chosen).update(payment_date=day, sum=amount)
                    elif luck.random() < 0.5:
                        payment = Payment.objects.get(pk=luck.choice(pks))
                        payment.payment_date, payment.sum = day, amount
                        payment.type_id = luck.choice([Dictionary.BODY, Dictionary.INTEREST])
                        payment.save()
                    else:
                        with writing():
                            extra = builders.payment(credit, f"{day}", amount)
                            Payment.objects.filter(pk=luck.choice(pks)).update(sum=amount)
                        extra.delete()
                    done[number] += 1
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(done) > 100
    assert wrong_totals() == []


KILLED = """
import os, signal, sys
import django
django.setup()
from django.core.management import call_command
from django.db import connection
seen = []
def watch(execute, sql, *args):
    result = execute(sql, *args)
    if sys.argv[2] in sql:
        seen.append(sql)
        if len(seen) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    return result
with connection.execute_wrapper(watch):
    call_command("load_data", sys.argv[1], *sys.argv[4:])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "number", "options"),
    [
        ("INSERT INTO", 3, []),
        ("book_daily_total", 2, []),  # totals are deleted, but not inserted again yet
        ("reports_datastamp", 1, []),
        ("book_daily_total", 4, ["--replace"]),
    ],
)
def test_a_killed_load_changes_neither_rows_nor_totals(committed, tmp_path, statement, number, options):
    call_command("load_data", builders.files(tmp_path), stdout=io.StringIO())
    before = daily_totals()
    payments = [*builders.FILES["payments"], "4\t2\t02.02.2021\t1\t5", "5\t2\t03.02.2021\t2\t6"]
    folder = str(builders.files(tmp_path, payments=payments))
    command = [sys.executable, "-c", KILLED, folder, statement, str(number), *options]
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "fintrack.settings"}
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()[-1000:]
    connection.close()
    assert Payment.objects.count() == 3
    assert daily_totals() == before
    assert wrong_totals() == []


def database_url() -> str:
    """Returns the address of the test database, for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    server = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    return f"mysql://{server}/{database['NAME']}"
