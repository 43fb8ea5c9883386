"""Settings from the environment: defaults, effects, and errors of wrong values."""

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.test import Client

from fintrack.settings import secret_key_file

from . import builders

PROJECT = Path(__file__).parent.parent
SHOW = """
import json, fintrack.settings
found = {name: value for name, value in vars(fintrack.settings).items() if name.isupper()}
print(json.dumps(found, default=str))
"""

ON_SQLITE = pytest.mark.skipif(connection.vendor != "sqlite", reason="of SQLite")
ON_MYSQL = pytest.mark.skipif(connection.vendor != "mysql", reason="of MySQL and MariaDB")


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the project with only these variables, without creating a secret key file."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "SECRET_KEY": "of a test"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def read(**environment: str) -> dict[str, Any]:
    """Returns the settings that result from these variables."""
    run = python("-c", SHOW, **environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_all_settings_have_defaults():
    found = read()
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert found["DATABASES"]["default"]["NAME"] == str(PROJECT / "var/db.sqlite3")
    assert found["CACHES"]["default"]["BACKEND"] == "django.core.cache.backends.locmem.LocMemCache"
    assert found["TIME_ZONE"] == "Europe/Kyiv"
    assert found["TRUSTED_PROXIES"] == []
    assert [name for name in found if name.startswith("SECURE_") or name.endswith("COOKIE_SECURE")] == []


def test_empty_variable_counts_as_not_set():
    names = ("ALLOWED_HOSTS", "DATABASE_URL", "DEBUG", "HTTPS", "REDIS_URL", "TIME_ZONE", "TRUSTED_PROXIES")
    assert read(**dict.fromkeys(names, "")) == read()


def test_each_variable_sets_its_setting():
    found = read(
        ALLOWED_HOSTS="one.example, two.example",
        DATABASE_URL="sqlite:////srv/book.sqlite3",
        DEBUG="on",
        REDIS_URL="redis://cache.example:6379/5",
        SECRET_KEY="a key",
        TIME_ZONE="Asia/Tokyo",
        TRUSTED_PROXIES="127.0.0.1, 172.16.0.0/12, fd00::/8",
    )
    assert found["ALLOWED_HOSTS"] == ["one.example", "two.example"]
    assert found["DATABASES"]["default"]["NAME"] == "/srv/book.sqlite3"
    assert found["DEBUG"] is True
    assert found["CACHES"]["default"]["BACKEND"] == "django_redis.cache.RedisCache"
    assert found["CACHES"]["default"]["LOCATION"] == "redis://cache.example:6379/5"
    assert found["SECRET_KEY"] == "a key"
    assert found["TIME_ZONE"] == "Asia/Tokyo"
    assert found["TRUSTED_PROXIES"] == ["127.0.0.1/32", "172.16.0.0/12", "fd00::/8"]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("on", True), ("True", True), ("1", True), ("off", False), ("no", False), ("0", False)],
)
def test_switch_is_on_or_off(value, meaning):
    assert read(DEBUG=value)["DEBUG"] is meaning


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("HTTPS", "enabled", "HTTPS must be on or off, not 'enabled'."),
        ("DEBUG", "2", "DEBUG must be on or off, not '2'."),
        ("DATABASE_URL", "fintrack:hidden@db", "DATABASE_URL must begin with mysql:// or sqlite:///."),
        (
            "DATABASE_URL",
            "postgres://fintrack:hidden@db/x",
            "DATABASE_URL must begin with mysql:// or sqlite:///.",
        ),
        ("REDIS_URL", ":hidden@cache:6379", "REDIS_URL must begin with redis://, rediss:// or unix://."),
        ("TIME_ZONE", "Mars/Olympus", "Incorrect timezone setting: Mars/Olympus"),
        (
            "TRUSTED_PROXIES",
            "127.0.0.1,nginx",
            "TRUSTED_PROXIES must be addresses or networks, such as 127.0.0.1,172.16.0.0/12: "
            "'nginx' does not appear to be an IPv4 or IPv6 network.",
        ),
        (
            "TRUSTED_PROXIES",
            "172.16.0.1/12",
            "TRUSTED_PROXIES must be addresses or networks, such as 127.0.0.1,172.16.0.0/12: "
            "172.16.0.1/12 has host bits set.",
        ),
    ],
)
def test_wrong_values_are_reported_without_secrets(name, value, reason):
    run = python(
        "-c", "import django; django.setup()", DJANGO_SETTINGS_MODULE="fintrack.settings", **{name: value}
    )
    assert run.returncode != 0
    assert run.stderr.splitlines()[-1].endswith(reason)
    assert "hidden" not in run.stderr


# The secret key


def test_secret_key_is_generated_once_and_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "secret_key"
    key = secret_key_file(path)
    assert len(key) >= 50
    assert secret_key_file(path) == key == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_secret_keys_differ(tmp_path):
    assert secret_key_file(tmp_path / "one") != secret_key_file(tmp_path / "two")


def test_simultaneous_starts_share_one_secret_key(tmp_path):
    def start(path: Path) -> str:
        together.wait()
        return secret_key_file(path)

    together = Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for number in range(50):
            path = tmp_path / str(number)
            assert set(pool.map(start, [path] * 4)) == {path.read_text()}
    assert len(list(tmp_path.iterdir())) == 50


def test_default_secret_key_is_read_from_the_file():
    assert read(SECRET_KEY="")["SECRET_KEY"] == (PROJECT / "var/secret_key").read_text()


# HTTPS


@pytest.fixture
def https(settings):
    for name, value in read(HTTPS="on").items():
        if name.startswith(("SECURE_", "SESSION_", "CSRF_")):
            setattr(settings, name, value)


def test_https_redirects_everything_except_health_checks(https, client, db):
    answer = client.get("/year_performance?year=2021")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/year_performance?year=2021")
    assert [client.get(address).status_code for address in ("/livez", "/readyz")] == [200, 200]
    assert client.get("/livez/more").status_code == 301


def test_https_of_the_proxy_is_trusted_and_answered_with_hsts(https, client):
    answer = client.get("/accounts/login/", headers={"x-forwarded-proto": "https"})
    assert answer.status_code == 200
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_https_makes_cookies_secure(https, db):
    client, password = Client(headers={"x-forwarded-proto": "https"}), "a long password"
    account = builders.account(password=password)
    client.get("/accounts/login/")
    client.post("/accounts/login/", {"username": account.username, "password": password})
    assert {name: cookie["secure"] for name, cookie in client.cookies.items()} == {
        "csrftoken": True,
        "sessionid": True,
    }
    assert client.cookies["sessionid"]["httponly"]


def test_without_https_there_is_no_redirect_and_no_hsts(client):
    answer = client.get("/accounts/login/", headers={"x-forwarded-proto": "https"})
    assert answer.status_code == 200
    assert not answer.wsgi_request.is_secure()
    assert "Strict-Transport-Security" not in answer


@pytest.mark.slow
def test_settings_of_production_satisfy_django():
    key = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    run = python(*check, HTTPS="on", ALLOWED_HOSTS="fintrack.example", SECRET_KEY=key)
    assert (run.returncode, run.stdout) == (0, "System check identified no issues (0 silenced).\n")
    assert python(*check, ALLOWED_HOSTS="fintrack.example", SECRET_KEY=key).returncode != 0


# Databases


def test_mysql_is_strict_and_connections_are_persistent():
    database = read(DATABASE_URL="mysql://fintrack:p%40ss@db:3307/book?connect_timeout=3")["DATABASES"][
        "default"
    ]
    assert database == {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "book",
        "USER": "fintrack",
        "PASSWORD": "p@ss",
        "HOST": "db",
        "PORT": 3307,
        "OPTIONS": {
            "charset": "utf8mb4",
            "init_command": "SET sql_mode='TRADITIONAL'",
            "connect_timeout": 3,
        },
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


@ON_MYSQL
@pytest.mark.django_db
def test_mysql_refuses_values_that_do_not_fit():
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@sql_mode")
        assert re.search(r"\bTRADITIONAL\b", cursor.fetchone()[0])
    with pytest.raises(DataError), transaction.atomic():
        builders.borrower(login="x" * 151)


def second_connection() -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None))


@ON_SQLITE
@pytest.mark.usefixtures("committed")
def test_sqlite_lets_others_read_while_one_writes():
    with transaction.atomic(), second_connection() as other:
        builders.borrower()
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("SELECT COUNT(*) FROM credits_borrower").fetchone() == (0,)


@ON_SQLITE
@pytest.mark.usefixtures("committed")
def test_sqlite_transaction_takes_the_write_lock_when_it_begins():
    with second_connection() as other:
        with transaction.atomic(), pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
