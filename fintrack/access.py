"""Who may do what: the three roles, and how programs and people show who they are."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

ANALYST, EDITOR, ADMINISTRATOR = "Analyst", "Editor", "Administrator"

# {role: {app: what it may do with the app's tables, beside what an analyst may}}
BOOK = ("credits", "plans")
ROLES = {
    ANALYST: {app: ["view"] for app in BOOK},
    EDITOR: {"credits": ["view", "add", "change"], "plans": ["view", "add", "change", "delete"]},
    ADMINISTRATOR: {app: ["view", "add", "change", "delete"] for app in BOOK},
}


def grant_roles(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """After the app is migrated, give each role its permissions there: those of ROLES and no others."""
    if sender.label not in BOOK:
        return
    of_app = Permission.objects.using(using).filter(content_type__app_label=sender.label)
    for role, apps in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        group.permissions.remove(*of_app)
        group.permissions.add(*(p for p in of_app if p.codename.split("_")[0] in apps[sender.label]))


class TokenAuthentication(KnoxTokenAuthentication):
    """knox's, but a token that isn't text is a wrong token and not a crash."""

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii():
            raise AuthenticationFailed
        return super().authenticate_credentials(token)


class HasPermissions(BasePermission):
    """The account, by its role, has every permission named."""

    permissions: list[str] = []

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.has_perms(self.permissions)


class MayReadBook(HasPermissions):
    permissions = ["credits.view_credit", "credits.view_payment", "plans.view_plan"]


class MayAddPlans(HasPermissions):
    permissions = ["plans.add_plan"]
