import csv
import hashlib
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from django.core.management import CommandError, call_command

from fintrack.management.commands import demo_data

UNTIL = date(2022, 7, 31)
FILES = ("users.csv", "credits.csv", "payments.csv", "dictionary.csv", "plans.csv")
DIGEST = "f035ac273281dbdaaa67f1b2d56b75eb2f4b0782cf70136f9ec3ca81f32abed7"


class Book:
    """A book read from files: amounts are Decimal, days are date, an open credit is returned on None."""

    def __init__(self, directory: Path) -> None:
        self.users, self.credits, self.payments, self.dictionary, self.plans = (
            rows(directory / name) for name in FILES
        )
        self.credit = {credit["id"]: credit for credit in self.credits}
        self.open = [credit for credit in self.credits if not credit["actual_return_date"]]

    def paid(self, type_id: str) -> dict[str, Decimal]:
        """Returns the sum of the payments of a type for each credit."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for payment in self.payments:
            if payment["type_id"] == type_id:
                sums[payment["credit_id"]] += payment["sum"]
        return sums

    def actuals(self) -> Counter:
        """Returns the sums by (month, category)."""
        sums = Counter()
        for credit in self.credits:
            sums[credit["issuance_date"].replace(day=1), "3"] += credit["body"]
        for payment in self.payments:
            sums[payment["payment_date"].replace(day=1), "4"] += payment["sum"]
        return sums


def rows(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: cell(name, text) for name, text in row.items()}
            for row in csv.DictReader(file, delimiter="\t")
        ]


def cell(name: str, text: str) -> str | Decimal | date | None:
    if name in ("body", "percent", "sum"):
        return Decimal(text)
    if name == "period" or name.endswith("_date"):
        return datetime.strptime(text, "%d.%m.%Y").date() if text else None  # noqa: DTZ007
    return text


def make(directory: Path, *arguments: object) -> Path:
    call_command("demo_data", str(directory), *map(str, arguments), verbosity=0)
    return directory


def digest(directory: Path) -> str:
    return hashlib.sha256(b"".join((directory / name).read_bytes() for name in FILES)).hexdigest()


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of the default size."""
    return Book(make(tmp_path_factory.mktemp("book"), "--until", UNTIL))


def test_same_arguments_generate_the_same_bytes(tmp_path):
    arguments = ("--credits", 60, "--until", UNTIL)

    assert digest(make(tmp_path / "a", *arguments)) == digest(make(tmp_path / "b", "--seed", 1, *arguments))


def test_every_version_of_python_generates_the_same_bytes(tmp_path):
    """The digest changes only if the generator changes."""
    assert digest(make(tmp_path, "--credits", 60, "--until", UNTIL)) == DIGEST


@pytest.mark.parametrize("other", [("--seed", 2), ("--credits", 61), ("--until", "2022-07-30")])
def test_other_arguments_generate_another_book(tmp_path, other):
    arguments = ("--credits", 60, "--until", UNTIL, "--seed", 1)

    assert digest(make(tmp_path / "a", *arguments)) != digest(make(tmp_path / "b", *arguments, *other))


def test_files_are_tab_separated_with_the_columns_of_the_source(tmp_path):
    make(tmp_path, "--credits", 3, "--until", UNTIL)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    header = {name: (tmp_path / name).read_bytes().split(b"\r\n")[0].decode() for name in FILES}
    assert header == {
        "users.csv": "id\tlogin\tregistration_date",
        "credits.csv": "id\tuser_id\tissuance_date\treturn_date\tactual_return_date\tbody\tpercent",
        "payments.csv": "id\tcredit_id\tpayment_date\ttype_id\tsum",
        "dictionary.csv": "id\tname",
        "plans.csv": "id\tperiod\tsum\tcategory_id",
    }


def test_dictionary_names_the_four_kinds(book):
    assert [(entry["id"], entry["name"]) for entry in book.dictionary] == [
        ("1", "тіло"),
        ("2", "відсотки"),
        ("3", "видача"),
        ("4", "збір"),
    ]


def test_default_size(book):
    assert len(book.users) == 4000
    assert len(book.credits) == 4000
    assert 44_000 <= len(book.payments) <= 50_000
    assert len(book.plans) == 62


@pytest.mark.parametrize("table", ["users", "credits", "payments", "dictionary", "plans"])
def test_ids_count_from_1(book, table):
    ids = [row["id"] for row in getattr(book, table)]

    assert ids == [str(number) for number in range(1, len(ids) + 1)]


def test_rows_are_in_chronological_order(book):
    for table, column in (
        (book.users, "registration_date"),
        (book.credits, "issuance_date"),
        (book.payments, "payment_date"),
        (book.plans, "period"),
    ):
        days = [row[column] for row in table]
        assert days == sorted(days)


@pytest.mark.parametrize("credits_", [1, 2, 40])
@pytest.mark.parametrize("until", ["2022-07-31", "2024-02-29", "2025-01-01", "2025-12-31"])
def test_last_day_has_a_payment_and_nothing_follows(tmp_path, credits_, until):
    book = Book(make(tmp_path, "--credits", credits_, "--until", until))
    last = date.fromisoformat(until)

    assert len(book.credits) == credits_
    assert book.payments[-1]["payment_date"] == last
    assert book.credits[-1]["issuance_date"] <= last
    assert book.users[-1]["registration_date"] <= last
    assert all(c["actual_return_date"] is None or c["actual_return_date"] <= last for c in book.credits)
    assert book.plans[-1]["period"] == last.replace(day=1)


def test_book_ends_today_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_data.timezone, "localdate", lambda: date(2023, 3, 5))

    assert Book(make(tmp_path, "--credits", 5)).payments[-1]["payment_date"] == date(2023, 3, 5)


def test_every_foreign_key_exists(book):
    users = {user["id"] for user in book.users}
    kinds = {entry["id"] for entry in book.dictionary}

    assert {credit["user_id"] for credit in book.credits} <= users
    assert {payment["credit_id"] for payment in book.payments} <= book.credit.keys()
    assert {payment["type_id"] for payment in book.payments} == {"1", "2"} <= kinds
    assert {plan["category_id"] for plan in book.plans} == {"3", "4"} <= kinds


def test_borrower_registers_no_later_than_the_first_credit(book):
    registered = {user["id"]: user["registration_date"] for user in book.users}

    assert all(registered[credit["user_id"]] <= credit["issuance_date"] for credit in book.credits)


def test_six_of_ten_borrowers_have_a_credit_and_some_have_several(book):
    credits_of = Counter(credit["user_id"] for credit in book.credits)

    assert 0.60 <= len(credits_of) / len(book.users) <= 0.67
    assert max(credits_of.values()) >= 4


def test_logins_are_unique_words(book):
    logins = [user["login"] for user in book.users]

    assert len(set(logins)) == len(logins)
    assert all(login.isascii() and login.isalpha() and login.islower() for login in logins)


def test_logins_get_a_number_when_the_words_run_out():
    words = len(demo_data.FIRST_WORDS) * len(demo_data.SECOND_WORDS)
    logins = list(islice(demo_data.logins(Random(1)), 3 * words))

    assert len(set(logins)) == 3 * words
    assert logins[words] == f"{logins[0]}2"
    assert logins[2 * words] == f"{logins[0]}3"


def test_deadline_is_14_days_after_issuance(book):
    assert {c["return_date"] - c["issuance_date"] for c in book.credits} == {timedelta(days=14)}


def test_body_is_500_to_5000_in_steps_of_500(book):
    assert {credit["body"] for credit in book.credits} == {Decimal(body) for body in range(500, 5001, 500)}


def test_interest_is_3_percent_a_day_for_the_term_then_half_of_it(book):
    for credit in book.credits:
        late = ((credit["actual_return_date"] or UNTIL) - credit["return_date"]).days
        assert credit["percent"] == credit["body"] * (42 + Decimal("1.5") * max(0, late)) / 100


def test_payments_are_made_between_issuance_and_closing(book):
    for payment in book.payments:
        credit = book.credit[payment["credit_id"]]
        closed = credit["actual_return_date"] or UNTIL
        assert credit["issuance_date"] <= payment["payment_date"] <= closed


def test_closed_credit_is_paid_exactly_and_on_its_last_day(book):
    body, interest = book.paid("1"), book.paid("2")
    last_paid = {payment["credit_id"]: payment["payment_date"] for payment in book.payments}

    for credit in book.credits:
        if credit["actual_return_date"]:
            assert body[credit["id"]] == credit["body"]
            assert interest[credit["id"]] == credit["percent"]
            assert last_paid[credit["id"]] == credit["actual_return_date"]


def test_open_credit_still_owes(book):
    body, interest = book.paid("1"), book.paid("2")

    assert all(body[credit["id"]] <= credit["body"] for credit in book.open)
    assert all(interest[credit["id"]] < credit["percent"] for credit in book.open)


def test_amounts_are_positive_with_2_decimals_at_most(book):
    amounts = [credit[name] for credit in book.credits for name in ("body", "percent")]
    amounts += [row["sum"] for row in book.payments + book.plans]

    assert min(amounts) > 0
    assert all(amount.as_tuple().exponent >= -2 for amount in amounts)


def test_a_third_of_the_credits_is_open_including_old_ones(book):
    recent = [credit for credit in book.open if credit["issuance_date"] > UNTIL - timedelta(days=180)]

    assert 0.28 <= len(book.open) / len(book.credits) <= 0.38
    assert 0.5 < len(recent) / len(book.open) < 0.9
    assert {credit["issuance_date"].year for credit in book.open} == {2020, 2021, 2022}


def test_lending_peaks_in_november_drops_in_january_and_grows_yearly(book):
    count = Counter(credit["issuance_date"].replace(day=1) for credit in book.credits)

    for year in (2020, 2021):
        months = sorted((count[date(year, month, 1)], month) for month in range(1, 13))
        assert [month for _, month in months[-2:]] == [10, 11]
        assert count[date(year + 1, 1, 1)] < count[date(year, 12, 1)] < count[date(year, 11, 1)]
        assert sum(count[date(year + 1, m, 1)] for m in range(1, 8)) > 2 * sum(
            count[date(year, m, 1)] for m in range(1, 8)
        )


def test_credits_are_returned_as_late_as_in_a_real_book(book):
    """Of the credits due long enough ago: 87% not returned by the deadline, 69% not 30 days later."""
    for grace, expected in ((0, 0.87), (30, 0.69)):
        due = [c for c in book.credits if c["return_date"] + timedelta(days=grace) <= UNTIL]
        late = [
            c
            for c in due
            if not c["actual_return_date"]
            or c["actual_return_date"] > c["return_date"] + timedelta(days=grace)
        ]
        assert len(late) / len(due) == pytest.approx(expected, abs=0.02)


def test_body_is_repaid_as_fast_as_in_a_real_book(book):
    """31, 60, 73 and 79% of a month's principal is repaid by the end of month 0, 1, 2 and 3 after it."""

    def month(day: date) -> int:
        return day.year * 12 + day.month

    for age, expected in enumerate((0.31, 0.60, 0.73, 0.79)):
        old = {c["id"]: c for c in book.credits if month(c["issuance_date"]) + age <= month(UNTIL)}
        paid = sum(
            payment["sum"]
            for payment in book.payments
            if payment["type_id"] == "1"
            and payment["credit_id"] in old
            and month(payment["payment_date"]) - month(old[payment["credit_id"]]["issuance_date"]) <= age
        )
        issued = sum(credit["body"] for credit in old.values())
        assert float(paid / issued) == pytest.approx(expected, abs=0.03)


def test_each_of_31_months_has_one_plan_for_each_category(book):
    months = [date(2020 + n // 12, n % 12 + 1, 1) for n in range(31)]

    assert [(plan["period"], plan["category_id"]) for plan in book.plans] == [
        (month, category) for month in months for category in ("3", "4")
    ]
    assert all(plan["sum"] % 1000 == 0 for plan in book.plans)


def test_plans_are_reached_by_70_to_135_percent(book):
    actuals = book.actuals()
    reached = [actuals[plan["period"], plan["category_id"]] / plan["sum"] for plan in book.plans]

    assert 0.70 <= min(reached) < 0.85
    assert 1.15 < max(reached) <= 1.35


def test_plan_of_an_unfinished_month_is_for_the_whole_month(tmp_path):
    book = Book(make(tmp_path, "--until", "2022-07-10"))
    actuals = book.actuals()

    for plan in book.plans[-2:]:
        assert plan["period"] == date(2022, 7, 1)
        assert 0.22 <= actuals[plan["period"], plan["category_id"]] / plan["sum"] <= 0.43


def test_directory_is_created(tmp_path):
    make(tmp_path / "new" / "deep", "--credits", 1, "--until", UNTIL)

    assert (tmp_path / "new" / "deep" / "plans.csv").exists()


@pytest.mark.parametrize("name", FILES)
def test_existing_files_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")

    with pytest.raises(CommandError, match=name):
        make(tmp_path, "--credits", 1)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(CommandError, match="Can't write"):
        make(tmp_path / "file", "--credits", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--credits", "0"), "--credits must be 1 or more"),
        (("--credits", "-5"), "--credits must be 1 or more"),
        (("--credits", "4.5"), "--credits: invalid int value: '4.5'"),
        (("--seed", "x"), "--seed: invalid int value: 'x'"),
        (("--until", "31.07.2022"), "--until must be a date such as 2022-07-31, not '31.07.2022'"),
        (("--until", "2022-02-30"), "--until must be a date such as 2022-07-31, not '2022-02-30'"),
        (("--until", ""), "--until must be a date such as 2022-07-31, not ''"),
        (("--until", "1999-12-31"), "--until must be in the years 2000 to 2099, not 1999"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(CommandError, match=message.replace(".", r"\.")):
        make(tmp_path / "book", *arguments)

    assert not (tmp_path / "book").exists()
