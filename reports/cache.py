"""Computed reports, kept under the data stamp: what is served is never older than the request.

A key holds the stamp that the rows were computed under, and the stamp changes in the same transaction as
the book. So a value needs no deletion, and no failure of the cache can make an old one current.
"""

import hashlib
import json
import logging
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

from .models import DataStamp
from .report import Report

logger = logging.getLogger(__name__)

KEPT_FOR = 24 * 60 * 60  # seconds; what belongs to a stamp of the past is never asked for again
PATIENCE = 2.0  # seconds that others wait for whoever computes the same
TRIES = 3


class Answer(NamedTuple):
    """A report's rows; key is that of exactly these rows, None where the book may be half written."""

    rows: list[Any]
    key: str | None
    hit: bool


def release() -> str:
    """A digest of the code: another one may compute other rows."""
    digest = hashlib.sha256()
    for app in ("credits", "plans", "reports"):
        for path in sorted((Path(settings.BASE_DIR) / app).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


RELEASE = release()


def get_or_compute(report: Report, params: dict[str, Any]) -> Answer:
    """The report's answer as of a moment between the call and the return."""
    if connection.in_atomic_block:  # the caller may have written what others must not see yet
        return Answer(report.compute(**params), None, False)
    kept = Kept()
    key = key_of(report, params, DataStamp.current())
    text = kept.get(key) or kept.wait(key)
    if text is not None:
        return Answer(report.loaded(text), key, True)
    try:
        rows, stamp = compute_at_one_stamp(lambda: report.compute(**params))
        computed = key_of(report, params, stamp)
        kept.set(computed, report.dumped(rows))
    finally:
        kept.release(key)
    return Answer(rows, computed, False)


def is_current(answer: Answer, report: Report, params: dict[str, Any]) -> bool:
    """Whether the book is still as it was when the answer was computed."""
    return answer.key in (None, key_of(report, params, DataStamp.current()))


def key_of(report: Report, params: dict[str, Any], stamp: str) -> str:
    question = json.dumps([RELEASE, report.name, params, stamp], cls=DjangoJSONEncoder, sort_keys=True)
    return f"report:{hashlib.sha256(question.encode()).hexdigest()}"


class Kept:
    """The cache during one answer. Once it fails it is left alone: then all is slower, nothing is wrong."""

    def __init__(self) -> None:
        self.fails = False
        self.computing = False

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

    def wait(self, key: str) -> str | None:
        """What another one, who computes the same now, comes to; None if it is ours to compute."""
        end = time.monotonic() + PATIENCE
        while not self.fails and time.monotonic() < end:
            if self.attempt(cache.add, f"{key}:computing", 1, timeout=PATIENCE):
                self.computing = True
                return self.get(key)  # it may have come between the look and the claim
            time.sleep(0.02)
            if text := self.get(key):
                return text
        return None

    def release(self, key: str) -> None:
        if self.computing:
            self.attempt(cache.delete, f"{key}:computing")


def compute_at_one_stamp(compute: Callable[[], list[Any]]) -> tuple[list[Any], str]:
    """What it computes from one state of the book, and the stamp of that state."""
    for _try in range(TRIES):
        before = DataStamp.current()
        with snapshot():
            # MariaDB's snapshot is not atomic: it may hold one part of a commit and not the other. Where
            # both readings agree, no commit came between, and none is half in it.
            stamp = DataStamp.current()
            if stamp == before:
                return compute(), stamp
    with stamp_held() as stamp:  # the book is written so often that no snapshot is whole
        return compute(), stamp


@contextmanager
def stamp_held() -> Iterator[str]:
    """A transaction during which no other one that writes the book can end; the stamp, which stays."""
    with transaction.atomic():
        yield DataStamp.objects.select_for_update().get().value
