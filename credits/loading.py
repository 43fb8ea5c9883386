"""From rows of a file to rows of a table: in batches, each checked whole, within one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from django.db.models import Model

from .files import Fault, Faults, Faulty, Row, Unreadable, read_rows
from .trail import LoadRecord, record_refusal
from .writing import door, writing

if TYPE_CHECKING:
    from .resources import BookResource

BATCH_SIZE = 2000
SHOWN = 100  # rows of each kind in a preview


class Source(NamedTuple):
    """The file that rows come from, as the trail knows it."""

    name: str = ""
    digest: str = ""

    @classmethod
    def of(cls, file: BinaryIO, name: str) -> Source:
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0)
        return cls(name, digest)


@dataclass
class Counts:
    """What a load did to one table."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __bool__(self) -> bool:
        return self.new + self.changed + self.unchanged > 0

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
        """{id: row} of the ids that may be referred to; None in place of a doubtful row.

        Where rows are stored, these are held: they are what the rule says until that is done.
        """
        doubtful = dict.fromkeys(self.doubtful.among(model, ids))
        rows: Any = model._default_manager
        find = rows.held if door.is_open else rows.in_bulk
        return doubtful | find(ids - doubtful.keys())


class TableLoad:
    """The rows of one file on their way into the table of its resource.

    removed is how many rows of the table made room for them.
    """

    def __init__(
        self,
        resource: BookResource,
        faults: Faults,
        doubtful: Doubtful | None = None,
        source: Source = Source(),  # noqa: B008  # immutable
        removed: int = 0,
    ) -> None:
        self.resource = resource
        self.model: Any = resource._meta.model
        self.faults = faults
        self.doubtful = doubtful or Doubtful()
        self.counts = Counts()
        self.seen = Seen()
        self.was_empty = not self.model._default_manager.exists()
        self.record = LoadRecord(self.model, source.name, source.digest, removed)

    def run(self, rows: Iterable[Row]) -> Counts:
        """Store the rows that are right. The caller undoes it all if there are faults."""
        with writing(), self.record.running():
            for lines in self.batches(rows):
                batch = self.batch(lines)
                self.resource.check(batch)
                self.store(batch)
            self.record.finish(self.counts.new, self.counts.changed, self.counts.unchanged)
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
        for number, item in batch:
            stored = batch.stored.get(self.resource.key_of(item))
            if stored is None:
                new.append(item)
                self.see("new", number, item)
                continue
            item.pk = stored.pk
            if any(getattr(item, name) != getattr(stored, name) for name in self.resource.values):
                changed.append(item)
                self.see("changed", number, item, stored)
            else:
                self.see("unchanged", number, item)
        if new:
            self.model._default_manager.bulk_load(new)
            self.record.add(new if new[0].pk else list(self.resource.stored(new).values()))
        if changed:
            self.model._default_manager.bulk_change(changed, self.resource.values)
        self.counts.new += len(new)
        self.counts.changed += len(changed)
        self.counts.unchanged += len(batch.items) - len(new) - len(changed)

    def see(self, kind: str, number: int, item: Model, stored: Model | None = None) -> None:
        """Each row that is right; and of one that is changed, what the database had before."""


class SeenCell(NamedTuple):
    """What a cell will be, and what it was; None where it stays or is new."""

    after: Any
    before: Any = None


@dataclass
class Preview:
    """What a file does to its table: in numbers, and the first rows of each kind."""

    resource: BookResource
    source: Source
    faults: Faults
    counts: Counts = field(default_factory=Counts)
    new: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    changed: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    unchanged: list[tuple[int, list[SeenCell]]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return self.resource.columns()

    @property
    def listed_faults(self) -> list[Fault]:
        return self.faults.in_order()

    @property
    def remarks(self) -> list[str]:
        return self.faults.remarks

    def has_errors(self) -> bool:
        return bool(self.faults)

    def has_validation_errors(self) -> bool:
        return False


class SeenLoad(TableLoad):
    """A load that a preview is made of."""

    preview: Preview

    def see(self, kind: str, number: int, item: Model, stored: Model | None = None) -> None:
        rows = getattr(self.preview, kind)
        if len(rows) < SHOWN:
            after = self.resource.shown(item)
            before = self.resource.shown(stored) if stored else after
            pairs = zip(after, before, strict=True)
            rows.append((number, [SeenCell(new, None if new == old else old) for new, old in pairs]))


class DryRun(Exception):
    """Undoes what was only tried."""


def load_file(
    resource: BookResource,
    file: BinaryIO,
    name: str,
    faults: Faults,
    dry_run: bool = False,
) -> Preview:
    """Store one file in its table, all of it or nothing; or only try. Raise Faulty.

    A refusal is in the trail too.
    """
    preview = Preview(resource, Source.of(file, name), faults)
    try:
        with writing():
            resource.prepare()
            load = SeenLoad(resource, faults, source=preview.source)
            load.preview = preview
            limits: dict[str, Any] = {"max_unzipped": resource.max_unzipped, "max_rows": resource.max_rows}
            rows = read_rows(file, resource.columns(), faults, **limits)
            preview.counts = load.run(rows)
            resource.finish(faults, load.doubtful)
            if not (faults or preview.counts):
                faults.add(2, None, None, resource.at_least)
            if faults:
                raise Faulty(faults)
            if dry_run:
                raise DryRun
    except DryRun:
        pass
    except Faulty:
        record_refusal(resource._meta.model, *preview.source, faults.count)
        raise
    return preview
