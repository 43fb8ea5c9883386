"""The overview of this month and this year: every figure is calculated by hand."""

import re
from html import unescape

import pytest
import time_machine

from credits.book.trail import Load
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


MONTH_END, OUTSTANDING, AT_RISK, LOOKS = 5, 6, 7, 8  # cards after those of the month and the year


def section(html, number):
    return html.split('<section class="card">')[number].split("</section>")[0]


def card(html, number):
    """Returns the pairs of a card's list."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section(html, number))
    return [(term, unescape(text)) for term, text in pairs]


def linked(html, number):
    """Returns the addresses and the texts of a card's links."""
    found = re.findall(r'<a href="([^"]+)">([^<]+)</a>', section(html, number))
    return [(unescape(address), unescape(text)) for address, text in found]


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
        ("Done", "41.67\u202f%"),
        ("Even pace", "125.00\u202f%"),
        ("Usual pace", "83.33\u202f%"),
        ("Year on year", "–"),
    ]
    of_year = ["Plan", "Done", "Even pace", "Usual pace", "Year on year"]
    assert [[term for term, _text in card(html, number)] for number in (3, 4)] == [of_year, of_year]


def test_the_forecast_stands_beside_the_plan(analyst):
    steady_book()
    page = analyst.get("/", {"check_date": "2021-11-10"})
    # By buckets: 500 outstanding + half of the planned 900. Past months were 2/3 to 5/4 of their forecasts.
    assert card(page.content.decode(), MONTH_END) == [
        ("Plan", '<a href="/reports/plans-performance/?check_date=2021-11-10">1\u00a0200.00</a>'),
        ("Forecast by buckets", '<a href="/reports/forecast/?check_date=2021-11-10">950.00</a>'),
        ("Low by past errors", "633.33"),
        ("High by past errors", "1\u00a0187.50"),
        ("Expected month end", "1\u00a0000.00"),
        ("Collected so far", "500.00"),
    ]
    assert page.context["month_end"]["greatest"] == 1200


def test_on_a_months_last_day_the_card_shows_the_forecast_from_before_the_month(analyst):
    steady_book()
    html = analyst.get("/", {"check_date": "2021-10-31"}).content.decode()
    pairs = dict(card(html, MONTH_END))
    assert pairs["Forecast by buckets"] == (
        '<a href="/reports/forecast/?check_date=2021-10-31">1\u00a0000.00</a>'
    )
    assert pairs["Plan"] == "none"


@pytest.mark.parametrize("day", ["2022-02-14", "2021-02-14", "0001-01-01", "9999-12-31"])
def test_without_months_to_learn_from_a_card_says_so(book, analyst, day):
    html = analyst.get("/", {"check_date": day}).content.decode()
    pairs = dict(card(html, MONTH_END))
    assert (pairs["Forecast by buckets"], pairs["Expected month end"]) == (
        "too few months to learn from",
        "–",
    )
    assert "There is no usual course without payments" in html


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
    html = analyst.get("/", {"check_date": "2022-02-28"}).content.decode()
    of_day = "/reports/credits/?state=open&check_date=2022-02-28"
    assert linked(html, OUTSTANDING) == [
        ("/reports/portfolio-trend/?check_date=2022-02-28", "Outstanding"),
        (of_day, "1\u00a0000.00\u00a0UAH"),
        (of_day, "2"),
        (f"{of_day}&due_to=2022-02-27", "2"),
    ]
    assert linked(html, AT_RISK) == [
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


def test_each_day_of_the_month_has_a_bar_that_leads_to_the_day(book, analyst):
    html = analyst.get("/", {"check_date": "2022-02-15"}).content.decode()
    issued, collected = (unescape(chart) for chart in html.split('<figure class="chart">')[1:])
    bars = re.findall(r'href="([^"]+)">\s*<title>([^<]+)<', issued)
    assert len(bars) == 15
    assert bars[13:] == [
        ("/reports/month/?month=2022-02#2022-02-14", "2022-02-14: actual 500.00"),
        ("/reports/month/?month=2022-02#2022-02-15", "2022-02-15: actual 70.00"),
    ]
    assert re.findall(r'class="label[^>]*>(\d+)<', issued) == [f"{day}" for day in range(1, 29, 2)]
    assert "<title>2022-02-14: actual 12.34</title>" in collected
    # 174 high; the greatest gridline is 600 for what was issued.
    heights = re.findall(r'rect class="actual"[^>]*height="([\d.]+)"', issued)
    assert heights == [*["0.0"] * 13, "145.0", "20.3"]
    assert 'id="2022-02-14"' in analyst.get("/reports/month/?month=2022-02").content.decode()


def test_slow_plans_months_without_a_plan_and_credits_due_need_a_look(analyst):
    steady_book()  # has plans of issuance from March to November, and of collection for November
    html = analyst.get("/", {"check_date": "2021-11-10"}).content.decode()
    due = "/reports/credits/?state=open&check_date=2021-11-10&due_from=2021-11-10&due_to=2021-11-16"
    assert [term for term, _link in card(html, LOOKS)] == [
        "Collected, less than what is usually there by now",
        "Months up to 2021-12 without an issuance plan",
        "Months up to 2021-12 without a collection plan",
        "Credits due by 2021-11-16",
    ]
    assert linked(html, LOOKS) == [
        ("/reports/plans-performance/?check_date=2021-11-10", "83.33\u202f%"),
        ("/reports/year-performance/?year=2021", "3"),  # January, February, December
        ("/reports/year-performance/?year=2021", "11"),
        (due, "1"),
    ]


def test_credits_need_a_look_from_a_week_before_they_are_due_to_the_day_after(analyst):
    builders.credit("2022-03-01", 100, return_date="2022-03-15")
    builders.credit("2022-03-01", 100, return_date="2022-03-15", actual_return_date="2022-03-15")

    def looked(day: str) -> list[str]:
        html = analyst.get("/", {"check_date": day}).content.decode()
        return [text for address, text in linked(html, LOOKS) if "state=open" in address]

    days = ["2022-03-08", "2022-03-09", "2022-03-15", "2022-03-16", "2022-03-17"]
    # The second credit is still open up to the 14th.
    assert [looked(day) for day in days] == [[], ["2"], ["1"], ["1"], []]
    html = analyst.get("/", {"check_date": "2022-03-16"}).content.decode()
    assert "Credits due on 2022-03-15 and not returned" in dict(card(html, LOOKS))


def test_flaws_of_the_data_need_a_look(analyst):
    credit = builders.credit("2022-02-01", 100, percent=10)
    builders.payment(credit, "2022-01-31", 150)
    html = analyst.get("/", {"check_date": "2022-02-01"}).content.decode()
    found = [pair for pair in linked(html, LOOKS) if "flaw" in pair[0]]
    assert found == [
        ("/reports/credits/?flaw=paid_before_issuance", "1"),
        ("/reports/credits/?flaw=body_overpaid", "1"),
    ]


def test_one_month_without_a_plan_leads_to_the_month(analyst):
    builders.credit("2022-12-01", 100, actual_return_date="2022-12-01")
    builders.plan("2022-12", Dictionary.ISSUANCE, 0)
    builders.plan("2022-12", Dictionary.COLLECTION, 100)
    builders.plan("2023-01", Dictionary.COLLECTION, 100)
    html = analyst.get("/", {"check_date": "2022-12-31"}).content.decode()
    assert ("/reports/month/?month=2023-01", "1") in linked(html, LOOKS)
    assert "without a collection plan" not in html


def test_nothing_needs_a_look_once_all_is_planned_and_well(analyst):
    builders.payment(builders.credit("2022-12-01", 100, actual_return_date="2022-12-02"), "2022-12-02", 100)
    for month in ("2022-12", "2023-01"):
        for category in (Dictionary.ISSUANCE, Dictionary.COLLECTION):
            builders.plan(month, category, 100)
    html = analyst.get("/", {"check_date": "2022-12-31"}).content.decode()
    assert "Nothing needs a look." in html
    assert linked(html, LOOKS) == []


def test_newest_imports_are_shown_even_if_the_page_is_cached(transactional_db, client_as):
    builders.migrated()
    builders.payment(builders.credit("2022-02-01", 100), "2022-02-03", 1)
    readers = [client_as("Analyst"), client_as("Editor")]

    def imports(reader) -> tuple[list[str], bool]:
        page = reader.get("/", {"check_date": "2022-02-01"})
        rows = re.findall(r"<tr>(.*?)</tr>", page.content.decode().split("<tbody>")[-1], re.DOTALL)
        texts = [" | ".join(filter(None, map(str.strip, re.findall(r">([^<]*)<", row)))) for row in rows]
        return texts, page["X-Cache"] == "hit"

    assert "None yet." in readers[0].get("/", {"check_date": "2022-02-01"}).content.decode()
    with time_machine.travel("2022-03-01 10:00 +0200", tick=False):
        readers[0].get("/", {"check_date": "2022-02-01"})
        for number in range(4):
            Load.objects.create(
                table="credits.credit", file=f"{number}.csv", via="load_data", outcome="stored"
            )
        stored = Load.objects.create(
            table="credits.payment", file="may.csv", via="load_data", outcome="stored", new=1500, changed=2
        )
        refused = Load.objects.create(
            table="plans.plan", file="bad.csv", via="load_data", outcome="refused", faults=3
        )
        shown, is_hit = imports(readers[0])
        assert is_hit
        assert shown[:2] == [
            "2022-03-01 10:00 | plans | bad.csv | load_data | refused, 3 faults",
            "2022-03-01 10:00 | payments | may.csv | load_data | new: 1\u00a0500, changed: 2, unchanged: 0",
        ]
        assert len(shown) == 5
        assert imports(readers[1]) == (shown, True)
    analysts, editors = (reader.get("/", {"check_date": "2022-02-01"}).content.decode() for reader in readers)
    assert "/admin/" not in analysts
    for load in (stored, refused):
        assert f'<a href="/admin/credits/load/{load.pk}/change/">{load.file}</a>' in editors
    assert "The last issuance in the book is of 2022-02-01, the last payment of 2022-02-03." in analysts
