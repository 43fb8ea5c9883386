"""load_data: the five files are stored exactly, or all faults are reported and nothing is stored."""

import io
import os
import pty
import subprocess
import sys
import termios
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from django.core.management import CommandError, call_command

from credits.book.cells import Day
from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.management.commands.load_data import RESOURCES
from plans.models import Plan
from reports.models import DataStamp

from . import builders
from .builders import FILES

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
OPTIONAL = Day(required=False)


def load(folder, **options):
    """Runs the command and returns its output."""
    output = io.StringIO()
    call_command("load_data", folder, stdout=output, **options)
    return output.getvalue().splitlines()


def book():
    """Returns every row of the five tables, and the stamp."""
    tables = (Dictionary, Borrower, Credit, Payment, Plan)
    return [list(model.objects.order_by("pk").values()) for model in tables], DataStamp.current()


def refused(folder, **options):
    """Returns the reported faults. The command must fail and leave the book unchanged."""
    before, told = book(), io.StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("load_data", folder, stderr=told, **options)
    assert refusal.value.returncode == 1
    assert book() == before
    *faults, nothing = [*told.getvalue().splitlines(), str(refusal.value)]
    assert nothing.endswith("nothing was stored.")
    return faults, nothing


def added(stem, *lines):
    """Returns the file with lines appended."""
    return {stem: [*FILES[stem], *lines]}


def changed(stem, row, line):
    """Returns the file with one line replaced."""
    lines = list(FILES[stem])
    lines[row - 1] = line
    return {stem: lines}


def save_workbooks(folder, **changed_files):
    """Saves the five files as workbooks with real numbers and dates."""
    for stem, lines in (FILES | changed_files).items():
        book = openpyxl.Workbook()
        header, *rows = [line.split("\t") for line in lines]
        book.active.append(header)
        for cells in rows:
            book.active.append([real(name, cell) for name, cell in zip(header, cells, strict=True)])
        book.save(folder / f"{stem}.xlsx")
    return folder


def real(column, cell):
    if column in ("login", "name"):
        return cell
    if column in ("body", "percent", "sum"):
        return float(cell)
    return OPTIONAL.clean(cell) if column == "period" or column.endswith("_date") else int(cell)


@pytest.fixture
def other_book():
    """Creates rows that aren't in the files: borrower vera, her credit, a payment and a plan."""
    vera = builders.borrower(pk=900, login="vera")
    credit = builders.credit("2019-01-10", "300", pk=900, borrower=vera)
    Payment.objects.create(
        pk=900, credit=credit, payment_date=date(2019, 1, 20), type_id=1, sum=Decimal("0.10")
    )
    builders.plan("2019-01", 3, "300")


# Stored rows


@pytest.mark.parametrize("save", [builders.files, save_workbooks])
def test_every_value_of_the_files_is_stored(tmp_path, save):
    load(save(tmp_path))
    assert list(Borrower.objects.order_by("pk").values_list()) == [
        (1, "anna", date(2021, 1, 1)),
        (2, "Bohdan", date(2021, 1, 5)),
    ]
    assert list(Credit.objects.order_by("pk").values()) == [
        {
            "id": 1,
            "borrower_id": 1,
            "issuance_date": date(2021, 1, 10),
            "return_date": date(2021, 1, 24),
            "actual_return_date": date(2021, 1, 20),
            "body": Decimal("1000.00"),
            "percent": Decimal("420.00"),
        },
        {
            "id": 2,
            "borrower_id": 2,
            "issuance_date": date(2021, 1, 20),
            "return_date": date(2021, 2, 3),
            "actual_return_date": None,
            "body": Decimal("2500.00"),
            "percent": Decimal("1050.50"),
        },
    ]
    payments = Payment.objects.order_by("pk").values_list("id", "credit_id", "payment_date", "type_id", "sum")
    assert list(payments) == [
        (1, 1, date(2021, 1, 20), 1, Decimal("1000.00")),
        (2, 1, date(2021, 1, 20), 2, Decimal("420.00")),
        (3, 2, date(2021, 2, 1), 1, Decimal("0.01")),
    ]
    assert list(Dictionary.objects.order_by("pk").values_list()) == [
        (1, "тіло"),
        (2, "відсотки"),
        (3, "видача"),
        (4, "збір"),
    ]
    assert list(Plan.objects.in_order().values_list("period", "category_id", "sum")) == [
        (date(2021, 1, 1), 3, Decimal("4000.00")),
        (date(2021, 1, 1), 4, Decimal("1500.00")),
    ]


def test_the_largest_and_smallest_amounts_are_stored_exactly(tmp_path):
    load(
        builders.files(
            tmp_path,
            **changed("plans", 2, "1\t01.01.2021\t999999999999.99\t3"),
            **changed("payments", 2, "1\t1\t20.01.2021\t1\t999 999 999 999,99"),
        )
    )
    assert Plan.objects.get(category=3).sum == Decimal("999999999999.99")
    assert Payment.objects.get(pk=1).sum == Decimal("999999999999.99")
    assert Payment.objects.get(pk=3).sum == Decimal("0.01")


def test_the_first_load_reports_new_rows(tmp_path):
    assert load(builders.files(tmp_path)) == [
        "dictionary.csv: 0 new, 0 changed, 4 unchanged",
        "users.csv: 2 new, 0 changed, 0 unchanged",
        "credits.csv: 2 new, 0 changed, 0 unchanged",
        "payments.csv: 3 new, 0 changed, 0 unchanged",
        "plans.csv: 2 new, 0 changed, 0 unchanged",
    ]


@pytest.mark.parametrize("first", [builders.files, save_workbooks])
@pytest.mark.parametrize(("second", "suffix"), [(builders.files, "csv"), (save_workbooks, "xlsx")])
def test_the_same_files_again_change_nothing(tmp_path, first, second, suffix):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    load(first(tmp_path / "first"))
    before, _stamp = book()
    assert load(second(tmp_path / "second")) == [
        f"dictionary.{suffix}: 0 new, 0 changed, 4 unchanged",
        f"users.{suffix}: 0 new, 0 changed, 2 unchanged",
        f"credits.{suffix}: 0 new, 0 changed, 2 unchanged",
        f"payments.{suffix}: 0 new, 0 changed, 3 unchanged",
        f"plans.{suffix}: 0 new, 0 changed, 2 unchanged",
    ]
    after, _stamp = book()
    assert after == before


def test_changed_rows_are_stored_and_counted(tmp_path):
    load(builders.files(tmp_path))
    said = load(
        builders.files(
            tmp_path,
            **changed("dictionary", 5, "4\tзбори"),
            **changed("users", 2, "1\tanna\t31.12.2020"),
            **changed("credits", 3, "2\t2\t20.01.2021\t03.02.2021\t01.02.2021\t2500\t1050.49"),
            **changed("payments", 4, "3\t2\t01.02.2021\t1\t2500"),
            **changed("plans", 3, "2\t01.01.2021\t0\t4"),
        )
    )
    assert said == [
        "dictionary.csv: 0 new, 1 changed, 3 unchanged",
        "users.csv: 0 new, 1 changed, 1 unchanged",
        "credits.csv: 0 new, 1 changed, 1 unchanged",
        "payments.csv: 0 new, 1 changed, 2 unchanged",
        "plans.csv: 0 new, 1 changed, 1 unchanged",
    ]
    assert Dictionary.objects.get(pk=4).name == "збори"
    assert Borrower.objects.get(pk=1).registration_date == date(2020, 12, 31)
    credit = Credit.objects.get(pk=2)
    assert (credit.actual_return_date, credit.percent) == (date(2021, 2, 1), Decimal("1050.49"))
    assert Payment.objects.get(pk=3).sum == Decimal("2500.00")
    assert Plan.objects.get(category=4).sum == 0


def test_a_closed_credit_can_be_opened_again(tmp_path):
    load(builders.files(tmp_path))
    load(builders.files(tmp_path, **changed("credits", 2, "1\t1\t10.01.2021\t24.01.2021\t\t1000\t420")))
    assert Credit.objects.get(pk=1).actual_return_date is None


def test_rows_that_are_not_in_the_files_stay(tmp_path, other_book):
    load(builders.files(tmp_path))
    assert list(Borrower.objects.order_by("pk").values_list("pk", flat=True)) == [1, 2, 900]
    assert Payment.objects.get(pk=900).sum == Decimal("0.10")
    assert Plan.objects.count() == 3


def test_replace_leaves_only_the_rows_of_the_files(tmp_path, other_book):
    said = load(builders.files(tmp_path), replace=True)
    assert said == [
        "dictionary.csv: 4 new, 0 changed, 0 unchanged",
        "users.csv: 2 new, 0 changed, 0 unchanged",
        "credits.csv: 2 new, 0 changed, 0 unchanged",
        "payments.csv: 3 new, 0 changed, 0 unchanged",
        "plans.csv: 2 new, 0 changed, 0 unchanged",
    ]
    assert list(Borrower.objects.order_by("pk").values_list("pk", flat=True)) == [1, 2]
    assert Plan.objects.count() == 2


def test_replace_frees_the_ids_and_logins_of_others(tmp_path, other_book):
    files = builders.files(
        tmp_path,
        **added("users", "900\tolena\t01.01.2021", "3\tvera\t01.01.2021"),
        **added("payments", "900\t1\t20.01.2021\t1\t5"),
    )
    load(files, replace=True)
    assert Borrower.objects.get(pk=900).login == "olena"
    assert Borrower.objects.get(pk=3).login == "vera"
    assert Payment.objects.get(pk=900).credit_id == 1


def test_a_replace_with_faults_keeps_the_old_book(tmp_path, other_book):
    files = builders.files(tmp_path, **changed("plans", 3, "2\t01.01.2021\t-1\t4"))
    faults, _ = refused(files, replace=True)
    assert len(faults) == 1
    assert Borrower.objects.get().login == "vera"


def test_plans_are_matched_by_month_and_category_not_id(tmp_path):
    load(builders.files(tmp_path))
    pks = dict(Plan.objects.values_list("category", "pk"))
    said = load(
        builders.files(
            tmp_path,
            plans=[
                FILES["plans"][0],
                "2\t01.01.2021\t4000\t3",
                "1\t01.01.2021\t1600\t4",
                "77\t01.02.2021\t5\t4",
            ],
        )
    )
    assert said[-1] == "plans.csv: 1 new, 1 changed, 1 unchanged"
    january = Plan.objects.filter(period=date(2021, 1, 1))
    assert dict(january.values_list("category", "pk")) == pks
    assert dict(january.values_list("category", "sum")) == {3: Decimal("4000.00"), 4: Decimal("1600.00")}


def test_logins_and_names_differ_by_case_and_accents(tmp_path):
    load(builders.files(tmp_path, **added("users", "3\tAnna\t01.01.2021", "4\tánna\t01.01.2021")))
    assert set(Borrower.objects.values_list("login", flat=True)) == {"anna", "Anna", "ánna", "Bohdan"}


def test_dictionary_file_may_have_fewer_entries_than_the_database(tmp_path):
    said = load(builders.files(tmp_path, dictionary=FILES["dictionary"][:2]))
    assert said[0] == "dictionary.csv: 0 new, 0 changed, 1 unchanged"
    assert Dictionary.objects.count() == 4


def test_empty_files_change_nothing(tmp_path):
    said = load(builders.files(tmp_path, **{stem: lines[:1] for stem, lines in FILES.items()}))
    assert said == [f"{stem}.csv: 0 new, 0 changed, 0 unchanged" for stem in RESOURCES]


def test_a_load_of_many_batches_is_stored_completely(tmp_path):
    """5,000 payments of 0.01 to 50.00: 50 x 5,001 x 50 kopecks."""
    payments = [f"{n}\t2\t01.02.2021\t1\t{n / 100:.2f}" for n in range(1, 5001)]
    files = builders.files(tmp_path, payments=[FILES["payments"][0], *payments])
    assert load(files)[3] == "payments.csv: 5000 new, 0 changed, 0 unchanged"
    assert sum(Payment.objects.values_list("sum", flat=True)) == Decimal("125025.00")
    payments[4500] = "4501\t2\t01.02.2021\t1\t1"
    files = builders.files(tmp_path, payments=[FILES["payments"][0], *payments, "5001\t2\t01.02.2021\t1\t1"])
    assert load(files)[3] == "payments.csv: 1 new, 1 changed, 4999 unchanged"


# Faults

ID = "a whole number from 1"
DAY = "a date, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999"
MONTH = "the first day of a month, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999"
AMOUNT = "an amount of 0.00 or more, at most 12 digits and 2 decimals"
PAID = "an amount of 0.01 or more, at most 12 digits and 2 decimals"
LOGIN = "1 to 150 characters in UTF-8 or the chosen encoding"
NAME = "1 to 100 characters in UTF-8 or the chosen encoding"
EARLIER = "an id that no earlier row has"


# Each fault, and the files that have it.
FAULTS = {
    # Cells
    f"users.csv, row 4, column id, found 'x', expected {ID}": added("users", "x\tolena\t05.01.2021"),
    f"users.csv, row 3, column login, found '', expected {LOGIN}": changed("users", 3, "2\t\t05.01.2021"),
    f"users.csv, row 3, column registration_date, found '31.02.2021', expected {DAY}": changed(
        "users", 3, "2\tBohdan\t31.02.2021"
    ),
    f"credits.csv, row 3, column issuance_date, found '', expected {DAY}": changed(
        "credits", 3, "2\t2\t\t03.02.2021\t\t2500\t1050.5"
    ),
    f"credits.csv, row 3, column body, found '-2500', expected {AMOUNT}": changed(
        "credits", 3, "2\t2\t20.01.2021\t03.02.2021\t\t-2500\t1050.5"
    ),
    f"credits.csv, row 3, column percent, found '-0.01', expected {AMOUNT}": changed(
        "credits", 3, "2\t2\t20.01.2021\t03.02.2021\t\t2500\t-0.01"
    ),
    f"payments.csv, row 4, column sum, found '-0.01', expected {PAID}": changed(
        "payments", 4, "3\t2\t01.02.2021\t1\t-0.01"
    ),
    f"payments.csv, row 4, column sum, found '0', expected {PAID}": changed(
        "payments", 4, "3\t2\t01.02.2021\t1\t0"
    ),
    f"payments.csv, row 4, column sum, found '', expected {PAID}": changed(
        "payments", 4, "3\t2\t01.02.2021\t1"
    ),
    "payments.csv, row 4, column type_id, found '3', expected 1 (body) or 2 (interest)": changed(
        "payments", 4, "3\t2\t01.02.2021\t3\t1"
    ),
    "payments.csv, row 4, found 'more', expected no cell to the right of the header's last": changed(
        "payments", 4, "3\t2\t01.02.2021\t1\t1\t\tmore"
    ),
    f"dictionary.csv, row 5, column name, found '', expected {NAME}": changed("dictionary", 5, "4\t"),
    f"plans.csv, row 3, column period, found '02.01.2021', expected {MONTH}": changed(
        "plans", 3, "2\t02.01.2021\t1500\t4"
    ),
    f"plans.csv, row 3, column sum, found '', expected {AMOUNT}": changed("plans", 3, "2\t01.01.2021\t\t4"),
    "plans.csv, row 3, column category_id, found '1', expected 3 (issuance) or 4 (collection)": changed(
        "plans", 3, "2\t01.01.2021\t1500\t1"
    ),
    # Rows of one file
    f"users.csv, row 4, column id, found '1', expected {EARLIER}": added("users", "1\tolena\t01.01.2021"),
    "users.csv, row 4, column login, found 'anna', expected a login that no other row has": added(
        "users", "3\tanna\t01.01.2021"
    ),
    f"credits.csv, row 4, column id, found '2', expected {EARLIER}": added(
        "credits", "2\t1\t20.01.2021\t03.02.2021\t\t1\t0"
    ),
    f"payments.csv, row 5, column id, found '1', expected {EARLIER}": added(
        "payments", "1\t1\t20.01.2021\t1\t1"
    ),
    f"dictionary.csv, row 6, column id, found '4', expected {EARLIER}": added("dictionary", "4\tінше"),
    (
        "plans.csv, row 4, column period, found '2021-01-01', "
        "expected a month and category that no earlier row has"
    ): added("plans", "3\t2021-01-01\t1\t4"),
    "plans.csv, row 4, column id, found '2', expected an id that no other row has": added(
        "plans", "2\t01.02.2021\t1\t4"
    ),
    # Rows with contradictory values
    (
        "credits.csv, row 3, column return_date, found '19.01.2021', "
        "expected the issuance date, 2021-01-20, or later"
    ): changed("credits", 3, "2\t2\t20.01.2021\t19.01.2021\t\t2500\t0"),
    (
        "credits.csv, row 3, column actual_return_date, found '19.01.2021', "
        "expected the issuance date, 2021-01-20, or later"
    ): changed("credits", 3, "2\t2\t20.01.2021\t03.02.2021\t19.01.2021\t2500\t0"),
    # Rows that refer to others
    "credits.csv, row 3, column user_id, found '9', expected the id of a borrower": changed(
        "credits", 3, "2\t9\t20.01.2021\t03.02.2021\t\t2500\t0"
    ),
    "payments.csv, row 4, column credit_id, found '9', expected the id of a credit": changed(
        "payments", 4, "3\t9\t01.02.2021\t1\t1"
    ),
    (
        "payments.csv, row 4, column payment_date, found '19.01.2021', "
        "expected the credit's issuance date, 2021-01-20, or later"
    ): changed("payments", 4, "3\t2\t19.01.2021\t1\t1"),
    # Whole files
    (
        "payments.csv, row 1, column sum, found 'id, credit_id, payment_date, type_id, amount', "
        "expected each column once: id, credit_id, payment_date, type_id, sum"
    ): changed("payments", 1, "id\tcredit_id\tpayment_date\ttype_id\tamount"),
    (
        "users.csv, row 1, column login, found 'id, login, registration_date, login', "
        "expected each column once: id, login, registration_date"
    ): changed("users", 1, "id\tlogin\tregistration_date\tlogin"),
    "dictionary.csv, row 1, column name, found 'id, title', expected each column once: id, name": changed(
        "dictionary", 1, "id\ttitle"
    ),
}
FAULTS_BESIDE_OTHER_BOOK = {
    (
        "credits.csv, row 4, column issuance_date, found '21.01.2019', "
        "expected the day of the first payment, 2019-01-20, or earlier"
    ): added("credits", "900\t900\t21.01.2019\t03.02.2021\t\t1\t0"),
    "users.csv, row 4, column login, found 'vera', expected another login: borrower 900 has this one": added(
        "users", "3\tvera\t01.01.2021"
    ),
    "users.csv, row 4, column login, found 'olena', expected vera, which 900 belongs to": added(
        "users", "900\tolena\t01.01.2021"
    ),
    "credits.csv, row 4, column user_id, found '1', expected 900, which 900 belongs to": added(
        "credits", "900\t1\t20.01.2021\t03.02.2021\t\t1\t0"
    ),
    "payments.csv, row 5, column credit_id, found '1', expected 900, which 900 belongs to": added(
        "payments", "900\t1\t20.01.2021\t1\t1"
    ),
}


@pytest.mark.parametrize("replace", [False, True], ids=["", "replace"])
@pytest.mark.parametrize(("fault", "files"), FAULTS.items(), ids=FAULTS)
def test_a_fault_is_reported_exactly_and_nothing_is_stored(tmp_path, other_book, fault, files, replace):
    faults, total = refused(builders.files(tmp_path, **files), replace=replace)
    assert faults == [fault]
    assert total == "1 fault; nothing was stored."


@pytest.mark.parametrize(("fault", "files"), FAULTS_BESIDE_OTHER_BOOK.items(), ids=FAULTS_BESIDE_OTHER_BOOK)
def test_an_id_that_belongs_to_another_row_is_a_fault(tmp_path, other_book, fault, files):
    assert refused(builders.files(tmp_path, **files))[0] == [fault]


def test_a_reference_to_a_row_with_faults_is_not_a_fault(tmp_path):
    """Borrower 2 has credit 2, and that has payment 3."""
    files = builders.files(tmp_path, **changed("users", 3, "2\tBohdan\tsoon"))
    assert refused(files)[0] == [f"users.csv, row 3, column registration_date, found 'soon', expected {DAY}"]


def test_a_reference_to_an_unreadable_file_is_not_a_fault(tmp_path):
    files = builders.files(tmp_path)
    (files / "users.csv").write_bytes(b"\0")
    assert refused(files)[0] == ["users.csv: found 'binary data', expected CSV or XLSX"]


def test_missing_dictionary_entries_are_faults(tmp_path):
    files = builders.files(tmp_path, dictionary=["id\tname", "1\tтіло", "5\tінше"])
    assert refused(files, replace=True)[0] == [
        "dictionary.csv: column id, expected a row with the id 2",
        "dictionary.csv: column id, expected a row with the id 3",
        "dictionary.csv: column id, expected a row with the id 4",
    ]


def test_dictionary_names_that_differ_only_in_case_are_faults(tmp_path):
    files = builders.files(tmp_path, **changed("dictionary", 5, "4\tВИДАЧА"))
    assert refused(files)[0] == [
        "dictionary.csv: column name, found 'видача', expected a name that no other row has, in any case",
        "dictionary.csv: column name, found 'ВИДАЧА', expected a name that no other row has, in any case",
    ]


def test_a_new_issuance_date_must_not_follow_stored_payments(tmp_path):
    """Payment 3, of 1 February, is only in the database."""
    load(builders.files(tmp_path))
    files = builders.files(
        tmp_path,
        **changed("credits", 3, "2\t2\t02.02.2021\t03.02.2021\t\t2500\t1050.5"),
        payments=FILES["payments"][:3],
    )
    assert refused(files)[0] == [
        "credits.csv, row 3, column issuance_date, found '02.02.2021', "
        "expected the day of the first payment, 2021-02-01, or earlier",
    ]


def test_all_faults_of_all_files_are_reported_at_once(tmp_path, other_book):
    files = builders.files(
        tmp_path,
        **added("plans", "3\t02.01.2021\t-1\t1"),
        **added("payments", "4\t9\t20.01.2021\t1\t5", "5\t1\t09.01.2021\t2\t5", "x\t1\t\t7\t"),
        **added("credits", "3\t9\t20.01.2021\t19.01.2021\t18.01.2021\t1\t0"),
        **added("users", "2\tvera\t01.01.2021", "3\tvera\t01.01.2021"),
        **added("dictionary", "5\t"),
    )
    faults, total = refused(files)
    assert faults == [
        f"dictionary.csv, row 6, column name, found '', expected {NAME}",
        f"users.csv, row 4, column id, found '2', expected {EARLIER}",
        "users.csv, row 5, column login, found 'vera', expected another login: borrower 900 has this one",
        "credits.csv, row 4, column user_id, found '9', expected the id of a borrower",
        "credits.csv, row 4, column return_date, found '19.01.2021', "
        "expected the issuance date, 2021-01-20, or later",
        "credits.csv, row 4, column actual_return_date, found '18.01.2021', "
        "expected the issuance date, 2021-01-20, or later",
        "payments.csv, row 5, column credit_id, found '9', expected the id of a credit",
        "payments.csv, row 6, column payment_date, found '09.01.2021', "
        "expected the credit's issuance date, 2021-01-10, or later",
        f"payments.csv, row 7, column id, found 'x', expected {ID}",
        f"payments.csv, row 7, column payment_date, found '', expected {DAY}",
        "payments.csv, row 7, column type_id, found '7', expected 1 (body) or 2 (interest)",
        f"payments.csv, row 7, column sum, found '', expected {PAID}",
        f"plans.csv, row 4, column period, found '02.01.2021', expected {MONTH}",
        f"plans.csv, row 4, column sum, found '-1', expected {AMOUNT}",
        "plans.csv, row 4, column category_id, found '1', expected 3 (issuance) or 4 (collection)",
    ]
    assert total == "15 faults; nothing was stored."


def test_after_100_faults_of_a_file_the_others_are_counted(tmp_path):
    files = builders.files(
        tmp_path,
        **added("users", *["x\tolena\t01.01.2021"] * 101),
        **added("payments", *(f"{number}\t1\t20.01.2021\t1\t-1" for number in range(4, 134))),
    )
    faults, total = refused(files)
    assert faults == [
        *(f"users.csv, row {row}, column id, found 'x', expected {ID}" for row in range(4, 104)),
        "users.csv: 1 more fault",
        *(f"payments.csv, row {row}, column sum, found '-1', expected {PAID}" for row in range(5, 105)),
        "payments.csv: 30 more faults",
    ]
    assert total == "231 faults; nothing was stored."


def test_a_fault_in_a_cell_does_not_hide_faults_of_other_cells(tmp_path, other_book):
    """Except faults that only follow from it, because an id, a date or a borrower is unknown."""
    files = builders.files(
        tmp_path,
        **added("users", "1\tanna2\tsoon", "y\tvera\t01.01.2021", "8\tolena\tsoon", "y\tolena\t01.01.2021"),
        **added("credits", "1\t9\t20.01.2021\t19.01.2021\tx\t-1\t0", "x\t9\tx\t19.01.2021\t18.01.2021\t1\t0"),
        **added("payments", "4\t9\t20.01.2021\t7\t5", "4\t2\t09.01.2021\t3\t5", "x\t9\tx\t1\t5"),
        **added("plans", "1\t02.01.2021\t1\t3", "9\t01.01.2021\tx\t3"),
    )
    issued = "expected the issuance date, 2021-01-20, or later"
    kinds = "expected 1 (body) or 2 (interest)"
    assert refused(files)[0] == [
        f"users.csv, row 4, column registration_date, found 'soon', expected {DAY}",
        f"users.csv, row 4, column id, found '1', expected {EARLIER}",
        f"users.csv, row 5, column id, found 'y', expected {ID}",
        f"users.csv, row 6, column registration_date, found 'soon', expected {DAY}",
        f"users.csv, row 7, column id, found 'y', expected {ID}",
        "users.csv, row 7, column login, found 'olena', expected a login that no other row has",
        f"credits.csv, row 4, column actual_return_date, found 'x', expected {DAY}",
        f"credits.csv, row 4, column body, found '-1', expected {AMOUNT}",
        f"credits.csv, row 4, column id, found '1', expected {EARLIER}",
        "credits.csv, row 4, column user_id, found '9', expected the id of a borrower",
        f"credits.csv, row 4, column return_date, found '19.01.2021', {issued}",
        f"credits.csv, row 5, column id, found 'x', expected {ID}",
        f"credits.csv, row 5, column issuance_date, found 'x', expected {DAY}",
        "credits.csv, row 5, column user_id, found '9', expected the id of a borrower",
        f"payments.csv, row 5, column type_id, found '7', {kinds}",
        "payments.csv, row 5, column credit_id, found '9', expected the id of a credit",
        f"payments.csv, row 6, column type_id, found '3', {kinds}",
        f"payments.csv, row 6, column id, found '4', expected {EARLIER}",
        "payments.csv, row 6, column payment_date, found '09.01.2021', "
        "expected the credit's issuance date, 2021-01-20, or later",
        f"payments.csv, row 7, column id, found 'x', expected {ID}",
        f"payments.csv, row 7, column payment_date, found 'x', expected {DAY}",
        "payments.csv, row 7, column credit_id, found '9', expected the id of a credit",
        f"plans.csv, row 4, column period, found '02.01.2021', expected {MONTH}",
        "plans.csv, row 4, column id, found '1', expected an id that no other row has",
        f"plans.csv, row 5, column sum, found 'x', expected {AMOUNT}",
        "plans.csv, row 5, column period, found '01.01.2021', "
        "expected a month and category that no earlier row has",
    ]


def test_a_cell_has_at_most_one_fault(tmp_path, other_book):
    """The id belongs to vera, the login to anna."""
    files = builders.files(tmp_path, **added("users", "900\tanna\t01.01.2021"))
    assert refused(files)[0] == [
        "users.csv, row 4, column login, found 'anna', expected vera, which 900 belongs to"
    ]


def test_duplicates_are_found_across_batches(tmp_path):
    """The same id, and the same login, 3,000 rows away."""
    users = [f"{number}\tborrower{number}\t01.01.2021" for number in range(3, 3003)]
    files = builders.files(
        tmp_path, **added("users", *users, "3\tolena\t01.01.2021", "4000\tborrower4\t01.01.2021")
    )
    assert refused(files)[0] == [
        f"users.csv, row 3004, column id, found '3', expected {EARLIER}",
        "users.csv, row 3005, column login, found 'borrower4', expected a login that no other row has",
    ]


def test_faults_of_workbooks_show_cells_as_text(tmp_path):
    files = save_workbooks(
        tmp_path,
        **changed("payments", 4, "3\t2\t19.01.2021\t1\t0.01"),
        **changed("plans", 3, "2\t02.01.2021\t1.005\t4"),
    )
    assert refused(files)[0] == [
        "payments.xlsx, row 4, column payment_date, found '2021-01-19', "
        "expected the credit's issuance date, 2021-01-20, or later",
        f"plans.xlsx, row 3, column period, found '2021-01-02', expected {MONTH}",
        f"plans.xlsx, row 3, column sum, found '1.005', expected {AMOUNT}",
    ]


# Files


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(CommandError, match=r"^No such folder: .*nowhere$"):
        load(tmp_path / "nowhere")


def test_each_file_must_exist_once(tmp_path):
    files = builders.files(tmp_path)
    (files / "users.csv").rename(files / "Users.TXT")
    (files / "users.xlsx").touch()
    (files / "payments.csv").unlink()
    (files / "plans.csv").rename(files / "plans.ods")
    with pytest.raises(CommandError) as refusal:
        load(files)
    assert str(refusal.value).splitlines() == [
        "users.csv: found Users.TXT, users.xlsx, expected one file",
        "payments.csv: found no file, expected one file",
        "plans.csv: found no file, expected one file",
    ]
    assert not Borrower.objects.exists()


def test_file_names_ignore_case_and_formats_are_detected(tmp_path):
    files = save_workbooks(tmp_path)
    (files / "users.xlsx").rename(files / "USERS.Csv")
    (files / "plans.xlsx").rename(files / "Plans.tsv")
    assert load(files)[1] == "USERS.Csv: 2 new, 0 changed, 0 unchanged"
    assert Plan.objects.count() == 2


def test_a_failed_command_ends_with_status_1(tmp_path):
    run = subprocess.run(
        [sys.executable, "manage.py", "load_data", tmp_path / "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"CommandError: No such folder: {tmp_path / 'nowhere'}\n"


# Encodings


def encoded(folder, encoding):
    for path in builders.files(folder).iterdir():
        path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return folder


def test_cp1251_is_read_if_given(tmp_path):
    load(encoded(tmp_path, "cp1251"), encoding="cp1251", replace=True)
    assert dict(Dictionary.objects.values_list()) == builders.NAMES


def test_cp1251_is_detected_and_reported(tmp_path):
    said = load(encoded(tmp_path, "cp1251"))
    assert dict(Dictionary.objects.values_list()) == builders.NAMES
    assert "dictionary.csv: Read as Windows-1251." in said


def test_another_encoding_is_a_fault_unless_given(tmp_path):
    """Its letters are invalid or incomplete sequences in UTF-8."""
    assert refused(encoded(tmp_path, "koi8-u"))[0] == [
        f"dictionary.csv, row {row}, column name, found '{name.encode('koi8-u').decode(errors='replace')}', "
        f"expected {NAME}"
        for row, name in enumerate(builders.NAMES.values(), 2)
    ]


def test_utf_16_is_detected_by_its_byte_order_mark(tmp_path):
    load(encoded(tmp_path, "utf-16"))
    assert dict(Dictionary.objects.values_list()) == builders.NAMES


@pytest.mark.parametrize("encoding", ["klingon", "", "hex"])
def test_an_unknown_encoding_is_reported(tmp_path, encoding):
    with pytest.raises(CommandError, match=f"^Unknown encoding: {encoding}$"):
        load(builders.files(tmp_path), encoding=encoding)


# Progress


def on_standard_error(monkeypatch, load_files, read_end, write_end):
    """Returns what is written to standard error, which is a pipe or a terminal."""
    with os.fdopen(read_end, "rb", buffering=0) as reader, os.fdopen(write_end, "w") as error:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", error)
            load_files()
        print("end", file=error, flush=True)
        written = b""
        while not written.rstrip().endswith(b"end"):
            written += reader.read(65536)
    return written.decode().rstrip().removesuffix("end")


def terminal():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    return ours, theirs


def test_a_pipe_gets_no_progress_bar(tmp_path, monkeypatch):
    files = builders.files(tmp_path)
    assert on_standard_error(monkeypatch, lambda: load(files), *os.pipe()) == ""


def test_a_terminal_gets_a_progress_bar_for_each_file(tmp_path, monkeypatch):
    files = builders.files(tmp_path)
    written = on_standard_error(monkeypatch, lambda: load(files), *terminal())
    for name, rows in (("dictionary", 4), ("users", 2), ("credits", 2), ("payments", 3), ("plans", 2)):
        assert f"{name}.csv:   0%|" in written
        assert f" 0/{rows} " in written


def test_a_terminal_gets_a_progress_bar_without_an_end_for_a_workbook(tmp_path, monkeypatch):
    files = save_workbooks(tmp_path)
    written = on_standard_error(monkeypatch, lambda: load(files), *terminal())
    assert "payments.xlsx: 0 rows" in written
