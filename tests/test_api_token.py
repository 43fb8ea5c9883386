"""manage.py api_token: prints only a token for a program."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from knox.models import AuthToken

from fintrack.access import ANALYST, EDITOR

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def api_token(capfd):
    """Runs the command and returns its exact standard output."""

    def run(*arguments: str) -> str:
        capfd.readouterr()
        call_command("api_token", *arguments)
        return capfd.readouterr().out

    return run


def status(client, token: str) -> int:
    return client.get("/year_performance?year=2021", headers={"authorization": f"Token {token}"}).status_code


def test_only_the_token_is_printed_and_it_works(api_token, client):
    output = api_token("program", "--role", "analyst")
    assert output == f"{output.strip()}\n"
    assert output.strip().isalnum()
    assert status(client, output.strip()) == 200


@pytest.mark.parametrize("role", ["analyst", "editor", "administrator"])
def test_new_account_has_only_the_role_and_no_password(api_token, client, role):
    api_token("program", "--role", role)
    account = User.objects.get()
    assert account.username == "program"
    assert [group.name for group in account.groups.all()] == [role.capitalize()]
    assert not account.has_usable_password()
    assert (account.is_active, account.is_staff, account.is_superuser) == (True, False, False)


def test_existing_account_gets_another_token(api_token, client):
    first, second = (api_token("program", "--role", "editor").strip() for _ in range(2))
    assert first != second
    assert (status(client, first), status(client, second)) == (200, 200)
    assert User.objects.count() == 1


def test_account_of_a_person_keeps_its_password(api_token, client):
    person = builders.account(ANALYST, password="a long password")
    assert status(client, api_token(person.username, "--role", "analyst").strip()) == 200
    assert person.check_password("a long password")


@pytest.mark.parametrize("role", [ANALYST, ""])
def test_role_other_than_the_accounts_is_an_error(api_token, role):
    account = builders.account(role)
    with pytest.raises(CommandError, match="with another role than editor"):
        api_token(account.username, "--role", "editor")
    assert not AuthToken.objects.exists()
    assert not account.groups.filter(name=EDITOR).exists()


def test_account_with_more_permissions_than_the_role_is_an_error(api_token):
    both = builders.account(ANALYST)
    both.groups.add(Group.objects.get(name=EDITOR))
    root = User.objects.create_superuser("root")
    root.groups.add(Group.objects.get(name=ANALYST))
    for account in (both, root):
        with pytest.raises(CommandError, match="with another role than analyst"):
            api_token(account.username, "--role", "analyst")
    assert not AuthToken.objects.exists()


def test_deactivated_account_gets_no_token(api_token):
    account = builders.account(ANALYST, is_active=False)
    with pytest.raises(CommandError, match="is deactivated: its tokens are refused"):
        api_token(account.username, "--role", "analyst")


@pytest.mark.parametrize(("arguments", "days"), [([], 365), (["--days", "1"], 1), (["--days", "3650"], 3650)])
def test_token_expires_after_the_given_days(api_token, arguments, days):
    api_token("program", "--role", "analyst", *arguments)
    token = AuthToken.objects.get()
    assert abs(token.expiry - token.created - timedelta(days=days)) < timedelta(seconds=10)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "1.5", "many"])
def test_days_out_of_bounds_are_an_error(api_token, days):
    with pytest.raises(CommandError, match="--days"):
        api_token("program", "--role", "analyst", f"--days={days}")
    assert not User.objects.exists()


@pytest.mark.parametrize("arguments", [[], ["--role", "owner"], ["--role", "Analyst"], ["--role", ""]])
def test_role_must_be_one_of_the_three(api_token, arguments):
    with pytest.raises(CommandError, match="--role"):
        api_token("program", *arguments)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "cannot be blank"), ("two words", "only letters"), ("x" * 151, "at most 150 characters")],
    ids=["empty", "with a space", "too long"],
)
def test_invalid_name_is_explained(api_token, name, reason):
    with pytest.raises(CommandError, match=reason):
        api_token(name, "--role", "analyst")
    assert not User.objects.exists()
