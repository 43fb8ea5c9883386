"""Simultaneous readers, writers and faults: each answer shows the book at one moment of the request.

An answer reveals the version of the book. Each writer has its own month with one credit, one payment and two
plans. A transaction sets all four amounts to its number, using various ways to write. So the four amounts of
a month are equal, and tell which transaction was the last.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import Error, close_old_connections, connection, transaction
from django.db.models.signals import post_save
from rest_framework.test import APIClient

from credits.book.writing import writing
from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.access import ANALYST
from plans.models import Plan
from reports import plans_performance, views, year_performance
from reports.cache import Answer, Question
from reports.report import Report

from . import builders, services

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "mysql", reason="in the round with servers"),
    pytest.mark.xdist_group("stress"),  # one worker, so that the servers are started once
]

PROJECT = Path(__file__).parent.parent
WRITERS, READERS = 3, 3  # threads of a process
READER_PROCESSES = 2
PACE = 0.1  # seconds between a writer's transactions
DEADLINE = 180  # seconds

QUESTIONS = [
    (year_performance.report, {"year": 2021}, "/year_performance?year=2021"),
    (
        plans_performance.report,
        {"check_date": date(2021, 12, 31)},
        "/plans_performance?check_date=2021-12-31",
    ),
]


# Writes, answers, and the judge that compares them. Times are of time.monotonic(), which all processes share.


class Written(NamedTuple):
    """A transaction: readers could see it from began on, and had to see it from ended on.

    outcome: committed, rolled back, or unknown if the connection was lost during the commit.
    """

    writer: int
    version: int
    began: float
    ended: float
    outcome: str


class Answered(NamedTuple):
    """versions: (writer, version) of each month, or None if the figures of a month contradict each other."""

    began: float
    ended: float
    hit: bool
    versions: list[tuple[int, int]] | None


class Failed(NamedTuple):
    """A request without an answer."""

    error: str


class Judge:
    """Knows all writes and answers: once a reader has seen a version, no later reader may miss it."""

    def __init__(self, history: list[Written], answers: list[Answered]) -> None:
        certain: dict[int, dict[int, float]] = defaultdict(dict)  # {writer: {version: from when on}}
        for written in history:
            if written.outcome == "committed":
                certain[written.writer][written.version] = written.ended
        for answer in answers:
            for writer, version in answer.versions or ():
                earlier = certain[writer].get(version, float("inf"))
                certain[writer][version] = min(earlier, answer.ended)
        # {writer: {version: (visible from, visible until)}}
        self.spans: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        replaced: dict[int, float] = defaultdict(lambda: float("inf"))
        for written in sorted(history, key=lambda written: -written.version):
            if written.outcome != "rolled back":
                self.spans[written.writer][written.version] = (written.began, replaced[written.writer])
                known = certain[written.writer].get(written.version, float("inf"))
                replaced[written.writer] = min(replaced[written.writer], known)

    def violation(self, answer: Answered) -> str | None:
        """Says what is wrong if the answer doesn't show the book at one moment of the request; else None."""
        if answer.versions is None or len(answer.versions) != WRITERS:
            return "torn"
        spans = [self.spans[writer].get(version) for writer, version in answer.versions]
        if None in spans:
            return "never committed"
        earliest, latest = max(span[0] for span in spans), min(span[1] for span in spans)
        if latest < answer.began:
            return "stale"
        if earliest > answer.ended:
            return "not yet written"
        return "of two moments" if earliest > latest else None


HISTORY = [
    *(Written(writer, 1, 0, 0, "committed") for writer in (1, 2, 3)),
    Written(1, 2, 10, 11, "committed"),
    Written(1, 3, 20, 21, "rolled back"),
    Written(1, 4, 30, 31, "unknown"),
    Written(1, 5, 40, 41, "committed"),
    Written(2, 2, 15, 16, "committed"),
]


@pytest.mark.parametrize(
    ("began", "ended", "versions", "violation"),
    [
        (1, 2, (1, 1, 1), None),
        (10.5, 10.6, (1, 1, 1), None),  # maybe not committed yet
        (10.5, 10.6, (2, 1, 1), None),  # maybe committed already
        (9, 9.5, (2, 1, 1), "not yet written"),
        (12, 13, (1, 1, 1), "stale"),
        (5, 50, (1, 1, 1), None),
        (5, 50, (1, 2, 1), "of two moments"),
        (5, 50, (3, 1, 1), "never committed"),
        (35, 36, (2, 2, 1), None),  # whether the fourth was committed is unknown
        (35, 36, (4, 2, 1), None),
        (45, 46, (4, 2, 1), "stale"),
        (45, 46, (5, 2, 1), None),
        (45, 46, (5, 2), "torn"),
        (45, 46, None, "torn"),
    ],
)
def test_the_judge_recognises_inconsistent_answers(began, ended, versions, violation):
    shown = versions and list(enumerate(versions, start=1))
    answer = Answered(began, ended, True, shown)
    assert Judge(HISTORY, [answer]).violation(answer) == violation


def test_readers_never_see_older_figures_again():
    seen = Answered(30.2, 30.4, True, [(1, 4), (2, 2), (3, 1)])
    missed = Answered(30.5, 30.6, True, [(1, 2), (2, 2), (3, 1)])
    assert Judge(HISTORY, [missed]).violation(missed) is None
    assert Judge(HISTORY, [seen, missed]).violation(missed) == "stale"
    assert Judge(HISTORY, [seen, missed]).violation(seen) is None


# The processes run until their standard input ends, and print a line for each event.


def run(work: Callable[[int, threading.Event, Callable[[NamedTuple], None]], None], threads: int) -> None:
    """Runs work(number, stop, tell) in threads numbered from 1."""
    stop, lock = threading.Event(), threading.Lock()

    def tell(what: NamedTuple) -> None:
        with lock:
            print(json.dumps([type(what).__name__, *what]), flush=True)

    def guarded(number: int) -> None:
        try:
            work(number, stop, tell)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    workers = [threading.Thread(target=guarded, args=[number]) for number in range(1, threads + 1)]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    stop.set()
    for worker in workers:
        worker.join()


def prepare() -> None:
    """Creates a book with version 1 for each writer, and an account that may read it."""
    builders.migrated()
    for model in (Plan, Payment, Credit):
        model.objects.all().delete()
    if not User.objects.exists():
        builders.account(ANALYST)
        builders.borrower()
    for writer in range(1, WRITERS + 1):
        create(date(2021, writer, 1), Decimal(1))


def rows(month: date) -> list[Any]:
    return [
        Credit.objects.get(issuance_date=month),
        Payment.objects.get(payment_date=month),
        *Plan.objects.filter(period=month),
    ]


def set_amount(row: Any, amount: Decimal) -> Any:
    setattr(row, "body" if isinstance(row, Credit) else "sum", amount)
    return row


def create(month: date, amount: Decimal) -> None:
    credit = builders.credit(f"{month}", amount, borrower=Borrower.objects.first())
    builders.payment(credit, f"{month}", amount)
    for category in (Dictionary.ISSUANCE, Dictionary.COLLECTION):
        builders.plan(f"{month:%Y-%m}", category, amount)


def save(month: date, amount: Decimal) -> None:
    for row in rows(month):
        set_amount(row, amount).save()


def update(month: date, amount: Decimal) -> None:
    Plan.objects.filter(period=month).update(sum=amount)
    Credit.objects.get(issuance_date=month).payments.update(sum=amount)
    Credit.objects.filter(issuance_date=month).update(body=amount)


def bulk_update(month: date, amount: Decimal) -> None:
    credit, payment, *plans = [set_amount(row, amount) for row in rows(month)]
    Payment.objects.bulk_update([payment], ["sum"])
    Plan.objects.bulk_update(plans, ["sum"])
    Credit.objects.bulk_update([credit], ["body"])


def replace_each(month: date, amount: Decimal) -> None:
    credit, payment, *plans = rows(month)
    for row in (payment, credit, *plans):
        row.delete()
    create(month, amount)


def replace_in_bulk(month: date, amount: Decimal) -> None:
    credit, payment, *plans = [set_amount(row, amount) for row in rows(month)]
    Payment.objects.filter(payment_date=month).delete()
    Credit.objects.filter(issuance_date=month).delete()
    Plan.objects.filter(period=month).delete()
    for row in (credit, payment, *plans):
        type(row).objects.bulk_create([row])


WAYS = [save, update, bulk_update, replace_each, replace_in_bulk]


class Undone(Exception):
    """The writer rolls back on purpose."""


def written(writer: int, version: int, way: Callable[[date, Decimal], None]) -> Written:
    """Tries to write the version, sometimes inside an outer transaction, sometimes rolled back."""
    ending = random.choices(["committed", "raises", "rolls back"], [8, 1, 1])[0]
    within_another = ending == "rolls back" or random.random() < 0.3
    began = 0.0
    try:
        close_old_connections()
        with transaction.atomic() if within_another else nullcontext():
            with writing():
                way(date(2021, writer, 1), Decimal(version))
                began = time.monotonic()
                if ending == "raises":
                    raise Undone
            if ending == "rolls back":
                transaction.set_rollback(True)
        outcome = "committed" if ending == "committed" else "rolled back"
    except Undone:
        outcome = "rolled back"
    except Error:  # a lost connection, or a deadlock
        outcome = "unknown" if began and ending == "committed" else "rolled back"
    return Written(writer, version, began, time.monotonic(), outcome)


def write(naive: bool) -> None:
    def work(writer: int, stop: threading.Event, tell: Callable[[NamedTuple], None]) -> None:
        version = 1
        while not stop.wait(PACE - time.monotonic() % PACE):  # all at the same moment
            version += 1
            tell(written(writer, version, save if naive else random.choice(WAYS)))

    if naive:
        post_save.connect(forget)
    run(work, WRITERS)


def read(naive: bool) -> None:
    def work(number: int, stop: threading.Event, tell: Callable[[NamedTuple], None]) -> None:
        client = APIClient(SERVER_NAME="localhost")
        client.force_login(User.objects.get())
        while not stop.is_set():
            report, params, address = random.choice(QUESTIONS)
            began = time.monotonic()
            try:
                close_old_connections()
                if random.random() < 0.3:
                    response = client.get(address)
                    assert response.status_code == 200, response.content
                    hit, shown = response["X-Cache"] == "hit", response.json()
                else:
                    answer = views.get_or_compute(report, params)
                    hit, shown = answer.hit, [asdict(row) for row in answer.rows]
            except Error as error:
                tell(Failed(repr(error)))
            else:
                tell(Answered(began, time.monotonic(), hit, versions(shown)))

    if naive:
        views.get_or_compute, views.Question = get_or_compute_naively, NaiveQuestion
    run(work, READERS)


def versions(rows: list[dict[str, Any]]) -> list[tuple[int, int]] | None:
    amounts: dict[int, list[Any]] = {}
    for row in rows:
        month = int(str(row.get("month_year") or row["month"])[5:7])
        amounts.setdefault(month, []).extend(row[name] for name in row if name.endswith("_sum"))
        if any(row[name] != 100 for name in row if name.endswith("performance_percent")):
            return None
    if any(len(of_month) != 4 or len(set(of_month)) != 1 for of_month in amounts.values()):
        return None
    return [(month, int(of_month[0])) for month, of_month in amounts.items()]


# A naive cache, for comparison: its key has no stamp, and saving a model deletes entries.


def naive_key(report: Report) -> str:
    return f"naive:{report.name}"


def get_or_compute_naively(report: Report, params: dict[str, Any]) -> Answer:
    with suppress(Exception):
        if text := cache.get(naive_key(report)):
            return Answer(report.loaded(text), None, True, None)
    rows = report.compute(**params)
    with suppress(Exception):
        cache.set(naive_key(report), report.dumped(rows))
    return Answer(rows, None, False, None)


class NaiveQuestion(Question):
    key = None  # so no form is kept under it

    def __init__(self, report: Report, params: dict[str, Any]) -> None:
        self.report, self.params = report, params

    def answer(self) -> Answer:
        return get_or_compute_naively(self.report, self.params)


def forget(**kwargs: Any) -> None:
    with suppress(Exception):
        cache.delete_many([naive_key(report) for report, _, _ in QUESTIONS])


# The run


class Servers(NamedTuple):
    database: services.Server
    redis: services.Server

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "fintrack.settings",
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
        }

    def start(self, call: str, **pipes: Any) -> subprocess.Popen[bytes]:
        code = f"import django; django.setup(); from tests import {Path(__file__).stem} as here; here.{call}"
        return subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, env=self.environment, **pipes)

    # Faults

    def kill_redis(self) -> None:
        os.kill(self.redis.pid, signal.SIGKILL)
        time.sleep(random.uniform(0, 0.5))
        self.redis.start()

    def pause_redis(self) -> None:
        os.kill(self.redis.pid, signal.SIGSTOP)
        time.sleep(random.uniform(0.1, 1.2))
        os.kill(self.redis.pid, signal.SIGCONT)

    def flush_redis(self) -> None:
        with socket.create_connection(("127.0.0.1", self.redis.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(5) == b"+OK\r\n"

    def kill_connections(self) -> None:
        """Kills each of the database's connections with a probability of one half."""
        mysql = pytest.importorskip("MySQLdb")
        url = urlsplit(self.database.url)
        with closing(
            mysql.connect(host=url.hostname, port=url.port, user=url.username, password=url.password)
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW PROCESSLIST")
            others = [row[0] for row in cursor.fetchall() if row[0] != connection.thread_id()]
            for number in others:
                if random.random() < 0.5:
                    with suppress(mysql.OperationalError):  # it has ended
                        cursor.execute("KILL %s", [number])


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    if services.missing():
        pytest.skip(f"{', '.join(services.missing())} not installed")
    with services.mariadb() as database, services.redis() as redis:
        yield Servers(database, redis)


class Process:
    """A process that writes or reads, and its output."""

    def __init__(self, servers: Servers, call: str, folder: Path) -> None:
        self.told, self.errors = (folder / f"{next(builders.NUMBERS)}.{kind}" for kind in ("told", "errors"))
        with self.told.open("wb") as told, self.errors.open("wb") as errors:
            self.process = servers.start(call, stdin=subprocess.PIPE, stdout=told, stderr=errors)

    def lines(self) -> int:
        return self.told.read_bytes().count(b"\n")

    def stop(self) -> list[Any]:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0, self.errors.read_text()[-3000:]
        kinds = {kind.__name__: kind for kind in (Written, Answered, Failed)}
        told = [json.loads(line) for line in self.told.read_text().splitlines()]
        return [kinds[name](*values) for name, *values in told]


class Outcome(NamedTuple):
    answers: list[Answered]
    failed: list[Failed]
    history: list[Written]
    faults: int

    def violations(self) -> Counter[str]:
        judge = Judge(self.history, self.answers)
        return Counter(filter(None, map(judge.violation, self.answers)))

    def __str__(self) -> str:
        return (
            f"{len(self.answers)} answers ({sum(answer.hit for answer in self.answers)} hits), "
            f"{len(self.failed)} failed, {self.faults} faults, "
            f"{dict(Counter(written.outcome for written in self.history))}, "
            f"violations: {dict(self.violations())}"
        )


def stress(servers: Servers, folder: Path, *, naive: bool, answers: int, faults: int) -> Outcome:
    """Runs until there were this many answers and faults."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=PROJECT, env=servers.environment, check=True
    )
    assert servers.start("prepare()").wait(60) == 0
    servers.flush_redis()
    first = [Written(writer, 1, 0, 0, "committed") for writer in range(1, WRITERS + 1)]
    writers = Process(servers, f"write({naive})", folder)
    readers = [Process(servers, f"read({naive})", folder) for _number in range(READER_PROCESSES)]
    try:
        given, done = 0, 0
        end = time.monotonic() + DEADLINE
        for fault in cycle(
            (servers.kill_redis, servers.kill_connections, servers.pause_redis, servers.flush_redis)
        ):
            time.sleep(2)
            given = sum(reader.lines() for reader in readers)
            if (given >= answers and done >= faults) or time.monotonic() > end:
                break
            for process in (writers, *readers):
                assert process.process.poll() is None, process.errors.read_text()[-3000:]
            if given:
                fault()
                done += 1
        history = first + writers.stop()
        time.sleep(1)  # also read the book after the last write
        told = [line for reader in readers for line in reader.stop()]
    finally:
        for process in (writers, *readers):
            process.process.kill()
            process.process.communicate()
    return Outcome(
        [line for line in told if isinstance(line, Answered)],
        [line for line in told if isinstance(line, Failed)],
        history,
        done,
    )


def test_each_answer_shows_the_book_at_one_moment_of_the_request(servers, tmp_path):
    outcome = stress(servers, tmp_path, naive=False, answers=5000, faults=12)
    print(outcome)
    assert outcome.violations() == {}
    assert len(outcome.answers) >= 5000
    assert outcome.faults >= 12
    hits = sum(answer.hit for answer in outcome.answers)
    assert 500 < hits < len(outcome.answers) - 500
    assert len(outcome.failed) < len(outcome.answers) / 20
    assert Counter(written.outcome for written in outcome.history)["committed"] > 200


def test_the_stress_test_detects_a_cache_that_deletes_on_save(servers, tmp_path):
    """Proves that the test finds stale figures: a cache that deletes entries on post_save serves many."""
    outcome = stress(servers, tmp_path, naive=True, answers=1000, faults=4)
    print(outcome)
    assert outcome.violations()["stale"] > 0
    assert outcome.violations().total() > 100
