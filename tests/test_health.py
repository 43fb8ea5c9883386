"""/livez and /readyz: what they tell a load balancer, and what they must not reveal."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.db import ConnectionHandler, connection
from django.test import Client

from fintrack import health

from .services import free_port, mariadb, missing, redis

WELL = {"database": "ok", "migrations": "ok", "cache": "ok"}
PROJECT = Path(__file__).parent.parent


@pytest.fixture
def database(monkeypatch):
    """Gives the service another SQLite file."""
    opened = []

    def replace(path: Path) -> None:
        handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}})
        opened.append(handler["default"])
        monkeypatch.setattr(health, "connection", handler["default"])

    yield replace
    for each in opened:
        each.close()


def unreachable_cache(settings) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://fintrack:hidden@127.0.0.1:{free_port()}/0",
        }
    }


def test_livez_uses_neither_the_database_nor_the_cache(client, settings):
    unreachable_cache(settings)
    response = client.get("/livez")  # without the mark django_db, a query is an error here
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_is_200_when_everything_works(client):
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, WELL)


@pytest.mark.django_db
def test_readyz_is_503_without_a_database_and_gives_no_details(client, database, tmp_path):
    database(tmp_path / "absent" / "hidden.sqlite3")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"database": "failed", "migrations": "failed", "cache": "ok"}


@pytest.mark.django_db
def test_readyz_is_503_if_nothing_is_migrated(client, database, tmp_path):
    database(tmp_path / "empty.sqlite3")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"database": "ok", "migrations": "failed", "cache": "ok"}


@pytest.mark.django_db
def test_readyz_is_503_if_one_migration_is_missing(client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'plans' AND name = '0001_initial'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == WELL | {"migrations": "failed"}


@pytest.mark.django_db
def test_readyz_is_200_without_a_cache_and_gives_no_details(client, settings):
    unreachable_cache(settings)
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, WELL | {"cache": "failed"})


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_only_get_and_head_are_allowed(client, address):
    head = client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    for method in (client.post, client.put, client.patch, client.delete):
        response = method(address)
        assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_responses_are_not_cached_and_set_no_cookie(client, address):
    response = client.get(address)
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


@contextmanager
def serving(**environment: str) -> Iterator[int]:
    """Runs the service as one process on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--blocking-threads", "1", "fintrack.wsgi:application"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "SECRET_KEY": "of a test"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def readyz(port: int) -> tuple[int, bytes]:
    http = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        http.request("GET", "/readyz")
        response = http.getresponse()
        return response.status, response.read()
    finally:
        http.close()


ALL_WELL = (200, b'{"database": "ok", "migrations": "ok", "cache": "ok"}')
NO_DATABASE = (503, b'{"database": "failed", "migrations": "failed", "cache": "ok"}')
NO_CACHE = (200, b'{"database": "ok", "migrations": "ok", "cache": "failed"}')


@pytest.mark.slow
@pytest.mark.skipif(connection.vendor != "mysql" or bool(missing()), reason="in the round with servers")
def test_readyz_notices_outages_and_recoveries():
    with mariadb() as database, redis() as cache:
        environment = {"DATABASE_URL": database.url, "REDIS_URL": cache.url}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=os.environ | environment, check=True)
        with serving(**environment) as port:
            assert readyz(port) == ALL_WELL
            cache.stop()
            assert readyz(port) == NO_CACHE
            cache.start()
            assert readyz(port) == ALL_WELL
            database.stop()
            assert readyz(port) == NO_DATABASE
            database.start()
            assert readyz(port) == ALL_WELL


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_another_method_is_a_405_problem(method, address):
    response = Client(enforce_csrf_checks=True).generic(method, address)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["title"] == "Method Not Allowed"
