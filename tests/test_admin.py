"""The admin: lists, errors at fields, import and export, the year of plans, accounts and tokens."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from openpyxl import Workbook, load_workbook

from credits.book import admin as book_admin
from credits.book.trail import Change, Load, Upload
from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.access import ADMINISTRATOR, ANALYST, EDITOR
from plans.models import Plan

from . import builders
from .sent_forms import sent_back
from .test_pace import steady_book

pytestmark = pytest.mark.django_db

LISTS = ("credits/borrower", "credits/credit", "credits/payment", "credits/dictionary", "plans/plan")


def html(response: Any) -> str:
    return response.content.decode()


def words(response: Any) -> str:
    """Returns the text of a page with single spaces between words."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html(response))).split())


def book(size: int) -> None:
    for number in range(size):
        credit = builders.credit(f"2021-06-{number + 1:02}", 100)
        builders.payment(credit, "2021-07-01", "10.25")
        builders.plan(f"20{number + 10}-01", 3, 1000)


# Lists


@pytest.mark.parametrize("table", LISTS)
def test_number_of_queries_of_a_list_does_not_grow_with_the_rows(editor, table):
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert editor.get(f"/admin/{table}/").status_code == 200
        return len(queries)

    book(2)
    asked()  # fills Django's cache of content types
    few = asked()
    for number in range(20):
        builders.payment(builders.credit("2021-06-01"), "2021-07-01", 1)
        builders.plan(f"19{number + 10}-02", 4, 1)
        Dictionary.objects.create(pk=100 + number, name=f"other {number}")
    assert asked() == few


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("credits/credit/", ["Body 300.00", "Interest 0.00"]),
        ("credits/payment/", ["Sum 30.75"]),
        ("credits/payment/?q=1111111", []),
        ("plans/plan/", ["Sum 3 000.00"]),
    ],
)
def test_list_shows_totals_of_all_pages(editor, address, expected):
    book(3)
    shown = words(editor.get(f"/admin/{address}"))
    assert re.findall(r"(?:Body|Interest|Sum) [\d ]+\.\d\d", shown) == expected


def test_list_counts_and_adds_up_at_most_so_many_rows(editor, monkeypatch):
    monkeypatch.setattr(book_admin, "COUNTED", 2)
    book(3)
    shown = words(editor.get("/admin/credits/payment/"))
    assert "Payments: more than 2" in shown
    assert "Total of all pages" not in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=open", ["overpaid", "owing"]),
        ("state=in_term", []),
        ("state=overdue", ["overpaid", "owing"]),
        ("state=closed", ["done"]),
        ("state=overpaid", ["overpaid"]),
        ("q=OWI", ["owing"]),
        ("issuance_date__year=2021&issuance_date__month=5", ["done"]),
    ],
)
def test_credits_are_found_by_state_login_and_month(editor, query, found):
    for login, day, returned, paid in (
        ("owing", "2021-06-01", None, 100),
        ("done", "2021-05-01", date(2021, 5, 9), 100),
        ("overpaid", "2021-06-02", None, "100.01"),
    ):
        borrower = builders.borrower(login=login)
        credit = builders.credit(day, 100, borrower=borrower, actual_return_date=returned)
        builders.payment(credit, "2021-07-01", paid)
    rows = re.findall(r"field-borrower[^>]*>([^<]+)<", html(editor.get(f"/admin/credits/credit/?{query}")))
    assert sorted(rows) == found


@pytest.mark.parametrize(
    ("table", "query", "found"),
    [
        ("credits/borrower", "registration_date__gte=2020-01-02", 0),
        ("credits/credit", "issuance_date__gte=02.06.2021&issuance_date__lte=2021-06-03", 2),
        ("credits/credit", "issuance_date__lte=2021-06-01&return_date__gte=15.06.2021&state=overdue", 1),
        ("credits/credit", "issuance_date__gte=&issuance_date__lte=", 3),
        ("credits/payment", "payment_date__lte=2021-06-30", 0),
        ("plans/plan", "period__gte=2011-01-01", 2),
        ("credits/change", "moment__gte=2021-08-10&moment__lte=10.08.2021", 12),
        ("credits/change", "moment__gte=2021-08-11", 0),
    ],
)
def test_list_is_filtered_from_one_day_to_another(editor, time_machine, table, query, found):
    time_machine.move_to("2021-08-10T23:30:00+03:00")
    book(3)
    assert editor.get(f"/admin/{table}/?{query}").context["cl"].result_count == found


@pytest.mark.parametrize("query", ["q=anna", "account__id__exact={}"])
def test_changes_are_found_by_who_made_them(editor, client_as, query):
    book(1)
    client = client_as(EDITOR)
    other = User.objects.latest("pk")
    User.objects.filter(pk=other.pk).update(username="anna")
    client.post("/admin/credits/dictionary/add/", {"name": "пеня"})
    found = editor.get(f"/admin/credits/change/?{query.format(other.pk)}").context["cl"].result_list
    other.refresh_from_db()
    assert [(change.account, change.fields["name"]) for change in found] == [(other, [None, "пеня"])]


def test_autocomplete_does_not_search_credits_by_amount(editor):
    builders.credit(body=1500, borrower=builders.borrower(login="a500"))
    builders.credit(pk=1500)
    address = "/admin/autocomplete/?app_label=credits&model_name=payment&field_name=credit&term=1500"
    assert [each["id"] for each in editor.get(address).json()["results"]] == ["1500"]
    assert editor.get("/admin/credits/credit/?q=1500").context["cl"].result_count == 2


def test_invalid_day_in_a_filter_is_reported_and_shows_no_rows(editor):
    book(3)
    response = editor.get("/admin/credits/credit/?issuance_date__gte=05/06/2021&state=overdue")
    assert response.context["cl"].result_count == 0
    assert (
        "Issued, From: found 05/06/2021; expected a date, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999."
        in words(response)
    )
    page = html(response)
    assert 'name="issuance_date__gte" value="05/06/2021"' in page
    assert (
        page.count('<input type="hidden" name="state" value="overdue">') == 4
    )  # of three filters, the search


def test_date_hierarchy_offers_years_months_and_days_with_payments(editor):
    credit = builders.credit("2019-01-01")
    for day in ("2019-12-31", "2021-01-31", "2021-02-01", "2021-02-28", "2021-02-28", "2021-12-31"):
        builders.payment(credit, day, 1)
    assert [f"{day}" for day in Payment.objects.dates("payment_date", "year")] == ["2019-01-01", "2021-01-01"]

    def offered(query: str) -> list[str]:
        page = html(editor.get(f"/admin/credits/payment/?{query}"))
        list_ = page[page.index('class="toplinks"') :].split("</nav>")[0]
        return re.findall(r">(\w[^<]*)</a>", list_)

    assert offered("") == ["2019", "2021"]
    assert offered("payment_date__year=2021") == ["January 2021", "February 2021", "December 2021"]
    assert offered("payment_date__year=2021&payment_date__month=2") == ["February 1", "February 28"]


def test_borrower_page_shows_their_credits(editor):
    credit = builders.credit("2021-06-01", "1234.5")
    page = html(editor.get(f"/admin/credits/borrower/{credit.borrower_id}/change/"))
    assert f"/admin/credits/credit/{credit.pk}/change/" in page
    assert "1\u00a0234.50" in page
    assert f"/admin/credits/credit/?borrower__id__exact={credit.borrower_id}" in page


def test_credit_page_shows_its_latest_payments_for_editing(editor, monkeypatch):
    credit = builders.credit()
    for number in range(3):
        builders.payment(credit, "2021-06-05", number + 1)
    address = f"/admin/credits/credit/{credit.pk}/change/"
    assert 'name="payments-2-sum"' in html(editor.get(address))
    monkeypatch.setattr("credits.admin.PaymentInline.most", 2)
    page = html(editor.get(address))
    assert re.findall(r'name="payments-(\d)-sum" value="([^"]*)"', page) == [("0", "2.00"), ("1", "3.00")]
    assert "here the latest 2" in page
    fields = sent_back(page) | {"payments-1-sum": "30", "payments-2-payment_date": "2021-06-06"}
    fields |= {"payments-2-type": 1, "payments-2-sum": 7}
    assert editor.post(address, fields).status_code == 302
    assert sorted(credit.payments.values_list("sum", flat=True)) == [1, 2, 7, 30]


# Rules


def form_of(credit: Credit) -> dict[str, Any]:
    names = ("borrower_id", "issuance_date", "return_date", "body", "percent")
    fields = {name.removesuffix("_id"): getattr(credit, name) for name in names}
    return fields | {"payments-TOTAL_FORMS": 0, "payments-INITIAL_FORMS": 0}


def errors_at(response: Any) -> dict[str, list[str]]:
    return {name: list(errors) for name, errors in response.context["adminform"].form.errors.items()}


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        (
            {"return_date": "2021-05-31", "actual_return_date": "2021-05-30"},
            {
                "return_date": ["Expected the day of issuance, 2021-06-01, or later."],
                "actual_return_date": ["Expected the day of issuance, 2021-06-01, or later."],
            },
        ),
        (
            {"issuance_date": "2021-06-06"},
            {"issuance_date": ["Expected the day of the first payment, 2021-06-05, or earlier."]},
        ),
        ({"body": "-1"}, {"body": ["Expected an amount of 0.00 or more, at most 12 digits and 2 decimals."]}),
    ],
)
def test_errors_of_a_credit_are_shown_at_the_field(editor, changed, errors):
    credit = builders.credit("2021-06-01")
    builders.payment(credit, "2021-06-05", 1)
    response = editor.post(f"/admin/credits/credit/{credit.pk}/change/", form_of(credit) | changed)
    assert (response.status_code, errors_at(response)) == (200, errors)


def test_errors_of_a_payment_are_shown_at_the_field(editor):
    credit = builders.credit("2021-06-01")
    fields = {"credit": credit.pk, "payment_date": "2021-05-31", "type": 1, "sum": 1}
    response = editor.post("/admin/credits/payment/add/", fields)
    assert errors_at(response) == {
        "payment_date": ["Expected the credit's day of issuance, 2021-06-01, or later."]
    }
    new = form_of(credit) | {
        "payments-TOTAL_FORMS": 1,
        "payments-0-payment_date": "2021-05-31",
        "payments-0-type": 1,
        "payments-0-sum": 1,
    }
    response = editor.post("/admin/credits/credit/add/", new)
    assert "Expected the credit&#x27;s day of issuance, 2021-06-01, or later." in html(response)
    assert (Credit.objects.count(), Payment.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("period", "error"),
    [
        ("2021-06-01", "There is a plan for this month and category already."),
        ("2021-06-02", "Expected the first day of a month."),
    ],
)
def test_errors_of_a_plan_are_shown_at_the_month(editor, period, error):
    builders.plan("2021-06", 3, 1)
    response = editor.post("/admin/plans/plan/add/", {"period": period, "category": 3, "sum": 5})
    assert errors_at(response) == {"period": [error]}


def test_overpayment_is_stored_with_a_warning(editor):
    credit = builders.credit("2021-06-01", 100)
    fields = {"credit": credit.pk, "payment_date": "2021-06-05", "type": 1, "sum": "1100.5"}
    response = editor.post("/admin/credits/payment/add/", fields, follow=True)
    assert f"Credit {credit.pk}, body: 1 000.50 more was paid than is owed. It was stored anyway." in words(
        response
    )
    assert Payment.objects.get().sum == Decimal("1100.50")


def test_fixed_dictionary_entries_cannot_be_deleted(administrator):
    assert administrator.post("/admin/credits/dictionary/1/delete/", {"post": "yes"}).status_code == 403
    assert Dictionary.objects.filter(pk=1).exists()


# Import

PAYMENTS = "id;credit_id;payment_date;type_id;sum\r\n"


def preview(client: Any, table: str, name: str, content: bytes, **fields: Any) -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post(f"/admin/{table}/import/", {"import_file": file, "resource": "0", **fields})


def confirm(client: Any, table: str, response: Any) -> Any:
    fields = {"upload": response.context["upload"].key}
    return client.post(f"/admin/{table}/process_import/", fields, follow=True)


def test_import_is_previewed_then_stored_and_recorded(editor):
    credit = builders.credit("2021-06-01")
    known = builders.payment(credit, "2021-06-05", 1)
    same = builders.payment(credit, "2021-06-06", 2)
    start = Change.objects.count()
    lines = [
        f"{known.pk};{credit.pk};05.06.2021;1;1,50",
        f"{same.pk};{credit.pk};2021-06-06;1;2.00",
        f"99;{credit.pk};07.06.2021;2;1 000,25",
    ]
    content = (PAYMENTS + "\r\n".join(lines)).encode("utf-16")
    response = preview(editor, "credits/payment", "пл.csv", content)
    result = response.context["result"]
    assert str(result.counts) == "1 new, 1 changed, 1 unchanged"
    assert result.changed == [
        (
            2,
            [
                (str(known.pk), None),
                (str(credit.pk), None),
                ("2021-06-05", None),
                ("1", None),
                ("1.50", "1.00"),
            ],
        )
    ]
    assert "1.00 → 1.50" in words(response)
    assert (Payment.objects.count(), Load.objects.count(), Change.objects.count()) == (2, 0, start)

    done = confirm(editor, "credits/payment", response)
    assert "Imported пл.csv. New rows: 1, changed: 1, unchanged: 1." in words(done)
    assert sorted(Payment.objects.values_list("sum", flat=True)) == [
        Decimal("1.50"),
        Decimal("2.00"),
        Decimal("1000.25"),
    ]
    load = Load.objects.get()
    assert (load.file, load.outcome, load.new, load.changed, load.unchanged, load.sums) == (
        "пл.csv",
        "stored",
        1,
        1,
        1,
        {"sum": "1000.25"},
    )
    assert load.via == "/admin/credits/payment/process_import/"
    assert load.account is not None
    assert load.changes.get().fields == {"sum": ["1.00", "1.50"]}
    assert Upload.objects.count() == 0
    history = words(editor.get("/admin/credits/payment/99/history/"))
    assert "пл.csv added with 1 row of one file" in history
    assert "sum: 1.00 → 1.50" in words(editor.get(f"/admin/credits/payment/{known.pk}/history/"))


@pytest.mark.parametrize("amount", ["1", "x"], ids=["right", "faulty"])
def test_preview_says_which_sheet_was_read(editor, amount):
    book = Workbook()
    book.active.append(["month", "category_name", "sum"])
    book.active.append(["2021-06-01", "видача", amount])
    book.create_sheet("Notes")
    content = BytesIO()
    book.save(content)
    response = preview(editor, "plans/plan", "plans.xlsx", content.getvalue())
    assert "Read from the sheet “Sheet”." in words(response)


def test_encoding_is_chosen_or_detected_and_kept_until_the_import(editor):
    lines = "id,login,registration_date\n1,ЇЖАК,2021-01-01\n"
    for told, encoding, login in [("cp1251", "cp1251", "ЇЖАК"), ("koi8-u", "koi8-u", "ЇЖАК")]:
        response = preview(editor, "credits/borrower", "b.csv", lines.encode(encoding), encoding=told)
        assert response.context["result"].remarks == []
        confirm(editor, "credits/borrower", response)
        assert Borrower.objects.get().login == login
        Borrower.objects.all().delete()
    assert "in UTF-8 or the chosen encoding" in words(
        preview(editor, "credits/borrower", "b.csv", lines.encode("cp1251"))
    )
    response = preview(editor, "credits/borrower", "b.csv", lines.lower().encode("cp1251"))
    assert "Read as Windows-1251." in words(response)
    confirm(editor, "credits/borrower", response)
    assert Borrower.objects.get().login == "їжак"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Month;Sum;Category_name", ["month", "category_name", "sum"]),
        ("Plan\nmonth;sum", ["month", "category_name", "sum"]),
        ("id;period;sum", ["id", "period", "sum", "category_id"]),
        ("x", ["month", "category_name", "sum"]),
    ],
)
def test_header_decides_which_columns_of_plans_are_read(editor, header, columns):
    response = preview(editor, "plans/plan", "plans.csv", f"{header}\n1;2;3\n".encode())
    assert response.context["result"].columns == columns


def test_import_form_of_plans_has_a_template_for_each_set_of_columns(editor):
    text = html(editor.get("/admin/plans/plan/import/"))
    assert '<select name="resource"' not in text
    for number in (0, 1):
        assert f"template.csv?resource={number}" in text


def test_import_with_faults_lists_them_and_stores_nothing(editor):
    credit = builders.credit("2021-06-01")
    content = f"{PAYMENTS}1;{credit.pk};31.05.2021;1;5\r\n2;7777;x;3;0\r\n".encode()
    response = preview(editor, "credits/payment", "bad.csv", content)
    faults = [(fault.row, fault.column, fault.found) for fault in response.context["result"].listed_faults]
    assert sorted(faults) == [
        (2, "payment_date", "31.05.2021"),
        (3, "credit_id", "7777"),
        (3, "payment_date", "x"),
        (3, "sum", "0"),
        (3, "type_id", "3"),
    ]
    assert "upload" not in response.context
    assert "The file has 5 faults; nothing was stored." in words(response)
    assert Payment.objects.count() == 0
    load = Load.objects.get()
    assert (load.outcome, load.faults, load.file) == ("refused", 5, "bad.csv")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "each column once"),
        (b"\xd0\xcf\x11\xe0 old", "CSV or XLSX"),
        (b"PK\x03\x04 broken", "CSV or XLSX"),
        (PAYMENTS.encode(), "at least one row"),
    ],
)
def test_file_that_is_not_a_table_is_a_fault(editor, content, fault):
    response = preview(editor, "credits/payment", "odd.csv", content or b" ")
    assert fault in words(response)


def test_import_is_checked_again_if_the_book_changed_since_the_preview(editor):
    credit = builders.credit("2021-06-01")
    content = f"{PAYMENTS}1;{credit.pk};01.06.2021;1;5\r\n".encode()
    response = preview(editor, "credits/payment", "p.csv", content)
    Credit.objects.update(issuance_date="2021-06-02", return_date="2021-07-01")
    done = confirm(editor, "credits/payment", response)
    assert "the credit's issuance date, 2021-06-02, or later" in words(done)
    assert Payment.objects.count() == 0


def test_missing_upload_or_upload_of_another_table_is_reported(editor):
    Upload.objects.create(key="a", table="credits.credit", columns=0, name="a", content=b"")
    for fields in ({}, {"upload": "../../etc/passwd"}, {"upload": "a"}):
        done = editor.post("/admin/credits/payment/process_import/", fields, follow=True)
        assert "Nothing was stored: this upload was already imported or cancelled" in words(done)
    assert editor.get("/admin/credits/payment/process_import/").status_code == 405


def test_error_of_a_large_file_names_load_data(editor, monkeypatch, settings):
    monkeypatch.setattr(book_admin, "MAX_BYTES", 10)
    response = preview(editor, "credits/payment", "p.csv", b"x" * 11)
    assert "manage.py load_data takes larger ones." in words(response)
    assert Upload.objects.count() == 0
    settings.MAX_BODY = 100
    assert preview(editor, "credits/payment", "p.csv", b"x" * 200).status_code == 413


def test_plans_can_be_uploaded_with_the_columns_of_the_api(editor):
    content = "month,category_name,sum\n2031-01-01,Видача,10\n2031-01-01,збір,20\n".encode()
    response = preview(editor, "plans/plan", "plans.csv", content)
    assert "2031-01-01 видача 10.00" in words(response)
    confirm(editor, "plans/plan", response)
    assert list(Plan.objects.in_order().values_list("category", "sum")) == [(3, 10), (4, 20)]
    again = preview(editor, "plans/plan", "plans.csv", content)
    assert "a month that has no plan yet for this category" in words(again)


# Export


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


FORMATS = {"csv": "0", "xlsx": "1"}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("table", LISTS)
def test_export_can_be_imported_unchanged(editor, table, kind):
    book(2)
    builders.credit(borrower=builders.borrower(login="=1+1"), actual_return_date=date(2021, 6, 3))
    builders.borrower(login="'@x")
    content = body(editor.post(f"/admin/{table}/export/", {"format": FORMATS[kind], "resource": "0"}))
    counts = preview(editor, table, f"t.{kind}", content).context["result"].counts
    model = {"credits/borrower": Borrower, "credits/credit": Credit, "credits/payment": Payment}
    model |= {"credits/dictionary": Dictionary, "plans/plan": Plan}
    assert (counts.new, counts.changed, counts.unchanged) == (0, 0, model[table].objects.count())


def test_export_follows_filter_and_selection_and_neutralises_formulas(editor):
    first = builders.borrower(login="=1+1", registration_date=date(2021, 1, 1))
    second = builders.borrower(login="anna", registration_date=date(2022, 1, 1))
    filtered = editor.post(
        "/admin/credits/borrower/export/?registration_date__year=2021", {"format": "0", "resource": "0"}
    )
    text = "\ufeffid,login,registration_date\r\n"
    assert body(filtered).decode() == f"{text}{first.pk},'=1+1,2021-01-01\r\n"
    selected = editor.post(
        "/admin/credits/borrower/", {"action": "export_csv", "_selected_action": [second.pk]}
    )
    assert body(selected).decode() == f"{text}{second.pk},anna,2022-01-01\r\n"
    selected = editor.post(
        "/admin/credits/borrower/", {"action": "export_xlsx", "_selected_action": [first.pk]}
    )
    rows = list(load_workbook(BytesIO(body(selected))).active.values)
    assert [tuple(map(str, row)) for row in rows] == [
        ("id", "login", "registration_date"),
        (str(first.pk), "'=1+1", "2021-01-01 00:00:00"),
    ]


def test_template_has_only_the_header(editor):
    text = body(editor.get("/admin/plans/plan/template.csv?resource=1")).decode()
    assert text == "\ufeffmonth,category_name,sum\r\n"
    book_ = load_workbook(BytesIO(body(editor.get("/admin/credits/payment/template.xlsx"))))
    assert list(book_.active.values) == [("id", "credit_id", "payment_date", "type_id", "sum")]
    assert editor.get("/admin/credits/payment/template.pdf").status_code == 404


# The year of plans


def cells(response: Any) -> dict[str, str]:
    return {name: value for name, value in sent_back(html(response)).items() if re.search(r"\d-\d+$", name)}


def test_year_form_shows_the_year_before_and_saves_all_plans(editor):
    builders.plan("2021-01", 3, 100)
    builders.plan("2021-02", 3, 200)
    builders.plan("2020-01", 3, "90.5")
    builders.credit("2020-01-31", 70)
    response = editor.get("/admin/plans/plan/year/2021/")
    sent = cells(response)
    assert len(sent) == 48
    assert (sent["3-1"], sent["3-2"], sent["4-1"]) == ("100.00", "200.00", "")
    assert "2021-01 90.50 70.00" in words(response)
    assert "Total 300.00 90.50 70.00 0.00 0.00 0.00" in words(response)
    done = editor.post(
        "/admin/plans/plan/year/2021/", sent | {"3-1": "", "3-2": "250.5", "4-12": "0"}, follow=True
    )
    assert "Plans of 2021. Added: 1, changed: 1, deleted: 1." in words(done)
    assert [
        (f"{p.period}", p.category_id, p.sum)
        for p in Plan.objects.between(date(2021, 1, 1), date(2021, 12, 1)).in_order()
    ] == [
        ("2021-02-01", 3, Decimal("250.50")),
        ("2021-12-01", 4, Decimal("0.00")),
    ]
    refused = editor.post("/admin/plans/plan/year/2021/", cells(done) | {"3-3": "5", "3-4": "-5"})
    assert "Nothing was saved" in words(refused)
    assert Plan.objects.count() == 3


def test_plan_changed_by_somebody_else_meanwhile_is_not_overwritten(editor):
    plan = builders.plan("2021-01", 3, 100)
    other = builders.plan("2021-02", 3, 100)
    sent = cells(editor.get("/admin/plans/plan/year/2021/"))
    Plan.objects.update(sum=300)
    response = editor.post("/admin/plans/plan/year/2021/", sent | {"3-1": "200"})
    assert "“issuance 2021-01” was changed from 100.00 to 300.00 meanwhile by " in words(response)
    editor.post("/admin/plans/plan/year/2021/", sent | {"4-1": "1"})
    plan.refresh_from_db()
    other.refresh_from_db()
    assert (plan.sum, other.sum) == (300, 300)  # unchanged in the form, so it is not stored


def hints(response: Any) -> dict[str, str]:
    """Returns {cell: hint} of the cells that have one and are described by it."""
    described = set(
        re.findall(r'<input type="text"[^>]* aria-describedby="id_(\d-\d+)_helptext', html(response))
    )
    found = re.findall(r'<div class="help" id="id_(\d-\d+)_helptext">([^<]*)</div>', html(response))
    assert described == {cell for cell, _text in found}
    return {cell: text.replace("\u00a0", " ") for cell, text in found}


def test_year_form_tells_beside_months_of_collection_without_a_plan_what_is_forecast(editor):
    steady_book()
    builders.plan("2021-12", 3, "1000.02")
    # At the end of October 500 are outstanding. November brings 500 + 900 / 2 = 950 and leaves 450;
    # December brings 450 + 1,000.02 / 2 = 950.01.
    response = editor.get("/admin/plans/plan/year/2021/")
    assert hints(response) == {"4-12": "forecast 950.01"}
    assert (cells(response)["4-11"], cells(response)["4-12"]) == ("1200.00", "")
    assert hints(editor.get("/admin/plans/plan/year/2022/")) == {"4-1": "no forecast: no plan of issuance"}
    assert hints(editor.get("/admin/plans/plan/year/2020/")) == {}


def test_a_refused_year_form_still_tells_the_forecast(editor):
    steady_book()
    builders.plan("2021-12", 3, "1000.02")
    sent = cells(editor.get("/admin/plans/plan/year/2021/"))
    refused = editor.post("/admin/plans/plan/year/2021/", sent | {"4-12": "-5"})
    assert "Nothing was saved" in words(refused)
    assert hints(refused) == {"4-12": "forecast 950.01"}
    done = editor.post("/admin/plans/plan/year/2021/", cells(refused) | {"4-12": "5"}, follow=True)
    assert hints(done) == {}


def test_year_form_without_a_cell_to_forecast_computes_none(editor, monkeypatch):
    steady_book()
    builders.plan("2021-12", 4, 1000)
    monkeypatch.delattr("plans.forms.next_months")
    assert hints(editor.get("/admin/plans/plan/year/2021/")) == {}
    assert hints(editor.get("/admin/plans/plan/year/2020/")) == {}


def test_year_form_says_why_there_is_no_forecast(editor):
    builders.credit("2021-06-30")
    cells = ("4-7", "4-8", "4-9")
    expected = dict.fromkeys(cells, "no forecast: no plan of issuance")
    assert hints(editor.get("/admin/plans/plan/year/2021/")) == expected
    builders.plan("2021-07", 3, 1000)
    expected = dict.fromkeys(cells, "no forecast: too few months to learn from")
    assert hints(editor.get("/admin/plans/plan/year/2021/")) == expected


def test_year_form_of_an_empty_book_has_no_hints(editor):
    assert hints(editor.get("/admin/plans/plan/year/2021/")) == {}


# Accounts and tokens


def test_administrator_creates_an_account_with_a_role(administrator):
    roles = {group.name: group.pk for group in Group.objects.all()}
    fields = {
        "username": "olena",
        "usable_password": "true",
        "password1": "a long password",
        "password2": "a long password",
        "groups": [roles[EDITOR]],
    }
    assert administrator.post("/admin/auth/user/add/", fields).status_code == 302
    account = User.objects.get(username="olena")
    assert [group.name for group in account.groups.all()] == [EDITOR]
    assert (account.is_superuser, account.is_staff) == (False, False)
    client = Client()
    client.post("/accounts/login/", {"username": "olena", "password": "a long password"})
    assert client.get("/admin/")["Location"] == "/accounts/password/"  # test_accounts.py tests the rest


def test_administrator_cannot_grant_more_than_the_administrator_role(administrator):
    other = builders.account(EDITOR)
    above = Group.objects.create(name="Above")
    fields = {"username": other.username, "is_active": "on", "is_superuser": "on", "is_staff": "on"}
    assert administrator.post(f"/admin/auth/user/{other.pk}/change/", fields).status_code == 302
    other.refresh_from_db()
    assert (other.is_superuser, other.is_staff) == (False, False)
    refused = administrator.post(f"/admin/auth/user/{other.pk}/change/", fields | {"groups": [above.pk]})
    assert "groups" in errors_at(refused)


def test_administrator_cannot_see_or_change_a_superuser(administrator):
    root = User.objects.create_superuser("root", password="a long password")
    assert "root" not in words(administrator.get("/admin/auth/user/"))
    assert administrator.get(f"/admin/auth/user/{root.pk}/change/").status_code == 302
    new = {"password1": "another password", "password2": "another password", "usable_password": "true"}
    assert administrator.post(f"/admin/auth/user/{root.pk}/password/", new).status_code == 404
    refused = administrator.post("/admin/fintrack/token/add/", {"user": root.pk, "purpose": "x", "days": 5})
    assert "user" in errors_at(refused)
    assert AuthToken.objects.count() == 0
    root.refresh_from_db()
    assert root.check_password("a long password")


def test_administrator_cannot_change_own_role_or_deactivate_themselves(administrator):
    me = User.objects.get(groups__name=ADMINISTRATOR)
    administrator.post(f"/admin/auth/user/{me.pk}/change/", {"username": me.username, "groups": []})
    me.refresh_from_db()
    assert me.is_active
    assert me.groups.filter(name=ADMINISTRATOR).exists()


def test_token_is_shown_once_works_expires_and_is_revoked(administrator, time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    administrator.force_login(User.objects.get(groups__name=ADMINISTRATOR))
    program = builders.account(ANALYST)
    fields = {"user": program.pk, "purpose": "the warehouse", "days": 30}
    made = administrator.post("/admin/fintrack/token/add/", fields, follow=True)
    (token,) = re.findall(r"\b[0-9a-f]{64}\b", words(made))
    assert token not in html(administrator.get("/admin/fintrack/token/"))
    stored = AuthToken.objects.get()
    assert f"{stored.expiry:%Y-%m-%d}" == "2031-01-31"

    def status() -> int:
        return (
            Client()
            .get("/plans_performance?check_date=2021-01-01", headers={"authorization": f"Token {token}"})
            .status_code
        )

    assert status() == 200
    page = administrator.post(f"/admin/fintrack/token/{stored.pk}/delete/")
    assert f"{stored.token_key}… of {program.username}" in words(page)
    administrator.post(f"/admin/fintrack/token/{stored.pk}/delete/", {"post": "yes"})
    assert status() == 401


# Sign-in


def test_wrong_passwords_lock_a_name_for_an_address_temporarily(time_machine):
    time_machine.move_to("2031-01-01T12:00Z")
    account = builders.account(EDITOR, password="a long password")

    def sign_in(password: str, address: str = "10.0.0.1", name: str = account.username) -> Any:
        fields = {"username": name, "password": password}
        return Client(REMOTE_ADDR=address).post("/accounts/login/", fields)

    assert [sign_in("wrong").status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    locked = sign_in("a long password")
    assert locked.status_code == 429
    assert locked["Retry-After"] == "900"
    assert f"The password for {account.username} was wrong 5 times from your network" in words(locked)
    assert "Try again in 15 minutes." in words(locked)
    assert sign_in("a long password", address="10.0.0.2").status_code == 302
    assert sign_in("wrong", name="somebody else").status_code == 200
    time_machine.shift(16 * 60)
    assert sign_in("a long password").status_code == 302


def test_entry_follows_the_current_role_and_ignores_is_staff(client):
    account = builders.account(ANALYST, is_staff=True)
    client.force_login(account)
    assert client.get("/admin/").status_code == 403
    account.groups.set([Group.objects.get(name=EDITOR)])
    assert client.get("/admin/").status_code == 200
    account.groups.clear()
    assert client.get("/admin/").status_code == 403


def test_dashboard_shows_counts_and_the_latest_imports(editor):
    book(2)
    preview(editor, "credits/payment", "bad.csv", b"x")
    shown = words(editor.get("/admin/"))
    for part in ("Borrowers 2", "Overdue credits 2", "Payments 2", "Plans 2", "Last issuance 2021-06-02"):
        assert part in shown
    assert "bad.csv payments" in shown
    assert "refused, 5 faults" in shown
