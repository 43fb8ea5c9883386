"""The rows with faults of a refused file, and their faults: stored with its record for download."""

import csv
import re
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from credits.book.loading import preview_file
from credits.book.trail import Load, RowsAtFault
from credits.models import Payment
from credits.resources import PaymentResource

from . import builders

pytestmark = pytest.mark.django_db

HEADER = "ID;credit_id;Payment_Date;type_id;sum\n"


def sent(client: Any, content: bytes, name: str = "my payments.csv", table: str = "credits/payment") -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post(f"/admin/{table}/import/", {"import_file": file, "resource": 0, "format": 0})


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(content.decode("utf-8-sig").splitlines()))


def kept(load: Load) -> list[list[str]]:
    return rows(b"".join(load.rows_at_fault.lines()))


def downloaded(client: Any, page: Any) -> Any:
    (address,) = re.findall(r'href="(/admin/credits/load/\d+/faults\.csv)"', page.content.decode())
    return client.get(address)


def test_rows_with_faults_are_downloaded_from_preview_and_record(editor):
    builders.credit("2021-06-01", pk=7)
    page = sent(
        editor,
        (
            HEADER
            + "1;7;05.06.2021;1;10\n"
            + "2;8;31.05.2021;3;=1+1\n"
            + '3;7;31.05.2021;1;"1 000,5"\n'
            + "4;7;05.06.2021;1;10;more\n"
        ).encode(),
    )
    answer = downloaded(editor, page)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="my payments-faults.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    content = answer.getvalue()
    found = rows(content)
    assert [line[:6] for line in found] == [
        ["row", "ID", "credit_id", "Payment_Date", "type_id", "sum"],
        ["3", "2", "8", "31.05.2021", "3", "'=1+1"],
        ["4", "3", "7", "31.05.2021", "1", "1 000,5"],
        ["5", "4", "7", "05.06.2021", "1", "10"],
    ]
    assert found[0][6] == "faults"
    assert found[1][6].split("; ")[:2] == [
        "column type_id, found '3', expected 1 (body) or 2 (interest)",
        "column sum, found '=1+1', expected an amount of 0.01 or more, at most 12 digits and 2 decimals",
    ]
    assert [line[6] for line in found[2:]] == [
        "column Payment_Date, found '31.05.2021', expected the credit's issuance date, 2021-06-01, or later",
        "found 'more', expected no cell to the right of the header's last",
    ]
    assert Payment.objects.count() == 0
    load = Load.objects.get()
    again = downloaded(editor, editor.get(f"/admin/credits/load/{load.pk}/change/"))
    assert again.getvalue() == content


def test_every_fault_is_kept_and_the_first_100_are_listed(editor):
    page = sent(editor, (HEADER + "x;x;x;x;x\n" * 150).encode())
    assert len(page.context["result"].listed_faults) == 100
    found = kept(Load.objects.get())
    assert (len(found), Load.objects.get().faults) == (151, 750)
    assert found[150][0] == "151"
    assert all(line[6].count("expected") == 5 for line in found[1:])


def test_corrected_download_can_be_imported(editor):
    builders.credit("2021-06-01", pk=7)
    answer = downloaded(editor, sent(editor, (HEADER + "1;7;05.06.2021;1;ten\n").encode()))
    corrected = answer.getvalue().replace(b"05.06.2021,1,ten", b"05.06.2021,1,10")
    assert sent(editor, corrected).context["result"].counts.new == 1


def test_faults_of_the_whole_file_have_no_row(editor):
    assert kept(refused(editor, b"id;credit_id;payment_date;type_id\n1;7;05.06.2021;1\n")) == [
        ["row", "id", "credit_id", "payment_date", "type_id", "sum", "faults"],
        [
            "1",
            "",
            "",
            "",
            "",
            "",
            "column sum, found 'id, credit_id, payment_date, type_id', "
            "expected each column once: id, credit_id, payment_date, type_id, sum",
        ],
    ]
    assert kept(refused(editor, b"\0\1\2"))[1][0] == ""


def refused(client: Any, content: bytes, name: str = "x.csv") -> Load:
    sent(client, content, name)
    return Load.objects.first()


def test_cells_of_a_workbook_are_written_as_displayed(editor):
    book, file = Workbook(), BytesIO()
    book.active.append(["id", "credit_id", "payment_date", "type_id", "sum"])
    book.active.append([1, 8, "@cmd", 1, 10.5])
    book.active.append([2, 8, "2021-06-05", 1, "x" * 300])
    book.save(file)
    found = kept(refused(editor, file.getvalue(), "x.xlsx"))
    assert found[1][1:6] == ["1", "8", "'@cmd", "1", "10.5"]
    assert found[2][5] == "x" * 300


def test_rows_with_faults_of_plans_insert_are_kept_too(editor):
    content = b"month,category_name,sum\n2031-01-02,issuance,x\n2031-01-01,issuance,5\n"
    assert editor.post("/plans_insert", {"file": SimpleUploadedFile("p.csv", content)}).status_code == 400
    assert kept(Load.objects.get()) == [
        ["row", "month", "category_name", "sum", "faults"],
        [
            "2",
            "2031-01-02",
            "issuance",
            "x",
            "column month, found '2031-01-02', "
            "expected the first day of a month, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999; "
            "column sum, found 'x', expected an amount of 0.00 or more, at most 12 digits and 2 decimals",
        ],
    ]


def test_load_data_keeps_the_rows_of_the_faults_that_it_lists(tmp_path: Path):
    lines = [builders.FILES["payments"][0], *(f"{number}\t1\t21.01.2021\t1\tx" for number in range(1, 151))]
    builders.files(tmp_path, payments=lines)
    with pytest.raises(CommandError):
        call_command("load_data", tmp_path, verbosity=0)
    (load,) = Load.objects.filter(rows_at_fault__isnull=False)
    found = kept(load)
    assert (load.table, load.faults, len(found)) == ("credits.payment", 150, 101)
    assert found[100][:6] == ["101", "100", "1", "21.01.2021", "1", "x"]


def test_rows_beyond_the_limit_are_reported_as_missing(editor, monkeypatch):
    monkeypatch.setattr(RowsAtFault, "MOST", 0)
    assert kept(refused(editor, (HEADER + "x;x;x;x;x\n" * 2_000).encode()))[-1] == [
        "There are more rows at fault than can be kept here."
    ]


def test_file_without_faults_keeps_no_rows(editor):
    load = Load.objects.create(table="credits.payment", outcome=Load.STORED)
    assert editor.get(f"/admin/credits/load/{load.pk}/faults.csv").status_code == 404


@pytest.mark.slow
def test_file_full_of_faults_takes_bounded_memory():
    content = "id,credit_id,payment_date,type_id,sum\n" + "x,x,x,x,x\n" * 60_000
    tracemalloc.start()
    try:
        preview = preview_file(PaymentResource(), BytesIO(content.encode()), "x.csv")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert preview.faults.count == 300_000
    assert len(kept(preview.refusal)) == 60_001
    assert most < 200 * 2**20


def test_rows_with_faults_of_an_unknown_load_are_404(editor):
    assert editor.get(f"/admin/credits/load/{'9' * 23}/faults.csv").status_code == 404
