"""manage.py renew_stamp: for whoever changed the book without `credits.writing`, by SQL say."""

from typing import Any

from django.core.management.base import BaseCommand

from reports.models import DataStamp


class Command(BaseCommand):
    help = "Have every report computed anew. Needed after changing the book by other means than FinTrack's."

    def handle(self, **options: Any) -> None:
        DataStamp.renew()
