"""The borrower report: what a borrower owes today, credit by credit."""

from dataclasses import replace

import pytest
import time_machine
from django.db import connection
from django.urls import resolve
from django.utils.html import escape

from credits.models import Dictionary
from fintrack.access import ANALYST
from reports import borrower as borrower_report
from reports.cache import TRIES

from . import builders

pytestmark = [pytest.mark.django_db]


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel("2021-07-01 12:00", tick=False):
        yield


@pytest.fixture
def borrower():
    """A borrower with a partly paid overdue credit, an overpaid one in term, and an underpaid closed one."""
    who = builders.borrower(login="olena")
    overdue = builders.credit("2021-06-01", "1000", borrower=who, percent="300")
    builders.payment(overdue, "2021-06-20", "400.50")
    builders.payment(overdue, "2021-06-20", "20", Dictionary.INTEREST)
    running = builders.credit("2021-06-20", "500", borrower=who, percent="10")
    builders.payment(running, "2021-06-21", "500.01")
    builders.credit("2021-05-01", "200", borrower=who, percent="5", actual_return_date="2021-05-09")
    return who


def test_each_credit_shows_what_is_paid_and_what_remains(borrower, analyst):
    rows = analyst.get(f"/api/v1/borrower/{borrower.pk}").json()
    overdue, running, closed = borrower.credits.order_by("pk")
    assert rows == [
        {
            "credit_id": overdue.pk,
            "state": "overdue",
            "issuance_date": "2021-06-01",
            "return_date": "2021-06-15",
            "actual_return_date": None,
            "days_past_due": 16,
            "body": 1000,
            "body_paid": 400.5,
            "body_remaining": 599.5,
            "interest": 300,
            "interest_paid": 20,
            "interest_remaining": 280,
        },
        {
            "credit_id": running.pk,
            "state": "in_term",
            "issuance_date": "2021-06-20",
            "return_date": "2021-07-04",
            "actual_return_date": None,
            "days_past_due": 0,
            "body": 500,
            "body_paid": 500.01,
            "body_remaining": 0,
            "interest": 10,
            "interest_paid": 0,
            "interest_remaining": 10,
        },
        {
            "credit_id": closed.pk,
            "state": "closed",
            "issuance_date": "2021-05-01",
            "return_date": "2021-05-15",
            "actual_return_date": "2021-05-09",
            "days_past_due": 0,
            "body": 200,
            "body_paid": 0,
            "body_remaining": 0,
            "interest": 5,
            "interest_paid": 0,
            "interest_remaining": 0,
        },
    ]


def test_the_page_names_its_date_and_lists_the_payments(borrower, analyst):
    page = analyst.get(f"/reports/borrowers/{borrower.pk}/")
    html = page.content.decode()
    assert "What is owed today, 2021-07-01" in html
    assert "olena" in html
    assert [[str(payment.sum) for payment in payments] for _, payments in page.context["credits"]] == [
        ["400.50", "20.00"],
        ["500.01"],
        [],
    ]
    (total,) = page.context["totals"]
    assert {column: str(value) for column, value in total.items()} == {
        "body": "1700.00",
        "body_paid": "900.51",
        "body_remaining": "599.50",
        "interest": "315.00",
        "interest_paid": "20.00",
        "interest_remaining": "290.00",
    }


def test_nothing_dated_after_today_counts(borrower, analyst):
    """Neither in this report nor in the list of borrowers."""
    overdue, running, _closed = borrower.credits.order_by("pk")
    builders.payment(overdue, "2021-07-01", "0.50")
    builders.payment(overdue, "2021-07-02", "99")
    running.actual_return_date = "2021-07-02"
    running.body = 600
    running.save()
    builders.credit("2021-07-02", "5000", borrower=borrower)
    rows = analyst.get(f"/api/v1/borrower/{borrower.pk}").json()
    assert [(row["state"], row["body_paid"], row["body_remaining"]) for row in rows] == [
        ("overdue", 401, 599),
        ("in_term", 500.01, 99.99),
        ("closed", 0, 0),
    ]
    page = analyst.get(f"/reports/borrowers/{borrower.pk}/")
    assert [len(payments) for _, payments in page.context["credits"]] == [3, 1, 0]
    for behind, paid in (
        (f"?credit={overdue.pk}&kind=1&paid_to=2021-07-01", "401.00"),
        (f"?borrower={borrower.pk}&kind=1&paid_to=2021-07-01", "901.01"),
    ):
        address = f"/reports/payments/{behind}"
        assert f'<a href="{escape(address)}">{paid}</a>' in page.content.decode()
        assert str(analyst.get(address).context["total"].sum) == paid
    html = analyst.get("/reports/borrowers/").content.decode()
    assert "698.99" in html
    found = analyst.get(f"/reports/credits/?borrower={borrower.pk}&issued_to=2021-07-01")
    assert f'href="{found.wsgi_request.get_full_path().replace("&", "&amp;")}">3</a>' in html
    assert [row.state for row in found.context["rows"]] == ["in_term", "overdue", "closed"]
    for state in ("in_term", "overdue", "closed"):
        (row,) = analyst.get(f"/reports/credits/?issued_to=2021-07-01&state={state}").context["rows"]
        assert row.state == state


def test_a_borrower_without_credits_has_a_page_that_says_so(analyst):
    page = analyst.get(f"/reports/borrowers/{builders.borrower().pk}/")
    assert page.status_code == 200
    assert "This borrower has no credits." in page.content.decode()


def test_an_unknown_borrower_is_404(analyst):
    assert analyst.get("/api/v1/borrower/5").status_code == 404
    assert analyst.get("/reports/borrowers/5/").status_code == 404


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("5/?borrower_id=6", "borrower_id: expected one value"),
        ("5/?colour=red", "colour: expected one of these parameters"),
        ("5/?format=pdf", "Select a valid choice."),
        ("0/", "Ensure this value is greater than or equal to 1."),
    ],
)
def test_a_page_names_the_fault_of_a_wrong_parameter(analyst, address, error):
    page = analyst.get(f"/reports/borrowers/{address}")
    assert page.status_code == 400
    assert error in page.content.decode()
    assert "?borrower=" not in page.content.decode()


@pytest.mark.parametrize("times", [1, 1000])
def test_a_page_shows_one_state_of_the_book(committed, client_as, borrower, monkeypatch, times):
    """Payments added while the page is computed are in both the table and the list, or in neither."""
    made = []

    def page_while_somebody_pays(rows, **params):
        if len(made) < times and not connection.in_atomic_block:  # else the writer would wait
            made.append(builders.payment(borrower.credits.first(), "2021-06-30", "1"))
        return borrower_report.page_context(rows, **params)

    report = replace(borrower_report.report, page_context=page_while_somebody_pays)
    view = resolve(f"/reports/borrowers/{borrower.pk}/").func
    monkeypatch.setitem(view.view_initkwargs, "report", report)
    page = client_as(ANALYST).get(f"/reports/borrowers/{borrower.pk}/")
    assert page.context["totals"][0]["body_paid"] == sum(
        payment.sum
        for _, payments in page.context["credits"]
        for payment in payments
        if payment.type_id == Dictionary.BODY
    )
    assert len(made) == min(times, TRIES)


def test_a_borrower_deleted_during_the_request_is_404(committed, client_as, monkeypatch):
    who = builders.borrower()

    def page_while_the_borrower_goes(rows, **params):
        who.delete()
        return borrower_report.page_context(rows, **params)

    report = replace(borrower_report.report, page_context=page_while_the_borrower_goes)
    address = f"/reports/borrowers/{who.pk}/"
    monkeypatch.setitem(resolve(address).func.view_initkwargs, "report", report)
    assert client_as(ANALYST).get(address).status_code == 404
