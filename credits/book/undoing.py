"""Undoes an import in one transaction: deletes its new rows and restores its changed rows, all or none."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Model, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .batches import BATCH_SIZE
from .files import Faults, Row
from .loading import Source, TableLoad
from .money import ZERO
from .reading import chunks
from .resources import BookResource
from .trail import Change, Load
from .values import Values, stored_values
from .writing import writing

MOST = 100_000  # rows; the user waits for the response
SINCE = {
    Change.ADDED: gettext_lazy("added since: %(signature)s"),
    Change.CHANGED: gettext_lazy("changed since: %(signature)s"),
    Change.DELETED: gettext_lazy("deleted since: %(signature)s"),
}


class NotUndone(Exception):
    """The import can't be undone, for the given reasons. Nothing was changed."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(f"{len(reasons)} reasons")
        self.reasons = reasons


class Undoing:
    """Undoes an import, or finds every reason why it can't be undone."""

    def __init__(self, load: Load, resource: type[BookResource]) -> None:
        self.load = load
        self.resource = resource
        self.model: Any = resource._meta.model
        self.reasons = list(self.reasons_of_record())

    def reasons_of_record(self) -> Iterator[str]:
        """Yields the reasons that the import's record and later records give, without looking at rows."""
        load = self.load
        if load.outcome != Load.STORED:
            yield _("Only an import that was stored can be undone.")
        elif undone_by := getattr(load, "undone_by", None):
            yield _("It has been undone already: %s.") % undone_by.signature()
        elif not load.new + load.changed:
            yield _("It changed nothing.")
        elif load.new + load.changed > MOST:
            yield _("It added or changed more than %d rows.") % MOST
        elif load.removed:
            text = ngettext(
                "It emptied the table first: %d row is gone for good.",
                "It emptied the table first: %d rows are gone for good.",
                load.removed,
            )
            yield text % load.removed
        else:
            later = Load.objects.filter(table=load.table, outcome=Load.STORED, pk__gt=load.pk)
            for replacing in later.filter(removed__gt=0).select_related("account"):
                yield _("The table was emptied since: %s.") % replacing.signature()

    def later_imports(self) -> QuerySet[Load]:
        """Returns later imports with unchanged rows, some of which may come from this import."""
        later = Load.objects.filter(table=self.load.table, outcome=Load.STORED, pk__gt=self.load.pk)
        return later.filter(unchanged__gt=0, undone_by=None).select_related("account").order_by("pk")

    def preview(self) -> None:
        """Finds the reasons without locking anything."""
        self.compare(locking=False)
        if not self.reasons:
            table = self.table_load()
            for _batch in table.compared(self.rows_before()):
                pass
            self.finish(table)

    def run(self) -> Load:
        """Undoes the import in the caller's transaction, and returns its record. Raises NotUndone."""
        self.compare(locking=True)
        table = self.table_load()
        record = table.record.load
        record.outcome, record.undoes = Load.UNDOING, self.load
        if not self.reasons:
            with table.record.running():
                for pks in chunks(self.load.new_ids(), BATCH_SIZE):
                    self.model._default_manager.filter(pk__in=pks).delete()
                table.run(self.rows_before())
            self.finish(table)
        if self.reasons:
            raise NotUndone(self.reasons)
        return record

    def table_load(self) -> TableLoad:
        source = Source(self.load.file, self.load.digest)
        return TableLoad(self.resource(), Faults(limit=None), source=source, removed=self.load.new)

    def finish(self, table: TableLoad) -> None:
        """Checks the restored rows against the book as it is now, like the rows of a file."""
        table.resource.finish(table.faults, table.doubtful)
        for fault in table.faults.listed:
            text = _("%(column)s would be %(found)s again; expected %(expected)s")
            self.against(fault.row, text % asdict(fault))

    def compare(self, locking: bool) -> None:
        """Finds the reasons that the import's rows give. With locking, it locks the rows."""
        if self.reasons:
            return
        sums = dict.fromkeys(self.load.sums, ZERO)
        for pks in chunks(self.load.new_ids(), BATCH_SIZE):
            stored = self.compare_rows(dict.fromkeys(pks), locking)
            for name in sums:
                sums[name] += sum((row[name] for row in stored.values()), ZERO)
            self.compare_references(pks)
        if not self.reasons and any(sums[name] != Decimal(given) for name, given in self.load.sums.items()):
            self.reasons.append(_("The sums of its new rows differ from the sums in the file."))
        for changes in chunks(self.changes(), BATCH_SIZE):
            self.compare_rows({change.object_id: change for change in changes}, locking)

    def changes(self) -> QuerySet[Change]:
        """Returns the changes that the import made to existing rows."""
        return self.load.changes.order_by("object_id")

    def compare_rows(self, changes: dict[int, Change | None], locking: bool) -> dict[int, Values]:
        """Returns {pk: values} of rows of the import. changes maps each pk to its change, or None if new."""
        stored = stored_values(self.model, changes, locking)
        later = self.later_changes(changes)
        for pk, change in changes.items():
            if pk in later:
                self.against(pk, SINCE[later[pk].action] % {"signature": later[pk].signature()})
            elif pk not in stored:
                self.against(pk, _("has been deleted"))
            elif change and values_of(self.model, change, 1).items() - stored[pk].items():
                self.against(pk, _("has other values than the import gave it"))
        return stored

    def later_changes(self, changes: dict[int, Change | None]) -> dict[int, Change]:
        """Returns {pk: the last change by others}, without the changes of imports that were undone since."""
        rows = Change.objects.filter(table=self.load.table, object_id__in=changes)
        others = rows.filter(load__undone_by=None, load__undoes=None).exclude(load=self.load)
        since = others.filter(moment__gte=self.load.moment).select_related("account").order_by("pk")
        found: dict[int, Change] = {}
        for change in since:
            pk: Any = change.object_id
            if not ((own := changes[pk]) and change.pk < own.pk):
                found[pk] = change
        return found

    def compare_references(self, pks: list[int]) -> None:
        """Finds rows that refer to rows to be deleted."""
        relations: Iterable[Any] = self.model._meta.related_objects
        for relation in relations:
            name = relation.field.attname
            rows = relation.related_model._base_manager.filter(**{f"{name}__in": pks})
            referring = rows.order_by(name).values_list(name).annotate(Count("pk"), Min("pk"))
            for pk, count, first in referring:
                row = f"{relation.related_model._meta.verbose_name} {first}"
                text = _("rows that refer to it: %(count)d, the first is %(row)s")
                self.against(pk, text % {"count": count, "row": row})

    def against(self, pk: int | None, reason: str) -> None:
        row = f"{self.model._meta.verbose_name} {pk}" if pk else self.model._meta.verbose_name_plural
        self.reasons.append(f"{row}: {reason}")

    def rows_before(self) -> Iterator[Row]:
        """Yields the changed rows with their old values, like rows of a file; the id is the row number."""
        resource = self.resource()
        for changes in chunks(self.changes(), BATCH_SIZE):
            items = self.model._default_manager.in_bulk([change.object_id for change in changes])
            for change in changes:
                item = items[change.object_id]
                for name, value in values_of(self.model, change, 0).items():
                    setattr(item, name, value)
                yield Row(item.pk, dict(zip(resource.columns(), resource.text_cells(item), strict=True)))


def undo(load: Load, resource: type[BookResource]) -> Load:
    """Undoes the import in a transaction, and returns the record of that. Raises NotUndone."""
    with writing():
        # If two requests undo the same import, the second waits here and then finds the first one's record.
        locked = Load.objects.select_for_update().get(pk=load.pk)
        return Undoing(locked, resource).run()


def values_of(model: type[Model], change: Change, which: int) -> Values:
    """Returns the values of the changed fields before (0) or after (1) the change."""
    fields: Any = model._meta
    return {name: fields.get_field(name).to_python(pair[which]) for name, pair in change.fields.items()}
