"""Lists of borrowers, credits and payments; each linked figure is the sum of its rows."""

import csv
import io
import re
from copy import copy
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from itertools import combinations
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine
from django.utils.html import strip_tags

from credits.book.money import grouped
from credits.book.writing import writing
from credits.models import Credit, Dictionary, Rate
from credits.totals import Total
from plans.models import Plan
from reports import payment_list
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
        ("/reports/plans-performance/?check_date=2021-05-12", 6 * 2),
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


def test_a_total_of_plans_has_no_link_if_a_month_between_them_has_no_plan(book, analyst):
    Plan.objects.get(period="2021-03-01", category=Dictionary.ISSUANCE).delete()
    html = analyst.get("/reports/plans-performance/?check_date=2021-05-12").content.decode()
    (totals,) = re.findall(r'<tr class="total">.*</tr>\s*</thead>', html, re.DOTALL)
    assert re.findall('<a href="([^"]+)">', unescape(totals)) == [
        "/reports/payments/?paid_from=2021-01-01&paid_to=2021-05-12"
    ]


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
        assert text == figures.in_currency(sum(Decimal(row.get("body") or row["sum"]) for row in rows))


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
    assert "2 found, 300.00\u00a0UAH in all." in page.content.decode()


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


def test_a_filtered_page_with_its_total_takes_at_most_ten_queries(analyst, django_assert_max_num_queries):
    credits_of_one_day(150)
    address = "/reports/credits/?state=open&check_date=2021-06-30&due_to=2021-05-31&history=new"
    analyst.get(address)
    with django_assert_max_num_queries(10):
        assert analyst.get(address).context["total"] == Total(150, Decimal(150), Decimal(150))


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
        ("/reports/credits/?check_date=2021-06-31", "Enter a valid date."),
        ("/reports/credits/?late=-1", "Enter a whole number."),
        ("/reports/credits/?late=10000", "Ensure this value is less than or equal to 9999."),
        ("/reports/credits/?history=late", "Select a valid choice"),
        ("/reports/credits/?flaw=BODY_OVERPAID", "Select a valid choice"),
        ("/reports/payments/?within=1.5", "Enter a whole number."),
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


def test_outstanding_on_a_day_ignores_later_days():
    credit = builders.credit("2021-06-01", 1000, actual_return_date="2021-06-20")
    builders.payment(credit, "2021-06-10", "300")
    builders.payment(credit, "2021-06-18", "500")

    def owed(day):
        return Credit.objects.with_outstanding(date.fromisoformat(day)).get().outstanding

    days = ("2021-05-31", "2021-06-01", "2021-06-10", "2021-06-19", "2021-06-20")
    assert [owed(day) for day in days] == [0, 1000, 700, 200, 0]


@pytest.mark.parametrize(
    ("body", "paid", "left"),
    [("10000000.10", "10000000.05", "0.05"), ("0.30", "0.10", "0.20"), ("0.10", "0.30", "0")],
)
def test_outstanding_is_exact_to_the_kopeck(body, paid, left):
    credit = builders.credit("2021-06-01", body)
    builders.payment(credit, "2021-06-10", paid)
    found = Credit.objects.with_outstanding(date(2021, 6, 10))
    assert found.get().outstanding == Decimal(left)
    assert found.filter(outstanding=Decimal(left)).exists()


# Filters of the lists. Those of one parameter can't be combined.
OF_CREDITS = [
    "issued_from=2021-02-01&issued_to=2021-04-20",
    "due_from=2021-03-01&due_to=2021-04-30",
    "due_to=2021-03-15",
    "returned_from=2021-03-01&returned_to=2021-05-31",
    "returned_from=2021-04-01",
    "state=open",
    "state=in_term",
    "state=overdue&state=closed",
    "state=in_term&state=overdue",
    "state=closed",
    "check_date=2021-04-10",
    "check_date=2021-05-15",
    "late=0",
    "late=20",
    "history=new",
    "history=returning&history=late_before",
    "history=late_before",
    "flaw=body_overpaid",
    "flaw=never_paid",
    "borrower={borrower}",
]
OF_PAYMENTS = [
    "paid_from=2021-03-01&paid_to=2021-04-30",
    "paid_to=2021-03-31",
    "kind=1",
    "kind=2",
    "credit={credit}",
    "borrower={borrower}",
    "issued_from=2021-02-01&issued_to=2021-04-20",
    "due_from=2021-03-01&due_to=2021-04-30",
    "within=0",
    "within=12",
    "history=new",
    "history=returning&history=late_before",
]


def combined(filters: list[str]) -> list[str]:
    """Returns each filter alone, all pairs that can be combined, and some triples."""
    some = [[one] for one in filters] + list(combinations(filters, 2)) + list(combinations(filters, 3))[::11]
    names = [[re.split("_from|_to|=", one)[0] for one in each] for each in some]
    return ["&".join(each) for each, of in zip(some, names, strict=True) if len(set(of)) == len(of)]


def flaws_of(credit: Any) -> set[str]:
    if not credit.paid:
        return set() if credit.returned else {"never_paid"}
    for_body = sum(amount for _, kind, amount in credit.paid if kind == Dictionary.BODY)
    return {"body_overpaid"} if for_body > credit.body else set()


def history_of(credit: Any, every: list[Any]) -> str:
    earlier = [one for one in every if one.borrower is credit.borrower and one.issued < credit.issued]
    for one in earlier:
        deadline = one.due + timedelta(days=30)
        if deadline <= credit.issued and not (one.returned and one.returned <= deadline):
            return "late_before"
    return "returning" if earlier else "new"


@pytest.fixture
def lent() -> list[Any]:
    """Creates credits of each kind of state, history and flaw. Returns plain copies of them."""
    who = [builders.borrower() for _ in range(12)]
    every = []
    for number in range(42):
        issued = date(2021, 1, 1) + timedelta(days=4 * number)
        if number == 39:
            issued = date(2021, 7, 2)  # to come
        due = issued + timedelta(days=14 + 16 * (number % 2))
        returned = [None, due - timedelta(days=3), due + timedelta(days=12), due + timedelta(days=25)]
        last = "5000" if number % 13 == 5 else "1.01"
        paid = [(2, 1, "20.05"), (20, 2, "7.77"), (20, 1, "33.33"), (41, 1, last)] if number % 9 else []
        credit = SimpleNamespace(
            borrower=who[number * 5 % 12],
            issued=issued,
            due=due,
            returned=returned[number % 4] if number != 39 else None,
            body=Decimal(100 * number) + Decimal("0.19"),
            paid=[(issued + timedelta(days), kind, Decimal(amount)) for days, kind, amount in paid],
        )
        credit.flaws = flaws_of(credit)
        every.append(credit)
    with writing():
        for credit in every:
            credit.history = history_of(credit, every)
            days = {"return_date": credit.due, "actual_return_date": credit.returned}
            row = builders.credit(f"{credit.issued}", credit.body, borrower=credit.borrower, **days)
            credit.pk = row.pk
            for day, kind, amount in credit.paid:
                builders.payment(row, f"{day}", amount, kind)
    return every


def state_on(day: date, credit: Any) -> str:
    if credit.issued > day:
        return ""
    if credit.returned and credit.returned <= day:
        return "closed"
    return "overdue" if credit.due < day else "in_term"


def left_on(day: date, credit: Any) -> Decimal:
    if state_on(day, credit) not in ("in_term", "overdue"):
        return Decimal(0)
    paid = sum(amount for paid_on, kind, amount in credit.paid if kind == Dictionary.BODY and paid_on <= day)
    return max(credit.body - paid, Decimal(0))


def within(asked: dict[str, list[str]], name: str, day: date | None) -> bool:
    """Tells whether the day lies in the range that is asked for; no range is all days and none."""
    bounds = [
        date.fromisoformat(asked[bound][0]) if bound in asked else None
        for bound in (f"{name}_from", f"{name}_to")
    ]
    if not any(bounds):
        return True
    return day is not None and (bounds[0] or day) <= day <= (bounds[1] or day)


def matches(credit: Any, asked: dict[str, list[str]], day: date) -> bool:
    """Tells whether the credit is one of those asked for, as of the day."""
    states = [state_on(day, credit)]
    states += ["open"] if states[0] in ("in_term", "overdue") else []
    in_time = credit.returned and credit.returned <= day
    for days in asked.get("late", []):
        in_time = in_time and credit.returned <= credit.due + timedelta(int(days))
    return (
        within(asked, "issued", credit.issued)
        and within(asked, "due", credit.due)
        and within(asked, "returned", credit.returned)
        and ("check_date" not in asked or credit.issued <= day)
        and ("state" not in asked or bool(set(states) & set(asked["state"])))
        and ("late" not in asked or not in_time)
        and ("history" not in asked or credit.history in asked["history"])
        and credit.flaws.issuperset(asked.get("flaw", []))
        and ("borrower" not in asked or credit.borrower.pk == int(asked["borrower"][0]))
    )


def test_every_combination_of_filters_finds_the_credits_that_plain_python_finds(lent, analyst):
    """The total is that of the rows, whether it was computed from movements or from credits."""
    lengths = set()
    for query in combined(OF_CREDITS):
        query = query.format(borrower=lent[3].borrower.pk)
        asked = parse_qs(query)
        day = date.fromisoformat(asked.get("check_date", ["2021-07-01"])[0])
        known = [copy(credit) for credit in lent]
        for credit in known:
            if "check_date" in asked and credit.returned and credit.returned > day:
                credit.returned = None
        found = [credit for credit in known if matches(credit, asked, day)]
        found.sort(key=lambda credit: (credit.issued, credit.pk), reverse=True)
        expected = [
            (credit.pk, state_on(day, credit), credit.returned, left_on(day, credit)) for credit in found
        ]
        page = analyst.get(f"/reports/credits/?{query}").context
        columns = attrgetter("credit_id", "state", "actual_return_date", "outstanding")
        assert list(map(columns, page["rows"])) == expected, query
        bodies = sum((credit.body for credit in found), Decimal(0))
        owed = sum((left_on(day, credit) for credit in found), Decimal(0))
        assert page["total"] == Total(len(found), bodies, owed), query
        lengths.add(len(found))
    assert len(lengths) > 20


@pytest.mark.parametrize("many", [0, payment_list.MANY])
def test_every_combination_of_filters_finds_the_payments_that_plain_python_finds(
    lent, analyst, monkeypatch, many
):
    """Payments of many credits are found in another way than those of a few."""
    monkeypatch.setattr(payment_list, "MANY", many)
    today = date(2021, 7, 1)
    lengths = set()
    for query in combined(OF_PAYMENTS):
        query = query.format(borrower=lent[3].borrower.pk, credit=lent[7].pk)
        asked = parse_qs(query)
        of_credit = {name: value for name, value in asked.items() if name not in ("credit", "kind", "within")}
        found = [
            (paid, credit.pk, amount)
            for credit in lent
            if matches(credit, of_credit, today) and asked.get("credit", [f"{credit.pk}"]) == [f"{credit.pk}"]
            for paid, kind, amount in credit.paid
            if within(asked, "paid", paid)
            and asked.get("kind", [f"{kind}"]) == [f"{kind}"]
            and all(paid <= credit.due + timedelta(int(days)) for days in asked.get("within", []))
        ]
        rows = downloaded(analyst, f"/reports/payments/?{query}")
        listed = [
            (date.fromisoformat(r["payment_date"]), int(r["credit_id"]), Decimal(r["sum"])) for r in rows
        ]
        assert sorted(listed) == sorted(found), query
        total = analyst.get(f"/reports/payments/?{query}").context["total"]
        assert total == Total(len(found), sum((amount for *_, amount in found), Decimal(0))), query
        lengths.add(len(found))
    assert len(lengths) > 20


def test_nothing_that_happens_later_changes_a_list_as_of_a_past_day(lent, analyst):
    addresses = [
        f"/reports/credits/?{query}".format(borrower=lent[3].borrower.pk)
        for query in combined(OF_CREDITS)
        if "check_date=2021-05-15" in query and "flaw" not in query  # flaws are those of today
    ]

    def shown():
        return [(page.context["rows"], page.context["total"]) for page in map(analyst.get, addresses)]

    before = shown()
    with writing():
        for credit in Credit.objects.filter(issuance_date__lte="2021-05-15"):
            builders.payment(credit, "2021-05-16", "3.33")
            builders.credit("2021-05-16", "777.77", borrower=credit.borrower)
            if not credit.actual_return_date:
                credit.actual_return_date = date(2021, 5, 16)
                credit.save()
    assert shown() == before
    assert len(before) > 20


def test_a_past_list_names_its_day_and_what_was_outstanding(analyst):
    credit = builders.credit("2021-05-01", "1000.10", return_date=date(2021, 5, 15))
    builders.payment(credit, "2021-05-20", "300.05")
    builders.payment(credit, "2021-06-20", "500")
    html = analyst.get("/reports/credits/?check_date=2021-05-31&state=overdue").content.decode()
    shown = " ".join(strip_tags(html[: html.index('<form class="params"')]).split())
    assert "As of 2021-05-31. 1 found, 1 000.10 UAH in all. Outstanding: 700.05 UAH." in shown
    assert f'<a href="/reports/payments/?credit={credit.pk}&amp;paid_to=2021-05-31">' in html
    (row,) = downloaded(analyst, "/reports/credits/?check_date=2021-05-31")
    assert row == {
        "credit_id": f"{credit.pk}",
        "borrower_id": f"{credit.borrower_id}",
        "login": credit.borrower.login,
        "issuance_date": "2021-05-01",
        "return_date": "2021-05-15",
        "actual_return_date": "",
        "state": "overdue",
        "days_past_due": "16",
        "body": "1000.10",
        "interest": "0.00",
        "outstanding": "700.05",
    }


@pytest.mark.parametrize("of_borrower", [False, True])
def test_the_outstanding_total_is_exact_beyond_fifteen_digits(analyst, of_borrower):
    """The first is added up from movements, the second from credits."""
    who = builders.borrower()
    for number in range(11):
        credit = builders.credit("2021-06-01", "999999999999.99", borrower=who)
        builders.payment(credit, "2021-06-10", f"0.0{number % 9 + 1}")
    address = f"/reports/credits/?check_date=2021-06-10&borrower={who.pk if of_borrower else ''}"
    assert analyst.get(address).context["total"] == Total(
        11, Decimal("10999999999999.89"), Decimal("10999999999999.41")
    )


def test_credits_with_interest_beyond_the_daily_rate_are_found_once_a_rate_is_set(analyst):
    beyond = builders.credit("2021-06-01", 1000, percent="300.01")  # 30 days before today
    builders.credit("2021-06-01", 1000, percent="300")
    address = "/reports/credits/?flaw=interest_beyond_rate"
    page = analyst.get(address)
    assert (page.context["rows"], page.context["total"]) == ([], Total(0, Decimal(0), Decimal(0)))
    Rate.objects.filter(name=Rate.DAILY_INTEREST).update(percent=1)
    page = analyst.get(address)
    assert [row.credit_id for row in page.context["rows"]] == [beyond.pk]
    assert page.context["total"] == Total(1, Decimal(1000), Decimal(1000))


def test_rare_filters_are_folded_away_until_one_is_set(analyst):
    def fold(query):
        main = analyst.get(f"/reports/credits/?{query}").content.decode().partition("<main")[2]
        return re.search(r"<details( open)?>", main)[1]

    assert fold("") is None
    assert fold("state=open&due_from=&flaw=") is None
    assert fold("late=0") == " open"
    assert fold("due_from=yesterday") == " open"
    assert "<details>" not in analyst.get("/reports/borrowers/").content.decode()
