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
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .money import grouped
from .values import changed_rows, given_values, is_exact, stored_values

# Values beyond these limits are allowed, but likely typing errors. In the first real book, bodies reach
# 5,000, interest 62,400 and payments 27,675. Its oldest day is in 2020.
MUCH = Decimal(1_000_000)
FIRST_YEAR = 2000
YEARS_AHEAD = 5

MAX_IDS = 900  # in a statement: old SQLite takes 999 values

# Signals. Receivers run inside the transaction: their writes are committed or rolled back with the book, and
# their exceptions roll it back.

# Sent after each write of a model, the sender. rows is a list of ChangedRow; None: any row may differ.
rows_changed = Signal()

# Sent after each batch of a load into a model, the sender. rows is a list of its new instances.
rows_loaded = Signal()

# Sent once, just before the transaction of the outermost writing() ends.
book_written = Signal()


class Door(threading.local):
    is_open = False
    written: set[Any] = set()  # models whose tables a statement may have changed since it was opened
    untold: set[Any] = set()  # models whose tables a statement may have changed without a signal
    telling: Any = None  # the model being written by a method that sends a signal
    touched: dict[Any, Any] = {}  # the totals that the summaries must compute again when the writing ends

    def watch(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        """Notes the tables that a statement may change, and runs it. A SELECT changes no table."""
        if not sql.startswith("SELECT"):
            named = {model for model in BookModel.__subclasses__() if model._meta.db_table in sql}
            self.written |= named
            if self.telling not in named:  # its statements may name other tables, but don't change them
                self.untold |= named
        return execute(sql, *args)


door = Door()


@contextmanager
def writing() -> Iterator[None]:
    """Opens the transaction that all writes of the book need. Inside another writing() it does nothing.

    At its end it sends rows_changed for tables that SQL changed without a signal, and then book_written. It
    sends neither if no statement wrote to the book.
    """
    if door.is_open:
        yield
        return
    with transaction.atomic(), connection.execute_wrapper(door.watch):
        door.is_open, door.written, door.untold, door.touched = True, set(), set(), {}
        try:
            yield
            if door.written:
                for model in door.untold:
                    rows_changed.send(model, rows=None)
                book_written.send(sender=None)
        finally:
            door.is_open, door.touched = False, {}


@contextmanager
def telling(model: Any) -> Iterator[None]:
    """writing() for a method that sends a signal for each row of the model that it changes."""
    outer = door.telling
    with writing():
        door.telling = model
        try:
            yield
        finally:
            door.telling = outer


class Lock(models.Model):
    """A row that a transaction locks to do something that only one may do at a time. No row refers to it."""

    name = models.CharField(max_length=50, primary_key=True)

    class Meta:
        app_label = "credits"
        db_table = "book_lock"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


def one_at_a_time(name: str) -> None:
    """Waits until no other transaction holds the name, then holds it until this transaction ends."""
    Lock.objects.select_for_update().get_or_create(name=name)


class BookQuerySet(models.QuerySet[Any]):
    """Rows of the book. Bulk operations run inside writing() too, and send rows_changed."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts"):
            raise NotSupportedError("The trail can't tell which rows were stored or changed.")
        with telling(self.model):
            created = self.insert(list(objs), *args, **kwargs)
            rows_changed.send(self.model, rows=[(row.pk, None, given_values(row)) for row in created])
        return created

    def held(self, ids: Collection[Any]) -> dict[Any, Any]:
        """Returns {id: row}, and locks the rows: nobody can change them until the transaction ends.

        The lock is shared, so other transactions may hold the same rows. Rules that compare two rows need it:
        a payment is checked against its credit, so the credit is held while the payment is written.
        """
        ids = [pk for pk in ids if pk is not None]  # there is no SQL for None alone
        if connection.vendor != "mysql" or not ids:  # on SQLite only one transaction at a time writes
            return self.in_bulk(ids)
        sql, params = self.filter(pk__in=ids).order_by("pk").query.sql_with_params()
        return {row.pk: row for row in self.raw(f"{sql} LOCK IN SHARE MODE", params)}

    def known(self, ids: Collection[Any], column: str, hold: bool) -> dict[Any, Any]:
        """Returns {id: value of the column}. With hold, it locks the rows as held() does."""
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
        """Inserts new rows for a load. One record of the trail stands for all of them.

        Each value must have its field's type: the values of rows with ids go to the driver unchanged.
        """
        with telling(self.model):
            if all(row.id is not None for row in rows):
                self.insert_as_given(rows)
            else:
                self.insert(rows)
            rows_loaded.send(self.model, rows=rows)

    def insert_as_given(self, rows: list[Any]) -> None:
        """Inserts rows that have ids. Preparing each value, as Django does, took a third of a load's time."""
        fields, quoted = self.model._meta.concrete_fields, connection.ops.quote_name
        names = ", ".join(quoted(each.column) for each in fields)
        marks = ", ".join(["%s"] * len(fields))
        sql = f"INSERT INTO {quoted(self.model._meta.db_table)} ({names}) VALUES ({marks})"  # noqa: S608
        values = attrgetter(*(each.attname for each in fields))
        with connection.cursor() as cursor:
            cursor.executemany(sql, [values(row) for row in rows])

    def empty(self) -> int:
        """Deletes every row and returns their number. The trail records no single row.

        No other table may refer to the rows.
        """
        with telling(self.model):
            deleted = self._raw_delete(self.db)
            rows_changed.send(self.model, rows=None)
        return deleted

    def insert(self, rows: list[Any], batch_size: int | None = None, **kwargs: Any) -> list[Any]:
        """Django's bulk_create, except that it sets the rows' ids on MySQL too."""
        if connection.features.can_return_rows_from_bulk_insert:
            return super().bulk_create(rows, batch_size, **kwargs)
        size = batch_size or len(rows) or 1
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            new = [row for row in batch if row.pk is None]
            super().bulk_create(batch, **kwargs)  # Django inserts rows without ids last, in one statement
            # InnoDB gives the rows of one statement consecutive ids; LAST_INSERT_ID() returns the first.
            with connection.cursor() as cursor:
                cursor.execute("SELECT LAST_INSERT_ID(), @@auto_increment_increment")
                first, step = cursor.fetchone()
            for number, row in enumerate(new):
                row.pk = first + number * step
                row._state.adding, row._state.db = False, self.db
        return rows

    def bulk_change(self, rows: list[Any], fields: list[str]) -> None:
        """Updates rows for a load, twenty times as fast as bulk_update. The rows must exist."""
        named = connection.features.supports_update_conflicts_with_target
        with telling(self.model):
            before = stored_values(self.model, [row.pk for row in rows])
            super().bulk_create(
                rows,
                update_conflicts=True,
                update_fields=fields,
                unique_fields=["pk"] if named else None,
            )
            rows_changed.send(self.model, rows=changed_rows(before, stored_values(self.model, before)))

    def bulk_update(self, *args: Any, **kwargs: Any) -> Any:
        with telling(self.model):
            return super().bulk_update(*args, **kwargs)  # it calls update(), which sends rows_changed

    def update(self, **kwargs: Any) -> int:
        with telling(self.model):
            before = stored_values(self.model, self.values_list("pk", flat=True))
            updated = super().update(**kwargs)
            rows_changed.send(self.model, rows=changed_rows(before, stored_values(self.model, before)))
        return updated

    update.alters_data = True  # type: ignore[attr-defined]  # a template can't call it

    def delete(self) -> Any:
        with telling(self.model):
            before = stored_values(self.model, self.values_list("pk", flat=True))
            deleted = super().delete()
            rows_changed.send(self.model, rows=changed_rows(before, {}))
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]  # Model.objects.delete() would be too easy


class BookModel(models.Model):
    """A table of the book. Related managers write through its QuerySet as well.

    past: date fields that are doubtful in the future.
    much: amounts of this size or more are doubtful.
    """

    past: tuple[str, ...] = ()
    much = MUCH

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Django's, except that a row isn't written if the database has the same values already."""
        with telling(type(self)):
            before = stored_values(type(self), [self.pk] if self.pk else [])
            if not self._state.adding and before.get(self.pk) == given_values(self):
                return
            super().save(*args, **kwargs)
            given = given_values(self)
            if not args and "update_fields" not in kwargs and is_exact(self, given):
                after = {given["id"]: given}
            else:
                after = stored_values(type(self), [self.pk])
            rows_changed.send(type(self), rows=changed_rows(before, after))

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with telling(type(self)):
            before = stored_values(type(self), [self.pk])
            deleted = super().delete(*args, **kwargs)
            rows_changed.send(type(self), rows=changed_rows(before, {}))
        return deleted

    def get_constraints(self) -> list[tuple[type[models.Model], Sequence[models.BaseConstraint]]]:
        """Django's, without check constraints: fields and faults() check the same rules without a query."""
        return [
            (model, [each for each in constraints if not isinstance(each, models.CheckConstraint)])
            for model, constraints in super().get_constraints()
        ]

    def clean(self) -> None:
        """Raises ValidationError with the faults by field. The admin's forms and the API both call it."""
        if faults := dict(self.faults()):
            raise ValidationError(faults)

    def faults(self) -> Iterator[tuple[str, Any]]:
        """Yields (field, message) for each broken rule that the field doesn't check by itself."""
        for field in self._meta.fields:
            value = getattr(self, field.attname)
            if isinstance(field, models.DateField) and value and not 1900 <= value.year <= 2999:
                yield field.name, _("Enter a date from 1900 to 2999.")
            elif isinstance(field, models.CharField) and value and not is_readable(value):
                yield field.name, _("Enter characters that can be seen, without spaces around them.")

    def doubts(self, today: date) -> Iterator[tuple[str, Any]]:
        """Yields (field, reason) for each doubtful value, without a query. Doubtful values are stored too."""
        for field in self._meta.fields:
            value = getattr(self, field.attname)
            if isinstance(field, models.DateField) and value:
                day = date_format(value, "SHORT_DATE_FORMAT")
                if value.year < FIRST_YEAR:
                    yield field.name, _("%(day)s is before %(year)d.") % {"day": day, "year": FIRST_YEAR}
                elif field.name in self.past and value > today:
                    yield field.name, _("%s is still to come.") % day
                elif value.year > today.year + YEARS_AHEAD:
                    text = ngettext(
                        "%(day)s is more than %(years)d year ahead.",
                        "%(day)s is more than %(years)d years ahead.",
                        YEARS_AHEAD,
                    )
                    yield field.name, text % {"day": day, "years": YEARS_AHEAD}
            elif isinstance(field, models.DecimalField) and value and value >= self.much:
                amounts = {"amount": grouped(value), "much": grouped(self.much)}
                yield field.name, _("%(amount)s is unusually high: %(much)s or more.") % amounts


def is_readable(text: str) -> bool:
    return text.isprintable() and "\ufffd" not in text and text == text.strip()
