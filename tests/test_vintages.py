"""Vintages: every figure is calculated by hand, or by plain Python from the rows of the book."""

import csv
import random
import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from io import StringIO
from typing import Any

import pytest
import time_machine

from credits.models import Credit, Dictionary, Payment
from reports.stretch import last_of_month
from reports.vintages import AGES, Row, compute, totals

from . import builders

pytestmark = pytest.mark.django_db

INTEREST = Dictionary.INTEREST
TODAY = date(2026, 1, 1)


def ask(client, day):
    return client.get("/api/v1/vintages", {"check_date": day} if day else {})


def at(day: str) -> list[Row]:
    return compute(date.fromisoformat(day), TODAY)


def recovered(day: str) -> list[tuple[str, int, str, str]]:
    """Returns (cohort, age, recovered percent, collected percent) of each row."""
    return [(row.cohort, row.age, str(row.recovered_percent), str(row.collected_percent)) for row in at(day)]


@pytest.fixture
def book():
    """June: 1,000 and 500 issued, with payments at the edges of months. August: 2,000 issued, 30 paid."""
    first = builders.credit("2021-06-10", "1000")
    second = builders.credit("2021-06-30", "500")
    third = builders.credit("2021-08-15", "2000")
    builders.payment(first, "2021-05-20", "100")  # before the issuance
    builders.payment(first, "2021-06-30", "200")
    builders.payment(first, "2021-07-01", "300", INTEREST)
    builders.payment(second, "2021-07-31", "400")
    builders.payment(first, "2021-08-01", "900", INTEREST)
    builders.payment(third, "2021-08-16", "30")
    return first


def random_book(seed: int = 1) -> None:
    """Creates credits of half a year, returned or not, some paid before issuance or after return."""
    chance = random.Random(seed)
    borrowers = [builders.borrower() for _ in range(12)]
    credits_ = []
    for _ in range(60):
        issued = date(2021, 1, 1) + timedelta(days=chance.randrange(180))
        due = issued + timedelta(days=chance.choice([0, 7, 14, 30]))
        returned = issued + timedelta(days=chance.randrange(90)) if chance.random() < 0.7 else None
        credits_.append(
            Credit(
                borrower=chance.choice(borrowers),
                issuance_date=issued,
                return_date=due,
                actual_return_date=returned,
                body=Decimal(chance.randrange(50_000, 300_000)) / 100,
                percent=0,
            )
        )
    Credit.objects.bulk_create(credits_)
    Payment.objects.bulk_create(
        Payment(
            credit=credit,
            payment_date=credit.issuance_date + timedelta(days=chance.randrange(-10, 120)),
            type_id=chance.choice([Dictionary.BODY, Dictionary.BODY, INTEREST]),
            sum=Decimal(chance.randrange(1, 150_000)) / 100,
        )
        for credit in Credit.objects.all()
        for _ in range(chance.randrange(6))
    )


def share(part: Any, whole: Decimal) -> Decimal:
    return (Decimal(part) * 100 / whole).quantize(Decimal("0.01"), ROUND_HALF_UP)


RANDOM_DAYS = [
    date(2020, 12, 31),
    date(2021, 1, 31),
    date(2021, 3, 17),
    date(2021, 5, 31),
    date(2021, 7, 1),
    date(2021, 10, 30),
    date(2022, 2, 28),
]


def test_a_cohort_has_a_row_for_each_age_with_what_came_back_so_far(book, analyst):
    rows = ask(analyst, "2021-09-30").json()
    assert [(row["cohort"], row["age"], row["until"]) for row in rows] == [
        ("2021-06", 0, "2021-06-30"),
        ("2021-06", 1, "2021-07-31"),
        ("2021-06", 2, "2021-08-31"),
        ("2021-06", 3, "2021-09-30"),
        ("2021-08", 0, "2021-08-31"),
        ("2021-08", 1, "2021-09-30"),
    ]
    assert rows[0] == {
        "cohort": "2021-06",
        "age": 0,
        "until": "2021-06-30",
        "credits": 2,
        "issued": 1500,
        "recovered_sum": 300,
        "recovered_percent": 20,
        "collected_sum": 300,
        "collected_percent": 20,
        "multiple": 0.2,
        "breaks_even": False,
    }
    assert rows[1] == rows[0] | {
        "age": 1,
        "until": "2021-07-31",
        "recovered_sum": 700,
        "recovered_percent": 46.67,
        "collected_sum": 1000,
        "collected_percent": 66.67,
        "multiple": 0.67,
    }
    assert rows[2] == rows[1] | {
        "age": 2,
        "until": "2021-08-31",
        "collected_sum": 1900,
        "collected_percent": 126.67,
        "multiple": 1.27,
        "breaks_even": True,
    }
    assert rows[3] == rows[2] | {"age": 3, "until": "2021-09-30", "breaks_even": False}


def test_the_last_age_is_cut_at_the_date(book):
    *_, last = at("2021-07-30")
    assert (last.age, last.until, last.collected_sum) == (1, date(2021, 7, 30), 600)
    *_, last = at("2021-07-31")
    assert (last.age, last.until, last.collected_sum) == (1, date(2021, 7, 31), 1000)
    *_, last = at("2021-08-01")
    assert (last.age, last.until, last.collected_sum) == (2, date(2021, 8, 1), 1900)


def test_the_cohort_of_the_running_month_has_the_credits_issued_so_far(book):
    (row,) = at("2021-06-29")
    assert (row.cohort, row.age, row.until) == ("2021-06", 0, date(2021, 6, 29))
    assert (row.credits, row.issued, row.recovered_sum) == (1, 1000, 100)


def test_nothing_that_happens_later_changes_a_past_report(book):
    days = ["2021-06-09", "2021-06-20", "2021-07-31", "2021-08-10"]
    before = [at(day) for day in days]
    builders.payment(book, "2021-08-11", "500")
    builders.payment(builders.credit("2021-08-11", "700"), "2021-06-15", "70")  # paid before it was issued
    book.actual_return_date = date(2021, 8, 12)
    book.save()
    assert [at(day) for day in days] == before
    assert before[0] == []


def test_a_cohort_breaks_even_only_once_all_that_was_issued_is_collected():
    exact = builders.credit("2021-01-10", "20000")
    builders.payment(exact, "2021-01-20", "20000")
    short = builders.credit("2021-02-10", "20000")
    builders.payment(short, "2021-02-20", "19999.99")
    builders.payment(short, "2021-03-20", "0.01", INTEREST)
    found = [(row.cohort, row.age, str(row.collected_percent), row.breaks_even) for row in at("2021-03-31")]
    assert found == [
        ("2021-01", 0, "100.00", True),
        ("2021-01", 1, "100.00", False),
        ("2021-01", 2, "100.00", False),
        ("2021-02", 0, "100.00", False),  # 99.99995 %
        ("2021-02", 1, "100.00", True),
    ]


def test_figures_are_rounded_half_up_once():
    builders.payment(builders.credit("2021-01-10", "1000"), "2021-01-20", "1005")
    builders.payment(builders.credit("2021-02-10", "20000"), "2021-02-20", "1")
    first, _, second = at("2021-02-28")
    assert (first.collected_percent, first.multiple) == (Decimal("100.50"), Decimal("1.01"))
    assert (second.recovered_percent, second.multiple) == (Decimal("0.01"), Decimal("0.00"))


def test_a_cohort_that_was_issued_nothing_has_no_percents():
    builders.payment(builders.credit("2021-01-10", "0"), "2021-01-20", "5", INTEREST)
    (row,) = at("2021-01-31")
    assert (row.issued, row.collected_sum, row.breaks_even) == (0, 5, False)
    assert (row.recovered_percent, row.collected_percent, row.multiple) == (None, None, None)


def test_ages_after_today_are_not_there(book):
    rows = compute(date.max, date(2021, 8, 20))
    assert [(row.cohort, row.age) for row in rows] == [
        ("2021-06", 0),
        ("2021-06", 1),
        ("2021-06", 2),
        ("2021-08", 0),
    ]
    assert rows[-1].until == date(2021, 8, 31)


def test_months_after_today_count_as_far_as_the_book_has_rows_of_them(book):
    builders.payment(builders.credit("2021-09-10", "100"), "2021-10-05", "40")
    rows = compute(date(2021, 12, 31), date(2021, 7, 15))
    assert [(row.age, row.recovered_sum) for row in rows if row.cohort == "2021-09"] == [(0, 0), (1, 40)]


def test_totals_are_of_the_cohorts_for_which_the_month_is_over(book):
    found = [
        (total["age"], total["credits"], total["issued"], total["recovered_sum"], total["collected_percent"])
        for total in totals(at("2021-09-29"))
    ]
    assert found == [
        (0, 3, 3500, 330, Decimal("9.43")),
        (1, 2, 1500, 700, Decimal("66.67")),
        (2, 2, 1500, 700, Decimal("126.67")),
    ]


def test_without_a_date_it_is_the_last_day_of_the_book(book, analyst):
    assert ask(analyst, None).json() == ask(analyst, "2021-08-16").json()


def test_an_empty_book_has_no_cohorts(analyst):
    assert ask(analyst, None).json() == []
    page = analyst.get("/reports/vintages/")
    assert page.status_code == 200
    assert "There is nothing in the book for this." in page.content.decode()


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_date_are_answered(book, analyst, day):
    assert ask(analyst, day).status_code == 200
    assert analyst.get(f"/reports/vintages/?check_date={day}").status_code == 200


def expected_rows(until: date) -> list[Row]:
    cohorts = defaultdict(list)
    for credit in Credit.objects.filter(issuance_date__lte=until).prefetch_related("payments"):
        cohorts[credit.issuance_date.replace(day=1)].append(credit)
    rows = []
    for first, credits_ in sorted(cohorts.items()):
        issued = sum(credit.body for credit in credits_)
        payments = [payment for credit in credits_ for payment in credit.payments.all()]
        month, age, is_even = first, 0, False
        while month <= until:
            last = min(last_of_month(month), until)
            paid = [payment for payment in payments if payment.payment_date <= last]
            body = sum(payment.sum for payment in paid if payment.type_id == Dictionary.BODY)
            cash = sum(payment.sum for payment in paid)
            rows.append(
                Row(
                    cohort=f"{first:%Y-%m}",
                    age=age,
                    until=last,
                    credits=len(credits_),
                    issued=issued,
                    recovered_sum=body,
                    recovered_percent=share(body, issued),
                    collected_sum=cash,
                    collected_percent=share(cash, issued),
                    multiple=share(cash, issued * 100),
                    breaks_even=cash >= issued and not is_even,
                )
            )
            is_even = is_even or cash >= issued
            month, age = last_of_month(month) + timedelta(days=1), age + 1
    return rows


def test_the_figures_are_those_of_plain_arithmetic():
    random_book()
    for day in RANDOM_DAYS:
        rows = compute(day, TODAY)
        assert rows == expected_rows(day), day
    assert {row.breaks_even for row in rows} == {True, False}


def test_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        compute(date(2021, 9, 30), TODAY)


def cells_of(html: str, cohort: str) -> list[str]:
    """Returns the cells of the cohort's lines in both tables, as they are written."""
    lines = re.findall(rf">{cohort}</a></th>(.*?)</tr>", html, re.DOTALL)
    return [unescape(cell) for line in lines for cell in re.findall(r"<td.*?</td>", line)]


def test_cells_of_the_page_lead_to_the_rows_behind_them(book, analyst):
    html = analyst.get("/reports/vintages/?check_date=2021-08-20").content.decode()
    assert "at 2021-08-20" in html
    credits_ = "/reports/credits/?issued_from=2021-06-01&issued_to=2021-06-30"
    payments = "/reports/payments/?issued_from=2021-06-01&issued_to=2021-06-30"
    assert cells_of(html, "2021-06") == [
        f'<td><a href="{credits_}">2</a></td>',
        f'<td><a href="{credits_}">1\u00a0500.00</a></td>',
        f'<td class="first heat-2"><a href="{payments}&kind=1&paid_to=2021-06-30">20.00\u202f%</a></td>',
        f'<td class="heat-4"><a href="{payments}&kind=1&paid_to=2021-07-31">46.67\u202f%</a></td>',
        f'<td class="heat-4"><a href="{payments}&kind=1&paid_to=2021-08-20">46.67\u202f%</a>*</td>',
        f'<td><a href="{payments}&paid_to=2021-08-20">1.27</a></td>',
        f'<td><a href="{payments}&paid_to=2021-08-20">2</a></td>',
        f'<td class="first heat-2"><a href="{payments}&paid_to=2021-06-30">20.00\u202f%</a></td>',
        f'<td class="heat-6"><a href="{payments}&paid_to=2021-07-31">66.67\u202f%</a></td>',
        f'<td class="heat-10"><a href="{payments}&paid_to=2021-08-20">126.67\u202f%</a>*</td>',
    ]
    credits_ = "/reports/credits/?issued_from=2021-08-01&issued_to=2021-08-20"
    payments = "/reports/payments/?issued_from=2021-08-01&issued_to=2021-08-20"
    assert cells_of(html, "2021-08") == [
        f'<td><a href="{credits_}">1</a></td>',
        f'<td><a href="{credits_}">2\u00a0000.00</a></td>',
        f'<td class="first heat-0"><a href="{payments}&kind=1&paid_to=2021-08-20">1.50\u202f%</a>*</td>',
        '<td colspan="2"></td>',
        f'<td><a href="{payments}&paid_to=2021-08-20">0.02</a></td>',
        "<td>–</td>",
        f'<td class="first heat-0"><a href="{payments}&paid_to=2021-08-20">1.50\u202f%</a>*</td>',
        '<td colspan="2"></td>',
    ]


def test_the_total_of_the_page_leads_to_the_credits_of_the_months_that_are_over(book, analyst):
    html = analyst.get("/reports/vintages/?check_date=2021-08-20").content.decode()
    (total, *_) = re.findall(r'<tr class="total">.*?</tr>', html, re.DOTALL)
    behind = "/reports/credits/?issued_to=2021-06-30"  # July has no cohort, and August isn't over
    assert re.findall('<a href="([^"]+)">([^<]+)</a>', total) == [(behind, "2"), (behind, "1\u00a0500.00")]
    assert "2 found, 1\u00a0500.00\u00a0UAH in all." in analyst.get(behind).content.decode()


def test_the_page_marks_cells_only_while_a_month_lasts(book, analyst):
    html = analyst.get("/reports/vintages/?check_date=2021-08-31").content.decode()
    assert "%</a>*" not in html
    assert "* The month" not in html
    assert '<a rel="prev" href="?check_date=2021-07-31">' in html
    assert '<a rel="next" href="?check_date=2021-09-30">' in html


def test_curves_are_of_the_latest_cohorts_at_the_ages_that_are_over(book, analyst):
    for month in ("2020-12", "2021-01", "2021-02", "2021-03", "2021-04", "2021-05"):
        builders.credit(f"{month}-01")
    context = analyst.get("/reports/vintages/?check_date=2021-08-20").context
    assert context["labels"] == ["0", "1", "2", "3", "4", "5", "6"]
    curves = {curve.name: [str(value) for value in curve.values] for curve in context["collected_curves"]}
    names = ["2021-01", "2021-02", "2021-03", "2021-04", "2021-05", "2021-06", "all cohorts"]
    assert list(curves) == names
    assert curves["2021-06"] == ["20.00", "66.67"]
    assert curves["all cohorts"] == ["4.00", "13.33", *["0.00"] * 5]  # of 7,500, then of 6,000 and less


def test_the_page_shows_the_first_years_and_the_download_all_ages(analyst):
    builders.credit("2010-01-01")
    address = "/reports/vintages/?check_date=2020-01-01"
    html = analyst.get(address).content.decode()
    assert f"The tables show the first {AGES} ages; the downloads have all." in html
    # The cohort, and all cohorts beneath: in two tables, and at the same ages in two charts.
    assert html.count(">0.00\u202f%<") == 2 * 2 * AGES + 2 * 2 * AGES
    rows = list(csv.DictReader(StringIO(analyst.get(f"{address}&format=csv").getvalue().decode("utf-8-sig"))))
    assert len(rows) == 121
    assert (rows[120]["age"], rows[120]["until"], rows[120]["breaks_even"]) == ("120", "2020-01-01", "false")


@time_machine.travel("2021-08-20 12:00 +0000", tick=False)
def test_a_new_payment_today_shows_at_once(book, analyst):
    assert ask(analyst, None).json()[-1]["until"] == "2021-08-16"
    builders.payment(book, "2021-08-20", "1")
    assert ask(analyst, None).json()[-1]["until"] == "2021-08-20"
