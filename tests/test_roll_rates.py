"""Roll rates: figures worked out by hand, and books made at random beside plain Python."""

import io
import random
import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from openpyxl import load_workbook

from credits.book.days import month_end_before
from credits.book.writing import writing
from credits.models import BUCKETS, Credit, Dictionary, Movement
from reports.roll_rates import Params, compute
from reports.schema import describe
from reports.stretch import last_of_month

from . import builders

pytestmark = pytest.mark.django_db

TODAY = date(2022, 1, 1)
JUNE = date(2021, 6, 1)


def day(text: str) -> date:
    return date.fromisoformat(text)


def credit(issued: str, due: str, body: Any, returned: str = "") -> Credit:
    fields = {"actual_return_date": day(returned)} if returned else {}
    return builders.credit(issued, body, return_date=day(due), **fields)


@pytest.fixture
def book() -> None:
    """On 31 May four credits are open: two in term owe 1,000, and two past due owe 1,400."""
    with writing():
        stays = credit("2021-05-01", "2021-05-15", 1000)  # 16 days past due on 31 May, 46 on 30 June
        builders.payment(stays, "2021-05-20", 100)
        builders.payment(stays, "2021-06-10", 300)
        builders.payment(stays, "2021-06-11", 70, Dictionary.INTEREST)
        closes = credit("2021-05-01", "2021-05-15", 500, returned="2021-06-20")
        builders.payment(closes, "2021-06-05", 200)
        builders.payment(closes, "2021-06-20", 300)
        credit("2021-05-20", "2021-05-31", 700)  # in term on its last day, 30 days past due on 30 June
        credit("2021-05-25", "2021-07-10", 300)
        # None of these was open on 31 May.
        credit("2021-04-01", "2021-05-15", 2000, returned="2021-05-31")
        builders.payment(credit("2021-06-05", "2021-07-10", 5000), "2021-06-20", 1000)
        credit("2021-06-01", "2021-07-10", 6000, returned="2021-06-29")


JUNE_ROWS = [
    ("current", "current", 1, 300, 300, 30),
    ("current", "1 to 30", 1, 700, 700, 70),
    ("1 to 30", "31 to 60", 1, 900, 600, 64.29),  # 900 / 1,400 = 64.2857…
    ("1 to 30", "closed", 1, 500, 0, 35.71),
]


def ask(client: Any, month: str = "2021-06", **query: Any) -> list[dict[str, Any]]:
    response = client.get("/api/v1/roll_rates", {"month": month, **query})
    assert response.status_code == 200
    return response.json()


def of(rows: list[dict[str, Any]], over: str) -> list[tuple[Any, ...]]:
    columns = ("from_bucket", "to_bucket", "credits", "opening", "closing", "percent")
    return [tuple(row[column] for column in columns) for row in rows if row["over"] == over]


def test_a_row_for_each_way_that_credits_took(book, analyst):
    rows = ask(analyst)
    assert of(rows, "month") == JUNE_ROWS
    assert rows[2] == {
        "over": "month",
        "first_month": "2021-06",
        "last_month": "2021-06",
        "from_bucket": "1 to 30",
        "to_bucket": "31 to 60",
        "credits": 1,
        "opening": 900,
        "closing": 600,
        "percent": 64.29,
    }


def test_the_average_adds_up_the_openings_of_its_months(book, analyst):
    # In May: the credit returned on 31 May owed 2,000; the others were issued in May.
    # In July: 300 is 21 days past due at its end, 700 is 61, 600 is 77; 4,000 of June is 21 days past due.
    rows = ask(analyst, "2021-07", months=3)
    assert {(row["first_month"], row["last_month"]) for row in rows if row["over"] == "month"} == {
        ("2021-07", "2021-07")
    }
    assert {(row["first_month"], row["last_month"]) for row in rows if row["over"] == "average"} == {
        ("2021-05", "2021-07")
    }
    assert of(rows, "month") == [
        ("current", "1 to 30", 2, 4300, 4300, 100),
        ("1 to 30", "61 to 90", 1, 700, 700, 100),
        ("31 to 60", "61 to 90", 1, 600, 600, 100),
    ]
    assert of(rows, "average") == [
        ("current", "current", 1, 300, 300, 4.11),  # of 2,000 in May, 1,000 in June and 4,300 in July
        ("current", "1 to 30", 3, 5000, 5000, 68.49),
        ("current", "closed", 1, 2000, 0, 27.40),
        ("1 to 30", "31 to 60", 1, 900, 600, 42.86),  # of 1,400 in June and 700 in July
        ("1 to 30", "61 to 90", 1, 700, 700, 33.33),
        ("1 to 30", "closed", 1, 500, 0, 23.81),
        ("31 to 60", "61 to 90", 1, 600, 600, 100),
    ]


def test_the_average_of_one_month_is_the_month(book, analyst):
    assert of(ask(analyst, months=1), "average") == JUNE_ROWS


def test_the_average_covers_six_months_unless_asked(book, analyst):
    assert {row["first_month"] for row in ask(analyst) if row["over"] == "average"} == {"2021-01"}
    html = analyst.get("/reports/roll-rates/?month=2021-06").content.decode()
    assert "Average of the 6 months from January 2021 to June 2021" in html
    assert '?month=2021-07"' in html


def test_nothing_that_happens_later_changes_a_month(book, analyst):
    late = Credit.objects.get(body=1000)
    builders.payment(late, "2021-07-01", 50)
    credit("2021-07-01", "2021-07-15", 9000)
    late.actual_return_date = day("2021-07-02")
    late.save()
    assert of(ask(analyst), "month") == JUNE_ROWS


@pytest.mark.parametrize(
    ("month", "due", "way"),
    [
        # From 30 June to 31 July
        ("2021-07", "2021-08-01", ("current", "current")),
        ("2021-07", "2021-07-31", ("current", "current")),
        ("2021-07", "2021-07-30", ("current", "1 to 30")),
        ("2021-07", "2021-07-01", ("current", "1 to 30")),
        ("2021-07", "2021-06-30", ("current", "31 to 60")),
        ("2021-07", "2021-06-29", ("1 to 30", "31 to 60")),
        ("2021-07", "2021-06-01", ("1 to 30", "31 to 60")),
        ("2021-07", "2021-05-31", ("1 to 30", "61 to 90")),
        ("2021-07", "2021-05-30", ("31 to 60", "61 to 90")),
        ("2021-07", "2021-05-01", ("31 to 60", "91 to 180")),
        ("2021-07", "2021-04-01", ("61 to 90", "91 to 180")),
        ("2021-07", "2021-03-31", ("91 to 180", "91 to 180")),
        ("2021-07", "2021-01-01", ("91 to 180", "181 to 360")),
        ("2021-07", "2020-12-31", ("181 to 360", "181 to 360")),
        ("2021-07", "2020-07-05", ("181 to 360", "over 360")),
        ("2021-07", "2020-07-04", ("over 360", "over 360")),
        # From 31 January to 28 February
        ("2021-02", "2021-01-31", ("current", "1 to 30")),
        ("2021-02", "2021-01-29", ("1 to 30", "1 to 30")),
        ("2021-02", "2021-01-28", ("1 to 30", "31 to 60")),
    ],
)
def test_the_due_day_decides_the_buckets(analyst, month, due, way):
    credit("2020-01-01", due, 100)
    assert of(ask(analyst, month), "month") == [(*way, 1, 100, 100, 100)]


def test_credits_that_owe_nothing_count_without_a_percent(analyst):
    for returned in ("", "2021-06-02"):
        builders.payment(credit("2021-05-01", "2021-05-15", 100, returned), "2021-05-03", 100)
    assert of(ask(analyst), "month") == [
        ("1 to 30", "31 to 60", 1, 0, 0, None),
        ("1 to 30", "closed", 1, 0, 0, None),
    ]


@pytest.mark.parametrize(
    ("last_day", "today", "month"),
    [
        ("2021-06-29", "2021-07-10", "2021-05"),
        ("2021-06-30", "2021-06-30", "2021-06"),
        ("2021-07-01", "2021-07-10", "2021-06"),
        ("2021-07-31", "2021-07-10", "2021-05"),  # a payment in the future is not in the book yet
    ],
)
def test_without_a_month_it_is_the_last_that_is_over(analyst, last_day, today, month):
    for paid in ("2021-06-01", last_day):
        builders.payment(credit("2021-04-01", "2021-04-15", 100), paid, 1)
    with time_machine.travel(f"{today} 12:00", tick=False):
        rows = analyst.get("/api/v1/roll_rates").json()
        assert {row["last_month"] for row in rows} == {month}
        assert rows == ask(analyst, month)


def test_an_empty_book_has_no_rows(analyst):
    assert analyst.get("/api/v1/roll_rates").json() == []
    assert ask(analyst) == []
    page = analyst.get("/reports/roll-rates/")
    assert (page.status_code, b"There is nothing in the book for this." in page.content) == (200, True)


@pytest.mark.parametrize("month", ["0001-01", "0001-02", "2020-02", "9999-12"])
def test_a_month_far_from_the_book_is_no_error(book, analyst, month):
    assert isinstance(ask(analyst, month), list)
    assert analyst.get(f"/reports/roll-rates/?month={month}").status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter", "expected"),
    [
        ("month=2021", "month", "a month, yyyy-mm"),
        ("month=2021-13", "month", "a month, yyyy-mm"),
        ("months=0", "months", "a whole number from 1 to 24"),
        ("months=25", "months", "a whole number from 1 to 24"),
        ("months=six", "months", "a whole number from 1 to 24"),
    ],
)
def test_invalid_parameters_are_reported(analyst, query, parameter, expected):
    response = analyst.get(f"/api/v1/roll_rates?{query}")
    (fault,) = response.json()["errors"]
    assert (response.status_code, fault["parameter"], fault["expected"]) == (400, parameter, expected)


def test_the_documentation_names_the_defaults():
    assert [describe(Params.base_fields[name]) for name in ("month", "months")] == [
        "The month of the report (a month, yyyy-mm; "
        "default: the last month that is over by the last day of the book).",
        "Months of the average (a whole number from 1 to 24; default: 6).",
    ]


def test_a_report_takes_one_query_for_any_number_of_months(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert compute(JUNE, 24, TODAY)


# The page and the downloads


def table(response: Any, number: int) -> list[list[str]]:
    """Returns the texts of the cells of a table, without its head; those of a cell are joined by a bar."""
    html = re.findall(r"<table>.*?</table>", response.content.decode(), re.DOTALL)[number]
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("</thead>")[2], re.DOTALL)
    return [
        [
            "|".join(filter(None, map(str.strip, re.split("<[^>]*>", cell)))).replace("\u00a0", " ")
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_the_page_shows_a_matrix_with_totals(book, analyst):
    response = analyst.get("/reports/roll-rates/?month=2021-06&months=1")
    none = [""] * 4
    expected = [
        ["current", "30.00\u202f%|1", "70.00\u202f%|1", "", "", *none, "2", "1 000.00"],
        ["1 to 30", "", "", "64.29\u202f%|1", *none, "35.71\u202f%|1", "2", "1 400.00"],
        ["31 to 60", *none, *none, "0", "0.00"],
        ["61 to 90", *none, *none, "0", "0.00"],
        ["91 to 180", *none, *none, "0", "0.00"],
        ["181 to 360", *none, *none, "0", "0.00"],
        ["over 360", *none, *none, "0", "0.00"],
        ["Total", "12.50\u202f%|1", "29.17\u202f%|1", "37.50\u202f%|1"],
    ]
    expected[-1] += [*none, "20.83\u202f%|1", "4", "2 400.00"]  # 300, 700, 900 and 500 of 2,400
    assert table(response, 0) == expected
    assert table(response, 1) == expected
    html = response.content.decode()
    assert "from 2021-05-31 to 2021-06-30" in html
    title = 'title="Principal 900.00 UAH before, 600.00 UAH after"'
    assert f'class="heat-6" {title}' in html.replace("\u00a0", " ")
    assert re.findall(r'<a rel="(\w+)" href="([^"]+)"', html) == [
        ("prev", "?month=2021-05&amp;months=1"),
        ("next", "?month=2021-07&amp;months=1"),
    ]


def test_a_month_without_open_credits_leads_to_the_months_beside_it(book, analyst):
    html = analyst.get("/reports/roll-rates/?month=2020-06").content.decode()
    assert "<table>" not in html
    assert re.findall(r'<a rel="\w+" href="([^"]+)"', html) == ["?month=2020-05", "?month=2020-07"]


def links(response: Any) -> dict[str, str]:
    """Returns {address: text} of each link in a cell of a table."""
    found = re.findall(r'<td[^>]*><a href="([^"]+)">([^<]+)</a>', response.content.decode())
    return {unescape(address): text.replace("\u00a0", " ") for address, text in found}


def test_cells_lead_to_the_credits_that_moved(book, analyst):
    addresses = list(links(analyst.get("/reports/roll-rates/?month=2021-06")))
    assert addresses[1:3] == [
        "/reports/credits/?state=open&check_date=2021-06-30&due_from=2021-05-31&due_to=2021-06-29"
        "&issued_to=2021-05-31",
        "/reports/credits/?state=open&check_date=2021-05-31&due_from=2021-05-31",
    ]
    assert (
        "/reports/credits/?check_date=2021-06-30&returned_from=2021-06-01&returned_to=2021-06-30"
        "&issued_to=2021-05-31&due_from=2021-05-01&due_to=2021-05-30"
    ) in addresses
    assert "/reports/credits/?state=open&check_date=2021-05-31" in addresses


def test_an_xlsx_file_has_rows_and_totals(book, analyst):
    response = analyst.get("/api/v1/roll_rates?month=2021-06&months=1&format=xlsx")
    sheet = load_workbook(io.BytesIO(response.content))["Roll rates"]
    lines = list(sheet.iter_rows(values_only=True))
    assert len(lines) == 1 + 4 + 4 + 4 + 4
    assert lines[1] == ("month", "2021-06", "2021-06", "current", "current", 1, 300, 300, 30)
    assert lines[12] == ("month", "2021-06", "2021-06", "total", "closed", 1, 500, 0, 20.83)


# Random books


@pytest.fixture(params=range(3))
def random_book(request) -> random.Random:
    """Creates credits of half a year, of which many are late or returned, with payments on any day."""
    chance = random.Random(request.param)
    with writing():
        for _ in range(60):
            issued = date(2021, 1, 1) + timedelta(days=chance.randrange(180))
            due = issued + timedelta(days=chance.choice([0, 5, 14, 30, 60, 90]))
            body = Decimal(chance.randrange(1, 100_000)) / 100
            until = issued + timedelta(days=chance.randrange(200))
            one = credit(f"{issued}", f"{due}", body, chance.choice(["", f"{until}"]))
            for _ in range(chance.randrange(5)):
                paid = issued + timedelta(days=chance.randrange(-3, 200))
                kind = chance.choice([Dictionary.BODY, Dictionary.INTEREST])
                builders.payment(one, f"{paid}", round(body / chance.randrange(1, 5), 2) or 1, kind)
    return chance


def owes(one: Credit, on: date) -> Decimal | None:
    """Returns the outstanding principal of a credit at the end of the day; None if it isn't open."""
    if one.issuance_date > on or (one.actual_return_date and one.actual_return_date <= on):
        return None
    paid = sum(
        payment.sum
        for payment in one.payments.all()
        if payment.type_id == Dictionary.BODY and payment.payment_date <= on
    )
    return max(one.body - paid, Decimal(0))


def bucket_of(one: Credit, on: date) -> str:
    days = (on - one.return_date).days
    limits = {0: "current", 30: "1 to 30", 60: "31 to 60", 90: "61 to 90", 180: "91 to 180"}
    limits[360] = "181 to 360"
    return next((name for limit, name in limits.items() if days <= limit), "over 360")


def rolled(first: date, last: date) -> dict[tuple[str, str], list[Any]]:
    """Returns {(bucket, bucket or closed): [credits, opening, closing]} of all credits one by one."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for one in Credit.objects.prefetch_related("payments"):
        before, after = owes(one, first), owes(one, last)
        if before is not None:
            to = "closed" if after is None else bucket_of(one, last)
            sums = found[bucket_of(one, first), to]
            sums[0] += 1
            sums[1] += before
            sums[2] += after or 0
    return dict(found)


MONTHS = [date(2021, number, 1) for number in range(1, 13)]


def test_random_credits_move_as_one_by_one(random_book):
    by_month = {month: rolled(month_end_before(month), last_of_month(month)) for month in MONTHS}
    for number, month in enumerate(MONTHS):
        count = random_book.randrange(1, number + 2)
        rows = compute(month, count, TODAY)
        added: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
        for other in MONTHS[number + 1 - count : number + 1]:
            for way, sums in by_month[other].items():
                added[way] = [one + more for one, more in zip(added[way], sums, strict=True)]
        for over, expected in (("month", by_month[month]), ("average", added)):
            found = {
                (row.from_bucket, row.to_bucket): [row.credits, row.opening, row.closing]
                for row in rows
                if row.over == over
            }
            assert found == expected, (month, over)


def test_each_bucket_of_a_random_book_adds_up_to_100(random_book):
    for month in MONTHS:
        shares: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for row in compute(month, 3, TODAY):
            if row.percent is not None:
                shares[row.over, row.from_bucket].append(row.percent)
        for parts in shares.values():
            assert abs(sum(parts) - 100) <= Decimal("0.005") * len(parts)  # each is rounded


def test_a_month_leads_from_one_ageing_of_a_random_book_to_the_next(random_book):
    for month in MONTHS:
        rows = [row for row in compute(month, 1, TODAY) if row.over == "month"]
        first, last = month_end_before(month), last_of_month(month)
        before, after = Movement.objects.ageing(first), Movement.objects.ageing(last)
        new = [one for one in Credit.objects.prefetch_related("payments") if one.issuance_date > first]
        for bucket, opening, closing in zip(BUCKETS, before, after, strict=True):
            of_row = [row for row in rows if row.from_bucket == bucket.name]
            assert sum(row.credits for row in of_row) == opening.credits
            assert sum(row.opening for row in of_row) == opening.outstanding
            of_column = [row for row in rows if row.to_bucket == bucket.name]
            owed = [owes(one, last) for one in new if bucket_of(one, last) == bucket.name]
            issued = [amount for amount in owed if amount is not None]
            assert sum(row.credits for row in of_column) + len(issued) == closing.credits
            assert sum(row.closing for row in of_column) + sum(issued) == closing.outstanding


def listed(address: str) -> tuple[int, Decimal]:
    """Returns the number of the credits in a list, and what they owe at its check_date, one by one."""
    asked = dict(parse_qsl(urlsplit(address).query))
    state = asked.pop("state", None)
    on = day(asked.pop("check_date"))
    columns = {"issued": "issuance_date", "due": "return_date", "returned": "actual_return_date"}
    amounts = []
    for one in Credit.objects.prefetch_related("payments"):
        owed = owes(one, on)
        fits = state is None or owed is not None
        for name, value in asked.items():
            column, _, end = name.partition("_")
            moment = getattr(one, columns[column])
            after = bool(moment) and (moment >= day(value) if end == "from" else moment <= day(value))
            fits = fits and after
        if fits:
            amounts.append(owed or Decimal(0))
    return len(amounts), sum(amounts, Decimal(0))


def test_each_cell_of_a_random_book_leads_to_its_credits(random_book, analyst):
    response = analyst.get("/reports/roll-rates/?month=2021-06")
    lines = response.context["of_month"]
    checked = 0
    for line in lines:
        assert listed(line["behind"]) == (line["credits"], line["opening"])
        for cell, behind in line["cells"]:
            sums = (cell["credits"], cell["closing"]) if cell else (0, 0)
            assert listed(behind) == sums, (line["name"], cell)
            checked += 1
    assert checked == 8 * 8
