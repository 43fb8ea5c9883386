"""Top borrowers: hand-made books, and random ones beside a plain computation."""

import random
import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from html import unescape

import pytest
import time_machine

from credits.models import Borrower, Credit, Dictionary, Payment
from reports import top_borrowers
from reports.top_borrowers import OUTSTANDING, OVERDUE, compute

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2021, 7, 1)


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel(f"{TODAY} 12:00", tick=False):
        yield


def ask(client, **params):
    return client.get("/api/v1/top_borrowers", params).json()


def listed(day: str, by: str = OUTSTANDING, count: int = 20) -> list[tuple[str, Decimal]]:
    """Returns (login, amount) of each row of a list."""
    rows = compute(date.fromisoformat(day), count, TODAY)
    return [(row.login, getattr(row, by)) for row in rows if row.by == by]


@pytest.fixture
def book():
    """Anna owes 900 in term and 450 overdue, Bohdan 1,000 overdue, Clara 50 overdue, and Dan nothing."""
    anna, bohdan, clara, dan = (
        builders.borrower(pk=pk, login=login)
        for pk, login in ((4, "anna"), (3, "bohdan"), (2, "clara"), (1, "dan"))
    )
    builders.credit("2021-06-20", 900, borrower=anna)
    late = builders.credit("2021-05-01", 500, borrower=anna)
    builders.payment(late, "2021-05-10", "50")
    builders.payment(late, "2021-05-10", "70", Dictionary.INTEREST)
    builders.credit("2021-06-01", 1000, borrower=bohdan)
    most = builders.credit("2021-06-02", 2050, borrower=clara)
    builders.payment(most, "2021-06-20", "2000")
    builders.credit("2021-01-01", 9000, borrower=clara, actual_return_date="2021-01-10")
    overpaid = builders.credit("2021-06-03", 3000, borrower=dan)
    builders.payment(overpaid, "2021-06-04", "3000.01")


def test_borrowers_are_listed_by_outstanding_and_by_overdue_principal(book, analyst):
    assert ask(analyst, check_date="2021-06-30") == [
        {
            "by": by,
            "rank": rank,
            "borrower_id": pk,
            "login": login,
            "credits": number,
            "outstanding": outstanding,
            "overdue": overdue,
            "days_past_due": days,
        }
        for by, rank, pk, login, number, outstanding, overdue, days in (
            ("outstanding", 1, 4, "anna", 2, 1350, 450, 46),
            ("outstanding", 2, 3, "bohdan", 1, 1000, 1000, 15),
            ("outstanding", 3, 2, "clara", 1, 50, 50, 14),
            ("overdue", 1, 3, "bohdan", 1, 1000, 1000, 15),
            ("overdue", 2, 4, "anna", 2, 1350, 450, 46),
            ("overdue", 3, 2, "clara", 1, 50, 50, 14),
        )
    ]


def test_a_credit_is_overdue_from_the_day_after_it_was_due(book):
    assert listed("2021-06-15", OVERDUE) == [("anna", 450)]
    assert listed("2021-06-16", OVERDUE) == [("bohdan", 1000), ("anna", 450)]


def test_a_credit_counts_from_its_issuance_to_the_day_before_its_return(book):
    assert listed("2020-12-31") == []
    assert listed("2021-01-01") == listed("2021-01-09") == [("clara", 9000)]
    assert listed("2021-01-10") == []


def test_nothing_that_happens_later_changes_a_past_list(book):
    before = compute(date(2021, 6, 15), 20, TODAY)
    credit = Credit.objects.get(body=1000)
    builders.payment(credit, "2021-06-16", "1000")
    credit.actual_return_date = date(2021, 6, 16)
    credit.save()
    builders.credit("2021-06-16", 5000)
    assert compute(date(2021, 6, 15), 20, TODAY) == before
    assert listed("2021-06-16")[0][1] == 5000


def test_without_a_date_it_is_the_last_day_of_the_book(book):
    assert compute(None, 20, TODAY) == compute(date(2021, 6, 20), 20, TODAY)


def test_count_limits_each_list(book):
    assert listed("2021-06-30", count=1) == [("anna", 1350)]
    assert listed("2021-06-30", OVERDUE, count=2) == [("bohdan", 1000), ("anna", 450)]


def test_without_a_count_there_are_twenty(analyst):
    for _ in range(21):
        builders.credit("2021-06-01", 100)
    response = analyst.get("/api/v1/top_borrowers?check_date=2021-06-30")
    assert [row["by"] for row in response.json()] == [OUTSTANDING] * 20 + [OVERDUE] * 20


@pytest.mark.parametrize("first", [1000, 2])
@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [40, 30, 20, 10], [3, 1, 4, 2]])
def test_equal_debts_at_the_cut_are_in_the_order_of_logins_whatever_the_ids(ids, first, monkeypatch):
    monkeypatch.setattr(top_borrowers, "FIRST", first)
    for pk, login in zip(ids, ("b", "Я", "a", "B"), strict=True):
        builders.credit("2021-06-01", 100, borrower=builders.borrower(pk=pk, login=login))
    for by in (OUTSTANDING, OVERDUE):
        assert listed("2021-06-30", by, count=3) == [("B", 100), ("a", 100), ("b", 100)]


@pytest.mark.parametrize("first", [1000, 2])
def test_a_borrower_with_smaller_credits_leads_if_those_with_larger_ones_have_paid(first, monkeypatch):
    monkeypatch.setattr(top_borrowers, "FIRST", first)
    for _ in range(5):
        builders.payment(builders.credit("2021-06-01", 1000), "2021-06-02", "999")
    builders.credit("2021-06-01", 2, borrower=builders.borrower(login="small"))
    assert listed("2021-06-30", count=1) == listed("2021-06-30", OVERDUE, count=1) == [("small", 2)]


def random_book(seed: int) -> None:
    """Creates credits with few different bodies and payments, so that many borrowers owe the same."""
    chance = random.Random(seed)
    logins = [f"{chance.choice('abcАЯ')}{number}" for number in range(30)]
    ids = chance.sample(range(1, 200), 30)
    borrowers = [
        Borrower(pk=pk, login=login, registration_date=date(2021, 1, 1))
        for pk, login in zip(ids, logins, strict=True)
    ]
    Borrower.objects.bulk_create(borrowers)
    made = []
    for number in range(80):
        issued = date(2021, 1, 1) + timedelta(days=chance.randrange(150))
        returned = issued + timedelta(days=chance.randrange(60)) if chance.random() < 0.4 else None
        made.append(
            Credit(
                pk=number + 1,
                borrower=chance.choice(borrowers),
                issuance_date=issued,
                return_date=issued + timedelta(days=chance.choice([7, 30, 90])),
                actual_return_date=returned,
                body=chance.choice([100, 200, 300]),
                percent=0,
            )
        )
    Credit.objects.bulk_create(made)
    Payment.objects.bulk_create(
        Payment(
            credit=credit,
            payment_date=credit.issuance_date + timedelta(days=chance.randrange(60)),
            sum=chance.choice(["50", "100", "33.33"]),
            type_id=chance.choice([Dictionary.BODY, Dictionary.INTEREST]),
        )
        for credit in chance.choices(made, k=120)
    )


def expected(day: date, count: int) -> list[tuple[str, int, str, Decimal, Decimal]]:
    """Computes (list, rank, login, outstanding, overdue) from every row of the book."""
    outstanding: dict[str, Decimal] = defaultdict(Decimal)
    overdue: dict[str, Decimal] = defaultdict(Decimal)
    for credit in Credit.objects.select_related("borrower").prefetch_related("payments"):
        if credit.issuance_date <= day and not credit.is_closed_on(day):
            paid = sum(
                payment.sum
                for payment in credit.payments.all()
                if payment.type_id == Dictionary.BODY and payment.payment_date <= day
            )
            owed = max(credit.body - paid, Decimal(0))
            outstanding[credit.borrower.login] += owed
            overdue[credit.borrower.login] += owed if credit.return_date < day else 0
    rows = []
    for by, amounts in ((OUTSTANDING, outstanding), (OVERDUE, overdue)):
        owing = sorted((-amount, login) for login, amount in amounts.items() if amount)
        rows += [
            (by, rank, login, outstanding[login], overdue[login])
            for rank, (_amount, login) in enumerate(owing[:count], 1)
        ]
    return rows


@pytest.mark.parametrize(("first", "at_once"), [(1000, 200), (1000, 3), (5, 2), (1, 1)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_lists_are_those_of_a_plain_computation(seed, first, at_once, monkeypatch):
    monkeypatch.setattr(top_borrowers, "FIRST", first)
    monkeypatch.setattr(top_borrowers, "AT_ONCE", at_once)
    random_book(seed)
    for day in (date(2021, 1, 20), date(2021, 3, 31), date(2021, 5, 10), date(2022, 1, 1)):
        for count in (1, 4, 12, 100):
            rows = compute(day, count, TODAY)
            found = [(row.by, row.rank, row.login, row.outstanding, row.overdue) for row in rows]
            assert found == expected(day, count), (day, count)


def test_the_number_of_queries_does_not_grow_with_the_book(django_assert_max_num_queries):
    for number in range(60):
        builders.credit("2021-06-01", 100 + number)
    with django_assert_max_num_queries(6):
        assert len(compute(date(2021, 6, 30), 20, TODAY)) == 40


@pytest.mark.parametrize("count", ["0", "101", "x", "1.5", "-1"])
def test_an_invalid_count_is_reported(analyst, count):
    response = analyst.get("/api/v1/top_borrowers", {"count": count})
    assert response.status_code == 400
    (fault,) = response.json()["errors"]
    assert (fault["parameter"], fault["found"]) == ("count", count)
    assert fault["expected"] == "a whole number from 1 to 100"


def test_an_empty_book_has_no_rows(analyst):
    assert ask(analyst) == []
    response = analyst.get("/reports/top-borrowers/")
    assert response.status_code == 200
    assert "Nobody owes anything." in response.content.decode()


def test_each_cell_leads_to_the_borrower_or_its_open_or_overdue_credits(book, analyst):
    html = analyst.get("/reports/top-borrowers/?check_date=2021-06-30").content.decode()
    found = re.findall(r'<td[^>]*><a href="([^"]+)">([^<]+)</a>', html)
    owed = "/reports/credits/?borrower=4&state={}&check_date=2021-06-30"
    assert [(unescape(address), text) for address, text in found[:4]] == [
        ("/reports/borrowers/4/", "anna"),
        (owed.format("open"), "1\u00a0350.00"),
        (owed.format("overdue"), "450.00"),
        (owed.format("open"), "2"),
    ]
    assert len(found) == 6 * 4


def test_the_page_shows_what_share_of_all_principal_the_borrowers_owe(book, analyst):
    response = analyst.get("/reports/top-borrowers/?check_date=2021-06-30&count=1")
    html = response.content.decode()
    assert "owe 56.25\u202f% of all outstanding principal" in html  # 1,350 / 2,400
    assert "owe 66.67\u202f% of all overdue principal" in html  # 1,000 / 1,500
    assert response.context["totals"] == [
        {"by": "outstanding", "credits": 2, "outstanding": 1350, "overdue": 450},
        {"by": "overdue", "credits": 1, "outstanding": 1000, "overdue": 1000},
    ]
    assert [unescape(link) for link in re.findall(r'rel="(?:prev|next)" href="([^"]+)"', html)] == [
        "?check_date=2021-05-31&count=1",
        "?check_date=2021-07-31&count=1",
    ]


def test_without_overdue_debts_there_is_one_list(analyst):
    builders.credit("2021-06-20", 100)
    response = analyst.get("/reports/top-borrowers/?check_date=2021-06-30")
    assert [row.by for row in response.context["rows"]] == ["outstanding"]
    assert response.content.decode().count("<table>") == 1
