from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.db.models.signals import post_migrate


class FintrackConfig(AppConfig):
    name = "fintrack"

    def ready(self) -> None:
        from .access import grant_roles

        post_migrate.connect(grant_roles)


class StaffConfig(admin.AdminConfig):
    default = False  # for "fintrack" itself
    default_site = "fintrack.site.StaffSite"
