"""The data stamp, which names the state of the book that a report was computed from, and the dated notes."""

import secrets
from typing import Any

from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _


class DataStamp(models.Model):
    """A single row. Every transaction that writes the book gives it a new random value.

    So a value never stands for two states of the book, even after a rollback, a restored backup or an outage
    of the cache.
    """

    value = models.CharField(max_length=32)

    def __str__(self) -> str:
        return self.value

    @classmethod
    def current(cls) -> str:
        """Returns the value. Every answer needs it, so it avoids the ORM, which takes four times as long."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM reports_datastamp")
            ((value,),) = cursor.fetchall()
        return value

    @classmethod
    def renew(cls) -> None:
        """Sets a new value. Raises RuntimeError if the row is missing."""
        if cls.objects.update(value=secrets.token_hex(16)) != 1:
            raise RuntimeError("The data stamp must be one row. It was made by migrate.")


class Note(models.Model):
    """What happened on a day, such as "tariff changed". It stands under the charts that cover the day.

    The pages that are cached have the notes, so to write one renews the data stamp in the same transaction:
    see signals.py. update() and bulk_create() send no signal and must not be used.
    """

    day = models.DateField(_("day"), db_index=True)
    text = models.CharField(_("text"), max_length=200, help_text=_("What happened on this day."))

    class Meta:
        ordering = ("day", "pk")
        verbose_name = _("note")
        verbose_name_plural = _("notes on charts")

    def __str__(self) -> str:
        return f"{self.day}: {self.text}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():  # with the stamp
            super().save(*args, **kwargs)
