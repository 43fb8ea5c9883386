"""Consistent reads across several queries: snapshots, and batches of rows."""

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from fintrack.keyset import columns, first_rows, position

BATCH = 900  # rows; prefetching joins their keys by OR, and SQLite takes at most 1,000 conditions


@contextmanager
def snapshot() -> Iterator[None]:
    """Opens a transaction that reads one state of the database without locks, unless one is open already."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        database: Any = connection
        database.ensure_connection()  # which sets the mode
        mode, database.transaction_mode = database.transaction_mode, "DEFERRED"
        try:
            with transaction.atomic():
                yield
        finally:
            database.transaction_mode = mode
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yields lists of this size; the last one may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def in_batches(rows: QuerySet[Any]) -> Iterator[Any]:
    """Yields the rows from one snapshot, with one batch in memory. Their order must end with the id.

    Database drivers read the whole result of a query into memory. So each query reads the rows after the last
    one so far; if the rows are ordered by an expression, the ids of all rows are read first instead.
    """
    with snapshot():
        if all(isinstance(name, str) for name in rows.query.order_by):
            last: list[Any] = []
            while batch := first_rows(rows, BATCH, last):
                yield from batch
                last = position(batch[-1], columns(rows))
        else:
            ids = array("q", rows.values_list("pk", flat=True).iterator())
            for start in range(0, len(ids), BATCH):
                found = rows.in_bulk(ids[start : start + BATCH])
                yield from (found[pk] for pk in ids[start : start + BATCH])
