"""manage.py api_token: create a token for a program."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from fintrack.access import ROLES
from fintrack.accounts import make_token


class Command(BaseCommand):
    help = "Create an account for a program, unless it exists, and print a new token for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--role", required=True, choices=[role.lower() for role in ROLES])
        parser.add_argument("--days", type=int, default=365, help="lifetime of the token (365)")
        parser.add_argument(
            "--for", dest="purpose", metavar="TEXT", default="api_token", help="its purpose (api_token)"
        )

    def handle(self, name: str, role: str, days: int, purpose: str, **options: Any) -> None:
        if not 1 <= days <= 3650:
            raise CommandError("--days takes a number from 1 to 3650.")
        if not 1 <= len(purpose.strip()) <= 100:
            raise CommandError("--for takes a text of 1 to 100 characters.")
        with transaction.atomic():
            self.stdout.write(token_for(name, role.capitalize(), timedelta(days=days), purpose.strip()))


def token_for(name: str, role: str, lifetime: timedelta, purpose: str) -> str:
    """Returns a new token for the account, which is created with the role if it doesn't exist."""
    users = get_user_model().objects
    user = users.filter(username=name).first()
    if user is None:
        user = get_user_model()(username=name)
        user.set_unusable_password()
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        user.save()
        user.groups.add(Group.objects.get(name=role))
    elif user.is_superuser or set(user.groups.values_list("name", flat=True)) != {role}:
        raise CommandError(f"{name} already exists with another role than {role.lower()}.")
    elif not user.is_active:
        raise CommandError(f"{name} is deactivated: its tokens are refused.")
    return make_token(user, lifetime, purpose)[1]
