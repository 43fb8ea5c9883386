"""Tables beside the book: idempotency keys, the trail of accounts, tokens and failed sign-ins."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Self

from axes.models import AccessAttempt, AccessFailureLog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import OuterRef, Subquery, Sum
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

KEPT_FOR = timedelta(days=7)


class KeyTaken(Exception):
    """The key belongs to another request."""


class IdempotencyKey(models.Model):
    """A write request under the key that its client chose, with the response that it got.

    It is stored in the same transaction as the write: both are committed or neither.
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
        """Calls act() for a new request. Returns the result, and whether the request was sent before.

        Call it inside the transaction of the write. Raises KeyTaken.
        """
        # A plain DELETE would wait for rows locked by other requests; skip_locked doesn't.
        old = cls.objects.filter(made__lt=timezone.now() - KEPT_FOR).select_for_update(skip_locked=True)
        cls.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:100])).delete()
        digest = digest_of(json.dumps(request, sort_keys=True, default=str))
        # A second request with this key waits here until the first one is committed.
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


class AccountChange(models.Model):
    """A change of an account. fields is {name: [before, after]} and never holds a password or a token."""

    MADE, CHANGED, ROLES = "made", "changed", "roles"
    PASSWORD_SET, PASSWORD_CHANGED, PASSWORD_REMOVED = "password set", "password changed", "password removed"
    TOKEN_MADE, TOKEN_REVOKED, TOKEN_EXPIRED = "token made", "token revoked", "token expired"
    UNLOCKED = "unlocked"
    # Labels of what `fields` records beside the fields of an account.
    LABELS: ClassVar = {
        "roles": _("role"),
        "token": _("token"),
        "what for": _("what for"),
        "expires": _("expires"),
    }

    moment = models.DateTimeField(_("when"), default=timezone.now, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,  # accounts are deactivated, not deleted
        null=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    via = models.CharField(_("by way of"), max_length=200)
    about = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("account")
    )
    action = models.CharField(
        _("action"),
        max_length=20,
        choices=[
            (MADE, _("made")),
            (CHANGED, _("changed")),
            (ROLES, _("role changed")),
            (PASSWORD_SET, _("password set by somebody else")),
            (PASSWORD_CHANGED, _("own password changed")),
            (PASSWORD_REMOVED, _("password removed")),
            (TOKEN_MADE, _("token made")),
            (TOKEN_REVOKED, _("token revoked")),
            (TOKEN_EXPIRED, _("expired token removed")),
            (UNLOCKED, _("sign-in unlocked")),
        ],
    )
    fields = models.JSONField(_("before and after"), default=dict)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-pk",)
        verbose_name = _("change of an account")
        verbose_name_plural = _("changes of accounts")

    def __str__(self) -> str:
        return f"{self.about or '–'}: {self.get_action_display()}"

    def as_items(self) -> SafeString:
        """Returns an HTML list item for each field: its value before and after."""
        account = {field.name: field.verbose_name for field in get_user_model()._meta.fields}
        labels = account | self.LABELS

        def text(name: str, value: Any) -> Any:
            if value in (None, ""):
                return "–"
            if name in ("password", "roles"):  # words of our own, stored in English
                return ", ".join(map(gettext, value.split(", ")))
            return value

        pairs = (
            (labels.get(name, name), text(name, before), text(name, after))
            for name, (before, after) in self.fields.items()
        )
        return format_html_join("", "<li>{}: {} → {}</li>", pairs)


class PasswordDue(models.Model):
    """The account must change its password, because somebody else set it, before it can do anything else."""

    account = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.account)


class AccountLanguage(models.Model):
    """The language that the account has chosen. Signing in sets it in the browser."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="chosen_language"
    )
    language = models.CharField(max_length=10)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.language


class Token(AuthToken):
    """A token, shown to people by its first characters, never by its digest."""

    class Meta:
        proxy = True
        default_permissions = ("view", "add", "delete")
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return _("%(token)s… of %(account)s") % {"token": self.token_key, "account": self.user}


class TokenNote(models.Model):
    """What knox doesn't store about a token: maker, purpose and last use. Every token has one note."""

    token = models.OneToOneField(AuthToken, models.CASCADE, primary_key=True, related_name="note")
    maker = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("made by")
    )
    purpose = models.CharField(_("what for"), max_length=100)
    last_used = models.DateTimeField(_("last used"), null=True, help_text=_("To the hour."))

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.purpose


class FailedSignInQuerySet(models.QuerySet[Any]):
    def with_lock(self) -> Self:
        """Adds last_counted: when the newest failure happened that still locks this name at this address.

        This follows axes: a lock ends when the failures within the cool-off add up to less than the limit.
        """
        pair = {"username": OuterRef("username"), "ip_address": OuterRef("ip_address")}
        rows = AccessAttempt.objects.order_by()
        since = rows.filter(**pair, attempt_time__gte=OuterRef("attempt_time")).values("username")
        failures = Subquery(since.values(sum=Sum("failures_since_start")))
        enough = (
            rows.filter(**pair).alias(failures=failures).filter(failures__gte=settings.AXES_FAILURE_LIMIT)
        )
        return self.annotate(
            last_counted=Subquery(enough.order_by("-attempt_time").values("attempt_time")[:1])
        )


class FailedSignIn(AccessAttempt):
    """Wrong passwords for one name, from one address and one browser."""

    objects = FailedSignInQuerySet.as_manager()

    class Meta:
        proxy = True
        default_permissions = ("view", "delete")  # deleting it unlocks the name
        verbose_name = _("failed sign-in")
        verbose_name_plural = _("failed sign-ins")

    def __str__(self) -> str:
        return f"{self.username}, {self.ip_address}"


class SignInFailure(AccessFailureLog):
    """A wrong password, or the first attempt refused by a rate limit. Deleted after 90 days."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = _("sign-in failure")
        verbose_name_plural = _("history of failed sign-ins")

    def __str__(self) -> str:
        return f"{self.username or '–'}, {self.ip_address}"
