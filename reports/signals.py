"""The book was written: what was computed from it before is of the past."""

from typing import Any

from django.dispatch import receiver

from credits.book.writing import book_written

from .models import DataStamp


@receiver(book_written)
def renew_stamp(**kwargs: Any) -> None:
    DataStamp.renew()
