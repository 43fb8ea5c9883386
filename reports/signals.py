"""Renews the data stamp when the book was written, so that older cache entries are never read."""

from typing import Any

from django.dispatch import receiver

from credits.book.writing import book_written

from .models import DataStamp


@receiver(book_written)
def renew_stamp(**kwargs: Any) -> None:
    DataStamp.renew()
