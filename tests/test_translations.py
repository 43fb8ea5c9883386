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
from pathlib import Path

import pytest

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
