"""The API of the book's tables: reading, filters, pages, writing, and bulk payments."""

import json
import re
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from rest_framework.test import APIClient

from credits.book.trail import Change
from credits.models import Borrower, Credit, Dictionary, Payment
from fintrack.access import ADMINISTRATOR, EDITOR
from fintrack.models import IdempotencyKey
from reports.models import DataStamp

from . import builders

pytestmark = pytest.mark.django_db

NO_SUCH = "No row has this id, or the row isn't allowed here."


def ids(client, address, **query):
    response = client.get(f"/api/v1/{address}", query)
    assert response.status_code == 200, response.json()
    return [row["id"] for row in response.json()["results"]]


def faults(response, status=400):
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    return [
        (error.get("pointer", error.get("parameter")), error["found"], error["expected"])
        for error in response.json()["errors"]
    ]


def send(client, address, body, method="post", **headers):
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return getattr(client, method)(
        f"/api/v1/{address}", text, content_type="application/json", headers=headers
    )


@pytest.fixture
def book():
    """Two credits of Anna, one of which is overdue on 1 July 2021, and a returned credit of Bohdan."""
    anna = builders.borrower(login="Anna")
    old = builders.credit("2021-06-01", "1000.50", borrower=anna, percent="20")
    new = builders.credit("2021-06-25", "2000", borrower=anna)
    closed = builders.credit("2021-05-01", "500", actual_return_date="2021-05-10")
    builders.payment(old, "2021-06-03", "10.10")
    builders.payment(old, "2021-06-02", "5", Dictionary.INTEREST)
    builders.payment(closed, "2021-05-10", "500")
    return old, new, closed


class TestReading:
    def test_a_row_has_numbers_and_dates(self, book, analyst):
        credit = book[0]
        assert analyst.get(f"/api/v1/credits/{credit.pk}").json() == {
            "id": credit.pk,
            "borrower": credit.borrower_id,
            "issuance_date": "2021-06-01",
            "return_date": "2021-06-15",
            "actual_return_date": None,
            "body": 1000.5,
            "percent": 20,
        }

    def test_the_largest_amount_is_exact(self, book, analyst):
        payment = builders.payment(book[0], "2021-06-05", "999999999999.99")
        text = analyst.get(f"/api/v1/payments/{payment.pk}").content.decode()
        assert text.endswith('"type":1,"sum":999999999999.99}')

    @time_machine.travel("2021-07-01", tick=False)
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, [0, 1, 2]),
            ({"state": "open"}, [0, 1]),
            ({"state": "in_term"}, [1]),
            ({"state": "overdue"}, [0]),
            ({"state": "closed"}, [2]),
            ({"state": ["in_term", "closed"]}, [1, 2]),
            ({"state": ["open", "overdue"]}, [0, 1]),
            ({"search": "ANN"}, [0, 1]),
            ({"issuance_date": "2021-06-25"}, [1]),
            ({"issuance_date__gte": "2021-06-01", "issuance_date__lte": "2021-06-24"}, [0]),
            ({"return_date__lte": "2021-06-15"}, [0, 2]),
            ({"actual_return_date__gte": "2021-05-10"}, [2]),
            ({"body": "1000.50"}, [0]),
            ({"body__gte": "1000.51"}, [1]),
            ({"percent__gte": "0.01"}, [0]),
            ({"ordering": "-body"}, [1, 0, 2]),
            ({"ordering": "percent"}, [1, 2, 0]),
        ],
    )
    def test_credits_are_filtered_and_ordered(self, book, analyst, query, expected):
        assert ids(analyst, "credits", **query) == [book[number].pk for number in expected]

    def test_payments_are_filtered_and_ordered(self, book, analyst):
        paid = {payment.payment_date.isoformat(): payment.pk for payment in Payment.objects.all()}
        assert ids(analyst, "payments", credit=book[0].pk, ordering="payment_date") == [
            paid["2021-06-02"],
            paid["2021-06-03"],
        ]
        assert ids(analyst, "payments", type=2) == [paid["2021-06-02"]]
        assert ids(analyst, "payments", borrower=book[2].borrower_id) == [paid["2021-05-10"]]
        assert ids(analyst, "payments", sum__gte="10.10", payment_date__lte="2021-06-03") == [
            paid["2021-06-03"],
            paid["2021-05-10"],
        ]
        assert ids(analyst, "payments", search="nna", sum="5") == [paid["2021-06-02"]]

    def test_small_tables_are_filtered_and_ordered(self, book, analyst):
        first, second = (
            builders.plan("2021-06", Dictionary.ISSUANCE, 10),
            builders.plan("2021-05", Dictionary.COLLECTION, 20),
        )
        assert ids(analyst, "plans", ordering="period") == [second.pk, first.pk]
        assert ids(analyst, "plans", category=3) == [first.pk]
        assert ids(analyst, "plans", period__gte="2021-06-01", sum__lte="10") == [first.pk]
        assert ids(analyst, "plans", search="зб") == [second.pk]
        assert ids(analyst, "dictionary", search="ті") == [1]
        assert ids(analyst, "dictionary", name="збір") == [4]
        assert ids(analyst, "borrowers", login="Anna") == ids(analyst, "borrowers", search="anna")
        assert ids(analyst, "borrowers", registration_date__gte="2020-01-02") == []

    def test_every_wrong_parameter_is_a_fault(self, analyst):
        address = "/api/v1/credits?colour=red&borrower=0&body__gte=1.005&state=open&state=late"
        response = analyst.get(f"{address}&issuance_date=x&ordering=login&page_size=1001")
        assert sorted(fault[:2] for fault in faults(response)) == [
            ("body__gte", "1.005"),
            ("borrower", "0"),
            ("colour", "red"),
            ("issuance_date", "x"),
            ("ordering", "login"),
            ("page_size", "1001"),
            ("state", "late"),
        ]

    @pytest.mark.parametrize("text", ["1_0", "+5", "1e1", "٥", "-1", "1000000000000", "5.", ".5"])
    def test_amounts_accept_only_plain_digits(self, analyst, text):
        response = analyst.get("/api/v1/credits", {"body__gte": text})
        assert [fault[:2] for fault in faults(response)] == [("body__gte", text)]

    def test_a_filter_without_a_value_is_one_fault(self, analyst):
        for name in ("state", "body", "search"):
            assert [fault[:2] for fault in faults(analyst.get(f"/api/v1/credits?{name}="))] == [(name, "")]

    @pytest.mark.parametrize("text", ["2021-6-5", "٢٠٢١-٠٦-٠٥", "20210605", "2021-W22-6", "05.06.2021"])
    def test_days_accept_only_plain_digits(self, analyst, text):
        response = analyst.get("/api/v1/credits", {"issuance_date": text})
        assert [fault[:2] for fault in faults(response)] == [("issuance_date", text)]

    @pytest.mark.parametrize("number", ["5.0", "5.", "1_0", "+5", "1e1", "٥", "0"])
    @pytest.mark.parametrize("parameter", ["payments?page_size", "borrowers?page_size", "borrowers?page"])
    def test_numbers_accept_only_plain_digits(self, analyst, parameter, number):
        response = analyst.get(f"/api/v1/{parameter}={quote(number)}")
        assert faults(response)[0][:2] == (parameter.split("?")[1], number)

    def test_a_single_row_takes_no_parameters(self, book, analyst):
        response = analyst.get(f"/api/v1/credits/{book[0].pk}?state=open")
        assert faults(response) == [("state", "open", "no parameters")]

    @pytest.mark.parametrize("number", ["0", "99999999", "9" * 30, "9" * 5000])
    def test_an_unknown_row_is_404(self, analyst, number):
        response = analyst.get(f"/api/v1/credits/{number}")
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


class TestPages:
    def test_small_tables_have_a_count_and_numbered_pages(self, analyst):
        response = analyst.get("/api/v1/dictionary?page_size=3&page=2").json()
        assert response["count"] == 4
        assert [row["name"] for row in response["results"]] == ["збір"]
        assert response["next"] is None
        assert response["previous"] == "http://testserver/api/v1/dictionary?page_size=3"
        assert analyst.get("/api/v1/dictionary?page=2").status_code == 404
        assert faults(analyst.get("/api/v1/dictionary?page=x"))[0][:2] == ("page", "x")

    def test_large_tables_have_cursors_and_are_not_counted(self, book, analyst):
        with CaptureQueriesContext(connection) as queries:
            response = analyst.get("/api/v1/payments?page_size=2").json()
        assert set(response) == {"next", "previous", "results"}
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"]]

    @pytest.mark.parametrize("ordering", ["payment_date", "-payment_date", "sum", "-id"])
    def test_cursors_lead_through_equal_rows_and_back(self, analyst, ordering):
        credit = builders.credit("2021-06-01")
        Payment.objects.bulk_create(
            Payment(credit=credit, payment_date="2021-06-01", type_id=1, sum=1) for _ in range(25)
        )
        expected = sorted(Payment.objects.values_list("pk", flat=True), reverse=ordering.startswith("-"))
        address, forth = f"/api/v1/payments?page_size=4&ordering={ordering}", []
        while address:
            page = analyst.get(address).json()
            forth.append([row["id"] for row in page["results"]])
            address, back = page["next"], page["previous"]
        assert [pk for page in forth for pk in page] == expected
        for page in reversed(forth[:-1]):
            answer = analyst.get(back).json()
            assert [row["id"] for row in answer["results"]] == page
            back = answer["previous"]
        assert back is None

    @pytest.mark.parametrize(
        "cursor",
        [
            "x",
            "é",
            "MQ==",
            "e30=",
            "W10=",
            "W3RydWVd",
            "W2ZhbHNlLCAieCJd",
            "W2ZhbHNlLCBbMV1d",
            "W2ZhbHNlLCAxLCAyXQ==",
            urlsafe_b64encode(b"[" * 1600 + b"]" * 1600).decode(),
            urlsafe_b64encode(b'[false, "1e999999999", 1]').decode(),
            urlsafe_b64encode(b'[false, "1"]').decode(),
        ],
    )
    def test_an_invalid_cursor_is_404(self, book, analyst, cursor):
        for ordering in ("id", "sum"):
            response = analyst.get("/api/v1/payments", {"cursor": cursor, "ordering": ordering})
            assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
            assert response.json()["detail"] == "There is no such page. Follow next and previous."

    def test_a_cursor_of_another_ordering_or_changed_is_404(self, book, analyst):
        address = analyst.get("/api/v1/payments?page_size=1&ordering=payment_date").json()["next"]
        assert analyst.get(address).status_code == 200
        assert analyst.get(address.replace("payment_date", "sum")).status_code == 404
        assert analyst.get(address.replace("payment_date", "-payment_date")).status_code == 404
        assert analyst.get(address.replace("cursor=W", "cursor=V")).status_code == 404


class TestWriting:
    def test_a_row_is_created_changed_and_deleted(self, book, administrator):
        made = send(administrator, "borrowers", {"login": "їжак", "registration_date": "2021-01-01"})
        assert made.status_code == 201
        address = made["Location"].removeprefix("http://testserver/api/v1/")
        assert address == f"borrowers/{made.json()['id']}"
        changed = send(administrator, address, {"login": "Їжак"}, "patch")
        assert changed.json() == made.json() | {"login": "Їжак"}
        put = send(administrator, address, changed.json() | {"login": "a"}, "put")
        assert put.json()["login"] == "a"
        assert administrator.delete(f"/api/v1/{address}").status_code == 204
        assert not Borrower.objects.filter(pk=made.json()["id"]).exists()

    @pytest.mark.parametrize("amount", ["1837.5", '"1837.50"', "1837.50", '"1837.5"', "18375e-1"])
    def test_an_amount_is_exact_as_number_and_as_string(self, book, editor, amount):
        body = f'{{"credit": {book[0].pk}, "payment_date": "2021-06-05", "type": 1, "sum": {amount}}}'
        response = send(editor, "payments", body)
        assert response.json()["sum"] == 1837.5
        assert Payment.objects.get(pk=response.json()["id"]).sum == Decimal("1837.50")

    @pytest.mark.parametrize(
        ("amount", "found"),
        [
            ("1.005", "1.005"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1000000000000", "1000000000000"),
            ("0", "0"),
            ("-1", "-1"),
            ('"1,5"', "1,5"),
            ('"1_0"', "1_0"),
            ('" 1"', " 1"),
            ('"1\\n"', "1\n"),
            ('"1e2"', "1e2"),
            ("1e999999999", "1E+999999999"),
            ("true", "true"),
            ("null", None),
            ("[1]", None),
        ],
    )
    def test_invalid_amounts_are_refused(self, book, editor, amount, found):
        body = f'{{"credit": {book[0].pk}, "payment_date": "2021-06-05", "type": 1, "sum": {amount}}}'
        ((pointer, shown, _expected),) = faults(send(editor, "payments", body))
        assert (pointer, shown) == ("/sum", found)

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (
                '{"sum": 1e9999999999999999999999999}',
                [("/sum", "1e9999999999999999999999999", "a number in the supported range")],
            ),
            (
                '{"sum": -1e-9999999999999999999999999}',
                [("/sum", "-1e-9999999999999999999999999", "a number in the supported range")],
            ),
            (f'{{"credit": {"9" * 5000}}}', [("/credit", "9" * 99 + "…", "a number in the supported range")]),
            ('{"login": "a\\ud800b"}', [("/login", "a\\ud800b", "text in Unicode")]),
            ('"\\udfff"', [("", "\\udfff", "text in Unicode")]),
            (
                '{"a/b~\\uD800": {"c": [0, "\\uD800"]}}',
                [
                    ("/a~1b~0\\ud800", "a/b~\\ud800", "text in Unicode"),
                    ("/a~1b~0\\ud800/c/1", "\\ud800", "text in Unicode"),
                ],
            ),
            (
                '[{"sum": 1, "sum": 1}, {"a": {"b": 1, "c": 2, "b": 3}, "d": "d", "d": "d"}]',
                [
                    ("/0/sum", None, "a name that occurs only once in its object"),
                    ("/1/a/b", None, "a name that occurs only once in its object"),
                    ("/1/d", None, "a name that occurs only once in its object"),
                ],
            ),
        ],
    )
    @pytest.mark.parametrize("address", ["borrowers", "payments", "payments/bulk"])
    def test_senseless_json_is_refused_with_a_pointer(self, editor, address, body, expected):
        response = send(editor, address, body, **{"idempotency-key": "k"})
        assert faults(response) == expected
        assert response.json()["detail"] == "Check the body of the request."

    def test_text_may_have_characters_of_all_unicode_planes(self, editor):
        response = send(
            editor, "borrowers", '{"login": "\\ud83d\\udcb0😀", "registration_date": "2021-01-01"}'
        )
        assert response.json()["login"] == "💰😀"

    def test_an_object_with_many_names_is_parsed_quickly(self, editor):
        body = "{" + ",".join(f'"{number}":1' for number in range(100_000)) + ',"0":1}'
        assert faults(send(editor, "payments", body)) == [
            ("/0", None, "a name that occurs only once in its object")
        ]

    @pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "{", "\udc00", ""])
    def test_invalid_json_is_refused(self, editor, constant):
        response = send(editor, "payments", f'{{"sum": {constant}}}'.encode("utf-8", "surrogatepass"))
        assert faults(response)[0][0] == ""

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (
                {"return_date": "2021-05-31"},
                [("/return_date", "2021-05-31", "Expected the day of issuance, 2021-06-01, or later.")],
            ),
            (
                {"actual_return_date": "2021-05-31"},
                [
                    (
                        "/actual_return_date",
                        "2021-05-31",
                        "Expected the day of issuance, 2021-06-01, or later.",
                    )
                ],
            ),
            (
                {"issuance_date": "2021-06-03"},
                [
                    (
                        "/issuance_date",
                        "2021-06-03",
                        "Expected the day of the first payment, 2021-06-02, or earlier.",
                    )
                ],
            ),
            (
                {"return_date": "3000-01-01"},
                [("/return_date", "3000-01-01", "Enter a date from 1900 to 2999.")],
            ),
            ({"borrower": 99999}, [("/borrower", "99999", NO_SUCH)]),
            ({"borrower": "1"}, [("/borrower", "1", "An id is a whole number.")]),
            ({"borrower": 1.5}, [("/borrower", "1.5", "An id is a whole number.")]),
            (
                {"colour": "red", "body": None},
                [
                    ("/body", None, "This field may not be null."),
                    (
                        "/colour",
                        "red",
                        "One of these fields: borrower, issuance_date, return_date, actual_return_date, "
                        "body, percent.",
                    ),
                ],
            ),
        ],
    )
    def test_an_invalid_row_has_faults_at_its_fields_and_is_not_stored(self, book, editor, change, expected):
        before = Credit.objects.filter(pk=book[0].pk).values().get()
        assert faults(send(editor, f"credits/{book[0].pk}", change, "patch")) == expected
        assert Credit.objects.filter(pk=book[0].pk).values().get() == before

    @pytest.mark.parametrize("login", ["", " anna", "anna ", "an\nna", "a\0", "a\u200bb", "x" * 151, 5, None])
    def test_a_login_must_be_printable(self, editor, login):
        response = send(editor, "borrowers", {"login": login, "registration_date": "2021-01-01"})
        assert faults(response)[0][0] == "/login"

    def test_duplicates_are_409_with_the_field(self, book, editor):
        builders.plan("2021-06", Dictionary.ISSUANCE, 1)
        taken = send(editor, "borrowers", {"login": "Anna", "registration_date": "2021-01-01"})
        assert faults(taken, 409) == [("/login", "Anna", "Borrower with this Login already exists.")]
        planned = send(editor, "plans", {"period": "2021-06-01", "category": 3, "sum": 1})
        assert faults(planned, 409) == [
            ("/period", "2021-06-01", "There is a plan for this month and category already.")
        ]
        assert planned.json()["type"] == "urn:fintrack:conflict:duplicate"
        both = send(editor, "plans", {"period": "2021-06-01", "category": 3, "sum": -1})
        assert [fault[0] for fault in faults(both)] == ["/sum"]
        middle = send(editor, "plans", {"period": "2021-06-02", "category": 3, "sum": 1})
        assert faults(middle) == [("/period", "2021-06-02", "Expected the first day of a month.")]
        assert faults(send(editor, "plans", {"period": "2021-07-01", "category": 1, "sum": 1})) == [
            ("/category", "1", NO_SUCH)
        ]
        assert faults(send(editor, "dictionary", {"name": "ЗБІР"}), 409)[0][0] == "/name"

    def test_deleting_a_referenced_row_is_409(self, book, administrator):
        for address in (f"credits/{book[0].pk}", f"borrowers/{book[0].borrower_id}", "dictionary/4"):
            response = administrator.delete(f"/api/v1/{address}")
            assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
            kind = "needed" if address == "dictionary/4" else "referenced"
            assert response.json()["type"] == f"urn:fintrack:conflict:{kind}"
        assert Credit.objects.count() == 3
        assert Dictionary.objects.count() == 4

    def test_a_payment_is_stored_by_few_statements(self, book, editor):
        payment = Payment.objects.last()
        body = {"credit": payment.credit_id, "type": 1, "payment_date": "2021-06-09", "sum": "5"}
        with CaptureQueriesContext(connection) as queries:
            assert send(editor, "payments", body).status_code == 201
            assert send(editor, f"payments/{payment.pk}", {"sum": "6"}, "patch").status_code == 200
        statements = [re.match(r"(\w+) .*?\b(credits_\w+)", query["sql"]) for query in queries]
        looked_up = [("SELECT", "credits_credit"), ("SELECT", "credits_dictionary")]
        moves = [
            ("SELECT", "credits_payment"),  # the totals of the payment's day
            ("SELECT", "credits_credit"),  # when it is due
            ("SELECT", "credits_payment"),  # the days of its later payments
        ]
        of_day = [
            ("SELECT", "credits_credit"),  # the credits due with it that moved on this day
            ("SELECT", "credits_payment"),
            ("SELECT", "credits_credit"),
        ]
        others = [
            ("SELECT", "credits_credit"),  # its flaws
            ("SELECT", "credits_credit"),  # whose it is
            ("SELECT", "credits_credit"),  # all of that borrower, and what was paid for them
            ("SELECT", "credits_payment"),
        ]
        assert [found.groups() for found in statements if found] == [
            *looked_up,
            ("INSERT", "credits_payment"),
            *moves,
            *of_day,
            *others,
            ("SELECT", "credits_payment"),  # the row as the client knows it
            *looked_up,
            ("SELECT", "credits_payment"),  # what the trail says was there before
            ("UPDATE", "credits_payment"),
            *moves,
            *of_day,
            *of_day,  # of the later payment
            *others,
        ]

    def test_a_write_is_recorded_with_its_account(self, book):
        account = builders.account(EDITOR)
        client = APIClient()
        token = AuthToken.objects.create(account, timedelta(hours=1))[1]
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        send(client, f"credits/{book[0].pk}", {"percent": 21}, "patch")
        change = Change.objects.latest("pk")
        assert (change.account, change.action, change.object_id) == (account, Change.CHANGED, book[0].pk)
        assert change.fields == {"percent": ["20.00", "21.00"]}

    def test_a_write_renews_the_data_stamp(self, book, editor):
        before = DataStamp.current()
        send(editor, f"credits/{book[0].pk}", {"percent": 21}, "patch")
        assert DataStamp.current() != before

    def test_editors_can_delete_only_plans(self, book, editor):
        plan = builders.plan("2021-06", Dictionary.ISSUANCE, 1)
        assert editor.delete(f"/api/v1/plans/{plan.pk}").status_code == 204
        assert editor.delete(f"/api/v1/payments/{Payment.objects.first().pk}").status_code == 403


def payments_of(credit, *sums, day="2021-06-05"):
    return [{"credit": credit.pk, "payment_date": day, "type": 1, "sum": amount} for amount in sums]


@pytest.mark.parametrize("table", ["borrowers", "credits", "payments", "dictionary", "plans"])
def test_options_of_a_row_need_no_transaction(committed, client_as, table):
    credit = builders.credit()
    builders.payment(credit, "2021-06-02", 1)
    builders.plan("2021-06", Dictionary.ISSUANCE, 1)
    client = client_as(ADMINISTRATOR)
    listed = client.get(f"/api/v1/{table}").json()["results"]
    assert client.options(f"/api/v1/{table}/{listed[0]['id']}").status_code == 200


class TestBulk:
    def test_bulk_stores_all_payments_in_order(self, book, editor):
        response = send(editor, "payments/bulk", payments_of(book[0], 1, "2.50", 3))
        assert response.status_code == 201
        stored = Payment.objects.filter(payment_date="2021-06-05").order_by("id")
        assert response.json() == {"created": 3, "ids": [payment.pk for payment in stored]}
        assert [payment.sum for payment in stored] == [1, Decimal("2.50"), 3]

    def test_every_fault_has_its_index_and_nothing_is_stored(self, book, editor):
        body = payments_of(book[0], 1, 0, 2)
        body[2] |= {"credit": 99999, "type": 3}
        body += [*payments_of(book[0], 1, day="2021-05-31"), 7]
        assert faults(send(editor, "payments/bulk", body)) == [
            ("/1/sum", "0", "Ensure this value is greater than or equal to 0.01."),
            ("/2/credit", "99999", NO_SUCH),
            ("/2/type", "3", NO_SUCH),
            ("/3/payment_date", "2021-05-31", "Expected the credit's day of issuance, 2021-06-01, or later."),
            ("/4", "7", "Invalid data. Expected a dictionary, but got int."),
        ]
        assert Payment.objects.count() == 3

    @pytest.mark.parametrize("body", [[], {}, [{}] * 5001, "x", None])
    def test_bulk_takes_1_to_5000_payments(self, editor, body):
        assert {fault[0] for fault in faults(send(editor, "payments/bulk", json.dumps(body)))} == {""}

    def test_bulk_of_5000_payments_takes_few_queries(self, book, editor, django_assert_max_num_queries):
        body = payments_of(book[0], *["0.01"] * 5000)
        with django_assert_max_num_queries(100):
            response = send(editor, "payments/bulk", body)
        assert response.json()["created"] == 5000
        assert Payment.objects.count() == 5003

    @pytest.mark.parametrize("size", [2**21, 2**22])
    def test_more_than_two_megabytes_are_413(self, editor, size):
        response = send(editor, "payments/bulk", "[" + " " * size + "]")
        assert (response.status_code, response["Content-Type"]) == (413, "application/problem+json")


@pytest.mark.parametrize("address", ["payments", "payments/bulk"])
class TestIdempotency:
    def body(self, address, credit, amount=1):
        (payment,) = payments_of(credit, amount)
        return [payment] if address == "payments/bulk" else payment

    def test_a_retry_gets_the_same_response_and_stores_nothing(self, book, editor, address):
        body = self.body(address, book[0])
        answers = [send(editor, address, body, **{"idempotency-key": "k"}) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert [answer.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true"]
        assert Payment.objects.count() == 4

    def test_another_body_with_the_same_key_is_409(self, book, editor, address):
        send(editor, address, self.body(address, book[0]), **{"idempotency-key": "k"})
        response = send(editor, address, self.body(address, book[0], 2), **{"idempotency-key": "k"})
        assert (response.status_code, response.json()["type"]) == (409, "urn:fintrack:conflict:key-reused")
        assert Payment.objects.count() == 4

    def test_keys_are_separate_by_account_and_case(self, book, editor, administrator, address):
        body = self.body(address, book[0])
        for client, key in ((editor, "k"), (editor, "K"), (administrator, "k")):
            assert send(client, address, body, **{"idempotency-key": key}).status_code == 201
        assert Payment.objects.count() == 6

    def test_a_refused_request_does_not_use_up_its_key(self, book, editor, address):
        wrong = send(editor, address, self.body(address, book[0], 0), **{"idempotency-key": "k"})
        assert wrong.status_code == 400
        right = send(editor, address, self.body(address, book[0]), **{"idempotency-key": "k"})
        assert right.status_code == 201

    def test_a_key_expires_after_7_days(self, book, editor, address):
        body = self.body(address, book[0])
        send(editor, address, body, **{"idempotency-key": "k"})
        IdempotencyKey.objects.update(made="2020-01-01T00:00Z")
        again = send(editor, address, body, **{"idempotency-key": "k"})
        assert "Idempotency-Replayed" not in again
        assert IdempotencyKey.objects.count() == 1

    @pytest.mark.parametrize("key", ["", "a b", "ї", "x" * 256])
    def test_a_key_must_be_visible_ascii(self, book, editor, address, key):
        response = send(editor, address, self.body(address, book[0]), **{"idempotency-key": key})
        assert faults(response)[0][0] == "Idempotency-Key"


def test_a_retry_waits_for_the_first_request(committed, editor):
    credit = builders.credit("2021-06-01")
    body = payments_of(credit, 1, 2)

    def ask(_number):
        try:
            return send(editor, "payments/bulk", body, **{"idempotency-key": "k"})
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.get("Idempotency-Replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert Payment.objects.count() == 2


def test_one_of_several_simultaneous_duplicates_is_stored(committed, editor):
    def ask(_number):
        try:
            return send(editor, "plans", {"period": "2021-06-01", "category": 3, "sum": 1}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(ask, range(12)))
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 400, 409}
