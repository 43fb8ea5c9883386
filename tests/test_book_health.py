"""Reports on the health of the book: all equal plain Python over the rows, and they agree with each other."""

import json
import os
import random
import re
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from io import StringIO
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import transaction
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credits.models import Borrower, Credit, Payment
from reports import urls
from reports.templatetags.figures import count, money, percent

from . import builders

pytestmark = pytest.mark.django_db

any_books = settings(
    max_examples=25,
    deadline=None,
    # Each example deletes what it stored, so they can share a database. No deadline: machines may be slow.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

GRACES = (0, 7, 30, 60, 90)
BUCKETS = {
    "current": 0,
    "1 to 30": 30,
    "31 to 60": 60,
    "61 to 90": 90,
    "91 to 180": 180,
    "181 to 360": 360,
    "over 360": 10**6,
}
ZERO = Decimal(0)


# The same figures in plain Python


@dataclass(eq=False)
class Loan:
    borrower: int
    issued: date
    due: date
    returned: date | None
    body: Decimal
    interest: Decimal
    payments: list[tuple[date, int, Decimal]] = field(default_factory=list)
    history: str = ""

    def paid(self, until: date, *kinds: int) -> Decimal:
        return sum((amount for day, kind, amount in self.payments if day <= until and kind in kinds), ZERO)

    def is_open(self, day: date) -> bool:
        return self.issued <= day and (self.returned is None or self.returned > day)

    def owed(self, day: date) -> Decimal:
        return max(self.body - self.paid(day, 1), ZERO) if self.is_open(day) else ZERO

    def bucket(self, day: date) -> str:
        return next(name for name, most in BUCKETS.items() if (day - self.due).days <= most)

    def in_time(self, grace: int) -> bool:
        return self.returned is not None and self.returned <= self.due + timedelta(grace)


def loans() -> list[Loan]:
    """Reads all credits and payments from the database."""
    columns = ("pk", "borrower_id", "issuance_date", "return_date", "actual_return_date", "body", "percent")
    found = {pk: Loan(*values) for pk, *values in Credit.objects.values_list(*columns)}
    for credit, *payment in Payment.objects.values_list("credit_id", "payment_date", "type_id", "sum"):
        found[credit].payments.append(tuple(payment))
    of_borrowers = defaultdict(list)
    for loan in found.values():
        of_borrowers[loan.borrower].append(loan)
    for loan in found.values():
        loan.history = history(loan, of_borrowers[loan.borrower])
    return list(found.values())


def history(loan: Loan, of_borrower: list[Loan]) -> str:
    earlier = [each for each in of_borrower if each.issued < loan.issued]
    if any(each.due + timedelta(30) <= loan.issued and not each.in_time(30) for each in earlier):
        return "late_before"
    return "returning" if earlier else "new"


def name_of(month: date) -> str:
    return f"{month:%Y-%m}"


def end_of(month: date, later: int = 0) -> date:
    """Returns the last day of a month, or of one some months later."""
    number = month.year * 12 + month.month - 1 + later
    year, index = divmod(number, 12)
    return date(year, index + 1, monthrange(year, index + 1)[1])


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    return (part * 100 / whole).quantize(Decimal("0.01"), ROUND_HALF_UP) if whole else None


def total(amounts: Any) -> Decimal:
    return sum(amounts, ZERO)


def ageing(book: list[Loan], day: date) -> dict[str, tuple[int, Decimal]]:
    """Returns {bucket: (credits, outstanding)}."""
    found = {}
    for name in BUCKETS:
        within = [loan for loan in book if loan.is_open(day) and loan.bucket(day) == name]
        found[name] = (len(within), total(loan.owed(day) for loan in within))
    return found


def vintages(book: list[Loan], day: date) -> list[dict[str, Any]]:
    cohorts = defaultdict(list)
    for loan in book:
        if loan.issued <= day:
            cohorts[loan.issued.replace(day=1)].append(loan)
    rows = []
    for month, cohort in sorted(cohorts.items()):
        issued = total(loan.body for loan in cohort)
        age, broke_even = 0, False
        while end_of(month, age).replace(day=1) <= day:
            until = min(end_of(month, age), day)
            recovered = total(loan.paid(until, 1) for loan in cohort)
            collected = total(loan.paid(until, 1, 2) for loan in cohort)
            rows.append(
                {
                    "cohort": name_of(month),
                    "age": age,
                    "credits": len(cohort),
                    "issued": issued,
                    "recovered_sum": recovered,
                    "recovered_percent": ratio(recovered, issued),
                    "collected_sum": collected,
                    "collected_percent": ratio(collected, issued),
                    "until": until.isoformat(),
                    "multiple": ratio(collected / 100, issued),
                    "breaks_even": collected >= issued and not broke_even,
                }
            )
            broke_even = broke_even or collected >= issued
            age += 1
    return rows


def due_cells(book: list[Loan], day: date) -> Iterator[tuple[str, int, list[Loan]]]:
    """Yields (month due, grace, credits) for the credits whose grace has passed by the day."""
    for month in sorted({name_of(loan.due) for loan in book}):
        for grace in GRACES:
            due = [loan for loan in book if name_of(loan.due) == month and loan.due + timedelta(grace) <= day]
            if due:
                yield month, grace, due


def efficiency(book: list[Loan], day: date) -> list[dict[str, Any]]:
    rows = []
    for month, grace, due in due_cells(book, day):
        body = total(loan.body for loan in due)
        paid = total(loan.paid(loan.due + timedelta(grace), 1) for loan in due)
        rows.append(
            {
                "month_due": month,
                "grace": grace,
                "credits": len(due),
                "body": body,
                "paid": paid,
                "efficiency_percent": ratio(paid, body),
            }
        )
    return rows


def defaults(book: list[Loan], day: date) -> list[dict[str, Any]]:
    rows = []
    for month, grace, due in due_cells(book, day):
        for name in ("new", "returning", "late_before"):
            of_kind = [loan for loan in due if loan.history == name]
            if of_kind:
                late = sum(not loan.in_time(grace) for loan in of_kind)
                rows.append(
                    {
                        "month_due": month,
                        "grace": grace,
                        "history": name,
                        "credits": len(of_kind),
                        "defaulted": late,
                        "default_percent": ratio(Decimal(late), Decimal(len(of_kind))),
                    }
                )
    return rows


def rolls(book: list[Loan], month: date) -> dict[tuple[str, str], tuple[int, Decimal, Decimal]]:
    """Returns {(from bucket, to bucket or closed): (credits, opening, closing)} of one month."""
    before, end = end_of(month, -1), end_of(month)
    found: dict[tuple[str, str], tuple[int, Decimal, Decimal]] = {}
    for loan in book:
        if loan.is_open(before):
            way = (loan.bucket(before), loan.bucket(end) if loan.is_open(end) else "closed")
            count, opening, closing = found.get(way, (0, ZERO, ZERO))
            found[way] = (count + 1, opening + loan.owed(before), closing + loan.owed(end))
    return found


# Books


days = st.dates(date(2021, 1, 25), date(2021, 5, 5))
dates_asked = st.dates(date(2021, 1, 1), date(2022, 3, 31)) | st.sampled_from(
    [date(2021, 1, 31), date(2021, 2, 28), date(2021, 4, 30), date(2999, 12, 31)]
)
amounts = st.integers(1, 500_000).map(lambda number: Decimal(number).scaleb(-2))
bodies = st.integers(100_00, 5000_00).map(lambda number: Decimal(number).scaleb(-2))


@st.composite
def books(draw, earliest_payment=-5):
    """Borrowers, and credits: (borrower, issued, days to the deadline, days to the return, body, interest,
    payments: (days since issuance, type, sum)).
    """
    payment = st.tuples(st.integers(earliest_payment, 120), st.sampled_from([1, 2]), amounts | bodies)
    credit = st.tuples(
        st.integers(0, 2),
        days,
        st.sampled_from([0, 14, 30]) | st.integers(0, 60),
        st.none() | st.integers(0, 150),
        bodies,
        st.just(ZERO) | amounts,
        st.lists(payment, max_size=4),
    )
    return draw(st.lists(credit, min_size=1, max_size=8))


@contextmanager
def stored(book: Any) -> Iterator[list[Loan]]:
    """Stores a generated book, yields it as read back, and deletes it afterwards."""
    with transaction.atomic():
        borrowers = [builders.borrower() for _ in range(3)]
        for borrower, issued, term, returned, body, interest, payments in book:
            credit = Credit.objects.create(
                borrower=borrowers[borrower],
                issuance_date=issued,
                return_date=issued + timedelta(term),
                actual_return_date=None if returned is None else issued + timedelta(returned),
                body=body,
                percent=interest,
            )
            Payment.objects.bulk_create(
                Payment(credit=credit, payment_date=issued + timedelta(later), type_id=kind, sum=amount)
                for later, kind, amount in payments
            )
        yield loans()
        transaction.set_rollback(True)


def asked(client: Any, address: str) -> Any:
    """Returns the rows of a report, with numbers as Decimal."""
    response = client.get(f"/api/v1/{address}")
    assert response.status_code == 200, response.content
    return json.loads(response.content, parse_float=Decimal)


def part(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows with only the columns that the expected rows have."""
    return [{name: row[name] for name in (like[0] if like else ())} for row in rows]


# Each report equals plain Python


@any_books
@given(book=books(), day=dates_asked)
def test_ageing(analyst, book, day):
    with stored(book) as rows:
        found = {
            row["bucket"]: (row["credits"], row["outstanding"])
            for row in asked(analyst, f"ageing?check_date={day}")
        }
        assert found == ageing(rows, day)


@any_books
@given(book=books(), day=dates_asked)
def test_the_trend_is_the_ageing_of_each_month_end(analyst, book, day):
    with stored(book) as rows:
        found = asked(analyst, f"portfolio_trend?check_date={day}")
        last = day if day == end_of(day) else end_of(day, -1)
        ends = [end_of(last, -later) for later in reversed(range(24))]
        open_ = [any(loan.is_open(end) for loan in rows) for end in ends]
        since = open_.index(True) if any(open_) else 24
        assert [row["month_end"] for row in found] == [end.isoformat() for end in ends[since:]]
        for row in found:
            of_buckets = ageing(rows, date.fromisoformat(row["month_end"]))
            amounts_owed = [owed for _count, owed in of_buckets.values()]
            assert (row["credits"], row["outstanding"]) == (
                sum(count for count, _owed in of_buckets.values()),
                sum(amounts_owed),
            )
            for number, limit in enumerate((0, 30, 60, 90), start=1):
                assert row[f"par{limit}_percent"] == ratio(sum(amounts_owed[number:]), sum(amounts_owed))


@any_books
@given(book=books(), day=dates_asked.filter(lambda day: day.year < 2999))
def test_vintages(analyst, book, day):
    with stored(book) as rows:
        expected = vintages(rows, day)
        assert part(asked(analyst, f"vintages?check_date={day}"), expected) == expected


@any_books
@given(book=books(), day=dates_asked)
def test_collection_efficiency(analyst, book, day):
    with stored(book) as rows:
        assert asked(analyst, f"collection_efficiency?check_date={day}") == efficiency(rows, day)


@any_books
@given(book=books(), day=dates_asked)
def test_first_payment_default(analyst, book, day):
    with stored(book) as rows:
        assert asked(analyst, f"first_payment_default?check_date={day}") == defaults(rows, day)


@any_books
@given(book=books(), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_roll_rates(analyst, book, month):
    with stored(book) as rows:
        found = {
            (row["from_bucket"], row["to_bucket"]): (row["credits"], row["opening"], row["closing"])
            for row in asked(analyst, f"roll_rates?month={month:%Y-%m}&months=1")
            if row["over"] == "month"
        }
        assert found == rolls(rows, month)


@any_books
@given(book=books(), day=dates_asked.filter(lambda day: day.year < 2999))
def test_expected_receipts(analyst, book, day):
    with stored(book) as rows:
        found = asked(analyst, f"expected_receipts?check_date={day}")
        for row in found:
            since = date.fromisoformat(row["since"]) if row["since"] else date.min
            until = date.fromisoformat(row["until"]) if row["until"] else date.max
            due = [loan for loan in rows if loan.is_open(day) and since <= loan.due <= until]
            assert (row["credits"], row["body_left"]) == (len(due), total(loan.owed(day) for loan in due))
        assert sum(row["body_left"] for row in found) == total(loan.owed(day) for loan in rows)


@any_books
@given(book=books(), day=dates_asked)
def test_new_and_returning(analyst, book, day):
    with stored(book) as rows:
        moved = {loan.issued for loan in rows} | {paid for loan in rows for paid, *_ in loan.payments}
        found = asked(analyst, f"new_and_returning?check_date={day}")
        assert [row["month"] for row in found] == sorted({name_of(each) for each in moved if each <= day})
        for row in found:
            for kind in ("new", "returning"):
                of_kind = [loan for loan in rows if (loan.history == "new") == (kind == "new")]
                issued = [
                    loan for loan in of_kind if loan.issued <= day and name_of(loan.issued) == row["month"]
                ]
                assert (row[f"{kind}_credits"], row[f"{kind}_issued"], row[f"{kind}_collected"]) == (
                    len(issued),
                    total(loan.body for loan in issued),
                    total(
                        amount
                        for loan in of_kind
                        for paid, _kind, amount in loan.payments
                        if paid <= day and name_of(paid) == row["month"]
                    ),
                )


# The reports agree with each other


@any_books
@given(book=books(), span=st.tuples(dates_asked, dates_asked).map(sorted))
def test_outstanding_changes_by_what_was_issued_paid_left_and_overpaid(analyst, book, span):
    first, last = span

    def used(loan: Loan, day: date) -> Decimal:
        """Returns the payments by the day that lowered what the credit owes."""
        end = min(day, loan.returned or day)
        return min(loan.body, loan.paid(end, 1)) if loan.issued <= day else ZERO

    with stored(book) as rows:
        owed = [sum(row["outstanding"] for row in asked(analyst, f"ageing?check_date={day}")) for day in span]
        issued = total(loan.body for loan in rows if first < loan.issued <= last)
        paid = total(loan.paid(last, 1) - loan.paid(first, 1) for loan in rows)
        overpaid = paid - total(used(loan, last) - used(loan, first) for loan in rows)
        left = total(
            loan.body - used(loan, last) for loan in rows if loan.returned and first < loan.returned <= last
        )
        assert owed[1] == owed[0] + issued - paid - left + overpaid


@any_books
@given(book=books(earliest_payment=0), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_the_cash_of_all_cohorts_in_a_month_is_the_months_collection(analyst, book, month):
    with stored(book):
        collected = [
            sum(
                max(
                    row["collected_sum"]
                    for row in asked(analyst, f"vintages?check_date={day}")
                    if row["cohort"] == cohort
                )
                for cohort in {row["cohort"] for row in asked(analyst, f"vintages?check_date={day}")}
            )
            for day in (end_of(month, -1), end_of(month))
        ]
        days_of_month = asked(analyst, f"month?month={month:%Y-%m}")
        assert collected[1] - collected[0] == days_of_month[-1]["cumulative_collection_sum"]


@any_books
@given(book=books(), month=st.dates(date(2021, 1, 1), date(2021, 8, 1)))
def test_what_rolled_and_what_was_issued_make_the_next_ageing(analyst, book, month):
    with stored(book) as rows:
        end = end_of(month)
        new = [loan for loan in rows if loan.is_open(end) and name_of(loan.issued) == name_of(month)]
        rolled = [
            row
            for row in asked(analyst, f"roll_rates?month={month:%Y-%m}&months=1")
            if row["over"] == "month"
        ]
        for row in asked(analyst, f"ageing?check_date={end}"):
            arrived = [each for each in rolled if each["to_bucket"] == row["bucket"]]
            issued = [loan for loan in new if loan.bucket(end) == row["bucket"]]
            assert row["credits"] == sum(each["credits"] for each in arrived) + len(issued)
            assert row["outstanding"] == sum(each["closing"] for each in arrived) + total(
                loan.owed(end) for loan in issued
            )


# Whole books, loaded from files: a generated one or, if DATA names a folder, the one there


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    if given_folder := os.environ.get("DATA"):
        return Path(given_folder)
    made = tmp_path_factory.mktemp("book")
    call_command("demo_data", made, credits=300, until="2022-07-31", seed=3, stdout=StringIO())
    return made


LAST_DAY = "2022-07-31"
ADDRESSES = [
    f"ageing?check_date={LAST_DAY}",
    "ageing?check_date=2021-06-15",
    f"portfolio_trend?check_date={LAST_DAY}",
    f"provisions?check_date={LAST_DAY}",
    f"vintages?check_date={LAST_DAY}",
    f"collection_efficiency?check_date={LAST_DAY}",
    f"first_payment_default?check_date={LAST_DAY}",
    "roll_rates?month=2022-06&months=6",
    f"expected_receipts?check_date={LAST_DAY}",
    "expected_receipts",
    f"new_and_returning?check_date={LAST_DAY}",
    f"top_borrowers?check_date={LAST_DAY}",
    "data_quality",
]


def answers(client: Any) -> dict[str, Any]:
    """Returns {address: rows} without ids and without counts of payments."""
    with time_machine.travel(datetime(2022, 8, 1, 9, tzinfo=UTC), tick=False):
        return {
            address: [
                {name: value for name, value in row.items() if name not in ("borrower_id", "login")}
                for row in asked(client, address)
            ]
            for address in ADDRESSES
        }


def written(folder: Path, lines: dict[str, list[list[str]]]) -> Path:
    for name, rows in lines.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    return folder


def read(folder: Path) -> dict[str, list[list[str]]]:
    return {
        name: [
            line.split("\t") for line in (folder / f"{name}.csv").read_text("utf-8-sig").splitlines() if line
        ]
        for name in ("users", "credits", "payments", "dictionary", "plans")
    }


def test_a_whole_book_equals_plain_python_and_its_reports_agree(analyst, folder):
    call_command("load_data", folder, stdout=StringIO())
    book = loans()
    for day in (date(2021, 6, 15), date(2022, 5, 31), date(2022, 7, 31)):
        rows = asked(analyst, f"ageing?check_date={day}")
        assert {row["bucket"]: (row["credits"], row["outstanding"]) for row in rows} == ageing(book, day)
        expected = vintages(book, day)
        assert part(asked(analyst, f"vintages?check_date={day}"), expected) == expected
        assert asked(analyst, f"collection_efficiency?check_date={day}") == efficiency(book, day)
        assert asked(analyst, f"first_payment_default?check_date={day}") == defaults(book, day)
        found = {
            (row["from_bucket"], row["to_bucket"]): (row["credits"], row["opening"], row["closing"])
            for row in asked(analyst, f"roll_rates?month={day:%Y-%m}&months=1")
            if row["over"] == "month"
        }
        assert found == rolls(book, day.replace(day=1))


def test_order_ids_and_split_payments_change_no_figure(analyst, folder, tmp_path):
    call_command("load_data", folder, stdout=StringIO())
    before = answers(analyst)
    lines, chance = read(folder), random.Random(5)
    numbers = {
        name: {row[0]: str(place) for place, row in enumerate(chance.sample(rows[1:], len(rows) - 1), 1)}
        for name, rows in lines.items()
        if name in ("users", "credits", "payments")
    }
    for name, rows in lines.items():
        head, *body = rows
        for row in body:
            row[0] = numbers.get(name, {}).get(row[0], row[0])
            if name == "credits":
                row[1] = numbers["users"][row[1]]
            if name == "payments":
                row[1] = numbers["credits"][row[1]]
        chance.shuffle(body)
        lines[name] = [head, *body]
    payments = lines["payments"]
    column = payments[0].index("sum")
    for number, row in enumerate(payments[1:200]):
        if Decimal(row[column]) > Decimal("0.02"):
            other = [*row]
            other[0] = str(len(payments) + 1000 + number)
            row[column], other[column] = "0.01", str(Decimal(row[column]) - Decimal("0.01"))
            payments.append(other)
    call_command("load_data", written(tmp_path, lines), replace=True, stdout=StringIO())
    after = answers(analyst)
    for address, rows in before.items():
        assert after[address] == rows, address


def test_buckets_add_up_to_the_borrowers_list_and_the_overview(analyst, folder):
    call_command("load_data", folder, stdout=StringIO())
    outstanding = sum(row["outstanding"] for row in asked(analyst, f"ageing?check_date={LAST_DAY}"))
    with time_machine.travel(datetime(2022, 7, 31, 9, tzinfo=UTC), tick=False):
        response = analyst.get("/reports/borrowers/?format=csv")
        lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
        column = lines[0].split(",").index("outstanding")
        assert sum(Decimal(line.split(",")[column]) for line in lines[1:]) == outstanding
        trend = asked(analyst, "portfolio_trend")[-1]
        assert trend["outstanding"] == outstanding == total(loan.owed(date(2022, 7, 31)) for loan in loans())
    assert Borrower.objects.count() == len(lines) - 1


PAGES = [
    "ageing/?check_date=2021-06-30",
    "portfolio-trend/?check_date=2021-06-30",
    "provisions/?check_date=2021-06-30",
    "vintages/?check_date=2020-12-31",
    "collection-efficiency/?check_date=2021-06-15",
    "first-payment-default/?check_date=2021-06-15",
    "roll-rates/?month=2021-06",
    "expected-receipts/?check_date=2021-06-16",
    "new-and-returning/?check_date=2021-06-16",
    "top-borrowers/?check_date=2021-06-30&count=5",
    "data-quality/",
]
SAID = re.compile(r"(?P<count>[^.]+) found, (?P<sum>.+) in all\.( Outstanding: (?P<owed>.+)\.)?$")


def links(page: str) -> list[tuple[str, str]]:
    """Returns (address, text) of each link to a list in the cells of a page's tables."""
    found = re.findall(r'<td[^>]*>\s*<a href="([^"]+)">([^<]+)</a>', page)
    return [
        (unescape(address), unescape(text))
        for address, text in found
        if re.search("/reports/(credits|payments)/", address)
    ]


def amounts_of(page: str) -> set[str]:
    """Returns all counts and amounts of a report, as its page and the lists show them."""
    path, query = page.split("/?") if "?" in page else (page.strip("/"), "")
    report = next(r.callback.view_initkwargs["report"] for r in urls.api if r.name == path.replace("-", "_"))
    params = report.params(QueryDict(query)).checked()
    params.pop("format")
    rows = report.compute(**params)
    found = [asdict(row) for row in rows] + report.totals(rows)
    if path == "first-payment-default":  # the page adds up the histories of a month
        for key, group in groupby(rows, attrgetter("month_due", "grace")):
            found.append({"defaulted": sum(row.defaulted for row in group), "key": key})
    return {
        count(value) if isinstance(value, int) else money(value)
        for row in found
        for value in row.values()
        if isinstance(value, int | Decimal)
    }


@pytest.mark.parametrize("page", PAGES)
def test_each_count_and_amount_of_a_page_is_that_of_the_rows_behind_it(analyst, folder, page):
    call_command("load_data", folder, stdout=StringIO())
    response = analyst.get(f"/reports/{page}")
    assert response.status_code == 200
    followed = links(response.content.decode())
    if page.startswith("provisions"):  # the provisions themselves are no sums of rows
        followed = [followed[row * 3] for row in range(len(BUCKETS))]
    assert followed
    parts_of_percents = amounts_of(page)
    for address, text in random.Random(1).sample(followed, min(60, len(followed))):
        behind = analyst.get(address)
        assert behind.status_code == 200, address
        question = re.search(r'<p class="question">(.*?)</p>', behind.content.decode(), re.DOTALL)
        said = SAID.search(re.sub(r"[ \n]+", " ", question[1]).strip()) if question else None
        assert said, address
        numbers = {number.strip() for number in said.groups() if number}
        if "%" in text and page.startswith(("ageing", "portfolio-trend")):
            day = QueryDict(address)["check_date"]
            whole = total(row["outstanding"] for row in asked(analyst, f"ageing?check_date={day}"))
            owed = Decimal(said["owed"].replace("\xa0", ""))
            assert text == percent(ratio(owed, whole)), address
        elif "%" in text or page.startswith("vintages"):
            assert numbers & parts_of_percents, (address, text, said[0])
        else:
            assert text in numbers, (address, text, said[0])
