"""The trail of accounts: records changes of accounts, roles, passwords, tokens and locks.

Signal receivers record changes made by the admin, a command or a shell. Only update() and the bulk operations
of QuerySets send no signals; FinTrack doesn't use them on accounts.
"""

import logging
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from knox.models import AuthToken, get_digest_token, get_expiry
from knox.settings import CONSTANTS

from .models import AccountChange, FailedSignIn, PasswordDue, Token, TokenNote
from .trail import actor, current_request

logger = logging.getLogger(__name__)

FIELDS = ("username", "first_name", "last_name", "email", "is_active", "is_superuser")
DIGEST = re.compile(r"[0-9a-f]{128}")
FAILURES_KEPT_FOR = timedelta(days=90)
DUE = "password_due"  # set in a session if the account had to change its password when it signed in

# Both save in a transaction, so that either the change and its record are stored or neither is.
User.save = transaction.atomic(User.save)  # type: ignore[method-assign]
AuthToken.save = transaction.atomic(AuthToken.save)


def record(action: str, about: User | None, fields: dict[str, list[Any]]) -> None:
    by = actor()
    by["via"] = DIGEST.sub("…", by["via"])  # the admin's address of a token contains its digest
    AccountChange.objects.create(**by, action=action, about=about, fields=fields)


# Accounts


@receiver(pre_save, sender=User)
def remember_stored(instance: Any, update_fields: Collection[str] | None, **kwargs: Any) -> None:
    """Keeps the stored values of the fields to be saved, for record_account(). last_login isn't recorded."""
    names = [name for name in (*FIELDS, "password") if update_fields is None or name in update_fields]
    rows = User.objects.select_for_update().filter(pk=instance.pk).values(*names) if names else []
    instance.stored = next(iter(rows), {})


@receiver(post_save, sender=User)
def record_account(instance: Any, created: bool, raw: bool, **kwargs: Any) -> None:
    stored = vars(instance).pop("stored")
    if raw:  # a fixture has its own records
        return
    now = {name: getattr(instance, name) for name in (FIELDS if created else stored) if name in FIELDS}
    fields = {
        name: [stored.get(name), new] for name, new in now.items() if (stored.get(name) or "") != (new or "")
    }
    if created:
        record(AccountChange.MADE, instance, fields | {"password": [None, password_state(instance.password)]})
        update_password_due(instance)
        return
    if fields:
        record(AccountChange.CHANGED, instance, fields)
    if is_new_password(instance, stored.get("password"), kwargs["update_fields"]):
        record_password(instance, password_state(stored["password"]))


def password_state(password: str) -> str:
    """Returns what the trail records of a password."""
    return gettext_noop("usable") if is_password_usable(password) else gettext_noop("unusable")


def is_new_password(account: Any, stored: str | None, update_fields: Collection[str] | None) -> bool:
    """Tells whether the password is another one. A sign-in may save the same password with a newer hash."""
    if stored is None or stored == account.password:
        return False
    rehashed = account._password is None and update_fields == {"password"}
    return password_state(account.password) != password_state(stored) or (
        account.has_usable_password() and not rehashed
    )


def record_password(account: User, before: str) -> None:
    after = password_state(account.password)
    if after == "unusable":
        action = AccountChange.PASSWORD_REMOVED
    elif actor()["account"] == account:
        action = AccountChange.PASSWORD_CHANGED
    else:
        action = AccountChange.PASSWORD_SET
    record(action, account, {} if before == after else {"password": [before, after]})
    update_password_due(account)


def update_password_due(account: User) -> None:
    """An account must change a password set by another account, but not one set by a command."""
    by = actor()["account"]
    if by == account or not account.has_usable_password():
        PasswordDue.objects.filter(account=account).delete()
    elif by:
        PasswordDue.objects.get_or_create(account=account)


class OwnPasswordForm(PasswordChangeForm):
    """Django's, except that it refuses the old password as the new one."""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("new_password1") and given["new_password1"] == given.get("old_password"):
            self.add_error("new_password1", _("Choose a password that differs from the current one."))
        return given


@receiver(user_logged_in)
def remember_password_due(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Marks the session if the password is due, so that only marked sessions query for it.

    A sign-in is early enough: when somebody else sets a password, all sessions of the account end.
    """
    if PasswordDue.objects.filter(account=user).exists():
        request.session[DUE] = True


def is_password_due(request: HttpRequest) -> bool:
    """Tells whether the account of the session must change its password first."""
    if DUE not in request.session:
        return False
    if PasswordDue.objects.filter(account=request.user.pk).exists():
        return True
    del request.session[DUE]
    return False


# Roles

recorded: ContextVar[frozenset[Any]] = ContextVar("recorded", default=frozenset())


def roles_of(pks: Iterable[Any]) -> dict[User, str | None]:
    """Returns {account: the sorted names of its roles, or None}."""
    accounts = User.objects.filter(pk__in=pks).prefetch_related("groups")
    return {each: ", ".join(sorted(group.name for group in each.groups.all())) or None for each in accounts}


@contextmanager
def roles_as_one(account: User) -> Iterator[None]:
    """Records all changes of the account's roles in this context as one change."""
    before = roles_of([account.pk])
    token = recorded.set(recorded.get() | {account.pk})
    try:
        yield
    finally:
        recorded.reset(token)
    record_roles(before)


def record_roles(before: dict[User, str | None]) -> None:
    after = roles_of(account.pk for account in before)
    for account, names in before.items():
        if names != after[account]:
            record(AccountChange.ROLES, account, {"roles": [names, after[account]]})


@receiver(m2m_changed, sender=User.groups.through)
def record_role_changes(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **kwargs: Any
) -> None:
    """Records changes from either side: the groups of an account, or the accounts of a group."""
    if action.startswith("pre_"):
        pks = {instance.pk} if not reverse else pk_set or instance.user_set.values_list("pk", flat=True)
        instance.roles_before = roles_of(set(pks) - recorded.get())
    else:
        record_roles(vars(instance).pop("roles_before"))


# Tokens


def make_token(account: User, lifetime: timedelta, purpose: str) -> tuple[AuthToken, str]:
    """Makes a token. Returns it and its text, which isn't stored. It also deletes expired tokens."""
    for expired in AuthToken.objects.filter(expiry__lt=timezone.now()).select_related("user"):
        expired.delete()
    digest, text = get_digest_token()
    key = text[: CONSTANTS.TOKEN_KEY_LENGTH]
    token = AuthToken(digest=digest, token_key=key, user=account, expiry=get_expiry(lifetime))
    token.purpose = purpose
    token.save()
    return token, text


def facts_of(token: AuthToken, purpose: str) -> dict[str, str | None]:
    expires = token.expiry and f"{timezone.localtime(token.expiry):%Y-%m-%d %H:%M}"
    return {"token": f"{token.token_key}…", "what for": purpose, "expires": expires}


@receiver(post_save, sender=AuthToken)
@receiver(post_save, sender=Token)
def record_new_token(instance: Any, created: bool, raw: bool, **kwargs: Any) -> None:
    if created and not raw:
        purpose = getattr(instance, "purpose", "")
        TokenNote.objects.create(token_id=instance.pk, maker=actor()["account"], purpose=purpose)
        made = {name: [None, value] for name, value in facts_of(instance, purpose).items()}
        record(AccountChange.TOKEN_MADE, instance.user, made)


@receiver(pre_delete, sender=AuthToken)
@receiver(pre_delete, sender=Token)
def record_revoked_token(instance: Any, **kwargs: Any) -> None:
    """Records a revoked token, or an expired one that make_token() deletes."""
    expired = instance.expiry and instance.expiry < timezone.now()
    purpose = TokenNote.objects.filter(token=instance.pk).values_list("purpose", flat=True).first()
    gone = {name: [value, None] for name, value in facts_of(instance, purpose or "").items()}
    record(AccountChange.TOKEN_EXPIRED if expired else AccountChange.TOKEN_REVOKED, instance.user, gone)


def store_last_use(token: AuthToken, last_used: datetime | None) -> None:
    """Stores the hour in which the token is used. If the database is busy, the next request will store it."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    if last_used and last_used >= hour:
        return
    outdated = TokenNote.objects.filter(Q(last_used=None) | Q(last_used__lt=hour), token=token)
    try:
        with without_waiting():
            outdated.update(last_used=hour)
    except OperationalError as error:
        logger.info("The last use of a token could not be stored: %s", error)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Lets writes on SQLite fail instead of waiting for other writers, which lock the whole database."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        (patience,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")


# Sign-ins


def unlock(attempt: FailedSignIn) -> None:
    """Deletes the failed sign-ins with this name from this address."""
    with transaction.atomic():
        attempts = AccessAttempt.objects.filter(username=attempt.username, ip_address=attempt.ip_address)
        failures = sum(each.failures_since_start for each in attempts.select_for_update())
        if failures:
            attempts.delete()
            record_unlocked(attempt, failures)


def record_unlocked(attempt: AccessAttempt, failures: int) -> None:
    """Records no name that isn't an account's: somebody may have typed a password there."""
    about = User.objects.filter(username=attempt.username).first()
    record(AccountChange.UNLOCKED, about, {"address": [attempt.ip_address, None], "failures": [failures, 0]})


@receiver(post_delete, sender=AccessAttempt)
def record_reset(instance: Any, **kwargs: Any) -> None:
    """Records resets by commands such as axes_reset.

    In a request the attempts are deleted by a successful sign-in, or by unlock(), which records them.
    """
    if not current_request.get():
        record_unlocked(instance, instance.failures_since_start)


@receiver(post_save, sender=AccessFailureLog)
def forget_old_failures(**kwargs: Any) -> None:
    """Deletes up to 100 old failures with each new one. It sorts by id, since the times have no index."""
    oldest = AccessFailureLog.objects.order_by("pk").values_list("pk", "attempt_time")[:100]
    limit = timezone.now() - FAILURES_KEPT_FOR
    AccessFailureLog.objects.filter(pk__in=[pk for pk, moment in oldest if moment < limit]).delete()
