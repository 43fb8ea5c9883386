"""The data stamp (the state of the book that a report was computed from), dated notes, and saved views."""

import secrets
from typing import Any, Self

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q
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


class SavedViewQuerySet(models.QuerySet[Any]):
    def seen_by(self, account: Any) -> Self:
        return self.filter(Q(account=account) | Q(shared=True)).select_related("account")

    def deletable_by(self, account: Any) -> Self:
        """Returns the account's own views; for those who manage accounts, also the shared ones of others."""
        return self.seen_by(account) if account.has_perm("auth.change_user") else self.filter(account=account)


class SavedView(models.Model):
    """A page of a report or list that an account keeps under a name. Everybody sees a shared one.

    Periods in the address, such as month-1, stay as they are, so the view moves on with time.
    """

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=100)
    address = models.CharField(_("address"), max_length=2000)
    shared = models.BooleanField(_("shared with everybody"), default=False)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        ordering = ("name", "pk")
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="saved_view_name_once")]

    def __str__(self) -> str:
        return self.name
