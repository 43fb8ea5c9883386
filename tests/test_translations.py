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

import pytest

from fintrack.access import ADMINISTRATOR

from . import builders
from .test_access import ROUTES, SITE, ask, one_of_each

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


class Words(HTMLParser):
    """The words in Latin letters that a page shows, each with the text that it's in."""

    def __init__(self, html: str) -> None:
        super().__init__()
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
        for word in re.findall(r"\b[A-Za-z]{3,}\b", text):
            self.found.setdefault(word, " ".join(text.split()))


def shown_pages() -> list[tuple[str, str]]:
    """Returns (name, address) of all routes that show a page."""
    return [(name, address) for name, address in SITE if ROUTES[name].answers.get("GET") == 200]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "address"), [pytest.param(*each, id=each[1]) for each in shown_pages()])
def test_a_page_in_ukrainian_has_no_english_words(client, name, address):
    one_of_each()
    client.force_login(builders.account(ADMINISTRATOR))
    client.cookies["django_language"] = "uk"
    response = ask(client, "GET", address, ROUTES[name])
    if response["Content-Type"].startswith("text/html"):
        found = Words(response.text).found
        assert {word: text for word, text in found.items() if word not in NAMES | DATA} == {}
