"""The rows of a file in batches, with the stored rows that they are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Model

from .files import Faults, Row
from .writing import door

BATCH_SIZE = 2000


@dataclass
class Counts:
    """How many rows of one table a load stored as new, changed or left unchanged."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def add(self, kinds: Iterable[str]) -> None:
        counted = Counter(kinds)
        self.new += counted["new"]
        self.changed += counted["changed"]
        self.unchanged += counted["unchanged"]

    def __bool__(self) -> bool:
        return self.new + self.changed + self.unchanged > 0

    def __str__(self) -> str:
        return f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged"


class Doubtful:
    """Rows of the same load that are at fault. Rows that refer to them aren't at fault for that."""

    def __init__(self) -> None:
        self.ids: dict[type[Model], set[int]] = {}
        self.unreadable: set[type[Model]] = set()

    def add(self, model: type[Model], pk: int) -> None:
        self.ids.setdefault(model, set()).add(pk)

    def among(self, model: type[Model], ids: set[int]) -> set[int]:
        return ids if model in self.unreadable else ids & self.ids.get(model, set())


class Seen:
    """The keys of the rows so far. Whole numbers take about a bit each, since a file may have millions."""

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.others: set[Any] = set()

    def add(self, key: Any) -> bool:
        """Adds the key. Returns False if it was there already."""
        if not isinstance(key, int):
            known = key in self.others
            self.others.add(key)
            return not known
        block, bit = key >> 10, 1 << (key & 1023)
        bits = self.blocks.get(block, 0)
        self.blocks[block] = bits | bit
        return not bits & bit


class Compared(NamedTuple):
    """A row without faults and the stored row of the same key. stored is None if the row is new."""

    kind: str  # new, changed or unchanged
    number: int
    item: Any
    stored: Any


class Batch:
    """Rows by their number, and the stored rows by key.

    read has an instance of every row. If a cell is at fault, its attribute is None and its column is in
    wrong. items has only the rows that may be stored.
    """

    def __init__(self, faults: Faults, doubtful: Doubtful) -> None:
        self.faults = faults
        self.doubtful = doubtful
        self.items: dict[int, Any] = {}
        self.read: dict[int, Any] = {}
        self.wrong: dict[int, set[str]] = {}
        self.cells: dict[int, dict[str, Any]] = {}
        self.stored: dict[Any, Any] = {}
        self.unchanged: set[int] = set()  # rows that are the same as the stored ones
        self.compared: list[Compared] = []

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Iterates over (row number, instance) of a copy of items, since rows may be refused meanwhile."""
        return iter(list(self.items.items()))

    def of_kind(self, kind: str) -> list[Any]:
        """Returns the instances of the rows that are new, changed or unchanged."""
        return [row.item for row in self.compared if row.kind == kind]

    def add(self, row: Row, item: Model, wrong: set[str]) -> None:
        self.read[row.number] = self.items[row.number] = item
        self.cells[row.number] = row.cells
        if wrong:
            self.wrong[row.number] = wrong
            self.leave_out(row.number)

    def having(self, *columns: str) -> list[tuple[int, Any]]:
        """Returns (row number, instance) of all rows without faults in these columns."""
        if not self.wrong:
            return list(self.read.items())
        return [(number, item) for number, item in self.read.items() if self.is_right(number, *columns)]

    def is_right(self, number: int, *columns: str) -> bool:
        return number not in self.wrong or self.wrong[number].isdisjoint(columns)

    def refuse(self, number: int, column: str, expected: Any, code: str = "invalid") -> None:
        """Adds a fault of the row, which won't be stored. A row may have more than one fault."""
        self.wrong.setdefault(number, set()).add(column)
        self.faults.add(number, column, self.cells[number][column], expected, code)
        self.leave_out(number)

    def leave_out(self, number: int) -> None:
        """Marks the row as one that won't be stored. Rows that refer to it aren't at fault for that."""
        if item := self.items.pop(number, None):
            self.doubtful.add(type(item), item.pk)

    def known(self, model: type[Model], attribute: str, column: str, wanted: str = "pk") -> dict[int, Any]:
        """Returns {id: wanted column} of the rows that the batch refers to by the attribute.

        The value of a doubtful row is None. Inside writing(), the rows that new and changed rows refer to are
        locked, so that the rules still hold at the commit.
        """
        referring = {number: getattr(item, attribute) for number, item in self.having(column)}
        ids = set(referring.values())
        doubtful = dict.fromkeys(self.doubtful.among(model, ids))
        ids -= doubtful.keys()
        written = {pk for number, pk in referring.items() if door.is_open and number not in self.unchanged}
        rows: Any = model._default_manager
        return (
            doubtful
            | rows.known(ids & written, wanted, hold=True)
            | rows.known(ids - written, wanted, hold=False)
        )
