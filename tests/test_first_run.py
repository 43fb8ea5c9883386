"""manage.py first_run: loads data into an empty book and creates accounts if there are none."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR
from plans.models import Plan

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def first_run(capfd):
    """Runs the command and returns its output."""

    def run(*arguments: object) -> str:
        capfd.readouterr()
        call_command("first_run", *arguments)
        return capfd.readouterr().out

    return run


@pytest.fixture
def folder(tmp_path):
    return builders.files(tmp_path)


def book() -> list[int]:
    return [model.objects.count() for model in (Borrower, Credit, Payment, Dictionary, Plan)]


def passwords(output: str) -> dict[str, str]:
    """Returns the printed {account: password}."""
    return dict(re.findall(r"^  (\w+) +([\w-]{16})$", output, re.MULTILINE))


def test_files_of_the_folder_are_loaded_into_an_empty_book(first_run, folder):
    output = first_run("--data", folder)
    assert book() == [2, 2, 3, 4, 2]
    assert "demo data" not in output


@pytest.mark.slow
def test_demo_data_are_loaded_into_an_empty_book(first_run):
    assert "The book is empty: loading demo data.\n" in first_run()
    borrowers, lent, payments, dictionary, plans = book()
    assert (borrowers, lent, dictionary, plans) == (4000, 4000, 4, 62)
    assert payments > 40_000


@pytest.mark.parametrize(
    "something",
    [
        builders.borrower,
        lambda: builders.payment(builders.credit(), "2021-06-10", 5),
        lambda: builders.plan("2021-06", Dictionary.ISSUANCE, 1),
    ],
    ids=["borrower", "payment", "plan"],
)
@pytest.mark.parametrize("given", [True, False], ids=["--data", "demo"])
def test_nothing_is_loaded_into_a_book_that_is_not_empty(first_run, folder, something, given):
    something()
    before = book()
    output = first_run(*(["--data", folder] if given else []))
    assert book() == before
    assert (f"The book isn't empty: {folder} was not loaded." in output) is given
    assert "demo data" not in output


def test_each_role_has_an_account_whose_printed_password_works(first_run, folder):
    printed = passwords(first_run("--data", folder))
    assert {
        account.username: [group.name for group in account.groups.all()] for account in User.objects.all()
    } == {
        "analyst": [ANALYST],
        "editor": [EDITOR],
        "administrator": [ADMINISTRATOR],
    }
    assert set(printed) == {"analyst", "editor", "administrator"}
    assert len(set(printed.values())) == 3
    for name, password in printed.items():
        client = Client()
        answer = client.post("/accounts/login/", {"username": name, "password": password})
        assert (answer.status_code, answer["Location"]) == (302, "/")
        assert client.get("/").status_code == 200


def test_no_accounts_are_created_if_there_is_one(first_run, folder):
    builders.account()
    output = first_run("--data", folder)
    assert User.objects.count() == 1
    assert passwords(output) == {}
    assert "curl" not in output
    assert book() == [2, 2, 3, 4, 2]


def test_printed_curl_command_requests_the_books_last_year_and_works(first_run, folder, client):
    output = first_run("--data", folder, "--port", "8123")
    command = re.fullmatch(
        r"  curl -H 'Authorization: (Token \w+)' 'http://127\.0\.0\.1:8123(/year_performance\?year=2021)'",
        output.splitlines()[-1],
    )
    assert command, output
    answer = client.get(command[2], headers={"authorization": command[1]})
    assert answer.status_code == 200
    assert [row["month_year"] for row in answer.json()] == ["2021-01", "2021-02"]


def test_token_of_the_curl_command_may_only_read(first_run, folder, client):
    token = re.search(r"Token \w+", first_run("--data", folder))[0]
    assert client.post("/plans_insert", headers={"authorization": token}).status_code == 403


def test_second_run_changes_nothing_and_prints_nothing(first_run, folder):
    first_run("--data", folder)
    before = book(), list(User.objects.order_by("pk").values())
    assert first_run() == ""
    assert (book(), list(User.objects.order_by("pk").values())) == before


def test_files_with_faults_load_nothing_and_create_no_accounts(first_run, tmp_path):
    folder = builders.files(tmp_path, plans=["id\tperiod\tsum\tcategory_id", "1\t02.01.2021\t4000\t3"])
    with pytest.raises(CommandError, match="1 fault; nothing was stored"):
        first_run("--data", folder)
    assert book() == [0, 0, 0, 4, 0]
    assert not User.objects.exists()


def test_missing_folder_is_an_error(first_run, tmp_path):
    with pytest.raises(CommandError, match="No such folder"):
        first_run("--data", tmp_path / "absent")
    assert not User.objects.exists()
