"""Fixtures for all tests."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as project
from django.core.cache import cache
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import override_settings
from django.utils import translation
from rest_framework.test import APIClient

from credits.book.summaries import Summary, differences
from credits.book.writing import door
from credits.models import Borrower, Credit, Payment
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR
from plans.models import Plan

from . import builders

# The verb, then the table without other punctuation between: MySQL has "DELETE table FROM", "UPDATE IGNORE".
WRITE = re.compile(
    r"\s*(INSERT|REPLACE|UPDATE|DELETE|TRUNCATE)\b[\s\w`\"]*?\b(credits|plans)_", re.IGNORECASE
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fails tests that write the book outside writing(), or leave totals that differ from their rows.

    Tests that write elsewhere on purpose are marked `around`.
    """
    around = []

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if WRITE.match(sql) and not door.is_open:
            around.append(sql)
        return execute(sql, *args)

    def watch_too(connection: Any, **kwargs: Any) -> None:
        if watch not in connection.execute_wrappers:
            connection.execute_wrappers.append(watch)

    connection_created.connect(watch_too)
    try:
        with connection.execute_wrapper(watch):
            yield
    finally:
        connection_created.disconnect(watch_too)
    if not item.get_closest_marker("around"):
        assert not around, "written outside writing()"
        if uses_database(item) and not connection.needs_rollback:
            assert [line for summary in Summary.__subclasses__() for line in differences(summary)] == []


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("once") and connection.vendor != "sqlite":
        pytest.skip("runs on SQLite alone")


def uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return bool(item.get_closest_marker("django_db")) or not {"db", "transactional_db"}.isdisjoint(fixtures)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory) -> None:
    """Keeps SQLite's test database in a file, as in production: threads share it and wait for locks."""
    database = project.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        database["OPTIONS"]["init_command"] += ";PRAGMA synchronous=OFF"  # losing test data is harmless


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Starts automatic ids of MariaDB and MySQL, which rollbacks don't reset, above the ids in tests."""
    with django_db_blocker.unblock():
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                for model in (Borrower, Credit, Payment, Plan):
                    cursor.execute(f"ALTER TABLE {model._meta.db_table} AUTO_INCREMENT = 500001")


@pytest.fixture(autouse=True, scope="session")
def own_redis_database() -> Iterator[None]:
    """Gives each process of pytest -n its own Redis database, because tests clear the cache."""
    options, worker = project.CACHES["default"], os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    if "redis" in options["BACKEND"]:
        address, _, _ = options["LOCATION"].rpartition("/")
        options = options | {"LOCATION": f"{address}/{int(worker.removeprefix('gw')) % 16}"}
    with override_settings(CACHES={"default": options}):  # drops a client that may exist already
        yield


@pytest.fixture(autouse=True)
def plain_settings(settings) -> None:
    """Serves static files without collecting them, and hashes passwords fast."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.WHITENOISE_AUTOREFRESH = True  # otherwise each client would list all files
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test begins in English: the language of a thread's last request stays active."""
    with translation.override("en"):
        yield


@pytest.fixture
def committed(transactional_db) -> None:
    """A database for tests that commit. They start with the rows of the migrations."""
    builders.migrated()


@pytest.fixture
def client_as(db) -> Callable[[str], APIClient]:
    """Returns a client that is signed in with the role."""

    def client(role: str) -> APIClient:
        api = APIClient()
        api.force_login(builders.account(role))
        return api

    return client


@pytest.fixture
def analyst(client_as) -> APIClient:
    return client_as(ANALYST)


@pytest.fixture
def editor(client_as) -> APIClient:
    return client_as(EDITOR)


@pytest.fixture
def administrator(client_as) -> APIClient:
    return client_as(ADMINISTRATOR)


@pytest.fixture
def stranger(client_as) -> APIClient:
    """A client that is signed in without a role."""
    return client_as("")
