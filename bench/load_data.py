"""Measures how fast load_data is, and how much memory it takes.

    python bench/load_data.py [--payments 46000] [--sample 5000]

makes a demo book of about this many payments and loads it into a new database: on the server of DATABASE_URL
if it names one, or else in an SQLite file. For comparison, it also stores the same rows with bulk_create,
without any checks, and a sample of the payments with import-export's own loop. Each step runs in a process of
its own. Its seconds don't include the start of the process; its CPU seconds and its peak of memory do.
Aims: 10 s for the book of 46,000 payments, 150 MB for a million.
"""

import argparse
import csv
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAYMENTS_A_CREDIT = 11.55  # in a demo book
UNTIL = "2022-07-31"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--payments", type=int, default=46_000, help="approximate number (46000)")
    parser.add_argument("--sample", type=int, default=5_000, help="payments for import-export (5000)")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder = options.step
        step(name, Path(folder), options.sample)
    else:
        compare(options.payments, options.sample)


def compare(payments: int, sample: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fintrack-bench-") as parent:
        folder = Path(parent, "book")
        credits_ = str(max(1, round(payments / PAYMENTS_A_CREDIT)))
        command = [sys.executable, "manage.py", "demo_data", folder, "--credits", credits_, "--until", UNTIL]
        subprocess.run(command, cwd=ROOT, check=True)
        speeds = {}
        with fresh_database(Path(parent, "load")) as url:
            speeds["load_data"] = measure("load_data", url, folder, sample)
            measure("load_data again", url, folder, sample)
            measure("load_data --replace", url, folder, sample)
        for name in ("bulk_create", "import_data"):
            with fresh_database(Path(parent, name)) as url:
                speeds[name] = measure(name, url, folder, sample)
        for name in ("bulk_create", "import_data"):
            print(f"load_data is {speeds['load_data'] / speeds[name]:.2f} times as fast as {name}")


@contextmanager
def fresh_database(file: Path) -> Iterator[str]:
    """Makes a new, migrated database, and yields its address."""
    server, _, name = os.environ.get("DATABASE_URL", "").rpartition("/")
    if not server.startswith("mysql"):
        yield migrated(f"sqlite:///{file}.sqlite3")
        return
    import environ
    import MySQLdb

    config = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    server_of = {key.lower(): config[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    fresh = f"test_bench_{secrets.token_hex(4)}"
    MySQLdb.connect(**server_of, database=name).query(f"CREATE DATABASE {fresh} CHARACTER SET utf8mb4")
    try:
        yield migrated(f"{server}/{fresh}")
    finally:
        MySQLdb.connect(**server_of, database=name).query(f"DROP DATABASE {fresh}")


def migrated(url: str) -> str:
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"DATABASE_URL": url}, check=True)
    return url


def measure(name: str, url: str, folder: Path, sample: int) -> float:
    """Runs a step in a process, prints its time and memory, and returns its rows a second."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--step", name, folder, "--sample", str(sample)],
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout:
        said = process.stdout.read()
    _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{name} failed.")
    rows, seconds = said.split()[-2:]
    speed = int(rows) / float(seconds)
    took = f"{float(seconds):8.2f} s ({used.ru_utime + used.ru_stime:.2f} s of CPU)"
    print(
        f"{name:20} {int(rows):9,} rows {took} {speed:8,.0f} rows/s {used.ru_maxrss / 1024:6.0f} MB",
        flush=True,
    )
    return speed


def step(name: str, folder: Path, sample: int) -> None:
    """Runs a step, and prints how many rows it stored in how many seconds."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fintrack.settings")
    import django

    django.setup()
    start = time.perf_counter()
    if name.startswith("load_data"):
        from django.core.management import call_command

        call_command("load_data", folder, replace="--replace" in name)
        rows = sum(count_rows(path) for path in folder.iterdir())
    elif name == "bulk_create":
        rows = bulk_create(folder, ("users", "credits", "payments", "plans"))
    else:
        bulk_create(folder, ("users", "credits"))
        head = head_of(folder / "payments.csv", sample)
        start = time.perf_counter()
        rows = import_data(head)
    print(rows, time.perf_counter() - start)


def count_rows(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _line in file) - 1


def head_of(path: Path, count: int) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return "".join(islice(file, count + 1))


def bulk_create(folder: Path, stems: Iterable[str]) -> int:
    """Stores the rows unchecked, in one transaction, in batches as large as load_data's."""
    from credits.book.batches import BATCH_SIZE
    from credits.book.writing import writing
    from credits.models import Borrower, Credit, Payment
    from plans.models import Plan

    models = {"users": Borrower, "credits": Credit, "payments": Payment, "plans": Plan}
    rows = 0
    with writing():
        for stem in stems:
            with (folder / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
                items = (models[stem](**values(row)) for row in csv.DictReader(file, dialect="excel-tab"))
                while batch := list(islice(items, BATCH_SIZE)):
                    models[stem].objects.bulk_create(batch)
                    rows += len(batch)
    return rows


def values(row: dict[str, str]) -> dict[str, Any]:
    if "user_id" in row:
        row["borrower_id"] = row.pop("user_id")
    days = (name for name in row if name.endswith("_date") or name == "period")
    return row | {name: day(row[name]) for name in days}


def day(text: str) -> date | None:
    return date(int(text[6:]), int(text[3:5]), int(text[:2])) if text else None


def import_data(text: str) -> int:
    """Imports payments with a resource like those in import-export's documentation."""
    from import_export.fields import Field
    from import_export.resources import ModelResource
    from import_export.widgets import DateWidget, ForeignKeyWidget
    from tablib import Dataset

    from credits.models import Credit, Dictionary, Payment

    class Resource(ModelResource):
        credit = Field("credit", "credit_id", ForeignKeyWidget(Credit))
        payment_date = Field("payment_date", "payment_date", DateWidget("%d.%m.%Y"))
        type = Field("type", "type_id", ForeignKeyWidget(Dictionary))

        class Meta:
            model = Payment

    result = Resource().import_data(
        Dataset().load(text, format="tsv"), raise_errors=True, use_transactions=True
    )
    return int(result.totals["new"])


if __name__ == "__main__":
    main()
