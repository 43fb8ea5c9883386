"""Constraints of the database, validation, and the indexes that reports use."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import CheckConstraint, ProtectedError
from django.test.utils import CaptureQueriesContext

from credits.models import Borrower, Credit, Dictionary, History, Payment, Rate
from plans.models import Plan

from . import builders

pytestmark = pytest.mark.django_db

DAY = date(2021, 6, 15)
BEFORE = date(2021, 6, 14)


def credit(**fields):
    defaults = {"issuance_date": DAY, "return_date": DAY, "body": Decimal(0), "percent": Decimal(0)}
    if "borrower_id" not in fields:
        fields["borrower"] = builders.borrower()
    return Credit(**defaults | fields)


def payment(**fields):
    defaults = {"payment_date": DAY, "type_id": Dictionary.BODY, "sum": Decimal("0.01")}
    if "credit_id" not in fields:
        fields["credit"] = builders.credit()
    return Payment(**defaults | fields)


def plan(**fields):
    return Plan(
        **{"period": date(2021, 6, 1), "category_id": Dictionary.ISSUANCE, "sum": Decimal(0)} | fields
    )


def rate(**fields):
    return Rate(**{"name": "another", "percent": Decimal(0)} | fields)


@pytest.mark.parametrize(
    ("day", "state"),
    [
        ("2021-06-14", ""),
        ("2021-06-15", Credit.IN_TERM),
        ("2021-06-20", Credit.IN_TERM),
        ("2021-06-21", Credit.OVERDUE),
        ("2021-06-29", Credit.OVERDUE),
        ("2021-06-30", Credit.CLOSED),
    ],
)
def test_a_credit_has_exactly_one_state_from_its_issuance_on(day, state):
    """The property of a row and the filter of the QuerySet agree."""
    row = builders.credit("2021-06-15", return_date=date(2021, 6, 20), actual_return_date=date(2021, 6, 30))
    on = date.fromisoformat(day)
    found = [each for each in Credit.STATES if Credit.objects.in_state([each], on).exists()]
    is_open = [Credit.OPEN] if state in (Credit.IN_TERM, Credit.OVERDUE) else []
    assert (row.state(on), found) == (state, [*is_open, state] if state else [])


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("2021", 2),
        ("2021-", 2),
        ("2021-06", 1),
        ("2021-6", 1),
        ("2021-13", 0),
        ("2021-06-01", 1),
        ("01.12.2021", 1),
        ("2021-06-02", 0),
        ("1500", 1),
        ("1 500,00", 1),
        ("1500.5", 0),
        ("0000", 0),
        ("²²²²", 0),
        ("2021-²", 0),
        ("٢٠٢١", 0),
        ("202106", 0),
        ("plan", 0),
    ],
)
def test_plans_are_found_by_year_month_and_sum(words, count):
    builders.plan("2021-06", Dictionary.ISSUANCE, 1500)
    builders.plan("2021-12", Dictionary.ISSUANCE, 1)
    assert Plan.objects.search(words).count() == count


@pytest.mark.parametrize(
    ("words", "lent", "paid"),
    [
        ("1500", ["big", "1500"], ["1500", "of 1500"]),
        ("1500.50", [], ["half"]),
        ("1500,5", [], ["half"]),
        ("1 500,50", [], ["half"]),
        ("70", ["big"], []),
        ("2021-06-15", ["big"], ["half"]),
        ("15.06.2021", ["big"], ["half"]),
        ("15.6.2021", ["big"], ["half"]),
        ("2021-06-20", ["big"], []),
        ("2021-09-09", ["1500"], []),
        ("06/15/2021", [], []),
        ("NN", ["big"], ["half", "1500"]),
        ("1500.505", [], []),
        ("-1500", [], []),
    ],
)
def test_credits_and_payments_are_found_by_id_login_amount_and_day(words, lent, paid):
    names: dict[Any, str] = {}
    anna = builders.borrower(login="anna")
    big = builders.credit("2021-06-15", 1500, borrower=anna, percent=70, return_date=date(2021, 6, 20))
    other = builders.credit("2021-07-01", 1, pk=1500, actual_return_date=date(2021, 9, 9))
    names |= {big: "big", other: "1500"}
    names[builders.payment(big, "2021-06-15", "1500.50")] = "half"
    names[builders.payment(big, "2021-06-16", 1500)] = "1500"
    names[builders.payment(other, "2021-07-05", 1)] = "of 1500"
    assert sorted(names[row] for row in Credit.objects.search(words)) == sorted(lent)
    assert sorted(names[row] for row in Payment.objects.search(words)) == sorted(paid)


@pytest.mark.parametrize("words", ["²²²²", "٣", "9" * 30, "-1"])
@pytest.mark.parametrize("model", [Borrower, Credit, Payment, Dictionary])
def test_search_words_that_are_not_an_id_are_text(model, words):
    assert list(model.objects.search(words)) == []


USUAL = {
    Borrower: {"login": "anna", "registration_date": DAY},
    Credit: {"issuance_date": DAY, "return_date": DAY, "body": Decimal(1000), "percent": Decimal(0)},
    Payment: {"payment_date": DAY, "type_id": Dictionary.BODY, "sum": Decimal(1000)},
    Plan: {"period": date(2021, 6, 1), "category_id": Dictionary.ISSUANCE, "sum": Decimal(0)},
}

CHECKS = [
    ("credit_body_not_negative", credit, {"body": Decimal("-0.01")}),
    ("credit_percent_not_negative", credit, {"percent": Decimal("-0.01")}),
    ("credit_due_after_issuance", credit, {"return_date": BEFORE}),
    ("credit_returned_after_issuance", credit, {"actual_return_date": BEFORE}),
    ("payment_sum_positive", payment, {"sum": Decimal("0.00")}),
    ("payment_sum_positive", payment, {"sum": Decimal("-0.01")}),
    ("payment_for_body_or_interest", payment, {"type_id": Dictionary.ISSUANCE}),
    ("plan_period_is_first_of_month", plan, {"period": date(2021, 6, 2)}),
    ("plan_period_is_first_of_month", plan, {"period": date(2021, 6, 30)}),
    ("plan_sum_not_negative", plan, {"sum": Decimal("-0.01")}),
    ("plan_for_issuance_or_collection", plan, {"category_id": Dictionary.BODY}),
    ("rate_not_negative", rate, {"percent": Decimal("-0.01")}),
]
UNIQUE = {"borrower_login_unique", "plan_one_per_month_and_category"}


def test_every_constraint_of_the_book_is_tested_here():
    models = [*apps.get_app_config("credits").get_models(), *apps.get_app_config("plans").get_models()]
    constraints = [constraint for model in models for constraint in model._meta.constraints]
    checks = {c.name for c in constraints if isinstance(c, CheckConstraint)}
    assert checks == {name for name, _, _ in CHECKS}
    assert {c.name for c in constraints} - checks == UNIQUE


@pytest.mark.parametrize("build", [credit, payment, plan, rate])
def test_the_database_accepts_minimal_values(build):
    build().save()


@pytest.mark.parametrize(("name", "build", "wrong"), CHECKS)
def test_full_clean_knows_each_check_without_a_query(name, build, wrong):
    with CaptureQueriesContext(connection) as queries, pytest.raises(ValidationError):
        build(**wrong).full_clean()
    assert not [query["sql"] for query in queries if "_check" in query["sql"]]


@pytest.mark.parametrize(("name", "build", "wrong"), CHECKS)
def test_the_database_refuses_invalid_new_rows(name, build, wrong):
    row = build(**wrong)
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        type(row).objects.bulk_create([row])


@pytest.mark.parametrize(("name", "build", "wrong"), CHECKS)
def test_the_database_refuses_invalid_changes(name, build, wrong):
    row = build()
    row.save()
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(**wrong)


def duplicate_of(name, columns):
    """Matches the database's error of a duplicate. SQLite names the columns instead of the constraint."""
    return f"UNIQUE constraint failed: {columns}$" if connection.vendor == "sqlite" else name


def test_the_database_refuses_a_duplicate_login():
    builders.borrower(login="anna")
    message = duplicate_of("borrower_login_unique", "credits_borrower.login")
    with pytest.raises(IntegrityError, match=message), transaction.atomic():
        Borrower.objects.bulk_create([Borrower(login="anna", registration_date=DAY)])


def test_logins_that_differ_in_case_or_accent_are_different():
    logins = ["anna", "Anna", "ANNA", "ánna", "їжак", "іжак", "Їжак"]
    Borrower.objects.bulk_create(Borrower(login=login, registration_date=DAY) for login in logins)
    for login in logins:
        assert Borrower.objects.get(login=login).login == login


def test_the_database_refuses_a_second_plan_for_a_month_and_category():
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    builders.plan("2021-06", Dictionary.COLLECTION, 1)
    builders.plan("2021-07", Dictionary.ISSUANCE, 1)
    message = duplicate_of("plan_one_per_month_and_category", "plans_plan.period, plans_plan.category_id")
    with pytest.raises(IntegrityError, match=message), transaction.atomic():
        Plan.objects.bulk_create([plan(sum=Decimal(2))])


@pytest.mark.parametrize(
    ("build", "unknown"),
    [
        (credit, {"borrower_id": 404}),
        (payment, {"credit_id": 404}),
    ],
)
def test_the_database_refuses_rows_without_their_parent(committed, build, unknown):
    row = build(**unknown)
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        type(row).objects.bulk_create([row])
    assert not type(row).objects.exists()


@pytest.mark.parametrize("build", [payment, plan])
def test_the_database_refuses_kinds_missing_from_the_dictionary(committed, build):
    row = build()
    Dictionary.objects.all().delete()
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        type(row).objects.bulk_create([row])
    assert not type(row).objects.exists()


def test_referenced_rows_cannot_be_deleted():
    paid = builders.payment(builders.credit(), "2021-06-15", 1)
    planned = builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    for row in (paid.credit.borrower, paid.credit, paid.type, planned.category):
        with pytest.raises(ProtectedError):
            row.delete()
        with pytest.raises(ProtectedError):
            type(row).objects.filter(pk=row.pk).delete()
    assert (Borrower.objects.count(), Credit.objects.count(), Payment.objects.count()) == (1, 1, 1)


def test_unreferenced_rows_can_be_deleted():
    paid = builders.payment(builders.credit(), "2021-06-15", 1)
    for row in (paid, paid.credit, paid.credit.borrower):
        row.delete()
    assert not Borrower.objects.exists()


@pytest.mark.parametrize(
    ("build", "wrong", "messages"),
    [
        (credit, {"body": Decimal("-0.01")}, {"body": "Ensure this value is greater than or equal to 0.00."}),
        (
            credit,
            {"percent": Decimal("-0.01")},
            {"percent": "Ensure this value is greater than or equal to 0.00."},
        ),
        (
            credit,
            {"return_date": BEFORE},
            {"return_date": "Expected the day of issuance, 2021-06-15, or later."},
        ),
        (
            credit,
            {"actual_return_date": BEFORE},
            {"actual_return_date": "Expected the day of issuance, 2021-06-15, or later."},
        ),
        (
            credit,
            {"body": Decimal("1000000000000")},
            {"body": "Ensure that there are no more than 12 digits before the decimal point."},
        ),
        (payment, {"sum": Decimal(0)}, {"sum": "Ensure this value is greater than or equal to 0.01."}),
        (
            payment,
            {"type_id": Dictionary.COLLECTION},
            {"type": "dictionary entry instance with id 4 is not a valid choice."},
        ),
        (plan, {"period": date(2021, 6, 2)}, {"period": "Expected the first day of a month."}),
        (plan, {"sum": Decimal(-1)}, {"sum": "Ensure this value is greater than or equal to 0.00."}),
        (
            plan,
            {"category_id": Dictionary.INTEREST},
            {"category": "dictionary entry instance with id 2 is not a valid choice."},
        ),
    ],
)
def test_validation_names_the_fault(build, wrong, messages):
    with pytest.raises(ValidationError) as caught:
        build(**wrong).full_clean()
    assert caught.value.message_dict == {field: [message] for field, message in messages.items()}


def test_validation_reports_duplicates():
    builders.borrower(login="anna")
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    with pytest.raises(ValidationError) as caught:
        Borrower(login="anna", registration_date=DAY).full_clean()
    assert caught.value.message_dict == {"login": ["Borrower with this Login already exists."]}
    with pytest.raises(ValidationError) as caught:
        plan().full_clean()
    assert caught.value.message_dict == {"period": ["There is a plan for this month and category already."]}


def test_validation_accepts_valid_rows():
    builders.borrower(login="anna")
    Borrower(login="Anna", registration_date=DAY).full_clean()
    for row in (credit(), credit(actual_return_date=DAY), payment(), plan()):
        row.full_clean()


TODAY = date(2021, 6, 20)
YEARS = "is more than 5 years ahead."


@pytest.mark.parametrize(
    ("model", "values", "doubts"),
    [
        (
            Borrower,
            {"registration_date": date(2021, 6, 21)},
            {"registration_date": "2021-06-21 is still to come."},
        ),
        (
            Borrower,
            {"registration_date": date(1999, 12, 31)},
            {"registration_date": "1999-12-31 is before 2000."},
        ),
        (Credit, {"issuance_date": date(2021, 6, 21)}, {"issuance_date": "2021-06-21 is still to come."}),
        (Credit, {"return_date": date(2027, 1, 1)}, {"return_date": f"2027-01-01 {YEARS}"}),
        (
            Credit,
            {"actual_return_date": date(2202, 1, 1)},
            {"actual_return_date": "2202-01-01 is still to come."},
        ),
        (
            Credit,
            {"body": Decimal(1_000_000)},
            {"body": "1\u00a0000\u00a0000.00 is unusually high: 1\u00a0000\u00a0000.00 or more."},
        ),
        (
            Credit,
            {"percent": Decimal("20000.01")},
            {"percent": "20\u00a0000.01 is more than 20 times the body, 1\u00a0000.00."},
        ),
        (
            Payment,
            {"sum": Decimal(999_999_999), "payment_date": date(2202, 6, 1)},
            {
                "payment_date": "2202-06-01 is still to come.",
                "sum": "999\u00a0999\u00a0999.00 is unusually high: 1\u00a0000\u00a0000.00 or more.",
            },
        ),
        (
            Plan,
            {"period": date(2027, 1, 1), "sum": Decimal(100_000_000)},
            {
                "period": f"2027-01-01 {YEARS}",
                "sum": "100\u00a0000\u00a0000.00 is unusually high: 100\u00a0000\u00a0000.00 or more.",
            },
        ),
    ],
)
def test_doubtful_values_are_reported(model, values, doubts, django_assert_num_queries):
    with django_assert_num_queries(0):
        told = dict(model(**USUAL[model] | values).doubts(TODAY))
    assert {field: str(text) for field, text in told.items()} == doubts


MOST = {
    Borrower: [{"registration_date": TODAY}, {"registration_date": date(2000, 1, 1)}],
    Credit: [
        {"issuance_date": TODAY, "return_date": date(2026, 12, 31), "actual_return_date": TODAY},
        {"body": Decimal("999999.99"), "percent": Decimal("999999.99")},
        {"body": Decimal(100), "percent": Decimal(2000)},
        {"body": Decimal(0), "percent": Decimal(0)},
    ],
    Payment: [{"payment_date": TODAY, "sum": Decimal("999999.99")}],
    Plan: [{"period": date(2026, 12, 1), "sum": Decimal("99999999.99")}],
}


@pytest.mark.parametrize(("model", "values"), [(model, row) for model, rows in MOST.items() for row in rows])
def test_ordinary_values_are_not_doubtful(model, values):
    assert not list(model(**USUAL[model] | values).doubts(TODAY))


@pytest.fixture
def two_years_of_credits():
    borrower = builders.borrower()
    days = [date(2020 + month // 12, month % 12 + 1, day) for month in range(24) for day in range(1, 29)]
    Credit.objects.bulk_create(
        Credit(borrower=borrower, issuance_date=day, return_date=day, body=1, percent=0) for day in days
    )
    Payment.objects.bulk_create(
        Payment(credit=issued, payment_date=issued.issuance_date, type_id=kind, sum=1)
        for issued in Credit.objects.all()
        for kind in (Dictionary.BODY, Dictionary.INTEREST)
    )
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    builders.plan("2021-06", Dictionary.COLLECTION, 1)


def steps(sql):
    """Returns the database's plan of a query."""
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN FORMAT=TRADITIONAL"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}")
        return [" ".join(map(str, row)) for row in cursor.fetchall()]


def range_of(index):
    """Matches a step that reads a range of the index without reading the table."""
    if connection.vendor == "sqlite":
        return rf"SEARCH \w+ USING COVERING INDEX {index} \("
    return rf" (range|ref) .*\b{index}\b.*Using index(;|$)"


def captured_query(client, address, table):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    (sql,) = (
        query["sql"] for query in captured if f"FROM {connection.ops.quote_name(table)}" in query["sql"]
    )
    return sql


@pytest.mark.parametrize("model", [Credit, Payment])
def test_totals_of_a_day_are_computed_from_an_index_alone(two_years_of_credits, model):
    with CaptureQueriesContext(connection) as captured:
        model.objects.last().delete() if model is Payment else builders.credit("2021-06-05", "10")
    of_days = re.compile(rf"{model.objects.all().day}. IN .*GROUP BY")
    (sql,) = (query["sql"] for query in captured if of_days.search(query["sql"]))
    (first, *_) = steps(sql)
    assert re.search(range_of({Credit: "credit_in_order", Payment: "payment_in_order"}[model]), first)


@pytest.mark.parametrize(
    "address",
    [
        "/year_performance?year=2021",
        "/plans_performance?check_date=2021-06-15",
        "/api/v1/month?month=2021-06",
        "/api/v1/pace?check_date=2021-06-15",
        "/api/v1/year_on_year?year=2021",
        "/api/v1/overview",
    ],
)
def test_reports_over_time_read_totals_and_no_credits_or_payments(two_years_of_credits, analyst, address):
    with CaptureQueriesContext(connection) as captured:
        assert analyst.get(address).status_code == 200
    rows = [
        query["sql"] for query in captured if re.search(r"FROM .credits_(credit|payment)\b", query["sql"])
    ]
    assert rows == []


def test_payments_for_a_borrower_are_read_from_an_index_alone(two_years_of_credits, analyst):
    address = f"/user_credits/{Borrower.objects.get().pk}"
    _, payments, *_ = steps(captured_query(analyst, address, "credits_credit"))
    assert re.search(range_of("payment_of_credit"), payments)


def test_a_payment_of_no_credit_is_refused():
    with pytest.raises(ValidationError) as error:
        payment(credit_id=None).full_clean()
    assert set(error.value.message_dict) == {"credit"}


def test_the_history_of_a_credit_is_its_borrowers_on_the_day_of_issuance():
    """The first credit is due on 15 June 2021, so it is late before 16 July: 15 June + 30 days is 15 July."""
    anna = builders.borrower()
    first = builders.credit("2021-06-01", borrower=anna)
    same_day = builders.credit("2021-06-01", borrower=anna)
    on_time = builders.credit("2021-07-14", borrower=anna)
    late = builders.credit("2021-07-15", borrower=anna)
    other = builders.credit("2021-07-15")
    found = {row.pk: row.history for row in Credit.objects.with_history()}
    assert found == {
        first.pk: History.NEW,
        same_day.pk: History.NEW,
        on_time.pk: History.RETURNING,
        late.pk: History.LATE_BEFORE,
        other.pk: History.NEW,
    }


@pytest.mark.parametrize(
    ("returned", "history"), [("2021-07-15", History.RETURNING), ("2021-07-16", History.LATE_BEFORE)]
)
def test_a_credit_returned_thirty_days_after_it_was_due_is_not_late_before(returned, history):
    anna = builders.borrower()
    builders.credit("2021-06-01", borrower=anna, actual_return_date=date.fromisoformat(returned))
    later = builders.credit("2021-08-01", borrower=anna)
    assert Credit.objects.with_history().get(pk=later.pk).history == history


def test_rates_of_provisions_must_be_percentages():
    for percent in (None, Decimal("100.01")):
        with pytest.raises(ValidationError) as error:
            Rate(name="31 to 60", percent=percent).clean()
        assert error.value.message_dict == {"percent": ["Expected a percentage from 0 to 100."]}
    Rate(name=Rate.DAILY_INTEREST, percent=None).clean()
    Rate(name=Rate.DAILY_INTEREST, percent=Decimal("100.01")).clean()
