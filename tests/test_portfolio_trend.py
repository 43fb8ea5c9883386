"""The portfolio at the last 24 month ends: every figure is calculated by hand."""

import re
from datetime import date
from html import unescape
from typing import Any

import pytest
import time_machine

from reports import ageing
from reports.portfolio_trend import compute

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2022, 6, 1)
COLUMNS = ["month_end", "credits", "outstanding", *(f"par{days}_percent" for days in (0, 30, 60, 90))]


@pytest.fixture
def book() -> None:
    """Two credits of January, and one of March that is returned on its last day."""
    builders.payment(builders.credit("2022-01-10", 1000), "2022-02-28", 250)  # due on 24 January
    builders.credit("2022-01-31", 250)  # due on 14 February
    builders.credit("2022-03-01", 9, actual_return_date=date(2022, 3, 31))


def ask(client: Any, on: str) -> Any:
    response = client.get("/api/v1/portfolio_trend", {"check_date": on})
    assert response.status_code == 200
    return response.json()


def test_a_row_for_each_month_end_from_the_first_with_credits(book, analyst):
    rows = ask(analyst, "2022-04-30")
    assert [list(row) for row in rows] == [COLUMNS] * 4
    assert [tuple(row.values()) for row in rows] == [
        ("2022-01-31", 2, 1250, 80, 0, 0, 0),  # 7 days past due, and in term
        ("2022-02-28", 2, 1000, 100, 75, 0, 0),  # 35 and 14 days
        ("2022-03-31", 2, 1000, 100, 100, 75, 0),  # 66 and 45 days
        ("2022-04-30", 2, 1000, 100, 100, 100, 75),  # 96 and 75 days
    ]


@pytest.mark.parametrize(
    ("on", "last"),
    [("2022-03-30", "2022-02-28"), ("2022-03-31", "2022-03-31"), ("2022-04-01", "2022-03-31")],
)
def test_the_date_itself_counts_if_it_ends_a_month(book, analyst, on, last):
    assert ask(analyst, on)[-1]["month_end"] == last


def test_there_are_at_most_24_month_ends(book, analyst):
    ends = [row["month_end"] for row in ask(analyst, "2024-05-15")]
    assert (len(ends), ends[0], ends[-1]) == (24, "2022-05-31", "2024-04-30")


def test_each_row_has_the_figures_of_the_ageing(book):
    for row in compute(date(2022, 5, 31), TODAY):
        of_day = ageing.compute(row.month_end, TODAY)
        (total,) = ageing.totals(of_day)
        assert (row.credits, row.outstanding) == (total["credits"], total["outstanding"])
        pars = [row.par0_percent, row.par30_percent, row.par60_percent, row.par90_percent]
        assert pars == [bucket.par_percent for bucket in of_day[1:5]]


def test_a_month_end_without_credits_between_others_has_no_percents(analyst):
    builders.credit("2022-01-10", 1000, actual_return_date=date(2022, 2, 1))
    builders.credit("2022-03-10", 500)
    assert [tuple(row.values())[1:4] for row in ask(analyst, "2022-03-31")] == [
        (1, 1000, 100),
        (0, 0, None),
        (1, 500, 100),
    ]


def test_nothing_that_happens_later_changes_a_past_row(book, analyst):
    before = ask(analyst, "2022-02-28")
    first, second, _third = builders.Credit.objects.order_by("pk")
    builders.payment(first, "2022-03-01", 700)
    second.actual_return_date = date(2022, 3, 1)
    second.save()
    builders.credit("2022-03-01", 5000)
    assert ask(analyst, "2022-02-28") == before
    assert ask(analyst, "2022-03-31")[:2] == before


@pytest.mark.parametrize("on", ["2022-01-30", "2021-12-31", "0001-01-01"])
def test_before_the_first_month_end_with_credits_there_are_no_rows(book, analyst, on):
    assert ask(analyst, on) == []
    page = analyst.get("/reports/portfolio-trend/", {"check_date": on})
    assert "There is nothing in the book for this." in page.content.decode()


def test_an_empty_book_has_no_rows(analyst):
    assert analyst.get("/api/v1/portfolio_trend").json() == []
    assert analyst.get("/reports/portfolio-trend/").status_code == 200


def test_the_last_possible_date_has_rows(book, analyst):
    assert ask(analyst, "9999-12-31")[-1]["month_end"] == "9999-12-31"


def test_the_page_draws_the_curves_and_lists_the_latest_month_end_first(book, analyst):
    builders.credit("2022-04-14", 70)
    with time_machine.travel("2022-04-15", tick=False):
        html = unescape(analyst.get("/reports/portfolio-trend/").content.decode())
    assert "at 2022-04-14" in html
    assert html.count('<figure class="chart">') == 2
    for name, of_month in (
        ("Outstanding, 2022-01", "1\u00a0250.00"),
        ("PAR>0, 2022-01", "80.00"),
        ("PAR>30, 2022-02", "75.00"),
        ("PAR>60, 2022-03", "75.00"),
        ("PAR>90, 2022-03", "0.00"),
    ):
        assert f"<title>{name}: {of_month}" in html
    ends = re.findall(r'<th scope="row"><a href="([^"]+)">([^<]+)</a>', html)
    assert ends == [
        (f"/reports/ageing/?check_date={end}", end) for end in ("2022-03-31", "2022-02-28", "2022-01-31")
    ]


def test_each_amount_leads_to_its_credits(book, analyst):
    html = analyst.get("/reports/portfolio-trend/", {"check_date": "2022-01-31"}).content.decode()
    of_day = "/reports/credits/?state=open&check_date=2022-01-31"
    assert re.findall(r'<td[^>]*><a href="([^"]+)">', unescape(html)) == [
        of_day,
        of_day,
        f"{of_day}&due_to=2022-01-30",
        f"{of_day}&due_to=2021-12-31",
        f"{of_day}&due_to=2021-12-01",
        f"{of_day}&due_to=2021-11-01",
    ]


def test_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert len(compute(date(2022, 4, 30), TODAY)) == 4
