"""How the API behaves as HTTP: what may be kept, what is sent, what is refused, what is written down."""

import gzip
import json
import logging
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import IntegrityError, OperationalError
from knox.models import AuthToken
from rest_framework.test import APIClient

from credits.api import PaymentViewSet
from credits.models import Dictionary, Payment
from fintrack.access import ANALYST, EDITOR
from fintrack.logs import JSONFormatter, request_id
from fintrack.throttles import Throttle

from . import builders

pytestmark = pytest.mark.django_db

YEAR = "/year_performance?year=2021"
PROBLEM = "application/problem+json"


@pytest.fixture
def book():
    credit = builders.credit("2021-06-01", "1500.50")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")
    return builders.payment(credit, "2021-06-02", "10")


def with_token(role, **extra):
    token = AuthToken.objects.create(builders.account(role), timedelta(hours=1))[1]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}", **extra)
    return client


def rates(settings, **changed):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"account": None, "stranger": None} | changed
    }


class TestKeeping:
    @pytest.fixture
    def book(self, committed, book):
        """A tag is that of rows that are committed."""
        return book

    @pytest.mark.parametrize("address", [YEAR, f"{YEAR}&format=csv", "/api/v1/payments"])
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_what_is_unchanged_is_304(self, book, analyst, address, encoding):
        first = analyst.get(address, headers={"accept-encoding": encoding})
        assert first.status_code == 200
        asked = {"accept-encoding": encoding, "if-none-match": first["ETag"]}
        again = analyst.get(address, headers=asked)
        assert (again.status_code, again.content) == (304, b"")
        builders.payment(book.credit, "2021-06-03", "1")
        assert analyst.get(address, headers=asked).status_code == 200

    @pytest.mark.parametrize("address", [YEAR, "/api/v1/payments"])
    def test_figures_are_for_one_account_alone(self, book, analyst, address):
        response = analyst.get(address)
        assert response["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}

    def test_json_csv_and_xlsx_have_tags_of_their_own(self, book, analyst):
        kinds = (
            "application/json",
            "text/csv",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        )
        answers = [analyst.get(YEAR, headers={"accept": kind}) for kind in kinds]
        assert [answer["Content-Type"].split(";")[0] for answer in answers] == list(kinds)
        assert len({answer["ETag"] for answer in answers}) == 3
        assert all("Accept" in answer["Vary"].split(", ") for answer in answers)

    @pytest.mark.parametrize(
        ("address", "parameter"),
        [
            ("overview?check_date=", "check_date"),
            ("year_performance?year=2021&format=", "format"),
            ("payments?credit=", "credit"),
        ],
    )
    def test_a_parameter_that_is_named_has_a_value(self, analyst, address, parameter):
        (fault,) = analyst.get(f"/api/v1/{address}").json()["errors"]
        assert (fault["parameter"], fault["found"]) == (parameter, "")

    def test_format_counts_for_more_than_accept(self, book, analyst):
        response = analyst.get(f"{YEAR}&format=json", headers={"accept": "text/csv"})
        assert response["Content-Type"] == "application/json"


class TestSending:
    def test_gzip_is_for_those_who_can_read_it(self, book, analyst):
        plain = analyst.get(YEAR)
        packed = analyst.get(YEAR, headers={"accept-encoding": "gzip"})
        assert "Content-Encoding" not in plain
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content) == plain.content
        assert "Accept-Encoding" in packed["Vary"]

    def test_csv_is_streamed_through_gzip_too(self, book, analyst):
        plain = b"".join(analyst.get(f"{YEAR}&format=csv").streaming_content)
        packed = analyst.get(f"{YEAR}&format=csv", headers={"accept-encoding": "gzip"})
        assert packed.streaming
        assert gzip.decompress(b"".join(packed.streaming_content)) == plain

    @pytest.mark.parametrize("address", [YEAR, "/api/v1/payments", "/api/v1/dictionary/1"])
    def test_head_is_get_without_the_body(self, book, analyst, address):
        got, headed = analyst.get(address), analyst.head(address)
        assert (headed.status_code, headed.content) == (200, b"")
        assert headed["Content-Type"] == got["Content-Type"]

    @pytest.mark.parametrize(
        ("address", "methods"),
        [
            (YEAR, "GET, HEAD, OPTIONS"),
            ("/api/v1/payments", "GET, POST, HEAD, OPTIONS"),
            ("/api/v1/dictionary/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ],
    )
    def test_options_tell_the_methods(self, analyst, address, methods):
        assert analyst.options(address)["Allow"] == methods

    def test_other_sites_may_ask_only_if_configured(self, book, analyst, settings):
        origin = {"origin": "https://example.com"}
        assert "Access-Control-Allow-Origin" not in analyst.get("/api/v1/payments", headers=origin)
        settings.CORS_ALLOWED_ORIGINS = ["https://example.com"]
        asked = analyst.get("/api/v1/payments", headers=origin)
        assert asked["Access-Control-Allow-Origin"] == "https://example.com"
        assert "Access-Control-Allow-Credentials" not in asked
        wish = {"access-control-request-method": "POST", "access-control-request-headers": "idempotency-key"}
        preflight = APIClient().options("/api/v1/payments/bulk", headers=origin | wish)
        assert "idempotency-key" in preflight["Access-Control-Allow-Headers"]
        other = analyst.get("/api/v1/payments", headers={"origin": "https://example.org"})
        assert "Access-Control-Allow-Origin" not in other
        assert "Access-Control-Allow-Origin" not in analyst.get("/", headers=origin)


def assert_problem(response, status):
    assert response.status_code == status
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    assert body["detail"]
    return body


ROOTS = ["/year_performance", "/plans_performance", "/user_credits/1", "/plans_insert", "/api/v1/payments"]


class TestErrors:
    @pytest.mark.parametrize("address", ROOTS)
    def test_nobody_is_401(self, address):
        assert_problem(APIClient().post(address), 401)

    @pytest.mark.parametrize("address", ROOTS)
    def test_an_account_without_a_role_is_403(self, stranger, address):
        assert_problem(stranger.get(address), 403)

    @pytest.mark.parametrize("address", ["/api/", "/api/v1/nothing", "/user_credits", "/year_performance/x"])
    def test_what_is_not_there_is_404(self, analyst, address):
        assert_problem(analyst.get(address), 404)

    @pytest.mark.parametrize("address", ROOTS)
    def test_an_unknown_method_is_405(self, analyst, address):
        response = analyst.patch(address)
        assert_problem(response, 405)
        assert "OPTIONS" in response["Allow"]

    @pytest.mark.parametrize("address", [YEAR, "/api/v1/payments"])
    def test_an_unknown_kind_of_answer_is_406(self, analyst, address):
        assert_problem(analyst.get(address, headers={"accept": "image/png"}), 406)

    def test_an_unknown_kind_of_body_is_415(self, editor):
        assert_problem(editor.post("/api/v1/payments", "x", content_type="text/plain"), 415)
        assert_problem(editor.post("/plans_insert", "{}", content_type="application/json"), 415)

    def test_an_error_is_a_problem_whatever_was_accepted(self, analyst):
        response = analyst.get("/year_performance?year=x", headers={"accept": "text/csv"})
        assert assert_problem(response, 400)["errors"][0]["parameter"] == "year"

    @pytest.mark.parametrize(
        "error",
        [
            IntegrityError("UNIQUE constraint failed: secret"),
            OperationalError(1213, "Deadlock found"),
            OperationalError("database is locked"),
        ],
    )
    def test_a_race_that_was_lost_is_409_without_internals(self, book, editor, monkeypatch, error):
        def lose(*args, **kwargs):
            raise error

        monkeypatch.setattr(Payment, "save", lose)
        response = editor.patch(f"/api/v1/payments/{book.pk}", {"sum": 5}, format="json")
        assert "secret" not in assert_problem(response, 409)["detail"]

    @pytest.mark.parametrize("error", [RuntimeError("secret"), OperationalError(2006, "secret")])
    def test_a_crash_is_500_without_internals(self, analyst, monkeypatch, error):
        def crash(*args, **kwargs):
            raise error

        monkeypatch.setattr(PaymentViewSet, "list", crash)
        analyst.raise_request_exception = False
        response = analyst.get("/api/v1/payments")
        assert_problem(response, 500)
        assert b"secret" not in response.content
        assert response["X-Request-ID"]

    def test_a_wrong_host_is_400(self, analyst):
        assert_problem(analyst.get("/api/v1/payments", headers={"host": "example.com"}), 400)


class TestThrottles:
    @time_machine.travel("2026-01-01T12:00:48Z", tick=False)
    def test_each_token_has_its_own_count(self, book, settings):
        rates(settings, account="2/min")
        first, second = with_token(ANALYST), with_token(ANALYST)
        assert [first.get(YEAR).status_code for _ in range(3)] == [200, 200, 429]
        refused = first.get("/api/v1/payments")
        assert_problem(refused, 429)
        assert refused["Retry-After"] == "12"
        assert second.get(YEAR).status_code == 200
        with time_machine.travel("2026-01-01T12:01:00Z", tick=False):
            assert first.get(YEAR).status_code == 200

    @time_machine.travel("2026-01-01T12:00:30Z", tick=False)
    def test_who_guesses_tokens_is_stopped_and_others_of_the_address_are_not(self, book, settings):
        rates(settings, stranger="2/min")
        known, guesser = with_token(ANALYST), APIClient()
        guesser.credentials(HTTP_AUTHORIZATION="Token " + "0" * 64)
        assert [guesser.get(YEAR).status_code for _ in range(3)] == [401, 401, 429]
        refused = APIClient().get(YEAR)
        assert_problem(refused, 429)
        assert refused["Retry-After"] == "30"
        assert known.get(YEAR).status_code == 200

    def test_without_the_cache_nothing_is_refused(self, book, settings, monkeypatch, caplog):
        def fail(*args, **kwargs):
            raise ConnectionError

        rates(settings, account="1/min", stranger="1/min")
        client = with_token(ANALYST)
        monkeypatch.setattr(Throttle.cache, "add", fail)
        assert [client.get("/api/v1/payments").status_code for _ in range(3)] == [200] * 3
        assert [APIClient().get("/api/v1/payments").status_code for _ in range(3)] == [401] * 3
        assert caplog.messages.count("Requests can't be counted: ConnectionError()") == 6

    def test_forgotten_counts_are_no_crash(self, book, settings, monkeypatch):
        rates(settings, account="1/min")
        monkeypatch.setattr(Throttle.cache, "add", lambda *args, **kwargs: cache.clear())
        assert with_token(ANALYST).get(YEAR).status_code == 200


def lines_of(caplog):
    return [
        json.loads(JSONFormatter().format(record))
        for record in caplog.records
        if record.name == "fintrack.logs"
    ]


class TestLogs:
    @pytest.fixture(autouse=True)
    def all_levels(self, caplog):
        caplog.set_level(logging.INFO)

    def test_a_request_is_one_line(self, book, caplog):
        client = with_token(ANALYST)
        client.get(YEAR)
        client.get("/user_credits/77")
        first, second = lines_of(caplog)
        account = AuthToken.objects.get().user_id
        expected = {"level": "info", "method": "GET", "account": account}
        assert first.items() >= (expected | {"route": "/year_performance", "status": 200}).items()
        assert first["cache"] == "miss"
        assert first["ms"] > 0
        assert second.items() >= (expected | {"route": "/user_credits/<user_id>", "status": 404}).items()
        assert "77" not in second["route"]

    def test_a_line_has_no_login_amount_or_token(self, book, caplog):
        editor = with_token(EDITOR)
        editor.get("/api/v1/borrowers?login=annasecret&search=annasecret")
        editor.post("/api/v1/borrowers", {"login": "annasecret", "registration_date": "x"}, format="json")
        editor.post("/api/v1/payments", {"credit": 1, "sum": "98765.43"}, format="json")
        editor.get("/api/v1/annasecret")
        text = "\n".join(JSONFormatter().format(record) for record in caplog.records)
        assert len(lines_of(caplog)) == 4
        for secret in ("annasecret", "98765", editor._credentials["HTTP_AUTHORIZATION"][6:]):
            assert secret not in text

    def test_an_id_is_taken_from_the_client_or_made(self, analyst, caplog):
        taken = analyst.get("/api/v1/dictionary", headers={"x-request-id": "my.id_1-a"})
        assert taken["X-Request-ID"] == "my.id_1-a"
        made = [
            analyst.get("/api/v1/dictionary", headers={"x-request-id": wrong})["X-Request-ID"]
            for wrong in ("", "a b", "x" * 65, "a\tb", "é")
        ]
        assert len(set(made)) == 5
        assert all(len(each) == 16 for each in made)
        assert APIClient().get("/livez")["X-Request-ID"]

    def test_every_line_within_a_request_has_its_id(self, book, analyst, caplog, monkeypatch):
        seen = []

        def crash(*args, **kwargs):
            seen.append(request_id.get())
            raise RuntimeError

        monkeypatch.setattr(PaymentViewSet, "list", crash)
        analyst.raise_request_exception = False
        analyst.get("/api/v1/payments", headers={"x-request-id": "abc"})
        assert seen == ["abc"]
        assert request_id.get() is None
