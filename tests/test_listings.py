"""Lists of borrowers, credits and payments; each linked figure is the sum of its rows."""

import csv
import io
import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape

import pytest
import time_machine

from credits.book.money import grouped
from credits.models import Credit, Dictionary
from reports.templatetags import figures

from . import builders

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def today():
    with time_machine.travel("2021-07-01 12:00", tick=False):
        yield


def downloaded(client, address) -> list[dict[str, str]]:
    """Returns all rows of a list, from its CSV."""
    separator = "&" if "?" in address else "?"
    response = client.get(f"{address}{separator}format=csv")
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def book():
    """Creates a credit a week from January to June, paid in two parts, only partly in the second quarter."""
    for week in range(26):
        issued = date(2021, 1, 1) + timedelta(weeks=week)
        credit = builders.credit(issued.isoformat(), Decimal(100 * week) + Decimal("0.37"))
        builders.payment(credit, (issued + timedelta(days=3)).isoformat(), Decimal(10 * week + 1))
        if week < 13:
            builders.payment(credit, (issued + timedelta(days=9)).isoformat(), "3.33", Dictionary.INTEREST)
    for month in range(1, 7):
        builders.plan(f"2021-{month:02}", Dictionary.ISSUANCE, 1000 * month)
        builders.plan(f"2021-{month:02}", Dictionary.COLLECTION, 10 * month)


def links(response) -> list[tuple[str, str]]:
    """Returns (address, text) of each link in the table's cells."""
    html = response.content.decode()
    return [
        (unescape(address), text)
        for address, text in re.findall(r'<td[^>]*><a href="([^"]+)">([^<]+)</a>', html)
    ]


@pytest.mark.parametrize(
    ("address", "count"),
    [
        ("/reports/year-performance/?year=2021", 7 * 4),
        ("/reports/month/?month=2021-03", 32 * 6),
        ("/reports/year-on-year/?year=2021", 7 * 4),
        ("/reports/plans-performance/?check_date=2021-05-12", 5 * 2),
    ],
)
def test_every_figure_is_the_sum_or_count_of_its_linked_rows(book, analyst, address, count):
    found = [pair for pair in links(analyst.get(address)) if "/plans-performance/" not in pair[0]]
    assert len(found) == count
    for behind, text in found:
        rows = downloaded(analyst, behind)
        amount = sum((Decimal(row.get("body") or row["sum"]) for row in rows), Decimal(0))
        assert text in (grouped(amount), figures.count(len(rows))), behind
        if "." in text:
            assert text == grouped(amount), behind


def test_every_plan_of_the_year_links_to_a_page_that_shows_it(book, analyst):
    found = [
        pair for pair in links(analyst.get("/reports/year-performance/?year=2021")) if "/plans-" in pair[0]
    ]
    assert len(found) == 12
    for behind, text in found:
        assert f"<td>{text}</td>" in analyst.get(behind).content.decode()


def test_each_figure_of_the_overview_links_to_its_rows(book, analyst):
    html = analyst.get("/", {"check_date": "2021-06-10"}).content.decode()
    shown = re.findall(r'class="figure"><a href="([^"]+(?:issued|paid)_from[^"]+)">([^<]+)</a>', html)
    assert len(shown) == 4
    for behind, text in shown:
        rows = downloaded(analyst, unescape(behind))
        assert text == grouped(sum(Decimal(row.get("body") or row["sum"]) for row in rows))


def test_credits_are_filtered_by_dates_state_and_borrower(analyst):
    who = builders.borrower()
    overdue = builders.credit("2021-06-01", 100, borrower=who)
    running = builders.credit("2021-06-20", 200, borrower=who)
    closed = builders.credit("2021-05-01", 300, actual_return_date="2021-05-03")
    to_come = builders.credit("2022-01-01", 400)

    def found(query):
        return [int(row["credit_id"]) for row in downloaded(analyst, f"/reports/credits/?{query}")]

    assert found("") == [to_come.pk, running.pk, overdue.pk, closed.pk]
    assert found("state=overdue") == [overdue.pk]
    assert found("state=open") == [running.pk, overdue.pk]
    assert found("state=in_term") == [running.pk]
    assert found("state=in_term&state=closed") == [running.pk, closed.pk]
    assert found("state=closed") == [closed.pk]
    assert found(f"borrower={who.pk}") == [running.pk, overdue.pk]
    assert found("issued_from=2021-05-02&issued_to=2021-06-01") == [overdue.pk]
    page = analyst.get(f"/reports/credits/?borrower={who.pk}")
    assert "2 found, 300.00 in all." in page.content.decode()


def test_payments_are_filtered_by_dates_kind_credit_and_borrower(analyst):
    credit, other = builders.credit(), builders.credit()
    first = builders.payment(credit, "2021-06-02", "1")
    second = builders.payment(credit, "2021-06-03", "2", Dictionary.INTEREST)
    third = builders.payment(other, "2021-06-04", "4")

    def found(query):
        return [int(row["payment_id"]) for row in downloaded(analyst, f"/reports/payments/?{query}")]

    assert found("") == [third.pk, second.pk, first.pk]
    assert found("kind=2") == [second.pk]
    assert found(f"credit={other.pk}") == [third.pk]
    assert found(f"borrower={credit.borrower_id}") == [second.pk, first.pk]
    assert found("paid_from=2021-06-03&paid_to=2021-06-03") == [second.pk]


def test_borrowers_are_sorted_by_what_they_owe_or_for_how_long(analyst):
    small = builders.borrower(login="Мала")
    builders.credit("2021-03-01", 100, borrower=small)
    large = builders.borrower(login="Large")
    credit = builders.credit("2021-06-01", 1000, borrower=large)
    builders.payment(credit, "2021-06-02", "100.55")
    builders.payment(credit, "2021-06-02", "50", Dictionary.INTEREST)
    none = builders.borrower(login="none")
    builders.credit("2021-01-01", 5000, borrower=none, actual_return_date="2021-01-02")

    def found(query):
        return [row["login"] for row in downloaded(analyst, f"/reports/borrowers/?{query}")]

    assert found("") == ["Large", "Мала", "none"]
    assert found("order=overdue") == ["Мала", "Large", "none"]
    assert found("order=id") == ["Мала", "Large", "none"]
    assert found("search=lar") == ["Large"]
    assert found("search=Мал") == ["Мала"]
    assert found(f"search={none.pk}") == ["none"]
    row = downloaded(analyst, "/reports/borrowers/?search=Large")[0]
    assert row == {
        "borrower_id": str(large.pk),
        "login": "Large",
        "registration_date": "2020-01-01",
        "credits": "1",
        "open_credits": "1",
        "outstanding": "899.45",
        "days_past_due": "16",
    }


def credits_of_one_day(count: int) -> list[int]:
    """Creates credits issued on the same day. Returns their ids in the order of the list, newest first."""
    row = {
        "borrower": builders.borrower(),
        "issuance_date": date(2021, 1, 1),
        "return_date": date(2021, 1, 15),
    }
    made = Credit.objects.bulk_create(Credit(**row, body=1, percent=0) for _ in range(count))
    return [credit.pk for credit in reversed(made)]


def page_of(client, address) -> tuple[list[int], dict[str, str]]:
    """Returns the ids of the credits on a page, and {rel: address} of its links to other pages."""
    response = client.get(address)
    found = re.findall(r'<a rel="(\w+)" href="([^"]+)">', response.content.decode())
    ids = [row.credit_id for row in response.context["rows"]]
    return ids, {rel: f"/reports/credits/{unescape(query)}" for rel, query in found}


def test_links_lead_to_the_last_page_and_back_to_the_first(analyst):
    ids = credits_of_one_day(250)
    first, links = page_of(analyst, "/reports/credits/")
    assert (first, set(links)) == (ids[:100], {"next", "last"})
    second, links = page_of(analyst, links["next"])
    assert (second, set(links)) == (ids[100:200], {"first", "prev", "next", "last"})
    assert page_of(analyst, links["first"])[0] == ids[:100]
    assert page_of(analyst, links["prev"])[0] == ids[:100]
    third, third_links = page_of(analyst, links["next"])
    assert (third, set(third_links)) == (ids[200:], {"first", "prev"})
    last, links = page_of(analyst, links["last"])
    assert (last, set(links)) == (ids[150:], {"first", "prev"})
    before, links = page_of(analyst, links["prev"])
    assert before == ids[50:150]
    start, links = page_of(analyst, links["prev"])
    assert (start, set(links)) == (ids[:50], {"next", "last"})


def test_a_page_whose_rows_were_deleted_links_to_the_others(analyst):
    ids = credits_of_one_day(110)
    to_second = page_of(analyst, "/reports/credits/")[1]["next"]
    to_first = page_of(analyst, to_second)[1]["prev"]
    Credit.objects.filter(pk__in=ids[:100]).delete()
    none, links = page_of(analyst, to_first)
    assert none == []
    assert page_of(analyst, links["next"])[0] == ids[100:]
    credits_of_one_day(100)
    to_second = page_of(analyst, "/reports/credits/")[1]["next"]
    Credit.objects.filter(pk__in=ids[100:]).delete()
    none, links = page_of(analyst, to_second)
    assert none == []
    assert len(page_of(analyst, links["prev"])[0]) == 100


def test_a_page_takes_at_most_eight_queries_and_counts_no_rows(analyst, django_assert_max_num_queries):
    credits_of_one_day(150)
    analyst.get("/reports/credits/")  # the first request also runs queries that later ones don't need
    with django_assert_max_num_queries(8) as queries:
        analyst.get("/reports/credits/")
    assert not [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]]


@pytest.mark.parametrize("cursor", ["x", "W3RydWVd", "WzEsIjEwMCJd:Hj0vTMl"])
def test_an_invalid_cursor_returns_404(analyst, cursor):
    response = analyst.get("/reports/credits/", {"cursor": cursor})
    assert response.status_code == 404
    assert "There is no such page." in response.content.decode()


def test_a_cursor_is_valid_for_one_order_only(analyst):
    for _ in range(101):
        builders.borrower()
    page = analyst.get("/reports/borrowers/?order=id").context["page"]
    address = f"/reports/borrowers/?cursor={page.next}&order="
    assert analyst.get(f"{address}id").status_code == 200
    assert analyst.get(f"{address}overdue").status_code == 404


def test_pages_keep_the_filters_and_downloads_have_all_pages(analyst):
    credits_of_one_day(150)
    address = "/reports/credits/?state=overdue&state=closed"
    _, links = page_of(analyst, address)
    assert links["next"].startswith(f"{address}&cursor=")
    html = analyst.get(links["next"]).content.decode()
    assert 'href="?state=overdue&amp;state=closed&amp;format=csv"' in html
    chosen = re.findall(r'<input type="checkbox" name="state" value="(\w+)"[^>]* checked>', html)
    assert chosen == ["overdue", "closed"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("/reports/credits/?state=late", "Select a valid choice"),
        ("/reports/credits/?issued_from=yesterday", "Enter a valid date."),
        ("/reports/payments/?kind=3", "Select a valid choice"),
        ("/reports/payments/?credit=1_0", "Enter a whole number."),
        ("/reports/borrowers/?sort=x", "sort: expected one of these parameters"),
        ("/reports/borrowers/?page=2", "page: expected one of these parameters"),
        ("/reports/credits/?format=xlsx", "Select a valid choice"),
    ],
)
def test_a_wrong_filter_returns_400_with_its_fault(analyst, address, error):
    response = analyst.get(address)
    assert response.status_code == 400
    assert error in response.content.decode()
    assert b"<table" not in response.content


def test_a_list_is_private_and_neutralises_formulas(analyst):
    builders.borrower(login="=1+1")
    assert analyst.get("/reports/borrowers/")["Cache-Control"] == "private, no-cache"
    assert downloaded(analyst, "/reports/borrowers/")[0]["login"] == "'=1+1"


@pytest.mark.parametrize(
    ("search", "named"),
    [
        ("anna", 'filename="borrowers-anna-2021-07-01.csv"'),
        ('a"b/../c\\', 'filename="borrowers-ab..c-2021-07-01.csv"'),
        ("a\r\nX-Other: b", 'filename="borrowers-aX-Other_b-2021-07-01.csv"'),
        ("Мала", "filename*=utf-8''borrowers-%D0%9C%D0%B0%D0%BB%D0%B0-2021-07-01.csv"),
    ],
)
def test_the_file_name_of_a_download_contains_its_filters(analyst, search, named):
    response = analyst.get("/reports/borrowers/", {"search": search, "format": "csv"})
    assert response["Content-Disposition"] == f"attachment; {named}"


def test_outstanding_at_a_date_ignores_later_days():
    credit = builders.credit("2021-06-01", 1000, actual_return_date="2021-06-20")
    builders.payment(credit, "2021-06-10", "300")
    builders.payment(credit, "2021-06-19", "700")

    def owed(day):
        return [item.outstanding for item in Credit.objects.outstanding_at(date(2021, 6, day))]

    assert [owed(day) for day in (1, 10, 19, 20)] == [[1000], [700], [0], []]
    assert list(Credit.objects.outstanding_at(date(2021, 5, 31))) == []


@pytest.mark.parametrize(
    ("body", "paid", "left"),
    [("10000000.10", "10000000.05", "0.05"), ("0.30", "0.10", "0.20"), ("0.10", "0.30", "0")],
)
def test_outstanding_is_exact_to_the_kopeck(body, paid, left):
    credit = builders.credit("2021-06-01", body)
    builders.payment(credit, "2021-06-10", paid)
    found = Credit.objects.outstanding_at(date(2021, 6, 10))
    assert found.get().outstanding == Decimal(left)
    assert found.filter(outstanding=Decimal(left)).exists()
