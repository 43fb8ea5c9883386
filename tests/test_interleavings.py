"""Writes on another connection at every moment of a request: no figure is stale, torn or wrongly cached.

Nothing sleeps here. A write happens right after a query of the request, or within its computation.
"""

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import NamedTuple

import pytest
from django.conf import settings as project
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from rest_framework.test import APIClient

from credits.book.writing import writing
from credits.models import Credit, Dictionary, Payment
from fintrack.access import EDITOR
from plans.models import Plan
from reports import cache as reports_cache
from reports import year_performance
from reports.cache import Answer, get_or_compute, key_of
from reports.models import DataStamp
from reports.report import Report

from . import builders, services

MYSQL = "mysql" in project.DATABASES["default"]["ENGINE"]
REDIS = "redis" in project.CACHES["default"]["BACKEND"]

PARAMS = {"year": 2021}


class Figures(NamedTuple):
    """The sums of the year: issued, collected, and planned to be issued."""

    issued: Decimal
    collected: Decimal
    planned: Decimal


OLD = Figures(Decimal(1000), Decimal(100), Decimal(0))
NEW = Figures(Decimal(1007), Decimal(107), Decimal(7))  # after the transaction of write()


def ask(report: Report = year_performance.report) -> Answer:
    return get_or_compute(report, PARAMS)


def figures(answer: Answer) -> Figures:
    columns = ("actual_issuance_sum", "actual_collection_sum", "plan_issuance_sum")
    return Figures(*(sum((getattr(row, column) for row in answer.rows), Decimal(0)) for column in columns))


def computing(then) -> Report:
    """Returns year performance that calls then() after computing its rows, before they are cached."""

    def compute(**params):
        rows = year_performance.compute(**params)
        then()
        return rows

    return replace(year_performance.report, compute=compute)


def write() -> None:
    """Issues, collects and plans 7 more, in one transaction over three tables."""
    with writing():
        credit = builders.credit("2021-06-05", "7", borrower=Credit.objects.first().borrower)
        builders.payment(credit, "2021-06-06", "7")
        plan, _ = Plan.objects.get_or_create(
            period=date(2021, 6, 1), category_id=Dictionary.ISSUANCE, defaults={"sum": 0}
        )
        plan.sum += 7
        plan.save()


@pytest.fixture
def book(committed) -> Payment:
    """Creates a book with 1,000 issued, 100 paid, and no plan."""
    return builders.payment(builders.credit("2021-06-01", "1000"), "2021-06-02", "100")


@pytest.fixture
def elsewhere(book):
    """elsewhere(action) runs it on another connection, in its own thread, and returns its Future."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda action: pool.submit(action)
        pool.submit(connection.close)


@pytest.fixture
def write_elsewhere(elsewhere):
    """Writes on another connection, and returns when that is committed."""
    return lambda: elsewhere(write).result(20)


@contextmanager
def around_query(matches, before=lambda: None, after=lambda: None):
    """Wraps each query of this connection that matches(sql)."""

    def wrapper(execute, sql, *args):
        if not matches(sql):
            return execute(sql, *args)
        before()
        result = execute(sql, *args)
        after()
        return result

    with connection.execute_wrapper(wrapper):
        yield


def reads_stamp(sql: str) -> bool:
    return sql.startswith("SELECT") and "reports_datastamp" in sql and "FOR UPDATE" not in sql


@contextmanager
def after_stamp_reads(action, *numbers: int):
    """Acts right after the given reads of the stamp: the lookup reads it once, then each try twice."""
    reads = []

    def after() -> None:
        reads.append(len(reads) + 1)
        if reads[-1] in numbers:
            action()

    with around_query(reads_stamp, after=after):
        yield


# A commit during an answer


def test_a_commit_after_the_lookup_is_in_the_answer_and_the_cache(write_elsewhere):
    with after_stamp_reads(write_elsewhere, 1):
        answer = ask()
    assert (figures(answer), answer.hit) == (NEW, False)
    assert answer.key == key_of(year_performance.report, PARAMS, DataStamp.current())
    assert ask() == answer._replace(hit=True)


def test_a_commit_between_stamp_and_snapshot_causes_a_retry(write_elsewhere):
    with after_stamp_reads(write_elsewhere, 2):
        answer = ask()
    assert (figures(answer), answer.hit) == (NEW, False)
    assert answer.key == key_of(year_performance.report, PARAMS, DataStamp.current())
    assert ask() == answer._replace(hit=True)


def test_a_commit_after_the_snapshot_began_is_not_in_the_answer(write_elsewhere):
    before = DataStamp.current()
    with after_stamp_reads(write_elsewhere, 3):
        answer = ask()
    assert figures(answer) == OLD
    assert answer.key == key_of(year_performance.report, PARAMS, before)
    later = ask()
    assert (figures(later), later.hit) == (NEW, False)


@pytest.mark.parametrize("table", ["book_daily_total", "plans_plan"])
def test_a_commit_between_queries_of_a_computation_is_in_none_of_them(write_elsewhere, table):
    written = []

    def once() -> None:
        if not written:
            written.append(write_elsewhere())

    with around_query(lambda sql: sql.startswith("SELECT") and table in sql, after=once):
        answer = ask()
    later = ask()
    assert written
    assert (figures(answer), figures(later), later.hit) == (OLD, NEW, False)


def test_rows_cached_after_a_commit_are_stale(write_elsewhere):
    before = DataStamp.current()
    answer = ask(computing(write_elsewhere))
    assert figures(answer) == OLD
    assert answer.key == key_of(year_performance.report, PARAMS, before)
    later = ask()
    assert (figures(later), later.hit) == (NEW, False)


def test_rows_cached_late_do_not_replace_newer_ones(elsewhere):
    """The slower reader writes its rows to the cache last, after they have become stale."""
    computed, go = threading.Event(), threading.Event()

    def hold() -> None:
        computed.set()
        assert go.wait(20)

    slow = elsewhere(lambda: ask(computing(hold)))
    assert computed.wait(20)
    write()
    quick = ask()
    go.set()
    assert figures(slow.result(20)) == OLD
    assert cache.get(slow.result().key)
    later = ask()
    assert (figures(quick), figures(later), later.hit) == (NEW, NEW, True)


# A transaction that is open during an answer


class Open:
    """A write() whose transaction stays open on another connection until it is committed or rolled back."""

    def __init__(self, elsewhere, around) -> None:
        self.around = around
        self.written, self.go = threading.Event(), threading.Event()
        self.rolls_back = False
        self.seen: Answer
        self.future: Future = elsewhere(self.run)
        assert self.written.wait(20), self.future.result()

    def run(self) -> None:
        with transaction.atomic():
            with self.around():
                write()
                if self.around is writing:
                    self.hold()
            if self.around is not writing:
                self.hold()
            transaction.set_rollback(self.rolls_back)

    def hold(self) -> None:
        self.seen = ask()
        self.written.set()
        assert self.go.wait(20)

    def end(self, rolls_back: bool = False) -> None:
        self.rolls_back = rolls_back
        self.go.set()
        self.future.result(20)


# The open transaction has renewed the stamp already, or not yet.
each_moment = pytest.mark.parametrize(
    "around", [transaction.atomic, writing], ids=["renewed", "not yet renewed"]
)


@each_moment
def test_only_its_own_transaction_sees_an_uncommitted_write(elsewhere, around):
    before = DataStamp.current()
    writer = Open(elsewhere, around)
    answer, again = ask(), ask()
    assert (figures(answer), answer.hit, figures(again), again.hit) == (OLD, False, OLD, True)
    assert answer.key == key_of(year_performance.report, PARAMS, before)
    assert (figures(writer.seen), writer.seen.hit, writer.seen.key) == (NEW, False, None)
    writer.end()
    later = ask()
    assert (figures(later), later.hit) == (NEW, False)


@each_moment
def test_a_rolled_back_write_is_never_seen(elsewhere, around):
    first = ask()
    writer = Open(elsewhere, around)
    assert ask() == first._replace(hit=True)
    writer.end(rolls_back=True)
    assert ask() == first._replace(hit=True)
    assert figures(first) == OLD


@each_moment
def test_a_write_open_when_the_computation_began_is_not_in_it(elsewhere, around):
    writer = Open(elsewhere, around)
    with around_query(lambda sql: "book_daily_total" in sql, before=writer.end):
        answer = ask()
    later = ask()
    assert (figures(answer), figures(later), later.hit) == (OLD, NEW, False)


# When a commit makes every try fail


def test_after_three_failed_tries_the_answer_is_computed_under_a_lock(write_elsewhere):
    locks = []
    lock = (lambda sql: "FOR UPDATE" in sql) if MYSQL else (lambda sql: sql == "BEGIN IMMEDIATE")
    with (
        after_stamp_reads(write_elsewhere, 2, 4, 6),
        around_query(lock, after=lambda: locks.append(1)),
    ):
        answer = ask()
    assert (figures(answer), answer.hit) == (Figures(Decimal(1021), Decimal(121), Decimal(21)), False)
    assert answer.key == key_of(year_performance.report, PARAMS, DataStamp.current())
    assert ask() == answer._replace(hit=True)
    assert locks == [1]


def test_two_failed_tries_take_no_lock(write_elsewhere):
    lock = (lambda sql: "FOR UPDATE" in sql) if MYSQL else (lambda sql: sql == "BEGIN IMMEDIATE")
    locks = []
    with after_stamp_reads(write_elsewhere, 2, 4), around_query(lock, after=lambda: locks.append(1)):
        answer = ask()
    assert figures(answer) == Figures(Decimal(1014), Decimal(114), Decimal(14))
    assert locks == []


def test_nobody_else_commits_under_the_lock(elsewhere, monkeypatch):
    monkeypatch.setattr(reports_cache, "TRIES", 0)

    def write_impatiently() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 1" if MYSQL else "PRAGMA busy_timeout = 0")
        with pytest.raises(OperationalError, match=r"Lock wait timeout|database is locked"):
            write()

    answer = ask(computing(lambda: elsewhere(write_impatiently).result(20)))
    assert figures(answer) == OLD
    assert ask() == answer._replace(hit=True)
    elsewhere(write).result(20)
    assert figures(ask()) == NEW


def test_the_lock_waits_for_an_open_transaction_that_renewed_the_stamp(elsewhere, monkeypatch):
    monkeypatch.setattr(reports_cache, "TRIES", 0)
    writer = Open(elsewhere, transaction.atomic)
    lock = (lambda sql: "FOR UPDATE" in sql) if MYSQL else (lambda sql: sql == "BEGIN IMMEDIATE")
    with around_query(lock, before=writer.go.set):
        answer = ask()
    writer.future.result(20)
    assert (figures(answer), answer.hit) == (NEW, False)
    assert ask() == answer._replace(hit=True)


def test_the_connection_can_write_after_a_report(book):
    ask()
    write()
    assert figures(ask()) == NEW
    with transaction.atomic():  # neither read-only nor an old snapshot
        write()
        assert Credit.objects.count() == 3


@pytest.mark.skipif(not MYSQL, reason="SQLite has one level of isolation")
def test_a_report_restores_the_isolation_level(write_elsewhere):
    ask()
    with transaction.atomic():  # reads the latest commits, not an old snapshot
        assert Credit.objects.count() == 1
        write_elsewhere()
        assert Credit.objects.count() == 2


# Every kind of write, followed by a request


def save() -> None:
    credit = Credit.objects.get()
    credit.body = Decimal(2000)
    credit.save()


def bulk_create() -> None:
    of = Credit.objects.get()
    payments = [
        Payment(credit=of, payment_date=date(2021, 12, 31), sum=Decimal(amount), type_id=Dictionary.BODY)
        for amount in ("0.01", "5")
    ]
    Payment.objects.bulk_create(payments)


def bulk_update() -> None:
    payment = Payment.objects.get()
    payment.sum = Decimal("0.99")
    Payment.objects.bulk_update([payment], ["sum"])


def insert_plans() -> None:
    editor = APIClient()
    editor.force_login(builders.account(EDITOR))
    file = SimpleUploadedFile(
        "plans.csv", b"month,category_name,sum\n2021-06-01,issuance,5\n2021-07-01,issuance,6\n"
    )
    response = editor.post("/api/v1/plans_insert", {"file": file}, format="multipart")
    assert response.json()["inserted"] == 2


def roll_back() -> None:
    with transaction.atomic():
        write()
        transaction.set_rollback(True)


WRITES = {
    "save": (save, OLD._replace(issued=Decimal(2000))),
    "update": (lambda: Credit.objects.update(body=Decimal(3)), OLD._replace(issued=Decimal(3))),
    "update to another year": (
        lambda: Payment.objects.update(payment_date=date(2022, 1, 1)),
        OLD._replace(collected=Decimal(0)),
    ),
    "bulk_create": (bulk_create, OLD._replace(collected=Decimal("105.01"))),
    "bulk_update": (bulk_update, OLD._replace(collected=Decimal("0.99"))),
    "delete": (lambda: Payment.objects.get().delete(), OLD._replace(collected=Decimal(0))),
    "delete of a QuerySet": (lambda: Payment.objects.all().delete(), OLD._replace(collected=Decimal(0))),
    "related manager": (
        lambda: Credit.objects.get().payments.update(sum=Decimal(8)),
        OLD._replace(collected=Decimal(8)),
    ),
    "plans_insert": (insert_plans, OLD._replace(planned=Decimal(11))),
    "one transaction of three tables": (write, NEW),
    "a transaction rolled back": (roll_back, OLD),
}


@pytest.mark.parametrize(("action", "expected"), WRITES.values(), ids=WRITES)
def test_an_answer_after_a_write_has_its_figures(elsewhere, action, expected):
    assert [ask().hit, figures(ask())] == [False, OLD]
    elsewhere(action).result(20)
    later = ask()
    assert (figures(later), later.hit) == (expected, expected == OLD)


def test_an_answer_after_a_load_has_its_figures(elsewhere, tmp_path):
    ask()
    folder = builders.files(tmp_path)
    elsewhere(lambda: call_command("load_data", folder, "--replace", stdout=StringIO())).result(20)
    later = ask()
    expected = Figures(Decimal(3500), Decimal("1420.01"), Decimal(4000))
    assert (figures(later), later.hit) == (expected, False)


def test_answers_during_a_load_show_the_book_before_it(elsewhere, tmp_path):
    """The tables are emptied, filled and checked while a reader asks."""
    first = ask()
    folder = builders.files(tmp_path)
    seen = []

    def load() -> None:
        def look() -> None:
            seen.append(here().result(20))

        def is_insert(sql: str) -> bool:
            return sql.startswith("INSERT") and "credits_" in sql

        with around_query(is_insert, before=look, after=look):
            call_command("load_data", folder, "--replace", stdout=StringIO())

    with ThreadPoolExecutor(1) as reader:

        def here() -> Future:
            return reader.submit(ask)

        elsewhere(load).result(20)
        reader.submit(connection.close)
    assert seen == [first._replace(hit=True)] * 8  # four tables
    assert figures(ask()) == Figures(Decimal(3500), Decimal("1420.01"), Decimal(4000))


# Redis that is unavailable during a write


@pytest.fixture
def own_redis(settings):
    """Starts a private Redis, which the test may kill, with the options of the settings."""
    if not REDIS:
        pytest.skip("without REDIS_URL the cache is local memory")
    with services.redis() as server:
        settings.CACHES = {"default": project.CACHES["default"] | {"LOCATION": server.url}}
        yield server
        cache.client.get_client().connection_pool.disconnect()


def test_redis_paused_during_a_write_never_serves_stale_figures(own_redis, book):
    first = ask()
    os.kill(own_redis.pid, signal.SIGSTOP)
    write()
    meanwhile = ask()
    os.kill(own_redis.pid, signal.SIGCONT)
    assert cache.get(first.key)  # the entries survived
    later = ask()
    assert (figures(meanwhile), meanwhile.hit, figures(later), later.hit) == (NEW, False, NEW, False)


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["paused", "killed"])
def test_redis_lost_before_caching_does_not_fail_the_request(own_redis, write_elsewhere, fault):
    def lose_redis_and_write() -> None:
        os.kill(own_redis.pid, fault)
        write_elsewhere()

    answer = ask(computing(lose_redis_and_write))
    assert figures(answer) == OLD
    if fault == signal.SIGSTOP:
        os.kill(own_redis.pid, signal.SIGCONT)  # and executes the commands it received meanwhile
    else:
        own_redis.start()
    later, again = ask(), ask()
    assert [figures(later), later.hit, figures(again), again.hit] == [NEW, False, NEW, True]
