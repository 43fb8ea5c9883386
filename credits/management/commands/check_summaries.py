"""manage.py check_summaries compares the stored totals with the rows of the book."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credits.book.summaries import LOCK, Summary, differences, recompute_all
from credits.book.writing import one_at_a_time, writing


class Command(BaseCommand):
    help = (
        "Compare the totals that reports read with the rows of the book, and list each difference. "
        "--repair first computes all totals again; run it after another program has written to the book."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="compute all totals from the rows")

    def handle(self, repair: bool, **options: Any) -> None:
        if repair:
            with writing():
                recompute_all()
        found = 0
        with transaction.atomic():
            one_at_a_time(LOCK)  # other writers must not commit while rows and totals are compared
            for summary in Summary.__subclasses__():
                for difference in differences(summary):
                    found += 1
                    self.stderr.write(difference)
        if found:
            text = ngettext("%d total differs from its rows.", "%d totals differ from their rows.", found)
            raise CommandError(f"{text % found} {_('Run: manage.py check_summaries --repair')}")
        self.stdout.write(_("All totals agree with their rows."))
