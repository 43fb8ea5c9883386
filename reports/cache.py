"""Computed reports, kept under the data stamp: what is served is never older than the request.

A key holds the stamp that the rows were computed under, and the stamp changes in the same transaction as
the book. So a value needs no deletion, and no failure of the cache can make an old one current.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from credits.book.reading import snapshot
from fintrack.api.problems import Busy

from .models import DataStamp
from .report import Report

logger = logging.getLogger(__name__)

KEPT_FOR = 24 * 60 * 60  # seconds; entries of old stamps are never read
CLAIM = 3.0  # seconds that a claim outlives its owner
PATIENCE = 10.0  # seconds that a request waits for another that computes the same
QUICK = 0.5  # seconds after which a computation is slow
SEATS = 3  # of the four threads that the web server has in each process
TRIES = 3


class Answer(NamedTuple):
    """A report's rows; key is that of exactly these rows, None where the book may be half written."""

    rows: list[Any]
    key: str | None
    hit: bool


def release() -> str:
    """A digest of the code and the templates: others may compute or show other answers."""
    digest = hashlib.sha256()
    for folder in ("credits", "fintrack", "plans", "reports", "templates"):
        for path in sorted((Path(settings.BASE_DIR) / folder).rglob("*")):
            if path.suffix in (".py", ".html"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


RELEASE = release()


def get_or_compute(report: Report, params: dict[str, Any]) -> Answer:
    """The report's answer as of a moment between the call and the return. Raises Busy."""
    return Question(report, params).answer()


def is_current(answer: Answer, report: Report, params: dict[str, Any]) -> bool:
    """Whether the book is still as it was when the answer was computed."""
    return answer.key in (None, key_of(report, params, DataStamp.current()))


def key_of(report: Report, params: dict[str, Any], stamp: str) -> str:
    question = json.dumps([RELEASE, report.name, params, stamp], cls=DjangoJSONEncoder, sort_keys=True)
    return f"report:{hashlib.sha256(question.encode()).hexdigest()}"


class Question:
    """A report with its parameters, asked now.

    Beside the rows, the forms in which an answer is sent are kept under names of their own.
    """

    def __init__(self, report: Report, params: dict[str, Any]) -> None:
        self.report, self.params = report, params
        self.kept = Kept()
        # In a transaction the caller may have written what others must not see yet: nothing is kept then.
        self.key = None if connection.in_atomic_block else key_of(report, params, DataStamp.current())

    def answer(self) -> Answer:
        """The rows, as of a moment since the question was asked. Raises Busy."""
        if self.key is None:
            return Answer(self.report.compute(**self.params), None, False)
        if text := self.kept.get(self.key):
            return Answer(self.report.loaded(text), self.key, True)
        with seats.one(), self.kept.claimed(self.key) as text:
            if text:
                return Answer(self.report.loaded(text), self.key, True)
            rows, stamp = compute_at_one_stamp(self.rows_at)
            key = key_of(self.report, self.params, stamp)
            self.kept.set(key, self.report.dumped(rows))
            return Answer(rows, key, False)

    def rows_at(self, stamp: str) -> list[Any]:
        key = key_of(self.report, self.params, stamp)
        # The book was written since, and the request that this one waited for may have seen that.
        text = self.kept.get(key) if key != self.key else None
        return self.report.loaded(text) if text else self.report.compute(**self.params)

    def form(self, name: str) -> str | None:
        """What keep() has kept of the name."""
        return self.kept.get(f"{self.key}:{name}") if self.key else None

    def keep(self, name: str, text: str, key: str | None) -> None:
        """Keep a form of the answer that has this key."""
        if key:
            self.kept.set(f"{key}:{name}", text)


class Seats:
    """At most SEATS threads of this process compute or wait: another one is left for what is quick."""

    def __init__(self) -> None:
        self.taken: list[float] = []  # since when
        self.changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises Busy once all seats are taken by what is slow."""
        with self.changed:
            while len(self.taken) >= SEATS:
                if not self.changed.wait(max(self.taken) + QUICK - time.monotonic()):
                    raise Busy
            began = time.monotonic()
            self.taken.append(began)
        try:
            yield
        finally:
            with self.changed:
                self.taken.remove(began)
                self.changed.notify()


seats = Seats()


class Kept:
    """The cache during one answer. Once it fails it is left alone: then all is slower, nothing is wrong."""

    def __init__(self) -> None:
        self.fails = False

    def attempt(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.fails:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:  # whatever a driver raises
            self.fails = True
            logger.warning("The cache fails: %r", error)
            return None

    def get(self, key: str) -> str | None:
        value = self.attempt(cache.get, key)
        # Anything else there is not what set() put.
        return value.removeprefix(key) if isinstance(value, str) and value.startswith(key) else None

    def set(self, key: str, text: str) -> None:
        self.attempt(cache.set, key, f"{key}{text}", timeout=KEPT_FOR)

    @contextmanager
    def claimed(self, key: str) -> Iterator[str | None]:
        """Waits for another request that computes the same, and yields what it has kept.

        Yields None if it is this request's to compute: until the end, others wait for it. Raises Busy.
        """
        claim, end = f"{key}:computing", time.monotonic() + PATIENCE
        while not self.attempt(cache.add, claim, 1, timeout=CLAIM) and not self.fails:
            if time.monotonic() > end:
                raise Busy
            time.sleep(0.02)
            if text := self.get(key):
                yield text
                return
        ended = threading.Event()
        if not self.fails:
            threading.Thread(target=renew, args=(claim, ended), daemon=True).start()
        try:
            yield self.get(key)  # it may have come between the look and the claim
        finally:
            ended.set()
            self.attempt(cache.delete, claim)


def renew(claim: str, ended: threading.Event) -> None:
    """Keep the claim for as long as its owner computes: it ends with the owner, or soon after its process."""
    while not ended.wait(CLAIM / 3):
        Kept().attempt(cache.touch, claim, CLAIM)


def compute_at_one_stamp(compute: Callable[[str], list[Any]]) -> tuple[list[Any], str]:
    """What it computes from one state of the book, whose stamp it is given; and that stamp."""
    for _try in range(TRIES):
        before = DataStamp.current()
        with snapshot():
            # MariaDB's snapshot is not atomic: it may hold one part of a commit and not the other. Where
            # both readings agree, no commit came between, and none is half in it.
            stamp = DataStamp.current()
            if stamp == before:
                return compute(stamp), stamp
    with stamp_held() as stamp:  # the book is written so often that no snapshot is whole
        return compute(stamp), stamp


@contextmanager
def stamp_held() -> Iterator[str]:
    """A transaction during which no other one that writes the book can end; the stamp, which stays."""
    with transaction.atomic():
        yield DataStamp.objects.select_for_update().get().value
