"""An editor's work in the admin, in Chromium. Any complaint of the browser fails a test."""

import re
import shutil
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone
from knox.models import AuthToken
from openpyxl import Workbook
from playwright.sync_api import Page, expect, sync_playwright

from credits.book.trail import Change
from fintrack.access import ADMINISTRATOR, EDITOR
from fintrack.models import FailedSignIn, SignInFailure
from reports.models import Note

from . import builders

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "a long password"


@pytest.fixture
def page(committed, live_server, monkeypatch) -> Iterator[Page]:
    """A page signed in as an editor. Errors of the console, of pages and of the CSP fail the test."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(base_url=live_server.url, timezone_id="Europe/Kyiv")
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error(e.violatedDirective))"
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(live_server.url) else complaints.append(asked.url),
        )
        sign_in(page, EDITOR)
        yield page
        browser.close()
    assert complaints == []


def sign_in(page: Page, role: str) -> User:
    """Signs in with a new account of the role."""
    account = builders.account(role, password=PASSWORD)
    page.context.clear_cookies()
    page.goto("/admin/")
    page.fill("[name=username]", account.username)
    page.fill("[name=password]", PASSWORD)
    page.click("main form.card button")
    expect(page).to_have_title(re.compile("The book"))
    return account


def choose(page: Page, field: str, typed: str, shown: str) -> None:
    """Chooses a value in an autocomplete field."""
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-search__field", typed)
    page.click(f".select2-results__option:text-is('{shown}')")


def save(page: Page) -> None:
    page.click("input[name=_save] >> nth=0")


def figures(page: Page, month: str) -> list[str]:
    """Returns the sums issued and collected in the month, from the report."""
    beside = page.context.new_page()
    beside.goto(f"/reports/month/?month={month}")
    empty = beside.locator(".empty").count()
    total = "0.00 0.00" if empty else beside.locator("tr.total").inner_text()
    beside.close()
    return [amount.replace("\u00a0", " ") for amount in re.findall(r"\d[\d\u00a0]*\.\d\d", total)]


def upload(page: Page, table: str, name: str, content: bytes) -> None:
    page.goto(f"/admin/{table}/")
    page.click("a.import_link")
    page.set_input_files("[name=import_file]", {"name": name, "mimeType": "text/csv", "buffer": content})


def test_editor_adds_a_credit_and_payments_and_sees_errors(page):
    assert figures(page, "2021-06")[:1] == ["0.00"]
    page.goto("/admin/credits/borrower/add/")
    page.fill("[name=login]", "anna")
    page.fill("[name=registration_date]", "2021-05-01")
    save(page)
    expect(page.locator(".messagelist .success")).to_contain_text("anna")

    page.goto("/admin/credits/credit/add/")
    choose(page, "borrower", "ann", "anna")
    for name, value in {
        "issuance_date": "2021-06-10",
        "return_date": "2021-06-09",
        "actual_return_date": "2021-06-01",
        "body": "1000",
        "percent": "50",
        "payments-0-payment_date": "2021-06-09",
        "payments-0-sum": "400.5",
    }.items():
        page.fill(f"[name={name}]", value)
    page.select_option("[name=payments-0-type]", "1")
    save(page)
    for name in ("return_date", "actual_return_date"):
        expect(page.locator(f".field-{name} .errorlist")).to_have_text(
            "Expected the day of issuance, 2021-06-10, or later."
        )
    expect(page.locator("#payments-group td .errorlist")).to_have_text(
        "Expected the credit's day of issuance, 2021-06-10, or later."
    )
    page.fill("[name=return_date]", "2021-06-24")
    page.fill("[name=actual_return_date]", "")
    page.fill("[name=payments-0-payment_date]", "2021-06-12")
    page.click("text=Add another Payment")
    page.fill("[name=payments-1-payment_date]", "2021-06-13")
    page.select_option("[name=payments-1-type]", "2")
    page.fill("[name=payments-1-sum]", "60")
    save(page)
    expect(page.locator(".messagelist .warning")).to_contain_text(
        "interest: 10.00 more was paid than is owed."
    )
    shown = figures(page, "2021-06")
    assert "1 000.00" in shown
    assert "460.50" in shown

    page.goto("/admin/credits/credit/")
    page.click("#result_list .field-id a")
    page.click("a.historylink")
    expect(page.locator("#change-history")).to_contain_text("issued: – → 2021-06-10")


def test_editor_picks_a_day_in_the_calendar_or_types_it(page):
    credit = builders.credit("2021-01-01", 5000)
    page.goto(f"/admin/credits/credit/{credit.pk}/change/")
    page.click(".field-actual_return_date .date-icon")
    page.locator(".calendarbox:visible .calendar").get_by_role("link", name="15", exact=True).click()
    today = timezone.localdate()
    expect(page.locator("[name=actual_return_date]")).to_have_value(f"{today:%Y-%m}-15")
    page.fill("[name=actual_return_date]", "05.02.2021")
    page.fill("[name=body]", "1 234,50")
    page.fill("[name=percent]", "05/02")
    save(page)
    expect(page.locator(".field-percent .errorlist")).to_have_text(
        "Expected an amount of 0.00 or more, at most 12 digits and 2 decimals."
    )
    page.fill("[name=percent]", "0")
    save(page)
    expect(page.locator(".messagelist .warning")).to_have_text(
        f"Credit {credit.pk}, body: 1 234.50 is unpaid, though the credit is closed. It was stored anyway."
    )
    row = page.locator("#result_list tbody tr")
    expect(row.locator(".field-actual_return_date")).to_have_text("2021-02-05")
    expect(row.locator(".field-amount")).to_have_text("1 234.50")


def test_editor_imports_payments_with_a_preview_and_exports_them(page):
    credit = builders.credit("2021-06-01", 100_000)
    lines = [f"{number}\t{credit.pk}\t02.06.2021\t1\t{number},25" for number in range(1, 301)]
    header = "id\tcredit_id\tpayment_date\ttype_id\tsum"
    content = "\r\n".join([header, *lines]).encode()

    faulty = content.replace(b"02.06.2021\t1\t7,25", b"02.05.2021\t9\t0")
    upload(page, "credits/payment", "payments.csv", faulty)
    page.click("input[value=Preview]")
    expect(page.locator(".errornote")).to_contain_text("The file has 3 faults; nothing was stored.")
    assert sorted(page.locator(".preview tbody tr").all_inner_texts()) == [
        "8\tpayment_date\t02.05.2021\tthe credit's issuance date, 2021-06-01, or later",
        "8\tsum\t0\tan amount of 0.01 or more, at most 12 digits and 2 decimals",
        "8\ttype_id\t9\t1 (body) or 2 (interest)",
    ]
    upload(page, "credits/payment", "payments.csv", content)
    page.click("input[value=Preview]")
    expect(page.locator(".counts")).to_have_text(
        re.compile(r"New rows: 300\s+Changed rows: 0\s+Unchanged rows: 0")
    )
    assert "45 225.00" not in figures(page, "2021-06")
    page.click("input[name=confirm]")
    expect(page.locator(".messagelist .success")).to_contain_text("Imported payments.csv. New rows: 300")
    assert "45 225.00" in figures(page, "2021-06")  # 1 + … + 300 and 300 × 0.25

    for kind in ("csv", "xlsx"):
        page.goto("/admin/credits/payment/")
        page.click("a.export_link")
        page.select_option("[name=format]", label=kind)
        with page.expect_download() as download:
            page.click("input[value=Export]")
        exported = download.value.path().read_bytes()
        upload(page, "credits/payment", f"again.{kind}", exported)
        page.click("input[value=Preview]")
        expect(page.locator(".counts")).to_have_text(
            re.compile(r"New rows: 0\s+Changed rows: 0\s+Unchanged rows: 300")
        )
    page.goto("/admin/credits/load/")
    assert page.locator("#result_list .field-result").all_inner_texts() == ["stored", "refused"]


def workbook(*rows: tuple[Any, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def test_editor_loads_a_workbook_of_plans_and_fills_the_year(page):
    content = workbook(
        ("month", "category_name", "sum"), ("2021-06-01", "видача", 1000), ("01.06.2021", "збір", 2.5)
    )
    upload(page, "plans/plan", "plans.xlsx", content)
    page.click("input[value=Preview]")
    expect(page.locator(".counts")).to_contain_text("New rows: 2")
    page.click("input[name=confirm]")
    expect(page.locator(".messagelist .success")).to_contain_text("Imported plans.xlsx. New rows: 2")
    page.goto("/reports/year-performance/?year=2021")
    expect(page.locator("tbody")).to_contain_text("1 000.00")

    page.goto("/admin/plans/plan/year/2022/")
    row = page.locator("table.year tbody tr").nth(5)
    expect(row).to_contain_text(re.compile(r"2022-06\s+1\s000\.000\.002\.500\.00"))
    page.fill("[name='3-6']", "1200")
    page.fill("[name='4-6']", "-1")
    page.click("input[value='Save the year']")
    expect(page.locator("table.year .errorlist")).to_have_text(
        "Expected an amount of 0.00 or more, at most 12 digits and 2 decimals."
    )
    page.fill("[name='4-6']", "")
    page.click("input[value='Save the year']")
    expect(page.locator(".messagelist .success")).to_contain_text(
        "Plans of 2022. Added: 1, changed: 0, deleted: 0."
    )
    page.goto("/reports/plans-performance/?check_date=2022-06-30")
    expect(page.locator("tbody").first).to_contain_text("1 200.00")
    page.goto("/admin/plans/plan/year/2022/")
    page.fill("[name='3-6']", "")
    page.click("input[value='Save the year']")
    expect(page.locator(".messagelist .success")).to_contain_text(
        "Plans of 2022. Added: 0, changed: 0, deleted: 1."
    )
    page.goto("/reports/plans-performance/?check_date=2022-06-30")
    expect(page.locator("tbody")).not_to_contain_text("1 200.00")


def test_two_editors_do_not_overwrite_each_other(page, live_server):
    """Each has the same credit open in their own browser."""
    credit = builders.credit("2021-06-01", 1000, percent=50)
    payment = builders.payment(credit, "2021-06-05", 511)
    theirs = page.context.browser.new_context(base_url=live_server.url).new_page()
    anna = sign_in(theirs, EDITOR)

    address = f"/admin/credits/credit/{credit.pk}/change/"
    page.goto(address)
    theirs.goto(f"/admin/credits/payment/{payment.pk}/change/")
    theirs.fill("[name=sum]", "77.77")
    save(theirs)
    page.fill("[name=percent]", "60")
    save(page)
    expect(page.locator(".messagelist .info")).to_contain_text(
        f"Payment {payment.pk}: “Sum” was changed from 511.00 to 77.77 meanwhile by {anna.username} ("
    )
    payment.refresh_from_db()
    credit.refresh_from_db()
    assert (str(payment.sum), str(credit.percent)) == ("77.77", "60.00")
    mine = Change.objects.filter(via=address)
    assert [(each.table, each.fields) for each in mine] == [
        ("credits.credit", {"percent": ["50.00", "60.00"]})
    ]

    for each in (page, theirs):
        each.goto(address)
    theirs.fill("[name=payments-0-sum]", "88")
    save(theirs)
    page.fill("[name=payments-0-sum]", "99")
    save(page)
    expect(page.locator("#payments-group td .errorlist")).to_have_text(
        re.compile(r"“Sum” was changed from 77\.77 to 88\.00 meanwhile by .* Load the page again\.")
    )
    page.goto(address)
    page.fill("[name=payments-0-sum]", "99")
    page.dblclick("input[name=_save] >> nth=0")
    expect(page.locator(".messagelist .success")).to_contain_text("was changed successfully")
    payment.refresh_from_db()
    assert str(payment.sum) == "99.00"
    theirs.context.close()


# Every page

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
    "preload": False,  # otherwise axe writes a <style>, which the CSP forbids
}


def faults_of(page: Page) -> list[str]:
    """Returns what axe finds, and whether the page overflows, in every theme and width."""
    found = []
    page.evaluate(AXE_SCRIPT)
    for width, scheme in product((1440, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.evaluate("document.getAnimations().forEach(change => change.finish())")  # of colours
        place = f"{page.url} {width} {scheme}"
        for rule in page.evaluate("async rules => (await axe.run(rules)).violations", RULES):
            found += [f"{place}: {rule['id']}: {node['html']}" for node in rule["nodes"]]
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"{place}: {wide} wide")
    return found


def addresses(client: Client) -> list[str]:
    """Returns the addresses of all admin pages that the client may read, with the last row of each table."""
    known = {"app_label": "credits", "object_id": 0, "year": 2021, "kind": "csv"}
    patterns: list[tuple[URLPattern, dict[str, Any]]] = [(p, known) for p in site_patterns()]
    for model, staff in admin.site._registry.items():
        row = model._default_manager.order_by("pk").last()
        assert row, f"There is no row of {model} to show."
        patterns += [(pattern, known | {"object_id": row.pk}) for pattern in staff.get_urls()]
    found = []
    for pattern, values in patterns:
        names = pattern.pattern.regex.groupindex
        if pattern.name is None or not names.keys() <= values.keys():
            continue
        address = reverse(f"admin:{pattern.name}", kwargs={name: values[name] for name in names})
        answer = client.get(address)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            found.append(address)
    return found


def site_patterns() -> list[URLPattern]:
    return [pattern for pattern in admin.site.get_urls() if isinstance(pattern, URLPattern)]


@pytest.fixture
def whole_book(committed) -> None:
    """Creates at least one row in every table that the admin shows."""
    for day in ("2020-06-01", "2021-06-01"):
        credit = builders.credit(day, "1234567.50", percent="70")
        for kind in (1, 2):
            builders.payment(credit, "2021-06-02", "1234.50", kind)
        builders.plan(day[:7], 3, 3_000_000)
    AuthToken.objects.create(builders.account(EDITOR))
    FailedSignIn.objects.create(username="anna", ip_address="10.0.0.1", failures_since_start=5)
    SignInFailure.objects.create(
        username="anna", ip_address="10.0.0.1", user_agent="Firefox", locked_out=True
    )
    Note.objects.create(day=date(2021, 6, 1), text="Tariff changed")


@pytest.mark.once
def test_every_page_is_accessible_and_fits_in_every_theme_and_width(whole_book, page, client):
    administrator = sign_in(page, ADMINISTRATOR)
    upload(page, "credits/borrower", "bad.csv", b"id;login;registration_date\nx;;99.06.2021")
    page.click("input[value=Preview]")
    found = faults_of(page)
    upload(page, "credits/borrower", "people.csv", b"id;login;registration_date\n77;petro;01.06.2021")
    page.click("input[value=Preview]")
    found += faults_of(page)
    page.click("input[name=confirm]")
    page.goto("/admin/credits/credit/add/")
    save(page)
    found += faults_of(page)
    page.goto("/admin/credits/credit/")
    page.check("#action-toggle")
    page.select_option("[name=action] >> nth=0", "delete_selected")
    page.click("[name=index] >> nth=0")
    expect(page.locator("h1").last).to_have_text("Delete rows")
    found += faults_of(page)
    client.force_login(administrator)
    filtered = "/admin/credits/credit/?q=1&issuance_date__year=2021&issuance_date__month=6&return_date__lte=x"
    for address in [filtered, *addresses(client)]:
        page.goto(address)
        found += faults_of(page)
    assert not found, "\n".join(found)


def test_add_pages_focus_the_first_field_and_label_every_field(whole_book, page):
    page.goto("/admin/credits/borrower/add/")
    expect(page.locator("[name=login]")).to_be_focused()
    page.goto("/admin/credits/credit/add/")
    expect(page.get_by_role("combobox", name="Borrower:")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("searchbox", name="Borrower:")).to_be_focused()
    page.click(".select2-results__option >> nth=0")
    page.click("text=Add another Payment")
    for name in ("Paid", "Type", "Sum"):
        expect(page.locator("#payments-1").get_by_label(name, exact=True)).to_have_count(1)
    assert faults_of(page) == []
    page.goto("/admin/plans/plan/year/2022/")
    page.get_by_label("issuance 2022-06").fill("7")
    expect(page.locator("[name='3-6']")).to_have_value("7")
