"""What all endpoints share: parameters, problems, methods, headers, and the format of numbers."""

import json
import re
from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from credits.models import Dictionary

from . import builders

pytestmark = pytest.mark.django_db

A_YEAR = "a year from 1900 to 2999"
A_DATE = "a date, yyyy-mm-dd"
AN_ID = "the id of a borrower, a whole number from 1"

prefixes = pytest.mark.parametrize("prefix", ["", "/api/v1"])


def problem(response, status, title):
    """Checks the members that every problem has, and returns the others."""
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    members = response.json()
    assert members.pop("type") == "about:blank"
    assert (members.pop("title"), members.pop("status")) == (title, status)
    assert members["detail"]
    return members


def faults(response):
    """Returns (parameter, found, expected) of each fault."""
    members = problem(response, 400, "Bad Request")
    assert members["detail"] == "Check the parameters."
    assert {tuple(error) for error in members["errors"]} == {("parameter", "found", "expected", "code")}
    return [tuple(error.values())[:3] for error in members["errors"]]


@pytest.fixture
def book():
    """Creates rows for each report to show, in 2021-06. Returns the borrower's id."""
    credit = builders.credit("2021-06-01", "1000.10", percent=Decimal("95.00"))
    builders.payment(credit, "2021-06-10", "0.30")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")
    builders.plan("2021-06", Dictionary.COLLECTION, "999999999999.99")
    return credit.borrower_id


@pytest.fixture
def addresses(book):
    return [
        "/year_performance?year=2021",
        "/plans_performance?check_date=2021-06-30",
        f"/user_credits/{book}",
    ]


class TestParameters:
    @prefixes
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", None),
            ("?year=", ""),
            ("?year=abc", "abc"),
            ("?year=2021.5", "2021.5"),
            ("?year=2e3", "2e3"),
            ("?year=0x7e5", "0x7e5"),
            ("?year=-2021", "-2021"),
            ("?year=0", "0"),
            ("?year=1899", "1899"),
            ("?year=3000", "3000"),
            ("?year=2021%00", "2021\0"),
            pytest.param(f"?year={'9' * 5000}", "9" * 5000, id="5000 digits"),
        ],
    )
    def test_an_invalid_year_is_a_fault(self, analyst, prefix, query, found):
        assert faults(analyst.get(f"{prefix}/year_performance{query}")) == [("year", found, A_YEAR)]

    @pytest.mark.parametrize("year", [1900, 2999])
    def test_the_first_and_the_last_year_are_accepted(self, analyst, year):
        assert analyst.get(f"/year_performance?year={year}").json() == []

    @prefixes
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", None),
            ("?check_date=", ""),
            ("?check_date=today", "today"),
            ("?check_date=2021-02-29", "2021-02-29"),
            ("?check_date=2021-13-01", "2021-13-01"),
            ("?check_date=31.12.2021", "31.12.2021"),
            ("?check_date=12/31/2021", "12/31/2021"),
            ("?check_date=2021-12", "2021-12"),
            ("?check_date=2021-12-31T00:00", "2021-12-31T00:00"),
            ("?check_date=0000-01-01", "0000-01-01"),
            ("?check_date=10000-01-01", "10000-01-01"),
        ],
    )
    def test_an_invalid_date_is_a_fault(self, analyst, prefix, query, found):
        assert faults(analyst.get(f"{prefix}/plans_performance{query}")) == [("check_date", found, A_DATE)]

    @pytest.mark.parametrize("day", ["0001-01-01", "2020-02-29", "9999-12-31"])
    def test_dates_far_in_the_past_and_future_are_accepted(self, analyst, day):
        assert analyst.get(f"/plans_performance?check_date={day}").json() == []

    @prefixes
    @pytest.mark.parametrize("found", ["abc", "0", "-1", "1.5", "1,000", "0x1", "null", "1;"])
    def test_an_invalid_id_is_a_fault(self, analyst, prefix, found):
        assert faults(analyst.get(f"{prefix}/user_credits/{found}")) == [("user_id", found, AN_ID)]

    @pytest.mark.parametrize(
        ("address", "known"),
        [
            ("/year_performance?year=2021&month=6", "year"),
            ("/plans_performance?check_date=2021-06-30&month=6", "check_date"),
            ("/user_credits/1?month=6", "user_id"),
        ],
    )
    def test_an_unknown_parameter_is_a_fault(self, book, analyst, address, known):
        ((parameter, found, expected),) = faults(analyst.get(address))
        assert (parameter, found) == ("month", "6")
        start, names = expected.split(": ")
        assert start == "one of these parameters"
        assert known in names.split(", ")

    @pytest.mark.parametrize(
        ("address", "fault"),
        [
            ("/year_performance?year=2020&year=2021", ("year", "2020, 2021", "one value")),
            ("/year_performance?year=2021&year=2021", ("year", "2021, 2021", "one value")),
            (
                "/plans_performance?check_date=2021-01-01&check_date=2021-01-02",
                ("check_date", "2021-01-01, 2021-01-02", "one value"),
            ),
            ("/user_credits/1?user_id=2", ("user_id", "2, 1", "one value")),
        ],
    )
    def test_a_repeated_parameter_is_a_fault(self, book, analyst, address, fault):
        assert faults(analyst.get(address)) == [fault]

    def test_all_faults_are_listed_at_once(self, analyst):
        found = faults(analyst.get("/year_performance?Year=2021&year=2021&year=x&page=2"))
        assert [fault[:2] for fault in found] == [
            ("Year", "2021"),
            ("year", "2021, x"),
            ("page", "2"),
            ("year", "x"),
        ]

    def test_faults_repeat_names_and_values_exactly(self, analyst):
        address = "/year_performance?year=%3Cscript%3E%22%D1%80%D1%96%D0%BA%F0%9F%92%B0"
        assert faults(analyst.get(address)) == [("year", '<script>"рік💰', A_YEAR)]

    def test_too_many_parameters_are_refused(self, analyst):
        query = "&".join(f"p{number}=1" for number in range(1001))
        assert problem(analyst.get(f"/year_performance?{query}"), 400, "Bad Request")


class TestAnswers:
    @prefixes
    def test_money_and_percentages_are_numbers_with_at_most_two_decimals(self, addresses, analyst, prefix):
        for address in addresses:
            text = analyst.get(prefix + address).content.decode()
            numbers = re.findall(r"(?<=:)-?[0-9.eE+-]+", text)
            assert numbers
            for number in numbers:
                assert re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", number)

    def test_each_field_has_the_type_of_the_contract(self, addresses, analyst):
        year, plans, credits_ = (analyst.get(address).json() for address in addresses)
        assert year == [
            {
                "month_year": "2021-06",
                "issuance_count": 1,
                "plan_issuance_sum": 3000,
                "actual_issuance_sum": 1000.1,
                "issuance_performance_percent": 33.34,
                "payment_count": 1,
                "plan_collection_sum": 999999999999.99,
                "actual_collection_sum": 0.3,
                "collection_performance_percent": 0,
                "issuance_percent_of_year": 100,
                "collection_percent_of_year": 100,
            }
        ]
        assert [row["plan_sum"] for row in plans] == [3000, 999999999999.99]
        assert [(row["body"], row["percent"]) for row in credits_] == [(1000.1, 95)]
        assert isinstance(credits_[0]["is_closed"], bool)

    def test_text_is_sent_as_unescaped_utf_8(self, book, analyst):
        response = analyst.get("/plans_performance?check_date=2021-06-30")
        assert response["Content-Type"] == "application/json"
        assert '"category":"видача"' in response.content.decode()

    def test_figures_are_sent_with_private_no_cache(self, addresses, analyst):
        for address in addresses:
            assert analyst.get(address)["Cache-Control"] == "private, no-cache"

    @prefixes
    def test_head_is_get_without_a_body(self, addresses, analyst, prefix):
        for address in addresses:
            head, get = analyst.head(prefix + address), analyst.get(prefix + address)
            assert (head.status_code, head.content) == (200, b"")
            for name in ("Content-Type", "Cache-Control", "Allow"):
                assert head.headers.get(name) == get.headers.get(name)

    def test_head_of_a_wrong_request_has_the_same_status(self, analyst):
        assert analyst.head("/year_performance").status_code == 400
        assert analyst.head("/user_credits/404").status_code == 404

    @prefixes
    @pytest.mark.parametrize(
        ("address", "methods"),
        [
            ("/year_performance", {"GET", "HEAD", "OPTIONS"}),
            ("/plans_performance", {"GET", "HEAD", "OPTIONS"}),
            ("/user_credits/1", {"GET", "HEAD", "OPTIONS"}),
            ("/plans_insert", {"POST", "OPTIONS"}),
        ],
    )
    def test_options_lists_the_methods(self, editor, prefix, address, methods):
        response = editor.options(prefix + address)
        assert response.status_code == 200
        assert set(response["Allow"].split(", ")) == methods


class TestProblems:
    @prefixes
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
    @pytest.mark.parametrize("address", ["/year_performance", "/plans_performance", "/user_credits/1"])
    def test_other_methods_are_not_allowed(self, analyst, prefix, method, address):
        response = analyst.generic(method, prefix + address)
        members = problem(response, 405, "Method Not Allowed")
        assert members == {"detail": f'Method "{method}" not allowed.'}
        assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}

    @prefixes
    def test_an_unsupported_accept_header_is_406(self, addresses, analyst, prefix):
        for address in addresses:
            response = analyst.get(prefix + address, headers={"Accept": "application/xml"})
            problem(response, 406, "Not Acceptable")

    @pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", "text/html,*/*;q=0.1"])
    def test_any_accept_header_that_allows_json_gets_json(self, addresses, analyst, accept):
        for address in addresses:
            response = analyst.get(address, headers={"Accept": accept})
            assert (response.status_code, response["Content-Type"]) == (200, "application/json")

    @prefixes
    def test_an_unknown_borrower_is_not_found(self, book, analyst, prefix):
        assert "errors" not in problem(analyst.get(f"{prefix}/user_credits/{book + 1}"), 404, "Not Found")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("address", ["nothing", "user_credits", "user_credits/1/2"])
    def test_an_unknown_address_is_not_found(self, analyst, method, address):
        response = analyst.generic(method, f"/api/v1/{address}")
        assert problem(response, 404, "Not Found") == {"detail": "Not found."}

    @prefixes
    @pytest.mark.parametrize(
        "address", ["/year_performance?year=x", "/plans_performance", "/user_credits/1", "/plans_insert"]
    )
    def test_without_credentials_parameters_are_not_checked(self, prefix, address):
        response = APIClient().get(prefix + address)
        members = problem(response, 401, "Unauthorized")
        assert members == {"detail": "Authentication credentials were not provided."}
        assert response["WWW-Authenticate"] == "Token"

    def test_an_unknown_address_is_401_without_credentials(self):
        problem(APIClient().get("/api/v1/nothing"), 401, "Unauthorized")

    @prefixes
    @pytest.mark.parametrize(
        "address", ["/year_performance?year=2021", "/plans_performance?check_date=x", "/user_credits/1"]
    )
    def test_an_account_without_a_role_gets_no_figures(self, book, stranger, prefix, address):
        members = problem(stranger.get(prefix + address), 403, "Forbidden")
        assert members == {"detail": "You do not have permission to perform this action."}

    def test_problems_are_valid_json(self, analyst):
        text = analyst.get("/year_performance").content
        assert json.loads(text) == {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "Check the parameters.",
            "errors": [{"parameter": "year", "found": None, "expected": A_YEAR, "code": "required"}],
        }
