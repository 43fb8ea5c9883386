"""The trail of accounts, the purpose of tokens, failed sign-ins, and passwords that must be changed."""

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axes.models import AccessFailureLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR
from fintrack.accounts import make_token
from fintrack.logs import JSONFormatter
from fintrack.models import AccountChange, FailedSignIn, IdempotencyKey, PasswordDue, SignInFailure, TokenNote

from . import builders
from .sent_forms import sent_back
from .test_admin import errors_at, html, words

pytestmark = pytest.mark.django_db

PASSWORD, OWN = "a long password", "quite another one"
YEAR = "/api/v1/year_performance?year=2021"
LIST = "/admin/fintrack/accountchange/"
SIGN_INS = "/admin/fintrack/failedsignin/"
HISTORY = "/admin/fintrack/signinfailure/"
TOKENS = "/admin/fintrack/token/"


def since(record: int) -> list[tuple]:
    """Returns (account, action, fields, actor) of the changes after the record, in order."""
    changes = AccountChange.objects.filter(pk__gt=record).select_related("about", "account").order_by("pk")
    return [
        (str(each.about), each.action, each.fields, each.account and each.account.username)
        for each in changes
    ]


def last() -> int:
    return AccountChange.objects.order_by("pk").values_list("pk", flat=True).last() or 0


def me() -> User:
    return User.objects.get(groups__name=ADMINISTRATOR)


def role(name: str) -> Group:
    return Group.objects.get(name=name)


def sign_in(name: str, password: str = PASSWORD, client: Client | None = None) -> Client:
    client = client or APIClient()
    client.post("/accounts/login/", {"username": name, "password": password})
    return client


def passwords(new: str, **fields: Any) -> dict[str, Any]:
    return {"password1": new, "password2": new, "usable_password": "true", **fields}


def change_own(client: Client, old: str, new: str) -> Any:
    fields = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/accounts/password/", fields)


# The trail


def test_account_created_and_changed_in_the_admin_is_recorded(administrator):
    start, by = last(), me().username
    fields = passwords(PASSWORD, username="olena", groups=[role(EDITOR).pk])
    administrator.post("/admin/auth/user/add/", fields)
    olena = User.objects.get(username="olena")
    fields = {
        "username": "olena.k",
        "first_name": "Olena",
        "email": "o@example.com",
        "groups": [role(ANALYST).pk],
    }
    administrator.post(f"/admin/auth/user/{olena.pk}/change/", fields)
    assert since(start) == [
        (
            "olena.k",
            "made",
            {"username": [None, "olena"], "is_active": [None, True], "password": [None, "usable"]},
            by,
        ),
        ("olena.k", "roles", {"roles": [None, "Editor"]}, by),
        (
            "olena.k",
            "changed",
            {
                "username": ["olena", "olena.k"],
                "first_name": ["", "Olena"],
                "email": ["", "o@example.com"],
                "is_active": [True, False],
            },
            by,
        ),
        ("olena.k", "roles", {"roles": ["Editor", "Analyst"]}, by),
    ]
    assert AccountChange.objects.latest("pk").via == f"/admin/auth/user/{olena.pk}/change/"


def test_saving_an_unchanged_account_leaves_no_record(administrator):
    other = builders.account(EDITOR)
    start = last()
    fields = {"username": other.username, "is_active": "on", "groups": [role(EDITOR).pk]}
    assert administrator.post(f"/admin/auth/user/{other.pk}/change/", fields).status_code == 302
    other.save()
    assert since(start) == []


def test_sign_in_leaves_no_record_even_if_the_hash_is_upgraded(settings):
    account = builders.account(ANALYST, password=PASSWORD)
    start = last()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    sign_in(account.username)
    account.refresh_from_db()
    assert account.password.startswith("pbkdf2_")
    assert account.last_login
    assert since(start) == []


def test_role_changes_are_recorded_however_they_are_made():
    first, second = builders.account(), builders.account()
    editor, analyst = role(EDITOR), role(ANALYST)
    start = last()
    first.groups.add(editor)
    first.groups.add(editor)
    editor.user_set.add(first, second)
    first.groups.add(analyst)
    analyst.user_set.remove(first)
    second.groups.remove(analyst)
    editor.user_set.clear()
    assert since(start) == [
        (str(first), "roles", {"roles": [None, "Editor"]}, None),
        (str(second), "roles", {"roles": [None, "Editor"]}, None),
        (str(first), "roles", {"roles": ["Editor", "Analyst, Editor"]}, None),
        (str(first), "roles", {"roles": ["Analyst, Editor", "Editor"]}, None),
        (str(first), "roles", {"roles": ["Editor", None]}, None),
        (str(second), "roles", {"roles": ["Editor", None]}, None),
    ]


def test_password_changes_are_recorded_without_the_password(administrator):
    other = builders.account(EDITOR, password=PASSWORD)
    start, by = last(), me().username
    administrator.post(f"/admin/auth/user/{other.pk}/password/", passwords(OWN))
    without = {"usable_password": "false", "unset-password": "1"}
    administrator.post(f"/admin/auth/user/{other.pk}/password/", without)
    administrator.post(f"/admin/auth/user/{other.pk}/password/", passwords(OWN))
    assert since(start) == [
        (str(other), "password set", {}, by),
        (str(other), "password removed", {"password": ["usable", "unusable"]}, by),
        (str(other), "password set", {"password": ["unusable", "usable"]}, by),
    ]


def test_change_of_own_password_is_recorded_and_keeps_the_session(client):
    account = builders.account(ANALYST, password=PASSWORD)
    client.force_login(account)
    start = last()
    assert change_own(client, PASSWORD, OWN)["Location"] == "/"
    assert client.get("/").status_code == 200
    assert since(start) == [(str(account), "password changed", {}, str(account))]
    assert AccountChange.objects.latest("pk").via == "/accounts/password/"


def test_changes_by_commands_are_recorded(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    monkeypatch.setattr("sys.argv", ["manage.py", "createsuperuser", "--noinput", "--username=root"])
    start = last()
    call_command("createsuperuser", interactive=False, username="root", email="root@example.com")
    assert since(start) == [
        (
            "root",
            "made",
            {
                "username": [None, "root"],
                "email": [None, "root@example.com"],
                "is_active": [None, True],
                "is_superuser": [None, True],
                "password": [None, "usable"],
            },
            None,
        )
    ]
    assert AccountChange.objects.latest("pk").via == "manage.py createsuperuser"
    start = last()
    monkeypatch.setattr("getpass.getpass", lambda prompt: OWN)
    call_command("changepassword", "root", verbosity=0)
    assert since(start) == [("root", "password set", {}, None)]
    assert not PasswordDue.objects.exists()  # neither must be changed
    assert sign_in("root", OWN).get("/admin/").status_code == 200


def test_api_token_records_the_account_and_the_token(capfd, time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    start = last()
    call_command("api_token", "program", "--role", "analyst", "--for", " the warehouse ")
    call_command("api_token", "program", "--role", "analyst", "--days", "1")
    first, second = AuthToken.objects.order_by("-expiry")
    assert since(start) == [
        (
            "program",
            "made",
            {"username": [None, "program"], "is_active": [None, True], "password": [None, "unusable"]},
            None,
        ),
        ("program", "roles", {"roles": [None, "Analyst"]}, None),
        (
            "program",
            "token made",
            {
                "token": [None, f"{first.token_key}…"],
                "what for": [None, "the warehouse"],
                "expires": [None, "2032-01-01 14:00"],
            },
            None,
        ),
        (
            "program",
            "token made",
            {
                "token": [None, f"{second.token_key}…"],
                "what for": [None, "api_token"],
                "expires": [None, "2031-01-02 14:00"],
            },
            None,
        ),
    ]


@pytest.mark.parametrize("purpose", ["", "  ", "x" * 101])
def test_invalid_purpose_is_an_error(purpose):
    with pytest.raises(CommandError, match="--for takes a text of 1 to 100 characters"):
        call_command("api_token", "program", "--role", "analyst", f"--for={purpose}")
    assert not User.objects.exists()


def test_token_created_and_revoked_in_the_admin_is_recorded(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    administrator.force_login(me())
    program = builders.account(ANALYST)
    start, by = last(), me().username
    for purpose in ("one", "another"):
        administrator.post(f"{TOKENS}add/", {"user": program.pk, "purpose": purpose, "days": 30})
    one, another = AuthToken.objects.order_by("note__purpose").reverse()
    administrator.post(f"{TOKENS}{one.pk}/delete/", {"post": "yes"})
    selected = {"action": "delete_selected", "_selected_action": [another.pk], "post": "yes"}
    administrator.post(TOKENS, selected)
    expires = "2031-01-31 14:00"

    def fields(token: AuthToken, purpose: str) -> list[tuple[str, str]]:
        return [("token", f"{token.token_key}…"), ("what for", purpose), ("expires", expires)]

    assert since(start) == [
        *(
            (str(program), "token made", {name: [None, value] for name, value in fields(*each)}, by)
            for each in ((one, "one"), (another, "another"))
        ),
        *(
            (str(program), "token revoked", {name: [value, None] for name, value in fields(*each)}, by)
            for each in ((one, "one"), (another, "another"))
        ),
    ]
    assert not AuthToken.objects.exists()
    assert not LogEntry.objects.exists()  # its names are digests of tokens


def test_removal_of_an_expired_token_is_recorded(time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    program = builders.account(ANALYST)
    another = builders.account(ANALYST)
    _, text = make_token(program, timedelta(days=1), "a test")
    start = last()
    time_machine.shift(timedelta(days=2))
    assert (asked(text), since(start)) == (401, [])
    make_token(another, timedelta(days=1), "another")
    (about, action, fields, by), _made = since(start)
    assert (about, action, by) == (str(program), "token expired", None)
    assert fields["expires"] == ["2031-01-02 14:00", None]


def test_trail_never_holds_a_password_a_token_or_a_digest(administrator):
    program = builders.account(ANALYST, password=PASSWORD)
    made = administrator.post(f"{TOKENS}add/", {"user": program.pk, "purpose": "x", "days": 1}, follow=True)
    (text,) = re.findall(r"\b[0-9a-f]{64}\b", words(made))
    token = AuthToken.objects.get()
    administrator.post(f"/admin/auth/user/{program.pk}/password/", passwords(OWN))
    page = words(administrator.get(f"{TOKENS}{token.pk}/delete/"))
    administrator.post(f"{TOKENS}{token.pk}/delete/", {"post": "yes"})
    program.refresh_from_db()
    for kept in (str(list(AccountChange.objects.values())), page, words(administrator.get(LIST))):
        for secret in (text, text[15:], token.digest, PASSWORD, OWN, program.password):
            assert secret not in kept


def test_change_and_record_share_a_transaction(monkeypatch):
    account = builders.account(ANALYST, password=PASSWORD)
    start = last()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fintrack.accounts.record", fail)
    for act in (
        lambda: User.objects.create_user("olena"),
        lambda: account.groups.clear(),
        lambda: (account.set_password(OWN), account.save()),
        lambda: make_token(account, timedelta(days=1), "x"),
    ):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            act()
    account.refresh_from_db()
    assert not User.objects.filter(username="olena").exists()
    assert account.check_password(PASSWORD)
    assert account.groups.get() == role(ANALYST)
    assert (AuthToken.objects.count(), since(start)) == (0, [])


@pytest.mark.usefixtures("committed")
def test_change_is_rolled_back_if_its_record_fails(monkeypatch):
    account = builders.account(password=PASSWORD)
    monkeypatch.setattr("fintrack.accounts.record", lambda *args: 1 / 0)
    account.set_password(OWN)
    with pytest.raises(ZeroDivisionError):
        account.save()
    with pytest.raises(ZeroDivisionError):
        make_token(account, timedelta(days=1), "x")
    account.refresh_from_db()
    assert account.check_password(PASSWORD)
    assert not AuthToken.objects.exists()


def test_account_with_records_in_the_trail_cannot_be_deleted():
    account = builders.account()
    with pytest.raises(ProtectedError):
        account.delete()


def test_history_of_an_account_shows_its_records_in_the_trail(administrator):
    olena, other = builders.account(EDITOR, first_name="Olena"), builders.account(ANALYST)
    shown = words(administrator.get(f"/admin/auth/user/{olena.pk}/history/", follow=True))
    assert "first name: – → Olena" in shown
    assert "role: – → Editor" in shown
    assert f"username: – → {other.username}" not in shown
    make_token(olena, timedelta(days=1), "the warehouse")
    there = administrator.get(f"{TOKENS}{AuthToken.objects.get().pk}/history/")["Location"]
    assert there == f"{LIST}?about__id__exact={olena.pk}"


def test_trail_is_filtered_by_account_actor_and_action(administrator):
    olena = builders.account(EDITOR, password=PASSWORD)
    administrator.post(f"/admin/auth/user/{olena.pk}/password/", passwords(OWN))
    for query, found in (
        ("", 5),  # two accounts made, each given its role
        (f"?about__id__exact={olena.pk}", 3),
        (f"?account__id__exact={me().pk}", 1),
        ("?action__exact=roles", 2),
        (f"?q={olena.username}", 3),
    ):
        assert administrator.get(f"{LIST}{query}").context["cl"].result_count == found, query


def test_two_administrators_do_not_overwrite_each_other(administrator):
    olena, by = builders.account(EDITOR), me().username
    address = f"/admin/auth/user/{olena.pk}/change/"
    first, second = (sent_back(html(administrator.get(address))) for _ in range(2))
    first |= {"groups": [str(role(ANALYST).pk)]}
    second |= {"email": "o@example.com"}
    assert administrator.post(address, first).status_code == 302
    shown = words(administrator.post(address, second, follow=True))
    assert re.search(rf"“Role” was changed from Editor to Analyst meanwhile by {by} \([-0-9 :]+\)\.", shown)
    assert (olena.groups.get(), User.objects.get(pk=olena.pk).email) == (role(ANALYST), "o@example.com")
    second |= {"groups": [], "email": "o@example.com"}
    refused = administrator.post(address, second | {"once": "another"})
    assert "groups" in errors_at(refused)
    assert olena.groups.get() == role(ANALYST)


def test_account_or_token_form_sent_twice_is_stored_once(administrator):
    fields = sent_back(html(administrator.get("/admin/auth/user/add/"))) | passwords(
        PASSWORD, username="olena"
    )
    twice = [administrator.post("/admin/auth/user/add/", fields).status_code for _ in range(2)]
    olena = User.objects.get(username="olena")
    fields = sent_back(html(administrator.get(f"{TOKENS}add/"))) | {"user": olena.pk, "purpose": "x"}
    twice += [administrator.post(f"{TOKENS}add/", fields).status_code for _ in range(2)]
    token = AuthToken.objects.get()
    assert twice == [302, 302, 302, 302]
    again = words(administrator.get(TOKENS))
    assert f"The token {token.token_key}… was created once and shown in the first answer" in again
    assert token.digest not in str(list(IdempotencyKey.objects.values()))


# Tokens


def asked(token: str) -> int:
    return APIClient().get(YEAR, headers={"authorization": f"Token {token}"}).status_code


def used() -> datetime | None:
    return TokenNote.objects.get().last_used


def test_last_use_of_a_token_is_written_once_an_hour(time_machine):
    time_machine.move_to("2031-01-01T12:34Z", tick=False)
    _, text = make_token(builders.account(ANALYST), timedelta(days=1), "a test")
    assert used() is None
    writes = []

    def watch(execute: Any, sql: str, *args: Any) -> Any:
        writes.extend([sql] if sql.startswith("UPDATE") else [])
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        for _ in range(3):
            assert asked(text) == 200
        assert used() == datetime(2031, 1, 1, 12, tzinfo=UTC)
        time_machine.shift(timedelta(minutes=26))
        assert asked(text) == 200
    assert used() == datetime(2031, 1, 1, 13, tzinfo=UTC)
    assert len(writes) == 2


@pytest.mark.usefixtures("committed")
@pytest.mark.skipif(connection.vendor != "sqlite", reason="elsewhere nobody writes that row but this")
def test_request_does_not_wait_for_the_last_use_written_by_another():
    _, text = make_token(builders.account(ANALYST), timedelta(days=1), "a test")
    began, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            began.set()
            done.wait(10)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    began.wait(10)
    try:
        assert asked(text) == 200
        assert writer.is_alive()
        assert used() is None
    finally:
        done.set()
        writer.join()
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)  # as it was
    assert asked(text) == 200
    assert used()


def test_list_of_tokens_shows_maker_purpose_and_last_use(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:34Z")
    administrator.force_login(me())
    program = builders.account(ANALYST)
    form = administrator.get(f"{TOKENS}add/")
    assert "Expires in days:" in words(form)
    assert "purpose" in errors_at(administrator.post(f"{TOKENS}add/", {"user": program.pk, "days": 30}))
    made = administrator.post(
        f"{TOKENS}add/", {"user": program.pk, "purpose": "the warehouse", "days": 30}, follow=True
    )
    asked(re.findall(r"\b[0-9a-f]{64}\b", words(made))[0])
    token = AuthToken.objects.get()
    (row,) = administrator.get(TOKENS).context["cl"].result_list
    assert (row.token_key, row.user, row.note.purpose, row.note.maker) == (
        token.token_key,
        program,
        "the warehouse",
        me(),
    )
    shown = words(administrator.get(f"{TOKENS}{token.pk}/change/"))
    assert "the warehouse" in shown
    for wrong in ("uth token", "Days", token.digest):
        assert wrong not in shown


# Failed sign-ins


def test_administrator_sees_and_unlocks_failed_sign_ins(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    administrator.force_login(me())
    account = builders.account(EDITOR, password=PASSWORD)
    here = Client(REMOTE_ADDR="10.0.0.1", headers={"user-agent": "Firefox"})
    there = Client(REMOTE_ADDR="10.0.0.2")
    for _ in range(3):
        sign_in(account.username, "wrong", here)
    time_machine.shift(60)
    other = Client(REMOTE_ADDR="10.0.0.1", headers={"user-agent": "Chromium"})
    sign_in(account.username, "wrong", other)
    time_machine.shift(60)
    sign_in(account.username, "wrong", other)
    sign_in(account.username, "wrong", there)

    def shown() -> list[tuple]:
        page = administrator.get(SIGN_INS)
        admin, rows = page.context["cl"].model_admin, page.context["cl"].result_list
        return sorted(
            (each.ip_address, each.user_agent, each.failures_since_start, f"{until:%H:%M}" if until else None)
            for each, until in ((each, admin.locked_until(each)) for each in rows)
        )

    # The three of the first minute are needed for five: when they are too old, the lock ends.
    assert shown() == [
        ("10.0.0.1", "Chromium", 2, "12:15"),
        ("10.0.0.1", "Firefox", 3, "12:15"),
        ("10.0.0.2", "<unknown>", 1, None),
    ]
    start = last()
    chosen = FailedSignIn.objects.filter(user_agent="Chromium").get()
    answer = administrator.post(SIGN_INS, {"action": "unlock", "_selected_action": [chosen.pk]}, follow=True)
    assert f"Unlocked: {account.username}, 10.0.0.1" in words(answer)
    assert shown() == [("10.0.0.2", "<unknown>", 1, None)]
    assert since(start) == [
        (str(account), "unlocked", {"address": ["10.0.0.1", None], "failures": [5, 0]}, me().username)
    ]
    assert sign_in(account.username, client=here).get("/").status_code == 200


def test_administrator_cannot_see_or_unlock_failed_sign_ins_of_a_superuser(administrator):
    root = User.objects.create_superuser("root", password=PASSWORD)
    for _ in range(5):
        sign_in(root.username, "wrong", Client(REMOTE_ADDR="10.0.0.1"))
    attempt = FailedSignIn.objects.get()
    chosen = {"action": "unlock", "_selected_action": [attempt.pk]}
    assert root.username not in words(administrator.get(SIGN_INS))
    administrator.post(SIGN_INS, chosen)
    assert FailedSignIn.objects.count() == 1
    administrator.force_login(root)
    administrator.post(SIGN_INS, chosen)
    assert FailedSignIn.objects.count() == 0


def test_lock_ends_at_the_listed_time(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    account = builders.account(EDITOR, password=PASSWORD)
    for agent in ("Firefox", "Chromium"):
        for _ in range(3):
            sign_in(account.username, "wrong", Client(headers={"user-agent": agent}))
        time_machine.shift(60)
    time_machine.move_to("2031-01-01T12:14:59Z", tick=False)
    assert sign_in(account.username).get("/").status_code == 302
    time_machine.move_to("2031-01-01T12:15:01Z", tick=False)
    assert sign_in(account.username).get("/").status_code == 200


def test_unknown_name_stays_out_of_the_trail(administrator):
    sign_in("my secret password", "x")
    start = last()
    administrator.post(SIGN_INS, {"action": "unlock", "_selected_action": [FailedSignIn.objects.get().pk]})
    assert since(start) == [
        ("None", "unlocked", {"address": ["127.0.0.1", None], "failures": [1, 0]}, me().username)
    ]


def test_axes_reset_is_recorded_but_a_successful_sign_in_is_not():
    account = builders.account(EDITOR, password=PASSWORD)
    sign_in(account.username, "wrong")
    start = last()
    sign_in(account.username)
    assert (FailedSignIn.objects.count(), since(start)) == (0, [])
    sign_in(account.username, "wrong")
    call_command("axes_reset")
    assert since(start) == [
        (str(account), "unlocked", {"address": ["127.0.0.1", None], "failures": [1, 0]}, None)
    ]


def test_editor_cannot_see_the_trail_sign_ins_or_tokens(editor):
    shown = words(editor.get("/admin/"))
    for name in ("Changes of accounts", "Failed sign-ins", "History of failed sign-ins", "Tokens"):
        assert name not in shown
    assert [editor.get(address).status_code for address in (LIST, SIGN_INS, HISTORY, TOKENS)] == [403] * 4


# Too many attempts


class CountingHasher(MD5PasswordHasher):
    hashed: list[str] = []

    def encode(self, password: str, salt: str) -> str:
        self.hashed.append(password)
        return super().encode(password, salt)


@pytest.fixture
def hashed(settings) -> list[str]:
    """Collects the passwords that are hashed."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.hashed = []
    return CountingHasher.hashed


def test_too_many_sign_ins_are_refused_before_hashing_a_password(hashed, time_machine):
    time_machine.move_to("2031-01-01T12:00:48Z", tick=False)
    account = builders.account(ANALYST, password=PASSWORD)
    hashed.clear()

    def guess(name: str, password: str, address: str = "10.0.0.1") -> Any:
        fields = {"username": name, "password": password}
        return Client(REMOTE_ADDR=address).post("/accounts/login/?next=/reports/credits/", fields)

    assert [guess(f"name{number}", "guess").status_code for number in range(20)] == [200] * 20
    assert hashed == ["guess"] * 20
    refused = guess(account.username, PASSWORD)
    assert (refused.status_code, refused["Retry-After"]) == (429, "12")
    assert "sessionid" not in refused.cookies
    assert len(hashed) == 20
    shown = words(refused)
    assert "too many attempts to sign in from your network address" in shown
    assert "Try again in a minute." in shown
    assert 'href="/accounts/login/?next=/reports/credits/"' in refused.content.decode()
    assert guess(account.username, PASSWORD, "10.0.0.2").status_code == 302
    time_machine.shift(12)
    assert guess(account.username, PASSWORD).status_code == 302


def test_successful_sign_ins_count_towards_the_limit(time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    name = builders.account(ANALYST, password=PASSWORD).username
    fields = {"username": name, "password": PASSWORD}
    answers = [Client().post("/accounts/login/", fields).status_code for _ in range(21)]
    assert answers == [302] * 20 + [429]


def test_too_many_password_changes_are_refused_before_hashing(hashed, time_machine):
    time_machine.move_to("2031-01-01T12:10Z", tick=False)
    mine, others = Client(), Client()
    account = builders.account(EDITOR, password=PASSWORD)
    mine.force_login(account)
    others.force_login(builders.account(EDITOR, password=PASSWORD))
    hashed.clear()
    assert [change_own(mine, f"guess {number}", OWN).status_code for number in range(20)] == [200] * 20
    assert hashed == [f"guess {number}" for number in range(20)]
    refused = change_own(mine, PASSWORD, OWN)
    assert (refused.status_code, refused["Retry-After"]) == (429, "3000")
    assert "Try again in 50 minutes." in words(refused)
    assert len(hashed) == 20
    assert change_own(others, PASSWORD, OWN)["Location"] == "/"
    assert [(each.username, each.path_info, each.locked_out) for each in SignInFailure.objects.all()] == [
        (account.username, "/accounts/password/", True)
    ]
    time_machine.shift(50 * 60)
    assert change_own(mine, PASSWORD, OWN)["Location"] == "/"


def test_admin_has_no_other_form_to_change_ones_own_password(editor):
    fields = {"old_password": "guess", "new_password1": OWN, "new_password2": OWN}
    assert editor.post("/admin/password_change/", fields)["Location"] == "/accounts/password/"


# The history of failed sign-ins


def history(client: Client, query: str = "") -> list[tuple]:
    rows = client.get(f"{HISTORY}{query}").context["cl"].result_list
    return [
        (f"{each.attempt_time:%d %H:%M}", each.username, each.ip_address, each.locked_out) for each in rows
    ]


def test_failures_are_kept_and_searched_by_name_address_and_day(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    here = Client(REMOTE_ADDR="10.0.0.1", headers={"user-agent": "Firefox"})
    for _ in range(6):
        sign_in("anna", "wrong", here)
    time_machine.shift(24 * 60 * 60)
    sign_in("bohdan", "wrong", Client(REMOTE_ADDR="10.0.0.2"))
    administrator.force_login(me())
    anna, bohdan = ("01 12:00", "anna", "10.0.0.1"), ("02 12:00", "bohdan", "10.0.0.2", False)
    annas = [(*anna, True), (*anna, True), *[(*anna, False)] * 4]
    assert FailedSignIn.objects.count() == 1  # axes has forgotten what it no longer counts
    assert history(administrator) == [bohdan, *annas]
    assert history(administrator, "?q=ann") == annas
    assert history(administrator, "?q=10.0.0.2") == [bohdan]
    assert history(administrator, "?attempt_time__gte=2031-01-02&attempt_time__lte=2031-01-02") == [bohdan]
    assert history(administrator, "?attempt_time__lte=2031-01-01&locked_out__exact=1") == annas[:2]
    assert "Firefox" in words(administrator.get(f"{HISTORY}?q=anna"))


def test_attempts_beyond_the_limit_are_recorded_once_a_minute(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    administrator.force_login(me())
    for _ in range(2):
        for number in range(25):
            sign_in(f"name{number}", "wrong", Client(REMOTE_ADDR="10.0.0.1"))
        time_machine.shift(60)
    refused = history(administrator, "?locked_out__exact=1")
    assert refused == [("01 12:01", None, "10.0.0.1", True), ("01 12:00", None, "10.0.0.1", True)]
    assert len(history(administrator)) == 42


def test_administrator_does_not_see_failures_of_a_superuser(administrator):
    root = User.objects.create_superuser("root", password=PASSWORD)
    sign_in("root", "wrong")
    sign_in("anna", "wrong")
    assert [each[1] for each in history(administrator)] == ["anna"]
    administrator.force_login(root)
    assert [each[1] for each in history(administrator)] == ["anna", "root"]


def test_failures_are_deleted_after_90_days(time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    for number in range(101):
        AccessFailureLog.objects.create(username=f"name{number}", ip_address="10.0.0.1")
    time_machine.shift(timedelta(days=90))
    sign_in("anna", "wrong")
    assert SignInFailure.objects.count() == 102
    time_machine.shift(1)
    sign_in("bohdan", "wrong")
    assert [each.username for each in SignInFailure.objects.order_by("pk")] == ["name100", "anna", "bohdan"]
    sign_in("anna", "wrong")
    assert [each.username for each in SignInFailure.objects.order_by("pk")] == ["anna", "bohdan", "anna"]


def test_log_never_has_attempted_names(caplog, time_machine):
    time_machine.move_to("2031-01-01T12:00Z", tick=False)
    caplog.set_level("INFO")
    for number in range(21):
        sign_in(f"my secret {number // 6}", "wrong")
    lines = [JSONFormatter().format(record) for record in caplog.records]
    assert [line for line in lines if '"status": 429' in line]
    assert [line for line in lines if "my secret" in line] == []


# Accounts to choose from


def test_accounts_to_choose_from_are_sorted_by_name(administrator):
    names = ["petro", "anna", "olena", "bohdan"]
    for name in names:
        User.objects.create_user(name)
        Client().post("/accounts/login/", {"username": name, "password": "wrong"})
    ordered = sorted([*names, me().username])
    query = "?app_label=fintrack&model_name=token&field_name=user"
    found = administrator.get(f"/admin/autocomplete/{query}").json()["results"]
    assert [each["text"] for each in found] == ordered
    (filter_,) = [
        each
        for each in administrator.get(LIST).context["cl"].filter_specs
        if getattr(each, "lookup_kwarg", "") == "about__id__exact"
    ]
    assert [name for _, name in filter_.lookup_choices] == ordered


# Passwords that must be changed


@pytest.fixture
def newcomer(administrator) -> APIClient:
    """A client signed in as olena, an editor whose password an administrator has set."""
    administrator.post(
        "/admin/auth/user/add/", passwords(PASSWORD, username="olena", groups=[role(EDITOR).pk])
    )
    return sign_in("olena")


def test_new_account_must_change_its_password_first(newcomer):
    for address in ("/", "/admin/", "/admin/credits/credit/", "/reports/credits/", "/api/docs/"):
        assert newcomer.get(address)["Location"] == "/accounts/password/", address
    assert newcomer.post("/admin/credits/dictionary/add/", {"name": "x"})["Location"] == "/accounts/password/"
    assert "Somebody else set your password." in words(newcomer.get("/accounts/password/"))
    assert change_own(newcomer, PASSWORD, "short").status_code == 200
    same = change_own(newcomer, PASSWORD, PASSWORD)
    assert "Choose a password that differs from the current one." in words(same)
    assert newcomer.get("/").status_code == 302
    assert change_own(newcomer, PASSWORD, OWN)["Location"] == "/"
    assert [newcomer.get(address).status_code for address in ("/", "/admin/", YEAR)] == [200, 200, 200]
    assert "somebody else" not in words(newcomer.get("/accounts/password/"))
    assert sign_in("olena", OWN).get("/").status_code == 200


def test_until_then_the_api_refuses_the_session_but_accepts_tokens(newcomer):
    for method, address in (("get", YEAR), ("get", "/year_performance?year=2021"), ("post", "/plans_insert")):
        answer = getattr(newcomer, method)(address)
        assert answer.status_code == 403
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "Change your password first: somebody else has set it."
    assert newcomer.get(YEAR, headers={"authorization": "Basic eDp4"}).status_code == 403
    _, text = make_token(User.objects.get(username="olena"), timedelta(days=1), "a test")
    assert asked(text) == 200
    assert newcomer.get(YEAR, headers={"authorization": f"Token {text}"}).status_code == 200


def test_account_that_must_change_its_password_can_sign_out(newcomer):
    assert newcomer.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert newcomer.get("/")["Location"] == "/accounts/login/?next=/"


def test_password_set_by_somebody_else_ends_sessions_and_must_be_changed(administrator):
    account = builders.account(ANALYST, password=PASSWORD)
    before = sign_in(account.username)
    administrator.post(f"/admin/auth/user/{account.pk}/password/", passwords(OWN))
    assert before.get("/")["Location"] == "/accounts/login/?next=/"
    assert sign_in(account.username, OWN).get("/")["Location"] == "/accounts/password/"


def test_own_password_set_in_the_admin_need_not_be_changed(administrator):
    mine = me()
    administrator.post(f"/admin/auth/user/{mine.pk}/password/", passwords(OWN))
    assert administrator.get("/admin/").status_code == 200
    assert sign_in(mine.username, OWN).get("/admin/").status_code == 200


def test_account_without_a_password_need_not_change_it(administrator):
    administrator.post("/admin/auth/user/add/", {"username": "program", "usable_password": "false"})
    assert User.objects.filter(username="program").exists()
    assert not PasswordDue.objects.exists()


def test_password_set_by_a_command_need_not_be_changed(capfd, tmp_path):
    call_command("first_run", "--data", builders.files(tmp_path))
    assert not PasswordDue.objects.exists()
    account = builders.account(password=make_password(None))
    account.set_password(PASSWORD)
    account.save()
    assert not PasswordDue.objects.exists()
