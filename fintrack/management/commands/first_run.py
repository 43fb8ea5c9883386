"""manage.py first_run: fill a new database with data and demo accounts. `make run` calls it."""

import secrets
import tempfile
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from credits.models import Borrower, Credit, Payment
from fintrack.access import ANALYST, ROLES
from plans.models import Plan

from .api_token import token_for

TOKEN_LIFETIME = timedelta(days=30)


class Command(BaseCommand):
    help = (
        "Load data if the book is empty. Create an account for each role if there are no accounts, and print "
        "their passwords, which aren't stored anywhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, metavar="DIR", help="load these files instead of demo data")
        parser.add_argument("--port", type=int, default=8000, help="port in the printed addresses (8000)")

    def handle(self, data: Path | None, port: int, **options: Any) -> None:
        if any(model.objects.exists() for model in (Borrower, Credit, Payment, Plan)):
            if data:
                self.stdout.write(f"The book isn't empty: {data} was not loaded. See manage.py load_data.")
        elif data:
            call_command("load_data", data, stdout=self.stdout, stderr=self.stderr)
        else:
            self.load_demo_data()
        if not get_user_model().objects.exists():
            self.make_accounts(f"http://127.0.0.1:{port}")

    def load_demo_data(self) -> None:
        self.stdout.write("The book is empty: loading demo data.")
        with tempfile.TemporaryDirectory() as folder:
            call_command("demo_data", folder, stdout=self.stdout)
            call_command("load_data", folder, stdout=self.stdout, stderr=self.stderr)

    @transaction.atomic
    def make_accounts(self, site: str) -> None:
        self.stdout.write("Demo accounts (the passwords are shown only once):")
        for role in ROLES:
            password = secrets.token_urlsafe(12)
            user = get_user_model().objects.create_user(role.lower(), password=password)
            user.groups.add(Group.objects.get(name=role))
            self.stdout.write(f"  {user.username:15} {password}")
        token = token_for(ANALYST.lower(), ANALYST, TOKEN_LIFETIME, "first_run")
        last = Payment.objects.order_by("payment_date").values_list("payment_date", flat=True).last()
        year = (last or timezone.localdate()).year
        self.stdout.write(f"Try the API with this token, which expires in {TOKEN_LIFETIME.days} days:")
        self.stdout.write(f"  curl -H 'Authorization: Token {token}' '{site}/year_performance?year={year}'")
