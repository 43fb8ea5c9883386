"""From rows of a file to rows of a table: in batches, each checked whole, within one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import Model

from .files import Faults, Row, Unreadable

if TYPE_CHECKING:
    from .resources import BookResource

BATCH_SIZE = 2000


@dataclass
class Counts:
    """What a load did to one table."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        return f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged"


class Doubtful:
    """Rows of the same load that are at fault themselves: what refers to them isn't, on their account."""

    def __init__(self) -> None:
        self.ids: dict[type[Model], set[int]] = {}
        self.unreadable: set[type[Model]] = set()

    def add(self, model: type[Model], pk: int) -> None:
        self.ids.setdefault(model, set()).add(pk)

    def among(self, model: type[Model], ids: set[int]) -> set[int]:
        return ids if model in self.unreadable else ids & self.ids.get(model, set())


class Seen:
    """The keys met so far. Whole numbers cost a bit each: a file may hold millions of them."""

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.others: set[Any] = set()

    def add(self, key: Any) -> bool:
        """False if the key was there already."""
        if not isinstance(key, int):
            known = key in self.others
            self.others.add(key)
            return not known
        block, bit = key >> 10, 1 << (key & 1023)
        bits = self.blocks.get(block, 0)
        self.blocks[block] = bits | bit
        return not bits & bit


class Batch:
    """Rows whose cells are right, by row number, and what the database has of them, by key."""

    def __init__(self, faults: Faults, doubtful: Doubtful) -> None:
        self.faults = faults
        self.doubtful = doubtful
        self.items: dict[int, Any] = {}
        self.cells: dict[int, dict[str, Any]] = {}
        self.stored: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(row number, instance), over a copy: rows may be refused meanwhile."""
        return iter(list(self.items.items()))

    def refuse(self, number: int, column: str, expected: Any) -> None:
        """The row won't be stored. It may be refused for more than one reason."""
        self.faults.add(number, column, self.cells[number][column], expected)
        self.leave_out(number)

    def leave_out(self, number: int) -> None:
        """The row won't be stored, and what refers to it isn't at fault for that."""
        if item := self.items.pop(number, None):
            self.doubtful.add(type(item), item.pk)

    def known(self, model: type[Model], ids: set[int]) -> dict[int, Any]:
        """{id: row} of the ids that may be referred to; None in place of a doubtful row."""
        doubtful = dict.fromkeys(self.doubtful.among(model, ids))
        return doubtful | model._default_manager.in_bulk(ids - doubtful.keys())


class TableLoad:
    """The rows of one file on their way into the table of its resource."""

    def __init__(self, resource: BookResource, faults: Faults, doubtful: Doubtful | None = None) -> None:
        self.resource = resource
        self.model: type[Model] = resource._meta.model
        self.faults = faults
        self.doubtful = doubtful or Doubtful()
        self.counts = Counts()
        self.seen = Seen()
        self.was_empty = not self.model._default_manager.exists()

    def run(self, rows: Iterable[Row]) -> Counts:
        """Store the rows that are right. The caller undoes it all if there are faults."""
        for lines in self.batches(rows):
            batch = self.batch(lines)
            self.resource.check(batch)
            self.store(batch)
        return self.counts

    def batches(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        lines = []
        try:
            for row in rows:
                lines.append(row)
                if len(lines) == BATCH_SIZE:
                    yield lines
                    lines = []
        except Unreadable:
            self.doubtful.unreadable.add(self.model)
        yield lines

    def batch(self, lines: list[Row]) -> Batch:
        """The rows whose cells are right, known once, and known as the same."""
        batch = Batch(self.faults, self.doubtful)
        for row in lines:
            if item := self.resource.instance(row, self.faults):
                batch.items[row.number] = item
                batch.cells[row.number] = row.cells
            elif pk := self.resource.id_of(row):
                self.doubtful.add(self.model, pk)
        if not self.was_empty:
            batch.stored = self.resource.stored(list(batch.items.values()))
        for number, item in batch:
            key = self.resource.key_of(item)
            if not self.seen.add(key):
                batch.refuse(number, self.resource.key_column, self.resource.key_expected)
            elif stored := batch.stored.get(key):
                self.resource.check_known(batch, number, item, stored)
        return batch

    def store(self, batch: Batch) -> None:
        new, changed = [], []
        for _number, item in batch:
            stored = batch.stored.get(self.resource.key_of(item))
            if stored is None:
                new.append(item)
            elif any(getattr(item, name) != getattr(stored, name) for name in self.resource.values):
                item.pk = stored.pk
                changed.append(item)
        rows = self.model._default_manager
        rows.bulk_create(new)
        if changed:  # twenty times faster than bulk_update
            named = connections[rows.db].features.supports_update_conflicts_with_target
            rows.bulk_create(
                changed,
                update_conflicts=True,
                update_fields=self.resource.values,
                unique_fields=["pk"] if named else None,
            )
        self.counts.new += len(new)
        self.counts.changed += len(changed)
        self.counts.unchanged += len(batch.items) - len(new) - len(changed)
