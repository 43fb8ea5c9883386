"""ETags of rows: with If-Match, a row is written only if it hasn't changed since it was read."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework.test import APIClient

from credits.book.trail import Change
from credits.models import Borrower, Payment
from fintrack.access import EDITOR
from reports.models import DataStamp

from . import builders

pytestmark = pytest.mark.django_db

CHANGED = {
    "type": "about:blank",
    "title": "Precondition Failed",
    "status": 412,
    "detail": "The row has been changed since you read it. Nothing was done: read it again.",
}

# For each table: the values of a new row, and a change.
TABLES = {
    "borrowers": ({"login": "anna", "registration_date": "2021-01-01"}, {"login": "Anna"}),
    "credits": (
        {
            "borrower": 1,
            "issuance_date": "2021-06-01",
            "return_date": "2021-06-15",
            "actual_return_date": None,
            "body": "1000.50",
            "percent": 20,
        },
        {"percent": 20.01},
    ),
    "payments": (
        {"credit": 1, "payment_date": "2021-06-05", "type": 1, "sum": "1837.50"},
        {"sum": 1837.49},
    ),
    "dictionary": ({"name": "пеня"}, {"name": "Пеня"}),
    "plans": ({"period": "2021-06-01", "category": 3, "sum": 3000}, {"sum": "3000.01"}),
}
each_table = pytest.mark.parametrize(("table", "made", "changed"), [(k, *v) for k, v in TABLES.items()])


@pytest.fixture(autouse=True)
def book(db):
    """Creates the rows that the new rows refer to, with the id 1."""
    builders.credit(pk=1, borrower=builders.borrower(pk=1))


@pytest.fixture
def payment() -> Payment:
    return Payment.objects.create(pk=1, credit_id=1, payment_date="2021-06-02", type_id=1, sum=10)


ADDRESS = "/api/v1/payments/1"


def send(client, method, address, body=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return getattr(client, method)(address, body, format="json", headers=names)


def assert_unmatched(response):
    assert (response.status_code, response["Content-Type"]) == (412, "application/problem+json")
    assert response.json() == CHANGED


@each_table
def test_the_etag_of_a_row_is_the_same_for_all_methods(administrator, table, made, changed):
    new = send(administrator, "post", f"/api/v1/{table}", made)
    address = new["Location"]
    tags = [new["ETag"]]
    tags += [send(administrator, method, address)["ETag"] for method in ("get", "head")]
    tags += [
        send(administrator, "put", address, made)["ETag"],
        send(administrator, "patch", address, {})["ETag"],
    ]
    assert set(tags) == {new["ETag"]}
    assert new["ETag"].startswith('"')
    after = send(administrator, "patch", address, changed, if_match=new["ETag"])
    assert after.status_code == 200
    assert after["ETag"] != new["ETag"]
    assert send(administrator, "get", address)["ETag"] == after["ETag"]
    assert_unmatched(send(administrator, "put", address, made, if_match=new["ETag"]))
    assert_unmatched(send(administrator, "delete", address, if_match=new["ETag"]))
    assert send(administrator, "get", address).json() == after.json()
    assert send(administrator, "put", address, made, if_match=after["ETag"])["ETag"] == new["ETag"]
    assert send(administrator, "delete", address, if_match=new["ETag"]).status_code == 204


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("{tag}", 200),
        ('"another", {tag}', 200),
        ('{tag} ,"a,b"', 200),
        ("*", 200),
        (" * ", 200),
        ("W/{tag}", 412),
        ('"another"', 412),
        ('""', 412),
        ('"*"', 412),
        ('W/"another", W/{tag}', 412),
    ],
)
def test_one_of_the_given_etags_must_match(payment, editor, header, status):
    header = header.format(tag=editor.get(ADDRESS)["ETag"])
    response = send(editor, "patch", ADDRESS, {"sum": 11}, if_match=header)
    assert response.status_code == status
    if status == 412:
        assert_unmatched(response)
    payment.refresh_from_db()
    assert payment.sum == (11 if status == 200 else 10)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("header", ["", "x", '"a', 'a"', '"a" "b"', '"a",', '*, "a"', 'w/"a"', '"a\tb"'])
def test_invalid_etags_are_refused(payment, administrator, method, header):
    response = send(administrator, method, ADDRESS, {}, if_match=header)
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {
            "parameter": "If-Match",
            "found": header,
            "expected": "ETags in their quotes, or *",
            "code": "invalid",
        }
    ]
    assert Payment.objects.filter(pk=1, sum=10).exists()


@pytest.mark.parametrize("header", ["*", '"another"'])
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_an_unknown_row_is_404(administrator, method, header):
    assert send(administrator, method, "/api/v1/payments/404", {}, if_match=header).status_code == 404


def test_a_forbidden_write_is_403_with_any_etag(payment, editor):
    assert send(editor, "delete", ADDRESS, if_match='"another"').status_code == 403


def test_an_unchanged_row_is_304(payment, analyst):
    tag = analyst.get(ADDRESS)["ETag"]
    for given in (tag, f"W/{tag}", f'"another", {tag}', "*"):
        again = send(analyst, "get", ADDRESS, if_none_match=given)
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    payment.sum = 11
    payment.save()
    assert send(analyst, "get", ADDRESS, if_none_match=tag).json()["sum"] == 11


@pytest.mark.parametrize(
    "address", [ADDRESS, "/api/v1/payments", "/api/v1/dictionary", "/year_performance?year=2021"]
)
def test_reading_with_another_if_match_is_412(payment, analyst, address):
    response = send(analyst, "get", address, if_match='"another"')
    assert (response.status_code, response["Content-Type"]) == (412, "application/problem+json")
    assert response.json().items() >= {"title": "Precondition Failed", "status": 412}.items()


def test_a_client_that_accepts_gzip_gets_an_etag_that_matches(editor):
    """A compressed response would have a weak ETag, which never matches If-Match."""
    borrower = builders.borrower(login="ї" * 150)
    address = f"/api/v1/borrowers/{borrower.pk}"
    listed = send(editor, "get", "/api/v1/borrowers", accept_encoding="gzip")
    assert listed["Content-Encoding"] == "gzip"
    read = send(editor, "get", address, accept_encoding="gzip")
    assert "Content-Encoding" not in read
    assert read["Cache-Control"] == "private, no-cache, no-transform"
    put = send(
        editor,
        "put",
        address,
        read.json() | {"login": "і" * 150},
        accept_encoding="gzip",
        if_match=read["ETag"],
    )
    assert put.status_code == 200
    patched = send(editor, "patch", address, {"login": "a"}, accept_encoding="gzip", if_match=put["ETag"])
    assert patched.status_code == 200


def test_cors_allows_if_match(settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://example.com"]
    wish = {"access-control-request-method": "PATCH", "access-control-request-headers": "if-match"}
    preflight = APIClient().options(ADDRESS, headers={"origin": "https://example.com"} | wish)
    assert "if-match" in preflight["Access-Control-Allow-Headers"].split(", ")


class TestAtOnce:
    @pytest.fixture(autouse=True)
    def book(self, committed):
        builders.credit(pk=1, borrower=builders.borrower(pk=1))

    def test_only_one_of_several_readers_of_a_version_can_write(self, payment, client_as):
        clients = [client_as(EDITOR) for _ in range(4)]
        tag = clients[0].get(ADDRESS)["ETag"]

        def write(number):
            try:
                return send(clients[number], "patch", ADDRESS, {"sum": 20 + number}, if_match=tag).status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(write, range(4)))
        assert sorted(statuses) == [200, 412, 412, 412]
        assert Payment.objects.get().sum == 20 + statuses.index(200)


# Retries


@each_table
def test_every_create_takes_an_idempotency_key(editor, table, made, changed):
    first = send(editor, "post", f"/api/v1/{table}", made, idempotency_key="k")
    stamp, changes = DataStamp.current(), Change.objects.count()
    again = send(editor, "post", f"/api/v1/{table}", made, idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    for name in ("Location", "ETag"):
        assert again[name] == first[name]
    assert again.content == first.content
    assert send(editor, "get", again["Location"])["ETag"] == first["ETag"]
    assert (DataStamp.current(), Change.objects.count()) == (stamp, changes)
    other = send(editor, "post", f"/api/v1/{table}", made | changed, idempotency_key="k")
    assert other.status_code == 409


def test_a_key_belongs_to_one_address(editor):
    assert send(editor, "post", "/api/v1/dictionary", {"name": "a"}, idempotency_key="k").status_code == 201
    response = send(editor, "post", "/api/v1/borrowers", {"name": "a"}, idempotency_key="k")
    assert response.status_code == 409
    assert Borrower.objects.count() == 1


def test_a_file_of_plans_takes_no_key(editor):
    response = editor.post("/plans_insert", {}, format="multipart", headers={"idempotency-key": "k"})
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {
            "parameter": "Idempotency-Key",
            "found": "k",
            "expected": "no such header: a file sent again is refused anyway, because its plans exist",
            "code": "unknown",
        }
    ]


@each_table
def test_an_update_without_changes_leaves_stamp_and_trail_unchanged(editor, table, made, changed):
    address = send(editor, "post", f"/api/v1/{table}", made)["Location"]
    stamp, changes = DataStamp.current(), Change.objects.count()
    assert send(editor, "put", address, made).status_code == 200
    assert send(editor, "patch", address, {next(iter(changed)): made[next(iter(changed))]}).status_code == 200
    assert (DataStamp.current(), Change.objects.count()) == (stamp, changes)
    send(editor, "patch", address, changed)
    assert (DataStamp.current() != stamp, Change.objects.count()) == (True, changes + 1)
