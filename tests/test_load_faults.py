"""Killed loads and simultaneous loads leave either the old or the new book, complete.

All books have the same ids and logins. Every row of `second` differs from `first`, half of the payments of
`upper` and of `lower` differ, and `empty` has only a dictionary.
"""

import os
import pty
import re
import secrets
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import environ
import pytest
from django.core.management import call_command
from django.db.backends.sqlite3._functions import register

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("credits_dictionary", "credits_borrower", "credits_credit", "credits_payment", "plans_plan")
SESSIONS = "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
REFUSAL = re.compile(
    r"CommandError: Nothing was stored: the database refused \(.+\)\. If something else .+\n"
)

# When a load is killed: at this text of its progress bars, plus so many seconds. The commit follows the last
# file at once, so some of the late kills happen before it, some after it, and some may happen during it.
EARLY = [
    ("dictionary.csv", 0),
    ("users.csv", 0),
    ("credits.csv", 0),
    ("payments.csv:   0%", 0),
    (r"payments.csv: +[1-6]\d%", 0),
]
LATE = [("plans.csv", seconds) for seconds in (0, 0.001, 0.003, 0.01, 0.03, 0.1)]


class Book:
    """The database of a load."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.config = environ.Env.db_url_config(url)

    def connect(self, name: str | None = None) -> Any:
        if self.url.startswith("sqlite"):
            connection = sqlite3.connect(self.config["NAME"])
            register(connection)  # Django's SQL functions, which constraints call
            return closing(connection)
        import MySQLdb

        told = {key.lower(): self.config[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
        return closing(MySQLdb.connect(**told, database=name or self.config["NAME"], charset="utf8mb4"))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Returns every row of every table, without the ids of plans, which the database assigns."""
        rows = {table: self.ask(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}  # noqa: S608
        rows["plans_plan"] = self.ask("SELECT period, category_id, sum FROM plans_plan ORDER BY 1, 2")
        return rows

    def stamp(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT value FROM reports_datastamp")

    def start(self, *command: str | Path, **options: Any) -> subprocess.Popen:
        environment = os.environ | {"DATABASE_URL": self.url}
        return subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            **options,
        )

    def run(self, *command: str | Path) -> None:
        assert self.start(*command).wait() == 0

    def wait_for_the_server(self) -> None:
        """Waits until the server has noticed that a client was killed, and has rolled back its work."""
        end = time.monotonic() + 30
        while not self.url.startswith("sqlite") and len(self.ask(SESSIONS)) > 1:
            assert time.monotonic() < end
            time.sleep(0.01)

    def check(self) -> None:
        """Checks that the database is intact and has no dangling references."""
        if self.url.startswith("sqlite"):
            assert self.ask("PRAGMA integrity_check") == [("ok",)]
            assert self.ask("PRAGMA foreign_key_check") == []
        else:
            # MariaDB warns about index entries of deleted rows until its background purge removes them.
            end = time.monotonic() + 30
            checked: set[str] = set()
            while checked != {"OK"} and time.monotonic() < end:
                checked = {row[-1] for row in self.ask(f"CHECK TABLE {', '.join(TABLES)} EXTENDED")}
            assert checked == {"OK"}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A migrated database: on the tests' server if there is one, otherwise a file."""
    server, _, name = os.environ.get("DATABASE_URL", "").rpartition("/")
    if not server.startswith("mysql"):
        book = Book(f"sqlite:///{tmp_path_factory.mktemp('book') / 'book.sqlite3'}")
        book.run("migrate", "--verbosity=0")
        yield book
        return
    book = Book(f"{server}/test_load_{secrets.token_hex(4)}")
    with book.connect(name) as connection:
        connection.cursor().execute(f"CREATE DATABASE {book.config['NAME']} CHARACTER SET utf8mb4")
        try:
            book.run("migrate", "--verbosity=0")
            yield book
        finally:
            connection.cursor().execute(f"DROP DATABASE {book.config['NAME']}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns {name: folder} of the books: 2,000 credits and about 23,000 payments, or none."""
    parent = tmp_path_factory.mktemp("books")
    call_command("demo_data", str(parent / "first"), credits=2000, until="2022-07-31", verbosity=0)
    files = {
        path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (parent / "first").iterdir()
    }
    columns = {
        "dictionary": "name",
        "users": "registration_date",
        "credits": "percent",
        "payments": "sum",
        "plans": "sum",
    }
    save(parent / "second", {stem: altered(rows, columns[stem]) for stem, rows in files.items()})
    save(parent / "empty", {stem: rows if stem == "dictionary" else rows[:1] for stem, rows in files.items()})
    half = len(files["payments"]) // 2
    payments = {"upper": slice(1, half), "lower": slice(half, None)}
    for name, part in payments.items():
        rows = list(files["payments"])
        rows[part] = altered([rows[0], *rows[part]], "sum")[1:]
        save(parent / name, files | {"payments": rows})
    return {path.name: path for path in parent.iterdir()}


def altered(rows: list[list[str]], column: str) -> list[list[str]]:
    """Changes a name, date or amount in every row."""
    place = rows[0].index(column)

    def other(cell: str) -> str:
        if column == "name":
            return cell.upper()
        return "31.12.2019" if column.endswith("_date") else str(Decimal(cell) + Decimal("0.01"))

    return [rows[0], *([*row[:place], other(row[place]), *row[place + 1 :]] for row in rows[1:])]


def save(folder: Path, files: dict[str, list[list[str]]]) -> None:
    folder.mkdir()
    for stem, rows in files.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / f"{stem}.csv").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def whole(book: Book, folders: dict[str, Path]) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Returns {name: rows} of the books after an undisturbed load."""
    states = {}
    for name, folder in folders.items():
        book.run("load_data", folder, "--replace")
        states[name] = book.rows()
    assert len({str(state) for state in states.values()}) == 5
    return states


def name_of(book: Book, whole: dict[str, dict[str, list[tuple[Any, ...]]]]) -> str:
    """Returns the name of the book that the database has, comparing every row."""
    rows = book.rows()
    return next((name for name, theirs in whole.items() if theirs == rows), "none of them")


def load_until(book: Book, folder: Path, options: list[str], progress: str, seconds: float) -> int:
    """Kills a load at that point and returns its exit status; 0 if it had ended before."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        with os.fdopen(theirs, "wb") as error:
            load = book.start("load_data", folder, *options, stderr=error)
        try:
            said = ""
            while not re.search(progress, said):
                said += terminal.read(65536).decode()
            time.sleep(seconds)
        except OSError as error:  # how a terminal reports that its other side is closed
            raise AssertionError(f"It ended before it came to {progress!r}: {said}") from error
        load.kill()
        return load.wait()


@pytest.mark.parametrize(("progress", "seconds"), EARLY + LATE)
@pytest.mark.parametrize(
    ("old", "new", "options"),
    [("empty", "first", []), ("first", "second", []), ("first", "second", ["--replace"])],
    ids=["new rows", "changed rows", "replaced rows"],
)
def test_a_killed_load_leaves_either_the_old_or_the_new_book(
    book, folders, whole, old, new, options, progress, seconds
):
    if name_of(book, whole) != old:
        book.run("load_data", folders[old], "--replace")
    stamp = book.stamp()

    status = load_until(book, folders[new], options, progress, seconds)
    book.wait_for_the_server()

    left = name_of(book, whole)
    book.check()
    if (progress, seconds) in EARLY:
        assert (status, left) == (-9, old)
    elif status == 0:
        assert left == new
    else:
        assert left in (old, new)
    assert (book.stamp() == stamp) == (left == old)


def test_after_a_killed_load_the_next_one_succeeds(book, folders, whole):
    book.run("load_data", folders["first"], "--replace")
    assert load_until(book, folders["second"], [], "payments.csv", 0) == -9
    book.run("load_data", folders["second"])
    assert name_of(book, whole) == "second"


@pytest.mark.parametrize(
    ("old", "new", "options"),
    [
        ("empty", ("first", "second"), [[], []]),
        ("first", ("upper", "lower"), [[], []]),
        ("empty", ("first", "second"), [["--replace"], ["--replace"]]),
        ("first", ("upper", "lower"), [["--replace"], []]),
        ("second", ("first", "lower"), [["--replace"], ["--replace"]]),
    ],
    ids=["new rows", "changed rows", "replaced nothing", "replaced and changed rows", "replaced rows"],
)
@pytest.mark.parametrize("_again", range(2))
def test_two_simultaneous_loads_run_one_after_the_other(book, folders, whole, old, new, options, _again):
    if name_of(book, whole) != old:
        book.run("load_data", folders[old], "--replace")

    loads = [
        book.start("load_data", folders[name], *arguments, stderr=subprocess.PIPE, text=True)
        for name, arguments in zip(new, options, strict=True)
    ]
    told = [load.communicate()[1] for load in loads]

    stored = [name for name, load in zip(new, loads, strict=True) if load.returncode == 0]
    refusals = [text for text, load in zip(told, loads, strict=True) if load.returncode != 0]
    assert len(stored) >= 1, told
    assert all(REFUSAL.fullmatch(text) for text in refusals), told
    assert name_of(book, whole) in stored
    book.check()
