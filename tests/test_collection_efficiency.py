"""Collection efficiency: every figure is calculated by hand, or by plain Python from the rows of the book."""

import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from html import unescape

import pytest

from credits.models import Credit, Dictionary
from reports.collection_efficiency import Row, compute, totals
from reports.grace import GRACES

from . import builders
from .test_vintages import RANDOM_DAYS, TODAY, random_book, share

pytestmark = pytest.mark.django_db


def ask(client, day):
    return client.get("/api/v1/collection_efficiency", {"check_date": day} if day else {})


def figures(day: str) -> list[tuple[str, int, int, int, str]]:
    """Returns (month due, grace, credits, body, percent) of each row."""
    return [
        (row.month_due, row.grace, row.credits, row.body, str(row.efficiency_percent))
        for row in compute(date.fromisoformat(day), TODAY)
    ]


@pytest.fixture
def book():
    """1,000 due on 15 June, paid at the edges of its graces; 500 due on 20 June, and 400 on 1 July."""
    first = builders.credit("2021-06-01", "1000", return_date=date(2021, 6, 15))
    builders.credit("2021-06-06", "500", return_date=date(2021, 6, 20))
    builders.credit("2021-06-17", "400", return_date=date(2021, 7, 1))
    builders.payment(first, "2021-05-31", "10")  # before the issuance
    builders.payment(first, "2021-06-15", "100")
    builders.payment(first, "2021-06-15", "5000", Dictionary.INTEREST)
    builders.payment(first, "2021-06-16", "40")
    builders.payment(first, "2021-06-22", "200")  # 7 days after the due date
    builders.payment(first, "2021-06-23", "25")
    builders.payment(first, "2021-07-15", "125")  # 30 days
    builders.payment(first, "2021-07-16", "99")
    return first


def test_a_payment_counts_from_the_grace_in_which_it_was_made(book, analyst):
    rows = ask(analyst, "2021-12-31").json()
    assert rows[0] == {
        "month_due": "2021-06",
        "grace": 0,
        "credits": 2,
        "body": 1500,
        "paid": 110,
        "efficiency_percent": 7.33,
    }
    assert rows[1:5] == [
        rows[0] | {"grace": 7, "paid": 350, "efficiency_percent": 23.33},
        rows[0] | {"grace": 30, "paid": 500, "efficiency_percent": 33.33},
        rows[0] | {"grace": 60, "paid": 599, "efficiency_percent": 39.93},
        rows[0] | {"grace": 90, "paid": 599, "efficiency_percent": 39.93},
    ]
    assert [(row["month_due"], row["grace"], row["body"]) for row in rows[5:]] == [
        ("2021-07", grace, 400) for grace in GRACES
    ]


def test_a_credit_counts_from_the_day_on_which_its_grace_has_passed(book):
    assert figures("2021-06-14") == []
    assert figures("2021-06-15") == [("2021-06", 0, 1, 1000, "11.00")]
    assert figures("2021-06-21") == [("2021-06", 0, 2, 1500, "7.33")]
    assert figures("2021-06-22") == [("2021-06", 0, 2, 1500, "7.33"), ("2021-06", 7, 1, 1000, "35.00")]
    assert figures("2021-07-14")[2:] == [("2021-07", 0, 1, 400, "0.00"), ("2021-07", 7, 1, 400, "0.00")]
    assert figures("2021-07-15")[2] == ("2021-06", 30, 1, 1000, "50.00")


def test_nothing_that_happens_later_changes_a_past_report(book):
    days = ["2021-06-15", "2021-06-21", "2021-07-14"]
    before = [figures(day) for day in days]
    builders.payment(book, "2021-07-15", "1000")
    late = builders.credit("2021-07-15", "700", return_date=date(2021, 7, 15))
    builders.payment(late, "2021-06-15", "70")  # paid before it was issued
    book.actual_return_date = date(2021, 7, 15)
    book.save()
    assert [figures(day) for day in days] == before


def test_credits_without_a_body_have_no_percent():
    builders.credit("2021-06-01", "0", return_date=date(2021, 6, 15))
    (row,) = compute(date(2021, 6, 15), TODAY)
    assert (row.credits, row.body, row.efficiency_percent) == (1, 0, None)


def test_the_total_of_a_grace_is_of_all_credits_whose_grace_has_passed(book):
    found = [
        (total["grace"], total["credits"], total["body"], total["paid"], str(total["efficiency_percent"]))
        for total in totals(compute(date(2021, 7, 15), TODAY))
    ]
    assert found == [
        (0, 3, 1900, 110, "5.79"),
        (7, 3, 1900, 350, "18.42"),
        (30, 1, 1000, 500, "50.00"),
    ]


def test_without_a_date_it_is_the_last_day_of_the_book(book, analyst):
    assert ask(analyst, None).json() == ask(analyst, "2021-07-16").json()


def test_an_empty_book_has_no_months(analyst):
    assert ask(analyst, None).json() == []
    page = analyst.get("/reports/collection-efficiency/")
    assert page.status_code == 200
    assert "There is nothing in the book for this." in page.content.decode()


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_date_are_answered(book, analyst, day):
    assert ask(analyst, day).status_code == 200
    assert analyst.get(f"/reports/collection-efficiency/?check_date={day}").status_code == 200


def expected_rows(until: date) -> list[Row]:
    found = defaultdict(list)
    for credit in Credit.objects.prefetch_related("payments"):
        for grace in GRACES:
            last = credit.return_date + timedelta(days=grace)
            if last <= until:
                paid = [
                    payment.sum
                    for payment in credit.payments.all()
                    if payment.type_id == Dictionary.BODY and payment.payment_date <= last
                ]
                found[f"{credit.return_date:%Y-%m}", grace].append((credit.body, sum(paid)))
    rows = []
    for (month, grace), amounts in sorted(found.items()):
        body, paid = map(sum, zip(*amounts, strict=True))
        rows.append(Row(month, grace, len(amounts), body, paid, share(paid, body)))
    return rows


def test_the_figures_are_those_of_plain_arithmetic():
    random_book()
    for day in RANDOM_DAYS:
        rows = compute(day, TODAY)
        assert rows == expected_rows(day), day
    assert {row.grace for row in rows} == set(GRACES)


def test_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        compute(date(2021, 12, 31), TODAY)


def test_cells_of_the_page_lead_to_the_rows_behind_them(book, analyst):
    html = analyst.get("/reports/collection-efficiency/?check_date=2021-07-15").content.decode()
    assert "at 2021-07-15" in html
    lines = [
        [unescape(cell) for cell in re.findall(r"<td.*?</td>", line)]
        for line in re.findall(r'<th scope="row">(.*?)</tr>', html, re.DOTALL)
    ]
    credits_, payments = "/reports/credits/?", "/reports/payments/?kind=1&within="
    june, july = "due_from=2021-06-01&due_to=2021-06", "due_from=2021-07-01&due_to=2021-07"
    assert lines == [
        [
            f'<td><a href="{credits_}due_to=2021-07-15">3</a></td>',
            f'<td><a href="{credits_}due_to=2021-07-15">1\u00a0900.00</a></td>',
            f'<td class="first heat-0"><a href="{payments}0&due_to=2021-07-15">5.79\u202f%</a></td>',
            f'<td class="heat-1"><a href="{payments}7&due_to=2021-07-08">18.42\u202f%</a></td>',
            f'<td class="heat-5"><a href="{payments}30&due_to=2021-06-15">50.00\u202f%</a></td>',
            "<td></td>",
            "<td></td>",
        ],
        [
            f'<td><a href="{credits_}{june}-30">2</a></td>',
            f'<td><a href="{credits_}{june}-30">1\u00a0500.00</a></td>',
            f'<td class="first heat-0"><a href="{payments}0&{june}-30">7.33\u202f%</a></td>',
            f'<td class="heat-2"><a href="{payments}7&{june}-30">23.33\u202f%</a></td>',
            f'<td class="heat-5"><a href="{payments}30&{june}-15">50.00\u202f%</a>*</td>',
            "<td></td>",
            "<td></td>",
        ],
        [
            f'<td><a href="{credits_}{july}-15">1</a></td>',
            f'<td><a href="{credits_}{july}-15">400.00</a></td>',
            f'<td class="first heat-0"><a href="{payments}0&{july}-15">0.00\u202f%</a>*</td>',
            f'<td class="heat-0"><a href="{payments}7&{july}-08">0.00\u202f%</a>*</td>',
            "<td></td>",
            "<td></td>",
            "<td></td>",
        ],
    ]


def test_curves_leave_out_months_that_are_not_whole(book, analyst):
    context = analyst.get("/reports/collection-efficiency/?check_date=2021-07-30").context
    assert context["months"] == ["2021-06", "2021-07"]
    curves = {curve.name: curve.values for curve in context["curves"]}
    assert curves == {
        "by the due date": [Decimal("7.33"), None],
        "30 days after the due date": [Decimal("33.33"), None],
        "90 days after the due date": [None, None],
    }
    sums = {curve.name: curve.values for curve in context["sum_curves"]}
    assert sums == {
        "due in the month": [1500, None],
        "paid by the due date": [110, None],
        "paid by 30 days after the due date": [500, None],
        "paid by 90 days after the due date": [None, None],
    }


def test_the_csv_file_has_the_rows_of_the_api(book, analyst):
    response = analyst.get("/api/v1/collection_efficiency?check_date=2021-06-15&format=csv")
    assert response.getvalue().decode("utf-8-sig").splitlines() == [
        "month_due,grace,credits,body,paid,efficiency_percent",
        "2021-06,0,1,1000.00,110.00,11.00",
    ]
