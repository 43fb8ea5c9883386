"""A rule over two rows holds with two simultaneous writers: no payment before its credit's issuance.

The first writer pauses after its check and before its write. The second one waits for it, and is then checked
against what the first one stored.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from rest_framework.test import APIClient

from credits.models import Credit, Payment

from . import builders
from .sent_forms import sent_back

CREDIT_ID, PAYMENT_ID = 1, 1
BEFORE, LATER = date(2021, 6, 2), date(2021, 6, 10)  # the payment is before the new issuance date

Writer = Callable[[APIClient], bool]


@pytest.fixture
def credit(committed) -> Credit:
    """A credit issued on 1 June with a payment on 15 June."""
    credit = builders.credit("2021-06-01", "1000", pk=CREDIT_ID, return_date=date(2021, 7, 1))
    Payment.objects.create(pk=PAYMENT_ID, credit=credit, payment_date=date(2021, 6, 15), type_id=1, sum=10)
    return credit


def by_api(method: str, address: str, body: object) -> Writer:
    def write(client: APIClient) -> bool:
        response = getattr(client, method)(f"/api/v1/{address}", body, format="json")
        assert response.status_code in (200, 201, 400), response.content
        return response.status_code != 400

    return write


def by_form(address: str, **values: object) -> Writer:
    def write(client: APIClient) -> bool:
        page = f"/admin/credits/{address}/"
        response = client.post(page, sent_back(client.get(page).content.decode()) | values)
        assert response.status_code in (200, 302)
        return response.status_code == 302

    return write


def by_file(client: APIClient) -> bool:
    line = f"id\tcredit_id\tpayment_date\ttype_id\tsum\n2\t{CREDIT_ID}\t{BEFORE}\t1\t5\n"
    file = SimpleUploadedFile("payments.csv", line.encode())
    page = "/admin/credits/payment/import/"
    shown = client.post(page, sent_back(client.get(page).content.decode()) | {"import_file": file})
    values = sent_back(shown.content.decode())
    if "upload" not in values:  # refused
        return False
    return client.post("/admin/credits/payment/process_import/", values).status_code == 302


PAYMENT = {"credit": CREDIT_ID, "payment_date": f"{BEFORE}", "type": 1, "sum": "5"}

PAYERS = {
    "POST": by_api("post", "payments", PAYMENT),
    "POST of many": by_api("post", "payments/bulk", [PAYMENT, PAYMENT]),
    "PATCH of the day": by_api("patch", f"payments/{PAYMENT_ID}", {"payment_date": f"{BEFORE}"}),
    "form": by_form("payment/add", **PAYMENT),
    "file": by_file,
    "form of the credit": by_form(
        f"credit/{CREDIT_ID}/change",
        **{"payments-1-payment_date": f"{BEFORE}", "payments-1-type": 1, "payments-1-sum": "5"},
    ),
}
ISSUERS = {
    "PATCH": by_api("patch", f"credits/{CREDIT_ID}", {"issuance_date": f"{LATER}"}),
    "form": by_form(f"credit/{CREDIT_ID}/change", issuance_date=f"{LATER}"),
}
PAYS = ("INSERT INTO", "UPDATE"), "credits_payment"
ISSUES = ("UPDATE",), "credits_credit"


@pytest.mark.parametrize("issue", ISSUERS.values(), ids=ISSUERS)
@pytest.mark.parametrize("pay", PAYERS.values(), ids=PAYERS)
@pytest.mark.parametrize("payment_first", [True, False], ids=["payment first", "issuance first"])
def test_one_of_two_conflicting_dates_of_credit_and_payment_is_stored(
    credit, client_as, pay, issue, payment_first
):
    first, second = (pay, issue) if payment_first else (issue, pay)
    verbs, table = PAYS if payment_first else ISSUES
    checked, go = threading.Event(), threading.Event()

    def stop(execute, sql, *args):
        if sql.startswith(verbs) and table in sql and not checked.is_set():
            checked.set()
            assert go.wait(20)
        return execute(sql, *args)

    def run(write: Writer, client: APIClient, *wrappers) -> bool:
        connection.execute_wrappers.extend(wrappers)
        try:
            return write(client)
        finally:
            connection.close()
            for wrapper in wrappers:
                connection.execute_wrappers.remove(wrapper)

    clients = client_as("Administrator"), client_as("Administrator")
    with ThreadPoolExecutor(2) as pool:
        try:
            leading = pool.submit(run, first, clients[0], stop)
            assert checked.wait(20)
            following = pool.submit(run, second, clients[1])
            assert wait([following], 0.5).not_done, "it didn't wait"
        finally:
            go.set()
        assert (leading.result(20), following.result(20)) == (True, False)
    assert not Payment.objects.filter(payment_date__lt=Credit.objects.get().issuance_date).exists()
    assert Payment.objects.filter(payment_date=BEFORE).exists() == payment_first
