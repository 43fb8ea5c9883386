"""The OpenAPI schema matches the API: responses, headers, the docs page, and a generated client."""

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from knox.models import AuthToken
from playwright.sync_api import sync_playwright
from rest_framework.test import APIClient

from credits.models import Dictionary, Payment
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR
from plans.models import Plan
from reports import urls
from reports.report import Report

from . import builders

PROJECT = Path(__file__).parent.parent
SCHEMA = PROJECT / "openapi.yaml"


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def operations(schema):
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]


def reports() -> dict[str, Report]:
    """Returns {path of the API: report}."""
    return {
        re.sub("<(.*?)>", r"{\1}", f"/api/v1/{route.pattern}"): route.callback.view_initkwargs["report"]
        for route in urls.api
    }


def test_the_schema_in_the_repository_is_current():
    made = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=made)
    assert SCHEMA.read_text(encoding="utf-8") == made.getvalue().rstrip("\n") + "\n", (
        "Generate it again: manage.py spectacular --validate --fail-on-warn --file openapi.yaml"
    )


def test_the_schema_is_openapi_3_1_and_has_every_address(schema):
    assert schema["openapi"] == "3.1.0"
    assert {"/year_performance", "/plans_performance", "/user_credits/{user_id}", "/plans_insert"} <= set(
        schema["paths"]
    )
    resources = {"borrowers", "credits", "payments", "dictionary", "plans"}
    assert {f"/api/v1/{name}" for name in resources} <= set(schema["paths"])
    assert {f"/api/v1/{name}/{{id}}" for name in resources} <= set(schema["paths"])


def test_every_error_of_every_operation_has_a_body_and_an_example(schema):
    for path, method, operation in operations(schema):
        expected = {"400", "401", "403", "405", "406", "429", "500"}
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        expected |= {"404"} if "{" in path or {"page", "cursor"} & names else set()
        expected |= {"409"} if method != "get" else set()
        expected |= {"412"} if method == "get" or path.endswith("/{id}") else set()
        expected |= {"413", "415"} if "requestBody" in operation else set()
        expected |= {"503"} if operation["tags"] == ["reports"] else set()
        errors = {status for status in operation["responses"] if status >= "400"}
        assert errors == expected, (path, method)
    for name, response in schema["components"]["responses"].items():
        if not name.startswith("Problem"):
            continue
        ((kind, content),) = response["content"].items()
        assert kind == "application/problem+json"
        for example in content["examples"].values():
            assert example["value"]["status"] == int(name.removeprefix("Problem"))


def test_each_operation_has_its_own_summary_and_description(schema):
    said = [(operation["summary"], operation["description"]) for *_, operation in operations(schema)]
    summaries, descriptions = map(set, zip(*said, strict=True))
    assert (len(summaries), len(descriptions)) == (len(said), len(said))
    credit = schema["paths"]["/api/v1/credits/{id}"]
    assert {method: operation["summary"] for method, operation in credit.items()} == {
        "get": "Read a credit",
        "put": "Replace a credit",
        "patch": "Change a credit",
        "delete": "Delete a credit",
    }
    plans = (
        "Monthly plans. `period` is the first day of the month, `category` is 3 (issuance) or 4 (collection)."
    )
    assert schema["components"]["schemas"]["Plan"]["description"] == plans
    assert schema["paths"]["/api/v1/plans"]["post"]["description"] == (
        f"Store a new plan. The response is the stored row with its id.\n\n{plans}"
    )


def test_an_original_address_names_its_current_address(schema):
    original = {path for path in schema["paths"] if not path.startswith("/api/v1/")}
    assert original == {"/year_performance", "/plans_performance", "/user_credits/{user_id}", "/plans_insert"}
    for path in original:
        ((method, operation),) = schema["paths"][path].items()
        current = schema["paths"][f"/api/v1{path}"][method]
        assert operation == current | {
            "operationId": f"{current['operationId']}_original",
            "summary": f"{current['summary']} (original address)",
            "description": f"{current['description']}\n\nThe same as `/api/v1{path}`.",
        }


def test_each_parameter_has_its_own_description(schema):
    for path, method, operation in operations(schema):
        parameters = operation.get("parameters", [])
        said = {parameter["description"].strip() for parameter in parameters}
        assert "" not in said
        assert len(said) == len(parameters), (path, method)


@pytest.mark.parametrize(
    ("path", "name", "description"),
    [
        ("credits", "issuance_date", "Issued on this day (a date, yyyy-mm-dd)."),
        ("credits", "issuance_date__gte", "Issued from this day, inclusive (a date, yyyy-mm-dd)."),
        ("plans", "period__lte", "Month to this day, inclusive (a date, yyyy-mm-dd)."),
        (
            "credits",
            "percent__gte",
            "Interest of this amount or more "
            "(an amount of at most 12 digits and two decimals, such as 1500.50).",
        ),
        ("payments", "borrower", "Borrower with this id (an id, a whole number from 1)."),
        ("dictionary", "name", "Name equal to this text (exact text)."),
        ("plans", "search", "Matching this text (a part of the category's name)."),
        (
            "dictionary",
            "ordering",
            "Sort by this field, descending with a minus; equal rows by id in the same direction "
            "(one of: id, -id, name, -name).",
        ),
        ("plans", "page_size", "How many rows a page has (a whole number from 1 to 1000)."),
        ("plans/{id}", "id", "The id of the plan."),
        ("month", "month", "The month of the report (a month, yyyy-mm)."),
        (
            "overview",
            "check_date",
            "The date of the report (a date, yyyy-mm-dd; default: the last day of the book).",
        ),
    ],
)
def test_a_description_says_what_a_parameter_selects_and_accepts(schema, path, name, description):
    parameters = schema["paths"][f"/api/v1/{path}"]["get"]["parameters"]
    assert [each["description"] for each in parameters if each["name"] == name] == [description]


def test_only_reports_have_examples_of_parameters(schema):
    filled = {
        (path, parameter["name"])
        for path, _method, operation in operations(schema)
        for parameter in operation.get("parameters", [])
        if {"example", "examples"} & (parameter.keys() | parameter["schema"].keys())
    }
    examples = {
        (path, name) for path, report in reports().items() if report.example for name in report.example[0]
    }
    assert ("/api/v1/year_performance", "year") in examples
    at_root = {path for path in schema["paths"] if not path.startswith("/api/")}
    assert filled == examples | {
        (path, name)
        for path in at_root
        for name in ("year", "check_date", "user_id")
        if (f"/api/v1{path}", name) in examples
    }


def test_json_bodies_state_their_limits(schema):
    for _path, _method, operation in operations(schema):
        body = operation.get("requestBody", {"content": {}})
        if "application/json" in body["content"]:
            assert body["description"] == "JSON in UTF-8, at most 2 MB."
    many = schema["paths"]["/api/v1/payments/bulk"]["post"]["requestBody"]["content"]["application/json"]
    assert many["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/PaymentRequest"},
        "minItems": 1,
        "maxItems": 5000,
    }


def test_responses_and_uploads_have_named_types(schema):
    def named(part):
        return part["$ref"].removeprefix("#/components/schemas/")

    components, rows = schema["components"]["schemas"], {}
    for path, method, operation in operations(schema):
        for status in {"200", "201"} & operation["responses"].keys():
            content = operation["responses"][status]["content"]
            if operation["tags"] == ["reports"]:
                assert content["application/json"]["schema"]["type"] == "array"
                rows[path.removeprefix("/api/v1")] = named(content["application/json"]["schema"]["items"])
            else:
                assert named(content["application/json"]["schema"]) in components, (path, method)
    assert rows["/year_performance"] == "YearPerformanceRow"
    assert rows == {
        path.removeprefix("/api/v1"): report.name.title().replace("_", "") + "Row"
        for path, report in reports().items()
    }
    plans_insert = schema["paths"]["/plans_insert"]["post"]
    form = plans_insert["requestBody"]["content"]["multipart/form-data"]
    assert named(form["schema"]) == "PlansFileRequest"
    assert named(plans_insert["responses"]["200"]["content"]["application/json"]["schema"]) == "InsertedPlans"


def test_links_of_a_page_are_nullable(schema):
    components = schema["components"]["schemas"]
    pages = [page for name, page in components.items() if name.startswith("Paginated")]
    assert len(pages) == 5
    for page in pages:
        assert (
            page["properties"]["next"]["type"] == page["properties"]["previous"]["type"] == ["string", "null"]
        )


class TestHeaders:
    """A response has exactly those documented headers that the schema lists for it."""

    @pytest.fixture
    def told(self, schema):
        """Checks a response against the schema of the operation."""
        known = schema["components"]["headers"]
        compared = known.keys() - {"Allow"}  # DRF adds it to every response

        def look(path, method, status, response):
            assert response.status_code == status, (path, method)
            said = schema["paths"][path][method]["responses"][str(status)]
            if "$ref" in said:
                said = schema["components"]["responses"][said["$ref"].rpartition("/")[2]]
            may = said["headers"].keys() & compared
            must = {name for name in may if known[name].get("required")}
            found = response.headers.keys() & compared
            assert must <= found <= may, (path, method, status)

        return look

    def test_each_get_is_conditional_and_each_response_has_an_id(self, schema):
        for path, method, operation in operations(schema):
            sent = {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
            answers = operation["responses"]
            assert ("If-None-Match" in sent) == ("304" in answers) == (method == "get"), path
            assert ("If-Match" in sent) == ("412" in answers), (path, method)
            replayed = "Idempotency-Replayed" in answers.get("201", {}).get("headers", {})
            assert ("Idempotency-Key" in sent) == replayed == ("201" in answers), (path, method)
            for answer in answers.values():
                if "$ref" in answer:
                    answer = schema["components"]["responses"][answer["$ref"].rpartition("/")[2]]
                reference = {"$ref": "#/components/headers/X-Request-ID"}
                assert answer["headers"]["X-Request-ID"] == reference, (path, method)

    def test_headers_of_every_get_match_the_schema(self, committed, analyst, schema, told):
        credit = builders.credit("2021-06-01", borrower=builders.borrower(pk=1), pk=1)
        Payment.objects.create(pk=1, credit=credit, payment_date=date(2021, 6, 2), type_id=1, sum=1)
        Plan.objects.create(pk=1, period=date(2021, 6, 1), category_id=3, sum=1)
        asked = {
            "year_performance": "year=2021",
            "year_on_year": "year=2021",
            "month": "month=2021-06",
            "plans_performance": "check_date=2021-06-30",
            "pace": "check_date=2021-06-30",
        }
        read = [path for path, method, _operation in operations(schema) if method == "get"]
        assert len(read) > len(reports())
        for path in read:
            address = f"{re.sub('{.*}', '1', path)}?{asked.get(path.rpartition('/')[2], '')}"
            first = analyst.get(address)
            told(path, "get", 200, first)
            told(path, "get", 304, analyst.get(address, headers={"if-none-match": first["ETag"]}))
            told(path, "get", 412, analyst.get(address, headers={"if-match": '"another"'}))
            told(path, "get", 400, analyst.get(f"{address}&colour=red"))
            told(path, "get", 401, APIClient().get(address))

    @pytest.mark.parametrize("table", ["borrowers", "credits", "payments", "dictionary", "plans"])
    def test_headers_of_every_write_match_the_schema(self, administrator, schema, told, table):
        builders.credit("2020-01-01", borrower=builders.borrower(pk=31), pk=2)
        path, row_path = f"/api/v1/{table}", f"/api/v1/{table}/{{id}}"
        body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        row = body["examples"]["Written"]["value"] | ({"name": "another"} if table == "dictionary" else {})

        def send(method, address, **headers):
            return administrator.generic(
                method, address, json.dumps(row), "application/json", headers=headers
            )

        made = send("post", path, **{"idempotency-key": "1", "if-match": '"another"'})
        again = send("post", path, **{"idempotency-key": "1"})
        told(path, "post", 201, made)
        told(path, "post", 201, again)
        assert (made.headers.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
        for method in ("put", "patch", "delete"):
            told(row_path, method, 412, send(method, made["Location"], **{"if-match": '"another"'}))
        for method, status in (("put", 200), ("patch", 200), ("delete", 204)):
            told(row_path, method, status, send(method, made["Location"]))

    def test_headers_of_bulk_and_plans_insert_match_the_schema(self, editor, told):
        builders.credit("2021-06-01", pk=1)
        payments = [{"credit": 1, "payment_date": "2021-06-02", "type": 1, "sum": 1}]
        path, key = "/api/v1/payments/bulk", {"idempotency-key": "1"}
        told(path, "post", 201, editor.post(path, payments, format="json", headers=key))
        again = editor.post(path, payments, format="json", headers=key)
        told(path, "post", 201, again)
        assert again["Idempotency-Replayed"] == "true"
        for month, path in enumerate(("/plans_insert", "/api/v1/plans_insert"), start=1):
            file = SimpleUploadedFile(
                "plans.csv", f"month,category_name,sum\n2021-0{month}-01,видача,1\n".encode()
            )
            told(path, "post", 200, editor.post(path, {"file": file}))


def test_readers_get_the_schema_as_yaml_and_json(analyst, schema):
    served = analyst.get("/api/schema/", headers={"accept": "application/json"})
    assert served.status_code == 200
    assert json.loads(served.content) == schema
    assert yaml.safe_load(analyst.get("/api/schema/").content) == schema


@pytest.fixture
def token_as(committed, settings):
    """Returns a token with the role and without a rate limit, for a database with a book."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"account": None, "stranger": None}
    }
    first = builders.credit("2021-06-01", "1500.50", borrower=builders.borrower(pk=10), pk=1)
    builders.payment(first, "2021-06-02", "1234.56")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")

    def token(role):
        return AuthToken.objects.create(builders.account(role), timedelta(hours=1))[1]

    return token


# A schema can't describe references, duplicates or the order of dates. So bodies that match it may be refused
# with 400; tests/test_resources.py tests these cases.
# Generated headers may violate their pattern, and an If-Match that doesn't match is checked before the body.
# `If-None-Match: *` matches everything that exists.
CONFIG = """
[generation]
allow-x00 = false
codec = "ascii"

[[operations]]
include-method = ["POST", "PUT", "PATCH"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "412"]
checks.negative_data_rejection.expected-statuses = ["4xx"]

[[operations]]
include-method = ["GET", "DELETE"]
include-path-regex = "/[{]id[}]$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "401", "403", "404", "409", "412"]
checks.negative_data_rejection.expected-statuses = ["4xx"]

[[operations]]
include-method = "GET"
exclude-path-regex = "/[{]id[}]$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "401", "403", "404", "412"]
"""


@pytest.mark.slow
# An editor gets the answers of an analyst or those of an administrator.
@pytest.mark.parametrize("role", [pytest.param(ANALYST, marks=pytest.mark.once), ADMINISTRATOR])
def test_responses_to_generated_requests_match_the_schema(role, token_as, live_server, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            str(SCHEMA),
            f"--url={live_server.url}",
            f"--header=Authorization: Token {token_as(role)}",
            "--checks=all",
            "--max-examples=8",
            "--seed=1",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    (cases,) = re.findall(r"(\d+) generated, \d+ passed", run.stdout)
    assert int(cases) >= 2000


@pytest.mark.slow
def test_a_generated_client_lists_credits_and_reads_a_report(token_as, live_server, tmp_path, monkeypatch):
    programs = Path(sys.executable).parent
    subprocess.run(
        [
            str(programs / "openapi-python-client"),
            "generate",
            f"--path={SCHEMA}",
            "--meta=none",
            f"--output-path={tmp_path / 'fintrack_client'}",
            "--fail-on-warning",
        ],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},  # it calls ruff from there
    )
    monkeypatch.syspath_prepend(tmp_path)
    client_class = importlib.import_module("fintrack_client").AuthenticatedClient
    credits_list = importlib.import_module("fintrack_client.api.credits_.credits_list")
    year = importlib.import_module("fintrack_client.api.reports.year_performance_retrieve")

    token = token_as(ANALYST)
    with client_class(base_url=live_server.url, token=token, prefix="Token") as client:
        page = credits_list.sync(client=client, page_size=1)
        (row,) = year.sync(client=client, year=2021)
    assert [(each.id, each.borrower, each.body) for each in page.results] == [(1, 10, 1500.5)]
    found = (row.month_year, row.actual_issuance_sum, row.issuance_performance_percent)
    assert found == ("2021-06", 1500.5, 50.02)


@pytest.mark.slow
def test_the_page_reads_and_writes_and_contacts_no_other_host(token_as, live_server, schema, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs its own event loop
    client = Client()
    client.force_login(builders.account(EDITOR))
    said, hosts = [], set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking"],
        )
        context = browser.new_context()
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
        context.add_cookies([cookie])
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(f"{live_server.url}/api/docs/")

        def tried(operation, body=None):
            block = page.locator(f"[id='operations-{operation}']")
            block.locator(".opblock-summary").click()
            block.get_by_role("button", name="Try it out").click()
            if body:
                block.locator("textarea").fill(body)
            block.get_by_role("button", name="Execute").click()
            block.locator(".live-responses-table").wait_for()
            return block.locator(".live-responses-table .response .response-col_status").inner_text()

        page.locator(".opblock").first.wait_for()
        assert page.locator(".opblock").count() == sum(map(len, schema["paths"].values()))
        assert tried("reports-year_performance_retrieve") == "200"
        written = '{"credit": 1, "payment_date": "2021-06-05", "type": 1, "sum": 9.99}'
        assert tried("payments-payments_create", written) == "201"
        browser.close()
    assert said == []
    assert hosts == {urlsplit(live_server.url).netloc}
