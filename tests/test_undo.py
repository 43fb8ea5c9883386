"""Undoing an import: in one transaction, and only if its rows haven't changed since."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from credits.book.files import Faults
from credits.book.loading import load_file
from credits.book.trail import Change, Load
from credits.book.undoing import NotUndone, undo
from credits.models import Borrower, Credit, Dictionary, Payment
from credits.resources import BorrowerResource, CreditResource, DictionaryResource, PaymentResource
from fintrack.access import EDITOR
from plans.models import Plan
from plans.resources import PlanResource
from reports.models import DataStamp

from . import builders

MYSQL = "mysql" in settings.DATABASES["default"]["ENGINE"]

pytestmark = pytest.mark.django_db


def imported(resource: Any, *rows: str) -> Load:
    content = "\n".join([",".join(resource.columns()), *rows]).encode()
    load_file(resource(), BytesIO(content), "file.csv", Faults())
    return Load.objects.first()


def reasons(load: Load, resource: Any) -> list[str]:
    """Returns the reasons why the import can't be undone, and checks that nothing changed."""
    before = book()
    records = Change.objects.count(), Load.objects.count(), DataStamp.objects.get().value
    with pytest.raises(NotUndone) as error:
        undo(load, resource)
    assert book() == before
    assert (Change.objects.count(), Load.objects.count(), DataStamp.objects.get().value) == records
    return error.value.reasons


def book() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Borrower, Credit, Payment, Plan)]


def words(response: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


@pytest.fixture
def credit() -> Credit:
    """Credit 7 of borrower 1, with payment 10: 511 of body on 5 June."""
    borrower = builders.borrower(pk=1, login="anna")
    credit = builders.credit("2021-06-01", 1000, pk=7, borrower=borrower)
    Payment.objects.create(pk=10, credit=credit, payment_date=date(2021, 6, 5), type_id=1, sum=511)
    return credit


def test_new_rows_are_deleted_and_changed_rows_restored_together(credit):
    before = book()
    load = imported(
        PaymentResource, "10,7,2021-06-09,2,77.77", "11,7,2021-06-09,1,5", "12,7,2021-06-10,1,6.5"
    )
    stamp = DataStamp.objects.get().value
    last = Change.objects.first().pk
    record = undo(load, PaymentResource)
    assert book() == before
    assert DataStamp.objects.get().value != stamp
    assert (record.outcome, record.undoes, record.file, record.digest) == (
        "undoing",
        load,
        "file.csv",
        load.digest,
    )
    assert (record.new, record.changed, record.unchanged, record.removed) == (0, 1, 0, 2)
    assert load.undone_by == record
    changes = Change.objects.filter(pk__gt=last).order_by("pk")
    assert {change.load for change in changes} == {record}
    assert [(change.object_id, change.action, change.fields.get("sum")) for change in changes] == [
        (11, "deleted", ["5.00", None]),
        (12, "deleted", ["6.50", None]),
        (10, "changed", ["77.77", "511.00"]),
    ]
    assert changes[2].fields == {
        "payment_date": ["2021-06-09", "2021-06-05"],
        "type_id": [2, 1],
        "sum": ["77.77", "511.00"],
    }


def test_undone_import_can_be_repeated_and_undone_again(credit):
    row = "11,7,2021-06-09,1,5"
    before = book()
    undo(imported(PaymentResource, row), PaymentResource)
    again = imported(PaymentResource, row)
    assert Payment.objects.count() == 2
    undo(again, PaymentResource)
    assert book() == before


def test_plans_are_restored_by_month_and_category():
    plan = builders.plan("2021-06", 3, 100)
    load = imported(PlanResource, "1,2021-06-01,250.5,3", "2,2021-06-01,80,4")
    undo(load, PlanResource)
    assert list(Plan.objects.values_list("pk", "sum")) == [(plan.pk, Decimal(100))]


def test_empty_values_are_restored(credit):
    load = imported(CreditResource, "7,1,2021-06-01,2021-06-15,2021-06-20,1000,0")
    assert Credit.objects.get().actual_return_date == date(2021, 6, 20)
    undo(load, CreditResource)
    assert Credit.objects.get().actual_return_date is None


def test_every_row_touched_since_is_a_reason_and_nothing_changes(credit):
    load = imported(
        PaymentResource,
        "10,7,2021-06-05,1,77.77",
        "11,7,2021-06-09,1,5",
        "12,7,2021-06-09,1,6",
        "13,7,2021-06-09,1,7",
    )
    payments = {payment.pk: payment for payment in Payment.objects.all()}
    payments[10].sum = 78
    payments[10].save()
    changed = Change.objects.first()
    payments[12].payment_date = date(2021, 6, 11)
    payments[12].save()
    second = Change.objects.first()
    payments[13].delete()
    deleted = Change.objects.first()
    assert reasons(load, PaymentResource) == [
        f"payment 12: changed since: {second.signature()}",
        f"payment 13: deleted since: {deleted.signature()}",
        f"payment 10: changed since: {changed.signature()}",
    ]


def test_row_changed_and_changed_back_counts_as_touched(credit):
    load = imported(PaymentResource, "11,7,2021-06-09,1,5")
    payment = Payment.objects.get(pk=11)
    for amount in (6, 5):
        payment.sum = amount
        payment.save()
    assert len(reasons(load, PaymentResource)) == 1


def test_changes_before_the_import_do_not_prevent_undoing(credit):
    payment = Payment.objects.get()
    payment.sum = 512
    payment.save()
    payment.delete()
    payment.save(force_insert=True)
    load = imported(PaymentResource, "10,7,2021-06-05,1,77.77")
    undo(load, PaymentResource)
    assert Payment.objects.get().sum == 512


@pytest.mark.around
def test_change_that_bypassed_the_trail_is_noticed(credit):
    load = imported(PaymentResource, "10,7,2021-06-05,1,77.77", "11,7,2021-06-09,1,5")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_payment SET sum = 1 WHERE id = 11")
    assert reasons(load, PaymentResource) == ["The sums of its new rows differ from the sums in the file."]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_payment SET sum = 1 WHERE id = 10")
        cursor.execute("DELETE FROM credits_payment WHERE id = 11")
    assert reasons(load, PaymentResource) == [
        "payment 11: has been deleted",
        "payment 10: has other values than the import gave it",
    ]


def test_new_row_that_others_refer_to_prevents_undoing():
    load = imported(BorrowerResource, "1,anna,2021-01-01", "2,bohdan,2021-01-01")
    credit = builders.credit(borrower=Borrower.objects.get(pk=2))
    assert reasons(load, BorrowerResource) == [
        f"borrower 2: rows that refer to it: 1, the first is credit {credit.pk}"
    ]
    builders.credit(borrower=credit.borrower)
    assert reasons(load, BorrowerResource) == [
        f"borrower 2: rows that refer to it: 2, the first is credit {credit.pk}"
    ]
    Credit.objects.all().delete()
    undo(load, BorrowerResource)
    assert Borrower.objects.count() == 0


def test_page_names_later_imports_with_unchanged_rows(administrator, credit):
    first = imported(PaymentResource, "20,7,2021-06-05,1,511")
    imported(PaymentResource, "21,7,2021-06-06,1,5")
    later = imported(PaymentResource, "20,7,2021-06-05,1,511", "22,7,2021-06-06,1,5")
    response = administrator.get(f"/admin/credits/load/{first.pk}/undo/")
    assert list(response.context["later_imports"]) == [later]
    assert response.context["reasons"] == []
    assert f"({later.signature()}): unchanged rows: 1" in response.content.decode()


def test_restored_values_must_be_valid_in_the_current_book(credit):
    Payment.objects.all().delete()
    load = imported(CreditResource, "7,1,2021-05-01,2021-06-15,,1000,0")
    builders.payment(credit, "2021-05-20", 1)
    assert reasons(load, CreditResource) == [
        "credit 7: issuance_date would be 2021-06-01 again; "
        "expected the day of the first payment, 2021-05-20, or earlier"
    ]


def test_imports_must_be_undone_in_reverse_order(credit):
    before = book()
    first = imported(PaymentResource, "10,7,2021-06-05,1,100", "11,7,2021-06-09,1,5")
    second = imported(PaymentResource, "10,7,2021-06-05,1,200", "11,7,2021-06-09,1,6")
    assert len(reasons(first, PaymentResource)) == 2
    undo(second, PaymentResource)
    undo(first, PaymentResource)
    assert book() == before


def test_import_can_be_undone_once_and_an_undoing_never(credit):
    load = imported(PaymentResource, "11,7,2021-06-09,1,5")
    record = undo(load, PaymentResource)
    assert reasons(load, PaymentResource) == [f"It has been undone already: {record.signature()}."]
    assert reasons(record, PaymentResource) == ["Only an import that was stored can be undone."]


def test_import_that_changed_nothing_or_was_refused_has_nothing_to_undo(credit):
    same = imported(PaymentResource, "10,7,2021-06-05,1,511")
    assert reasons(same, PaymentResource) == ["It changed nothing."]
    refused = Load.objects.create(table="credits.payment", outcome=Load.REFUSED, faults=1)
    assert reasons(refused, PaymentResource) == ["Only an import that was stored can be undone."]


def test_loads_of_load_data_can_be_undone_unless_they_replaced(tmp_path):
    call_command("load_data", builders.files(tmp_path), verbosity=0)
    loads = {load.table: load for load in Load.objects.all()}
    assert reasons(loads["credits.borrower"], BorrowerResource) == [
        "borrower 1: rows that refer to it: 1, the first is credit 1",
        "borrower 2: rows that refer to it: 1, the first is credit 2",
    ]
    undo(loads["credits.payment"], PaymentResource)
    undo(loads["credits.credit"], CreditResource)
    undo(loads["credits.borrower"], BorrowerResource)
    assert book()[:3] == [[], [], []]
    call_command("load_data", tmp_path, verbosity=0)
    first = Load.objects.get(table="credits.payment", outcome=Load.STORED, undone_by=None)
    call_command("load_data", tmp_path, replace=True, verbosity=0)
    second = Load.objects.filter(table="credits.payment").first()
    assert reasons(first, PaymentResource) == [f"The table was emptied since: {second.signature()}."]
    assert reasons(second, PaymentResource) == ["It emptied the table first: 3 rows are gone for good."]


def test_dictionary_is_restored_unless_the_name_is_taken():
    load = imported(DictionaryResource, "1,body", "5,other")
    Dictionary.objects.create(pk=6, name="Тіло")
    assert reasons(load, DictionaryResource) == [
        "dictionary: name would be тіло again; expected a name that no other row has, in any case",
        "dictionary: name would be Тіло again; expected a name that no other row has, in any case",
    ]
    Dictionary.objects.get(pk=6).delete()
    undo(load, DictionaryResource)
    assert dict(Dictionary.objects.values_list("pk", "name")) == builders.NAMES


# In the admin


def test_page_of_an_import_links_to_its_rows_changes_and_undo(administrator, credit):
    load = imported(PaymentResource, "10,7,2021-06-09,1,77.77", "11,7,2021-06-09,1,5", "12,7,2021-06-09,1,6")
    page = administrator.get(f"/admin/credits/load/{load.pk}/change/").content.decode()
    links = re.findall(r'<li><a href="([^"]*)">([^<]*)</a></li>', page.split('class="object-tools"')[1])[:3]
    assert [(unescape(address), text) for address, text in links] == [
        ("/admin/credits/payment/?id__gte=11&id__lte=12", "New rows"),
        (f"/admin/credits/change/?load__exact={load.pk}", "Changes"),
        (f"/admin/credits/load/{load.pk}/undo/", "Undo this import"),
    ]
    listed = administrator.get(unescape(links[0][0])).context["cl"].result_list
    assert sorted(row.pk for row in listed) == [11, 12]
    listed = administrator.get(links[1][0]).context["cl"].result_list
    assert [change.object_id for change in listed] == [10]


def test_new_rows_mixed_with_others_have_no_link(administrator, credit):
    load = imported(PaymentResource, "9,7,2021-06-09,1,5", "11,7,2021-06-09,1,6")
    page = administrator.get(f"/admin/credits/load/{load.pk}/change/").content.decode()
    assert ("New rows" in page, "Undo this import" in page) == (False, True)


def test_import_is_undone_after_a_confirmation_page(administrator, credit):
    load = imported(PaymentResource, "10,7,2021-06-09,1,77.77", "11,7,2021-06-09,1,5", "12,7,2021-06-09,1,6")
    address = f"/admin/credits/load/{load.pk}/undo/"
    page = words(administrator.get(address))
    assert "delete 2 new rows" in page
    assert "restore 1 changed row to its old values" in page
    assert Payment.objects.count() == 3
    page = words(administrator.post(address, follow=True))
    assert "Undone. Rows deleted: 2, restored: 1." in page
    assert list(Payment.objects.values_list("pk", "sum")) == [(10, 511)]
    record = Load.objects.get(undoes=load)
    assert record.account.username.startswith("administrator")
    page = words(administrator.get(f"/admin/credits/load/{load.pk}/change/"))
    assert f"undone: {record.signature()}" in page
    assert "Undo this import" not in page
    assert f"undone: {record.signature()}" in words(administrator.get("/admin/credits/load/"))
    history = words(administrator.get("/admin/credits/payment/10/history/"))
    assert "Undoing of file.csv" in history
    assert "deleted: 2, restored: 1" in words(administrator.get("/admin/"))


def test_page_gives_the_reasons_why_an_import_cannot_be_undone(administrator, credit, monkeypatch):
    monkeypatch.setattr("credits.admin.SHOWN", 2)
    load = imported(PaymentResource, *(f"{pk},7,2021-06-09,1,5" for pk in (11, 12, 13)))
    Payment.objects.filter(pk__gte=11).update(sum=6)
    by = Change.objects.first().signature()
    for answer in (administrator.get, administrator.post):
        page = words(answer(f"/admin/credits/load/{load.pk}/undo/"))
        assert (
            "The import can't be undone, for 3 reasons: These are the first 2. "
            f"payment 11: changed since: {by} payment 12: changed since: {by} Nothing was changed."
        ) in page
        assert "Undo this import" not in page
    assert set(Payment.objects.filter(pk__gte=11).values_list("sum", flat=True)) == {6}


def test_editor_can_undo_only_what_they_may_do_by_hand(editor, credit):
    changing = imported(PaymentResource, "10,7,2021-06-09,1,77.77")
    adding = imported(PaymentResource, "11,7,2021-06-09,1,5")
    plans = imported(PlanResource, "1,2021-06-01,250.5,3")
    page = words(editor.get(f"/admin/credits/load/{adding.pk}/change/"))
    assert "It added rows: only accounts that may delete rows of this table can undo it." in page
    assert "Undo this import" not in page
    assert "Undo this import" in words(editor.get(f"/admin/credits/load/{changing.pk}/change/"))
    codes = [
        editor.post(f"/admin/credits/load/{load.pk}/undo/").status_code for load in (adding, changing, plans)
    ]
    assert codes == [403, 302, 302]
    assert set(Payment.objects.values_list("pk", "sum")) == {(10, 511), (11, 5)}
    assert Plan.objects.count() == 0


def test_undoing_needs_a_csrf_token(credit):
    load = imported(PaymentResource, "10,7,2021-06-09,1,77.77")
    client = Client(enforce_csrf_checks=True)
    client.force_login(builders.account(EDITOR))
    address = f"/admin/credits/load/{load.pk}/undo/"
    assert client.post(address).status_code == 403
    token = re.search('name="csrfmiddlewaretoken" value="(.*?)"', client.get(address).content.decode())[1]
    assert client.post(address, {"csrfmiddlewaretoken": token}).status_code == 302


# Simultaneous requests, and many rows


def test_rows_are_undone_in_batches(credit, django_assert_max_num_queries):
    pks = range(11, 2_511)
    adding = imported(PaymentResource, *(f"{pk},7,2021-06-09,1,5" for pk in pks))
    changing = imported(PaymentResource, *(f"{pk},7,2021-06-10,1,5" for pk in pks))
    for load in (changing, adding):
        with django_assert_max_num_queries(150):
            undo(load, PaymentResource)
    assert Payment.objects.count() == 1


@pytest.mark.slow
@pytest.mark.skipif(not MYSQL, reason="SQLite has one writer at a time")
def test_import_undone_twice_simultaneously_is_undone_once(committed):
    credit = builders.credit("2021-06-01", 1000, pk=7)
    load = imported(PaymentResource, *(f"{pk},7,2021-06-09,1,5" for pk in range(1, 2_001)))
    ready = threading.Barrier(2)

    def attempt() -> Any:
        try:
            ready.wait(20)
            return undo(load, PaymentResource)
        except NotUndone as error:
            return error.reasons
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = [future.result(60) for future in [pool.submit(attempt), pool.submit(attempt)]]
    (record,) = Load.objects.filter(outcome=Load.UNDOING)
    assert sorted(map(str, results)) == sorted(
        [str(record), str([f"It has been undone already: {record.signature()}."])]
    )
    assert Payment.objects.filter(credit=credit).count() == 0


@pytest.mark.slow
@pytest.mark.skipif(not MYSQL, reason="SQLite has one writer at a time")
def test_row_that_refers_to_a_deleted_row_waits_and_is_refused(committed):
    """A credit is added for a new borrower after the undoing has checked it and before it is deleted."""
    load = imported(BorrowerResource, "1,anna,2021-01-01")
    found = []

    def lend() -> None:
        try:
            builders.credit(borrower=Borrower(pk=1))
        except Exception as error:
            found.append(type(error).__name__)
        finally:
            connection.close()

    thread = threading.Thread(target=lend)

    def at_delete(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("DELETE FROM `credits_borrower`"):
            thread.start()
            thread.join(0.5)
            assert thread.is_alive()
        return execute(sql, *args)

    with connection.execute_wrapper(at_delete):
        undo(load, BorrowerResource)
    thread.join(20)
    assert found == ["IntegrityError"]
    assert (Borrower.objects.count(), Credit.objects.count()) == (0, 0)
