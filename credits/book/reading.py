"""Consistent reads across several queries: snapshots, and batches of rows."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

BATCH = 2000  # rows


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


def in_batches(rows: QuerySet[Any]) -> Iterator[Any]:
    """Yields the rows from one snapshot, with one batch in memory. Their order must end with the id.

    Database drivers read the whole result of a query into memory. So each query reads the rows after the last
    one so far; if the rows are ordered by an expression, the ids of all rows are read first instead.
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
    """Returns the condition for rows after the row. "-" sorts descending; the last column must be unique."""
    condition = Q()
    for name in reversed(order):
        column, way = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        value = getattr(row, column)
        beyond = Q(**{f"{column}__{way}": value})
        # The extra bound lets the database start in the index at the row.
        condition = Q(**{f"{column}__{way}e": value}) & (beyond | condition) if condition else beyond
    return condition
