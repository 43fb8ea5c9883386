"""Expected receipts: every figure is calculated by hand."""

import re
from datetime import date
from html import unescape
from typing import Any

import pytest
import time_machine

from credits.book.writing import writing
from credits.models import Credit, Dictionary
from reports.expected_receipts import compute

from . import builders

pytestmark = pytest.mark.django_db

COLUMNS = ("period", "since", "until", "credits", "body_left", "interest_left")


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel("2021-07-01 12:00", tick=False):
        yield


def day(text: str) -> date:
    return date.fromisoformat(text)


def credit(due: str, body: Any, interest: Any = 0, issued: str = "2021-05-01", returned: str = "") -> Credit:
    fields = {"actual_return_date": day(returned)} if returned else {}
    return builders.credit(issued, body, return_date=day(due), percent=interest, **fields)


@pytest.fixture
def book() -> None:
    """The book's last day is Wednesday, 16 June 2021. On it six credits owe 6,300 and interest of 615."""
    with writing():
        late = credit("2021-06-15", 1000, 300)
        builders.payment(late, "2021-06-10", 100)
        builders.payment(late, "2021-06-11", 90, Dictionary.INTEREST)
        credit("2021-05-20", 500, 150)
        credit("2021-06-16", 700, 70)  # due on the day itself
        credit("2021-06-20", 200, 20, issued="2021-06-16")  # this Sunday
        credit("2021-06-21", 1000, 100)  # next Monday
        builders.payment(credit("2021-08-15", 3000, 70), "2021-06-16", 5, Dictionary.INTEREST)  # in 8 weeks
        credit("2021-06-30", 8000, 800, returned="2021-06-16")


def ask(client: Any, **query: str) -> list[tuple[Any, ...]]:
    response = client.get("/api/v1/expected_receipts", query)
    assert response.status_code == 200
    return [tuple(row[column] for column in COLUMNS) for row in response.json()]


def owed(client: Any, **query: str) -> dict[str, tuple[Any, ...]]:
    """Returns {period: (credits, body left, interest left)} of the periods in which credits are due."""
    return {row[0]: row[3:] for row in ask(client, **query) if row[3]}


def test_a_row_for_each_week_in_which_credits_are_due(book, analyst):
    assert ask(analyst) == [
        ("overdue", None, "2021-06-15", 2, 1400, 360),
        ("this week", "2021-06-16", "2021-06-20", 2, 900, 90),
        ("in 1 week", "2021-06-21", "2021-06-27", 1, 1000, 100),
        ("in 2 weeks", "2021-06-28", "2021-07-04", 0, 0, 0),
        ("in 3 weeks", "2021-07-05", "2021-07-11", 0, 0, 0),
        ("in 4 weeks", "2021-07-12", "2021-07-18", 0, 0, 0),
        ("in 5 weeks", "2021-07-19", "2021-07-25", 0, 0, 0),
        ("in 6 weeks", "2021-07-26", "2021-08-01", 0, 0, 0),
        ("in 7 weeks", "2021-08-02", "2021-08-08", 0, 0, 0),
        ("in 8 weeks", "2021-08-09", "2021-08-15", 1, 3000, 65),
    ]


def test_credits_due_after_eight_weeks_have_a_row_of_their_own(book, analyst):
    credit("2021-08-16", 40, 4)
    credit("2022-03-01", 2, 1)
    assert ask(analyst)[-1] == ("later", "2021-08-16", None, 2, 42, 5)


@pytest.mark.parametrize(
    ("check_date", "sunday", "next_sunday"),
    [
        ("2021-06-14", "2021-06-20", "2021-06-27"),  # a Monday
        ("2021-06-19", "2021-06-20", "2021-06-27"),
        ("2021-06-20", "2021-06-20", "2021-06-27"),  # a Sunday
        ("2021-06-21", "2021-06-27", "2021-07-04"),
    ],
)
def test_this_week_is_from_the_date_to_its_sunday(book, analyst, check_date, sunday, next_sunday):
    rows = ask(analyst, check_date=check_date)
    assert rows[1][:3] == ("this week", check_date, sunday)
    assert rows[2][2] == next_sunday


SUNDAY, MONDAY = "2021-06-20", "2021-06-21"


@pytest.mark.parametrize(
    ("check_date", "due", "period"),
    [
        (SUNDAY, "2021-06-19", "overdue"),
        (SUNDAY, SUNDAY, "this week"),
        (SUNDAY, MONDAY, "in 1 week"),
        (SUNDAY, "2021-06-27", "in 1 week"),
        (SUNDAY, "2021-06-28", "in 2 weeks"),
        (SUNDAY, "2021-08-15", "in 8 weeks"),
        (SUNDAY, "2021-08-16", "later"),
        (MONDAY, SUNDAY, "overdue"),
        (MONDAY, MONDAY, "this week"),
        (MONDAY, "2021-06-27", "this week"),
        (MONDAY, "2021-06-28", "in 1 week"),
        (MONDAY, "2021-08-22", "in 8 weeks"),
        (MONDAY, "2021-08-23", "later"),
    ],
)
def test_a_week_begins_on_monday(analyst, check_date, due, period):
    credit(due, 10)
    assert owed(analyst, check_date=check_date) == {period: (1, 10, None)}


def test_a_date_has_no_interest(book, analyst):
    assert owed(analyst, check_date="2021-06-16") == {
        "overdue": (2, 1400, None),
        "this week": (2, 900, None),
        "in 1 week": (1, 1000, None),
        "in 8 weeks": (1, 3000, None),
    }


def test_nothing_that_happens_later_changes_a_date(book, analyst):
    before = owed(analyst, check_date="2021-06-09")
    assert before == {
        "overdue": (1, 500, None),
        "in 1 week": (2, 1700, None),
        "in 2 weeks": (1, 1000, None),
        "in 3 weeks": (1, 8000, None),
        "later": (1, 3000, None),
    }
    later = Credit.objects.get(body=500)
    builders.payment(later, "2021-06-10", 100)
    later.actual_return_date = day("2021-06-12")
    later.save()
    credit("2021-06-20", 9000, issued="2021-06-10")
    assert owed(analyst, check_date="2021-06-09") == before


def test_interest_without_a_date_counts_all_payments_and_returns(book, analyst):
    """A payment or return in the future is not in the principal, but interest is known only as it is now."""
    builders.payment(Credit.objects.get(body=1000, percent=100), "2021-07-15", 30, Dictionary.INTEREST)
    returned = Credit.objects.get(body=3000)
    returned.actual_return_date = day("2021-06-25")  # after the book's last day, which has a payment
    returned.save()
    found = owed(analyst)
    assert found["in 1 week"] == (1, 1000, 70)
    assert found["in 8 weeks"] == (1, 3000, 0)


def test_a_credit_issued_in_the_future_is_not_open_yet(book, analyst):
    before = ask(analyst)
    credit("2021-08-01", 9000, 900, issued="2021-07-20")
    assert ask(analyst) == before


def test_a_paid_credit_counts_until_its_return(analyst):
    builders.payment(credit("2021-06-10", 100, 10), "2021-06-01", 130)
    assert owed(analyst) == {"in 1 week": (1, 0, 10)}


def test_an_empty_book_has_no_rows(analyst):
    assert ask(analyst) == []
    assert b"There is nothing in the book for this." in analyst.get("/reports/expected-receipts/").content


@pytest.mark.parametrize(
    ("check_date", "count", "last"),
    [
        ("0001-01-01", 10, ("in 8 weeks", "0001-02-26", "0001-03-04")),
        ("9999-12-27", 2, ("this week", "9999-12-27", "9999-12-31")),  # a Monday
        ("9999-12-31", 2, ("this week", "9999-12-31", "9999-12-31")),
        ("9999-12-20", 3, ("in 1 week", "9999-12-27", "9999-12-31")),
    ],
)
def test_dates_end_with_the_last_day_that_there_is(book, analyst, check_date, count, last):
    rows = ask(analyst, check_date=check_date)
    assert len(rows) == count
    assert rows[-1][:3] == last
    assert analyst.get(f"/reports/expected-receipts/?check_date={check_date}").status_code == 200


@pytest.mark.parametrize("check_date", [None, date(2021, 6, 16)])
def test_the_report_takes_two_queries_at_most(book, django_assert_max_num_queries, check_date):
    with django_assert_max_num_queries(2):
        assert compute(check_date, date(2021, 7, 1))


# The page and the downloads


def cells(html: str) -> list[list[str]]:
    """Returns the texts of the cells of the table, without its head."""
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("</thead>")[2], re.DOTALL)
    return [
        [
            re.sub("<[^>]*>", "", cell).replace("\u00a0", " ")
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_the_page_shows_periods_and_totals(book, analyst):
    html = analyst.get("/reports/expected-receipts/").content.decode()
    found = cells(html)
    assert len(found) == 11
    assert found[0] == ["overdue", "–", "2021-06-15", "2", "1 400.00", "360.00"]
    assert found[1] == ["this week", "2021-06-16", "2021-06-20", "2", "900.00", "90.00"]
    assert found[10] == ["Total", "", "", "6", "6 300.00", "615.00"]
    assert "at 2021-06-16" in html
    assert "less what was paid of it" in html
    assert "The book as it is now" not in html


def test_the_page_of_a_date_leaves_interest_out_and_says_why(book, analyst):
    html = analyst.get("/reports/expected-receipts/?check_date=2021-06-16").content.decode()
    found = cells(html)
    assert found[0] == ["overdue", "–", "2021-06-15", "2", "1 400.00", "–"]
    assert found[10] == ["Total", "", "", "6", "6 300.00", "–"]
    assert "so it has no figure at a date" in html
    assert '<a href="/reports/expected-receipts/">The book as it is now</a>' in html
    assert re.findall(r'<a rel="\w+" href="([^"]+)"', html) == [
        "?check_date=2021-05-31",
        "?check_date=2021-07-31",
    ]


def test_figures_lead_to_their_credits(book, analyst):
    credit("2021-12-01", 10)
    html = analyst.get("/reports/expected-receipts/").content.decode()
    found = re.findall(r'<td[^>]*><a href="([^"]+)">', html)
    start = "/reports/credits/?state=open&check_date=2021-06-16"
    assert [unescape(address) for address in found[::3]] == [
        f"{start}&due_to=2021-06-15",
        f"{start}&due_from=2021-06-16&due_to=2021-06-20",
        f"{start}&due_from=2021-06-21&due_to=2021-06-27",
        f"{start}&due_from=2021-06-28&due_to=2021-07-04",
        f"{start}&due_from=2021-07-05&due_to=2021-07-11",
        f"{start}&due_from=2021-07-12&due_to=2021-07-18",
        f"{start}&due_from=2021-07-19&due_to=2021-07-25",
        f"{start}&due_from=2021-07-26&due_to=2021-08-01",
        f"{start}&due_from=2021-08-02&due_to=2021-08-08",
        f"{start}&due_from=2021-08-09&due_to=2021-08-15",
        f"{start}&due_from=2021-08-16",
        start,
    ]
    assert found[::3] == found[1::3] == found[2::3]


def test_a_csv_file_has_the_rows(book, analyst):
    response = analyst.get("/api/v1/expected_receipts?check_date=2021-06-16&format=csv")
    lines = response.content.decode("utf-8-sig").splitlines()
    assert lines[:3] == [
        "period,since,until,credits,body_left,interest_left",
        "overdue,,2021-06-15,2,1400.00,",
        "this week,2021-06-16,2021-06-20,2,900.00,",
    ]
