"""manage.py load_data loads the five files of the book: all of them or nothing."""

import gc
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from tqdm import tqdm

from credits.book.batches import Counts, Doubtful
from credits.book.files import Faults, Row, Unreadable, read_rows
from credits.book.loading import Source, TableLoad
from credits.book.resources import BookResource
from credits.book.trail import record_refusal
from credits.book.writing import one_at_a_time, writing
from credits.resources import BorrowerResource, CreditResource, DictionaryResource, Id, PaymentResource
from plans.resources import PlanResource

# Each file refers only to the ones before it.
RESOURCES: dict[str, type[BookResource]] = {
    "dictionary": DictionaryResource,
    "users": BorrowerResource,
    "credits": CreditResource,
    "payments": PaymentResource,
    "plans": PlanResource,
}
SUFFIXES = {".csv", ".tsv", ".txt", ".xlsx"}


class Command(BaseCommand):
    help = (
        "Load users, credits, payments, dictionary and plans from a folder: all five files or nothing. "
        "CSV (tab, semicolon or comma; UTF-8, UTF-16 or Windows-1251) or XLSX, detected by content. "
        "Rows of the database that aren't in the files stay unchanged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument(
            "--encoding",
            help="the encoding of text files without a byte order mark, such as koi8-u; "
            "by default UTF-8 and Windows-1251 (cp1251) are detected",
        )
        parser.add_argument(
            "--replace", action="store_true", help="empty the five tables first, in the same transaction"
        )

    def handle(self, directory: Path, encoding: str | None, replace: bool, **options: Any) -> None:
        try:
            "".encode("utf-8" if encoding is None else encoding)
        except LookupError:
            raise CommandError(_("Unknown encoding: %s") % encoding) from None
        files = find_files(directory)
        gc.freeze()  # otherwise the collector scans Django's objects repeatedly: a fifth of the time
        try:
            with writing():
                # Two loads at the same time could each store a part of their rows over the other's.
                one_at_a_time("load_data")
                removed = empty_tables() if replace else {}
                counts, faults = load(files, encoding or "", removed)
                if any(faults.values()):
                    raise self.refusal(files, faults)
        except CommandError:
            record_refusals(files, encoding or "", faults)
            raise
        except DatabaseError as error:
            raise CommandError(
                _("Nothing was stored: the database refused (%s). If something else was writing, try again.")
                % error
            ) from error
        for stem, path in files.items():
            self.stdout.write(f"{path.name}: {counts[stem]}")
            for remark in faults[stem].remarks:
                self.stdout.write(f"{path.name}: {remark}")

    def refusal(self, files: dict[str, Path], faults: dict[str, Faults]) -> CommandError:
        """Prints the first faults of each file and the number of further ones. Returns the error to raise."""
        total = sum(found.count for found in faults.values())
        for stem, found in faults.items():
            name = files[stem].name
            for fault in found.in_order():
                self.stderr.write(f"{name}, {fault}" if fault.row else f"{name}: {fault}")
            if more := found.count - len(found.listed):
                text = ngettext("%(name)s: %(count)d more fault", "%(name)s: %(count)d more faults", more)
                self.stderr.write(text % {"name": name, "count": more})
        return CommandError(
            ngettext("%d fault; nothing was stored.", "%d faults; nothing was stored.", total) % total
        )


def find_files(directory: Path) -> dict[str, Path]:
    """Returns {stem: path} of the five files. Raises CommandError unless each exists exactly once."""
    if not directory.is_dir():
        raise CommandError(_("No such folder: %s") % directory)
    present = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES)
    found = {stem: [path for path in present if path.stem.lower() == stem] for stem in RESOURCES}
    wrong = [
        _("%(name)s: found %(found)s, expected one file")
        % {"name": f"{stem}.csv", "found": ", ".join(path.name for path in paths) or _("no file")}
        for stem, paths in found.items()
        if len(paths) != 1
    ]
    if wrong:
        raise CommandError("\n".join(wrong))
    return {stem: paths[0] for stem, paths in found.items()}


def empty_tables() -> dict[str, int]:
    """Empties the five tables. Returns the number of rows that each had."""
    removed = {}
    for stem, resource in reversed(RESOURCES.items()):
        removed[stem] = resource._meta.model.objects.all().empty()
    return removed


def load(
    files: dict[str, Path], encoding: str, removed: dict[str, int]
) -> tuple[dict[str, Counts], dict[str, Faults]]:
    """Stores all rows without faults, in the caller's transaction. Returns the counts and all faults."""
    counts = {}
    faults = {stem: Faults() for stem in files}
    resources = {stem: resource() for stem, resource in RESOURCES.items()}
    for resource in resources.values():
        resource.fields["id"].widget = Id()  # ids are required, or loading twice would add rows twice
    doubtful = Doubtful()
    for stem, path in files.items():
        with path.open("rb") as file:
            rows = read_rows(file, resources[stem].columns(), faults[stem], encoding)
            source = Source.of(file, path.name)
            table = TableLoad(resources[stem], faults[stem], doubtful, source, removed.get(stem, 0))
            counts[stem] = table.run(with_progress(rows, file, path.name))
    for stem, resource in resources.items():
        resource.finish(faults[stem], doubtful)
    return counts, faults


def record_refusals(files: dict[str, Path], encoding: str, faults: dict[str, Faults]) -> None:
    for stem, path in files.items():
        columns, found = RESOURCES[stem].columns(), faults[stem]
        with path.open("rb") as file:
            source = Source.of(file, path.name)
            rows = listed_rows(file, columns, encoding, found)
            record_refusal(RESOURCES[stem]._meta.model, *source, found, columns, rows)


def listed_rows(file: BinaryIO, columns: list[str], encoding: str, faults: Faults) -> list[Row]:
    """Reads the file again, and returns the rows of the listed faults."""
    numbers = {fault.row for fault in faults.listed if fault.row}
    rows: list[Row] = []
    with suppress(Unreadable):
        for row in read_rows(file, columns, Faults(), encoding) if numbers else ():
            if row.number in numbers:
                rows.append(row)
            if row.number >= max(numbers):
                break
    return rows


def with_progress(rows: Iterable[Row], file: BinaryIO, name: str) -> Iterable[Row]:
    """Yields the rows. If standard error is a terminal, it shows a progress bar."""
    total = None
    if sys.stderr.isatty() and not name.lower().endswith(".xlsx"):
        total = sum(1 for _line in file) - 1
        file.seek(0)
    return tqdm(rows, desc=name, total=total, unit=" rows", disable=None, leave=False)
