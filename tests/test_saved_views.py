"""Saved views: saving a page, who sees it, and who may delete it."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from fintrack.access import ANALYST
from reports.models import SavedView

from . import builders

pytestmark = pytest.mark.django_db

SAVED = "/reports/saved/"
AGEING = "/reports/ageing/"


def save(client, name="Mine", address=AGEING, **fields):
    return client.post(SAVED, {"name": name, "address": address, **fields})


def shown(client) -> list[list[str]]:
    """Returns the name, page, owner and readers of each view on the page."""
    html = client.get(SAVED).content.decode()
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("<tbody>")[2], re.DOTALL)
    return [re.findall(r">([^<>]+)(?:</a>)?</t[hd]>", row) for row in rows]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("/", "/"),
        ("/reports/month/?month=month-1", "/reports/month/?month=month-1"),
        ("/reports/borrowers/10/", "/reports/borrowers/10/"),
        (
            "/reports/credits/?state=in_term&state=overdue&cursor=abc&format=csv",
            "/reports/credits/?state=in_term&state=overdue",
        ),
        ("/reports/credits/?cursor=abc", "/reports/credits/"),
    ],
)
def test_a_view_keeps_the_address_with_its_periods_but_no_cursor_and_format(analyst, address, kept):
    assert save(analyst, address=address)["Location"] == SAVED
    assert SavedView.objects.get().address == kept
    assert f'<a href="{kept.replace("&", "&amp;")}">Mine</a>' in analyst.get(SAVED).content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://example.com/reports/ageing/",
        "//example.com/reports/ageing/",
        "javascript:alert(1)",
        "reports/ageing/",
        "/reports/nothing/",
        "/reports/saved/",
        "/accounts/logout/",
        "/year_performance?year=2021",
        f"/reports/ageing/?{'x' * 2000}",
    ],
)
def test_only_addresses_of_reports_and_lists_are_saved(analyst, address):
    assert "errorlist" in save(analyst, address=address).content.decode()
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("  Open   credits\n", "Open credits"),
        ("Прострочення \u2116 1", "Прострочення \u2116 1"),
        ("x" * 100, "x" * 100),
        ("x" * 101, None),
        (" ", None),
        ("bell\x07", None),
        ("turned\u202e", None),
    ],
)
def test_a_name_is_a_line_of_at_most_100_characters(analyst, name, stored):
    save(analyst, name)
    assert [view.name for view in SavedView.objects.all()] == ([stored] if stored else [])


def test_a_second_view_with_the_name_is_refused_and_may_be_renamed(analyst):
    save(analyst)
    html = save(analyst, address="/reports/vintages/", shared="on").content.decode()
    assert "You have a view with this name." in html
    assert '<input type="hidden" name="address" value="/reports/vintages/"' in html
    assert SavedView.objects.get().address == AGEING
    save(analyst, "Other", "/reports/vintages/")
    assert SavedView.objects.count() == 2


def test_accounts_may_use_the_same_name(analyst, editor):
    save(analyst)
    save(editor)
    assert SavedView.objects.filter(name="Mine").count() == 2


def test_others_see_shared_views_only(analyst, editor):
    save(analyst, "Private")
    save(analyst, "Shared", "/reports/credits/?state=open", shared="on")
    owner = User.objects.get(groups__name=ANALYST).username
    everybody = ["Shared", "Credits", owner, "everybody"]
    assert shown(analyst) == [["Private", "Ageing", owner, "only you"], everybody]
    assert shown(editor) == [everybody]


def test_shared_views_of_a_deactivated_account_stay(analyst, editor):
    save(analyst, shared="on")
    User.objects.filter(groups__name=ANALYST).update(is_active=False)
    assert [row[0] for row in shown(editor)] == ["Mine"]


@pytest.mark.parametrize(
    ("who", "shared", "status"),
    [
        ("analyst", False, 302),
        ("analyst", True, 302),
        ("editor", False, 404),
        ("editor", True, 404),
        ("administrator", False, 404),
        ("administrator", True, 302),
    ],
)
def test_owners_delete_their_views_and_administrators_shared_ones(request, analyst, who, shared, status):
    save(analyst, **{"shared": "on"} if shared else {})
    client = request.getfixturevalue(who)
    delete = f"{SAVED}{SavedView.objects.get().pk}/delete/"
    assert (delete in client.get(SAVED).content.decode()) == (status == 302)
    assert client.post(delete).status_code == status
    assert SavedView.objects.exists() == (status == 404)


def test_saving_and_deleting_need_the_token_of_the_form():
    client = Client(enforce_csrf_checks=True)
    client.force_login(builders.account(ANALYST))
    assert save(client).status_code == 403
    view = SavedView.objects.create(account=User.objects.get(), name="Mine", address=AGEING)
    assert client.post(f"{SAVED}{view.pk}/delete/").status_code == 403
    assert SavedView.objects.exists()


@pytest.mark.parametrize(
    "address",
    ["/", AGEING, "/reports/month/?month=month-1", "/reports/payments/?kind=1"],
)
def test_each_page_with_an_answer_has_a_form_that_saves_it(analyst, address):
    html = analyst.get(address).text
    assert f'<form method="post" action="{SAVED}">' in html
    assert f'<input type="hidden" name="address" value="{address}">' in html


@pytest.mark.parametrize("address", [f"{AGEING}?month=2021-06", "/reports/payments/?kind=9"])
def test_a_page_with_wrong_parameters_has_none(analyst, address):
    response = analyst.get(address)
    assert response.status_code == 400
    assert SAVED not in response.text.partition("<main")[2]


def test_a_view_of_a_page_that_no_longer_exists_is_listed_without_a_link(analyst):
    account = User.objects.get(groups__name=ANALYST)
    SavedView.objects.create(account=account, name="Mine", address="/reports/removed/")
    assert shown(analyst) == [["Mine", "This page no longer exists.", account.username, "only you"]]
    assert "/reports/removed/" not in analyst.get(SAVED).text
