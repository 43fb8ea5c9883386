"""The overview of this month and this year: every figure is calculated by hand."""

import re
from html import unescape

import pytest
import time_machine

from credits.models import Dictionary

from . import builders
from .test_pace import steady_book

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    """Plans: January 3,100, February 2,800, December 600. Issued by 14 February 1,500, a year before 400."""
    builders.plan("2022-01", Dictionary.ISSUANCE, "3100")
    builders.plan("2022-02", Dictionary.ISSUANCE, "2800")
    builders.plan("2022-12", Dictionary.ISSUANCE, "600")
    builders.plan("2021-02", Dictionary.ISSUANCE, "9")
    first = builders.credit("2022-01-05", "1000")
    builders.credit("2022-02-14", "500")
    builders.credit("2022-02-15", "70")
    builders.credit("2021-02-14", "400")
    builders.credit("2021-02-15", "70")
    builders.credit("2021-12-31", "70")
    builders.payment(first, "2022-02-14", "12.34")


def ask(client, **query):
    return client.get("/api/v1/overview", query).json()


def test_month_and_year_are_compared_with_plan_and_the_year_before(book, analyst):
    month, month_collected, year, year_collected = ask(analyst, check_date="2022-02-14")
    assert month == {
        "stretch": "month",
        "kind": "issuance",
        "since": "2022-02-01",
        "until": "2022-02-14",
        "count": 1,
        "actual_sum": 500,
        "plan_sum": 2800,
        "performance_percent": 17.86,  # 500 / 2,800
        "expected_sum": 1400,  # 2,800 × 14 / 28
        "pace_percent": 35.71,
        "before_sum": 400,
        "change_percent": 25,
        "usual_expected_sum": None,
        "usual_pace_percent": None,
        "usual_month_end_sum": None,
    }
    assert year == {
        "stretch": "year",
        "kind": "issuance",
        "since": "2022-01-01",
        "until": "2022-02-14",
        "count": 2,
        "actual_sum": 1500,
        "plan_sum": 6500,
        "performance_percent": 23.08,
        "expected_sum": 4500,  # 3,100 + 1,400
        "pace_percent": 33.33,
        "before_sum": 400,
        "change_percent": 275,
        "usual_expected_sum": None,
        "usual_pace_percent": None,
        "usual_month_end_sum": None,
    }
    for row, stretch, since in (
        (month_collected, "month", "2022-02-01"),
        (year_collected, "year", "2022-01-01"),
    ):
        assert row == {
            "stretch": stretch,
            "kind": "collection",
            "since": since,
            "until": "2022-02-14",
            "count": 1,
            "actual_sum": 12.34,
            "plan_sum": 0,
            "performance_percent": None,
            "expected_sum": 0,
            "pace_percent": None,
            "before_sum": 0,
            "change_percent": None,
            "usual_expected_sum": None,
            "usual_pace_percent": None,
            "usual_month_end_sum": None,
        }


def test_usual_pace_takes_the_share_of_the_month_that_is_usually_there(analyst):
    steady_book()
    builders.plan("2021-02", Dictionary.COLLECTION, 1000)
    names = ("actual_sum", "usual_expected_sum", "usual_pace_percent", "usual_month_end_sum")
    assert [[row[name] for name in names] for row in ask(analyst, check_date="2021-11-10")] == [
        [1000, 900, 111.11, 1000],  # all of 900
        [500, 600, 83.33, 1000],  # half of 1,200
        [11000, 9500, 115.79, None],  # 6 × 1,000 + 600 + 2,000 before, and 900
        [10000, 1600, 625, None],  # 1,000 before, and 600
    ]


def card(html, number):
    """Returns the pairs of a card's list."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html.split('<section class="card">')[number])
    return [(term, unescape(text)) for term, text in pairs]


def test_the_cards_of_the_month_show_what_is_expected_at_its_end(analyst):
    steady_book()
    html = analyst.get("/", {"check_date": "2021-11-10"}).content.decode()
    plans = "/reports/plans-performance/?check_date=2021-11-10"
    assert card(html, 1) == [
        ("Plan", f'<a href="{plans}">900.00</a>'),
        ("Expected month end", "1\u00a0000.00"),
        ("Done", "111.11\u202f%"),
        ("Even pace", "333.33\u202f%"),
        ("Usual pace", "111.11\u202f%"),
        ("Year on year", "–"),
    ]
    assert card(html, 2) == [
        ("Plan", f'<a href="{plans}">1\u00a0200.00</a>'),
        ("Expected month end", "1\u00a0000.00"),
        ("Forecast", '<a href="/reports/forecast/?check_date=2021-11-10">950.00</a>'),
        ("Done", "41.67\u202f%"),
        ("Even pace", "125.00\u202f%"),
        ("Usual pace", "83.33\u202f%"),
        ("Year on year", "–"),
    ]
    of_year = ["Plan", "Done", "Even pace", "Usual pace", "Year on year"]
    assert [[term for term, _text in card(html, number)] for number in (3, 4)] == [of_year, of_year]


def test_on_a_months_last_day_the_card_shows_the_forecast_from_before_the_month(analyst):
    steady_book()
    html = analyst.get("/", {"check_date": "2021-10-31"}).content.decode()
    assert ("Forecast", '<a href="/reports/forecast/?check_date=2021-10-31">1\u00a0000.00</a>') in card(
        html, 2
    )


def test_without_months_to_learn_from_a_card_says_so(book, analyst):
    html = analyst.get("/", {"check_date": "2022-02-14"}).content.decode()
    assert card(html, 2)[1:3] == [("Expected month end", "–"), ("Forecast", "too few months to learn from")]


@pytest.mark.parametrize(("today", "until"), [("2022-06-01", "2022-02-15"), ("2022-02-14", "2022-02-14")])
def test_the_default_date_is_the_books_last_day_up_to_today(book, analyst, today, until):
    with time_machine.travel(today, tick=False):
        assert {row["until"] for row in ask(analyst)} == {until}
        page = analyst.get("/")
    assert f"at {until}" in page.content.decode()


def test_the_charts_end_at_the_date(book, analyst):
    page = analyst.get("/", {"check_date": "2022-02-14"})
    assert [day.day.day for day in page.context["days"]] == list(range(1, 15))
    january, february = page.context["months"]
    assert (january.actual_issuance_sum, february.actual_issuance_sum) == (1000, 500)


def test_the_chart_of_the_year_has_room_for_every_month(analyst):
    builders.plan("2021-02", Dictionary.ISSUANCE, 700)
    builders.credit("2021-05-03", 500)
    months = analyst.get("/", {"check_date": "2021-05-20"}).context["months"]
    assert [(row.plan_issuance_sum, row.actual_issuance_sum) for row in months] == [
        (0, 0),
        (700, 0),
        (0, 0),
        (0, 0),
        (0, 500),
    ]
    assert len(analyst.get("/", {"check_date": "2021-06-20"}).context["months"]) == 6


def test_an_empty_book_says_so(analyst):
    assert ask(analyst) == []
    assert "The book is empty." in analyst.get("/").content.decode()


@pytest.fixture
def portfolio():
    """At the end of February 1,000 are outstanding: 250 are 35 days past due, and 750 are 5 days past due."""
    builders.payment(builders.credit("2022-01-10", 1000), "2022-01-31", 750)  # due on 24 January
    builders.credit("2022-02-09", 750)  # due on 23 February


def test_two_cards_show_the_portfolio_at_the_date(portfolio, analyst):
    html = unescape(analyst.get("/", {"check_date": "2022-02-28"}).content.decode())
    _four, outstanding, at_risk = html.rsplit('<section class="card">', 2)
    of_day = "/reports/credits/?state=open&check_date=2022-02-28"
    assert re.findall(r'<a href="([^"]+)">([^<]+)</a>', outstanding) == [
        ("/reports/portfolio-trend/?check_date=2022-02-28", "Outstanding"),
        (of_day, "1\u00a0000.00"),
        (of_day, "2"),
        (f"{of_day}&due_to=2022-02-27", "2"),
    ]
    assert re.findall(r'<a href="([^"?]+\?[^"]+)">([^<]+)</a>', at_risk)[:5] == [
        ("/reports/ageing/?check_date=2022-02-28", "Portfolio at risk, PAR>30"),
        (f"{of_day}&due_to=2022-01-28", "25.00\u202f%"),
        (f"{of_day}&due_to=2022-02-27", "100.00\u202f%"),
        (f"{of_day}&due_to=2021-12-29", "0.00\u202f%"),
        (f"{of_day}&due_to=2021-11-29", "0.00\u202f%"),
    ]


def test_the_cards_of_the_portfolio_draw_its_trend_up_to_the_date(portfolio, analyst):
    page = analyst.get("/", {"check_date": "2022-02-27"})
    assert [f"{row.month_end}" for row in page.context["trend"]] == ["2022-01-31"]
    assert page.content.decode().count('<svg class="sparkline"') == 6


@pytest.mark.parametrize("day", ["2022-01-20", "0001-01-01"])
def test_without_a_month_end_there_is_no_trend_to_draw(portfolio, analyst, day):
    page = analyst.get("/", {"check_date": day})
    assert page.context["trend"] == []
    assert page.content.decode().count('<svg class="sparkline"') == 4
