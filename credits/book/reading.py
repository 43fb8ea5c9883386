"""How an answer that takes more than one query reads the book: as it is at one moment, and in batches."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

BATCH = 2000  # rows


@contextmanager
def snapshot() -> Iterator[None]:
    """A transaction that reads, without a lock, one state of the database; within another, that one."""
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


def in_batches(rows: QuerySet[Any]) -> Iterator[Any]:
    """The rows, whose order ends with their ids, as at one moment; memory holds one batch of them.

    A database driver reads the whole result of a query. So where columns give the order, each query reads the
    rows after the last one so far; where SQL calculates it, the ids of all rows come first.
    """
    with snapshot():
        if all(isinstance(name, str) for name in rows.query.order_by):
            rest = rows
            while batch := list(rest[:BATCH]):
                yield from batch
                rest = rows.filter(after(batch[-1], rows.query.order_by))
        else:
            ids = array("q", rows.values_list("pk", flat=True).iterator())
            for start in range(0, len(ids), BATCH):
                found = rows.in_bulk(ids[start : start + BATCH])
                yield from (found[pk] for pk in ids[start : start + BATCH])


def after(row: Any, order: Any) -> Q:
    """What comes after the row, by columns of which the last is unique; "-" is downwards."""
    condition = Q()
    for name in reversed(order):
        column, way = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        value = getattr(row, column)
        beyond = Q(**{f"{column}__{way}": value})
        # The bound by itself lets the database begin in the index at the row.
        condition = Q(**{f"{column}__{way}e": value}) & (beyond | condition) if condition else beyond
    return condition
