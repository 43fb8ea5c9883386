"""Permissions: roles, every address with every role, tokens, and sign-in."""

import gzip
import re
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import URLResolver, get_resolver
from knox.models import AuthToken
from rest_framework.test import APIClient

from credits.book.trail import Change, Load, RowsAtFault
from credits.models import Dictionary, Payment, Rate
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR, client_address
from fintrack.identity import COLUMNS, Backend
from fintrack.models import AccountChange, FailedSignIn, SignInFailure
from plans.models import Plan
from reports import urls as reports_urls
from reports.models import Note
from reports.params import BorrowerField, DayField, MonthField, YearField

from . import builders

pytestmark = pytest.mark.django_db

YEAR = "/year_performance?year=2021"
PASSWORD = "a long password"


# Roles

VIEW = {
    "credits.view_borrower",
    "credits.view_change",
    "credits.view_load",
    "credits.view_credit",
    "credits.view_dictionary",
    "credits.view_payment",
    "credits.view_rate",
    "plans.view_plan",
    "reports.view_note",
}
EDIT = VIEW | {
    "credits.add_borrower",
    "credits.add_credit",
    "credits.add_dictionary",
    "credits.add_payment",
    "credits.add_rate",
    "credits.change_borrower",
    "credits.change_credit",
    "credits.change_dictionary",
    "credits.change_payment",
    "credits.change_rate",
    "plans.add_plan",
    "plans.change_plan",
    "plans.delete_plan",
    "reports.add_note",
    "reports.change_note",
}
ADMINISTER = EDIT | {
    "credits.delete_borrower",
    "credits.delete_credit",
    "credits.delete_dictionary",
    "credits.delete_payment",
    "credits.delete_rate",
    "reports.delete_note",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "fintrack.view_accountchange",
    "fintrack.view_failedsignin",
    "fintrack.delete_failedsignin",
    "fintrack.view_signinfailure",
    "fintrack.view_token",
    "fintrack.add_token",
    "fintrack.delete_token",
}
PERMISSIONS = {ANALYST: VIEW, EDITOR: EDIT, ADMINISTRATOR: ADMINISTER}


def granted() -> dict[str, set[str]]:
    """Returns {role: permissions} from the database."""
    return {
        group.name: {f"{each.content_type.app_label}.{each.codename}" for each in group.permissions.all()}
        for group in Group.objects.prefetch_related("permissions__content_type")
    }


def test_roles_have_exactly_their_permissions():
    assert granted() == PERMISSIONS


def test_migrate_restores_the_permissions_of_each_role():
    analyst, editor = Group.objects.get(name=ANALYST), Group.objects.get(name=EDITOR)
    analyst.permissions.add(Permission.objects.get(codename="delete_credit"))
    editor.permissions.remove(Permission.objects.get(codename="add_plan"))
    Group.objects.get(name=ADMINISTRATOR).delete()
    call_command("migrate", verbosity=0)
    assert granted() == PERMISSIONS


# Addresses

NOBODY, STRANGER = "nobody", "stranger"  # not signed in; signed in without a role
EVERYBODY = (NOBODY, STRANGER, ANALYST, EDITOR, ADMINISTRATOR)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")

# Which roles an address refuses, and with which status: for all methods, or {method: status}.
OPEN: dict[str, Any] = {}
SIGNED_IN = {NOBODY: 302}
PAGE = {NOBODY: 302, STRANGER: 403}
API = {NOBODY: 401, STRANGER: 403}
API_FOR_EDITORS = API | {ANALYST: {"POST": 403, "OPTIONS": 403}}
STAFF = PAGE | {ANALYST: 403}
NO_WRITES = {"POST": 403, "PUT": 403, "PATCH": 403, "DELETE": 403}

# The status for everybody else, by method; 405 for other methods.
SHOWN = {"GET": 200, "HEAD": 200, "OPTIONS": 200}
FORM = SHOWN | {"POST": 200, "PUT": 200}  # an empty form is shown again with errors


# In the admin, where an empty form is shown again.
READ = {"GET": 200, "HEAD": 200}
PAGES = READ | {"POST": 200}
LED_ON = dict.fromkeys(PAGES, 302)
REFUSED = {"GET": 403, "HEAD": 403, "POST": 403}

# A table of the book. The requests have no body, so a POST fails.
TABLE = SHOWN | {"POST": 400}
TABLE_ROW = SHOWN | {"PUT": 400, "PATCH": 200, "DELETE": 204}


def refused(answers: dict[str, int], *editors: str) -> dict[str, Any]:
    """Returns the refusals of a table: analysts can't write, editors can't use the given methods."""
    writes = NO_WRITES.keys() & answers.keys()
    return API | {ANALYST: dict.fromkeys(writes, 403), EDITOR: dict.fromkeys(editors, 403)}


class Route(NamedTuple):
    refused: dict[str, Any]
    answers: dict[str, int]
    query: dict[str, Any] = {}
    path: dict[str, Any] = {}  # the parameters of the address, or a function that returns them
    not_for: str = ""  # a role that gets 403
    policy: dict[str, str] = {}  # additions to the content security policy of all pages


ONE = {"object_id": 10}


def table_routes(name: str, kept_from: str = "") -> dict[str, Route]:
    """Returns the admin routes of a table of the book; kept_from is the role that may not delete."""
    who = STAFF
    return {
        f"admin:{name}_changelist": Route(who, PAGES),
        f"admin:{name}_add": Route(who, PAGES),
        f"admin:{name}_change": Route(who, PAGES, path=ONE),
        f"admin:{name}_history": Route(who, PAGES, path=ONE),
        f"admin:{name}_delete": Route(who, PAGES, path=ONE, not_for=kept_from),
        f"admin:{name}_import": Route(who, PAGES),
        f"admin:{name}_process_import": Route(who, {"POST": 302}),
        f"admin:{name}_export": Route(who, PAGES),
        f"admin:{name}_template": Route(who, PAGES, path={"kind": "csv"}),
        f"admin/{name.replace('_', '/')}/<object_id>/": Route(
            who, dict.fromkeys(PAGES, 302), path={"object_id": 10}
        ),
    }


def trail_routes(name: str, kept_from: str = "") -> dict[str, Route]:
    """Returns the admin routes of a read-only table; kept_from is the role that may not read it."""
    return {
        f"admin:{name}_changelist": Route(STAFF, PAGES, not_for=kept_from),
        f"admin:{name}_add": Route(STAFF, REFUSED),
        f"admin:{name}_change": Route(STAFF, READ | {"POST": 403}, path=ONE, not_for=kept_from),
        f"admin:{name}_history": Route(STAFF, PAGES, path=ONE, not_for=kept_from),
        f"admin:{name}_delete": Route(STAFF, REFUSED, path=ONE),
        f"admin/{name.replace('_', '/')}/<object_id>/": Route(STAFF, LED_ON, path=ONE),
    }


def fixed_routes(name: str, row: dict[str, Any]) -> dict[str, Route]:
    """Returns the admin routes of a table of the book whose rows are fixed."""
    return table_routes(name) | {
        f"admin:{name}_add": Route(STAFF, REFUSED),
        f"admin:{name}_change": Route(STAFF, PAGES, path=row),
        f"admin:{name}_history": Route(STAFF, PAGES, path=row),
        f"admin:{name}_delete": Route(STAFF, REFUSED, path=row),
        f"admin:{name}_import": Route(STAFF, REFUSED),
        f"admin:{name}_process_import": Route(STAFF, {"POST": 403}),
        f"admin:{name}_export": Route(STAFF, REFUSED),
        f"admin:{name}_template": Route(STAFF, REFUSED, path={"kind": "csv"}),
    }


TOKEN = {"object_id": "digest"}
ADMIN = {
    "admin:index": Route(STAFF, PAGES),
    "admin:login": Route(OPEN, dict.fromkeys(METHODS, 302)),
    "admin:logout": Route(STAFF, {"POST": 302}),
    "admin:password_change": Route(STAFF, LED_ON),
    "admin:password_change_done": Route(STAFF, READ),
    "admin:autocomplete": Route(
        STAFF, READ, query={"app_label": "credits", "model_name": "payment", "field_name": "credit"}
    ),
    "admin:jsi18n": Route(STAFF, READ),
    "admin:view_on_site": Route(
        STAFF, dict.fromkeys(PAGES, 404), path={"content_type_id": 1, "object_id": 10}
    ),
    "admin:app_list": Route(STAFF, PAGES, path={"app_label": "credits"}),
    "admin/<url>": Route(STAFF, dict.fromkeys(PAGES, 404), path={"url": "nowhere/"}),
    **table_routes("credits_borrower", EDITOR),
    **table_routes("credits_credit", EDITOR),
    **table_routes("credits_payment", EDITOR),
    **table_routes("credits_dictionary", EDITOR),
    **fixed_routes("credits_rate", {"object_id": lambda: Rate.objects.get(name="current").pk}),
    **table_routes("plans_plan"),
    "admin:plans_plan_year": Route(STAFF, READ | {"POST": 302}, path={"year": 2021}),
    "admin:reports_note_changelist": Route(STAFF, PAGES),
    "admin:reports_note_add": Route(STAFF, PAGES),
    "admin:reports_note_change": Route(STAFF, PAGES, path=ONE),
    "admin:reports_note_history": Route(STAFF, PAGES, path=ONE),
    "admin:reports_note_delete": Route(STAFF, PAGES, path=ONE, not_for=EDITOR),
    "admin/reports/note/<object_id>/": Route(STAFF, LED_ON, path=ONE),
    **trail_routes("credits_change"),
    **trail_routes("credits_load"),
    "admin:auth_user_changelist": Route(STAFF, PAGES, not_for=EDITOR),
    "admin:auth_user_add": Route(STAFF, PAGES, not_for=EDITOR),
    "admin:auth_user_change": Route(STAFF, PAGES, path=ONE, not_for=EDITOR),
    "admin:auth_user_password_change": Route(STAFF, PAGES, path={"id": 10}, not_for=EDITOR),
    "admin:auth_user_history": Route(STAFF, LED_ON, path=ONE, not_for=EDITOR),
    "admin:auth_user_delete": Route(STAFF, REFUSED, path=ONE),
    "admin/auth/user/<object_id>/": Route(STAFF, dict.fromkeys(PAGES, 302), path=ONE),
    "admin:fintrack_token_changelist": Route(STAFF, PAGES, not_for=EDITOR),
    "admin:fintrack_token_add": Route(STAFF, PAGES, not_for=EDITOR),
    "admin:fintrack_token_change": Route(STAFF, READ | {"POST": 403}, path=TOKEN, not_for=EDITOR),
    "admin:fintrack_token_history": Route(STAFF, LED_ON, path=TOKEN, not_for=EDITOR),
    "admin:fintrack_token_delete": Route(STAFF, PAGES, path=TOKEN, not_for=EDITOR),
    "admin/fintrack/token/<object_id>/": Route(STAFF, LED_ON, path=TOKEN),
    **trail_routes("fintrack_accountchange", EDITOR),
    **trail_routes("fintrack_failedsignin", EDITOR),
    **trail_routes("fintrack_signinfailure", EDITOR),
}

# A value for each kind of parameter of a report.
VALUES = {YearField: 2021, MonthField: "2021-06", DayField: "2021-06-15", BorrowerField: 10}


def report_routes() -> dict[str, Route]:
    """Returns the routes of all reports and lists; all refuse the same roles."""
    routes = {pattern.name: Route(PAGE, SHOWN, path={"borrower_id": 10}) for pattern in reports_urls.pages}
    for pattern in reports_urls.api:
        fields = pattern.callback.view_initkwargs["report"].params.base_fields
        needed = {name: VALUES[type(field)] for name, field in fields.items() if field.required}
        in_path = pattern.pattern.converters
        routes[pattern.name] = Route(
            API,
            SHOWN,
            query={name: value for name, value in needed.items() if name not in in_path},
            path={name: value for name, value in needed.items() if name in in_path},
        )
    return routes


# All routes of the site by name, or by address if they have none.
ROUTES = (
    ADMIN
    | report_routes()
    | {
        "login": Route(OPEN, FORM),
        "logout": Route(SIGNED_IN, {"POST": 302, "OPTIONS": 200}),
        "password_change": Route(SIGNED_IN, FORM),
        "language": Route(OPEN, {"POST": 302}),
        "without_slash": Route(OPEN, dict.fromkeys(METHODS, 307), path={"address": "year_performance"}),
        "livez": Route(OPEN, {"GET": 200, "HEAD": 200}),
        "admin:credits_load_undo": Route(STAFF, PAGES, path=ONE),
        "admin:credits_load_faults": Route(STAFF, PAGES, path=ONE),
        "readyz": Route(OPEN, {"GET": 200, "HEAD": 200}),
        "api/v1/<unknown>": Route({NOBODY: 401}, dict.fromkeys(METHODS, 404), path={"unknown": "nothing"}),
        "plans_insert": Route(API_FOR_EDITORS, {"POST": 400, "OPTIONS": 200}),
        "borrowers-list": Route(refused(TABLE), TABLE),
        "borrowers-detail": Route(
            refused(TABLE_ROW, "DELETE"), TABLE_ROW, path={"pk": lambda: builders.borrower().pk}
        ),
        "credits-list": Route(refused(TABLE), TABLE),
        "credits-detail": Route(
            refused(TABLE_ROW, "DELETE"), TABLE_ROW, path={"pk": lambda: builders.credit().pk}
        ),
        "payments-list": Route(refused(TABLE), TABLE),
        "payments-detail": Route(
            refused(TABLE_ROW, "DELETE"),
            TABLE_ROW,
            path={"pk": lambda: builders.payment(builders.credit(), "2021-06-01", 1).pk},
        ),
        "payments-bulk-create": Route(API | {ANALYST: {"POST": 403}}, {"POST": 400, "OPTIONS": 200}),
        "dictionary-list": Route(refused(TABLE), TABLE),
        "dictionary-detail": Route(
            refused(TABLE_ROW, "DELETE"),
            TABLE_ROW,
            path={"pk": lambda: Dictionary.objects.create(name=f"entry {next(builders.NUMBERS)}").pk},
        ),
        "plans-list": Route(refused(TABLE), TABLE),
        "plans-detail": Route(
            refused(TABLE_ROW),
            TABLE_ROW,
            path={"pk": lambda: builders.plan(f"{1900 + next(builders.NUMBERS) % 1000}-01", 3, 1).pk},
        ),
        "schema": Route(API, SHOWN),
        "user_credits_page": Route(PAGE, {"GET": 302, "HEAD": 302, "OPTIONS": 200}),
        "saved_views_page": Route(PAGE, SHOWN | {"POST": 200}),
        "saved_view_delete": Route(PAGE, {"POST": 404, "OPTIONS": 200}, path={"pk": 10}),
        "docs": Route(PAGE, SHOWN, policy={"img-src": "'self' data:"}),
    }
)


def walk(patterns: list[Any], before: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Yields (name, address) of every route, with those of includes; <name> stands for a parameter."""
    for pattern in patterns:
        address = before + re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", r"<\1\2>", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from walk(pattern.url_patterns, address, inner)
        else:
            address = address.replace("^", "").strip("$")
            yield namespace + pattern.name if pattern.name else address, address


SITE = [(name, f"/{address}") for name, address in walk(get_resolver().url_patterns)]


def test_the_table_has_exactly_the_routes_of_the_site():
    assert {name for name, _ in SITE} == set(ROUTES)


def test_walk_finds_routes_in_every_include():
    addresses = [address for _, address in SITE]
    assert {"/", "/accounts/login/", "/user_credits/<user_id>", "/api/v1/user_credits/<user_id>"} <= {
        *addresses
    }
    assert len(addresses) == len(set(addresses))


@pytest.fixture
def as_somebody():
    """Returns a client for one of EVERYBODY; each has one account in a test."""
    accounts: dict[str, User] = {}

    def client(who: str) -> APIClient:
        api = APIClient()
        if who != NOBODY:
            role = "" if who == STRANGER else who
            accounts[who] = accounts.get(who) or builders.account(role)
            api.force_login(accounts[who])
        return api

    return client


def ask(client: APIClient, method: str, address: str, route: Route) -> Any:
    def fill(parameter: re.Match[str]) -> str:
        value = route.path[parameter[1]]
        return str(value() if callable(value) else value)

    filled = re.sub(r"<(\w+)>", fill, address)
    content = (
        {"data": "", "content_type": "multipart/form-data; boundary=x"} if method in ("POST", "PUT") else {}
    )
    return client.generic(method, f"{filled}?{urlencode(route.query)}", **content)


def one_of_each() -> None:
    """Creates a row with the id 10 for every address. Nothing refers to them, so they may be deleted."""
    borrower = builders.borrower(pk=10)
    builders.credit(pk=10)
    Payment.objects.create(
        pk=10, credit=builders.credit(borrower=borrower), payment_date="2021-07-01", type_id=1, sum=1
    )
    Dictionary.objects.create(pk=10, name="other")
    Plan.objects.create(pk=10, period="2021-06-01", category_id=3, sum=1)
    Change.objects.update_or_create(pk=10, defaults={"table": "credits.credit", "fields": {}})
    load = Load.objects.create(pk=10, table="credits.credit", file="credits.csv", outcome=Load.STORED)
    RowsAtFault.objects.create(load=load, content=gzip.compress(b"row,faults"))
    account = builders.account(pk=10)
    AuthToken(digest="digest", token_key="key", user=account).save()
    Note.objects.create(pk=10, day="2021-06-15", text="Tariff changed")
    AccountChange.objects.update_or_create(pk=10, defaults={"about": account, "action": "made"})
    FailedSignIn.objects.create(pk=10, username="anna", ip_address="10.0.0.1", failures_since_start=5)
    SignInFailure.objects.create(pk=10, username="anna", ip_address="10.0.0.1")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param(*each, id=each[1], marks=[pytest.mark.slow] if each[0] in ADMIN else [])
        for each in SITE
        if each[0] in ROUTES
    ],
)
def test_each_address_answers_each_role_and_method_as_the_table_says(as_somebody, name, address):
    one_of_each()
    route = ROUTES[name]
    expected = {(who, method): status_for(route, who, method) for who in EVERYBODY for method in METHODS}
    found = {(who, method): ask(as_somebody(who), method, address, route) for who, method in expected}
    assert {asked: answer.status_code for asked, answer in found.items()} == expected
    for answer in found.values():
        assert_refusal_is_explained(answer)
        assert_policy_is_strict(answer, route.policy)


def status_for(route: Route, who: str, method: str) -> int:
    refused = route.refused.get(who, {})
    if isinstance(refused, int):
        return refused
    if who == route.not_for and method in route.answers:
        return 403
    return refused.get(method, route.answers.get(method, 405))


def assert_refusal_is_explained(answer: Any) -> None:
    if answer.status_code == 401:
        assert answer["WWW-Authenticate"] == "Token"
        assert answer["Content-Type"] == "application/problem+json"
    if answer.status_code == 302 and not is_led_on(answer):
        assert answer["Location"].startswith(("/accounts/login/?next=/", "/admin/login/?next=/admin/"))


def is_led_on(answer: Any) -> bool:
    """Follows redirects to the page that the client may see."""
    path, there = answer.wsgi_request.path, answer["Location"]
    signed_out = path.endswith("/logout/") and there == "/accounts/login/"
    language = path == "/accounts/language/" and there == "/"
    one_page = path.endswith("/password_change/") and there == "/accounts/password/"
    history = path.endswith("/history/") and there.startswith(
        "/admin/fintrack/accountchange/?about__id__exact="
    )
    earlier = path.endswith("/user-credits/") and there == "/reports/borrowers/"
    known = ("/admin/", path, f"{path}change/", path.replace("/process_", "/"))
    return signed_out or language or one_page or history or earlier or there in known


def assert_policy_is_strict(answer: Any, beside: dict[str, str] | None = None) -> None:
    more = {} if answer.status_code in (302, 403) else beside or {}
    assert (
        dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        == {
            "default-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "object-src": "'none'",
        }
        | more
    )
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        assert not INLINE.search(answer.content.decode())


# Inline styles and scripts, which the policy would block.
INLINE = re.compile(
    r"<style|<[^>]+\s(style|on\w+)=|<script(?![^>]*\s(src=|type=\"application/json\"))", re.IGNORECASE
)


@pytest.mark.parametrize("who", [NOBODY, ANALYST])
def test_unknown_address_is_404_under_the_same_policy(as_somebody, who):
    answer = as_somebody(who).get("/nowhere")
    assert answer.status_code == 404
    assert_policy_is_strict(answer)


def test_sign_in_redirects_to_the_requested_page(client):
    account = builders.account(ANALYST, password=PASSWORD)
    there = client.get("/accounts/password/")["Location"]
    assert there == "/accounts/login/?next=/accounts/password/"
    answer = client.post(there, {"username": account.username, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/")


# Tokens


def token_of(role: str, lifetime: timedelta = timedelta(days=1)) -> str:
    return AuthToken.objects.create(builders.account(role), lifetime)[1]


def status(authorization: str, address: str = YEAR) -> int:
    return APIClient().get(address, headers={"authorization": authorization}).status_code


def test_token_authenticates_a_program_with_its_role():
    reader, writer = token_of(ANALYST), token_of(EDITOR)
    assert status(f"Token {reader}") == 200
    post = {
        role: {"authorization": f"Token {token}"} for role, token in ((ANALYST, reader), (EDITOR, writer))
    }
    client = Client(enforce_csrf_checks=True)
    assert client.post("/plans_insert", headers=post[ANALYST]).status_code == 403
    assert client.post("/plans_insert", headers=post[EDITOR]).status_code == 400
    assert status(f"Token {token_of('')}") == 403


def test_token_does_not_open_pages():
    answer = APIClient().get("/accounts/password/", headers={"authorization": f"Token {token_of(ANALYST)}"})
    assert answer.status_code == 302


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(lambda token: "", id="no token"),
        pytest.param(lambda token: "0" * 64, id="of nobody"),
        pytest.param(lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"), id="another end"),
        pytest.param(lambda token: token[:-1], id="cut short"),
        pytest.param(lambda token: token[:15], id="its beginning, which is stored"),
        pytest.param(lambda token: AuthToken.objects.get().digest, id="its digest, which is stored"),
        pytest.param(lambda token: f"{token} {token}", id="two"),
        pytest.param(lambda token: "\xff\xfe", id="bytes that are no text"),
        pytest.param(lambda token: f"{token[:-1]}\xe9", id="ends in a byte that is no ASCII"),
        pytest.param(lambda token: f"{token[:-1]}z", id="ends in what is no digit"),
    ],
)
def test_wrong_token_is_401(spoiled):
    token = token_of(ANALYST)
    assert status(f"Token {spoiled(token)}") == 401
    assert status(f"Token {token}") == 200


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "token="])
def test_another_authentication_scheme_is_401(scheme):
    assert status(f"{scheme} {token_of(ANALYST)}") == 401


def test_token_is_valid_until_it_expires(time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    token = token_of(ANALYST, timedelta(days=30))
    time_machine.shift(timedelta(days=29, hours=23))
    assert status(f"Token {token}") == 200
    time_machine.shift(timedelta(hours=2))
    assert status(f"Token {token}") == 401


def test_token_of_an_inactive_account_is_401():
    token = token_of(ANALYST)
    User.objects.update(is_active=False)
    assert status(f"Token {token}") == 401


@pytest.mark.parametrize("way", ["token", "session"])
def test_what_an_account_may_do_holds_from_the_next_request_on(way):
    account, client = builders.account(ANALYST), APIClient()
    if way == "token":
        client.credentials(
            HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(account, timedelta(days=1))[1]}"
        )
    else:
        client.force_login(account)

    def answer() -> int:
        return client.get(YEAR).status_code

    assert answer() == 200
    account.groups.clear()
    assert answer() == 403
    account.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    assert answer() == 200
    account.user_permissions.clear()
    account.is_superuser = True
    account.save()
    assert answer() == 200
    account.is_active = False
    account.save()
    assert answer() == 401
    account.is_active = True
    account.save()
    assert answer() == 200
    if way == "token":
        AuthToken.objects.all().delete()
    else:
        account.set_password("another one")
        account.save()
    assert answer() == 401


def test_account_of_a_request_is_whole():
    account = builders.account(EDITOR, first_name="Anna", email="anna@example.com")
    account = User.objects.get(pk=account.pk)
    known = Backend().get_user(account.pk)
    assert vars(known).items() >= {column: getattr(account, column) for column in COLUMNS}.items()
    assert known.get_all_permissions() == account.get_all_permissions()
    assert len(known.get_all_permissions()) > 5


def test_token_is_stored_hashed():
    token = token_of(ANALYST)
    (stored,) = AuthToken.objects.values()
    assert stored["token_key"] == token[:15]
    assert not [value for name, value in stored.items() if name != "token_key" and token[:15] in str(value)]
    assert token[15:] not in str(stored)


# Where a request comes from

PROXIES = [ip_network(each) for each in ("10.0.0.0/8", "fd00::/8")]
STRANGERS = "203.0.113.7"


@pytest.fixture
def https(settings):
    """Puts the site behind a proxy that serves HTTPS, without trusting its address."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        pytest.param(STRANGERS, "1.1.1.1", STRANGERS, id="from no proxy"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="proxy that says nothing"),
        pytest.param("10.0.0.1", STRANGERS, STRANGERS, id="proxy"),
        pytest.param("10.0.0.1", f"1.1.1.1, {STRANGERS}", STRANGERS, id="proxy that adds to a forged one"),
        pytest.param("10.0.0.1", f"1.1.1.1, {STRANGERS},10.0.0.2", STRANGERS, id="proxy behind a proxy"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="proxies alone"),
        pytest.param("10.0.0.1", "1.1.1.1, unknown", "10.0.0.1", id="no address"),
        pytest.param("10.0.0.1", "1.1.1.1, x, 10.0.0.2", "10.0.0.2", id="no address further on"),
        pytest.param("fd00::1", "2001:DB8:0::7", "2001:db8::", id="IPv6"),
        pytest.param("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::", id="any of a network of IPv6"),
        pytest.param("10.0.0.1", f"::ffff:{STRANGERS}", STRANGERS, id="IPv4 in IPv6"),
        pytest.param("", STRANGERS, "", id="peer without an address"),
    ],
)
def test_client_address_is_the_last_that_is_not_a_trusted_proxy(settings, rf, peer, forwarded, address):
    settings.TRUSTED_PROXIES = PROXIES
    request = rf.get("/", headers={"x-forwarded-for": forwarded}, REMOTE_ADDR=peer)
    assert client_address(request) == address


def from_address(forged: bool, number: int) -> APIClient:
    """Returns a client that forges its address, or one behind the proxy, which sends the real address."""
    real = f"203.0.113.{number}"
    peer = STRANGERS if forged else "10.0.0.1"
    return APIClient(REMOTE_ADDR=peer, headers={"x-forwarded-for": real, "x-forwarded-proto": "https"})


@pytest.mark.usefixtures("https")
@pytest.mark.parametrize("forged", [True, False])
def test_forged_address_evades_no_limit_and_a_trusted_proxys_counts(settings, time_machine, forged):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    settings.TRUSTED_PROXIES = PROXIES
    refused = 429 if forged else 200
    name = builders.account(password=PASSWORD).username

    def sign_in(number: int, name: str) -> int:
        fields = {"username": name, "password": "wrong"}
        return from_address(forged, number).post("/accounts/login/", fields).status_code

    assert [sign_in(number, name) for number in range(5)] == [200, 200, 200, 200, refused]
    assert [sign_in(number, f"x{number}") for number in range(5, 21)] == [200] * 15 + [refused]
    asked = [from_address(forged, number).get(YEAR).status_code for number in range(61)]
    assert asked == [401] * 60 + [429 if forged else 401]


# Sessions


def test_session_cannot_write_without_a_csrf_token():
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(builders.account(EDITOR))
    assert client.post("/plans_insert").status_code == 403
    client.get("/")
    token = client.cookies["csrftoken"].value
    assert client.post("/plans_insert", headers={"x-csrftoken": token}).status_code == 400


def test_person_signs_in_reads_and_signs_out():
    account = builders.account(ANALYST, password=PASSWORD)
    client = Client(enforce_csrf_checks=True)
    client.get("/accounts/login/")

    def post(address: str, **fields: str) -> Any:
        return client.post(address, fields | {"csrfmiddlewaretoken": client.cookies["csrftoken"].value})

    answer = post("/accounts/login/", username=account.username, password=PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert account.username in client.get("/").content.decode()
    assert client.get(YEAR).status_code == 200
    session = client.cookies["sessionid"].value

    answer = post("/accounts/logout/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert client.get("/").status_code == 302
    client.cookies["sessionid"] = session
    assert (client.get("/").status_code, client.get(YEAR).status_code) == (302, 401)


def test_sign_in_without_a_csrf_token_is_refused():
    account = builders.account(ANALYST, password=PASSWORD)
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/accounts/login/", {"username": account.username, "password": PASSWORD})
    assert answer.status_code == 403
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        pytest.param({"password": "another password"}, {}, id="wrong password"),
        pytest.param({"password": ""}, {}, id="no password"),
        pytest.param({"username": "nobody"}, {}, id="unknown name"),
        pytest.param({}, {"is_active": False}, id="inactive account"),
    ],
)
def test_wrong_password_is_reported_and_does_not_sign_in(client, fields, state):
    account = builders.account(ANALYST, password=PASSWORD, **state)
    answer = client.post("/accounts/login/", {"username": account.username, "password": PASSWORD} | fields)
    assert answer.status_code == 200
    assert 'class="errorlist' in answer.content.decode()
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize("there", ["https://example.com/", "//example.com/", "javascript:alert(1)"])
def test_sign_in_never_redirects_to_another_site(client, there):
    account = builders.account(ANALYST, password=PASSWORD)
    answer = client.post(
        "/accounts/login/", {"username": account.username, "password": PASSWORD, "next": there}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/")


def change_password(client: Client, old: str, new: str) -> Any:
    return client.post(
        "/accounts/password/", {"old_password": old, "new_password1": new, "new_password2": new}
    )


@pytest.mark.parametrize("role", ["", ANALYST, EDITOR, ADMINISTRATOR])
def test_every_role_may_change_its_own_password(client, role):
    account = builders.account(role, password=PASSWORD)
    elsewhere = Client()
    for each in (client, elsewhere):
        each.force_login(account)
    answer = change_password(client, PASSWORD, "quite another one")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/accounts/password/").status_code == 200
    assert elsewhere.get("/accounts/password/").status_code == 302
    account.refresh_from_db()
    assert not account.check_password(PASSWORD)
    assert account.check_password("quite another one")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("a wrong one", "quite another one", id="wrong old password"),
        pytest.param(PASSWORD, "short", id="too short"),
        pytest.param(PASSWORD, "92837465019283", id="digits alone"),
        pytest.param(PASSWORD, "password123", id="common"),
        pytest.param(PASSWORD, "the-analyst", id="like the name"),
    ],
)
def test_weak_new_password_or_wrong_old_password_is_refused(client, old, new):
    account = builders.account(ANALYST, password=PASSWORD, first_name="the-analyst")
    client.force_login(account)
    answer = change_password(client, old, new)
    assert answer.status_code == 200
    assert 'class="errorlist' in answer.content.decode()
    account.refresh_from_db()
    assert account.check_password(PASSWORD)
