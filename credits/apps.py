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
    """Compute the debts that the migration of their table left to be computed."""
    from .models import BorrowerDebt

    if "borrowerdebt" in apps.all_models["credits"]:  # not if an earlier migration was the target
        BorrowerDebt.bring_to(timezone.localdate())
