"""The one door to the book: whoever changes a source table does it inside `with writing():`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import models, transaction
from django.dispatch import Signal

# Sent within the transaction, as the last thing before it ends: what a receiver writes is committed or
# rolled back with the book, and what it raises undoes all.
book_written = Signal()


class Door(threading.local):
    is_open = False


door = Door()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that changes the book. Inside another writing it does nothing of its own."""
    if door.is_open:
        yield
        return
    with transaction.atomic():
        door.is_open = True
        try:
            yield
            book_written.send(sender=None)
        finally:
            door.is_open = False


class BookQuerySet(models.QuerySet[Any]):
    """Rows of the book: its bulk operations, which Django sends no signals for, are writings too."""

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        with writing():
            return super().bulk_create(*args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> Any:
        with writing():
            return super().bulk_update(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        with writing():
            return super().update(**kwargs)

    update.alters_data = True  # type: ignore[attr-defined]  # a template can't call it

    def delete(self) -> Any:
        with writing():
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]  # Model.objects.delete() would be too easy


class BookModel(models.Model):
    """A table of the book. Related managers write through its QuerySet as well."""

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        with writing():
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with writing():
            return super().delete(*args, **kwargs)
