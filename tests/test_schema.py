"""What the API says of itself is true: the schema, the answers, the page, a client that is made of it."""

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from knox.models import AuthToken
from playwright.sync_api import sync_playwright

from credits.models import Dictionary
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR

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


def test_the_schema_in_the_repository_is_current():
    made = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=made)
    assert SCHEMA.read_text(encoding="utf-8") == made.getvalue().rstrip("\n") + "\n", (
        "Make it anew: manage.py spectacular --validate --fail-on-warn --file openapi.yaml"
    )


def test_it_is_openapi_3_1_and_has_every_address(schema):
    assert schema["openapi"] == "3.1.0"
    assert {"/year_performance", "/plans_performance", "/user_credits/{user_id}", "/plans_insert"} <= set(
        schema["paths"]
    )
    resources = {"borrowers", "credits", "payments", "dictionary", "plans"}
    assert {f"/api/v1/{name}" for name in resources} <= set(schema["paths"])
    assert {f"/api/v1/{name}/{{id}}" for name in resources} <= set(schema["paths"])


def test_every_error_of_every_operation_has_its_body_and_an_example(schema):
    for path, method, operation in operations(schema):
        expected = {"400", "401", "403", "405", "406", "429", "500"}
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        expected |= {"404"} if "{" in path or {"page", "cursor"} & names else set()
        expected |= {"409"} if method != "get" else set()
        expected |= {"412"} if path.startswith("/api/v1/") and path.endswith("/{id}") else set()
        expected |= {"413", "415"} if "requestBody" in operation else set()
        errors = {status for status in operation["responses"] if status >= "400"}
        assert errors == expected, (path, method)
    for name, response in schema["components"]["responses"].items():
        ((kind, content),) = response["content"].items()
        assert kind == "application/problem+json"
        for example in content["examples"].values():
            assert example["value"]["status"] == int(name.removeprefix("Problem"))


def test_each_row_has_a_tag_and_each_creating_post_takes_a_key(schema):
    for path, method, operation in operations(schema):
        sent = {parameter["name"] for parameter in operation.get("parameters", [])}
        answered = {
            header
            for status in ("200", "201")
            for header in operation["responses"].get(status, {}).get("headers", {})
        }
        if path.endswith("/{id}"):
            assert "If-Match" in sent
            assert ("ETag" in answered) == (method != "delete")
        elif method == "post" and path.startswith("/api/v1/") and "plans_insert" not in path:
            assert "Idempotency-Key" in sent
            assert answered == (set() if path.endswith("bulk") else {"ETag", "Location"})


def test_the_schema_is_served_as_yaml_and_json_to_those_who_may_read(analyst, schema):
    served = analyst.get("/api/schema/", headers={"accept": "application/json"})
    assert served.status_code == 200
    assert json.loads(served.content) == schema
    assert yaml.safe_load(analyst.get("/api/schema/").content) == schema


@pytest.fixture
def token_as(committed, settings):
    """A token of somebody with the role, beside a book, with no limit to how often it may ask."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"account": None, "stranger": None}
    }
    first = builders.credit("2021-06-01", "1500.50", borrower=builders.borrower(pk=10), pk=1)
    builders.payment(first, "2021-06-02", "1234.56")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")

    def token(role):
        return AuthToken.objects.create(builders.account(role), timedelta(hours=1))[1]

    return token


# What bodies refer to, what is taken and which date may come after which, no schema can say: right bodies may
# be refused with 400, which tests/test_resources.py looks at one by one.
# Of headers it tries what their pattern rules out, and an If-Match that no row has comes before the body.
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
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "412"]
checks.negative_data_rejection.expected-statuses = ["4xx"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("role", [ANALYST, EDITOR, ADMINISTRATOR])
def test_answers_are_as_the_schema_says_whatever_is_asked(role, token_as, live_server, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            str(SCHEMA),
            f"--url={live_server.url}",
            f"--header=Authorization: Token {token_as(role)}",
            "--checks=all",
            "--max-examples=15",
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
def test_a_client_made_of_the_schema_lists_credits_and_reads_a_report(
    token_as, live_server, tmp_path, monkeypatch
):
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
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},  # where it finds ruff
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
def test_the_page_reads_and_writes_in_a_browser_and_asks_no_other_host(
    token_as, live_server, schema, monkeypatch
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs a loop of its own
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
