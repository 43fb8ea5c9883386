"""manage.py renew_stamp: compute totals and reports again after a change that bypassed `writing()`."""

from typing import Any

from django.core.management.base import BaseCommand

from credits.book.summaries import recompute_all
from credits.book.writing import writing


class Command(BaseCommand):
    help = "Compute all totals and all reports again. Run it after another program has changed the tables."

    def handle(self, **options: Any) -> None:
        with writing():
            recompute_all()  # the stamp follows, as after any writing
