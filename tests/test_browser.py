"""The report pages in Chromium: an analyst's walks, with and without JavaScript, in light and dark."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from credits.book.writing import writing
from credits.models import Borrower, Credit, Dictionary
from fintrack.access import ANALYST
from reports import listing, urls
from reports.models import DataStamp, Note, SavedView
from reports.templatetags.figures import count, money

from . import builders

pytestmark = pytest.mark.slow

# The sandbox doesn't work for root. The other options keep Chromium from making its own network requests.
FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PASSWORD, OTHER_PASSWORD = "kalyna-na-vitri", "verba-nad-vodoiu"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Starts Chromium. Playwright runs an event loop in this thread, so Django needs the variable."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing = pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip
        missing("Chromium is not installed (Debian and Ubuntu: apt install chromium).")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with playwright.chromium.launch(executable_path=path, args=FLAGS) as chromium:
            yield chromium


class Visitor:
    """A person with an account and a browser, who checks each page on the way."""

    def __init__(
        self,
        browser: Browser,
        site: str,
        javascript: bool = True,
        role: str = ANALYST,
        language: str = "en",
    ) -> None:
        context = browser.new_context(
            viewport=WIDE, java_script_enabled=javascript, accept_downloads=True, locale=language
        )
        context.set_default_timeout(20_000)
        context.set_default_navigation_timeout(20_000)
        self.site = site
        self.javascript = javascript
        self.account: User = builders.account(role, password=PASSWORD)
        self.page: Page = context.new_page()
        self.status = 0
        self.faults: list[str] = []
        self.seen: list[str] = []  # what was read on each page
        self.page.on("console", self.heard)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self.asked)
        self.page.on("response", self.answered)

    def heard(self, message: ConsoleMessage) -> None:
        """Records console errors, including CSP violations, but not Chromium's own about a page's status."""
        of_page = message.location["url"] == self.page.url and self.status >= 400
        if message.type in ("error", "warning") and not (
            of_page and message.text.startswith("Failed to load resource")
        ):
            self.faults.append(message.text)

    def asked(self, request: Request) -> None:
        if not request.url.startswith(f"{self.site}/"):
            self.faults.append(f"asked another host: {request.url}")

    def answered(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.status = response.status
            if "default-src 'self'" not in response.headers.get("content-security-policy", ""):
                self.faults.append(f"no CSP: {response.url}")

    def go(self, address: str) -> None:
        self.page.goto(f"{self.site}{address}")

    def click(self, name: str, within: str = "main", role: Any = "link") -> None:
        """Clicks a link or button that opens another page."""
        self.follow(self.page.locator(within).get_by_role(role, name=name, exact=True).first)

    def follow(self, link: Locator) -> None:
        with self.page.expect_navigation():
            link.click()

    def fill(self, label: str, value: str) -> None:
        self.page.get_by_label(label, exact=True).fill(value)

    def press(self, name: str) -> None:
        self.click(name, role="button")

    def sign_in(self, password: str = PASSWORD) -> None:
        self.page.locator("[name=username]").fill(self.account.username)
        self.page.locator("[name=password]").fill(password)
        self.follow(self.page.locator("main button"))

    def look(self, heading: str, *texts: str, status: int = 200) -> None:
        """Checks the page's heading and texts, and examines it."""
        expect(self.page.locator("h1")).to_contain_text(heading)
        main = self.page.locator("main").inner_text()
        lines = [re.sub(r"\s+", " ", line).strip() for line in main.splitlines()]
        self.seen.append("\n".join(filter(None, lines)))
        assert self.status == status
        for text in texts:
            assert text in self.seen[-1]
        if self.javascript:
            self.page.evaluate(AXE_SCRIPT)
            self.examine("light", WIDE)
            self.examine("dark", NARROW)
            self.page.set_viewport_size(WIDE)
        assert self.faults == [], self.page.url

    def examine(self, scheme: str, size: dict[str, int]) -> None:
        """Checks the page with axe, and that it isn't wider than the screen."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size(size)
        passed, violated = self.page.evaluate(
            "options => axe.run(options).then(found => [found.passes.length, found.violations])", RULES
        )
        assert passed
        for rule in violated:
            self.faults += [f"{scheme}: {rule['id']}: {node['html']}" for node in rule["nodes"]]
        self.measure(size)

    def measure(self, size: dict[str, int]) -> None:
        """Checks that the page isn't wider than the screen."""
        self.page.set_viewport_size(size)
        if self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.faults.append(f"wider than {size['width']}")


@pytest.fixture
def walked(browser, live_server, committed) -> Callable[..., None]:
    """Takes a walk with and without JavaScript, and checks that both show the same."""

    def walk_twice(walk: Callable[[Visitor], None], role: str = ANALYST) -> None:
        with_script = Visitor(browser, live_server.url, role=role)
        walk(with_script)
        without = Visitor(browser, live_server.url, javascript=False, role=role)
        walk(without)
        assert with_script.seen == without.seen
        for visitor in (with_script, without):
            visitor.page.context.close()

    return walk_twice


@pytest.fixture
def visitor(browser, live_server, committed) -> Iterator[Visitor]:
    visitor = Visitor(browser, live_server.url)
    yield visitor
    visitor.page.context.close()


@pytest.fixture(autouse=True)
def short_pages(monkeypatch) -> None:
    """Shortens the pages of lists, because axe is slow with many rows."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 10)


@pytest.fixture
def book(committed) -> dict[str, Borrower]:
    """Creates June 2021 up to the 20th, May 2021 with 12 credits of 87.50, and June 2020."""
    with writing():
        people = {name: builders.borrower(login=name) for name in ("anna", "bohdan", "maria", "vira")}
        anna = builders.credit("2021-06-01", "1500.50", borrower=people["anna"], percent="20")
        builders.payment(anna, "2021-06-02", "1234.50")
        builders.payment(anna, "2021-06-20", "15.25", Dictionary.INTEREST)
        bohdan = builders.credit(
            "2020-06-10", 800, borrower=people["bohdan"], actual_return_date=date(2020, 6, 20)
        )
        builders.payment(bohdan, "2020-06-20", 800)
        day, due = date(2021, 5, 5), date(2021, 5, 19)
        small = {"issuance_date": day, "return_date": due, "body": Decimal("87.50"), "percent": Decimal(0)}
        Credit.objects.bulk_create(Credit(borrower=people["maria"], **small) for _ in range(12))
        builders.plan("2020-06", Dictionary.ISSUANCE, 1000)
        builders.plan("2021-05", Dictionary.ISSUANCE, 1000)
        builders.plan("2021-06", Dictionary.ISSUANCE, 3000)
        builders.plan("2021-06", Dictionary.COLLECTION, 2000)
    return people


def test_links_lead_from_the_overview_to_the_borrower(book, walked):
    """From overview to year, month, the credits and payments behind a figure, and their borrower."""

    def walk(visitor: Visitor) -> None:
        visitor.go("/")
        visitor.look("Sign in")
        visitor.sign_in()
        # Issued in June 2021: 1 500.50 of 3,000, of which 2,000 were due by the 20th; 800 a year before.
        june = (
            "1 500.50 UAH 2021-06-01 – 2021-06-20 Plan 3 000.00 Expected month end – Done 50.02 % "
            "Even pace 75.03 % Usual pace – Year on year +87.56 %"
        )
        year = (
            "2 550.50 UAH 2021-01-01 – 2021-06-20 Plan 4 000.00 Done 63.76 % "
            "Even pace 85.02 % Usual pace – Year on year +218.81 %"
        )
        visitor.look("Overview at 2021-06-20")
        overview = visitor.seen[-1].replace("\n", " ")
        assert june in overview
        assert year in overview

        visitor.click("2021")
        visitor.look(
            "Year performance 2021",
            "2021-05 12 1 000.00 1 050.00 105.00 % 41.17 % 0 0.00 0.00 – 0.00 %",
            "2021-06 1 3 000.00 1 500.50 50.02 % 58.83 % 2 2 000.00 1 249.75 62.49 % 100.00 %",
            "Total 13 4 000.00 2 550.50 63.76 % 100.00 % 2 2 000.00 1 249.75 62.49 % 100.00 %",
        )
        visitor.click("Beside the year before")
        visitor.look("Year on year 2020 – 2021", "2021-06 2021-06-20 1 500.50 800.00 +87.56 %")
        visitor.click("Against plan")
        visitor.click("2021-06")
        visitor.look(
            "June 2021",
            "2021-06-20 0 0.00 1 500.50 2 000.00 50.02 % 1 15.25 1 249.75 1 333.33 62.49 %",
            "Total 1 1 500.50 1 500.50 3 000.00 50.02 % 2 1 249.75 1 249.75 2 000.00 62.49 %",
        )
        visitor.click("1 249.75", within="thead")
        visitor.look("Payments", "2 found, 1 249.75 UAH in all.", "interest 15.25", "body 1 234.50")
        visitor.follow(visitor.page.locator(f"tbody a[href$='/{book['anna'].pk}/']").first)
        visitor.look("anna", "1 500.50 1 234.50 266.00 20.00 15.25 4.75")

        visitor.go("/reports/month/?month=2021-06")
        visitor.click("← May 2021")
        visitor.click("12")
        visitor.look("Credits", "12 found, 1 050.00 UAH in all.", "Next →", "Last")

    walked(walk)


def test_plans_page_steps_from_month_end_to_month_end(book, walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/reports/plans-performance/?check_date=2021-06-20")
        visitor.sign_in()
        # 1 499.50 in ten days; 2 250.75 a month at this rate.
        visitor.look(
            "Plans performance at 2021-06-20",
            "issuance 3 000.00 1 500.50 50.02 % 149.95 10 2 000.00 75.03 % 2 250.75 – – – –",
            "collection 2 000.00 1 249.75 62.49 % 75.03 10 1 333.33 93.73 % 1 874.63 – – – –",
            "2021-05 issuance 1 000.00 1 050.00 105.00 %",
            "Total issuance 5 000.00 3 350.50 67.01 %",
        )
        visitor.click("← 2021-05-31")
        visitor.look("Plans performance at 2021-05-31", "issuance 1 000.00 1 050.00 105.00 %")
        visitor.click("2021-06-30 →")
        visitor.click("2021-07-31 →")
        visitor.look("Plans performance at 2021-07-31", "There is no plan for July 2021.")
        visitor.fill("Date:", "2019-12-31")
        visitor.press("Show")
        visitor.look("Plans performance at 2019-12-31", "There is nothing in the book for this.")

    walked(walk)


def test_lists_are_searched_filtered_and_paged(book, walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/")
        visitor.sign_in()
        visitor.click("Rows", within="header")
        visitor.look("Credits", "As of today", "Next →", "Last")
        assert visitor.page.locator("tbody tr").count() == 10
        visitor.click("Next →")
        visitor.look(
            "Credits", "bohdan closed 2020-06-10 2020-06-24 2020-06-20 – 800.00 0.00", "First", "← Previous"
        )
        assert visitor.page.locator("tbody tr").count() == 4
        visitor.page.get_by_label("overdue").check()
        visitor.fill("Issued to:", "2021-05-31")
        visitor.press("Show")
        visitor.look("Credits", "12 found, 1 050.00 UAH in all.")
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("link", name="CSV").click()
        assert len(download.value.path().read_text().splitlines()) == 1 + 12
        visitor.go("/reports/credits/?borrower=0")
        visitor.look("Credits", "Ensure this value is greater than or equal to 1.", status=400)

        visitor.click("Payments", within="header")
        visitor.look("Payments")
        visitor.page.get_by_label("Purpose:").select_option("body")
        visitor.press("Show")
        visitor.look("Payments", "2 found, 2 034.50 UAH in all.")
        visitor.fill("Paid to:", "2019-01-01")
        visitor.press("Show")
        visitor.look("Payments", "Nothing was found.")

        visitor.click("Borrowers", within="header")
        visitor.look("Borrowers", "maria 2020-01-01 12 12 1 050.00", "anna 2020-01-01 1 1 266.00")
        visitor.fill("Login or id:", "vir")
        visitor.press("Show")
        visitor.click("vira")
        visitor.look("vira", "This borrower has no credits.")

    walked(walk)


def test_a_phone_has_one_menu(book, walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/?check_date=2021-06-15")
        visitor.sign_in()
        visitor.page.set_viewport_size(NARROW)
        visitor.page.get_by_text("Menu", exact=True).click()
        if visitor.javascript:
            visitor.page.evaluate(AXE_SCRIPT)
            visitor.examine("light", NARROW)
        visitor.click("Vintages", within=".menu")
        visitor.look("Vintages at 2021-06-15")

    walked(walk)


def test_pages_without_rows_say_so(book, walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/reports/year-performance/")
        visitor.sign_in()
        visitor.look("Year performance 2020", "Shown is the last whole year of the book.")
        visitor.fill("Year:", "1999")
        visitor.press("Show")
        visitor.look("Year performance 1999", "There is nothing in the book for this.")
        visitor.go("/reports/month/?month=1999-12")
        visitor.look("December 1999", "There is no plan, issuance or payment in December 1999.")
        visitor.go("/reports/year-performance/?year=1899&colour=red")
        visitor.look(
            "Year performance",
            "colour: expected one of these parameters",
            "Ensure this value is greater than or equal to 1900.",
            status=400,
        )

    walked(walk)


def test_an_empty_book_says_so_on_every_page(walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/")
        visitor.sign_in()
        visitor.look("Overview", "The book is empty.")
        visitor.click("Borrowers", within="header")
        visitor.look("Borrowers", "Nothing was found.")
        visitor.click("Rows", within="header")
        visitor.look("Credits", "Nothing was found.")
        visitor.click("Payments", within="header")
        visitor.look("Payments", "Nothing was found.")
        visitor.click("Plan", within="header")
        for title in ("Year performance", "Year on year", "Plans performance"):
            visitor.click(title, within="header")
            visitor.look(title, "There is nothing in the book for this.")
        visitor.click("A month by days", within="header")
        visitor.look(f"{timezone.localdate():%B %Y}", "There is no plan, issuance or payment")

    walked(walk)


def test_person_signs_in_changes_the_password_and_signs_out(walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/reports/borrowers/")
        visitor.sign_in("a wrong one")
        visitor.look("Sign in", "Please enter a correct username and password.")
        visitor.sign_in()
        visitor.look("Borrowers")
        visitor.click("Change password", within="header")
        visitor.look("Change password")
        visitor.fill("Old password:", PASSWORD)
        visitor.fill("New password:", OTHER_PASSWORD)
        visitor.fill("New password confirmation:", "something else")
        visitor.press("Change password")
        visitor.look("Change password", "The two password fields didn’t match.")
        visitor.fill("Old password:", PASSWORD)
        visitor.fill("New password:", OTHER_PASSWORD)
        visitor.fill("New password confirmation:", OTHER_PASSWORD)
        visitor.press("Change password")
        visitor.look("Overview")
        visitor.click("Sign out", within="header", role="button")
        visitor.look("Sign in")
        visitor.sign_in(OTHER_PASSWORD)
        visitor.look("Overview")

    walked(walk)


def test_error_pages_explain_what_happened(walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/accounts/login/")
        visitor.page.context.clear_cookies()
        visitor.sign_in()
        visitor.look("This form is out of date", status=403)
        visitor.go("/nowhere/")
        visitor.look("There is nothing here", "404", status=404)
        visitor.click("To the overview")
        visitor.sign_in()
        visitor.go("/reports/borrowers/77/")
        visitor.look("There is nothing here", "There is no borrower with the id 77.", status=404)
        visitor.go(f"/reports/credits/?{'a&' * 1001}")
        visitor.look("This request can't be understood", status=400)
        DataStamp.objects.all().delete()
        visitor.go("/reports/year-performance/?year=2021")
        visitor.look("Something went wrong on our side", status=500)
        builders.migrated()
        visitor.click("To the overview")
        visitor.look("Overview")

    walked(walk)


OPEN_PAGES = [page for page in urls.pages if not page.pattern.converters]
assert len(OPEN_PAGES) >= 20


@pytest.mark.once
def test_every_page_that_needs_no_parameters_can_be_read_everywhere(book, walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/")
        visitor.sign_in()
        for page in OPEN_PAGES:
            visitor.go(reverse(page.name))
            shown = page.callback.view_initkwargs
            visitor.look(
                "" if page.name == "month_page" else str((shown.get("report") or shown["listing"]).title)
            )

    walked(walk)


@pytest.mark.once
def test_every_page_can_be_read_in_ukrainian(browser, live_server, book):
    visitor = Visitor(browser, live_server.url, language="uk")
    visitor.go("/")
    visitor.sign_in()
    for name in [*(page.name for page in OPEN_PAGES), "saved_views_page", "password_change"]:
        visitor.go(reverse(name))
        expect(visitor.page.locator("html")).to_have_attribute("lang", "uk")
        visitor.page.evaluate(AXE_SCRIPT)
        visitor.examine("dark", NARROW)
        visitor.measure(WIDE)
        assert visitor.faults == [], visitor.page.url
    visitor.page.context.close()


@pytest.mark.parametrize("language", ["en", "uk"])
def test_the_overview_of_millions_fits_every_screen(browser, live_server, book, language):
    builders.credit("2021-06-20", "2123456789.50")
    visitor = Visitor(browser, live_server.url, language=language)
    visitor.go("/")
    visitor.sign_in()
    figures = visitor.page.locator(".figure")
    expect(figures.first).to_contain_text("2\u00a0123")
    for width in (390, 641, 1024, 1201, 1280, 1313, 1440):
        visitor.measure({"width": width, "height": 900})
        assert not figures.evaluate_all(
            "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
        )
    assert visitor.faults == []
    visitor.page.context.close()


def test_a_long_name_of_a_view_leaves_a_phone_room_for_the_rest(browser, live_server, committed):
    visitor = Visitor(browser, live_server.url)
    name = "Credits that were issued in the second quarter and are still open " + "?" * 34
    SavedView.objects.create(account=visitor.account, name=name, address="/reports/credits/")
    visitor.go("/reports/saved/")
    visitor.sign_in()
    visitor.page.set_viewport_size(NARROW)
    visitor.page.get_by_role("button", name="Delete").focus()  # scrolls the table
    visitor.press(f"Delete “{name}”")  # Playwright refuses if something lies over it
    visitor.look("Saved views", "Nothing is saved yet.")
    visitor.page.context.close()


def test_too_many_sign_ins_show_when_to_try_again(browser, live_server, committed, settings):
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] | {"sign_in": "1/day"}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": rates}
    visitor = Visitor(browser, live_server.url)
    visitor.go("/reports/borrowers/")
    visitor.sign_in("a wrong one")
    visitor.sign_in()
    visitor.look("Too many attempts", "For security, nobody can sign in from this address now.", status=429)
    visitor.click("Back to the form")
    visitor.look("Sign in")
    visitor.page.context.close()


def test_an_account_without_a_role_is_told_to_ask_for_one(walked):
    def walk(visitor: Visitor) -> None:
        visitor.go("/")
        visitor.sign_in()
        visitor.look("Your account may not see this", status=403)

    walked(walk, role="")


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/reports/year-performance/?year=2021",
        "/reports/year-on-year/?year=2021",
        "/reports/month/?month=2021-06",
        "/reports/plans-performance/?check_date=2021-06-20",
        "/reports/borrowers/{anna}/",
    ],
)
def test_every_figure_links_to_rows_that_add_up_to_it(browser, live_server, book, address):
    visitor = Visitor(browser, live_server.url)
    visitor.go(address.format(anna=book["anna"].pk))
    visitor.sign_in()
    links = visitor.page.locator(":is(td, .figure) a:is([href*='credits/?'], [href*='payments/?'])")
    figures = links.evaluate_all("links => links.map(link => [link.href, link.innerText])")
    behind: dict[str, set[str]] = {}  # {address: figures that lead there}
    for url, figure in figures:
        if figure not in ("0", "0.00") and "%" not in figure:
            behind.setdefault(url, set()).add(figure.removesuffix("\u00a0UAH"))
    assert behind
    for url, shown in behind.items():
        visitor.page.goto(url)
        said = re.search(
            r"([\d\u00a0]+) found, ([\d\u00a0.]+)\u00a0UAH in all\."
            r"(?: Outstanding: ([\d\u00a0.]+)\u00a0UAH\.)?",
            visitor.page.locator("main").inner_text(),
        )
        assert said, url
        column = "Body" if "/credits/" in url else "Sum"
        rows, owed = amounts(visitor, column), amounts(visitor, "Outstanding")
        while visitor.page.get_by_role("link", name="Next →").count():
            visitor.click("Next →")
            rows += amounts(visitor, column)
            owed += amounts(visitor, "Outstanding")
        assert (count(len(rows)), money(sum(rows))) == said.groups()[:2]
        assert said[3] in (None, money(sum(owed)))
        assert shown <= set(said.groups()), url


def amounts(visitor: Visitor, column: str) -> list[Decimal]:
    """Returns the amounts in a column of the list; none if it has no such column."""
    heads = visitor.page.locator("thead th").all_inner_texts()
    if column not in heads:
        return []
    cells = visitor.page.locator(f"tbody tr > :nth-child({heads.index(column) + 1})").all_inner_texts()
    return [Decimal(cell.replace("\u00a0", "")) for cell in cells]


# The texts of charts that overlap another one, or reach beyond their drawing.
COLLISIONS = """() => [...document.querySelectorAll('.chart > svg')].flatMap(svg => {
  const shown = text => text.checkVisibility({visibilityProperty: true}) && text.textContent.trim()
  const boxes = [...svg.querySelectorAll('text')].filter(shown)
    .map(text => [text, text.getBoundingClientRect()])
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom
  const holds = (a, b) => a.left < b.left + 1 && b.right < a.right + 1
    && a.top < b.top + 1 && b.bottom < a.bottom + 1
  const all = svg.getBoundingClientRect()
  return boxes.filter(([text, box], place) => !holds(all, box) || boxes.slice(place + 1).some(
    ([_, other]) => meet(box, other))).map(([text]) => text.textContent)
})"""


@pytest.mark.parametrize(
    ("address", "column", "values", "leads_to"),
    [
        ("year-performance/?year=2021", 1, "2021-063 000.001 500.50", "/reports/month/?month=2021-06"),
        (
            "month/?month=2021-06",
            19,
            "2021-06-202 000.001 500.50",
            "/reports/credits/?issued_from=2021-06-01&issued_to=2021-06-20",
        ),
        (
            "plans-performance/?check_date=2021-06-20",
            2,
            "2021-0650.02 %62.49 %",
            "/reports/month/?month=2021-06",
        ),
        ("vintages/?check_date=2021-06-30", 1, "1100.00 %0.00 %–43.24 %", None),
    ],
)
def test_a_column_shows_its_values_on_focus_and_no_texts_collide(
    browser, live_server, book, address, column, values, leads_to
):
    Note.objects.create(day=date(2021, 6, 1), text="Tariff changed")
    Note.objects.create(day=date(2021, 6, 20), text="Advertising on the radio " * 6)
    visitor = Visitor(browser, live_server.url)
    visitor.go(f"/reports/{address}")
    visitor.sign_in()
    page = visitor.page
    of_chart = page.locator("figure.chart:has(.column)").first
    shown = of_chart.locator(".value:visible")
    expect(shown).to_have_count(0)
    stops = of_chart.locator(".column > :first-child")
    if column:
        stops.nth(column - 1).focus()
        page.keyboard.press("Tab")  # one stop further
    else:
        stops.nth(column).focus()
    assert page.evaluate("document.activeElement.getAttribute('href')") == leads_to
    assert "".join(shown.all_text_contents()).replace("\u00a0", " ").replace("\u202f", " ") == values
    visitor.look("")
    for language in ("en", "uk"):
        page.context.set_extra_http_headers({"Accept-Language": language})
        page.reload()
        stops.nth(column).focus()
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            assert page.evaluate(COLLISIONS) == []
    page.context.close()


def test_the_checks_notice_faults(browser, live_server, committed):
    visitor = Visitor(browser, live_server.url)
    visitor.go("/accounts/login/")
    visitor.page.evaluate(
        "document.body.append(Object.assign(new Image(), {src: '/static/fintrack/icon.svg'}))"
    )
    visitor.page.evaluate(AXE_SCRIPT)
    visitor.examine("light", WIDE)
    assert [fault for fault in visitor.faults if "image-alt" in fault]
    visitor.faults.clear()
    visitor.page.evaluate("document.body.setAttribute('style', 'width: 200vw')")
    visitor.page.wait_for_timeout(200)
    assert "Content Security Policy" in visitor.faults[0]
    visitor.faults.clear()
    visitor.page.evaluate("document.body.style.width = '200vw'")
    visitor.examine("dark", NARROW)
    assert "wider than 390" in visitor.faults


def test_arrows_turn_pages_and_periods(book, visitor):
    visitor.go("/reports/month/?month=2021-06")
    visitor.sign_in()
    visitor.page.keyboard.press("ArrowLeft")
    expect(visitor.page.locator("h1")).to_contain_text("May 2021")
    visitor.page.keyboard.press("ArrowRight")
    expect(visitor.page.locator("h1")).to_contain_text("June 2021")
    visitor.go("/reports/credits/")  # 14 credits, ten a page
    expect(visitor.page.locator("tbody tr")).to_have_count(10)
    visitor.page.keyboard.press("ArrowRight")
    expect(visitor.page.locator("tbody tr")).to_have_count(4)
    visitor.page.keyboard.press("ArrowLeft")
    expect(visitor.page.locator("tbody tr")).to_have_count(10)
    assert visitor.faults == []


def test_arrows_leave_fields_and_wide_tables_alone(book, visitor):
    address = "/reports/month/?month=2021-06"
    visitor.go(address)
    visitor.sign_in()
    visitor.page.get_by_label("Month:").focus()
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.locator("h1").click()
    visitor.page.keyboard.press("Control+ArrowLeft")
    visitor.page.set_viewport_size(NARROW)
    table = visitor.page.locator("main .scroll").first
    table.focus()
    visitor.page.keyboard.press("ArrowRight")
    expect(table).not_to_have_js_property("scrollLeft", 0)
    assert visitor.page.url == f"{visitor.site}{address}"


def test_slash_goes_to_the_first_field_and_question_mark_lists_the_keys(book, visitor):
    visitor.go("/reports/credits/")
    visitor.sign_in()
    visitor.page.keyboard.press("/")
    first = visitor.page.get_by_label("Issued from:")
    expect(first).to_be_focused()
    visitor.page.keyboard.press("?")  # in a field it is a character
    keys = visitor.page.get_by_role("dialog", name="Keys")
    expect(keys).to_be_hidden()
    first.blur()
    visitor.page.keyboard.press("?")
    expect(keys).to_contain_text("this list")
    visitor.page.evaluate(AXE_SCRIPT)
    visitor.examine("light", WIDE)
    visitor.examine("dark", NARROW)
    visitor.page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    visitor.page.get_by_role("button", name="Keys ?").click()
    expect(keys).to_be_visible()
    visitor.page.get_by_role("button", name="Close").click()
    expect(keys).to_be_hidden()
    assert visitor.faults == []


@pytest.mark.parametrize("javascript", [True, False])
def test_a_page_is_saved_and_opened_again(browser, live_server, book, javascript):
    visitor = Visitor(browser, live_server.url, javascript=javascript)
    visitor.go("/reports/credits/?issued_from=2021-q2&state=open")
    visitor.sign_in()
    visitor.page.locator("summary", has_text="Save this view").click()
    visitor.fill("Name", "Open since April")
    visitor.page.get_by_label("Shared with everybody").check()
    visitor.look("Credits", "13 found")
    visitor.press("Save")
    visitor.look("Saved views", f"Open since April Credits {visitor.account.username} everybody Delete")
    visitor.click("Open since April")
    visitor.look("Credits", "13 found")
    visitor.click("Saved", within="nav.reports")
    visitor.press("Delete “Open since April”")
    visitor.look("Saved views", "Nothing is saved yet.")
    visitor.page.context.close()
