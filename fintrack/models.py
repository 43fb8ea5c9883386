"""What the project keeps beside the book: which answer a request got that may be sent again."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

KEPT_FOR = timedelta(days=7)


class KeyTaken(Exception):
    """The key belongs to another request."""


class IdempotencyKey(models.Model):
    """A request that wrote, by the key that its client gave it, and the answer that it got.

    It is stored in the transaction that it answers for: both are there or neither is.
    """

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("account"))
    key = models.CharField(_("digest of the key"), max_length=64)
    digest = models.CharField(_("digest of the request"), max_length=64)
    answer = models.TextField(_("answer"))
    made = models.DateTimeField(_("made"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def once(cls, account: Any, key: str, request: Any, act: Callable[[], Any]) -> tuple[Any, bool]:
        """What act returns for this request, now or when it was sent first; and whether it was sent before.

        To be called in the transaction of the act. Raise KeyTaken.
        """
        # Looked up before they are deleted: to search for them, DELETE would wait for the rows of others.
        old = cls.objects.filter(made__lt=timezone.now() - KEPT_FOR).values_list("pk", flat=True)[:100]
        cls.objects.filter(pk__in=list(old)).delete()
        digest = digest_of(json.dumps(request, sort_keys=True, default=str))
        # A second one that comes while the first is at work waits here until that is committed.
        kept, is_new = cls.objects.get_or_create(
            account=account, key=digest_of(key), defaults={"digest": digest}
        )
        if kept.digest != digest:
            raise KeyTaken
        if is_new:
            kept.answer = json.dumps(act())
            kept.save(update_fields=["answer"])
        return json.loads(kept.answer), not is_new


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
