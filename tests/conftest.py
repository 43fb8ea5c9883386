"""Fixtures for all tests."""

import os
from collections.abc import Callable

import pytest
from django.conf import settings as project
from django.core.cache import cache
from rest_framework.test import APIClient

from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR

from . import builders


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory) -> None:
    """SQLite's test database in a file, as it is in production: threads can share it, and wait for locks."""
    database = project.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        database["OPTIONS"]["init_command"] += ";PRAGMA synchronous=OFF"  # tests are no loss


@pytest.fixture(autouse=True, scope="session")
def own_redis_database() -> None:
    """Tests clear the cache: of those side by side (pytest -n), each process has a cache of its own."""
    redis, worker = project.CACHES["default"], os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    if "redis" in redis["BACKEND"]:
        address, _, _ = redis["LOCATION"].rpartition("/")
        redis["LOCATION"] = f"{address}/{int(worker.removeprefix('gw')) % 16}"


@pytest.fixture(autouse=True)
def plain_settings(settings) -> None:
    """Static files without a collected manifest, and passwords that cost nothing to hash."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


@pytest.fixture
def committed(transactional_db) -> None:
    """A database whose tests commit; they begin with what the migrations put in."""
    builders.dictionary()


@pytest.fixture
def client_as(db) -> Callable[[str], APIClient]:
    """A client signed in as somebody of the role."""

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
    """Signed in, with no role."""
    return client_as("")
