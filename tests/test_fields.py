"""Dates and amounts: one display format, the same input formats in forms and files, and warnings."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django import forms
from django.contrib import messages
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from credits.book.cells import Amount, Day
from credits.book.fields import AmountField, DayField
from credits.book.money import KOPECK, ZERO
from credits.book.trail import Change, Load
from credits.models import Credit, Dictionary, Payment
from plans.models import Plan

from . import builders
from .sent_forms import sent_back

pytestmark = pytest.mark.django_db

DAYS = ["2030-01-05", "05.01.2030", " 05.01.2030 ", "5.1.2030", "29.02.2024", "1900-01-01", "2999-12-31"]
NO_DAYS = [
    "05/01/2030",
    "01/05/2030",
    "5 Jan 2030",
    "2030-02-30",
    "05.01.30",
    "1899-12-31",
    "3000-01-01",
    "x",
]
AMOUNTS = [
    "1234.50",
    "1234,50",
    "1 234,50",
    "1\u00a0234.50",
    "1\u202f234.5",
    " 7 ",
    "0.01",
    "999999999999.99",
]
NO_AMOUNTS = ["1,234.50", "1.234,50", "12 34", "1e3", "NaN", "-1", "0", "0.001", "1000000000000", "5 грн"]


@pytest.mark.parametrize("text", [*DAYS, *NO_DAYS])
def test_forms_parse_dates_like_files(text):
    read = Day().parse(text.strip())
    if read:
        assert DayField().clean(text) == read
    else:
        with pytest.raises(forms.ValidationError) as caught:
            DayField().clean(text)
        assert caught.value.messages == [f"Expected {Day.expected}."]


@pytest.mark.parametrize("text", [*AMOUNTS, *NO_AMOUNTS])
def test_forms_parse_amounts_like_files(text):
    read = Amount(KOPECK).parse(text.strip())
    assert (read is None) == (text in NO_AMOUNTS)
    field = AmountField(least=KOPECK, max_digits=14, decimal_places=2)
    if read:
        assert field.clean(text) == read
    else:
        with pytest.raises(forms.ValidationError) as caught:
            field.clean(text)
        expected = "Expected an amount of 0.01 or more, at most 12 digits and 2 decimals."
        assert caught.value.messages == [expected]


def test_the_same_value_in_another_format_is_not_a_change():
    amount, day = AmountField(least=ZERO), DayField()
    assert not amount.has_changed(Decimal("1234.50"), "1 234,5")
    assert not day.has_changed(date(2030, 1, 5), "05.01.2030")
    assert amount.has_changed(Decimal("1234.50"), "1234,51")
    assert day.has_changed(date(2030, 1, 5), "05.02.2030")


# The admin's forms


def warned(response: Any) -> list[str]:
    """Returns the warnings that a redirect adds."""
    assert response.status_code == 302, response.context["errors"]
    added = get_messages(response.wsgi_request)._queued_messages
    return [str(message) for message in added if message.level == messages.WARNING]


def opened(client: Any, address: str) -> dict[str, Any]:
    return sent_back(client.get(address).content.decode())


def page_of(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def html(client: Any, address: str) -> str:
    """Returns the page with its no-break spaces."""
    return unescape(client.get(address).content.decode())


def test_forms_of_the_admin_accept_what_files_accept(editor):
    credit = builders.credit("2021-06-01", "1234.50")
    address = page_of(credit)
    form = opened(editor, address)
    assert (form["issuance_date"], form["body"]) == ("2021-06-01", "1234.50")
    start = Change.objects.count()
    editor.post(address, form | {"issuance_date": "01.06.2021", "body": "1 234,5"})
    assert Change.objects.count() == start
    typed = {"return_date": "05.01.2030", "body": "12 345,60", "payments-0-payment_date": "02.06.2021"}
    typed |= {"payments-0-type": 1, "payments-0-sum": "1\u00a0000,25"}
    warned(editor.post(address, opened(editor, address) | typed))
    credit.refresh_from_db()
    assert (credit.return_date, credit.body) == (date(2030, 1, 5), Decimal("12345.60"))
    payment = credit.payments.get()
    assert (payment.payment_date, payment.sum) == (date(2021, 6, 2), Decimal("1000.25"))
    warned(editor.post("/admin/plans/plan/year/2021/", {"3-1": "4 000,5"}))
    assert Plan.objects.get().sum == Decimal("4000.50")


def test_invalid_values_are_reported_with_what_was_expected(editor):
    credit = builders.credit("2021-06-01")
    fields = {"credit": credit.pk, "payment_date": "05/01/2030", "type": 1, "sum": "0"}
    response = editor.post("/admin/credits/payment/add/", fields)
    assert response.context["adminform"].form.errors == {
        "payment_date": [f"Expected {Day.expected}."],
        "sum": ["Expected an amount of 0.01 or more, at most 12 digits and 2 decimals."],
    }
    response = editor.post("/admin/plans/plan/year/2021/", {"3-1": "1,000.00"})
    assert response.context["form"].errors == {
        "3-1": ["Expected an amount of 0.00 or more, at most 12 digits and 2 decimals."]
    }
    assert not Payment.objects.exists()
    assert not Plan.objects.exists()


def test_values_shown_in_lists_are_accepted_by_forms_and_files(editor):
    credit = builders.credit("2021-06-01", 5_000_000)
    builders.payment(credit, "2021-06-15", "1234567.80")
    cells = dict(
        re.findall(r'<td class="field-(\w+)[^"]*">([^<]*)</td>', html(editor, "/admin/credits/payment/"))
    )
    shown = cells["payment_date"], cells["amount"]
    assert shown == ("2021-06-15", "1\u00a0234\u00a0567.80")
    form = opened(editor, "/admin/credits/payment/add/")
    form |= {"credit": credit.pk, "payment_date": shown[0], "type": 1, "sum": shown[1]}
    assert editor.post("/admin/credits/payment/add/", form).status_code == 302
    text = f"id;credit_id;payment_date;type_id;sum\r\n999;{credit.pk};{shown[0]};1;{shown[1]}\r\n"
    fields = {"import_file": SimpleUploadedFile("p.csv", text.encode()), "resource": "0"}
    upload = editor.post("/admin/credits/payment/import/", fields).context["upload"]
    editor.post("/admin/credits/payment/process_import/", {"upload": upload.key})
    stored = Payment.objects.values_list("payment_date", "sum")
    assert list(stored) == [(date(2021, 6, 15), Decimal("1234567.80"))] * 3


# Kinds of payments and plans


def offered(page: str, name: str) -> list[str]:
    select = re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    assert select
    return re.findall(r"<option[^>]*>([^<]*)</option>", select[0])


def test_selects_offer_only_the_two_valid_kinds(editor):
    credit = builders.credit("2021-06-01")
    of_payment, of_plan = ["---------", "body", "interest"], ["---------", "issuance", "collection"]
    assert offered(html(editor, "/admin/credits/payment/add/"), "type") == of_payment
    assert offered(html(editor, page_of(credit)), "payments-0-type") == of_payment
    assert offered(html(editor, "/admin/plans/plan/add/"), "category") == of_plan


def test_a_kind_that_is_not_offered_is_refused(editor):
    credit = builders.credit("2021-06-01")
    fields = {"credit": credit.pk, "payment_date": "2021-06-05", "type": Dictionary.ISSUANCE, "sum": "1"}
    response = editor.post("/admin/credits/payment/add/", fields)
    error = "Select a valid choice. That choice is not one of the available choices."
    assert response.context["adminform"].form.errors == {"type": [error]}


def test_selects_of_many_rows_share_one_query(editor):
    credit = builders.credit("2021-06-01")

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert editor.get(page_of(credit)).status_code == 200
        return len(queries)

    builders.payment(credit, "2021-06-05", 1)
    few = asked()
    for _ in range(10):
        builders.payment(credit, "2021-06-05", 1)
    assert asked() == few


@pytest.mark.parametrize(
    ("table", "parameter", "names"),
    [
        ("credits/payment", "type", ["body", "interest"]),
        ("plans/plan", "category", ["issuance", "collection"]),
    ],
)
def test_filters_offer_only_the_two_kinds_of_the_rows(editor, table, parameter, names):
    builders.payment(builders.credit("2021-06-01"), "2021-06-05", 1)
    builders.plan("2021-06", 3, 1)
    page = html(editor, f"/admin/{table}/")
    assert re.findall(rf'<a href="\?{parameter}__id__exact=\d">([^<]*)</a>', page) == names


# One display format


def test_credits_of_a_borrower_page_are_formatted_as_in_lists(editor):
    credit = builders.credit("2021-06-01", "1234.50", percent=50)
    cells = re.findall(r'<td class="field-(\w+)">\s*<p>([^<]*)</p>', html(editor, page_of(credit.borrower)))
    assert cells == [
        ("issuance_date", "2021-06-01"),
        ("return_date", "2021-06-15"),
        ("actual_return_date", "-"),
        ("amount", "1\u00a0234.50"),
        ("interest", "50.00"),
    ]


def test_history_formats_amounts_and_times_as_lists_do(editor, time_machine):
    time_machine.move_to("2026-03-02 12:00+02:00", tick=False)
    credit = builders.credit("2021-06-01", "1234.50")
    credit.body = Decimal("12000")
    credit.save()
    for address in (f"/admin/credits/credit/{credit.pk}/history/", "/admin/credits/change/"):
        page = html(editor, address)
        assert "<li>body: 1\u00a0234.50 → 12\u00a0000.00</li>" in page
        assert "<li>issued: – → 2021-06-01</li>" in page
        assert ">2026-03-02 12:00</a>" in page


def test_workbooks_hold_real_dates_and_amounts_in_one_format(editor):
    credit = builders.credit("2021-06-01", "1234.50")
    fields = {"action": "export_xlsx", "_selected_action": [credit.pk]}
    content = b"".join(editor.post("/admin/credits/credit/", fields).streaming_content)
    row = load_workbook(BytesIO(content)).active[2]
    assert [(str(cell.value), cell.number_format) for cell in (row[0], row[2], row[5])] == [
        (str(credit.pk), "General"),
        ("2021-06-01 00:00:00", "yyyy-mm-dd"),
        ("1234.5", "#,##0.00"),
    ]


def test_the_dashboard_formats_counts_and_days_as_lists_do(editor):
    lent, day = builders.borrower(), date(2021, 6, 15)
    Credit.objects.bulk_create(
        Credit(borrower=lent, issuance_date=day, return_date=day, body=1, percent=0) for _ in range(1000)
    )
    page = html(editor, "/admin/")
    assert re.search(r">Credits</a></th><td>1\u00a0000</td>", page)
    assert re.search(r">Last issuance</th><td>2021-06-15</td>", page)


def test_an_import_formats_its_sums_as_lists_do(editor):
    credit = builders.credit("2021-06-01", 5000)
    text = f"id;credit_id;payment_date;type_id;sum\r\n;{credit.pk};2021-06-15;1;1234,5\r\n"
    fields = {"import_file": SimpleUploadedFile("p.csv", text.encode()), "resource": "0"}
    upload = editor.post("/admin/credits/payment/import/", fields).context["upload"]
    editor.post("/admin/credits/payment/process_import/", {"upload": upload.key})
    page = html(editor, f"/admin/credits/load/{Load.objects.get().pk}/change/")
    assert '<div class="readonly">sum 1\u00a0234.50</div>' in page


# Doubts

STORED = "It was stored anyway."
THOUSAND, MILLION = "1\u00a0000.00", "1\u00a0000\u00a0000.00"


def test_doubtful_values_are_stored_with_a_warning_for_each(editor, time_machine):
    time_machine.move_to("2026-03-02 12:00+02:00", tick=False)
    credit = builders.credit("2021-06-01", 1000)
    form = opened(editor, page_of(credit)) | {"percent": "20000,01"}
    form |= {"payments-0-payment_date": "2202-01-01", "payments-0-type": 2, "payments-0-sum": "999999999"}
    warnings = warned(editor.post(page_of(credit), form))
    payment = credit.payments.get()
    assert warnings == [
        f"Credit {credit.pk}, interest: 20\u00a0000.01 is more than 20 times the body, {THOUSAND}. {STORED}",
        f"Payment {payment.pk}, paid: 2202-01-01 is still to come. {STORED}",
        f"Payment {payment.pk}, sum: 999\u00a0999\u00a0999.00 is unusually high: {MILLION} or more. {STORED}",
        f"Credit {credit.pk}, interest: 999\u00a0979\u00a0998.99 more was paid than is owed. {STORED}",
    ]


def test_closing_a_credit_with_a_debt_warns(editor):
    credit = builders.credit("2021-06-01", 1000, percent=50)
    builders.payment(credit, "2021-06-05", "900.50")
    form = opened(editor, page_of(credit)) | {"actual_return_date": "2021-06-10"}
    assert warned(editor.post(page_of(credit), form)) == [
        f"Credit {credit.pk}, body: 99.50 is unpaid, though the credit is closed. {STORED}",
        f"Credit {credit.pk}, interest: 50.00 is unpaid, though the credit is closed. {STORED}",
    ]
    assert Credit.objects.get().actual_return_date == date(2021, 6, 10)


def test_ordinary_values_are_stored_without_a_warning(editor):
    credit = builders.credit("2021-06-01", 1000)
    builders.payment(credit, "2021-06-05", 1000)
    form = opened(editor, page_of(credit)) | {"actual_return_date": "2021-06-05"}
    assert warned(editor.post(page_of(credit), form)) == []


def test_a_doubtful_payment_or_borrower_gets_a_warning_in_its_form(editor, time_machine):
    time_machine.move_to("2026-03-02 12:00+02:00", tick=False)
    credit = builders.credit("2021-06-01", 1000)
    form = opened(editor, "/admin/credits/payment/add/")
    form |= {"credit": credit.pk, "payment_date": "2026-03-03", "type": 1, "sum": "5"}
    assert warned(editor.post("/admin/credits/payment/add/", form)) == [
        f"Payment {Payment.objects.get().pk}, paid: 2026-03-03 is still to come. {STORED}"
    ]
    form = opened(editor, "/admin/credits/borrower/add/") | {"login": "x", "registration_date": "1999-12-31"}
    assert warned(editor.post("/admin/credits/borrower/add/", form)) == [
        f"Borrower x, registered: 1999-12-31 is before 2000. {STORED}"
    ]


def test_a_doubtful_plan_in_the_year_form_gets_a_warning(editor):
    much = "100\u00a0000\u00a0000.00"
    form = opened(editor, "/admin/plans/plan/year/2021/") | {"3-1": "100 000 000", "3-2": "5"}
    assert warned(editor.post("/admin/plans/plan/year/2021/", form)) == [
        f"Plan 2021-01, sum: {much} is unusually high: {much} or more. {STORED}"
    ]
