"""The data stamp: which state of the book a computed report belongs to."""

import secrets

from django.db import models


class DataStamp(models.Model):
    """One row. Every transaction that writes the book gives it a value that it never had before.

    Neither a rollback, a restored backup nor a cache that was away can bring a value back with other data.
    """

    value = models.CharField(max_length=32)

    def __str__(self) -> str:
        return self.value

    @classmethod
    def current(cls) -> str:
        return cls.objects.values_list("value", flat=True).get()

    @classmethod
    def renew(cls) -> None:
        """Raises RuntimeError if the row is gone."""
        if cls.objects.update(value=secrets.token_hex(16)) != 1:
            raise RuntimeError("The data stamp must be one row. It was made by migrate.")
