"""The Ukrainian translation: complete, true to the glossary, compiled, and on every page."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from gettext import GNUTranslations
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from fintrack.access import ADMINISTRATOR

from . import builders
from .test_access import PASSWORD, ROUTES, SITE, ask, one_of_each

PROJECT = Path(__file__).parent.parent
LOCALE = PROJECT / "locale"
CATALOG = LOCALE / "uk" / "LC_MESSAGES" / "django.po"
HOLES = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|<[^>]*>")  # placeholders and tags


@pytest.fixture(scope="module")
def tools() -> None:
    if not all(map(shutil.which, ("xgettext", "msgfmt", "msgcmp"))):
        missing = pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip
        missing("GNU gettext is not installed (Debian and Ubuntu: apt install gettext).")


@cache
def translations() -> dict[str, list[str]]:
    """Returns {English: its Ukrainian forms} of the compiled catalog, without the header."""
    with CATALOG.with_suffix(".mo").open("rb") as file:
        catalog = GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    for key, text in catalog.items():
        english = (key[0] if isinstance(key, tuple) else key).split("\x04")[-1]
        if english:
            found.setdefault(english, []).append(text)
    return found


@cache
def glossary() -> list[dict[str, str]]:
    with (LOCALE / "glossary.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_text_of_the_code_is_translated(tools, tmp_path):
    """Extracts the texts as `make messages` does. msgcmp names what is missing, empty or fuzzy."""
    for name in ("credits", "fintrack", "locale", "plans", "reports", "templates"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "manage.py", tmp_path)
    django = [
        sys.executable,
        "-m",
        "django",
        "makemessages",
        "--locale",
        "uk",
        "--keep-pot",
        "--verbosity",
        "0",
    ]
    subprocess.run(django, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, check=True)
    compared = subprocess.run(
        ["msgcmp", CATALOG, tmp_path / "locale" / "django.pot"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    assert (compared.returncode, compared.stderr) == (0, "")


def test_the_compiled_catalog_is_current_and_keeps_all_placeholders(tools, tmp_path):
    compiled = tmp_path / "django.mo"
    checked = subprocess.run(
        ["msgfmt", "--check-format", "-o", compiled, CATALOG], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    with compiled.open("rb") as new, CATALOG.with_suffix(".mo").open("rb") as kept:
        assert GNUTranslations(new)._catalog == GNUTranslations(kept)._catalog  # type: ignore[attr-defined]


def test_no_translation_is_fuzzy_obsolete_or_the_english_text():
    text = CATALOG.read_text()
    assert "#, fuzzy" not in text
    assert "#~" not in text
    same = [
        english
        for english, forms in translations().items()
        if english in forms and re.search(r"[a-z]{3}", HOLES.sub("", english))
    ]
    assert same == []


def terms_in(english: str) -> Iterator[dict[str, str]]:
    """Yields the terms in a text. A term within a longer one doesn't count: `due` within `past due`."""
    text = HOLES.sub(" ", english).lower()
    for term in sorted(glossary(), key=lambda term: -len(term["english"])):
        text, count = re.subn(rf"\b{term['english']}s?\b", " ", text)
        if count:
            yield term


def test_translations_use_the_terms_of_the_glossary():
    wrong = [
        f"{english!r}: expected {term['ukrainian']} for {term['english']}, found {forms}"
        for english, forms in translations().items()
        for term in terms_in(english)
        if not all(any(stem in form.lower() for stem in term["stems"].split("|")) for form in forms)
    ]
    assert wrong == []


def test_the_glossary_has_each_term_once_and_each_ukrainian_term_contains_its_stem():
    terms = [term["english"] for term in glossary()]
    assert terms == sorted(set(terms))
    for term in glossary():
        assert any(stem in term["ukrainian"] for stem in term["stems"].split("|")), term


def test_unused_terms_are_not_in_the_glossary():
    used = {term["english"] for english in translations() for term in terms_in(english)}
    assert {term["english"] for term in glossary()} - used == set()


# Pages

SHOWN = ("title", "aria-label", "alt", "placeholder")  # attributes
# Words of a Ukrainian page that aren't translated: names, codes and formats.
NAMES = {"FinTrack", "English", "JavaScript", "API", "CSV", "XLSX", "JSON", "SHA", "PAR", "UAH", "Esc"}
NAMES |= {"UTF", "Windows", "KOI"}  # encodings
NAMES |= {"csv", "xlsx", "manage", "api", "schema"}  # parameters, commands and addresses
NAMES |= {
    "Search",
    "True",
    "False",
    "None",
}  # alternative texts of Django's icons, which it doesn't translate
DATA = {"anna", "other", "key", "credits", "Tariff", "changed"}  # the rows of one_of_each()


LATIN = re.compile(r"\b[A-Za-z]{3,}\b")
CYRILLIC = re.compile(r"[\u0400-\u04ff]+")


class Words(HTMLParser):
    """The words that a page shows, those in Latin letters by default, each with the text that it's in."""

    def __init__(self, html: str, word: re.Pattern[str] = LATIN) -> None:
        super().__init__()
        self.word = word
        self.hidden = 0
        self.found: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "style", "code"):
            self.hidden += 1
        for name in SHOWN:
            self.read(given.get(name) or "")
        if tag == "input" and given.get("type") in ("submit", "button", "reset"):
            self.read(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "code"):
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.read(data)

    def read(self, text: str) -> None:
        for word in self.word.findall(text):
            self.found.setdefault(word, " ".join(text.split()))


def shown_pages() -> list[tuple[str, str]]:
    """Returns (name, address) of all routes that show a page."""
    return [(name, address) for name, address in SITE if ROUTES[name].answers.get("GET") == 200]


def reader(client: Client, language: str) -> Client:
    """Returns the client with an administrator signed in, who reads that language."""
    client.force_login(builders.account(ADMINISTRATOR, password=PASSWORD))
    client.cookies["django_language"] = language
    return client


def english_in(html: str, *names: str) -> dict[str, str]:
    return {word: text for word, text in Words(html).found.items() if word not in NAMES | DATA | {*names}}


@pytest.mark.once
@pytest.mark.django_db
@pytest.mark.parametrize(("name", "address"), [pytest.param(*each, id=each[1]) for each in shown_pages()])
def test_a_page_has_only_words_of_its_language(client, name, address):
    one_of_each()
    ukrainian = ask(reader(client, "uk"), "GET", address, ROUTES[name])
    if not ukrainian["Content-Type"].startswith("text/html"):
        return
    assert english_in(ukrainian.text) == {}
    english = ask(reader(client, "en"), "GET", address, ROUTES[name])
    stored = set(builders.NAMES.values()) if name == "admin:credits_dictionary_changelist" else set()
    assert set(Words(english.text, CYRILLIC).found) <= {"Українська"} | stored


# Forms filled in wrongly, and pages before a deletion

NO_PAYMENTS = {"payments-TOTAL_FORMS": 0, "payments-INITIAL_FORMS": 0}
WRONG_DATES = {"issuance_date": "32.01.2021", "return_date": "x", "actual_return_date": "01.01.1800"}
EARLY = {"borrower": 10, "issuance_date": "2021-06-01", "return_date": "2021-05-01", "body": 1, "percent": 1}
NEW_PASSWORD = {"usable_password": "true", "password1": "123", "password2": "123"}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "no credit": ("credits/credit/add/", NO_PAYMENTS),
    "wrong credit": (
        "credits/credit/add/",
        NO_PAYMENTS | WRONG_DATES | {"borrower": 99, "body": -5, "percent": "1e99"},
    ),
    "due before issuance": ("credits/credit/add/", NO_PAYMENTS | EARLY),
    "without its payments": ("credits/credit/add/", {}),
    "known login": ("credits/borrower/add/", {"login": "anna", "registration_date": "x"}),
    "early payment": (
        "credits/payment/add/",
        {"credit": 10, "payment_date": "2000-01-01", "type": 3, "sum": 0},
    ),
    "known entry": ("credits/dictionary/add/", {"name": "Other"}),
    "wrong plan": ("plans/plan/add/", {"period": "2021-06-02", "category": 1, "sum": "x"}),
    "known plan": ("plans/plan/add/", {"period": "2021-06-01", "category": 3, "sum": 1}),
    "high rate": ("credits/rate/1/change/", {"percent": 101}),
    "wrong note": ("reports/note/add/", {"day": "x", "text": "а" * 500}),
    "weak password": ("auth/user/add/", NEW_PASSWORD | {"username": "b ad!"}),
    "two passwords": ("auth/user/add/", NEW_PASSWORD | {"username": "anna", "password2": "124"}),
    "weak password of another": ("auth/user/11/password/", NEW_PASSWORD),
    "no lifetime": ("fintrack/token/add/", {"user": 99, "days": 0}),
    "no action": ("credits/credit/", {"action": "", "_selected_action": 10}),
    "delete rows": ("credits/payment/", {"action": "delete_selected", "_selected_action": 10}),
    "no file": ("credits/credit/import/", {}),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "sent"), FORMS.values(), ids=FORMS)
def test_a_refused_form_in_ukrainian_has_no_english_words(client, address, sent):
    one_of_each()
    builders.account(pk=11, password=PASSWORD)
    builders.borrower(login="anna")
    response = reader(client, "uk").post(f"/admin/{address}", sent, follow=True)
    assert response.status_code == 200
    assert english_in(response.text, "payments", "TOTAL", "INITIAL", "FORMS", "sum") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "credits/borrower/10/delete/",
        "credits/credit/20/delete/",
        "plans/plan/10/delete/",
        "credits/load/10/undo/",
    ],
)
def test_a_page_before_a_deletion_in_ukrainian_has_no_english_words(client, address):
    one_of_each()
    builders.payment(builders.credit(pk=20), "2021-07-01", 1)
    response = reader(client, "uk").get(f"/admin/{address}")
    assert response.status_code == 200
    assert english_in(response.text) == {}


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["change", "password"])
def test_the_pages_of_an_own_account_in_ukrainian_have_no_english_words(client, page):
    account = reader(client, "uk").session["_auth_user_id"]
    response = client.get(f"/admin/auth/user/{account}/{page}/")
    assert response.status_code == 200
    assert english_in(response.text) == {}


# Files with faults

COLUMNS = {
    "credits/borrower": "id;login;registration_date",
    "credits/credit": "id;user_id;issuance_date;return_date;actual_return_date;body;percent",
    "credits/payment": "id;credit_id;payment_date;type_id;sum",
    "credits/dictionary": "id;name",
    "plans/plan": "id;period;sum;category_id",
}
CODES = {"month", "category_name", "issuance", "collection"} | set(
    re.findall(r"\w+", ";".join(COLUMNS.values()))
)
ROWS = {
    "no rows": "",
    "wrong": "-1;-1;-1;-1;-1;-1;-1;-1",
    "doubtful": "20;10;01.01.2021;01.02.2035;;999999999;99999999",
    "known": "10;other;01.01.2021;01.02.2021;;1;1",
    "twice": "30;10;01.01.2021;3;1\n30;10;01.01.2021;3;1",
    "open quotation mark": '"1',
    "binary": "\0",
}


@pytest.mark.django_db
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("table", COLUMNS)
def test_an_import_preview_in_ukrainian_has_no_english_words(client, table, rows):
    one_of_each()
    file = SimpleUploadedFile("10.csv", f"{COLUMNS[table]}\n{rows}\n".encode())
    response = reader(client, "uk").post(f"/admin/{table}/import/", {"import_file": file})
    assert response.status_code == 200
    assert english_in(response.text, *CODES) == {}


# The API

CALLS: dict[str, tuple[str, str]] = {
    "/year_performance?year=x": ("GET", ""),
    "/user_credits/99": ("GET", ""),
    "/api/v1/roll_rates?months=99": ("GET", ""),
    "/api/v1/credits/99": ("GET", ""),
    "/api/v1/credits?cursor=x": ("GET", ""),
    "/api/v1/vintages": ("POST", ""),
    "/api/v1/credits": ("POST", "{"),
    "/api/v1/plans": ("POST", '{"period": "2021-06-02", "category": 1, "sum": "x"}'),
    "/api/v1/borrowers": ("POST", '{"login": "anna", "registration_date": "1800-01-01"}'),
    "/api/v1/payments": ("POST", '{"credit": 99, "payment_date": null, "type": 3, "sum": 1e99}'),
    "/api/v1/dictionary/1": ("DELETE", ""),
    "/api/v1/borrowers/10": ("DELETE", ""),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "call"), CALLS.items(), ids=CALLS)
def test_a_problem_of_the_api_in_ukrainian_has_no_english_words(client, address, call):
    one_of_each()
    builders.borrower(login="anna")
    method, body = call
    answer = reader(client, "uk").generic(method, address, body, content_type="application/json")
    problem = answer.json()
    texts = [problem["detail"], *(fault["expected"] for fault in problem.get("errors", []))]
    assert answer.status_code >= 400
    assert english_in(" ".join(texts), "POST", "next", "previous", "null", "YYYY") == {}
