"""The WSGI entry point: chunked bodies, charsets, and bodies that are too large."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory
from knox.models import AuthToken

from fintrack.access import EDITOR
from fintrack.wsgi import application

from . import builders
from .test_health import serving

PROJECT = Path(__file__).parent.parent
TOO_LARGE = b"Expected at most 12 MB. manage.py load_data takes larger files."


@pytest.fixture
def in_a_test(db) -> Iterator[None]:
    """Keeps the connection, and with it the test's rows, open after a request."""
    signals = request_started, request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.parametrize(
    ("length", "body", "status"),
    [
        (None, b'{"name": "a"}', "201 Created"),
        ("", b'{"name": "a"}', "201 Created"),
        ("13", b'{"name": "a"}and what is no part of it', "201 Created"),
        (None, b"", "400 Bad Request"),
        (None, b" " * (2 * 2**20 + 1), "413 Request Entity Too Large"),
    ],
)
def test_a_body_without_a_length_is_read_completely(in_a_test, length, body, status):
    headers = {"authorization": f"Token {token()}"}
    environ = RequestFactory().post("/api/v1/dictionary", headers=headers).environ
    del environ["CONTENT_LENGTH"]
    environ |= {
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": "application/json",
    }
    environ |= {} if length is None else {"CONTENT_LENGTH": length}
    said = []
    b"".join(application(environ, lambda status, headers: said.append(status)))
    assert said == [status]


@pytest.mark.parametrize("charset", ["utf-7", '"utf-7"', "hex", "UNICODE_ESCAPE", "x"])
@pytest.mark.parametrize("kind", ["text/plain;charset={}", "application/json ; Charset={}; x=y"])
def test_text_is_read_as_utf_8_whatever_the_charset(in_a_test, charset, kind):
    headers = {"authorization": f"Token {token()}"}
    environ = RequestFactory().get("/year_performance?year=%2B2AA-%5Cud800", headers=headers).environ
    environ |= {"wsgi.input": BytesIO(), "CONTENT_TYPE": kind.format(charset)}
    said = []
    body = b"".join(application(environ, lambda status, headers: said.append(status)))
    assert said == ["400 Bad Request"]
    assert [fault["found"] for fault in json.loads(body)["errors"]] == ["+2AA-\\ud800"]


@pytest.mark.parametrize("kind", ["a/b; c*=xyz''1", "a/b; c*=idna''%80", f"a/b; c={'x' * 9000}"])
def test_a_content_type_that_cannot_be_decoded_is_415(in_a_test, kind):
    headers = {"authorization": f"Token {token()}"}
    environ = RequestFactory().post("/api/v1/dictionary", headers=headers).environ
    environ |= {"wsgi.input": BytesIO(b"{}"), "CONTENT_LENGTH": "2", "CONTENT_TYPE": kind}
    said = []
    b"".join(application(environ, lambda status, headers: said.append(status)))
    assert said == ["415 Unsupported Media Type"]


def token() -> str:
    return AuthToken.objects.create(builders.account(EDITOR), timedelta(hours=1))[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[int, str]]:
    """Runs the service with its own database. Returns its port and a token of an administrator."""
    database = {
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('site') / 'db.sqlite3'}",
        "SECRET_KEY": "of a test",
    }

    def manage(*words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        run = subprocess.run(
            command, cwd=PROJECT, env=os.environ | database, check=True, capture_output=True, text=True
        )
        return run.stdout.strip()

    manage("migrate", "--verbosity", "0")
    token = manage("api_token", "program", "--role", "administrator")
    with serving(**database) as port:
        yield port, token


def in_chunks(
    site: tuple[int, str], method: str, address: str, body: bytes, **headers: str
) -> tuple[int, bytes]:
    port, token = site
    http = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        chunks = (body[start : start + 2**16] for start in range(0, len(body), 2**16))
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"} | headers
        http.request(method, address, chunks, headers, encode_chunked=True)
        response = http.getresponse()
        return response.status, response.read()
    finally:
        http.close()


@pytest.mark.slow
class TestServer:
    def test_chunked_json_is_stored(self, site):
        status, text = in_chunks(site, "POST", "/api/v1/dictionary", json.dumps({"name": "пеня"}).encode())
        row = json.loads(text)
        assert (status, row["name"]) == (201, "пеня")
        status, text = in_chunks(site, "PATCH", f"/api/v1/dictionary/{row['id']}", b'{"name": "a"}')
        assert (status, json.loads(text)) == (200, row | {"name": "a"})

    def test_bodies_of_many_chunks_are_read_completely(self, site):
        body = b'{"name": "' + b" " * 2**20 + b'"}'
        status, text = in_chunks(site, "POST", "/api/v1/dictionary", body)
        assert (status, json.loads(text)["errors"][0]["pointer"]) == (400, "/name")

    def test_a_chunked_file_is_stored(self, site):
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="plans.csv"\r\n\r\n'
        body = part + b"month,category_name,sum\n2021-06-01,issuance,5\n\r\n--x--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, text = in_chunks(site, "POST", "/plans_insert", body, **kind)
        assert (status, json.loads(text)) == (
            200,
            {"message": "Plans inserted successfully", "inserted": 1},
        )

    def test_a_body_that_is_too_large_is_413(self, site):
        status, text = in_chunks(site, "POST", "/api/v1/payments/bulk", b" " * (3 * 2**20))
        assert (status, json.loads(text)["title"]) == (413, "Request Entity Too Large")
        assert in_chunks(site, "POST", "/admin/login/", b"a=" + b"a" * (12 * 2**20)) == (413, TOO_LARGE)
