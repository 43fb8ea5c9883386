"""HTTP of the API: caching, formats, errors, limits and logs."""

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
from fintrack.api.throttles import Throttle
from fintrack.logs import JSONFormatter, request_id

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
        """Creates committed rows, which ETags need."""
        return book

    @pytest.mark.parametrize("address", [YEAR, f"{YEAR}&format=csv", "/api/v1/payments"])
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_unchanged_responses_are_304(self, book, analyst, address, encoding):
        first = analyst.get(address, headers={"accept-encoding": encoding})
        assert first.status_code == 200
        asked = {"accept-encoding": encoding, "if-none-match": first["ETag"]}
        again = analyst.get(address, headers=asked)
        assert (again.status_code, again.content) == (304, b"")
        builders.payment(book.credit, "2021-06-03", "1")
        assert analyst.get(address, headers=asked).status_code == 200

    @pytest.mark.parametrize("address", [YEAR, "/api/v1/payments"])
    def test_figures_are_private_to_an_account(self, book, analyst, address):
        response = analyst.get(address)
        assert response["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}

    def test_json_csv_and_xlsx_have_different_etags(self, book, analyst):
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
    def test_an_empty_parameter_is_a_fault(self, analyst, address, parameter):
        (fault,) = analyst.get(f"/api/v1/{address}").json()["errors"]
        assert (fault["parameter"], fault["found"]) == (parameter, "")

    def test_format_overrides_accept(self, book, analyst):
        response = analyst.get(f"{YEAR}&format=json", headers={"accept": "text/csv"})
        assert response["Content-Type"] == "application/json"


class TestSending:
    def test_gzip_is_sent_only_to_clients_that_accept_it(self, book, analyst):
        plain = analyst.get(YEAR)
        packed = analyst.get(YEAR, headers={"accept-encoding": "gzip"})
        assert "Content-Encoding" not in plain
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content) == plain.content
        assert "Accept-Encoding" in packed["Vary"]

    def test_csv_of_a_list_is_streamed_through_gzip_too(self, book, analyst):
        address = "/reports/payments/?format=csv"
        plain = b"".join(analyst.get(address).streaming_content)
        packed = analyst.get(address, headers={"accept-encoding": "gzip"})
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
    def test_options_lists_the_methods(self, analyst, address, methods):
        assert analyst.options(address)["Allow"] == methods

    def test_cors_allows_only_configured_sites(self, book, analyst, settings):
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
        for address in (YEAR, "/plans_performance?check_date=2021-06-30", "/user_credits/1", "/plans_insert"):
            asked = analyst.get(address, headers=origin)
            assert asked["Access-Control-Allow-Origin"] == "https://example.com"
        for page in ("/", "/api/docs/", "/admin/", "/reports/credits/"):
            assert "Access-Control-Allow-Origin" not in analyst.get(page, headers=origin)


def assert_problem(response, status, kind="about:blank"):
    assert response.status_code == status
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert (body["type"], body["status"]) == (kind, status)
    assert body["title"]
    assert body["detail"]
    return body


ROOTS = ["/year_performance", "/plans_performance", "/user_credits/1", "/plans_insert", "/api/v1/payments"]


class TestErrors:
    @pytest.mark.parametrize("address", ROOTS)
    def test_a_request_without_credentials_is_401(self, address):
        assert_problem(APIClient().post(address), 401)

    @pytest.mark.parametrize("address", ROOTS)
    def test_an_account_without_a_role_is_403(self, stranger, address):
        assert_problem(stranger.get(address), 403)

    @pytest.mark.parametrize("address", ["/api/", "/api/v1/nothing", "/user_credits", "/year_performance/x"])
    def test_unknown_rows_and_addresses_are_404(self, analyst, address):
        assert_problem(analyst.get(address), 404)

    @pytest.mark.parametrize("address", ROOTS)
    def test_an_unknown_method_is_405(self, analyst, address):
        response = analyst.patch(address)
        assert_problem(response, 405)
        assert "OPTIONS" in response["Allow"]

    @pytest.mark.parametrize("address", [YEAR, "/api/v1/payments"])
    def test_an_unsupported_accept_header_is_406(self, analyst, address):
        assert_problem(analyst.get(address, headers={"accept": "image/png"}), 406)

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/csv;q=0.5, application/json", "application/json"),
            ("application/json;q=0.5, text/csv", "text/csv"),
            ("application/json;q=0, */*", "text/csv"),
            ("*/*;q=0.1, text/*", "text/csv"),
            ("text/csv;q=0, */*;q=0.1", "application/json"),
            ("application/json; indent=2", "application/json"),
            ("text/csv, */*", "text/csv"),
            ("text/csv;q*=x''1, application/json", "application/json"),
        ],
    )
    def test_the_preferred_format_is_sent(self, book, analyst, accept, kind):
        response = analyst.get(YEAR, headers={"accept": accept})
        assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, kind)

    @pytest.mark.parametrize("accept", ["application/json;q=0", "*/*;q=0", "", ",", "a/b;q*=x''1"])
    def test_a_format_with_q_0_is_not_sent(self, analyst, accept):
        assert_problem(analyst.get("/api/v1/payments", headers={"accept": accept}), 406)

    @pytest.mark.parametrize("address", [YEAR, f"{YEAR}&format=csv", "/api/v1/payments", "/api/v1/overview"])
    def test_if_match_that_differs_from_a_list_or_report_is_412(self, committed, book, analyst, address):
        assert_problem(analyst.get(address, headers={"if-match": '"another"'}), 412)

    def test_an_unsupported_content_type_is_415(self, editor):
        assert_problem(editor.post("/api/v1/payments", "x", content_type="text/plain"), 415)
        assert_problem(editor.post("/plans_insert", "{}", content_type="application/json"), 415)

    def test_an_error_is_a_problem_whatever_the_accept_header(self, analyst):
        response = analyst.get("/year_performance?year=x", headers={"accept": "text/csv"})
        assert assert_problem(response, 400)["errors"][0]["parameter"] == "year"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (IntegrityError("UNIQUE constraint failed: secret"), "duplicate"),
            (IntegrityError(1062, "Duplicate entry 'secret'"), "duplicate"),
            (IntegrityError("FOREIGN KEY constraint failed: secret"), "changed"),
            (IntegrityError(1452, "Cannot add or update a child row: secret"), "changed"),
            (OperationalError(1213, "Deadlock found: secret"), "busy"),
            (OperationalError("database is locked: secret"), "busy"),
        ],
    )
    def test_a_database_conflict_is_409_without_internals(self, book, editor, monkeypatch, error, kind):
        def lose(*args, **kwargs):
            raise error

        monkeypatch.setattr(Payment, "save", lose)
        response = editor.patch(f"/api/v1/payments/{book.pk}", {"sum": 5}, format="json")
        problem = assert_problem(response, 409, f"urn:fintrack:conflict:{kind}")
        assert "secret" not in problem["detail"]

    @pytest.mark.parametrize("error", [RuntimeError("secret"), OperationalError(2006, "secret")])
    def test_an_unexpected_exception_is_500_without_internals(self, analyst, monkeypatch, error):
        def crash(*args, **kwargs):
            raise error

        monkeypatch.setattr(PaymentViewSet, "list", crash)
        analyst.raise_request_exception = False
        response = analyst.get("/api/v1/payments")
        assert_problem(response, 500)
        assert b"secret" not in response.content
        assert response["X-Request-ID"]

    @pytest.mark.parametrize("address", ["/api/v1/payments", YEAR])
    def test_a_wrong_host_is_400_without_a_traceback(self, analyst, caplog, address):
        assert_problem(analyst.get(address, headers={"host": "example.com"}), 400)
        assert [record.getMessage() for record in caplog.records if record.exc_info] == []
        assert "'example.com'" in caplog.text
        assert analyst.get("/", headers={"host": "example.com"}).status_code == 400

    def test_a_response_lists_1000_faults_and_counts_the_others(self, editor):
        body = {f"name{number}": 1 for number in range(3000)}
        response = editor.post("/api/v1/payments", body, format="json")
        problem = assert_problem(response, 400)
        assert (len(problem["errors"]), problem["more_errors"]) == (1000, 2004)  # four fields are missing
        few = editor.post("/api/v1/payments", {}, format="json").json()
        assert (len(few["errors"]), "more_errors" in few) == (4, False)


class TestCodes:
    """Each fault has a code for programs."""

    @pytest.mark.parametrize(
        ("address", "codes"),
        [
            ("year_performance", {"year": "required"}),
            ("year_performance?year=x", {"year": "invalid"}),
            ("year_performance?year=1", {"year": "min_value"}),
            ("year_performance?year=2021&month=1", {"month": "unknown"}),
            ("year_performance?year=2021&year=2021", {"year": "repeated"}),
            ("credits?borrower=", {"borrower": "required"}),
            ("credits?state=late&body=1e3", {"state": "invalid_choice", "body": "invalid"}),
        ],
    )
    def test_codes_of_parameters(self, analyst, address, codes):
        faults = assert_problem(analyst.get(f"/api/v1/{address}"), 400)["errors"]
        assert {fault["parameter"]: fault["code"] for fault in faults} == codes

    @pytest.mark.parametrize(
        ("address", "body", "codes"),
        [
            ("payments", "{", {"": "parse_error"}),
            ("payments", "[]", {"": "invalid"}),
            ("dictionary", '{"name": "a", "name": "b"}', {"/name": "repeated"}),
            ("dictionary", '{"name": 1e9999999999999999999999}', {"/name": "invalid"}),
            ("dictionary", '{"nome": "a"}', {"/name": "required", "/nome": "unknown"}),
            ("dictionary", '{"name": null}', {"/name": "null"}),
            (
                "payments",
                '{"credit": 404, "payment_date": "x", "type": "1", "sum": 0.001}',
                {
                    "/credit": "does_not_exist",
                    "/payment_date": "invalid",
                    "/type": "incorrect_type",
                    "/sum": "max_decimal_places",
                },
            ),
            (
                "payments",
                '{"credit": 1, "payment_date": "2021-05-31", "type": 1, "sum": 1}',
                {"/payment_date": "too_early"},
            ),
            ("payments/bulk", "[]", {"": "empty"}),
            ("payments/bulk", "[1, 2]", {"/0": "invalid", "/1": "invalid"}),
        ],
    )
    def test_codes_of_bodies(self, editor, address, body, codes):
        builders.credit("2021-06-01", pk=1)
        response = editor.post(f"/api/v1/{address}", body, content_type="application/json")
        faults = assert_problem(response, 400)["errors"]
        assert {fault["pointer"]: fault["code"] for fault in faults} == codes

    def test_code_of_a_credit_issued_after_its_first_payment(self, book, editor):
        address, day = f"/api/v1/credits/{book.credit_id}", "2021-06-03"
        changed = editor.patch(address, {"issuance_date": day}, format="json")
        (fault,) = assert_problem(changed, 400)["errors"]
        assert (fault["pointer"], fault["code"]) == ("/issuance_date", "too_late")

    @pytest.mark.parametrize(
        ("address", "body", "pointer"),
        [
            ("borrowers", {"login": "anna", "registration_date": "2021-01-01"}, "/login"),
            ("dictionary", {"name": "Збір"}, "/name"),
            ("plans", {"period": "2021-06-01", "category": 3, "sum": 1}, "/period"),
        ],
    )
    def test_code_of_a_duplicate_row(self, book, editor, address, body, pointer):
        builders.borrower(login="anna")
        response = editor.post(f"/api/v1/{address}", body, format="json")
        (fault,) = assert_problem(response, 409, "urn:fintrack:conflict:duplicate")["errors"]
        assert (fault["pointer"], fault["code"]) == (pointer, "unique")

    def test_code_of_a_duplicate_row_with_another_fault(self, editor):
        body = {"login": "anna", "registration_date": "x"}
        builders.borrower(login="anna")
        faults = assert_problem(editor.post("/api/v1/borrowers", body, format="json"), 400)["errors"]
        assert {fault["pointer"]: fault["code"] for fault in faults} == {"/registration_date": "invalid"}


class TestTrailingSlash:
    """The original service redirected GET; this one redirects any method."""

    @pytest.mark.parametrize(
        "address",
        ["/year_performance", "/plans_performance", "/user_credits/10", "/plans_insert", "/api/v1/credits"],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_trailing_slash_redirects_to_the_address_without_it(self, method, address):
        client = APIClient(enforce_csrf_checks=True)
        response = client.generic(method, f"{address}/?year=2021&x=%2F")
        assert (response.status_code, response["Location"]) == (307, f"{address}?year=2021&x=%2F")

    def test_redirected_client_gets_the_same_response(self, book, analyst):
        led = analyst.get(analyst.get("/year_performance/?year=2021")["Location"])
        assert (led.status_code, led.json()) == (200, analyst.get(YEAR).json())

    @pytest.mark.parametrize("address", ["/nothing/", "/user_credits/1/2/", "/year_performance/x/"])
    def test_unknown_rows_and_addresses_are_404(self, analyst, address):
        assert analyst.get(address).status_code == 404


class TestThrottles:
    @time_machine.travel("2026-01-01T12:00:48Z", tick=False)
    def test_each_token_has_its_own_limit(self, book, settings):
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
    def test_guessing_tokens_is_limited_but_valid_tokens_are_not(self, book, settings):
        rates(settings, stranger="2/min")
        known, guesser = with_token(ANALYST), APIClient()
        guesser.credentials(HTTP_AUTHORIZATION="Token " + "0" * 64)
        assert [guesser.get(YEAR).status_code for _ in range(3)] == [401, 401, 429]
        refused = APIClient().get(YEAR)
        assert_problem(refused, 429)
        assert refused["Retry-After"] == "30"
        assert known.get(YEAR).status_code == 200

    def test_without_the_cache_no_limits_apply(self, book, settings, monkeypatch, caplog):
        def fail(*args, **kwargs):
            raise ConnectionError

        rates(settings, account="1/min", stranger="1/min")
        client = with_token(ANALYST)
        monkeypatch.setattr(Throttle.cache, "incr", fail)
        assert [client.get("/api/v1/payments").status_code for _ in range(3)] == [200] * 3
        assert [APIClient().get("/api/v1/payments").status_code for _ in range(3)] == [401] * 3
        assert caplog.messages.count("Requests can't be counted: ConnectionError()") == 6

    def test_evicted_counts_cause_no_error(self, book, settings, monkeypatch):
        rates(settings, account="1/min")
        monkeypatch.setattr(Throttle.cache, "add", lambda *args, **kwargs: cache.clear())
        assert with_token(ANALYST).get(YEAR).status_code == 200

    def test_of_two_first_requests_both_are_counted(self, book, settings, monkeypatch):
        rates(settings, account="1/min")
        add = cache.add

        def add_after_another(key, *args, **kwargs):
            assert add(key, 1)
            return add(key, *args, **kwargs)

        monkeypatch.setattr(Throttle.cache, "add", add_after_another)
        assert with_token(ANALYST).get("/api/v1/payments").status_code == 429


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

    def test_each_request_logs_one_line(self, book, caplog):
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

    def test_log_lines_have_no_login_amount_or_token(self, book, caplog):
        editor = with_token(EDITOR)
        editor.get("/api/v1/borrowers?login=annasecret&search=annasecret")
        editor.post("/api/v1/borrowers", {"login": "annasecret", "registration_date": "x"}, format="json")
        editor.post("/api/v1/payments", {"credit": 1, "sum": "98765.43"}, format="json")
        editor.get("/api/v1/annasecret")
        text = "\n".join(JSONFormatter().format(record) for record in caplog.records)
        assert len(lines_of(caplog)) == 4
        for secret in ("annasecret", "98765", editor._credentials["HTTP_AUTHORIZATION"][6:]):
            assert secret not in text

    def test_request_id_is_the_clients_or_generated(self, analyst, caplog):
        taken = analyst.get("/api/v1/dictionary", headers={"x-request-id": "my.id_1-a"})
        assert taken["X-Request-ID"] == "my.id_1-a"
        made = [
            analyst.get("/api/v1/dictionary", headers={"x-request-id": wrong})["X-Request-ID"]
            for wrong in ("", "a b", "x" * 65, "a\tb", "é")
        ]
        assert len(set(made)) == 5
        assert all(len(each) == 16 for each in made)
        assert APIClient().get("/livez")["X-Request-ID"]

    def test_every_log_line_of_a_request_has_its_id(self, book, analyst, caplog, monkeypatch):
        seen = []

        def crash(*args, **kwargs):
            seen.append(request_id.get())
            raise RuntimeError

        monkeypatch.setattr(PaymentViewSet, "list", crash)
        analyst.raise_request_exception = False
        analyst.get("/api/v1/payments", headers={"x-request-id": "abc"})
        assert seen == ["abc"]
        assert request_id.get() is None
