"""Loads the rows of a file into a table: checks, compares and stores them in batches, in one transaction."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, BinaryIO, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .batches import BATCH_SIZE, Batch, Compared, Counts, Doubtful, Seen
from .files import Fault, Faults, Faulty, Row, Unreadable, best_columns, excerpt, read_rows
from .resources import BookResource
from .trail import Change, Load, LoadRecord, Upload, record_refusal
from .writing import one_at_a_time, writing

SHOWN = 100  # rows of each kind in a preview


class Source(NamedTuple):
    """The name and the digest by which the trail records the file."""

    name: str = ""
    digest: str = ""

    @classmethod
    def of(cls, file: BinaryIO, name: str) -> "Source":
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0)
        return cls(name, digest)


class TableLoad:
    """Compares the rows of one file with the table of its resource, and stores them.

    removed is the number of rows that were deleted from the table to replace them.
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
        self.values_of = attrgetter(*resource.values)
        self.was_empty = not self.model._default_manager.exists()
        self.record = LoadRecord(self.model, source.name, source.digest, removed)
        same = Load.objects.filter(table=self.model._meta.label_lower, digest=source.digest)
        self.before = same.filter(outcome=Load.STORED, undone_by=None).first()  # a load of the same content
        # Covers what the load would do to each row, and what is stored now. It also covers an earlier load,
        # because rows without an id look new each time.
        self.digest = hashlib.sha256(repr(self.before and self.before.pk).encode())

    def run(self, rows: Iterable[Row], previewed: str | None = None) -> Counts:
        """Stores the rows that have no faults. If any row has one, the caller rolls back.

        previewed is the digest of a preview. If the load would do something else, Differs is raised before
        anything is stored.
        """
        without_id: list[Any] = []
        with writing(), self.record.running():
            batches: Iterable[Batch] = self.compared(rows, locking=True)
            if previewed is not None:
                batches = list(batches)
                if self.digest.hexdigest() != previewed:
                    raise Differs
            for batch in batches:
                new = batch.of_kind("new")
                without_id += [item for item in new if item.id is None]
                self.add([item for item in new if item.id is not None])
                if changed := batch.of_kind("changed"):
                    self.model._default_manager.bulk_change(changed, self.resource.values)
            # These come last, because the database might give them ids that later rows of the file have.
            for start in range(0, len(without_id), BATCH_SIZE):
                self.add(without_id[start : start + BATCH_SIZE])
            self.record.finish(self.counts.new, self.counts.changed, self.counts.unchanged)
        return self.counts

    def add(self, items: list[Any]) -> None:
        if items:
            self.model._default_manager.bulk_load(items)
            self.record.add(items)

    def compared(self, rows: Iterable[Row], locking: bool = False) -> Iterator[Batch]:
        """Yields batches of rows, compared with the database.

        With locking, the stored rows to be changed are locked until the transaction ends.
        """
        for lines in self.batches(rows):
            batch = self.batch(lines, locking)
            self.resource.check(batch)
            batch.compared = [self.compare(batch, number, item) for number, item in batch]
            self.counts.add(row.kind for row in batch.compared)
            yield batch

    def compare(self, batch: Batch, number: int, item: Any) -> Compared:
        key = self.resource.key_of(item)
        stored = batch.stored.get(key)
        kind = "new" if stored is None else "changed" if self.differs(item, stored) else "unchanged"
        before = [getattr(stored, name) for name in self.resource.values] if kind == "changed" else None
        self.digest.update(repr((kind, key, before)).encode())
        if stored is not None:
            item.id = stored.id
        return Compared(kind, number, item, stored)

    def differs(self, item: Any, stored: Any) -> bool:
        return self.values_of(item) != self.values_of(stored)

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
        """Returns a batch of checked rows, with the stored rows of the same keys."""
        batch = Batch(self.faults, self.doubtful)
        for row in lines:
            batch.add(row, *self.resource.instance(row, self.faults))
        if "id" in self.resource.fields:
            self.without_id += sum(item.id is None for _number, item in batch)
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
        """Locks the stored rows that differ from the file, and reads them again.

        Other rows aren't locked: saving a payment, for example, takes a shared lock on its dictionary entry,
        and would have to wait.
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
        """Adds the faults of the file as a whole, for a file that is loaded without the others."""
        self.resource.finish(self.faults, self.doubtful)
        if not (self.faults or self.counts):
            self.faults.add(2, None, None, self.resource.at_least, "empty")

    def remarks(self) -> Iterator[Any]:
        """Yields remarks for people to read before the rows are stored."""
        if count := self.without_id:
            text = ngettext(
                "%d row has no id: the database will give it one.",
                "%d rows have no id: the database will give them one.",
                count,
            )
            yield text % count
        if self.counts.new and (load := self.before):
            text = _("A file with the same content was imported before: %(load)s by %(account)s.")
            yield text % {"load": load, "account": load.account or load.via}


class SeenCell(NamedTuple):
    """The new text of a cell in a preview. before is its old text, or None if it is new or stays the same."""

    after: Any
    before: Any = None


@dataclass
class Preview:
    """The effect that a file would have on its table: the counts, and the first rows of each kind."""

    resource: BookResource
    source: Source
    faults: Faults = field(default_factory=lambda: Faults(limit=None))
    refusal: Load | None = None  # the record of a file that has faults
    counts: Counts = field(default_factory=Counts)
    new: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    changed: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    unchanged: list[tuple[int, list[SeenCell]]] = field(default_factory=list)
    # (row, column, cell, why it is doubtful): the first ones; doubt_count counts them all
    doubts: list[tuple[int, str, Any, Any]] = field(default_factory=list)
    doubt_count: int = 0
    ids: list[int] = field(default_factory=list)  # the ids of the rows shown that have one
    digest: str = ""  # it stays the same as long as storing the file would do the same to the same rows

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
                self.doubts.append((number, column, excerpt(batch.cells[number][column]), reason))

    def show(self, row: Compared) -> None:
        rows = getattr(self, row.kind)
        if len(rows) < SHOWN:
            after = self.resource.text_cells(row.item)
            before = self.resource.text_cells(row.stored) if row.stored else after
            pairs = zip(after, before, strict=True)
            rows.append((row.number, [SeenCell(new, None if new == old else old) for new, old in pairs]))
            if row.item.pk is not None:
                self.ids.append(row.item.pk)

    def changes_since(self, moment: datetime) -> Iterable[Change]:
        """Returns the latest changes made to the rows shown since the moment."""
        table = self.resource._meta.model._meta.label_lower
        changes = Change.objects.filter(table=table, object_id__in=self.ids, moment__gte=moment)
        return changes.select_related("account")[:SHOWN]


class Differs(Exception):
    """Storing a file would do something other than its preview said."""


def fitting(resources: Sequence[type[BookResource]], file: BinaryIO, encoding: str = "") -> int:
    """Returns the index of the resource that fits the file's header best."""
    if len(resources) == 1:
        return 0
    columns, first = [resource.columns() for resource in resources], resources[0]
    return best_columns(file, columns, encoding, first.max_unzipped, first.max_marks)


def read_file(resource: BookResource, file: BinaryIO, faults: Faults, encoding: str = "") -> list[Row]:
    """Reads all rows of a file from a request. Call it outside transactions, since reading may be slow."""
    limits = {name: getattr(resource, name) for name in ("max_unzipped", "max_marks", "max_rows")}
    rows = []
    with suppress(Unreadable):  # the rows read until then are checked all the same
        for row in read_rows(file, resource.columns(), faults, encoding, **limits):
            rows.append(row)
    return rows


def preview_file(resource: BookResource, file: BinaryIO, name: str, encoding: str = "") -> Preview:
    """Returns what storing the file would do. It locks nothing, and stores only the record of a refusal."""
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
    """Stores one file in its table: all of it or nothing.

    If it was previewed, its upload is deleted. Raises Faulty, Differs, or Upload.DoesNotExist if the upload
    was deleted before.
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
