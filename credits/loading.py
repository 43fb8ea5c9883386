"""From rows of a file to rows of a table: in batches, checked, compared, and stored in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .files import Fault, Faults, Faulty, Row, Unreadable, best_columns, read_rows, shown
from .trail import Change, Load, LoadRecord, Upload, record_refusal
from .writing import door, one_at_a_time, writing

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


class Compared(NamedTuple):
    """A row that is right, beside what the database has of it; None where it is new."""

    kind: str  # new, changed or unchanged
    number: int
    item: Any
    stored: Any


class Batch:
    """Rows by their number, and what the database has of them, by key.

    items are those that may be stored, read are all: there a cell at fault is None, and its column is wrong.
    """

    def __init__(self, faults: Faults, doubtful: Doubtful) -> None:
        self.faults = faults
        self.doubtful = doubtful
        self.items: dict[int, Any] = {}
        self.read: dict[int, Any] = {}
        self.wrong: dict[int, set[str]] = {}
        self.cells: dict[int, dict[str, Any]] = {}
        self.stored: dict[Any, Any] = {}
        self.unchanged: set[int] = set()  # rows that the database has as they are
        self.compared: list[Compared] = []

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(row number, instance) of those that may be stored, over a copy: they may be refused meanwhile."""
        return iter(list(self.items.items()))

    def add(self, row: Row, item: Model, wrong: set[str]) -> None:
        self.read[row.number] = self.items[row.number] = item
        self.cells[row.number] = row.cells
        if wrong:
            self.wrong[row.number] = wrong
            self.leave_out(row.number)

    def having(self, *columns: str) -> list[tuple[int, Any]]:
        """(row number, instance) of all rows that are right in these columns, whatever else is wrong."""
        return [(number, item) for number, item in self.read.items() if self.is_right(number, *columns)]

    def is_right(self, number: int, *columns: str) -> bool:
        return number not in self.wrong or self.wrong[number].isdisjoint(columns)

    def refuse(self, number: int, column: str, expected: Any, code: str = "invalid") -> None:
        """The row won't be stored. It may be refused for more than one reason."""
        self.wrong.setdefault(number, set()).add(column)
        self.faults.add(number, column, self.cells[number][column], expected, code)
        self.leave_out(number)

    def leave_out(self, number: int) -> None:
        """The row won't be stored, and what refers to it isn't at fault for that."""
        if item := self.items.pop(number, None):
            self.doubtful.add(type(item), item.pk)

    def known(self, model: type[Model], attribute: str, column: str) -> dict[int, Any]:
        """{id: row} of those that the rows refer to by the attribute; None in place of a doubtful row.

        What rows that are stored refer to is held, so that the rules are still kept when that is done.
        """
        referring = {number: getattr(item, attribute) for number, item in self.having(column)}
        ids = set(referring.values())
        doubtful = dict.fromkeys(self.doubtful.among(model, ids))
        ids -= doubtful.keys()
        written = {pk for number, pk in referring.items() if door.is_open and number not in self.unchanged}
        rows: Any = model._default_manager
        return doubtful | rows.held(ids & written) | rows.in_bulk(ids - written)


class TableLoad:
    """The rows of one file on their way into the table of its resource: compared, and then stored.

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
        self.without_id = 0
        self.was_empty = not self.model._default_manager.exists()
        self.record = LoadRecord(self.model, source.name, source.digest, removed)
        same = Load.objects.filter(table=self.model._meta.label_lower, digest=source.digest)
        self.before = same.filter(outcome=Load.STORED, undone_by=None).first()  # of a file of this content
        # Of what would become of the rows, and of what is there now. Rows without an id look new each time.
        self.digest = hashlib.sha256(repr(self.before and self.before.pk).encode())

    def run(self, rows: Iterable[Row], previewed: str | None = None) -> Counts:
        """Store the rows that are right. The caller undoes it all if there are faults.

        previewed: the digest of a preview. Raise Differs, before anything is stored, if it doesn't hold.
        """
        without_id: list[Any] = []
        with writing(), self.record.running():
            batches: Iterable[Batch] = self.compared(rows, locking=True)
            if previewed is not None:
                batches = list(batches)
                if self.digest.hexdigest() != previewed:
                    raise Differs
            for batch in batches:
                new = [row.item for row in batch.compared if row.kind == "new"]
                without_id += [item for item in new if item.pk is None]
                self.add([item for item in new if item.pk is not None])
                if changed := [row.item for row in batch.compared if row.kind == "changed"]:
                    self.model._default_manager.bulk_change(changed, self.resource.values)
            # Last: the database might give them ids that later rows of the file bring along.
            for start in range(0, len(without_id), BATCH_SIZE):
                self.add(without_id[start : start + BATCH_SIZE])
            self.record.finish(self.counts.new, self.counts.changed, self.counts.unchanged)
        return self.counts

    def add(self, items: list[Any]) -> None:
        if items:
            self.model._default_manager.bulk_load(items)
            self.record.add(items)

    def compared(self, rows: Iterable[Row], locking: bool = False) -> Iterator[Batch]:
        """The rows that are right, in batches, beside what the database has of them.

        locking: those to be changed stay what they were compared with until the transaction ends.
        """
        for lines in self.batches(rows):
            batch = self.batch(lines, locking)
            self.resource.check(batch)
            for number, item in batch:
                row = self.compare(number, item, batch.stored.get(self.resource.key_of(item)))
                batch.compared.append(row)
                setattr(self.counts, row.kind, getattr(self.counts, row.kind) + 1)
            yield batch

    def compare(self, number: int, item: Any, stored: Any) -> Compared:
        kind = "new" if stored is None else "changed" if self.differs(item, stored) else "unchanged"
        before = [getattr(stored, name) for name in self.resource.values] if kind == "changed" else None
        self.digest.update(repr((kind, self.resource.key_of(item), before)).encode())
        if stored is not None:
            item.pk = stored.pk
        return Compared(kind, number, item, stored)

    def differs(self, item: Any, stored: Any) -> bool:
        return any(getattr(item, name) != getattr(stored, name) for name in self.resource.values)

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

    def batch(self, lines: list[Row], locking: bool) -> Batch:
        """The rows with what is right of them, known once, and known as the same."""
        batch = Batch(self.faults, self.doubtful)
        for row in lines:
            batch.add(row, *self.resource.instance(row, self.faults))
        if "id" in self.resource.fields:
            self.without_id += sum(item.pk is None for _number, item in batch)
        if not self.was_empty:
            batch.stored = self.resource.stored(list(batch.read.values()))
            if locking:
                self.lock_changed(batch)
            batch.unchanged = {number for number, item in batch if self.is_unchanged(batch, item)}
        for number, item in batch.read.items():
            key = self.resource.key_of(item)
            if key is not None and not self.seen.add(key):
                batch.refuse(number, self.resource.key_column, self.resource.key_expected, "repeated")
            elif stored := batch.stored.get(key):
                self.resource.check_known(batch, number, item, stored)
        return batch

    def is_unchanged(self, batch: Batch, item: Any) -> bool:
        stored = batch.stored.get(self.resource.key_of(item))
        return stored is not None and not self.differs(item, stored)

    def lock_changed(self, batch: Batch) -> None:
        """Compare the rows that differ with what nobody else can change from now on.

        Others are left alone: each payment that anybody saves needs a share in the dictionary's.
        """
        pks = []
        for _number, item in batch:
            key = self.resource.key_of(item)
            stored = batch.stored.get(key)
            if stored and self.differs(item, stored):
                pks.append(stored.pk)
                del batch.stored[key]
        rows = self.model._default_manager.select_for_update().in_bulk(pks)
        batch.stored |= {self.resource.key_of(row): row for row in rows.values()}

    def finish(self) -> None:
        """Add the faults of a file that comes alone."""
        self.resource.finish(self.faults, self.doubtful)
        if not (self.faults or self.counts):
            self.faults.add(2, None, None, self.resource.at_least, "empty")

    def remarks(self) -> Iterator[Any]:
        """What to know before the rows are stored."""
        if count := self.without_id:
            text = ngettext(
                "%d row has no id: the database will give it one.",
                "%d rows have no id: the database will give them one.",
                count,
            )
            yield text % count
        if self.counts.new and (load := self.before):
            text = _("A file of the same content was imported before: %(load)s by %(account)s.")
            yield text % {"load": load, "account": load.account or load.via}


class SeenCell(NamedTuple):
    """What a cell will be, and what it was; None where it stays or is new."""

    after: Any
    before: Any = None


@dataclass
class Preview:
    """What a file does to its table: in numbers, and the first rows of each kind."""

    resource: BookResource
    source: Source
    faults: Faults = field(default_factory=lambda: Faults(limit=None))
    refusal: Load | None = None  # the record of a file that has faults
    counts: Counts = field(default_factory=Counts)
    new: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    changed: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    unchanged: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    # (row, column, cell, why it is doubtful): the first ones, and how many there are in all
    doubts: list[tuple[int, str, Any, Any]] = field(default_factory=list)
    doubt_count: int = 0
    ids: list[int] = field(default_factory=list)  # of those rows that have one
    digest: str = ""  # the same as long as storing the file would do the same to the same rows

    @property
    def columns(self) -> list[str]:
        return self.resource.columns()

    @property
    def listed_faults(self) -> list[Fault]:
        return self.faults.in_order()[:SHOWN]

    @property
    def remarks(self) -> list[str]:
        return self.faults.remarks

    def add(self, batch: Batch) -> None:
        for row in batch.compared:
            self.show(row)
        for number, column, reason in sorted(self.resource.doubts(batch), key=itemgetter(0)):
            self.doubt_count += 1
            if len(self.doubts) < SHOWN:
                self.doubts.append((number, column, shown(batch.cells[number][column]), reason))

    def show(self, row: Compared) -> None:
        rows = getattr(self, row.kind)
        if len(rows) < SHOWN:
            after = self.resource.shown(row.item)
            before = self.resource.shown(row.stored) if row.stored else after
            pairs = zip(after, before, strict=True)
            rows.append((row.number, [SeenCell(new, None if new == old else old) for new, old in pairs]))
            if row.item.pk is not None:
                self.ids.append(row.item.pk)

    def changes_since(self, moment: datetime) -> Iterable[Change]:
        """The latest of those that others have made to the rows shown."""
        table = self.resource._meta.model._meta.label_lower
        changes = Change.objects.filter(table=table, object_id__in=self.ids, moment__gte=moment)
        return changes.select_related("account")[:SHOWN]


class Differs(Exception):
    """Storing a file would do something else than its preview said."""


def fitting(resources: Sequence[type[BookResource]], file: BinaryIO, encoding: str = "") -> int:
    """Which of them the file's header fits best."""
    if len(resources) == 1:
        return 0
    columns, first = [resource.columns() for resource in resources], resources[0]
    return best_columns(file, columns, encoding, first.max_unzipped, first.max_marks)


def read_file(resource: BookResource, file: BinaryIO, faults: Faults, encoding: str = "") -> list[Row]:
    """All rows of a file that comes in a request, before any transaction begins: its reader may be slow."""
    limits = {name: getattr(resource, name) for name in ("max_unzipped", "max_marks", "max_rows")}
    rows = []
    with suppress(Unreadable):  # the rows before are checked all the same
        for row in read_rows(file, resource.columns(), faults, encoding, **limits):
            rows.append(row)
    return rows


def preview_file(resource: BookResource, file: BinaryIO, name: str, encoding: str = "") -> Preview:
    """What storing the file would do. Nothing is stored but, in the trail, a refusal; nothing is locked."""
    preview = Preview(resource, Source.of(file, name))
    rows = read_file(resource, file, preview.faults, encoding)
    resource.prepare()
    load = TableLoad(resource, preview.faults, source=preview.source)
    for batch in load.compared(rows):
        preview.add(batch)
    load.finish()
    preview.faults.remarks += load.remarks()
    preview.counts, preview.digest = load.counts, load.digest.hexdigest()
    if preview.faults:
        of = resource._meta.model, *preview.source
        preview.refusal = record_refusal(*of, preview.faults, resource.columns(), rows)
    return preview


def load_file(
    resource: BookResource, file: BinaryIO, name: str, faults: Faults, previewed: Upload | None = None
) -> Counts:
    """Store one file in its table, all of it or nothing.

    An upload that was previewed goes with it. Raise Faulty, Differs or, if it has gone, Upload.DoesNotExist.
    """
    source = Source.of(file, name)
    rows = read_file(resource, file, faults, previewed.encoding if previewed else "")
    with writing():
        one_at_a_time(resource._meta.model._meta.label_lower)
        if previewed and not Upload.objects.filter(pk=previewed.pk).delete()[0]:
            raise Upload.DoesNotExist
        resource.prepare()
        load = TableLoad(resource, faults, source=source)
        load.run(rows, previewed.digest if previewed else None)
        load.finish()
        if faults:
            raise Faulty(faults, rows)
    return load.counts
