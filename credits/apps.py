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
        post_migrate.connect(compute_new_summaries, sender=self)


def compute_new_summaries(apps: Any = installed, **kwargs: Any) -> None:
    """Computes the summaries whose tables the migrations have created, and renews the stamp."""
    from .book.summaries import LOCK, NEW, recompute_all
    from .book.writing import writing
    from .models import BorrowerDebt, Credit, Lock, one_at_a_time

    tables = apps.all_models["credits"]  # an earlier migration, as a target, has not all of them
    if "borrowerdebt" in tables:
        BorrowerDebt.bring_to(timezone.localdate())
    if "movement" in tables and Lock.objects.filter(name=NEW).exists():
        with writing():
            one_at_a_time(LOCK)
            if Lock.objects.filter(name=NEW).delete()[0] and Credit.objects.exists():
                recompute_all()
