"""Data quality: each check finds the credits or months that it should, and no others."""

import re
from datetime import date
from decimal import Decimal
from html import unescape

import pytest
import time_machine

from credits.models import Credit, Dictionary, Payment, Rate
from reports.data_quality import CHECKS, LISTED, compute

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2021, 7, 1)
ISSUANCE_PLAN, COLLECTION_PLAN = "months_without_issuance_plan", "months_without_collection_plan"


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel(f"{TODAY} 12:00", tick=False):
        yield


def found() -> dict[str, tuple[int, Decimal | None]]:
    """Returns {check: (count, amount)} of the checks that found something."""
    return {row.check: (row.count, row.amount) for row in compute(TODAY) if row.count}


def of_credits() -> dict[str, tuple[int, Decimal | None]]:
    return {check: figures for check, figures in found().items() if not check.startswith("months")}


def set_rate(percent: str | None) -> None:
    Rate.objects.filter(name=Rate.DAILY_INTEREST).update(percent=percent)


def paid_credit(**fields) -> Credit:
    """Creates a credit of 1,000 with 300 interest, of which 500 is paid."""
    credit = builders.credit("2021-06-01", 1000, percent=300, **fields)
    builders.payment(credit, "2021-06-10", 500)
    return credit


@pytest.mark.parametrize(
    ("returned", "payments", "checks"),
    [
        (None, [], []),
        (None, [("2021-05-31", 1, 1)], ["paid_before_issuance"]),
        (None, [("2021-06-10", 1, "500.01")], ["body_overpaid"]),
        (None, [("2021-06-10", 2, "300.01")], ["interest_overpaid"]),
        ("2021-06-20", [("2021-06-10", 1, "499.99"), ("2021-06-10", 2, "299.99")], []),
        ("2021-06-20", [("2021-06-10", 1, "499.98"), ("2021-06-10", 2, 300)], ["closed_unpaid"]),
        ("2021-06-20", [], ["closed_unpaid"]),
        (None, [("2021-06-10", 1, 500), ("2021-06-10", 2, 300)], ["open_paid"]),
        (
            "2021-06-20",
            [("2021-05-31", 1, 501)],
            ["paid_before_issuance", "body_overpaid", "closed_unpaid"],
        ),
    ],
)
def test_each_flaw_of_a_credit_is_counted_with_its_body(returned, payments, checks):
    credit = paid_credit(actual_return_date=returned)
    for paid, kind, amount in payments:
        builders.payment(credit, paid, amount, kind)
    paid_credit()
    assert of_credits() == dict.fromkeys(checks, (1, 1000))


def test_an_open_credit_is_never_paid_once_it_is_more_than_90_days_past_due():
    builders.credit("2021-01-01", 100, return_date=date(2021, 4, 1))  # 91 days past due
    builders.credit("2021-01-01", 200, return_date=date(2021, 4, 2))
    builders.credit("2021-01-01", 400, return_date=date(2021, 4, 1), actual_return_date="2021-04-10")
    paid = builders.credit("2021-01-01", 800, return_date=date(2021, 4, 1))
    builders.payment(paid, "2021-06-30", "0.01")
    assert found()["never_paid_90"] == (1, 100)


@pytest.mark.parametrize(
    ("interest", "returned", "is_beyond"),
    [
        ("15.00", "2021-06-11", False),  # 1,000 × 0.15 % × 10 days
        ("15.01", "2021-06-11", True),
        ("1.50", "2021-06-01", False),  # returned on the day of issuance: 1 day
        ("1.51", "2021-06-01", True),
        ("45.00", None, False),  # 30 days until today
        ("45.01", None, True),
        ("0", "2021-06-11", False),
    ],
)
def test_interest_is_beyond_the_rate_above_body_times_rate_times_days(interest, returned, is_beyond):
    set_rate("0.15")
    credit = builders.credit(
        "2021-06-01", 1000, percent=interest, actual_return_date=returned, return_date=date(2021, 6, 5)
    )
    builders.payment(credit, "2021-06-01", "0.01")
    assert list(Credit.objects.beyond_daily_rate(Decimal("0.15"), TODAY)) == [credit] * is_beyond
    assert ("interest_beyond_rate" in found()) == is_beyond


@pytest.mark.parametrize(
    ("body", "rate", "days", "limit"),
    [
        ("0.10", "10.00", 3, "0.03"),
        ("1.10", "0.30", 10, "0.033"),
        ("999999999999.99", "0.01", 9999, "999899999999.990001"),
        ("98765432109.87", "1.01", 1000, "997530864309.687"),
        ("999999999999.99", "999.99", 100000, "999999999999.99"),
    ],
)
def test_interest_is_compared_with_the_rate_exactly(body, rate, days, limit):
    returned = date.fromordinal(date(2021, 6, 1).toordinal() + days)
    most = Decimal(limit).quantize(Decimal("0.01"), "ROUND_DOWN")
    builders.credit("2021-06-01", body, percent=most, actual_return_date=returned)
    assert not Credit.objects.beyond_daily_rate(Decimal(rate), TODAY).exists()
    if most < Decimal("999999999999.99"):
        builders.credit("2021-06-01", body, percent=most + Decimal("0.01"), actual_return_date=returned)
        assert Credit.objects.beyond_daily_rate(Decimal(rate), TODAY).count() == 1


def test_at_a_rate_of_0_all_interest_is_beyond_it():
    set_rate("0")
    builders.credit("2021-06-20", 1000)
    builders.credit("2021-06-20", 500, percent="0.01")
    assert of_credits() == {"interest_beyond_rate": (1, 500)}


def test_without_a_rate_interest_is_not_checked(analyst):
    builders.credit("2021-06-20", 1000, percent=99999)
    (row,) = [row for row in compute(TODAY) if row.check == "interest_beyond_rate"]
    assert (row.count, row.amount) == (None, None)
    assert "Not checked: no daily rate is set." in analyst.get("/reports/data-quality/").content.decode()
    set_rate("1.00")
    assert of_credits() == {"interest_beyond_rate": (1, 1000)}
    html = analyst.get("/reports/data-quality/").content.decode()
    assert "The rate is 1.00\u202f%." in html


def test_months_without_plans_count_from_the_first_of_the_book_to_the_last_up_to_today():
    builders.credit("2020-11-30", 1000)
    builders.payment(builders.credit("2021-03-01", 1000), "2021-04-01", 1)
    builders.credit("2021-08-01", 1000)  # after today
    builders.plan("2020-10", Dictionary.ISSUANCE, 1)
    builders.plan("2020-12", Dictionary.ISSUANCE, 0)
    builders.plan("2021-04", Dictionary.ISSUANCE, 1)
    builders.plan("2021-01", Dictionary.COLLECTION, 1)
    builders.plan("2021-05", Dictionary.COLLECTION, 1)
    counts = {check: count for check, (count, _amount) in found().items() if check.startswith("months")}
    assert counts == {ISSUANCE_PLAN: 4, COLLECTION_PLAN: 5}


def test_the_page_lists_the_months_without_plans(analyst):
    builders.credit("2021-05-30", 1000)
    builders.payment(builders.credit("2021-06-01", 1000), "2021-06-30", 1)
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    html = analyst.get("/reports/data-quality/").content.decode()
    assert f'<a href="#{ISSUANCE_PLAN}">1</a>' in html
    assert f'<a href="#{COLLECTION_PLAN}">2</a>' in html
    for check, months in ((ISSUANCE_PLAN, ["2021-05"]), (COLLECTION_PLAN, ["2021-05", "2021-06"])):
        (section,) = re.findall(rf'<section id="{check}">(.*?)</section>', html, re.DOTALL)
        assert re.findall(r'<a href="([^"]+)">([^<]+)</a>', section) == [
            (f"/reports/month/?month={month}", month) for month in months
        ]


def test_a_mistyped_year_does_not_fill_the_page(analyst):
    builders.credit("0021-06-01", 1000)
    builders.credit("2021-06-01", 1000)
    assert found()[ISSUANCE_PLAN] == (2000 * 12 + 1, None)
    html = analyst.get("/reports/data-quality/").content.decode()
    assert html.count("/reports/month/?month=") == 2 * LISTED
    assert "There are 23\u00a0941 more." in html


def test_each_count_leads_to_what_it_counts(analyst):
    set_rate("0.01")
    credit = paid_credit(actual_return_date="2021-06-20")
    builders.payment(credit, "2021-05-31", 501)
    builders.payment(credit, "2021-06-10", 301, Dictionary.INTEREST)
    builders.payment(paid_credit(), "2021-06-10", 500)
    paid = paid_credit()
    builders.payment(paid, "2021-06-10", 500)
    builders.payment(paid, "2021-06-10", 300, Dictionary.INTEREST)
    paid_credit(actual_return_date="2021-06-20")
    builders.credit("2021-01-01", 100)
    html = analyst.get("/reports/data-quality/").content.decode()
    found = re.findall(r'<td><a href="([^"]+)">([^<]+)</a>', html)
    flaw = "/reports/credits/?flaw="
    assert [(unescape(address), text) for address, text in found] == [
        (f"{flaw}paid_before_issuance", "1"),
        (f"{flaw}body_overpaid", "1"),
        (f"{flaw}interest_overpaid", "1"),
        (f"{flaw}closed_unpaid", "1"),
        (f"{flaw}open_paid", "1"),
        (f"{flaw}never_paid&due_to=2021-04-01", "1"),
        (f"{flaw}interest_beyond_rate", "4"),
        ("#months_without_issuance_plan", "6"),
        ("#months_without_collection_plan", "6"),
    ]


def test_a_clean_book_says_so_and_has_no_links(analyst):
    set_rate("1.00")
    paid_credit()
    for category in (Dictionary.ISSUANCE, Dictionary.COLLECTION):
        builders.plan("2021-06", category, 1)
    assert [(row.count, row.amount) for row in compute(TODAY)] == [(0, 0)] * 7 + [(0, None)] * 2
    html = analyst.get("/reports/data-quality/").content.decode()
    assert "All checks passed: the book is clean." in html
    assert "<td><a" not in html
    builders.credit("2021-01-01", 100)
    assert "the book is clean" not in analyst.get("/reports/data-quality/").content.decode()


def test_an_empty_book_is_clean(analyst):
    assert found() == {}
    assert "the book is clean" in analyst.get("/reports/data-quality/").content.decode()


def test_other_ids_make_the_same_figures():
    def make(first_id: int, step: int) -> None:
        for number in range(5):
            credit = builders.credit("2021-01-01", 100 + number, pk=first_id + step * number)
            if number % 2:
                builders.payment(credit, "2020-12-31", 200)

    make(1, 1)
    before = found()
    assert before["never_paid_90"] == (3, 306)
    for model in (Payment, Credit):
        model.objects.all().delete()
    make(90, -7)
    assert found() == before


def test_the_api_names_each_check(analyst):
    credit = paid_credit()
    builders.payment(credit, "2021-06-10", "500.01")
    rows = analyst.get("/api/v1/data_quality").json()
    assert [row["check"] for row in rows] == list(CHECKS)
    assert rows[1] == {"check": "body_overpaid", "count": 1, "amount": 1000}


def test_an_unknown_parameter_is_reported(analyst):
    assert analyst.get("/reports/data-quality/?check_date=2021-06-30").status_code == 400


def test_the_report_takes_a_query_for_each_check(django_assert_max_num_queries):
    set_rate("1.00")
    paid_credit()
    with django_assert_max_num_queries(len(CHECKS) + 1):
        compute(TODAY)


def test_only_those_who_may_change_the_rate_see_the_link(client_as):
    for role, may in (("Analyst", False), ("Editor", True)):
        html = client_as(role).get("/reports/data-quality/").content.decode()
        assert ("Change the daily rate" in html) == may
