"""Caches computed reports under the data stamp, so that an answer is never older than its request.

A key includes the stamp of the book that the rows were computed from, and the stamp changes in the same
transaction as the book. So entries need not be deleted, and no failure of the cache can make an old one
current.
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
CLAIM = 3.0  # seconds after which a claim expires unless it is renewed
PATIENCE = 10.0  # seconds that a request waits for another one that computes the same answer
QUICK = 0.5  # seconds after which a computation counts as slow
SEATS = 3  # threads that may compute or wait, of the four that the web server has in each process
TRIES = 3


class Answer(NamedTuple):
    """A report's rows, and the key and stamp they are cached under; None if the book may be half written."""

    rows: list[Any]
    key: str | None
    hit: bool
    stamp: str | None


def release() -> str:
    """Returns a digest of all that an answer depends on beside the book: code, texts and the currency."""
    digest = hashlib.sha256(settings.CURRENCY.encode())
    for folder in ("credits", "fintrack", "locale", "plans", "reports", "templates"):
        for path in sorted((Path(settings.BASE_DIR) / folder).rglob("*")):
            if path.suffix in (".py", ".html", ".mo"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


RELEASE = release()


def get_or_compute(report: Report, params: dict[str, Any]) -> Answer:
    """Returns the report's answer as of a moment between the call and the return. Raises Busy."""
    return Question(report, params).answer()


def is_current(answer: Answer, report: Report, params: dict[str, Any]) -> bool:
    """Tells whether the book hasn't changed since the answer was computed."""
    return answer.key in (None, key_of(report, params, DataStamp.current()))


def key_of(report: Report, params: dict[str, Any], stamp: str) -> str:
    question = json.dumps([RELEASE, report.name, params, stamp], cls=DjangoJSONEncoder, sort_keys=True)
    return f"report:{hashlib.sha256(question.encode()).hexdigest()}"


class Question:
    """A report and its parameters, asked at the current stamp.

    The cache keeps the rows of an answer and, under names of their own, the forms in which it is sent.
    """

    def __init__(self, report: Report, params: dict[str, Any]) -> None:
        self.report, self.params = report, params
        self.kept = Kept()
        # In a transaction the caller may have written rows that others must not see yet: nothing is cached.
        self.stamp = None if connection.in_atomic_block else DataStamp.current()
        self.key = None if self.stamp is None else key_of(report, params, self.stamp)

    def answer(self) -> Answer:
        """Returns the answer as of a moment since the question was asked. Raises Busy."""
        if self.key is None:
            return Answer(self.report.compute(**self.params), None, False, None)
        if text := self.kept.get(self.key):
            return Answer(self.report.loaded(text), self.key, True, self.stamp)
        with seats.one(), self.kept.claimed(self.key) as text:
            if text:
                return Answer(self.report.loaded(text), self.key, True, self.stamp)
            rows, stamp = compute_at_one_stamp(self.rows_at)
            key = key_of(self.report, self.params, stamp)
            self.kept.set(key, self.report.dumped(rows))
            return Answer(rows, key, False, stamp)

    def rows_at(self, stamp: str) -> list[Any]:
        key = key_of(self.report, self.params, stamp)
        # If the stamp has changed, another request may have cached the answer at the new one.
        text = self.kept.get(key) if key != self.key else None
        return self.report.loaded(text) if text else self.report.compute(**self.params)

    def form(self, name: str) -> str | None:
        """Returns the text that keep() stored under the name, or None."""
        return self.kept.get(f"{self.key}:{name}") if self.key else None

    def keep(self, name: str, text: str, key: str | None) -> None:
        """Stores a form of the answer that has this key."""
        if key:
            self.kept.set(f"{key}:{name}", text)


class Seats:
    """Lets at most SEATS threads of this process compute or wait, so that one is left for quick requests."""

    def __init__(self) -> None:
        self.taken: list[float] = []  # the moment when each was taken
        self.changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a seat. If all are taken, it waits until one is free, and raises Busy once all are slow."""
        with self.changed:
            while len(self.taken) >= SEATS:
                # Another thread may have taken a seat since.
                left = max(self.taken) + QUICK - time.monotonic()
                if left <= 0:
                    raise Busy
                self.changed.wait(left)
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
    """The cache during one answer. After its first failure it isn't used: slower, but the answer is right."""

    def __init__(self) -> None:
        self.fails = False

    def attempt(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.fails:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:  # each driver has errors of its own
            self.fails = True
            logger.warning("The cache fails: %r", error)
            return None

    def get(self, key: str) -> str | None:
        value = self.attempt(cache.get, key)
        # set() stores the key before the text; a value without it was not stored by set().
        return value.removeprefix(key) if isinstance(value, str) and value.startswith(key) else None

    def set(self, key: str, text: str) -> None:
        self.attempt(cache.set, key, f"{key}{text}", timeout=KEPT_FOR)

    @contextmanager
    def claimed(self, key: str) -> Iterator[str | None]:
        """Waits for another request that computes the same answer, and yields the text that it has cached.

        Yields None if no other request does. Then this request must compute the answer, and others wait until
        the context ends. Raises Busy.
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
            yield self.get(key)  # another request may have cached the text just before the claim
        finally:
            ended.set()
            self.attempt(cache.delete, claim)


def renew(claim: str, ended: threading.Event) -> None:
    """Renews the claim while its owner computes. If the owner's process dies, the claim expires soon."""
    while not ended.wait(CLAIM / 3):
        Kept().attempt(cache.touch, claim, CLAIM)


def compute_at_one_stamp(compute: Callable[[str], list[Any]]) -> tuple[list[Any], str]:
    """Calls compute(stamp) so that it reads one state of the book. Returns the result and the stamp."""
    for _try in range(TRIES):
        before = DataStamp.current()
        with snapshot():
            # MariaDB's snapshot is not atomic: it may include only a part of a commit. If the stamp before
            # the snapshot is the same as in it, no commit came between, and the snapshot has none in part.
            stamp = DataStamp.current()
            if stamp == before:
                return compute(stamp), stamp
    with stamp_held() as stamp:  # the book is written so often that no snapshot is whole
        return compute(stamp), stamp


@contextmanager
def stamp_held() -> Iterator[str]:
    """Opens a transaction, and locks and yields the stamp. Until it ends, no other writer can commit."""
    with transaction.atomic():
        yield DataStamp.objects.select_for_update().get().value
