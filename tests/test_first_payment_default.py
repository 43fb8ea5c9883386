"""First-payment default: every figure is calculated by hand, or by plain Python from the rows of the book."""

import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from html import unescape

import pytest

from credits.models import Credit
from reports.first_payment_default import HISTORIES, Row, compute, totals
from reports.grace import GRACES

from . import builders
from .test_vintages import RANDOM_DAYS, TODAY, random_book, share

pytestmark = pytest.mark.django_db


def ask(client, day):
    return client.get("/api/v1/first_payment_default", {"check_date": day} if day else {})


def figures(day: str) -> list[tuple[str, int, str, int, int]]:
    """Returns (month due, grace, history, credits, defaulted) of each row."""
    return [
        (row.month_due, row.grace, row.history, row.credits, row.defaulted)
        for row in compute(date.fromisoformat(day), TODAY)
    ]


def due(day: str, returned: str | None = None, **fields) -> Credit:
    """Creates a credit of a new borrower, issued 14 days before it is due."""
    last = date.fromisoformat(day)
    issued = f"{last - timedelta(days=14)}"
    return builders.credit(issued, return_date=last, actual_return_date=returned, **fields)


@pytest.fixture
def book():
    """Credits due on 15 June, returned at the edges of the graces, and of borrowers with a history."""
    due("2021-06-15", "2021-06-10")
    due("2021-06-15", "2021-06-15")
    due("2021-06-15", "2021-06-16")
    due("2021-06-15", "2021-06-22")  # 7 days after the due date
    due("2021-06-15", "2021-06-23")
    due("2021-06-15")
    good, bad = builders.borrower(), builders.borrower()
    builders.credit("2021-01-01", borrower=good, actual_return_date=date(2021, 1, 20))
    builders.credit("2021-01-01", borrower=bad, actual_return_date=date(2021, 2, 20))  # due on 15 January
    due("2021-06-15", "2021-07-15", borrower=good)  # 30 days
    due("2021-06-20", "2021-07-21", borrower=bad)  # 31 days


def test_a_credit_defaults_unless_it_was_returned_by_the_end_of_its_grace(book, analyst):
    rows = [row for row in ask(analyst, "2021-12-31").json() if row["month_due"] == "2021-06"]
    assert rows[0] == {
        "month_due": "2021-06",
        "grace": 0,
        "history": "new",
        "credits": 6,
        "defaulted": 4,
        "default_percent": 66.67,
    }
    assert [(row["grace"], row["history"], row["credits"], row["defaulted"]) for row in rows] == [
        (0, "new", 6, 4),
        (0, "returning", 1, 1),
        (0, "late_before", 1, 1),
        (7, "new", 6, 2),
        (7, "returning", 1, 1),
        (7, "late_before", 1, 1),
        (30, "new", 6, 1),
        (30, "returning", 1, 0),
        (30, "late_before", 1, 1),
        (60, "new", 6, 1),
        (60, "returning", 1, 0),
        (60, "late_before", 1, 0),
        (90, "new", 6, 1),
        (90, "returning", 1, 0),
        (90, "late_before", 1, 0),
    ]


def test_a_credit_counts_from_the_day_on_which_its_grace_has_passed(book):
    def june(day):
        return [row[1:] for row in figures(day) if row[0] == "2021-06"]

    assert june("2021-06-14") == []
    assert june("2021-06-15") == [(0, "new", 6, 4), (0, "returning", 1, 1)]
    assert june("2021-06-21") == [(0, "new", 6, 4), (0, "returning", 1, 1), (0, "late_before", 1, 1)]
    assert june("2021-06-22")[3:] == [(7, "new", 6, 2), (7, "returning", 1, 1)]


def test_nothing_that_happens_later_changes_a_past_report():
    credit = due("2021-06-15")
    before = figures("2021-06-22")
    assert before == [("2021-06", 0, "new", 1, 1), ("2021-06", 7, "new", 1, 1)]
    due("2021-07-10", borrower=credit.borrower)  # issued on 26 June
    builders.credit("2021-06-23", return_date=date(2021, 6, 23))
    credit.actual_return_date = date(2021, 6, 23)
    credit.save()
    assert figures("2021-06-22") == before


def test_totals_are_of_all_months_for_each_grace_and_history(book):
    found = [
        (total["grace"], total.get("history"), total["credits"], str(total["default_percent"]))
        for total in totals(compute(date(2021, 7, 16), TODAY))
    ]
    assert found[:8] == [
        (0, None, 10, "80.00"),
        (0, "new", 8, "75.00"),
        (0, "returning", 1, "100.00"),
        (0, "late_before", 1, "100.00"),
        (7, None, 10, "50.00"),
        (7, "new", 8, "37.50"),
        (7, "returning", 1, "100.00"),
        (7, "late_before", 1, "100.00"),
    ]
    assert found[8:11] == [
        (30, None, 9, "22.22"),
        (30, "new", 8, "25.00"),
        (30, "returning", 1, "0.00"),
    ]


def test_without_a_date_it_is_the_last_day_of_the_book(analyst):
    builders.payment(due("2021-06-15"), "2021-07-15", "1")
    assert ask(analyst, None).json() == ask(analyst, "2021-07-15").json()


def test_an_empty_book_has_no_months(analyst):
    assert ask(analyst, None).json() == []
    page = analyst.get("/reports/first-payment-default/")
    assert page.status_code == 200
    assert "There is nothing in the book for this." in page.content.decode()


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_date_are_answered(book, analyst, day):
    assert ask(analyst, day).status_code == 200
    assert analyst.get(f"/reports/first-payment-default/?check_date={day}").status_code == 200


def history_of(credit: Credit, earlier: list[Credit]) -> str:
    if not earlier:
        return "new"
    for other in earlier:
        deadline = other.return_date + timedelta(days=30)
        unreturned = other.actual_return_date is None or other.actual_return_date > deadline
        if unreturned and deadline <= credit.issuance_date:
            return "late_before"
    return "returning"


def expected_rows(every: list[Credit], until: date) -> list[Row]:
    groups = defaultdict(list)
    for credit in every:
        earlier = [
            other
            for other in every
            if other.borrower_id == credit.borrower_id and other.issuance_date < credit.issuance_date
        ]
        history = list(HISTORIES).index(history_of(credit, earlier))
        for grace in GRACES:
            last = credit.return_date + timedelta(days=grace)
            if last <= until:
                returned = credit.actual_return_date
                groups[f"{credit.return_date:%Y-%m}", grace, history].append(not returned or returned > last)
    return [
        Row(
            month_due=month,
            grace=grace,
            history=list(HISTORIES)[history],
            credits=len(defaults),
            defaulted=sum(defaults),
            default_percent=share(Decimal(sum(defaults)), Decimal(len(defaults))),
        )
        for (month, grace, history), defaults in sorted(groups.items())
    ]


def test_the_figures_are_those_of_plain_arithmetic():
    random_book()
    every = list(Credit.objects.all())
    for day in RANDOM_DAYS:
        rows = compute(day, TODAY)
        assert rows == expected_rows(every, day), day
    assert {row.history for row in rows} == set(HISTORIES)


def test_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        compute(date(2021, 12, 31), TODAY)


def test_cells_of_the_page_lead_to_the_rows_behind_them(book, analyst):
    html = analyst.get("/reports/first-payment-default/?check_date=2021-07-15").content.decode()
    assert "at 2021-07-15" in html
    lines = [
        [unescape(cell) for cell in re.findall(r"<td.*?</td>", line)]
        for line in re.findall(r'<th scope="row">(?:2021-06|Total)</th>(.*?)</tr>', html, re.DOTALL)
    ]
    total, of_all, total_of_histories, of_histories = lines
    credits_, june = "/reports/credits/?", "due_from=2021-06-01&due_to=2021-06"
    assert of_all == [
        f'<td><a href="{credits_}{june}-30">8</a></td>',
        f'<td class="first heat-7"><a href="{credits_}late=0&{june}-30">75.00\u202f%</a></td>',
        f'<td class="heat-5"><a href="{credits_}late=7&{june}-30">50.00\u202f%</a></td>',
        f'<td class="heat-1"><a href="{credits_}late=30&{june}-15">14.29\u202f%</a>*</td>',
        "<td></td>",
        "<td></td>",
    ]
    assert total[:2] == [
        f'<td><a href="{credits_}due_to=2021-07-15">10</a></td>',
        f'<td class="first heat-8"><a href="{credits_}late=0&due_to=2021-07-15">80.00\u202f%</a></td>',
    ]
    assert of_histories[:4] == [
        f'<td class="first"><a href="{credits_}history=new&{june}-30">6</a></td>',
        f'<td class="heat-6"><a href="{credits_}history=new&late=0&{june}-30">66.67\u202f%</a></td>',
        f'<td class="heat-3"><a href="{credits_}history=new&late=7&{june}-30">33.33\u202f%</a></td>',
        f'<td class="heat-1"><a href="{credits_}history=new&late=30&{june}-15">16.67\u202f%</a>*</td>',
    ]
    late = f"{credits_}history=late_before&"
    assert of_histories[12:] == [
        f'<td class="first"><a href="{late}{june}-30">1</a></td>',
        f'<td class="heat-10"><a href="{late}late=0&{june}-30">100.00\u202f%</a></td>',
        f'<td class="heat-10"><a href="{late}late=7&{june}-30">100.00\u202f%</a></td>',
        *["<td></td>"] * 3,
    ]
    returning = f"{credits_}history=returning&"
    assert total_of_histories[6:8] == [
        f'<td class="first"><a href="{returning}due_to=2021-07-15">1</a></td>',
        f'<td class="heat-10"><a href="{returning}late=0&due_to=2021-07-15">100.00\u202f%</a></td>',
    ]


def test_curves_are_by_grace_and_by_history(book, analyst):
    context = analyst.get("/reports/first-payment-default/?check_date=2021-07-30").context
    assert context["months"] == ["2021-01", "2021-06"]

    def curves(name):
        return {curve.name: curve.values for curve in context[name]}

    assert curves("curves") == {
        "by the due date": [100, 75],
        "30 days after the due date": [50, 25],
        "90 days after the due date": [0, None],
    }
    assert curves("history_curves") == {
        "new": [50, Decimal("16.67")],
        "returning": [None, 0],
        "returning, late before": [None, 100],
    }


def test_the_csv_file_has_the_rows_of_the_api(analyst):
    due("2021-06-15")
    response = analyst.get("/api/v1/first_payment_default?check_date=2021-06-15&format=csv")
    assert response.getvalue().decode("utf-8-sig").splitlines() == [
        "month_due,grace,history,credits,defaulted,default_percent",
        "2021-06,0,new,1,1,100.00",
    ]
