"""Ageing and portfolio at risk at a date: every figure is calculated by hand."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import time_machine

from credits.models import BUCKETS, Credit, Dictionary
from reports import ageing
from reports.ageing import compute

from . import builders

pytestmark = pytest.mark.django_db

END = "2022-03-31"
TODAY = date(2022, 6, 1)


def day(text: str) -> date:
    return date.fromisoformat(text)


def credit(due: str, body: Any, **fields: Any) -> Credit:
    """Creates a credit issued two weeks before it is due."""
    issued = day(due) - timedelta(days=14)
    return builders.credit(issued.isoformat(), body, **fields)


@pytest.fixture
def book() -> None:
    """At the end of March 3,000 are outstanding: 600 in term, and 2,400 past due, 1,000 of it for a year."""
    credit("2022-03-31", 600)
    builders.payment(credit("2022-03-30", 500), END, 100)  # 1 day past due
    credit("2022-03-01", 200)  # 30 days
    credit("2022-02-28", 300)  # 31 days
    builders.payment(credit("2022-01-29", "500.00"), "2022-02-01", "0.01", Dictionary.INTEREST)  # 61 days
    builders.payment(credit("2021-10-01", 700), "2021-10-01", 700)  # 181 days; not returned, owes nothing
    credit("2021-04-04", 1000)  # 361 days
    credit("2022-03-01", 5000, actual_return_date=day(END))


def ask(client: Any, **query: str) -> Any:
    response = client.get("/api/v1/ageing", query)
    assert response.status_code == 200
    return response.json()


def owed(client: Any, on: str = END) -> dict[str, tuple[int, float]]:
    """Returns {bucket: (credits, outstanding)} of the buckets that hold credits."""
    return {
        row["bucket"]: (row["credits"], row["outstanding"])
        for row in ask(client, check_date=on)
        if row["credits"]
    }


def test_buckets_have_their_share_and_the_portfolio_at_risk(book, analyst):
    names = ("bucket", "credits", "outstanding", "share_percent", "par_percent")
    assert [tuple(row.items()) for row in ask(analyst, check_date=END)] == [
        tuple(zip(names, row, strict=True))
        for row in (
            ("current", 1, 600, 20, None),
            ("1 to 30", 2, 600, 20, 80),  # PAR>0: 2,400 / 3,000
            ("31 to 60", 1, 300, 10, 60),
            ("61 to 90", 1, 500, 16.67, 50),
            ("91 to 180", 0, 0, 0, 33.33),  # PAR>90
            ("181 to 360", 1, 0, 0, 33.33),
            ("over 360", 1, 1000, 33.33, 33.33),
        )
    ]


@pytest.mark.parametrize(
    ("past_due", "bucket"),
    [
        (-1, "current"),
        (0, "current"),
        (1, "1 to 30"),
        (30, "1 to 30"),
        (31, "31 to 60"),
        (60, "31 to 60"),
        (61, "61 to 90"),
        (90, "61 to 90"),
        (91, "91 to 180"),
        (180, "91 to 180"),
        (181, "181 to 360"),
        (360, "181 to 360"),
        (361, "over 360"),
        (4000, "over 360"),
    ],
)
def test_a_bucket_includes_both_its_ends(analyst, past_due, bucket):
    credit((day(END) - timedelta(days=past_due)).isoformat(), 10)
    assert owed(analyst) == {bucket: (1, 10)}


# Other systems change the figures of a past date by what happens after it.


@pytest.fixture
def march(analyst) -> Callable[[], Any]:
    """Creates a credit due on 1 March, with 400 of 1,000 paid. Returns a function that asks for its end."""
    builders.payment(credit("2022-03-01", 1000), "2022-03-15", 400)
    assert owed(analyst) == {"1 to 30": (1, 600)}
    return lambda: owed(analyst)


def test_a_credit_returned_later_stays_in_the_past(march, analyst):
    Credit.objects.update(actual_return_date=day("2022-04-01"))
    assert march() == {"1 to 30": (1, 600)}
    assert owed(analyst, "2022-04-01") == {}


def test_a_later_payment_does_not_lower_a_past_balance(march, analyst):
    builders.payment(Credit.objects.get(), "2022-04-01", 250)
    assert march() == {"1 to 30": (1, 600)}
    assert owed(analyst, "2022-04-01") == {"31 to 60": (1, 350)}


def test_a_later_return_does_not_change_past_days_past_due(march, analyst):
    Credit.objects.update(actual_return_date=day("2022-07-01"))
    assert march() == {"1 to 30": (1, 600)}
    assert owed(analyst, "2022-06-30") == {"91 to 180": (1, 600)}


def test_a_credit_issued_later_does_not_show(march, analyst):
    later = builders.credit("2022-04-01", 5000)
    builders.payment(later, "2022-04-01", 1)
    assert march() == {"1 to 30": (1, 600)}
    assert owed(analyst, "2022-04-01") == {"current": (1, 4999), "31 to 60": (1, 600)}


def test_a_return_on_the_date_counts(march):
    Credit.objects.update(actual_return_date=day(END))
    assert march() == {}


def test_the_same_date_asked_again_has_the_same_answer(book, analyst):
    first = ask(analyst, check_date=END)
    ask(analyst, check_date="2022-01-01")
    with time_machine.travel("2023-01-01", tick=False):
        builders.payment(Credit.objects.get(body=1000), "2022-12-31", 1)
        builders.credit("2022-12-31", 70)
        assert ask(analyst, check_date=END) == first


def test_buckets_add_up_to_what_all_credits_owe():
    """The rows of each day are compared with what the list of open credits owes."""
    for number in range(60):
        issued = date(2021, 1, 1) + timedelta(days=number * 7)
        returned = issued + timedelta(days=number * 5) if number % 3 == 0 else None
        one = builders.credit(issued.isoformat(), 100 + number, actual_return_date=returned)
        for part in range(number % 4):
            builders.payment(one, f"{issued + timedelta(days=part * 20)}", f"{number}.37")
    for on in (date(2021, 1, 9), date(2021, 8, 31), date(2022, 1, 15), date(2022, 12, 31)):
        owing: dict[str, Decimal] = {}
        for one in Credit.objects.in_state([Credit.OPEN], on).with_outstanding(on):
            name = next(bucket.name for bucket in BUCKETS[::-1] if one.days_past_due(on) >= bucket.least)
            owing[name] = owing.get(name, Decimal(0)) + one.outstanding
        rows = compute(on, TODAY)
        assert {row.bucket: row.outstanding for row in rows if row.credits} == owing
        (total,) = ageing.totals(rows)
        assert total["outstanding"] == sum(owing.values())
        assert total["credits"] == Credit.objects.in_state([Credit.OPEN], on).count() > 0
        assert rows[1].par_percent == round(100 - rows[0].share_percent, 2)


def test_an_amount_of_twelve_digits_is_exact(analyst):
    credit("2022-03-01", "999999999999.98")
    credit("2022-03-02", "0.01")
    assert owed(analyst) == {"1 to 30": (2, 999999999999.99)}


def test_before_the_first_credit_nothing_is_outstanding(book, analyst):
    rows = ask(analyst, check_date="2021-01-01")
    assert [row["bucket"] for row in rows] == [bucket.name for bucket in BUCKETS]
    assert {tuple(row.values())[1:] for row in rows} == {(0, 0, None, None)}


def test_the_default_date_is_the_books_last_day_up_to_today(book, analyst):
    builders.credit("2022-05-20", 70)
    with time_machine.travel("2022-05-19 12:00", tick=False):
        assert ask(analyst) == ask(analyst, check_date=END)
        assert "at 2022-03-31" in analyst.get("/reports/ageing/").content.decode()


def test_an_empty_book_has_no_rows(analyst):
    assert ask(analyst) == []
    assert "There is nothing in the book for this." in analyst.get("/reports/ageing/").content.decode()


def test_csv_has_the_rows(book, analyst):
    response = analyst.get("/api/v1/ageing", {"check_date": END, "format": "csv"})
    lines = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert lines[0] == ["bucket", "credits", "outstanding", "share_percent", "par_percent"]
    assert lines[2] == ["1 to 30", "2", "600.00", "20.00", "80.00"]
    assert len(lines) == 8


# The page


def page(client: Any, on: str = END) -> str:
    response = client.get("/reports/ageing/", {"check_date": on})
    assert response.status_code == 200
    return unescape(response.content.decode())


def test_the_page_shows_the_portfolio_the_trend_and_the_buckets(book, analyst):
    html = page(analyst)
    assert re.findall(r"<dt>(PAR>\d+)</dt><dd><a [^>]*>([\d.]+)", html) == [
        ("PAR>0", "80.00"),
        ("PAR>30", "60.00"),
        ("PAR>60", "50.00"),
        ("PAR>90", "33.33"),
    ]
    assert re.findall(r'class="figure"><a [^>]*>([^<]+)<', html) == ["3\u00a0000.00\u00a0UAH"]
    assert html.count('<figure class="chart">') == 2
    assert "PAR>30, 2022-03: 60.00" in html
    assert re.findall(r'<th scope="row">([^<]+)</th>', html) == [*(b.name for b in BUCKETS), "Total"]
    assert 'href="?check_date=2022-02-28"' in html
    assert 'href="?check_date=2022-04-30"' in html


def test_each_bucket_leads_to_its_credits(book, analyst):
    found = re.findall(r'<td><a href="([^"]+)">', page(analyst))
    of_day = "/reports/credits/?state=open&check_date=2022-03-31"
    assert found == [
        *[f"{of_day}&due_from=2022-03-31"] * 2,
        *[f"{of_day}&due_from=2022-03-01&due_to=2022-03-30"] * 2,
        f"{of_day}&due_to=2022-03-30",  # PAR>0
        *[f"{of_day}&due_from=2022-01-30&due_to=2022-02-28"] * 2,
        f"{of_day}&due_to=2022-02-28",
        *[f"{of_day}&due_from=2021-12-31&due_to=2022-01-29"] * 2,
        f"{of_day}&due_to=2022-01-29",
        *[f"{of_day}&due_from=2021-10-02&due_to=2021-12-30"] * 2,
        f"{of_day}&due_to=2021-12-30",
        *[f"{of_day}&due_from=2021-04-05&due_to=2021-10-01"] * 2,
        f"{of_day}&due_to=2021-10-01",
        *[f"{of_day}&due_to=2021-04-04"] * 3,
        of_day,
        of_day,
    ]


@pytest.mark.parametrize("on", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_date_have_a_page(book, analyst, on):
    assert "By days past due" in page(analyst, on)


def test_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        compute(day(END), TODAY)
