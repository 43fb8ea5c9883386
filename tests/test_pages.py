"""Report pages: form, table with totals, errors, downloads. test_browser.py has the browser tests."""

import re
from decimal import Decimal
from html import unescape

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from credits.models import Dictionary
from fintrack.access import ANALYST
from reports import urls
from reports.templatetags import figures

from . import builders

pytestmark = pytest.mark.django_db

PAGES = {
    "/reports/year-performance/": "year=2021",
    "/reports/plans-performance/": "check_date=2021-06-15",
    "/reports/month/": "month=2021-06",
}


@pytest.fixture
def book():
    credit = builders.credit("2021-06-01", "1500.50", percent="20")
    builders.payment(credit, "2021-06-02", "1234.5")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")
    builders.plan("2021-06", Dictionary.COLLECTION, "0")
    return credit


def cells(response) -> list[list[str]]:
    """Returns the text of the cells of the tables, without the headings of columns."""
    html = re.sub(
        r"<thead>.*?</thead>",
        lambda head: "".join(re.findall(r'<tr class="total">.*?</tr>', head[0], re.DOTALL)),
        response.content.decode(),
        flags=re.DOTALL,
    )
    rows = re.findall(r'<tr(?: class="total")?>(.*?)</tr>', html, re.DOTALL)
    return [
        [strip_tags(cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def test_year_performance_shows_months_and_totals(book, analyst):
    response = analyst.get("/reports/year-performance/?year=2021")
    expected = ["1", "3\u00a0000.00", "1\u00a0500.50", "50.02\u202f%", "100.00\u202f%"]
    expected += ["1", "0.00", "1\u00a0234.50", "–", "100.00\u202f%"]
    assert cells(response) == [["2021-06", *expected], ["Total", *expected]]


def test_plans_performance_shows_the_dates_month_first(book, analyst):
    builders.plan("2021-05", Dictionary.ISSUANCE, "1000")
    response = analyst.get("/reports/plans-performance/?check_date=2021-06-15")
    this_month = [
        "3\u00a0000.00",
        "1\u00a0500.50",
        "50.02\u202f%",
        "99.97",
        "15",
        "1\u00a0500.00",
        "100.03\u202f%",
        "3\u00a0001.00",
        *["–"] * 4,
    ]
    assert cells(response) == [
        ["issuance", *this_month],
        [
            *["collection", "0.00", "1\u00a0234.50", "–", "-82.30", "15", "0.00", "–", "2\u00a0469.00"],
            *["–"] * 4,
        ],
        ["Total", "issuance", "4\u00a0000.00", "1\u00a0500.50", "37.51\u202f%"],
        ["Total", "collection", "0.00", "1\u00a0234.50", "–"],
        ["2021-05", "issuance", "1\u00a0000.00", "0.00", "0.00\u202f%"],
    ]


@pytest.mark.parametrize(("address", "query"), PAGES.items())
def test_a_page_has_a_form_a_formula_and_downloads(book, analyst, address, query):
    query = query.format(borrower=book.borrower_id)
    response = analyst.get(f"{address}?{query}")
    html = response.content.decode()
    assert response.status_code == 200
    assert str(response.context["report"].formula) in html.replace("&#x27;", "'")
    for kind in ("csv", "xlsx"):
        assert f'href="?{query}&amp;format={kind}"' in html
        assert analyst.get(f"{address}?{query}&format={kind}").status_code == 200
    name, value = query.split("=")
    assert re.search(rf'name="{name}" value="{value}"', html)


@pytest.fixture
def two_years():
    """A book from 20 January 2021 to 10 March 2022."""
    builders.credit("2021-01-20")
    builders.payment(builders.credit("2021-12-30"), "2022-03-10", 1)


@pytest.mark.parametrize(
    ("address", "name", "value", "said"),
    [
        ("/", "check_date", "2022-03-10", "the last day of the book"),
        ("/reports/year-performance/", "year", "2021", "the last whole year of the book"),
        ("/reports/year-on-year/", "year", "2021", "the last whole year of the book"),
        ("/reports/month/", "month", "2021-12", "the last whole month of the book"),
        ("/reports/roll-rates/", "month", "2022-02", "the last whole month of the book"),
        ("/reports/plans-performance/", "check_date", "2022-03-10", "the last day of the book"),
        ("/reports/ageing/", "check_date", "2022-03-10", "the last day of the book"),
    ],
)
@time_machine.travel("2022-05-17 12:00 +0000", tick=False)
def test_a_page_that_is_opened_without_a_period_answers_for_the_last_one(
    committed, two_years, client_as, address, name, value, said
):
    analyst = client_as(ANALYST)
    for cached in ("miss", "hit"):
        response = analyst.get(address)
        html = response.content.decode()
        assert response["X-Cache"] == cached
        assert re.search(rf'name="{name}" value="{value}"', html)
        assert f"Shown is {said}." in html
    assert "Shown is" not in analyst.get(f"{address}?{name}={value}").content.decode()


@pytest.mark.parametrize(
    ("issued", "last", "year", "month"),
    [
        # While no year or month is whole, the first one is shown.
        ("2022-03-01", "2022-03-10", "first 2022", "first 2022-03"),
        ("2022-02-20", "2022-03-10", "first 2022", "last whole 2022-02"),
        # Months and years without an issuance or a payment are passed over.
        ("2020-01-20", "2022-03-10", "last whole 2020", "last whole 2020-01"),
        # A month and a year are over on their last day.
        ("2021-11-20", "2021-12-31", "last whole 2021", "last whole 2021-12"),
        ("2021-11-20", "2021-12-30", "first 2021", "last whole 2021-11"),
    ],
)
@time_machine.travel("2022-03-15 12:00 +0000", tick=False)
def test_the_period_shown_is_the_last_whole_one_of_the_book(client_as, issued, last, year, month):
    builders.payment(builders.credit(issued), last, 1)
    for address, name, shown in (("year-performance", "year", year), ("month", "month", month)):
        html = client_as(ANALYST).get(f"/reports/{address}/").content.decode()
        which, value = shown.rsplit(" ", 1)
        assert f'name="{name}" value="{value}"' in html
        assert f"Shown is the {which} {name} of the book." in html


@time_machine.travel("2022-03-15 12:00 +0000", tick=False)
def test_roll_rates_of_a_book_without_a_whole_month_name_none(client_as):
    builders.credit("2022-03-01")
    html = client_as(ANALYST).get("/reports/roll-rates/").content.decode()
    assert "There is nothing in the book for this." in html
    assert "Shown is" not in html


@time_machine.travel("2021-12-31 23:00 +0000", tick=False)  # already 2022 in Kyiv
def test_an_empty_book_is_shown_today(client_as):
    analyst = client_as(ANALYST)
    for address in ("/", "/reports/year-performance/", "/reports/month/", "/reports/roll-rates/"):
        assert "Shown is" not in analyst.get(address).content.decode()
    assert b'name="year" value="2022"' in analyst.get("/reports/year-performance/").content
    assert b'name="check_date" value="2022-01-01"' in analyst.get("/reports/plans-performance/").content


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("/reports/month/?month=month-1", "/reports/month/?month=2022-04"),
        ("/reports/year-performance/?year=year-1", "/reports/year-performance/?year=2021"),
        ("/reports/ageing/?check_date=2021-q2", "/reports/ageing/?check_date=2021-06-30"),
        ("/?check_date=month", "/?check_date=2022-05-17"),
        (
            "/reports/credits/?issued_from=2021&issued_to=2021-q4",
            "/reports/credits/?issued_from=2021-01-01&issued_to=2021-12-31",
        ),
        (
            "/reports/payments/?paid_from=month-2&paid_to=month-2",
            "/reports/payments/?paid_from=2022-03-01&paid_to=2022-03-31",
        ),
    ],
)
@time_machine.travel("2022-05-17 12:00 +0000", tick=False)
def test_an_address_can_name_periods_which_move_on_until_they_are_fixed(two_years, client_as, address, same):
    analyst = client_as(ANALYST)
    named, fixed = analyst.get(address), analyst.get(same)
    assert cells(named) == cells(fixed)
    query = same.partition("?")[2]
    assert f'href="?{query}">Fix the dates</a>' in unescape(named.content.decode())
    assert "Fix the dates" not in fixed.content.decode()
    assert analyst.get(f"{address}&format=csv").getvalue() == analyst.get(f"{same}&format=csv").getvalue()


def test_the_api_takes_no_periods(analyst):
    for query in ("month?month=month-1", "year_performance?year=year", "ageing?check_date=2021-q2"):
        assert analyst.get(f"/api/v1/{query}").status_code == 400


def test_presets_keep_the_other_parameters(analyst):
    html = unescape(analyst.get("/reports/forecast/?check_date=2022-06-30&issuance=5").content.decode())
    assert '<a href="?check_date=today-1&issuance=5">Yesterday</a>' in html
    assert '<a href="?check_date=month-1&issuance=5">End of last month</a>' in html


def test_a_refused_page_names_no_period_and_links_to_pages_that_answer(analyst):
    for query in ("check_date=bad&format=csv", "check_date=month&format=pdf", "colour=red"):
        response = analyst.get(f"/reports/plans-performance/?{query}")
        html = unescape(response.content.decode())
        assert response.status_code == 400
        assert "Shown is" not in html
        assert "The dates are those" not in html
        assert "format=" not in html
        assert 'href="/reports/ageing/"' in html


@pytest.mark.parametrize(
    ("address", "links"),
    [
        ("/?check_date=2022-06-15", ["year=2022", "month=2022-06", "check_date=2022-06-15"]),
        ("/reports/month/?month=2022-06", ["year=2022", "month=2022-06", "check_date=2022-06"]),
        ("/reports/ageing/?check_date=month-1", ["year=month-1", "month=month-1", "check_date=month-1"]),
        ("/reports/ageing/?check_date=2021-q2", ["year=2021-q2", "month=2021-q2", "check_date=2021-q2"]),
    ],
)
def test_the_period_goes_along_to_the_next_report(analyst, address, links):
    html = unescape(analyst.get(address).content.decode())
    year, month, day = links
    for link in (f"year-performance/?{year}", f"month/?{month}", f"plans-performance/?{day}"):
        assert f'href="/reports/{link}"' in html
        assert analyst.get(f"/reports/{link}").status_code == 200
    assert 'href="/reports/credits/"' in html


def test_without_a_period_links_have_none(analyst):
    html = analyst.get("/reports/credits/?check_date=2022-06-15").content.decode()
    assert 'href="/reports/ageing/?check_date=2022-06-15"' in html
    assert 'href="/reports/ageing/"' in analyst.get("/reports/ageing/").content.decode()


def test_the_earlier_page_of_a_borrowers_credits_leads_to_the_borrower(analyst):
    for query, address in (
        ("?user_id=10", "/reports/borrowers/10/"),
        ("", "/reports/borrowers/"),
        ("?user_id=x", "/reports/borrowers/"),
    ):
        assert analyst.get(f"/reports/user-credits/{query}")["Location"] == address


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("/reports/year-performance/?year=1899", "Ensure this value is greater than or equal to 1900."),
        ("/reports/year-performance/?year=x", "Enter a whole number."),
        ("/reports/year-performance/?year=2021&colour=red", "colour: expected one of these parameters"),
        ("/reports/year-performance/?year=2021&year=2022", "year: expected one value"),
        ("/reports/plans-performance/?check_date=15.06.2021", "Enter a valid date."),
        ("/reports/year-performance/?year=2021&format=pdf", "Select a valid choice."),
    ],
)
def test_invalid_forms_return_400_with_errors(analyst, address, error):
    response = analyst.get(address)
    assert response.status_code == 400
    assert error in response.content.decode()
    assert b"<table" not in response.content


@pytest.mark.parametrize(
    ("address", "neighbours"),
    [
        ("/?check_date=0001-01-01", []),
        ("/?check_date=9999-12-31", []),
        ("/reports/month/?month=0001-01", ["?month=0001-02"]),
        ("/reports/month/?month=9999-12", ["?month=9999-11"]),
        ("/reports/plans-performance/?check_date=0001-01-31", []),  # no plan exists by then
        (
            "/reports/plans-performance/?check_date=9999-11-05",
            ["?check_date=9999-10-31", "?check_date=9999-12-31"],
        ),
        ("/reports/plans-performance/?check_date=9999-12-31", ["?check_date=9999-11-30"]),
        ("/reports/year-performance/?year=1900", ["?year=1901"]),
        ("/reports/year-performance/?year=2999", ["?year=2998"]),
        ("/reports/year-on-year/?year=1900", ["?year=1901"]),
        ("/reports/year-on-year/?year=2999", ["?year=2998"]),
    ],
)
@time_machine.travel("3000-01-01 12:00 +0000", tick=False)
def test_steps_never_lead_before_the_first_or_after_the_last_date(client_as, address, neighbours):
    analyst = client_as(ANALYST)
    for year in (1900, 2999):
        builders.plan(f"{year}-01", Dictionary.ISSUANCE, 1000)
        builders.credit(f"{year}-01-01")
    response = analyst.get(address)
    assert response.status_code == 200
    assert re.findall(r'rel="(?:prev|next)" href="([^"]+)"', response.content.decode()) == neighbours
    for neighbour in neighbours:
        assert analyst.get(f"{address.partition('?')[0]}{neighbour}").status_code == 200


def test_a_report_without_rows_says_so(analyst):
    response = analyst.get("/reports/year-performance/?year=1999")
    assert response.status_code == 200
    assert "There is nothing in the book for this." in response.content.decode()


def test_an_unknown_borrower_is_404_and_named(analyst):
    response = analyst.get("/reports/borrowers/77/")
    assert response.status_code == 404
    assert "There is no borrower with the id 77." in response.content.decode()


def test_an_unknown_address_has_a_404_page(analyst):
    response = analyst.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert "Resolver404" not in response.content.decode()


def test_the_menu_links_to_every_page(analyst):
    html = analyst.get("/").content.decode()
    menu = html[html.index('<details class="menu">') : html.index("</details>")]
    pages = [page for page in urls.pages if not page.pattern.converters]
    assert len(pages) >= 20
    for page in pages:
        assert f'href="{reverse(page.name)}"' in menu
    assert 'href="/api/docs/"' in menu


def test_the_group_of_the_page_is_open_in_the_navigation(analyst):
    html = analyst.get("/reports/vintages/").content.decode()
    top = html[html.index('<nav class="reports"') : html.index("</nav>")]
    assert re.findall(r'aria-current="(\w+)">([^<]+)<', top) == [("true", "Cohorts"), ("page", "Vintages")]
    assert re.findall(r">([^<>]+)</a>", top) == [
        *("Overview", "Plan", "Book", "Cohorts", "Borrowers", "Rows", "Saved", "API"),
        *("Vintages", "Collection efficiency", "First-payment default", "New and returning"),
    ]


def printed(response) -> str:
    """Returns the text that only prints show: the chosen parameters, and the foot."""
    found = re.findall(
        r'<dl class="chosen".*?</dl>|<footer class="printed">.*?</footer>', response.text, re.DOTALL
    )
    return " ".join(strip_tags(" ".join(found)).split())


@pytest.mark.parametrize(
    ("address", "chosen"),
    [
        ("/reports/month/?month=2021-06", "Month 2021-06"),
        ("/reports/month/?month=2021-q2", "Month 2021-06"),
        ("/reports/ageing/", "Date 2021-06-02"),
        ("/reports/year-performance/", "Year 2021"),
        ("/reports/top-borrowers/?check_date=2021-06-15", "Date 2021-06-15"),
        (
            "/reports/credits/?issued_from=2021-06-01&state=open&state=overdue&late=0&history=new",
            "Issued from 2021-06-01 State open, overdue Late, days after due 0 Borrower was new",
        ),
        ("/reports/payments/", ""),
        ("/reports/payments/?kind=1", "Purpose body"),
    ],
)
@time_machine.travel("2026-11-27 12:00 +0200")
def test_a_print_names_parameters_the_last_day_of_the_book_and_the_reader(book, analyst, address, chosen):
    response = analyst.get(address)
    of_book = "The last issuance or payment in the book: 2021-06-02."
    moment = f"Printed 2026-11-27 12:00 by {User.objects.get().username}."
    without_state = re.sub(r" State of the book:.* same book\.", "", printed(response))
    assert without_state == f"{chosen} {of_book} {moment}".strip()


def test_a_print_of_a_refused_question_names_the_reader_only(book, analyst):
    text = printed(analyst.get("/reports/payments/?kind=9"))
    assert re.fullmatch(r"Printed [0-9-]+ [0-9:]+ by analyst[0-9]+\.", text)


STEPS = {
    "/reports/year-performance/": ["?year=2020", "?year=2022"],
    "/reports/year-on-year/": ["?year=2020", "?year=2022"],
    "/reports/month/?month=2021-06": ["?month=2021-05", "?month=2021-07"],
    "/reports/roll-rates/?month=2021-06": ["?month=2021-05", "?month=2021-07"],
    **{
        f"/reports/{name}/?check_date=2021-06-30": ["?check_date=2021-05-31", "?check_date=2021-07-31"]
        for name in (
            "plans-performance",
            "forecast",
            "ageing",
            "portfolio-trend",
            "provisions",
            "vintages",
            "top-borrowers",
        )
    },
}


@pytest.mark.parametrize(("address", "steps"), STEPS.items())
def test_steps_say_which_is_before_and_which_is_after(book, analyst, address, steps):
    """The arrow keys follow these links."""
    html = analyst.get(address).text
    found = [re.findall(rf'<a rel="{rel}" href="([^"&]+)', html) for rel in ("prev", "next")]
    assert found == [[step] for step in steps]
    assert not re.search(r"<a (?!rel=)[^>]*>(←|[^<]* →)", html)


def test_pages_need_sign_in_and_a_role(stranger):
    response = Client().get("/reports/year-performance/?year=2021")
    assert (response.status_code, response["Location"]) == (
        302,
        "/accounts/login/?next=/reports/year-performance/%3Fyear%3D2021",
    )
    refused = stranger.get("/reports/year-performance/?year=2021")
    assert refused.status_code == 403
    assert "Your account may not see this" in refused.content.decode()


def test_pages_with_figures_are_private(book, analyst):
    response = analyst.get("/reports/year-performance/?year=2021")
    assert response["Cache-Control"] == "private, no-cache"
    assert "ETag" not in response


@pytest.mark.parametrize(
    ("filter_", "value", "text"),
    [
        (figures.money, Decimal("1234567.5"), "1\u00a0234\u00a0567.50"),
        (figures.money, Decimal("-0.5"), "-0.50"),
        (figures.money, None, "–"),
        (figures.percent, Decimal("106.5"), "106.50\u202f%"),
        (figures.percent, None, "–"),
        (figures.count, 1234, "1\u00a0234"),
        (figures.count, None, "–"),
        (figures.day, None, "–"),
    ],
)
def test_figures_are_formatted_for_people(filter_, value, text):
    assert filter_(value) == text


def test_a_page_names_the_currency_also_when_it_comes_from_the_cache(committed, analyst, settings):
    settings.CURRENCY = "EUR"
    builders.credit("2021-06-01", 100)
    pages = [analyst.get("/reports/year-performance/?year=2021") for _ in range(2)]
    assert [page["X-Cache"] for page in pages] == ["miss", "hit"]
    assert all("All amounts are in EUR." in page.content.decode() for page in pages)
