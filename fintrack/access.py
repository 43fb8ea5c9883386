"""Access control: the three roles, and the authentication of programs and people."""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication as DRFSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from .accounts import is_password_due, store_last_use
from .identity import token_of

# Names of groups. Pages show them translated.
ANALYST, EDITOR, ADMINISTRATOR = (
    gettext_noop("Analyst"),
    gettext_noop("Editor"),
    gettext_noop("Administrator"),
)

# {role: {app: its permissions for the app's tables}}
ALL = ["view", "add", "change", "delete"]
ROLES = {
    ANALYST: {"credits": ["view"], "plans": ["view"], "reports": ["view"]},
    EDITOR: {"credits": ["view", "add", "change"], "plans": ALL, "reports": ["view", "add", "change"]},
    ADMINISTRATOR: {
        "credits": ALL,
        "plans": ALL,
        "reports": ALL,
        "auth": ["view", "add", "change"],
        "fintrack": ALL,
    },
}
STAFF = (EDITOR, ADMINISTRATOR)  # who may enter the admin
NOBODYS = ("group", "permission", "idempotencykey", "datastamp")  # no role has permissions for these tables


def grant_roles(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Called after an app is migrated: gives each role exactly the app's permissions that ROLES lists."""
    if not any(sender.label in apps for apps in ROLES.values()):
        return
    of_app = Permission.objects.using(using).filter(content_type__app_label=sender.label)
    for role, apps in ROLES.items():
        group = Group.objects.using(using).get_or_create(name=role)[0]
        may = apps.get(sender.label, [])
        granted = of_app.exclude(content_type__model__in=NOBODYS)
        group.permissions.remove(*of_app)
        group.permissions.add(*(p for p in granted if p.codename.split("_")[0] in may))


def is_staff(user: Any) -> bool:
    """Tells whether the account may enter the admin."""
    if not user.is_active or user.is_superuser:
        return user.is_active
    if not hasattr(user, "_is_staff_by_role"):
        user._is_staff_by_role = user.groups.filter(name__in=STAFF).exists()
    return user._is_staff_by_role


def accounts_in_reach(user: Any) -> QuerySet[User]:
    """Returns the accounts that the user may manage.

    Only superusers manage superusers: an administrator who could change one could become one.
    """
    accounts = User.objects.order_by("username")
    return accounts if user.is_superuser else accounts.filter(is_superuser=False)


def client_address(request: HttpRequest) -> str:
    """Returns the address that sent the request: its peer or, behind a trusted proxy, the proxy's client.

    For IPv6 it returns the first address of the /64 network, since a client may use all its addresses.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    try:
        address = ip_address(peer)
    except ValueError:  # the peer is a Unix socket, which has no address
        return peer
    with suppress(ValueError):  # an entry that is no address
        while entries and any(address in network for network in settings.TRUSTED_PROXIES):
            address = ip_address(entries.pop().strip())
    if address.version == 6:
        address = address.ipv4_mapped or ip_network((address, 64), strict=False).network_address
    return str(address)


def limit_body(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: refuses too large requests to the admin with a 413, before reading their body."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if (
            length.isascii()
            and length.isdigit()
            and int(length) > settings.MAX_BODY
            and request.path_info.startswith(reverse("admin:index"))
        ):
            text = _("Expected at most %d MB. manage.py load_data takes larger files.")
            most = settings.MAX_BODY // 2**20
            return HttpResponse(text % most, status=413, content_type="text/plain; charset=utf-8")
        return get_response(request)

    return middleware


class Policy(CSPMiddleware):
    """django-csp's, except that it builds the usual policy only once."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if settings.DEBUG or any(name.startswith("_csp") for name in (*vars(response), *vars(request))):
            return super().process_response(request, response)  # the view may have its own policy
        response.headers.setdefault(HEADER, self.usual)
        return response

    @cached_property
    def usual(self) -> str:
        return build_policy()


class SignedIn(LoginRequiredMiddleware):
    """Django's, except that accounts with a password set by somebody else must change it first."""

    def process_view(self, request: HttpRequest, view_func: Any, *args: Any) -> Any:
        answer = super().process_view(request, view_func, *args)
        if answer or not getattr(view_func, "login_required", True):
            return answer
        match: Any = request.resolver_match
        is_way_out = match.view_name in ("password_change", "logout", "admin:logout")
        return None if is_way_out or not is_password_due(request) else redirect("password_change")


class SessionAuthentication(DRFSessionAuthentication):
    """DRF's, except that it refuses accounts that must change their password first."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        if found and is_password_due(request._request):
            raise PermissionDenied(_("Change your password first: somebody else has set it."))
        return found


class TokenAuthentication(KnoxTokenAuthentication):
    """knox's, with a single query. It stores when the token was used."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        found = token_of(token.decode()) if token.isascii() else None
        if found is None:
            raise AuthenticationFailed(_("Invalid token."))
        known, last_used = found
        if not known.user.is_active:
            raise AuthenticationFailed(_("User inactive or deleted."))
        store_last_use(known, last_used)
        return known.user, known


class HasPermissions(BasePermission):
    """Requires all permissions in `permissions`."""

    permissions: list[str] = []

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.has_perms(self.permissions)


class MayReadBook(HasPermissions):
    permissions = ["credits.view_credit", "credits.view_payment", "plans.view_plan"]


class MayAddPlans(HasPermissions):
    permissions = ["plans.add_plan"]
