"""Report pages: form, table with totals, errors, downloads. test_browser.py has the browser tests."""

import re
from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from django.utils.html import strip_tags

from credits.models import Dictionary
from fintrack.access import ANALYST
from reports.templatetags import figures

from . import builders

pytestmark = pytest.mark.django_db

PAGES = {
    "/reports/year-performance/": "year=2021",
    "/reports/plans-performance/": "check_date=2021-06-15",
    "/reports/user-credits/": "user_id={borrower}",
}


@pytest.fixture
def book():
    credit = builders.credit("2021-06-01", "1500.50", percent="20")
    builders.payment(credit, "2021-06-02", "1234.5")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")
    builders.plan("2021-06", Dictionary.COLLECTION, "0")
    return credit


def cells(response) -> list[list[str]]:
    """Returns the text of the cells of the tables' bodies and footers."""
    html = re.sub(r"<thead>.*?</thead>", "", response.content.decode(), flags=re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
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
        ["видача", *this_month],
        ["збір", "0.00", "1\u00a0234.50", "–", "-82.30", "15", "0.00", "–", "2\u00a0469.00", *["–"] * 4],
        ["2021-05", "видача", "1\u00a0000.00", "0.00", "0.00\u202f%"],
        ["Total", "видача", "4\u00a0000.00", "1\u00a0500.50", "37.51\u202f%"],
        ["Total", "збір", "0.00", "1\u00a0234.50", "–"],
    ]


@time_machine.travel("2021-07-01", tick=False)
def test_user_credits_shows_open_and_closed_credits_and_sums(book, analyst):
    closed = builders.credit(
        "2021-01-01", "100", borrower=book.borrower, actual_return_date="2021-01-05", percent="7.25"
    )
    builders.payment(closed, "2021-01-05", "107.25")
    response = analyst.get(f"/reports/user-credits/?user_id={book.borrower_id}")
    assert cells(response) == [
        [
            str(book.pk),
            "2021-06-01",
            "2021-06-15",
            "open",
            "16",
            "1\u00a0500.50",
            "20.00",
            "–",
            "1\u00a0234.50",
            "0.00",
        ],
        [str(closed.pk), "2021-01-01", "2021-01-15", "2021-01-05", "–", "100.00", "7.25", "107.25", "–", "–"],
        ["Total", "", "1\u00a0600.50", "27.25", "107.25", "1\u00a0234.50", "0.00"],
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


@pytest.mark.parametrize("address", PAGES)
def test_a_page_without_parameters_shows_only_the_form(analyst, address):
    response = analyst.get(address)
    assert response.status_code == 200
    assert b"<form" in response.content
    assert b"<table" not in response.content
    assert b"errorlist" not in response.content


@time_machine.travel("2021-12-31 23:00 +0000", tick=False)  # already 2022 in Kyiv
def test_forms_default_to_today(analyst):
    assert b'name="year" value="2022"' in analyst.get("/reports/year-performance/").content
    assert b'name="check_date" value="2022-01-01"' in analyst.get("/reports/plans-performance/").content


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("/reports/year-performance/?year=1899", "Ensure this value is greater than or equal to 1900."),
        ("/reports/year-performance/?year=x", "Enter a whole number."),
        ("/reports/year-performance/?year=2021&colour=red", "colour: expected one of these parameters"),
        ("/reports/year-performance/?year=2021&year=2022", "year: expected one value"),
        ("/reports/plans-performance/?check_date=15.06.2021", "Enter a valid date."),
        ("/reports/user-credits/?user_id=0", "Ensure this value is greater than or equal to 1."),
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
    response = analyst.get("/reports/user-credits/?user_id=77")
    assert response.status_code == 404
    assert "There is no borrower with the id 77." in response.content.decode()


def test_an_unknown_address_has_a_404_page(analyst):
    response = analyst.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert "Resolver404" not in response.content.decode()


def test_home_links_to_every_report(analyst):
    html = analyst.get("/").content.decode()
    for address in PAGES:
        assert f'href="{address}"' in html


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
