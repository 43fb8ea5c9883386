"""The pages of every list are read from an index: no query sorts or scans a large table."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import time_machine
from django.db import connection

from credits.api import BorrowerViewSet, CreditViewSet, PaymentViewSet
from credits.models import Borrower, BorrowerDebt, Credit, Dictionary, Payment

ROWS = 5000  # in each table
FEW = 1000  # the most rows that a page may read
LARGE = {model._meta.db_table for model in (Borrower, BorrowerDebt, Credit, Payment)}
TODAY = date(2021, 7, 1)

REPORTS = [
    "payments/",
    "payments/?paid_from=2021-02-01",
    "payments/?paid_from=2021-02-01&paid_to=2021-04-30",
    "payments/?kind=1",
    "payments/?kind=2&paid_from=2021-02-01&paid_to=2021-04-30",
    "credits/",
    "credits/?issued_to=2021-04-30",
    "credits/?issued_from=2021-02-01&issued_to=2021-04-30",
    "credits/?state=open",
    "credits/?state=overdue",
    "credits/?state=in_term&state=overdue",
    "credits/?state=open&issued_from=2021-02-01&issued_to=2021-04-30",
    "credits/?check_date=2021-03-31",
    "credits/?state=open&check_date=2021-03-31",
    "borrowers/",
    "borrowers/?order=overdue",
    "borrowers/?order=id",
]
API = [
    f"{name}?ordering={order}"
    for name, view in (
        ("borrowers", BorrowerViewSet),
        ("credits", CreditViewSet),
        ("payments", PaymentViewSet),
    )
    for order, _ in view.filterset_class.base_filters["ordering"].extra["choices"]
] + [
    "payments?payment_date__gte=2021-02-01&payment_date__lte=2021-04-30&ordering=-payment_date",
    "credits?issuance_date__gte=2021-02-01&issuance_date__lte=2021-04-30&ordering=-issuance_date",
    "credits?state=open&ordering=-issuance_date",
]

# Lists of credits that are due or returned in a range of days, and of the payments of such credits. The
# database may sort the rows of the range, but must not scan a table.
OF_RANGE = [
    "credits/?due_from=2021-02-01&due_to=2021-04-30",
    "credits/?due_from=2021-02-01&due_to=2021-04-30&late=5",
    "credits/?due_from=2021-01-01&due_to=2021-03-31&state=open&check_date=2021-03-31",
    "credits/?due_to=2020-06-30&state=open&check_date=2021-03-31",
    "credits/?due_from=2021-02-01&due_to=2021-04-30&history=new",
    "credits/?returned_from=2021-02-01&returned_to=2021-04-30",
    "payments/?issued_from=2021-02-01&issued_to=2021-04-30",
    "payments/?issued_from=2021-02-01&issued_to=2021-04-30&kind=1&paid_to=2021-03-31",
    "payments/?due_from=2021-02-01&due_to=2021-04-30&kind=1&within=0",
]

# Lists of one credit or one borrower. They have few rows, so the database may sort them.
OF_ONE = [
    "/reports/payments/?credit=7",
    "/reports/payments/?borrower=7&paid_from=2020-01-01",
    "/reports/credits/?borrower=7",
    "/api/v1/payments?credit=7&ordering=sum",
    "/api/v1/payments?borrower=7",
    "/api/v1/credits?borrower=7&ordering=-issuance_date",
]


@pytest.fixture
def book(committed):
    """Creates rows over two years, with days in another order than ids. Half of the credits are open."""
    days = [date(2020, 1, 1) + timedelta(days=number * 7919 % 547) for number in range(ROWS)]
    Borrower.objects.bulk_load(
        [
            Borrower(pk=n, login=f"{n * 7919 % ROWS}", registration_date=days[n - 1])
            for n in range(1, ROWS + 1)
        ]
    )
    Credit.objects.bulk_load(
        [
            Credit(
                pk=n,
                borrower_id=n,
                issuance_date=day,
                return_date=day + timedelta(days=30),
                actual_return_date=min(day + timedelta(days=40), TODAY) if n % 2 else None,
                body=Decimal(n * 7919 % 1000),
                percent=Decimal(n * 7907 % 1000),
            )
            for n, day in enumerate(days, start=1)
        ]
    )
    Payment.objects.bulk_load(
        [
            Payment(
                pk=n,
                credit_id=n,
                payment_date=day + timedelta(days=n % 10),
                type_id=Dictionary.BODY if n % 3 else Dictionary.INTEREST,
                sum=Decimal(1 + n * 7919 % 1000),
            )
            for n, day in enumerate(days, start=1)
        ]
    )
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(f"ANALYZE TABLE {', '.join(LARGE)}")
        else:
            cursor.execute("ANALYZE")
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # otherwise the statistics would remain after the rows
            cursor.execute("DELETE FROM sqlite_stat1")


def rows_read() -> int:
    """Returns how many rows this connection has read from tables and indexes; always 0 on SQLite."""
    if connection.vendor != "mysql":
        return 0
    with connection.connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(count) for _, count in cursor.fetchall())


@contextmanager
def watched(statements: list[tuple[str, Any, int]]) -> Iterator[None]:
    """Collects each SELECT from a large table, with its parameters and the number of rows that it reads."""

    def watch(execute: Callable[..., Any], sql: str, params: Any, *args: Any) -> Any:
        before = rows_read()
        result = execute(sql, params, *args)
        if sql.startswith("SELECT") and any(table in sql for table in LARGE):
            statements.append((sql, params, rows_read() - before))
        return result

    with connection.execute_wrapper(watch):
        yield


def plan(sql: str, params: Any) -> list[dict[str, Any]]:
    """Returns the steps of the query from the database's EXPLAIN."""
    if connection.vendor == "sqlite":
        explain = "EXPLAIN QUERY PLAN"
    else:
        explain = "EXPLAIN" if connection.mysql_is_mariadb else "EXPLAIN FORMAT=TRADITIONAL"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def faults(sql: str, params: Any, read: int, may_sort: bool = False) -> list[str]:
    """Returns the steps of a query that would be slow in a large book.

    Totals of credits in a state may read many rows, since they are computed from an index alone.
    """
    found = [f"{read} rows read"] if read > FEW and "SUM(" not in sql and not may_sort else []
    in_order = " LIMIT " in sql and " WHERE " not in sql  # the first rows of an index
    for step in plan(sql, params):
        if connection.vendor == "sqlite":
            text = step["detail"]
            scans = text.startswith("SCAN") and text.split()[1] in LARGE and not in_order
            sorts = "TEMP B-TREE" in text
        else:
            text = f"{step['table']} {step['type']} {step['key']} {step['Extra']}"
            scans = step["table"] in LARGE and step["type"] in ("ALL", "index") and not in_order
            sorts = "filesort" in text or "temporary" in text
        if scans or (sorts and not may_sort):
            found.append(text)
    return found


def reported(client: Any, address: str) -> dict[str, str]:
    """Returns {rel: address} of the links from a page of a list to other pages."""
    html = client.get(address).content.decode()
    found = re.findall(r'<a rel="(\w+)" href="([^"]+)"', html)
    return {rel: address.split("?")[0] + unescape(query) for rel, query in found}


def answered(client: Any, address: str) -> dict[str, str]:
    """Returns {rel: address} of the links from a page of the API to other pages."""
    answer = client.get(address).json()
    return {rel: answer[rel] for rel in ("next", "previous") if answer[rel]}


def slow_queries(
    client: Any, links: Callable[..., dict[str, str]], address: str, may_sort: bool = False
) -> dict[str, Any]:
    """Returns {query: its slow steps} for the first page and the pages that its links lead to."""
    found: dict[str, Any] = {}
    seen, wanted = set(), [address]
    while wanted and len(seen) < 6:
        page = wanted.pop()
        seen.add(page)
        statements: list[tuple[str, Any, int]] = []
        with watched(statements):
            others = links(client, page)
        assert statements
        wanted += [other for other in others.values() if other not in seen]
        found |= {
            f"{page}: {sql}": wrong for sql, *run in statements if (wrong := faults(sql, *run, may_sort))
        }
    assert len(seen) > 3, f"{address} has no pages"
    return found


def test_no_page_sorts_or_scans_a_large_table(book, analyst):
    slow = {}
    with time_machine.travel(TODAY, tick=False):
        for address in REPORTS:
            slow |= slow_queries(analyst, reported, f"/reports/{address}")
        for address in OF_RANGE:
            slow |= slow_queries(analyst, reported, f"/reports/{address}", may_sort=True)
        for address in API:
            slow |= slow_queries(analyst, answered, f"/api/v1/{address}")
        for address in OF_ONE:
            statements: list[tuple[str, Any, int]] = []
            with watched(statements):
                assert analyst.get(address).status_code == 200
            slow |= {
                f"{address}: {sql}": wrong for sql, *run in statements if (wrong := faults(sql, *run, True))
            }
    assert not slow, "\n".join(f"{query}: {wrong}" for query, wrong in slow.items())
