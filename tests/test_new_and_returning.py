"""New and returning borrowers: every figure is calculated by hand."""

import csv
import io
import re
from datetime import date
from decimal import Decimal
from html import unescape

import pytest
import time_machine

from credits.models import Borrower, Credit, Dictionary, Payment
from reports.new_and_returning import compute, report

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2021, 4, 30)

# (borrower, issued, body, other fields), and (number of the credit, day, sum, kind).
CREDITS = [
    ("anna", "2021-01-10", 1000, {"actual_return_date": "2021-01-20"}),
    ("bohdan", "2021-01-15", 2000, {}),
    ("anna", "2021-02-05", 500, {}),
    ("clara", "2021-03-01", 100, {}),
    ("clara", "2021-03-01", 200, {}),
    ("bohdan", "2021-03-10", 300, {}),
]
PAYMENTS = [
    (0, "2021-01-20", "1000", Dictionary.BODY),
    (0, "2021-01-20", "70.50", Dictionary.INTEREST),
    (1, "2021-02-01", "12.34", Dictionary.INTEREST),
    (2, "2021-02-28", "100", Dictionary.BODY),
    (4, "2021-03-15", "20", Dictionary.BODY),
    (5, "2021-03-31", "0.01", Dictionary.BODY),
    (1, "2021-04-30", "1", Dictionary.BODY),
]


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel(f"{TODAY} 12:00", tick=False):
        yield


def make_book(first_id: int = 1, step: int = 1) -> list[Credit]:
    """Creates the book with these ids of borrowers, credits and payments."""
    borrowers, made = {}, []
    for number, (login, issued, body, fields) in enumerate(CREDITS):
        pk = first_id + step * number
        borrowers[login] = borrowers.get(login) or builders.borrower(pk=pk, login=login)
        made.append(builders.credit(issued, body, pk=pk, borrower=borrowers[login], **fields))
    for number, paid, amount, kind in PAYMENTS:
        builders.payment(made[number], paid, amount, kind)
    return made


def ask(client, **params):
    return client.get("/api/v1/new_and_returning", params).json()


JANUARY = {
    "month": "2021-01",
    "new_credits": 2,
    "new_issued": 3000,
    "new_collected": 1070.5,
    "returning_credits": 0,
    "returning_issued": 0,
    "returning_collected": 0,
    "new_percent": 100,
}
FEBRUARY = {
    "month": "2021-02",
    "new_credits": 0,
    "new_issued": 0,
    "new_collected": 12.34,
    "returning_credits": 1,
    "returning_issued": 500,
    "returning_collected": 100,
    "new_percent": 0,
}
MARCH = {
    "month": "2021-03",
    "new_credits": 2,
    "new_issued": 300,
    "new_collected": 20,
    "returning_credits": 1,
    "returning_issued": 300,
    "returning_collected": 0.01,
    "new_percent": 50,
}


def test_each_month_has_what_was_issued_to_and_paid_by_new_and_returning_borrowers(analyst):
    make_book()
    assert ask(analyst, check_date="2021-03-31") == [JANUARY, FEBRUARY, MARCH]


def test_the_last_month_is_cut_at_the_date(analyst):
    make_book()
    assert ask(analyst, check_date="2021-03-09") == [
        JANUARY,
        FEBRUARY,
        MARCH
        | {
            "new_collected": 0,
            "returning_credits": 0,
            "returning_issued": 0,
            "returning_collected": 0,
            "new_percent": 100,
        },
    ]


def test_a_month_in_which_nothing_was_issued_has_no_percent(analyst):
    make_book()
    assert ask(analyst)[3:] == [
        FEBRUARY
        | {
            "month": "2021-04",
            "new_collected": 1,
            "returning_credits": 0,
            "returning_issued": 0,
            "returning_collected": 0,
            "new_percent": None,
        }
    ]


def test_without_a_date_it_is_the_last_day_of_the_book_up_to_today(analyst):
    make_book()
    builders.credit("2021-05-01", 5000)
    assert ask(analyst) == ask(analyst, check_date="2021-04-30")


def test_nothing_that_happens_later_changes_past_figures():
    made = make_book()
    before = compute(date(2021, 3, 15), TODAY)
    builders.credit("2021-03-16", 700, borrower=made[3].borrower)
    builders.payment(made[3], "2021-03-16", "9")
    made[1].actual_return_date = date(2021, 3, 20)
    made[1].save()
    assert compute(date(2021, 3, 15), TODAY) == before


def test_other_ids_make_the_same_figures():
    make_book()
    before = compute(None, TODAY)
    for model in (Payment, Credit, Borrower):
        model.objects.all().delete()
    for credit in make_book(first_id=90, step=-7):
        assert credit.pk > 50
    assert compute(None, TODAY) == before


def test_a_month_with_only_a_return_has_no_row(analyst):
    builders.credit("2021-01-10", 1000, actual_return_date="2021-03-20")
    assert [row["month"] for row in ask(analyst, check_date="2021-04-30")] == ["2021-01"]


def test_an_empty_book_has_no_rows(analyst):
    assert ask(analyst) == []
    response = analyst.get("/reports/new-and-returning/")
    assert (response.status_code, response.context["rows"]) == (200, [])
    assert "There is nothing in the book for this." in response.content.decode()


def test_the_report_takes_one_query(django_assert_num_queries):
    make_book()
    with django_assert_num_queries(1):
        compute(date(2021, 4, 30), TODAY)


def links(response) -> list[tuple[str, str]]:
    """Returns (address, text) of each link in the table's cells."""
    html = response.content.decode()
    return [
        (unescape(address), text)
        for address, text in re.findall(r'<td[^>]*><a href="([^"]+)">([^<]+)</a>', html)
    ]


def test_each_cell_leads_to_the_credits_or_payments_behind_it(analyst):
    make_book()
    found = links(analyst.get("/reports/new-and-returning/?check_date=2021-03-15"))
    assert len(found) == 4 * 6
    issued = "/reports/credits/?issued_from=2021-03-01&issued_to=2021-03-15"
    paid = "/reports/payments/?paid_from=2021-03-01&paid_to=2021-03-15"
    assert found[6:12] == [
        (f"{issued}&history=new", "2"),
        (f"{issued}&history=new", "300.00"),
        (f"{paid}&history=new", "20.00"),
        (f"{issued}&history=returning&history=late_before", "1"),
        (f"{issued}&history=returning&history=late_before", "300.00"),
        (f"{paid}&history=returning&history=late_before", "0.00"),
    ]
    all_paid = "/reports/payments/?paid_from=2021-01-01&paid_to=2021-03-15"
    assert found[2] == (f"{all_paid}&history=new", "1\u00a0102.84")


def test_the_page_shows_totals_charts_and_the_month_ends_beside_the_date(analyst):
    make_book()
    response = analyst.get("/reports/new-and-returning/")
    assert response.context["totals"] == [
        {
            "new_credits": 4,
            "new_issued": 3300,
            "new_collected": Decimal("1103.84"),
            "returning_credits": 2,
            "returning_issued": 800,
            "returning_collected": Decimal("100.01"),
            "new_percent": Decimal("80.49"),  # 3,300 / 4,100
        }
    ]
    html = response.content.decode()
    assert "at 2021-04-30" in html
    assert re.findall(r'rel="(?:prev|next)" href="([^"]+)"', html) == [
        "?check_date=2021-03-31",
        "?check_date=2021-05-31",
    ]
    assert html.count('<figure class="chart">') == 2


def test_the_charts_show_the_last_24_months_without_gaps():
    builders.credit("2018-01-10", 1000)
    builders.credit("2020-12-31", 100)
    builders.credit("2021-02-01", 200)
    rows = compute(None, TODAY)
    context = report.page_context(rows, check_date=None, today=TODAY)
    assert (context["labels"][0], context["labels"][-1], len(context["labels"])) == ("2019-03", "2021-02", 24)
    new, returning = context["issued"]
    assert new.values[-3:] == [100, 0, 200]
    assert sum(new.values) == 300
    assert sum(returning.values) == 0


def test_the_charts_of_a_young_book_begin_with_its_first_month():
    make_book()
    context = report.page_context(compute(None, TODAY), check_date=None, today=TODAY)
    assert context["labels"] == ["2021-01", "2021-02", "2021-03", "2021-04"]


def test_the_download_has_the_rows(analyst):
    make_book()
    response = analyst.get("/api/v1/new_and_returning?check_date=2021-01-31&format=csv")
    assert list(csv.reader(io.StringIO(response.content.decode("utf-8-sig")))) == [
        list(report.columns),
        ["2021-01", "2", "3000.00", "1070.50", "0", "0.00", "0.00", "100.00"],
    ]
