"""writing(): every write of the book renews the data stamp in its own transaction, or is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from credits.book.trail import Change
from credits.book.writing import book_written, door, writing
from credits.models import Borrower, Credit, Dictionary, Payment
from plans.models import Plan
from reports.models import DataStamp

from . import builders, conftest

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    """Creates a borrower with a credit and a payment."""
    credit = builders.credit("2021-06-01", "1000")
    return builders.payment(credit, "2021-06-02", "10")


def unsaved_payment(of: Credit) -> Payment:
    return Payment(credit=of, payment_date=date(2021, 6, 3), sum=Decimal(5), type_id=Dictionary.BODY)


def unsaved_credit(of: Borrower) -> Credit:
    days = {"issuance_date": date(2021, 6, 1), "return_date": date(2021, 6, 15)}
    return Credit(borrower=of, body=Decimal(7), percent=Decimal(0), **days)


def change_and_save(row: Payment | Credit, **options) -> None:
    """Changes the row and saves it."""
    name = "sum" if isinstance(row, Payment) else "body"
    setattr(row, name, getattr(row, name) + 1)
    row.save(**options)


def change_and_bulk_update(payment: Payment) -> None:
    payment.sum = Decimal(11)
    Payment.objects.bulk_update([payment], ["sum"])


def empty_and_bulk_create(payment: Payment) -> None:
    Payment.objects.bulk_create([unsaved_payment(payment.credit), unsaved_payment(payment.credit)])


def change_and_bulk_change(payment: Payment) -> None:
    payment.sum = Decimal(12)
    Payment.objects.bulk_change([payment], ["credit_id", "payment_date", "type_id", "sum"])


def within_writing(write):
    def run(payment: Payment) -> None:
        with writing():
            write(payment)

    return run


def execute(sql: str):
    def run(payment: Payment) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.format(pk=payment.pk))

    return run


def nested(payment: Payment) -> None:
    with writing():
        change_and_save(payment)
        with writing():
            change_and_save(payment.credit)
            Payment.objects.update(sum=3)
        payment.delete()


WRITES = {
    "save": change_and_save,
    "save of some fields": lambda payment: change_and_save(payment, update_fields=["sum"]),
    "save of an expression": lambda payment: Payment(
        **{f.attname: getattr(payment, f.attname) for f in Payment._meta.fields} | {"sum": F("sum") + 1}
    ).save(force_update=True),
    "create": lambda payment: builders.payment(payment.credit, "2021-06-03", "1"),
    "get_or_create": lambda payment: Borrower.objects.get_or_create(
        login="new", defaults={"registration_date": date(2020, 1, 1)}
    ),
    "update_or_create of a new row": lambda payment: Plan.objects.update_or_create(
        period=date(2021, 6, 1), category_id=Dictionary.ISSUANCE, defaults={"sum": Decimal(1)}
    ),
    "update_or_create of a known row": lambda payment: Borrower.objects.update_or_create(
        pk=payment.credit.borrower_id, defaults={"login": "renamed"}
    ),
    "delete of an instance": lambda payment: payment.delete(),
    "delete of a QuerySet": lambda payment: Payment.objects.filter(pk=payment.pk).delete(),
    "delete by a join": lambda payment: Payment.objects.filter(credit__body=1000).delete(),
    "update": lambda payment: Payment.objects.filter(pk=payment.pk).update(sum=Decimal(11)),
    "bulk_create": empty_and_bulk_create,
    "bulk_change": change_and_bulk_change,
    "bulk_update": change_and_bulk_update,
    "create by a borrower's credits": lambda payment: payment.credit.borrower.credits.create(
        **{
            name: getattr(payment.credit, name)
            for name in ("issuance_date", "return_date", "body", "percent")
        }
    ),
    "add to a borrower's credits": lambda payment: Borrower.objects.first().credits.add(payment.credit),
    "add of an unsaved row": lambda payment: payment.credit.borrower.credits.add(
        unsaved_credit(payment.credit.borrower), bulk=False
    ),
    "update of a borrower's credits": lambda payment: payment.credit.borrower.credits.update(body=2),
    "delete of a credit's payments": lambda payment: payment.credit.payments.all().delete(),
    "nested writings": nested,
    "_raw_delete": within_writing(lambda payment: Payment.objects.all()._raw_delete("default")),
    "SQL": within_writing(lambda payment: execute("UPDATE credits_payment SET sum = 1")(payment)),
    "SQL that begins otherwise": within_writing(
        lambda payment: execute(" /* all */ DELETE FROM credits_payment")(payment)
    ),
}


@contextmanager
def renewed_once():
    """Checks that the block renews the stamp once, as the last query before its transaction ends."""
    before = DataStamp.current()
    with CaptureQueriesContext(connection) as captured:
        yield
    sql = [query["sql"] for query in captured.captured_queries]
    renewals = [number for number, text in enumerate(sql) if "reports_datastamp" in text]
    assert len(renewals) == 1
    rest = sql[renewals[0] + 1 :]
    assert rest == [text for text in rest if text.startswith(("RELEASE SAVEPOINT", "COMMIT"))] != []
    assert DataStamp.current() != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_renews_the_stamp_once_at_the_end_of_its_transaction(book, write):
    with renewed_once():
        write(book)


def test_inserting_plans_renews_the_stamp_once(editor):
    file = SimpleUploadedFile(
        "plans.csv", b"month,category_name,sum\n2021-06-01,issuance,5\n2021-07-01,issuance,6\n"
    )
    with renewed_once():
        response = editor.post("/plans_insert", {"file": file}, format="multipart")
    assert (response.status_code, Plan.objects.count()) == (200, 2)


def test_refused_plans_do_not_renew_the_stamp(editor):
    before = DataStamp.current()
    file = SimpleUploadedFile(
        "plans.csv", b"month,category_name,sum\n2021-06-01,issuance,5\n2021-07-02,issuance,6\n"
    )
    response = editor.post("/plans_insert", {"file": file}, format="multipart")
    assert (response.status_code, Plan.objects.count()) == (400, 0)
    assert DataStamp.current() == before


@pytest.mark.parametrize("options", [[], ["--replace"]], ids=["load_data", "load_data --replace"])
def test_a_load_renews_the_stamp_once(tmp_path, options):
    folder = builders.files(tmp_path)
    if options:
        call_command("load_data", folder, stdout=StringIO())
    with renewed_once():
        call_command("load_data", folder, *options, stdout=StringIO())
    assert Payment.objects.count() == 3


def test_a_load_with_faults_does_not_renew_the_stamp(book, tmp_path):
    before = DataStamp.current()
    folder = builders.files(tmp_path, plans=["id\tperiod\tsum\tcategory_id", "1\t02.01.2021\t4000\t3"])
    with pytest.raises(CommandError):
        call_command("load_data", folder, "--replace", stdout=StringIO(), stderr=StringIO())
    assert (DataStamp.current(), Payment.objects.get()) == (before, book)


def test_reading_does_not_renew_the_stamp(book):
    before = DataStamp.current()
    Borrower.objects.get_or_create(pk=book.credit.borrower_id)
    list(Payment.objects.select_for_update())
    assert DataStamp.current() == before


def with_nothing_new(payment: Payment) -> None:
    payment.save()
    payment.save(update_fields=["sum"])
    Payment.objects.get(pk=payment.pk).save()


NOTHING_WRITTEN = {
    "save of what is stored already": with_nothing_new,
    "the same amount written otherwise": lambda payment: setattr(payment, "sum", "10.0") or payment.save(),
    "a writing that only looks": within_writing(lambda payment: list(Payment.objects.select_for_update())),
    "a writing beside the book": within_writing(
        lambda payment: builders.account("") and execute("DELETE FROM django_session")(payment)
    ),
    "update_or_create of what is so": lambda payment: Borrower.objects.update_or_create(
        pk=payment.credit.borrower_id, defaults={"login": payment.credit.borrower.login}
    ),
}


@pytest.mark.parametrize("write", NOTHING_WRITTEN.values(), ids=NOTHING_WRITTEN)
def test_writes_without_changes_renew_no_stamp_and_leave_no_record(book, write):
    before, records = DataStamp.current(), Change.objects.count()
    write(book)
    assert (DataStamp.current(), Change.objects.count()) == (before, records)


def test_create_always_inserts_even_an_equal_row(book):
    with pytest.raises(IntegrityError), transaction.atomic():
        Payment.objects.create(**{f.attname: getattr(book, f.attname) for f in Payment._meta.fields})


def test_an_unchanged_save_after_a_write_does_not_renew_the_stamp(book):
    change_and_save(book)
    before = DataStamp.current()
    book.save()
    assert DataStamp.current() == before


def test_every_renewal_gives_a_new_value(book):
    values = set()
    for _number in range(20):
        change_and_save(book)
        values.add(DataStamp.current())
    assert len(values) == 20


def delete_and_fail() -> None:
    with writing():
        Payment.objects.all().delete()
        assert door.is_open
        raise ZeroDivisionError


def test_an_exception_undoes_the_write_and_leaves_the_stamp(book):
    before = DataStamp.current()
    with pytest.raises(ZeroDivisionError):
        delete_and_fail()
    assert (DataStamp.current(), Payment.objects.get()) == (before, book)


def test_a_write_that_the_database_refuses_leaves_the_stamp(book):
    before = DataStamp.current()
    with pytest.raises(IntegrityError):
        Payment.objects.update(sum=Decimal(-1))
    assert (DataStamp.current(), Payment.objects.get().sum) == (before, Decimal(10))


def test_an_outer_transaction_that_rolls_back_leaves_the_stamp(book):
    before = DataStamp.current()
    with transaction.atomic():
        Payment.objects.all().delete()
        inside = DataStamp.current()
        transaction.set_rollback(True)
    assert inside != before
    assert (DataStamp.current(), Payment.objects.get()) == (before, book)


def test_a_receiver_that_raises_undoes_the_write(book):
    def refuse(**kwargs):
        raise ZeroDivisionError

    before = DataStamp.current()
    book_written.connect(refuse)
    try:
        with pytest.raises(ZeroDivisionError):
            book.delete()
    finally:
        book_written.disconnect(refuse)
    assert (DataStamp.current(), Payment.objects.get().sum) == (before, Decimal(10))


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_is_written_unless_the_stamp_is_exactly_one_row(book, rows):
    DataStamp.objects.all().delete()
    DataStamp.objects.bulk_create([DataStamp(value=f"{number}") for number in range(rows)])
    with pytest.raises(RuntimeError, match=r"^The data stamp must be one row\. It was made by migrate\.$"):
        Payment.objects.update(sum=Decimal(99))
    assert Payment.objects.get().sum == Decimal(10)


def test_renew_stamp_renews_the_stamp():
    before = DataStamp.current()
    call_command("renew_stamp")
    assert DataStamp.current() != before


def test_renew_stamp_without_the_row_is_an_error():
    DataStamp.objects.all().delete()
    with pytest.raises(RuntimeError, match="must be one row"):
        call_command("renew_stamp")


def test_writing_ends_after_an_exception(book):
    with pytest.raises(ZeroDivisionError):
        delete_and_fail()
    assert not door.is_open
    with renewed_once():
        change_and_save(book)


def test_a_failed_write_inside_a_writing_does_not_end_it(book):
    with renewed_once(), writing():
        with pytest.raises(IntegrityError), transaction.atomic():
            Payment.objects.update(sum=Decimal(-1))
        assert door.is_open
        Payment.objects.update(sum=Decimal(2))


def test_each_thread_has_its_own_writing():
    seen = []
    with writing():
        thread = threading.Thread(target=lambda: seen.append(door.is_open))
        thread.start()
        thread.join()
    assert seen == [False]


# The guard of conftest.py, which fails tests that write outside writing().

watched = contextmanager(conftest.pytest_runtest_call)


@pytest.fixture
def unmarked(request):
    """A test without the mark, which the guard watches."""
    return pytest.Function.from_parent(request.node.parent, name="unmarked", callobj=lambda: None)


def raw_save(payment: Payment) -> None:
    payment.save_base(raw=True)


def delete_by_join(payment: Payment) -> None:
    rows = Payment.objects.filter(credit__body=1000)
    rows._raw_delete(rows.db)


def of_a_migration(payment: Payment) -> None:
    state = MigrationLoader(connection).project_state()
    state.apps.get_model("credits", "Payment").objects.update(sum=1)


def in_another_thread(payment: Payment) -> None:
    def write() -> None:
        try:
            execute("DELETE FROM credits_payment WHERE id = 0")(payment)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


WAYS_AROUND = {
    "_raw_delete": lambda payment: Payment.objects.all()._raw_delete("default"),
    "_raw_delete by a join": delete_by_join,
    "a plain QuerySet": lambda payment: models.QuerySet(Payment).update(sum=1),
    "a fixture": raw_save,
    "a model of a migration": of_a_migration,
    "UPDATE": execute("UPDATE credits_payment SET sum = 1 WHERE id = {pk}"),
    "DELETE": execute("  delete from plans_plan"),
    "INSERT": execute(
        "INSERT INTO credits_borrower (id, login, registration_date) VALUES (0, 'x', '2020-01-01')"
    ),
    "REPLACE": execute(
        "REPLACE INTO credits_borrower (id, login, registration_date) VALUES (9, 'x', '2020-01-01')"
    ),
}


@pytest.mark.around
@pytest.mark.parametrize("write", WAYS_AROUND.values(), ids=WAYS_AROUND)
def test_the_guard_fails_a_test_that_writes_without_writing(book, unmarked, write):
    with pytest.raises(AssertionError, match=r"written outside writing\(\)"), watched(unmarked):
        write(book)


@pytest.mark.around
def test_the_guard_watches_other_threads(committed, unmarked):
    book = builders.payment(builders.credit(), "2021-06-02", "10")
    with pytest.raises(AssertionError, match=r"written outside writing\(\)"), watched(unmarked):
        in_another_thread(book)


@pytest.mark.parametrize(
    "verb", ["INSERT IGNORE INTO", "INSERT OR IGNORE INTO", "UPDATE IGNORE", "TRUNCATE TABLE"]
)
@pytest.mark.parametrize("table", ["`credits_credit`", '"plans_plan"', "credits_payment"])
def test_the_guard_recognises_every_write_statement(verb, table):
    assert conftest.WRITE.match(f"{verb} {table} …")


@pytest.mark.around
def test_the_guard_allows_marked_tests_to_write_without_writing(book, request):
    with watched(request.node):
        Payment.objects.all()._raw_delete("default")


def test_the_guard_allows_writing_reads_and_other_tables(book, unmarked):
    with watched(unmarked):
        with writing():
            Payment.objects.all()._raw_delete("default")
        list(Credit.objects.filter(payments__isnull=True).select_for_update())
        DataStamp.renew()
        execute("DELETE FROM django_session WHERE session_key IN (SELECT login FROM credits_borrower)")(book)


# Ids of new rows


def payments_of(credit: Credit, *sums: int) -> list[Payment]:
    day = date(2021, 6, 3)
    return [Payment(credit=credit, payment_date=day, sum=amount, type_id=Dictionary.BODY) for amount in sums]


@pytest.mark.parametrize("batch_size", [None, 2])
def test_rows_of_a_bulk_create_know_their_ids(book, batch_size):
    known = payments_of(book.credit, 50)
    known[0].pk = book.pk + 1000
    created = Payment.objects.bulk_create([*payments_of(book.credit, 1, 2, 3, 4, 5), *known], batch_size)
    assert [row.sum for row in created] == [1, 2, 3, 4, 5, 50]
    assert {row.pk: row.sum for row in created} == dict(
        Payment.objects.exclude(pk=book.pk).values_list("pk", "sum")
    )
    created[2].sum = 33
    created[2].save()  # updates the row; an instance with unknown state would insert another one
    assert Payment.objects.get(pk=created[2].pk).sum == 33


@pytest.mark.around
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_rows_inserted_at_the_same_time_know_their_own_ids(committed):
    lent = [builders.credit() for _ in range(4)]

    def insert(credit: Credit) -> list[tuple[int, int]]:
        try:
            rows = []
            for start in range(0, 2000, 100):
                batch = payments_of(credit, *range(start + 1, start + 101))
                Payment.objects.insert(batch)  # not recorded and outside writing(), so that nobody waits
                rows += [(row.pk, int(row.sum)) for row in batch]
            return rows
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        inserted = list(pool.map(insert, lent))
    for credit, rows in zip(lent, inserted, strict=True):
        assert sorted(rows) == [
            (pk, int(amount)) for pk, amount in credit.payments.order_by("pk").values_list("pk", "sum")
        ]
