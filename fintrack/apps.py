from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class FintrackConfig(AppConfig):
    name = "fintrack"
    verbose_name = _("Access")

    def ready(self) -> None:
        from .access import grant_roles

        apps.get_app_config("auth").verbose_name = _("Accounts")
        post_migrate.connect(grant_roles)


class StaffConfig(admin.AdminConfig):
    default = False  # FintrackConfig is the default of this package
    default_site = "fintrack.site.StaffSite"
