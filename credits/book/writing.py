"""The one door to the book: all writes must happen inside `with writing():`."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.utils import NotSupportedError
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _

from .money import grouped
from .values import changed_rows, given_values, is_exact, stored_values

# What is beyond these is allowed, but likely a slip of the pen. A credit of the first real book has a body of
# 5,000 at most and interest of 62,400; its payments reach 27,675. Its oldest day is in 2020.
MUCH = Decimal(1_000_000)
FIRST_YEAR = 2000
YEARS_AHEAD = 5

MAX_IDS = 900  # in a statement: old SQLite takes 999 values

# Signals. Receivers run inside the transaction: their writes are committed or rolled back with the book, and
# their exceptions roll it back.

# After each write of a model, the sender. rows is a list of ChangedRow; None: any row may differ.
rows_changed = Signal()

# After each batch of a load into a model, the sender. rows is a list of its new instances.
rows_loaded = Signal()

# Once, as the last thing before the transaction of the outermost writing() ends.
book_written = Signal()


class Door(threading.local):
    is_open = False
    written: set[Any] = set()  # models whose tables a statement may have changed since it was opened
    told: set[Any] = set()  # models of which rows_changed or rows_loaded was sent since then
    touched: dict[Any, Any] = {}  # what the summaries must compute again when the writing ends

    def watch(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        """Around each statement of a writing: all but SELECT may change a table that they name."""
        if not sql.startswith("SELECT"):
            named = [model for model in BookModel.__subclasses__() if model._meta.db_table in sql]
            if len(named) > 1 and sql.startswith(("INSERT", "UPDATE", "DELETE")):
                named = [min(named, key=lambda model: sql.index(model._meta.db_table))]  # its target
            self.written.update(named)
        return execute(sql, *args)

    def tell(self, signal: Signal, model: Any, rows: Any) -> None:
        self.told.add(model)
        signal.send(model, rows=rows)


door = Door()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that changes the book, or finds nothing to change: then it isn't written.

    Inside another writing it does nothing of its own. After SQL that no signal told of, any row of that table
    may have changed.
    """
    if door.is_open:
        yield
        return
    with transaction.atomic(), connection.execute_wrapper(door.watch):
        door.is_open, door.written, door.told, door.touched = True, set(), set(), {}
        try:
            yield
            if door.written:
                for model in door.written - door.told:
                    rows_changed.send(model, rows=None)
                book_written.send(sender=None)
        finally:
            door.is_open, door.touched = False, {}


class Lock(models.Model):
    """A row to lock while doing what only one may do at a time. No row of the book refers to it."""

    name = models.CharField(max_length=50, primary_key=True)

    class Meta:
        app_label = "credits"
        db_table = "book_lock"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


def one_at_a_time(name: str) -> None:
    """Wait until nobody holds the name, then hold it until the transaction ends."""
    Lock.objects.select_for_update().get_or_create(name=name)


class BookQuerySet(models.QuerySet[Any]):
    """Rows of the book: bulk operations are writings too, and send rows_changed."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts"):
            raise NotSupportedError("The trail can't tell which rows became of these.")
        with writing():
            created = self.insert(list(objs), *args, **kwargs)
            door.tell(rows_changed, self.model, [(row.pk, None, given_values(row)) for row in created])
        return created

    def held(self, ids: Collection[Any]) -> dict[Any, Any]:
        """{id: row} of these, which nobody changes until the transaction ends. Others may hold them too.

        For a rule that spans two rows: who writes the one row holds the other, by which it is judged.
        """
        if connection.vendor != "mysql" or not ids:  # SQLite has one transaction at a time that writes
            return self.in_bulk(ids)
        sql, params = self.filter(pk__in=ids).order_by("pk").query.sql_with_params()
        return {row.pk: row for row in self.raw(f"{sql} LOCK IN SHARE MODE", params)}

    def known(self, ids: Collection[Any], column: str, hold: bool) -> dict[Any, Any]:
        """{id: value of the column} of these rows; with hold, they are held as by held()."""
        found: dict[Any, Any] = {}
        wanted = sorted(ids)
        for start in range(0, len(wanted), MAX_IDS):
            some = self.filter(pk__in=wanted[start : start + MAX_IDS])
            rows = some.order_by("pk").values_list("pk", column)
            if hold and connection.vendor == "mysql":
                sql, params = rows.query.sql_with_params()
                with connection.cursor() as cursor:
                    cursor.execute(f"{sql} LOCK IN SHARE MODE", params)
                    found |= dict(cursor.fetchall())
            else:
                found |= dict(rows)
        return found

    def bulk_load(self, rows: list[Any]) -> None:
        """bulk_create for a load, whose one record stands for all its new rows.

        The values must have the types of their fields: those of rows with ids go to the driver unchanged.
        """
        with writing():
            if all(row.id is not None for row in rows):
                self.insert_as_given(rows)
            else:
                self.insert(rows)
            door.tell(rows_loaded, self.model, rows)

    def insert_as_given(self, rows: list[Any]) -> None:
        """Insert rows that have ids. Preparing each value, as Django does, took a third of a load's time."""
        fields, quoted = self.model._meta.concrete_fields, connection.ops.quote_name
        names = ", ".join(quoted(each.column) for each in fields)
        marks = ", ".join(["%s"] * len(fields))
        sql = f"INSERT INTO {quoted(self.model._meta.db_table)} ({names}) VALUES ({marks})"  # noqa: S608
        values = attrgetter(*(each.attname for each in fields))
        with connection.cursor() as cursor:
            cursor.executemany(sql, [values(row) for row in rows])

    def empty(self) -> int:
        """Delete every row of a table that no other row refers to, without a record of each; how many."""
        with writing():
            deleted = self._raw_delete(self.db)
            door.tell(rows_changed, self.model, None)
        return deleted

    def insert(self, rows: list[Any], batch_size: int | None = None, **kwargs: Any) -> list[Any]:
        """Django's bulk_create, after which the rows know their ids on MySQL too."""
        if connection.features.can_return_rows_from_bulk_insert:
            return super().bulk_create(rows, batch_size, **kwargs)
        size = batch_size or len(rows) or 1
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            new = [row for row in batch if row.pk is None]
            super().bulk_create(batch, **kwargs)  # those without an id come last, in one statement
            # InnoDB gives such a statement consecutive ids, of which this connection knows the first.
            with connection.cursor() as cursor:
                cursor.execute("SELECT LAST_INSERT_ID(), @@auto_increment_increment")
                first, step = cursor.fetchone()
            for number, row in enumerate(new):
                row.pk = first + number * step
                row._state.adding, row._state.db = False, self.db
        return rows

    def bulk_change(self, rows: list[Any], fields: list[str]) -> None:
        """bulk_update for a load, twenty times as fast; the rows must be there."""
        named = connection.features.supports_update_conflicts_with_target
        with writing():
            before = stored_values(self.model, [row.pk for row in rows])
            super().bulk_create(
                rows,
                update_conflicts=True,
                update_fields=fields,
                unique_fields=["pk"] if named else None,
            )
            door.tell(rows_changed, self.model, changed_rows(before, stored_values(self.model, before)))

    def bulk_update(self, *args: Any, **kwargs: Any) -> Any:
        with writing():
            return super().bulk_update(*args, **kwargs)  # by update(), which tells what changed

    def update(self, **kwargs: Any) -> int:
        with writing():
            before = stored_values(self.model, self.values_list("pk", flat=True))
            updated = super().update(**kwargs)
            door.tell(rows_changed, self.model, changed_rows(before, stored_values(self.model, before)))
        return updated

    update.alters_data = True  # type: ignore[attr-defined]  # a template can't call it

    def delete(self) -> Any:
        with writing():
            before = stored_values(self.model, self.values_list("pk", flat=True))
            deleted = super().delete()
            door.tell(rows_changed, self.model, changed_rows(before, {}))
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]  # Model.objects.delete() would be too easy


class BookModel(models.Model):
    """A table of the book. Related managers write through its QuerySet as well.

    past: the dates of what has happened already when it is written down.
    much: an amount from which on it is doubtful.
    """

    past: tuple[str, ...] = ()
    much = MUCH

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """As Django's; a row that is stored already as it is isn't written."""
        with writing():
            before = stored_values(type(self), [self.pk] if self.pk else [])
            if not self._state.adding and before.get(self.pk) == given_values(self):
                return
            super().save(*args, **kwargs)
            given = given_values(self)
            if "update_fields" not in kwargs and is_exact(self, given):
                after = {given["id"]: given}
            else:
                after = stored_values(type(self), [self.pk])
            door.tell(rows_changed, type(self), changed_rows(before, after))

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with writing():
            before = stored_values(type(self), [self.pk])
            deleted = super().delete(*args, **kwargs)
            door.tell(rows_changed, type(self), changed_rows(before, {}))
        return deleted

    def get_constraints(self) -> list[tuple[type[models.Model], Sequence[models.BaseConstraint]]]:
        """The constraints to validate: no checks, for fields and faults() know those without a query."""
        return [
            (model, [each for each in constraints if not isinstance(each, models.CheckConstraint)])
            for model, constraints in super().get_constraints()
        ]

    def clean(self) -> None:
        """Raises ValidationError, by field: for the admin's forms and the API alike."""
        if faults := dict(self.faults()):
            raise ValidationError(faults)

    def faults(self) -> Iterator[tuple[str, Any]]:
        """(field, what is wrong with it): the rules that a field can't know by itself."""
        for field in self._meta.fields:
            value = getattr(self, field.attname)
            if isinstance(field, models.DateField) and value and not 1900 <= value.year <= 2999:
                yield field.name, _("Enter a date from 1900 to 2999.")
            elif isinstance(field, models.CharField) and value and not is_readable(value):
                yield field.name, _("Enter characters that can be seen, without spaces around them.")

    def doubts(self, today: date) -> Iterator[tuple[str, Any]]:
        """(field, why its value is doubtful), without a query. Doubtful values are stored all the same."""
        for field in self._meta.fields:
            value = getattr(self, field.attname)
            if isinstance(field, models.DateField) and value:
                if value.year < FIRST_YEAR:
                    yield field.name, _("%(day)s is before %(year)d.") % {"day": value, "year": FIRST_YEAR}
                elif field.name in self.past and value > today:
                    yield field.name, _("%s is still to come.") % value
                elif value.year > today.year + YEARS_AHEAD:
                    years = {"day": value, "years": YEARS_AHEAD}
                    yield field.name, _("%(day)s is more than %(years)d years ahead.") % years
            elif isinstance(field, models.DecimalField) and value and value >= self.much:
                amounts = {"amount": grouped(value), "much": grouped(self.much)}
                yield field.name, _("%(amount)s is unusually much: %(much)s or more.") % amounts


def is_readable(text: str) -> bool:
    return text.isprintable() and "\ufffd" not in text and text == text.strip()
