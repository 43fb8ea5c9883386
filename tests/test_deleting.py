"""Bulk deletion in the admin: after a confirmation, and only if the rows are as they were shown."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from rest_framework.test import APIClient

from credits.book import deleting
from credits.book.trail import Change
from credits.models import Credit, Dictionary, Payment
from reports.models import DataStamp

from . import builders

PAYMENTS = "/admin/credits/payment/"
JUNE = f"{PAYMENTS}?payment_date__gte=2021-06-01&payment_date__lte=2021-06-30"


@pytest.fixture
def payments(db) -> list[Payment]:
    """Creates three payments in June and one in July."""
    credit = builders.credit("2021-06-01")
    days = ("2021-06-02", "2021-06-03", "2021-06-30", "2021-07-01")
    return [builders.payment(credit, day, f"{place}.50") for place, day in enumerate(days, start=1)]


def ask(client: APIClient, address: str, *rows: Any) -> Any:
    """Asks to delete these rows, or all rows of the list if none are given."""
    every = "0" if rows else "1"
    pks = [row.pk for row in rows] or [1]
    return client.post(
        address, {"action": "delete_selected", "index": 0, "select_across": every, "_selected_action": pks}
    )


def confirm(client: APIClient, asked: Any) -> Any:
    """Confirms the deletion."""
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', asked.content.decode()):
        fields.setdefault(name, []).append(value)
    return client.post(asked.wsgi_request.get_full_path(), fields)


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_all_rows_of_a_filtered_list_are_shown_then_deleted_and_recorded(administrator, payments):
    asked = ask(administrator, JUNE)
    page = asked.content.decode()
    assert "Payments: 3" in page
    assert "<span>Sum <strong>7.50</strong></span>" in page
    assert "Delete all 3 rows" in page
    assert len(re.findall('name="_selected_action"', page)) == 1
    assert Payment.objects.count() == 4
    stamp = DataStamp.objects.get().value

    done = confirm(administrator, asked)
    assert done.url == JUNE
    assert said(done) == ["Rows deleted: 3 (payments)."]
    assert list(Payment.objects.all()) == payments[3:]
    assert DataStamp.objects.get().value != stamp
    records = Change.objects.filter(table="credits.payment", action=Change.DELETED)
    assert sorted(records.values_list("object_id", "via")) == [(row.pk, PAYMENTS) for row in payments[:3]]
    assert records.last().fields["sum"] == ["1.50", None]


def test_only_selected_rows_are_deleted(administrator, payments):
    assert said(confirm(administrator, ask(administrator, PAYMENTS, payments[0], payments[3]))) == [
        "Rows deleted: 2 (payments)."
    ]
    assert list(Payment.objects.all()) == payments[1:3]


def add(payments: list[Payment]) -> None:
    builders.payment(payments[0].credit, "2021-06-15", 1)


def change(payments: list[Payment]) -> None:
    Payment.objects.filter(pk=payments[0].pk).update(sum=77)


def remove(payments: list[Payment]) -> None:
    payments[0].delete()


@pytest.mark.parametrize("meanwhile", [add, change, remove])
def test_rows_changed_since_they_were_shown_are_shown_again(
    administrator, payments, meanwhile: Callable[[list[Payment]], None]
):
    asked = ask(administrator, JUNE)
    meanwhile(payments)
    left = Payment.objects.count()
    again = confirm(administrator, asked)
    assert "Nothing was deleted: the rows or their values have changed" in again.content.decode()
    assert Payment.objects.count() == left
    assert said(confirm(administrator, again)) == [f"Rows deleted: {left - 1} (payments)."]


def test_too_many_rows_are_refused_without_a_confirmation_page(
    administrator, payments, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(deleting, "MOST", 3)
    with django_assert_max_num_queries(20):
        response = ask(administrator, PAYMENTS)
    assert said(response) == [
        "Rows found: 4 (payments). At most 3 are deleted at once. "
        "Filter the list, or select some of its rows."
    ]
    assert said(confirm(administrator, ask(administrator, JUNE))) == ["Rows deleted: 3 (payments)."]


def test_twenty_of_many_rows_are_shown(administrator, payments):
    for _number in range(30):
        builders.payment(payments[0].credit, "2021-06-04", 1)
    page = ask(administrator, JUNE).content.decode()
    assert "The first 20:" in page
    assert page.count("<tr><td>") == 20
    assert "Delete all 33 rows" in page


def test_rows_that_others_refer_to_are_kept_with_a_reason(administrator, payments):
    free = builders.credit("2021-06-01")
    page = ask(administrator, "/admin/credits/credit/", payments[0].credit, free).content.decode()
    assert "Rows that can't be deleted: 1. Rows refer to them: payments." in page
    assert f'/admin/credits/credit/{payments[0].credit_id}/change/"' in page
    assert 'name="digest"' not in page
    assert said(confirm(administrator, ask(administrator, "/admin/credits/credit/", free))) == [
        "Rows deleted: 1 (credits)."
    ]


def test_row_referred_to_since_it_was_shown_is_kept(administrator):
    one, other = builders.credit(), builders.credit()
    asked = ask(administrator, "/admin/credits/credit/", one, other)
    builders.payment(other, "2021-06-02", 1)
    page = confirm(administrator, asked).content.decode()
    assert "Nothing was deleted: other rows refer to these rows now." in page
    assert "Rows refer to them: payments" in page
    assert Credit.objects.count() == 2


def test_deleting_needs_the_permission_to_delete(editor, payments):
    assert said(ask(editor, PAYMENTS, payments[0])) == ["No action selected."]
    assert Payment.objects.count() == 4


def test_dictionary_entries_cannot_be_deleted_in_bulk(administrator):
    assert ask(administrator, "/admin/credits/dictionary/", Dictionary.objects.get(pk=1)).status_code == 302
    assert Dictionary.objects.filter(pk=1).exists()


@pytest.mark.parametrize("selected", ["abc", "9" * 25, "²"])
def test_selection_with_an_invalid_id_is_refused(administrator, selected):
    form = {"action": "delete_selected", "_selected_action": [selected]}
    assert administrator.post("/admin/credits/payment/", form).status_code == 400


@pytest.mark.parametrize("query", ["issuance_date__year=9999", "issuance_date__year=0"])
def test_invalid_list_parameters_redirect_to_the_list(administrator, query):
    response = administrator.get(f"/admin/credits/credit/?{query}")
    assert (response.status_code, response["Location"]) == (302, "/admin/credits/credit/?e=1")


def test_list_filtered_by_an_id_out_of_range_is_empty_or_redirects(administrator):
    response = administrator.get(f"/admin/credits/credit/?id__in={'9' * 25}")
    if response.status_code == 302:  # SQLite refuses such a number, MariaDB finds nothing
        assert response["Location"] == "/admin/credits/credit/?e=1"
    else:
        assert (response.status_code, response.context["cl"].result_count) == (200, 0)
