"""Renews the data stamp when the book or a note was written, so that older cache entries are never read."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from credits.book.writing import book_written

from .models import DataStamp, Note


@receiver(book_written)
@receiver([post_save, post_delete], sender=Note)
def renew_stamp(**kwargs: Any) -> None:
    DataStamp.renew()
