"""The rates in the admin, and the report of provisions after a change."""

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from rest_framework.test import APIClient

from credits.book.trail import Change
from credits.models import Rate
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR

from . import builders
from .sent_forms import sent_back

pytestmark = pytest.mark.django_db

LIST = "/admin/credits/rate/"


def page_of(name: str) -> str:
    return f"{LIST}{Rate.objects.get(name=name).pk}/change/"


def form_of(client: APIClient, name: str) -> dict[str, Any]:
    return sent_back(client.get(page_of(name)).content.decode())


def save(client: APIClient, name: str, percent: str) -> Any:
    return client.post(page_of(name), form_of(client, name) | {"percent": percent})


def errors(response: Any) -> str:
    assert response.status_code == 200
    return unescape("".join(map(str, response.context["errors"])))


@pytest.mark.parametrize("query", ["", "?q=current"])
def test_the_list_has_all_rates_in_their_order(editor, query):
    shown = unescape(editor.get(LIST + query).content.decode())
    rows = re.findall(r'field-name"><a [^>]+>([^<]+)</a></th><td class="field-percent">([^<]+)<', shown)
    assert rows == [
        ("current", "0.00"),
        ("1 to 30", "0.00"),
        ("31 to 60", "0.00"),
        ("61 to 90", "35.00"),
        ("91 to 180", "60.00"),
        ("181 to 360", "80.00"),
        ("over 360", "100.00"),
        ("daily interest", "-"),
    ]


@pytest.mark.parametrize("role", [EDITOR, ADMINISTRATOR])
def test_rates_are_neither_added_nor_deleted_nor_imported_nor_exported(client_as, role):
    staff = client_as(role)
    shown = staff.get(LIST).content.decode() + staff.get(page_of("current")).content.decode()
    assert re.findall(rf'{LIST}[^"]*(?:add|delete|import|export)/', shown) == []
    assert 'type="checkbox"' not in shown


def test_a_new_percent_is_stored_and_recorded(editor):
    form = form_of(editor, "31 to 60")
    assert "name" not in form
    assert save(editor, "31 to 60", "12,5").status_code == 302
    rate = Rate.objects.get(name="31 to 60")
    assert rate.percent == Decimal("12.50")
    change = Change.objects.get(table="credits.rate", object_id=rate.pk, account__isnull=False)
    assert (change.action, change.fields) == ("changed", {"percent": ["0.00", "12.50"]})
    history = editor.get(f"{LIST}{rate.pk}/history/").content.decode()
    assert "0.00 → 12.50" in history


def test_the_name_of_a_rate_stays(editor):
    form = form_of(editor, "current")
    assert (
        editor.post(page_of("current"), form | {"name": "daily interest", "percent": "1"}).status_code == 302
    )
    assert Rate.objects.get(name="current").percent == 1


@pytest.mark.parametrize("percent", ["", "100.01", "-1", "1.005", "many"])
def test_a_rate_of_a_bucket_is_from_0_to_100(editor, percent):
    assert errors(save(editor, "over 360", percent))
    assert Rate.objects.get(name="over 360").percent == 100


def test_the_limit_of_daily_interest_may_be_empty_or_more_than_100(editor):
    for percent, stored in (("150", 150), ("", None)):
        assert save(editor, "daily interest", percent).status_code == 302
        assert Rate.objects.get(name="daily interest").percent == stored


def test_a_percent_that_two_people_change_is_an_error_for_the_second(editor, administrator):
    mine = form_of(editor, "over 360")
    assert save(administrator, "over 360", "90").status_code == 302
    refused = errors(editor.post(page_of("over 360"), mine | {"percent": "95"}))
    assert "“Percent” was changed from 100.00 to 90.00 meanwhile by " in refused
    assert Rate.objects.get(name="over 360").percent == 90


def test_the_tables_of_the_api_have_no_rates(analyst):
    assert analyst.get("/api/v1/rates").status_code == 404


def test_provisions_show_a_new_rate_at_once(committed, client_as):
    builders.credit("2021-11-17", 2000)  # due on 1 December
    analyst, editor = client_as(ANALYST), client_as(EDITOR)

    def provision() -> tuple[float, str]:
        response = analyst.get("/api/v1/provisions", {"check_date": "2022-03-31"})
        page = analyst.get("/reports/provisions/", {"check_date": "2022-03-31"})
        assert f"{response.json()[4]['provision']:.2f}" in page.content.decode().replace("\u00a0", "")
        return response.json()[4]["provision"], response["X-Cache"]

    assert [provision(), provision()] == [(1200, "miss"), (1200, "hit")]
    assert save(editor, "91 to 180", "25").status_code == 302
    assert [provision(), provision()] == [(500, "miss"), (500, "hit")]


def test_only_staff_get_a_link_to_the_rates_even_from_the_cache(committed, client_as):
    builders.credit("2022-03-01")
    address, link = "/reports/provisions/?check_date=2022-03-31", f'href="{LIST}"'
    pages = [client_as(role).get(address) for role in (EDITOR, ANALYST, ADMINISTRATOR)]
    assert [page["X-Cache"] for page in pages] == ["miss", "hit", "hit"]
    assert [link in page.content.decode() for page in pages] == [True, False, True]
    for page in pages:
        assert "The rates are the lender's own" in unescape(page.content.decode())
