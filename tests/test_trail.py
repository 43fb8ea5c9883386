"""The trail: every kind of write is recorded in its own transaction."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import NotSupportedError, transaction
from knox.models import AuthToken
from rest_framework.test import APIClient

from credits.book.trail import Change, Load
from credits.book.writing import writing
from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.access import EDITOR
from plans.models import Plan

from . import builders

pytestmark = pytest.mark.django_db


def since(record: int = 0) -> list[tuple]:
    """Returns (table, id, action, fields) of the changes after the record, in order."""
    changes = Change.objects.filter(pk__gt=record).order_by("pk")
    return [(each.table, each.object_id, each.action, each.fields) for each in changes]


def last() -> int:
    return Change.objects.order_by("pk").values_list("pk", flat=True).last() or 0


def ranges(load: Load) -> list[tuple[int, int]]:
    return list(load.ranges.order_by("first_id").values_list("first_id", "last_id"))


def test_adding_changing_and_deleting_a_row_records_its_fields():
    borrower = Borrower.objects.create(login="anna", registration_date=date(2021, 1, 1))
    borrower.login = "hanna"
    borrower.save()
    pk = borrower.pk
    borrower.delete()
    assert since() == [
        (
            "credits.borrower",
            pk,
            "added",
            {"id": [None, pk], "login": [None, "anna"], "registration_date": [None, "2021-01-01"]},
        ),
        ("credits.borrower", pk, "changed", {"login": ["anna", "hanna"]}),
        (
            "credits.borrower",
            pk,
            "deleted",
            {"id": [pk, None], "login": ["hanna", None], "registration_date": ["2021-01-01", None]},
        ),
    ]


def test_saving_an_unchanged_row_leaves_no_record():
    plan = builders.plan("2021-06", 3, "100")
    start = last()
    plan.sum = Decimal("100.00")
    plan.save()
    assert since(start) == []


def test_bulk_writes_are_recorded_row_by_row():
    credit = builders.credit()
    start = last()
    first, second = Payment.objects.bulk_create(
        [Payment(credit=credit, payment_date="2021-06-05", type_id=1, sum=amount) for amount in (1, "2.5")]
    )
    assert since(start)[0][2:] == (
        "added",
        {
            "id": [None, first.pk],
            "credit_id": [None, credit.pk],
            "payment_date": [None, "2021-06-05"],
            "type_id": [None, 1],
            "sum": [None, "1.00"],
        },
    )
    start = last()
    first.sum, second.sum = Decimal(3), Decimal(4)
    Payment.objects.bulk_update([first, second], ["sum"])
    credit.payments.update(type=2)
    credit.payments.filter(pk=first.pk).delete()
    assert [
        (pk, action, fields.get("sum"), fields.get("type_id")) for _, pk, action, fields in since(start)
    ] == [
        (first.pk, "changed", ["1.00", "3.00"], None),
        (second.pk, "changed", ["2.50", "4.00"], None),
        (first.pk, "changed", None, [1, 2]),
        (second.pk, "changed", None, [1, 2]),
        (first.pk, "deleted", ["3.00", None], [2, None]),
    ]


def test_writes_that_the_trail_cannot_record_are_refused():
    with pytest.raises(NotSupportedError):
        Dictionary.objects.bulk_create([Dictionary(pk=9, name="x")], ignore_conflicts=True)


def test_rolled_back_change_leaves_no_record():
    def undone() -> None:
        with writing():
            builders.plan("2021-06", 3, "100")
            assert len(since()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert since() == []


def test_record_is_written_in_the_transaction_of_the_change():
    with transaction.atomic():
        builders.plan("2021-06", 3, "100")
        assert len(since()) == 1
        transaction.set_rollback(True)
    assert (since(), Plan.objects.count()) == ([], 0)


def test_upload_through_the_api_is_recorded_with_its_account(client):
    account = builders.account(EDITOR)
    _, token = AuthToken.objects.create(account)
    content = b"month,category_name,sum\n2031-01-01,issuance,10.5\n2031-01-01,collection,20\n"
    answer = APIClient().post(
        "/plans_insert",
        {"file": SimpleUploadedFile("my plans.csv", content)},
        headers={"authorization": f"Token {token}"},
    )
    assert answer.status_code == 200
    load = Load.objects.get()
    assert (load.account, load.via, load.table, load.file) == (
        account,
        "/plans_insert",
        "plans.plan",
        "my plans.csv",
    )
    assert load.digest == hashlib.sha256(content).hexdigest()
    assert (load.outcome, load.new, load.changed, load.unchanged, load.faults) == ("stored", 2, 0, 0, 0)
    assert load.sums == {"sum": "30.50"}
    pks = sorted(Plan.objects.values_list("pk", flat=True))
    assert ranges(load) == [(pks[0], pks[1])]
    rows = f"{pks[0]};2031-01-01;3;10.5\n{pks[1]};2031-01-01;4;20\n"
    assert load.rows_digest == hashlib.sha256(rows.encode()).hexdigest()
    assert list(Load.objects.bringing("plans.plan", pks[1])) == [load]
    assert list(Load.objects.bringing("plans.plan", pks[1] + 1)) == []
    assert since() == []


def test_refused_upload_is_recorded_too(editor):
    editor.post("/plans_insert", {"file": SimpleUploadedFile("bad.csv", b"month,category_name,sum\nx,y,z\n")})
    load = Load.objects.get()
    assert (load.file, load.outcome, load.faults, load.new) == ("bad.csv", "refused", 3, 0)


def test_load_records_new_rows_together_and_each_changed_row(tmp_path):
    call_command("load_data", builders.files(tmp_path), verbosity=0)
    assert since() == []
    loads = {load.table: load for load in Load.objects.all()}
    assert {table: (load.new, load.unchanged, load.sums) for table, load in loads.items()} == {
        "credits.dictionary": (0, 4, {}),
        "credits.borrower": (2, 0, {}),
        "credits.credit": (2, 0, {"body": "3500.00", "percent": "1470.50"}),
        "credits.payment": (3, 0, {"sum": "1420.01"}),
        "plans.plan": (2, 0, {"sum": "5500.00"}),
    }
    lines = [*builders.FILES["payments"][:3], "3\t2\t02.02.2021\t1\t0.02"]
    call_command("load_data", builders.files(tmp_path, payments=lines), verbosity=0)
    change = Change.objects.get()
    assert (change.object_id, change.fields) == (
        3,
        {"payment_date": ["2021-02-01", "2021-02-02"], "sum": ["0.01", "0.02"]},
    )
    assert (change.load.file, change.load.new, change.load.changed, change.load.unchanged) == (
        "payments.csv",
        0,
        1,
        2,
    )
    assert change.via == change.load.via != ""
    assert change.account is None


def test_load_of_ids_with_gaps_is_found_by_each_id(tmp_path, django_assert_num_queries):
    users = [f"{number}\tlogin{number}\t01.01.2021" for number in [*range(1, 10_000, 2), 9_996, 9_998]]
    files = builders.files(tmp_path, users=[*builders.FILES["users"], *users[2:]])
    call_command("load_data", files, verbosity=0)
    load = Load.objects.get(table="credits.borrower")
    assert load.ranges.count() == 4_997  # 1 to 2, 5, 7, …, 9,995 to 9,999 in three batches
    with django_assert_num_queries(4):
        assert list(Load.objects.bringing("credits.borrower", 1)) == [load]
        assert list(Load.objects.bringing("credits.borrower", 5_001)) == [load]
        assert list(Load.objects.bringing("credits.borrower", 5_002)) == []
        assert list(Load.objects.bringing("credits.borrower", 10_000)) == []


@pytest.mark.slow
def test_migration_moves_ids_of_loads_to_their_table(tmp_path):
    database = tmp_path / "db.sqlite3"

    def migrate(*names: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0", *names],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": f"sqlite:///{database}"},
            check=True,
        )

    migrate("credits", "0003")
    ids = [*([number, number] for number in range(2, 9_000, 2)), [9_001, 12_001]]
    empty = {"via": "", "file": "", "digest": "", "sums": "{}", "rows_digest": "", "moment": "2030-01-01"}
    with closing(sqlite3.connect(database)) as opened, opened:
        for pk, new, kept in ((1, 4_499 + 3_001, ids), (2, 0, []), (3, 1, [[4, 4]])):
            counts = dict.fromkeys(("changed", "unchanged", "removed", "faults"), 0)
            row = {"id": pk, "table": "", "outcome": "stored", "new": new, "ids": json.dumps(kept)}
            row |= empty | counts
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            opened.execute(f"INSERT INTO trail_load ({names}) VALUES ({marks})", [*row.values()])  # noqa: S608
    migrate("credits")
    with closing(sqlite3.connect(database)) as opened:
        moved = opened.execute("SELECT load_id, first_id, last_id FROM trail_load_ids ORDER BY 1, 2")
        kept = [*ids[:-1], [9_001, 11_000], [11_001, 12_001]]
        assert moved.fetchall() == [*((1, first, last) for first, last in kept), (3, 4, 4)]


def test_load_with_replace_records_the_number_of_removed_rows(tmp_path):
    call_command("load_data", builders.files(tmp_path), verbosity=0)
    call_command("load_data", tmp_path, replace=True, verbosity=0)
    removed = dict(Load.objects.order_by("pk").values_list("table", "removed"))
    assert removed == {
        "credits.dictionary": 4,
        "credits.borrower": 2,
        "credits.credit": 2,
        "credits.payment": 3,
        "plans.plan": 2,
    }


def test_refused_load_is_recorded_with_the_faults_of_each_file(tmp_path):
    builders.files(tmp_path, plans=["id\tperiod\tsum\tcategory_id", "1\t02.01.2021\tx\t3"])
    with pytest.raises(CommandError):
        call_command("load_data", tmp_path, verbosity=0)
    assert Credit.objects.count() == 0
    assert {load.file: (load.outcome, load.faults) for load in Load.objects.all()} == {
        "dictionary.csv": ("refused", 0),
        "users.csv": ("refused", 0),
        "credits.csv": ("refused", 0),
        "payments.csv": ("refused", 0),
        "plans.csv": ("refused", 2),
    }
