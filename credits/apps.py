from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.db.models.signals import post_migrate
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class CreditsConfig(AppConfig):
    name = "credits"
    verbose_name = _("The book and its trail")

    def ready(self) -> None:
        post_migrate.connect(compute_debts, sender=self)


def compute_debts(apps: Any = installed, **kwargs: Any) -> None:
    """Computes the debts that the migration of their table marked as not computed yet."""
    from .models import BorrowerDebt

    if "borrowerdebt" in apps.all_models["credits"]:  # an earlier migration, as a target, has no such table
        BorrowerDebt.bring_to(timezone.localdate())
