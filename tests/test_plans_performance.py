"""Plans performance: every figure is calculated by hand."""

import re
from datetime import date
from html import unescape

import pytest

from credits.models import Dictionary
from reports.plans_performance import compute

from . import builders
from .test_pace import steady_book

pytestmark = pytest.mark.django_db

ISSUANCE, COLLECTION = Dictionary.ISSUANCE, Dictionary.COLLECTION


def ask(client, day):
    return client.get("/plans_performance", {"check_date": day})


def figures(response):
    """Returns [month, category, actual, percent] of each row."""
    return [
        [row["month"], row["category"], row["actual_sum"], row["performance_percent"]]
        for row in response.json()
    ]


@pytest.fixture
def book():
    """Plans for June and July; issuances and payments at the edges of both months and around 15 June."""
    first = builders.credit("2021-05-31", "7000")
    builders.credit("2021-06-01", "1000.10")
    builders.credit("2021-06-15", "500.05")
    builders.credit("2021-06-16", "250")
    builders.credit("2021-06-30", "0.01")
    builders.credit("2021-07-01", "3000")
    builders.payment(first, "2021-05-31", "70")
    builders.payment(first, "2021-06-01", "0.10")
    builders.payment(first, "2021-06-15", "0.20", Dictionary.INTEREST)
    builders.payment(first, "2021-06-16", "0.40")
    builders.payment(first, "2021-06-30", "0.30", Dictionary.INTEREST)
    builders.payment(first, "2021-07-01", "50")
    builders.plan("2021-07", COLLECTION, "200")
    builders.plan("2021-06", COLLECTION, "3")
    builders.plan("2021-07", ISSUANCE, "0")
    builders.plan("2021-06", ISSUANCE, "3000")


def test_a_row_for_each_plan_of_a_month_that_has_begun(book, analyst):
    assert ask(analyst, "2021-06-15").json() == [
        {
            "month": "2021-06-01",
            "category": "видача",
            "plan_sum": 3000,
            "actual_sum": 1500.15,
            "performance_percent": 50.01,  # 50.005
        },
        {
            "month": "2021-06-01",
            "category": "збір",
            "plan_sum": 3,
            "actual_sum": 0.3,
            "performance_percent": 10,
        },
    ]


def test_fields_have_the_order_of_the_contract(book, analyst):
    fields = ["month", "category", "plan_sum", "actual_sum", "performance_percent"]
    assert [list(row) for row in ask(analyst, "2021-06-15").json()] == [fields, fields]


def test_rows_are_sorted_by_month_then_category(book, analyst):
    assert [row[:2] for row in figures(ask(analyst, "2021-07-31"))] == [
        ["2021-06-01", "видача"],
        ["2021-06-01", "збір"],
        ["2021-07-01", "видача"],
        ["2021-07-01", "збір"],
    ]


@pytest.mark.parametrize(
    ("day", "issued", "collected"),
    [
        ("2021-06-01", [1000.10, 33.34], [0.10, 3.33]),
        ("2021-06-14", [1000.10, 33.34], [0.10, 3.33]),
        ("2021-06-15", [1500.15, 50.01], [0.30, 10]),
        ("2021-06-16", [1750.15, 58.34], [0.70, 23.33]),
        ("2021-06-29", [1750.15, 58.34], [0.70, 23.33]),
        ("2021-06-30", [1750.16, 58.34], [1.00, 33.33]),
        ("2021-07-01", [1750.16, 58.34], [1.00, 33.33]),
        ("2021-12-31", [1750.16, 58.34], [1.00, 33.33]),
        ("2999-12-31", [1750.16, 58.34], [1.00, 33.33]),
    ],
)
def test_actuals_count_from_the_first_of_the_month_to_the_date_or_its_end(
    book, analyst, day, issued, collected
):
    june = [row[2:] for row in figures(ask(analyst, day)) if row[0] == "2021-06-01"]
    assert june == [issued, collected]


def test_a_plan_shows_from_the_first_day_of_its_month(book, analyst):
    assert len(ask(analyst, "2021-06-30").json()) == 2
    assert figures(ask(analyst, "2021-07-01"))[2:] == [
        ["2021-07-01", "видача", 3000, None],
        ["2021-07-01", "збір", 50, 25],
    ]


def test_performance_of_a_plan_of_0_is_null(analyst):
    builders.plan("2021-06", ISSUANCE, "0")
    assert figures(ask(analyst, "2021-06-30")) == [["2021-06-01", "видача", 0, None]]


def test_a_plan_without_actuals_has_a_performance_of_0(analyst):
    builders.plan("2021-06", COLLECTION, "100")
    assert figures(ask(analyst, "2021-06-30")) == [["2021-06-01", "збір", 0, 0]]


@pytest.mark.parametrize("day", ["2021-05-31", "0001-01-01"])
def test_before_the_first_plan_there_are_no_rows(book, analyst, day):
    response = ask(analyst, day)
    assert (response.status_code, response.json()) == (200, [])


def test_the_same_month_of_another_year_does_not_count(analyst):
    builders.credit("2020-06-10", "1")
    builders.credit("2021-06-10", "2")
    builders.plan("2020-06", ISSUANCE, "10")
    builders.plan("2021-06", ISSUANCE, "10")
    assert figures(ask(analyst, "2021-06-30")) == [
        ["2020-06-01", "видача", 1, 10],
        ["2021-06-01", "видача", 2, 20],
    ]


def test_february_ends_on_the_29th_in_a_leap_year(analyst):
    builders.credit("2020-02-29", "1")
    builders.credit("2020-03-01", "2")
    builders.plan("2020-02", ISSUANCE, "4")
    assert figures(ask(analyst, "2020-03-31")) == [["2020-02-01", "видача", 1, 25]]


def test_a_category_has_the_name_from_the_dictionary(book, analyst):
    Dictionary.objects.filter(pk=ISSUANCE).update(name="Ausgabe")
    response = analyst.get("/plans_performance?check_date=2021-06-15", headers={"Accept-Language": "uk"})
    assert [row[1] for row in figures(response)] == ["Ausgabe", "збір"]


def test_a_new_name_does_not_change_the_order(book, analyst):
    Dictionary.objects.filter(pk=ISSUANCE).update(name="яяя")
    assert [row[1] for row in figures(ask(analyst, "2021-06-15"))] == ["яяя", "збір"]


def test_an_amount_of_twelve_digits_is_exact(analyst):
    builders.credit("2021-06-01", "999999999999.98")
    builders.credit("2021-06-01", "0.01")
    builders.plan("2021-06", ISSUANCE, "999999999999.99")
    assert figures(ask(analyst, "2021-06-30")) == [["2021-06-01", "видача", 999999999999.99, 100]]


def test_the_number_of_queries_does_not_grow_with_the_plans(book, django_assert_num_queries):
    for month in range(1, 13):
        builders.plan(f"2020-{month:02}", ISSUANCE, "1")
    with django_assert_num_queries(3):
        assert len(compute(date(2021, 6, 15))) == 14


def test_before_the_first_plan_the_report_takes_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert compute(date(2021, 5, 31)) == []


def test_both_addresses_return_the_same(book, analyst):
    answer = ask(analyst, "2021-06-15").content
    assert answer == analyst.get("/api/v1/plans_performance?check_date=2021-06-15").content


# The page


def page(client, day):
    """Returns the page with plain spaces."""
    html = unescape(client.get("/reports/plans-performance/", {"check_date": day}).content.decode())
    return html.replace("\u00a0", " ").replace("\u202f", " ")


def line_of_forecast(html):
    return re.search(r"<p>Collection in (.*)</p>", html)


def test_the_page_shows_even_and_usual_pace_beside_each_other(analyst):
    steady_book()
    html = page(analyst, "2021-11-10")
    table = html[html.index("<table>") : html.index("</table>")]
    assert re.findall(r"<th colspan[^>]*>(.*?)</th>", table) == [
        "Evenly over the days",
        "As usual by this day",
    ]
    assert [", ".join(re.findall(r"<td[^>]*>([^<]+)</td>", row)) for row in table.split("<tr>")[3:]] == [
        "900.00, 111.11 %, -5.00, 20, 300.00, 333.33 %, 3 000.00, 100.00 %, 900.00, 111.11 %, 1 000.00",
        "1 200.00, 41.67 %, 35.00, 20, 400.00, 125.00 %, 1 500.00, 50.00 %, 600.00, 83.33 %, 1 000.00",
    ]
    assert "there is no usual course" not in html


def test_the_page_says_where_there_is_no_usual_course(book, analyst):
    assert "Where one of them has no sum, there is no usual course." in page(analyst, "2021-06-15")


def test_the_page_shows_the_forecast_of_collection_with_its_band(analyst):
    steady_book()
    # 500 + half of 900; × 2/3 and × 5/4.
    assert line_of_forecast(page(analyst, "2021-11-10"))[1] == (
        "November 2021, forecast by buckets: "
        '<a href="/reports/forecast/?check_date=2021-11-10">950.00 UAH</a>; '
        "by its past errors between 633.33 and 1 187.50 UAH."
    )


def test_a_forecast_without_a_band_stands_alone(analyst):
    steady_book()
    assert line_of_forecast(page(analyst, "2021-08-31"))[1] == (
        "August 2021, forecast by buckets: "
        '<a href="/reports/forecast/?check_date=2021-08-31">1 500.00 UAH</a>.'
    )


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2021-02-10", "the collection in February 2021: too few months to learn from."),
        ("2021-12-31", "the collection in December 2021: no plan of issuance."),
    ],
)
def test_the_page_says_why_there_is_no_forecast(analyst, day, said):
    steady_book()
    builders.plan("2021-02", ISSUANCE, 1000)
    builders.plan("2021-12", COLLECTION, 1000)
    assert f"<p>There is no forecast by buckets of {said}</p>" in page(analyst, day)


def test_the_page_shows_a_category_in_english_unless_staff_have_named_it(book, analyst):
    html = page(analyst, "2021-07-15")
    assert {*re.findall(r'<td class="text">(.*?)</td>', html)} == {"issuance", "collection"}
    assert re.findall(r"<dt>(.*?) <span>", html) == ["issuance", "collection"]
    Dictionary.objects.filter(pk=ISSUANCE).update(name="Ausgabe")
    html = page(analyst, "2021-07-15")
    assert {*re.findall(r'<td class="text">(.*?)</td>', html)} == {"Ausgabe", "collection"}
    assert re.findall(r"<dt>(.*?) <span>", html) == ["Ausgabe", "collection"]


def test_a_month_without_plans_has_no_line_of_its_forecast(analyst):
    steady_book()
    assert "forecast by buckets" not in page(analyst, "2021-12-01")


def test_the_page_draws_the_performance_of_each_category_by_month(analyst):
    builders.plan("2021-04", Dictionary.ISSUANCE, 200)
    builders.plan("2021-06", Dictionary.ISSUANCE, 400)
    builders.plan("2021-06", Dictionary.COLLECTION, 0)
    builders.credit("2021-04-10", 150)
    context = analyst.get("/reports/plans-performance/", {"check_date": "2021-06-15"}).context
    assert context["months"] == ["2021-04", "2021-06"]
    assert [(curve.name, curve.values) for curve in context["curves"]] == [
        ("issuance", [75, 0]),
        ("collection", [None, None]),  # there is no plan of April, and a plan of 0 has no percentage
    ]


def test_the_page_draws_a_bullet_for_each_plan_of_the_month(analyst):
    builders.plan("2021-06", Dictionary.ISSUANCE, 400)
    builders.credit("2021-06-10", 150)
    html = analyst.get("/reports/plans-performance/", {"check_date": "2021-06-15"}).content.decode()
    assert "<title>150.00 of a plan of 400.00</title>" in html  # there is no usual course yet
    july = analyst.get("/reports/plans-performance/", {"check_date": "2021-07-15"}).content.decode()
    assert 'class="bullet"' not in july
