"""The language of pages: chosen by the browser, the switch and the account."""

import re
from datetime import date
from io import BytesIO

import pytest
from django import forms
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.html import strip_tags

from credits.api import PaymentFilter
from credits.book.admin import UploadForm
from credits.book.cells import Amount, Day, Text
from credits.book.loading import preview_file
from credits.book.money import ZERO
from credits.book.trail import Change
from credits.models import Dictionary
from credits.resources import PaymentResource
from fintrack.access import ANALYST
from fintrack.api.lists import PageForm
from fintrack.api.problems import TooLarge
from fintrack.merging import in_words
from fintrack.models import AccountLanguage
from reports import expected_receipts, payment_list, urls

from . import builders
from .test_access import ROUTES

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


@pytest.fixture
def book():
    credit = builders.credit("2021-06-01", "1500.50", percent="20")
    builders.payment(credit, "2021-06-02", "1234.5")
    builders.plan("2021-06", Dictionary.ISSUANCE, "1079000")
    return credit


def test_pages_write_numbers_and_dates_as_the_language_does(book, analyst):
    address = "/reports/plans-performance/?check_date=2021-06-30"
    english = strip_tags(analyst.get(address).text)
    assert "1\u00a0079\u00a0000.00" in english
    assert "at 2021-06-30" in english
    ukrainian = strip_tags(analyst.get(address, headers={"Accept-Language": "uk"}).text)
    assert "1\u00a0079\u00a0000,00" in ukrainian
    assert "на 30.06.2021" in ukrainian
    assert "1\u00a0079\u00a0000.00" not in ukrainian


def test_addresses_are_the_same_in_both_languages(book, analyst):
    def links(language: str) -> list[str]:
        page = analyst.get("/reports/month/?month=2021-06", headers={"Accept-Language": language}).text
        return re.findall(r'href="([^"]*)"', page)

    assert links("uk") == links("en")


@pytest.mark.parametrize("pattern", urls.api, ids=lambda pattern: pattern.name)
def test_json_and_csv_are_the_same_bytes_in_both_languages(book, analyst, pattern):
    route = ROUTES[pattern.name]
    address = reverse(pattern.name, kwargs=dict.fromkeys(route.path, book.borrower_id))
    takes_day = "check_date" in pattern.callback.view_initkwargs["report"].params.base_fields
    query = route.query | ({"check_date": "2021-06-30"} if takes_day else {})
    for kind in ("json", "csv"):
        english, ukrainian = (
            analyst.get(address, {**query, "format": kind}, headers={"Accept-Language": language})
            for language in ("en", "uk")
        )
        assert (english.status_code, english.content) == (200, ukrainian.content)


def test_a_list_of_the_api_is_the_same_in_both_languages(book, analyst):
    english, ukrainian = (
        analyst.get("/api/v1/credits", headers={"Accept-Language": language}) for language in ("en", "uk")
    )
    assert english.content == ukrainian.content
    assert english["ETag"] == ukrainian["ETag"]


@pytest.mark.parametrize(
    ("address", "texts"),
    [
        ("/year_performance?year=x", {"Перевірте параметри.", "рік від 1900 до 2999"}),
        ("/api/v1/nothing", set()),
    ],
)
def test_the_api_explains_errors_in_the_language_of_the_request(analyst, address, texts):
    problem = analyst.get(address, headers={"Accept-Language": "uk"}).json()
    found = {problem["detail"], *(error["expected"] for error in problem.get("errors", []))}
    assert texts <= found
    assert not re.search("[A-Za-z]{3}", "".join(found))
    codes = {error["code"] for error in problem.get("errors", [])}
    assert all(code.isascii() for code in codes)


def test_the_schema_is_in_english_for_all_readers(analyst):
    english, ukrainian = (
        analyst.get("/api/schema/", headers={"Accept-Language": language}).content
        for language in ("en", "uk")
    )
    assert english == ukrainian
    assert b"a year from 1900 to 2999" in english


@pytest.mark.parametrize(
    ("made", "english", "ukrainian"),
    [
        (Day.expected, "a date, dd.mm.yyyy", "дата"),
        (PaymentResource.fields["type_id"].widget.expected, "1 (body) or 2 (interest)", "1 (тіло)"),
        (payment_list.Params.base_fields["kind"].help_text, "1 (body) or 2 (interest)", "1 (тіло)"),
        (expected_receipts.LABELS["in 2 weeks"], "in 2 weeks", "через 2 тижні"),
    ],
)
def test_a_text_made_at_import_is_in_the_language_of_its_reader(made, english, ukrainian):
    assert str(made).startswith(english)
    with translation.override("uk"):
        assert str(made).startswith(ukrainian)


@pytest.mark.parametrize(
    ("made", "english"),
    [
        (Text(150).expected, "1 to 150 characters in UTF-8 or the chosen encoding"),
        (Amount(ZERO).expected, "an amount of 0.00 or more, at most 12 digits and 2 decimals"),
        (PageForm.base_fields["page_size"].help_text, "a whole number from 1 to 1000"),
        (PaymentFilter.base_filters["ordering"].extra["help_text"], "one of: id, -id, payment_date"),
        (TooLarge.default_detail, "The request is larger than 2097152 bytes."),
        (UploadForm.base_fields["import_file"].help_text, "CSV or XLSX, at most 10 MB and 60000 rows."),
    ],
)
def test_a_text_with_a_number_made_at_import_is_translated_only_when_it_is_shown(made, english):
    assert isinstance(made, Promise)
    assert str(made).startswith(english)


def test_the_faults_of_a_file_are_in_the_language_of_its_reader():
    file = b"id,credit_id,payment_date,type_id,sum\n1,2,2021-06-01,3,5\n"
    found = {}
    for language in ("en", "uk"):
        with translation.override(language):
            found[language] = preview_file(PaymentResource(), BytesIO(file), "").faults.listed
    assert "1 (body) or 2 (interest)" in {fault.expected for fault in found["en"]}
    assert "1 (тіло) або 2 (відсотки)" in {fault.expected for fault in found["uk"]}


def test_the_faults_of_a_file_name_days_as_their_reader_writes_them():
    builders.credit("2021-06-15", pk=2)
    file = b"id,credit_id,payment_date,type_id,sum\n1,2,2021-06-01,1,5\n"
    with translation.override("uk"):
        (fault,) = preview_file(PaymentResource(), BytesIO(file), "").faults.listed
    assert "15.06.2021" in str(fault.expected)


@pytest.mark.parametrize(
    ("language", "days"), [("en", "2021-07-01 → 2021-07-02"), ("uk", "01.07.2021 → 02.07.2021")]
)
def test_the_trail_shows_days_as_its_reader_writes_them(language, days):
    credit = builders.credit("2021-06-15", return_date=date(2021, 7, 1))
    credit.return_date = date(2021, 7, 2)
    credit.save()
    with translation.override(language):
        assert days in Change.objects.latest("pk").as_items()


@pytest.mark.parametrize(("language", "day"), [("en", "2021-07-01"), ("uk", "01.07.2021")])
def test_a_form_tells_of_a_change_by_others_with_the_day_as_its_reader_writes_it(language, day):
    with translation.override(language):
        assert in_words(forms.DateField(), "2021-07-01") == day


# Names of dictionary entries


@pytest.mark.parametrize(
    ("pk", "english"), [(1, "body"), (2, "interest"), (3, "issuance"), (4, "collection")]
)
def test_an_original_name_of_the_dictionary_is_english_in_english(pk, english):
    assert str(Dictionary.objects.get(pk=pk)) == english


@pytest.mark.parametrize("pk", [1, 2, 3, 4])
def test_an_original_name_of_the_dictionary_is_ukrainian_in_ukrainian(pk):
    entry = Dictionary.objects.get(pk=pk)
    with translation.override("uk"):
        assert str(entry) == entry.name


def test_a_name_that_staff_have_chosen_is_the_same_in_every_language():
    entry = Dictionary(pk=1, name="Principal")
    for language in ("en", "uk"):
        with translation.override(language):
            assert str(entry) == "Principal"


@pytest.mark.parametrize(("language", "shown"), [("en", "body"), ("uk", "тіло")])
@pytest.mark.parametrize(
    "address", ["/reports/payments/", "/admin/credits/payment/", "/reports/borrowers/7/"]
)
def test_pages_and_the_admin_show_what_a_payment_is_for_in_their_language(editor, address, language, shown):
    builders.payment(builders.credit("2021-06-01", borrower=builders.borrower(pk=7)), "2021-06-02", 5)
    page = editor.get(address, headers={"Accept-Language": language}).text
    assert re.search(rf"<td[^>]*>{shown}</td>", page)


@pytest.mark.parametrize("language", ["en", "uk"])
def test_the_api_and_csv_keep_the_stored_names(analyst, language):
    builders.payment(builders.credit("2021-06-01"), "2021-06-02", 5)
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    headers = {"Accept-Language": language}
    rows = b"".join(analyst.get("/reports/payments/?format=csv", headers=headers).streaming_content).decode()
    assert ",тіло," in rows
    for kind in ("json", "csv"):
        address = f"/api/v1/plans_performance?check_date=2021-06-15&format={kind}"
        response = analyst.get(address, headers=headers)
        text = b"".join(response).decode()
        assert "видача" in text
