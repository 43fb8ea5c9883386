"""Identifies the sender of a request. One query reads a session, an account or a token with all permissions.

Nothing is cached between requests, so a revoked role, token or password is refused from the next request on.
"""

import json
from datetime import datetime
from functools import cache
from hmac import compare_digest
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F, Func, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Concat
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS

COLUMNS = [field.attname for field in User._meta.concrete_fields]
KEY = "{key}"  # a placeholder; no token or session has this key


class Prepared:
    """A query with one parameter. Its SQL is built only once: that takes Django longer than all the rest."""

    def __init__(self, rows: QuerySet[Any, Any], parameter: Any) -> None:
        """rows is filtered by parameter, a placeholder that each value replaces."""
        self.query, self.parameter = rows.query, parameter
        compiler = self.query.get_compiler(connection=connection)
        self.sql, self.params = compiler.as_sql()
        self.converters = compiler.get_converters([column for column, _sql, _alias in compiler.select])

    def rows(self, value: Any) -> list[list[Any]]:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, [value if each == self.parameter else each for each in self.params])
            found = cursor.fetchall()
        compiler = self.query.get_compiler(connection=connection)
        return list(compiler.apply_converters(found, self.converters))


class JSONArray(Func):
    """The values of all rows as a JSON array; null if there are none."""

    function = "JSON_ARRAYAGG"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)


def account_at(path: str) -> list[Any]:
    """Returns the columns of an account, then the permissions of its roles, then its own permissions."""
    name = Concat("content_type__app_label", Value("."), "codename")

    def names(of: str) -> Subquery:
        found = Permission.objects.filter(**{of: OuterRef(f"{path}pk")})
        return Subquery(found.order_by().values(names=JSONArray(name)))

    return [*(F(f"{path}{column}") for column in COLUMNS), names("group__user"), names("user")]


def account_from(values: list[Any]) -> User:
    """Makes the account from the values of account_at()."""
    *row, by_role, own = values
    account = User.from_db(connection.alias, COLUMNS, row)
    if account.is_active and not account.is_superuser:
        # ModelBackend looks here before it queries the database.
        account._perm_cache = {*json.loads(by_role or "[]"), *json.loads(own or "[]")}  # type: ignore[attr-defined]
    return account


@cache
def by_id() -> Prepared:
    return Prepared(User.objects.filter(pk=-1).values_list(*account_at("")), parameter=-1)


@cache
def by_key() -> Prepared:
    """Reads digest, expiry, last use and account of the tokens with a key: the beginning of their text."""
    facts = ("digest", "expiry", "note__last_used", *account_at("user__"))
    return Prepared(AuthToken.objects.filter(token_key=KEY).values_list(*facts), parameter=KEY)


def token_of(text: str) -> tuple[AuthToken, datetime | None] | None:
    """Returns the token with its account, and its last use; None if it doesn't exist or has expired."""
    key = text[: CONSTANTS.TOKEN_KEY_LENGTH]
    for digest, expiry, last_used, *account in by_key().rows(key):
        if compare_digest(hash_token(text), digest) and (expiry is None or expiry > timezone.now()):
            token = AuthToken(digest=digest, token_key=key, expiry=expiry, user=account_from(account))
            return token, last_used
    return None


class Backend(ModelBackend):
    """Django's, except that it reads the account of a session together with its permissions."""

    def get_user(self, user_id: Any) -> User | None:
        account = next(map(account_from, by_id().rows(user_id)), None)
        return account if account and self.user_can_authenticate(account) else None


@cache
def by_session_key() -> Prepared:
    rows = Session.objects.filter(session_key=KEY)
    return Prepared(rows.values_list("session_data", "expire_date"), parameter=KEY)


class SessionStore(db.SessionStore):
    """Django's, except that its SQL is built only once."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        for data, expires in by_session_key().rows(key):
            if expires > timezone.now():
                return Session(session_key=key, session_data=data, expire_date=expires)
        self._session_key = None
        return None
