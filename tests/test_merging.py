"""Forms that two people edit at the same time, or one sends twice: no change is lost silently."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from rest_framework.test import APIClient

from credits.book.trail import Change
from credits.models import Borrower, Credit, Payment
from fintrack.access import ADMINISTRATOR, EDITOR
from plans.models import Plan
from reports.models import DataStamp

from . import builders
from .sent_forms import sent_back

pytestmark = pytest.mark.django_db

NOON = "2026-03-02 12:00"


@pytest.fixture
def anna(time_machine) -> APIClient:
    """The client of a colleague, at noon in Kyiv."""
    time_machine.move_to(f"{NOON}+02:00", tick=False)
    client = APIClient()
    client.force_login(builders.account(ADMINISTRATOR, first_name="Anna"))
    User.objects.filter(first_name="Anna").update(username="anna")
    return client


@pytest.fixture
def credit() -> Credit:
    """A credit of 1,000 with interest of 50 and payments of 511 and 9."""
    credit = builders.credit("2021-06-01", 1000, percent=50)
    builders.payment(credit, "2021-06-05", 511)
    builders.payment(credit, "2021-06-06", 9)
    return credit


def change_page(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def opened(client: APIClient, address: str) -> dict[str, Any]:
    """Opens the page, and returns what its form would send without changes."""
    return sent_back(client.get(address).content.decode())


def change(client: APIClient, row: Any, **values: Any) -> None:
    """Opens the page of the row, changes it and saves."""
    response = client.post(change_page(row), opened(client, change_page(row)) | values)
    assert response.status_code == 302, response.context["errors"]


def errors(response: Any) -> list[str]:
    assert response.status_code == 200
    lists = "".join(map(str, response.context["errors"]))
    return [unescape(text) for text in re.findall("<li>(.*?)</li>", lists)]


def told(response: Any) -> list[str]:
    """Returns the messages that a redirect adds."""
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)._queued_messages]


def sums(credit: Credit) -> list[Decimal]:
    return list(credit.payments.order_by("pk").values_list("sum", flat=True))


# Changes by others


def test_changes_by_others_are_kept_and_reported(editor, anna, credit):
    payment = credit.payments.first()
    form = opened(editor, change_page(credit))
    change(anna, payment, sum="77.77")
    response = editor.post(change_page(credit), form | {"percent": "60"})
    assert told(response)[0] == (
        f"payment {payment.pk}: “Sum” was changed from 511.00 to 77.77 meanwhile by anna ({NOON})."
    )
    credit.refresh_from_db()
    assert (credit.percent, sums(credit)) == (60, [Decimal("77.77"), 9])
    mine = Change.objects.exclude(account__username="anna").filter(account__isnull=False)
    assert [(each.table, each.fields) for each in mine] == [
        ("credits.credit", {"percent": ["50.00", "60.00"]})
    ]


def test_a_field_changed_by_both_is_an_error_with_who_when_and_what(editor, anna, credit):
    form = opened(editor, change_page(credit))
    change(anna, credit, percent="55", body="1200")
    response = editor.post(change_page(credit), form | {"percent": "60", "return_date": "2021-07-01"})
    assert errors(response) == [
        f"“Interest” was changed from 50.00 to 55.00 meanwhile by anna ({NOON}). Load the page again."
    ]
    credit.refresh_from_db()
    assert (credit.percent, credit.body, credit.return_date) == (55, 1200, date(2021, 6, 15))
    again = sent_back(response.content.decode())
    assert (again["percent"], again["body"], again["return_date"]) == ("60", "1200.00", "2021-07-01")
    assert errors(editor.post(change_page(credit), again)) == errors(response)  # the page wasn't loaded again


def test_a_payment_changed_by_both_is_an_error_in_its_row(editor, anna, credit):
    form = opened(editor, change_page(credit))
    change(anna, credit.payments.last(), type="2")
    response = editor.post(change_page(credit), form | {"payments-1-type": "", "percent": "60"})
    assert errors(response) == [
        "This field is required.",
        f"“Type” was changed from body to interest meanwhile by anna ({NOON}). Load the page again.",
    ]
    credit.refresh_from_db()
    assert credit.percent == 50


def test_a_borrower_changed_by_both_is_an_error(editor, anna, credit):
    before, theirs, mine = credit.borrower, builders.borrower(login="theirs"), builders.borrower(login="mine")
    form = opened(editor, change_page(credit))
    change(anna, credit, borrower=theirs.pk)
    response = editor.post(change_page(credit), form | {"borrower": mine.pk})
    assert errors(response) == [
        f"“Borrower” was changed from {before.login} to theirs meanwhile by anna ({NOON}). "
        "Load the page again."
    ]


def test_both_may_change_a_field_to_the_same_value(editor, anna, credit):
    form = opened(editor, change_page(credit))
    change(anna, credit, percent="60.00", actual_return_date="2021-06-10")
    response = editor.post(
        change_page(credit), form | {"percent": "60", "actual_return_date": "2021-06-10", "body": "900"}
    )
    assert response.status_code == 302
    credit.refresh_from_db()
    assert (credit.percent, credit.actual_return_date, credit.body) == (60, date(2021, 6, 10), 900)


def test_merged_changes_must_be_valid_together(editor, anna, credit):
    form = opened(editor, change_page(credit))
    change(anna, credit, issuance_date="2021-05-20", return_date="2021-05-25")
    response = editor.post(change_page(credit), form | {"actual_return_date": "2021-05-19"})
    assert errors(response) == ["Expected the day of issuance, 2021-05-20, or later."]
    assert sent_back(response.content.decode())["issuance_date"] == "2021-05-20"


def test_a_change_without_an_account_names_its_command(editor, credit):
    form = opened(editor, change_page(credit))
    Credit.objects.update(percent=55)
    ((error,), via) = (
        errors(editor.post(change_page(credit), form | {"percent": "60"})),
        Change.objects.first().via,
    )
    assert f" meanwhile by {via} (20" in error


@pytest.mark.parametrize("amount", ["511", "511,00", "0511.0"])
def test_a_value_in_another_format_is_not_a_change(editor, anna, credit, amount):
    form = opened(editor, change_page(credit))
    change(anna, credit.payments.first(), sum="77.77", payment_date="2021-06-07")
    form |= {"payments-0-sum": amount, "payments-0-payment_date": "05.06.2021"}
    assert editor.post(change_page(credit), form).status_code == 302
    assert sums(credit) == [Decimal("77.77"), 9]
    assert credit.payments.first().payment_date == date(2021, 6, 7)


def test_a_form_without_hidden_values_is_compared_with_current_values(editor, anna, credit):
    form = opened(editor, change_page(credit))
    change(anna, credit, percent="55", body="1200")
    bare = {name: value for name, value in form.items() if not name.startswith("initial-")}
    assert editor.post(change_page(credit), bare | {"percent": "60"}).status_code == 302
    credit.refresh_from_db()
    assert (credit.percent, credit.body) == (60, 1000)


def test_an_unchanged_form_stores_nothing(editor, credit):
    before = (DataStamp.current(), Change.objects.count())
    assert editor.post(change_page(credit), opened(editor, change_page(credit))).status_code == 302
    assert (DataStamp.current(), Change.objects.count()) == before


# Deleted and new rows


def test_a_payment_deleted_meanwhile_is_an_error_that_names_who(editor, anna, credit):
    payment = credit.payments.first()
    form = opened(editor, change_page(credit))
    anna.post(change_page(payment).replace("change", "delete"), {"post": "yes"})
    response = editor.post(change_page(credit), form | {"percent": "60"})
    assert errors(response) == [
        f"Deleted meanwhile by anna ({NOON}): payment {payment.pk}. Load the page again."
    ]
    again = sent_back(response.content.decode())
    assert (again["payments-0-sum"], again["payments-1-sum"]) == ("511.00", "9.00")
    credit.refresh_from_db()
    assert credit.percent == 50


def test_a_payment_moved_to_another_credit_meanwhile_is_an_error(editor, anna, credit):
    payment, other = credit.payments.first(), builders.credit("2021-06-01")
    form = opened(editor, change_page(credit))
    change(anna, payment, credit=other.pk)
    response = editor.post(change_page(credit), form | {"payments-0-sum": "5"})
    assert errors(response) == [
        f"Moved elsewhere meanwhile by anna ({NOON}): payment {payment.pk}. Load the page again."
    ]
    assert (sums(credit), sums(other)) == ([9], [511])


def test_a_payment_moved_meanwhile_is_not_reported_as_deleted(anna, administrator, credit):
    payment, other = credit.payments.first(), builders.credit("2021-06-01")
    form = opened(administrator, change_page(credit))
    change(anna, payment, credit=other.pk)
    response = administrator.post(change_page(credit), form | {"payments-0-DELETE": "on"})
    assert errors(response) == [
        f"Moved elsewhere meanwhile by anna ({NOON}): payment {payment.pk}. Load the page again."
    ]
    assert (sums(credit), sums(other)) == ([9], [511])


def test_both_may_delete_a_payment(anna, administrator, credit):
    payment = credit.payments.first()
    form = opened(administrator, change_page(credit))
    anna.post(change_page(payment).replace("change", "delete"), {"post": "yes"})
    response = administrator.post(change_page(credit), form | {"payments-0-DELETE": "on", "percent": "60"})
    assert response.status_code == 302
    credit.refresh_from_db()
    assert (credit.percent, sums(credit)) == (60, [9])


def test_a_payment_changed_meanwhile_is_not_deleted(anna, administrator, credit):
    form = opened(administrator, change_page(credit))
    change(anna, credit.payments.first(), sum="77.77")
    response = administrator.post(change_page(credit), form | {"payments-0-DELETE": "on"})
    assert errors(response) == [
        f"“Sum” was changed from 511.00 to 77.77 meanwhile by anna ({NOON}). "
        "Load the page again before you delete."
    ]
    assert sums(credit) == [Decimal("77.77"), 9]


def test_payments_added_meanwhile_do_not_shift_rows(editor, anna, credit, monkeypatch):
    monkeypatch.setattr("credits.admin.PaymentInline.most", 2)
    form = opened(editor, change_page(credit))
    for amount in (1, 2, 3):
        new = {"credit": credit.pk, "payment_date": "2021-06-09", "type": 1, "sum": amount}
        assert anna.post("/admin/credits/payment/add/", new).status_code == 302
    new = {"payments-2-payment_date": "2021-06-10", "payments-2-type": 1, "payments-2-sum": "4"}
    wrong = editor.post(change_page(credit), form | new | {"payments-1-sum": "-1"})
    assert errors(wrong) == ["Expected an amount of 0.01 or more, at most 12 digits and 2 decimals."]
    again = sent_back(wrong.content.decode())
    assert [again[f"payments-{place}-sum"] for place in (0, 1, 2)] == ["511.00", "-1", "4"]
    assert editor.post(change_page(credit), again | {"payments-1-sum": "10"}).status_code == 302
    assert sums(credit) == [511, 10, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "ids", [["", "x"], ["9" * 30, "-1"], ["1111111", "0"]], ids=["no numbers", "no ids", "no rows"]
)
def test_unknown_rows_are_refused(editor, credit, ids):
    form = opened(editor, change_page(credit))
    sent = form | {f"payments-{place}-id": text for place, text in enumerate(ids)}
    assert errors(editor.post(change_page(credit), sent))
    assert sums(credit) == [511, 9]


def test_saving_a_row_deleted_meanwhile_redirects_with_a_message(editor, anna):
    borrower = builders.borrower()
    form = opened(editor, change_page(borrower))
    anna.post(change_page(borrower).replace("change", "delete"), {"post": "yes"})
    response = editor.post(change_page(borrower), form | {"login": "other"})
    assert told(response) == [f"borrower with ID “{borrower.pk}” doesn’t exist. Perhaps it was deleted?"]


def test_a_row_changed_before_its_deletion_is_confirmed_is_kept(anna, administrator, credit):
    payment = credit.payments.first()
    address = change_page(payment).replace("change", "delete")
    form = opened(administrator, address)
    change(anna, payment, sum="77.77")
    refused = administrator.post(address, form)
    assert (refused.url, told(refused)) == (
        address,
        [f"Changed meanwhile by anna ({NOON}): sum 511.00 → 77.77. Check the row before you delete it."],
    )
    assert administrator.post(address, opened(administrator, address)).status_code == 302
    assert sums(credit) == [9]


# Accounts


def test_an_account_keeps_a_role_given_meanwhile(anna, administrator):
    account = builders.account()
    form = opened(administrator, change_page(account))
    assert "groups" not in form
    assert "password" not in str(form)  # nor its hash
    change(anna, account, groups=[Group.objects.get(name=EDITOR).pk], first_name="B.")
    assert administrator.post(change_page(account), form | {"last_name": "Bondar"}).status_code == 302
    account.refresh_from_db()
    assert (account.last_name, account.groups.get().name) == ("Bondar", EDITOR)
    refused = errors(administrator.post(change_page(account), form | {"first_name": "Borys"}))
    assert [text.split(" meanwhile ")[0] for text in refused] == ["“First name” was changed from empty to B."]


def test_an_account_deactivated_meanwhile_stays_deactivated(anna, administrator):
    account = builders.account(EDITOR)
    form = opened(administrator, change_page(account))
    theirs = opened(anna, change_page(account))
    del theirs["is_active"]
    assert anna.post(change_page(account), theirs).status_code == 302
    assert administrator.post(change_page(account), form | {"last_name": "Bondar"}).status_code == 302
    account.refresh_from_db()
    assert (account.last_name, account.is_active) == ("Bondar", False)


# The year of plans

YEAR = "/admin/plans/plan/year/2021/"


def year_errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: list(texts) for name, texts in response.context["form"].errors.items()}


def test_plans_changed_meanwhile_are_errors_at_their_cells(editor, anna):
    for month in ("2021-01", "2021-02", "2021-03"):
        builders.plan(month, 3, 100)
    form = opened(editor, YEAR)
    assert anna.post(YEAR, form | {"3-1": "110", "3-2": "", "3-3": "130", "4-1": "140"}).status_code == 302
    response = editor.post(YEAR, form | {"3-1": "1", "3-2": "2", "4-1": "4", "4-2": "5"})
    said = f"“%s 2021-0%s” was changed from %s to %s meanwhile by anna ({NOON}). Load the page again."
    assert year_errors(response) == {
        "3-1": [said % ("issuance", 1, "100.00", "110.00")],
        "3-2": [said % ("issuance", 2, "100.00", "empty")],
        "4-1": [said % ("collection", 1, "empty", "140.00")],
    }
    stored = Plan.objects.in_order().values_list("period__month", "category", "sum")
    assert list(stored) == [(1, 3, 110), (1, 4, 140), (3, 3, 130)]
    assert sent_back(response.content.decode())["3-3"] == "130.00"


def test_year_form_keeps_and_reports_changes_by_others(editor, anna):
    builders.plan("2021-01", 3, 100)
    form = opened(editor, YEAR)
    anna.post(YEAR, form | {"3-1": "110"})
    assert told(editor.post(YEAR, form | {"3-2": "20"})) == [
        f"“issuance 2021-01” was changed from 100.00 to 110.00 meanwhile by anna ({NOON}).",
        "Plans of 2021. Added: 1, changed: 0, deleted: 0.",
    ]
    assert list(Plan.objects.in_order().values_list("sum", flat=True)) == [110, 20]


# Forms sent twice

TWICE = "This form was sent twice; it was stored once."


def new_payment(client: APIClient, credit: Credit) -> dict[str, Any]:
    form = opened(client, "/admin/credits/payment/add/")
    return form | {"credit": credit.pk, "payment_date": "2021-06-09", "type": 1, "sum": 5}


@pytest.mark.parametrize(
    ("button", "leads_to"),
    [
        ("_save", "/admin/credits/payment/"),
        ("_addanother", "/admin/credits/payment/add/"),
        ("_continue", "/admin/credits/payment/{}/change/"),
    ],
)
def test_a_form_sent_twice_is_stored_once_and_redirects_alike(editor, credit, button, leads_to):
    form = new_payment(editor, credit) | {button: "Save"}
    first, second = (editor.post("/admin/credits/payment/add/", form) for _ in range(2))
    assert sums(credit) == [511, 9, 5]
    assert first.url == second.url == leads_to.format(Payment.objects.last().pk)
    assert TWICE not in told(first)
    assert TWICE in told(second)


def test_a_pop_up_sent_twice_gets_the_same_response(editor):
    form = opened(editor, "/admin/credits/borrower/add/?_popup=1")
    form |= {"login": "bohdan", "registration_date": "2021-01-01"}
    first, second = (editor.post("/admin/credits/borrower/add/", form) for _ in range(2))
    assert f"&quot;value&quot;: &quot;{Borrower.objects.get().pk}&quot;" in first.rendered_content
    assert second.rendered_content == first.rendered_content


def test_new_inline_rows_sent_twice_are_stored_once(editor, credit):
    form = opened(editor, change_page(credit))
    form |= {"payments-2-payment_date": "2021-06-10", "payments-2-type": 1, "payments-2-sum": "4"}
    for _ in range(2):
        assert editor.post(change_page(credit), form).url == "/admin/credits/credit/"
    assert sums(credit) == [511, 9, 4]


def test_a_form_with_errors_can_be_corrected_and_sent_again(editor, credit):
    address = "/admin/credits/payment/add/"
    wrong = editor.post(address, new_payment(editor, credit) | {"sum": "-5"})
    assert errors(wrong) == ["Expected an amount of 0.01 or more, at most 12 digits and 2 decimals."]
    assert TWICE not in told(editor.post(address, sent_back(wrong.content.decode()) | {"sum": "5"}))
    assert sums(credit) == [511, 9, 5]


def test_another_form_or_other_values_are_stored(editor, credit):
    address, form = "/admin/credits/payment/add/", new_payment(editor, credit)
    for each in (form, form | {"sum": 6}, new_payment(editor, credit)):
        assert TWICE not in told(editor.post(address, each))
    assert sums(credit) == [511, 9, 5, 6, 5]


def test_a_row_deleted_since_is_not_stored_again(editor, anna, credit):
    form = new_payment(editor, credit)
    editor.post("/admin/credits/payment/add/", form)
    Payment.objects.last().delete()
    again = editor.post("/admin/credits/payment/add/", form)
    assert (again.url, told(again)) == ("/admin/credits/payment/", [TWICE])
    assert sums(credit) == [511, 9]


def test_a_year_form_sent_twice_is_stored_once(editor):
    form = opened(editor, YEAR) | {"3-1": "1"}
    text = "Plans of 2021. Added: 1, changed: 0, deleted: 0."
    assert told(editor.post(YEAR, form)) == [text]
    assert told(editor.post(YEAR, form)) == [TWICE, text]
    assert Change.objects.filter(table="plans.plan").count() == 1
