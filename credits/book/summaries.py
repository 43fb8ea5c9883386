"""Totals of the book's rows, stored in tables of their own, so that reports need not add up the rows.

Each write adds the keys of its rows, such as the days of payments, to door.touched: the keys before and after
the write. When the outermost writing() ends, or before it reads totals itself, the totals of these keys are
computed again from the rows, by one writer at a time. No amount is ever added to a stored total or subtracted
from it, so if a total is wrong, the next write to its key corrects it.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import Any, ClassVar

from django.apps import apps
from django.db import models
from django.dispatch import receiver
from django.utils import timezone

from .values import ChangedRow
from .writing import book_written, door, one_at_a_time, rows_changed, rows_loaded

LOCK = "summaries"
NEW = "new summaries"  # a row of Lock: a migration has created tables that were not filled yet
MANY = 100_000  # keys; beyond this number the whole table is computed instead of remembering more keys


class SummaryManager(models.Manager[Any]):
    """Computes the touched totals before each query: totals read inside writing() include its rows."""

    def get_queryset(self) -> models.QuerySet[Any]:
        touched = door.touched
        try:
            recompute_touched()
        finally:
            door.touched = touched  # a savepoint may take back what was computed: the end computes it again
        return super().get_queryset()


class Summary(models.Model):
    """A table of totals.

    sources: {a model's label: its columns that the totals depend on}.
    """

    sources: ClassVar[dict[str, tuple[str, ...]]]

    class Meta:
        abstract = True
        default_permissions = ()

    @classmethod
    def keys(cls, source: Any, before: Any, after: Any) -> set[Any]:
        """Returns the keys of the totals that a written row is part of.

        before and after are its values in the columns of sources; None if it was inserted or deleted.
        """
        return {values[0] for values in (before, after) if values}

    @classmethod
    def computed(cls, source: Any, keys: Collection[Any] | None) -> Iterator[Any]:
        """Computes the totals of these keys from the rows of the source model. None means all keys."""
        raise NotImplementedError

    @classmethod
    def stored(cls, source: Any, keys: Collection[Any] | None) -> models.QuerySet[Any]:
        """Returns the stored totals of these keys. None means all keys."""
        raise NotImplementedError

    @classmethod
    def recompute(cls, touched: dict[Any, Collection[Any] | None]) -> None:
        """Computes totals again and stores them. touched is {source: its keys}. None means all keys."""
        for source, keys in touched.items():
            totals = list(cls.computed(source, keys))
            cls.stored(source, keys).delete()
            cls._base_manager.bulk_create(totals, batch_size=2000)

    @classmethod
    def all_computed(cls) -> Iterator[Any]:
        """Computes all totals from the rows, without storing them."""
        for label in cls.sources:
            yield from cls.computed(apps.get_model(label), None)

    @classmethod
    def bring_to(cls, day: date) -> None:
        """Computes the totals that don't hold on this day. Most kinds of totals hold on every day."""


def summaries_of(model: Any) -> Iterator[tuple[type[Summary], tuple[str, ...]]]:
    """Yields (summary, columns) for each summary that depends on these columns of the model."""
    for summary in Summary.__subclasses__():
        if columns := summary.sources.get(model._meta.label_lower):
            yield summary, columns


def touch(summary: type[Summary], source: Any, keys: Iterable[Any] | None) -> None:
    """Marks the totals of these keys, to be computed when writing() ends. None means all keys."""
    touched = door.touched.setdefault((summary, source), set())
    if keys is not None and touched is not None:
        touched.update(keys)
    if keys is None or touched is None or len(touched) > MANY:
        door.touched[summary, source] = None


@receiver(rows_changed)
def touch_changed(sender: Any, rows: list[ChangedRow] | None, **kwargs: Any) -> None:
    for summary, columns in summaries_of(sender):
        if rows is None:
            touch(summary, sender, None)
            continue
        keys = set()
        for _pk, before, after in rows:
            old, new = ([row[name] for name in columns] if row else None for row in (before, after))
            if old != new:
                keys |= summary.keys(sender, old, new)
        touch(summary, sender, keys)


@receiver(rows_loaded)
def touch_loaded(sender: Any, rows: list[Any], **kwargs: Any) -> None:
    for summary, columns in summaries_of(sender):
        keys = set()
        for row in rows:
            keys |= summary.keys(sender, None, [getattr(row, name) for name in columns])
        touch(summary, sender, keys)


@receiver(book_written)
def recompute_touched(**kwargs: Any) -> None:
    """Computes the totals of the touched keys, under a lock so that they include all committed rows."""
    touched: dict[Any, dict[Any, Any]] = {}
    for (summary, source), keys in door.touched.items():
        if keys is None or keys:
            touched.setdefault(summary, {})[source] = keys
    door.touched = {}
    if touched:
        one_at_a_time(LOCK)
    for summary, of_sources in touched.items():
        summary.recompute(of_sources)


def recompute_all() -> None:
    """Marks all totals, to be computed when writing() ends."""
    for summary in Summary.__subclasses__():
        sources = {apps.get_model(label) for label in summary.sources}
        door.written |= sources
        door.untold |= sources


def differences(summary: type[Summary]) -> Iterator[str]:
    """Yields a line for each stored total that differs from its rows as of today, in order of keys."""
    summary.bring_to(timezone.localdate())
    fields: Any = summary._meta.concrete_fields
    names = [field.attname for field in fields]
    stored = {row.pk: row for row in summary._base_manager.all()}
    computed = {row.pk: row for row in summary.all_computed()}
    for pk in sorted(stored.keys() | computed.keys()):
        kept, right = (
            ", ".join(f"{name} {getattr(row, name)}" for name in names) if row else "nothing"
            for row in (stored.get(pk), computed.get(pk))
        )
        if kept != right:
            yield f"{summary._meta.db_table}: found {kept}; expected {right}"
