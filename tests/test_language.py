"""The language of pages: chosen by the browser, the switch and the account."""

import pytest

from fintrack.access import ANALYST
from fintrack.models import AccountLanguage

from . import builders

pytestmark = pytest.mark.django_db
PASSWORD = "a long password"


def language_of(response) -> str:
    return response["Content-Language"]


@pytest.mark.parametrize(
    ("preferred", "shown"),
    [
        ("uk", "uk"),
        ("uk-UA,uk;q=0.9,en;q=0.8", "uk"),
        ("de,uk;q=0.5", "uk"),
        ("en-GB", "en"),
        ("de", "en"),
        ("", "en"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_prefers(client, preferred, shown):
    response = client.get("/accounts/login/", headers={"Accept-Language": preferred})
    assert language_of(response) == shown
    assert f'<html lang="{shown}">' in response.text


def test_the_switch_sets_the_language_of_a_reader_without_an_account(client):
    response = client.post("/accounts/language/", {"language": "uk", "next": "/accounts/login/"})
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/")
    assert language_of(client.get("/accounts/login/")) == "uk"
    assert not AccountLanguage.objects.exists()


def test_the_switch_leads_back_to_the_page_with_its_parameters(analyst):
    headers = {"Referer": "http://testserver/reports/month/?month=2021-06"}
    response = analyst.post("/accounts/language/", {"language": "uk"}, headers=headers)
    assert response["Location"] == "http://testserver/reports/month/?month=2021-06"


def test_the_switch_never_leads_to_another_site(client):
    response = client.post("/accounts/language/", {"language": "uk", "next": "https://example.com/"})
    assert response["Location"] == "/"


def test_the_account_keeps_its_language_for_other_browsers(client):
    account = builders.account(ANALYST, password=PASSWORD)
    client.force_login(account)
    client.post("/accounts/language/", {"language": "uk"})
    other = type(client)()
    signed_in = {"username": account.username, "password": PASSWORD}
    assert other.post("/accounts/login/", signed_in).status_code == 302
    assert other.cookies["django_language"].value == "uk"
    assert language_of(other.get("/accounts/password/")) == "uk"


def test_signing_in_leaves_the_language_of_the_browser_if_the_account_has_chosen_none(client):
    account = builders.account(ANALYST, password=PASSWORD)
    client.post("/accounts/language/", {"language": "uk"})
    client.post("/accounts/login/", {"username": account.username, "password": PASSWORD})
    assert language_of(client.get("/accounts/password/")) == "uk"


@pytest.mark.parametrize("language", ["", "de", "../../etc", "uk" * 100])
def test_a_language_that_fintrack_does_not_have_changes_nothing(analyst, language):
    analyst.post("/accounts/language/", {"language": language})
    assert language_of(analyst.get("/accounts/password/")) == "en"
    assert not AccountLanguage.objects.exists()


def test_choosing_again_replaces_the_language_of_the_account(analyst):
    for language in ("uk", "en", "uk", "en"):
        analyst.post("/accounts/language/", {"language": language})
    assert [each.language for each in AccountLanguage.objects.all()] == ["en"]
    assert language_of(analyst.get("/accounts/password/")) == "en"
