"""The resources of the source files: the columns of each file, and the checks of its rows."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Min
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from import_export.fields import Field

from .book.batches import Batch, Doubtful
from .book.cells import Amount, Day, Id, Kind, Text
from .book.files import Faults
from .book.money import KOPECK, ZERO, grouped
from .book.resources import BookResource
from .models import Borrower, Credit, Dictionary, Payment


class BorrowerResource(BookResource):
    id = Field("id", "id", Id(required=False))
    login = Field("login", "login", Text(max_length=150))
    registration_date = Field("registration_date", "registration_date", Day())

    owner = "login"

    class Meta:
        model = Borrower
        fields = ("id", "login", "registration_date")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logins: dict[str, int] = {}  # {login: its borrower's id; without one, the negative row number}

    def check(self, batch: Batch) -> None:
        logins = [item.login for _number, item in batch.having("login")]
        taken = dict(Borrower.objects.filter(login__in=logins).values_list("login", "pk"))
        for number, item in batch.having("login"):
            borrower = item.pk or -number
            if self.logins.get(item.login, borrower) != borrower:
                batch.refuse(number, "login", _("a login that no other row has"), "repeated")
            elif batch.is_right(number, "id"):
                self.logins[item.login] = borrower
                if taken.get(item.login, item.pk) != item.pk:
                    expected = _("another login: borrower %d has this one") % taken[item.login]
                    batch.refuse(number, "login", expected, "unique")


class CreditResource(BookResource):
    id = Field("id", "id", Id(required=False))
    user_id = Field("borrower_id", "user_id", Id())
    issuance_date = Field("issuance_date", "issuance_date", Day())
    return_date = Field("return_date", "return_date", Day())
    actual_return_date = Field("actual_return_date", "actual_return_date", Day(required=False))
    body = Field("body", "body", Amount(ZERO))
    percent = Field("percent", "percent", Amount(ZERO))

    owner = "user_id"

    class Meta:
        model = Credit
        fields = (
            "id",
            "user_id",
            "issuance_date",
            "return_date",
            "actual_return_date",
            "body",
            "percent",
        )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # {credit: (row, cell, day)} of credits whose new issuance date is later than the stored one
        self.issued_later: dict[int, tuple[int, Any, date]] = {}

    def check(self, batch: Batch) -> None:
        borrowers = batch.known(Borrower, "borrower_id", "user_id")
        for number, item in batch.having("user_id"):
            if item.borrower_id not in borrowers:
                batch.refuse(number, "user_id", _("the id of a borrower"), "does_not_exist")
            elif borrowers[item.borrower_id] is None:
                batch.leave_out(number)
        for number, item in batch.having("issuance_date"):
            for column in ("return_date", "actual_return_date"):
                day = getattr(item, column)
                if day and day < item.issuance_date:
                    issued = date_format(item.issuance_date, "SHORT_DATE_FORMAT")
                    expected = _("the issuance date, %(day)s, or later") % {"day": issued}
                    batch.refuse(number, column, expected, "too_early")
            stored = batch.stored.get(item.pk) if batch.is_right(number, "id", "user_id") else None
            if stored and stored.issuance_date < item.issuance_date:
                cell = batch.cells[number]["issuance_date"]
                self.issued_later[item.pk] = number, cell, item.issuance_date

    def finish(self, faults: Faults, doubtful: Doubtful) -> None:
        pks = list(self.issued_later)
        for start in range(0, len(pks), 500):
            payments = Payment.objects.filter(credit__in=pks[start : start + 500]).order_by()
            for credit, paid in payments.values_list("credit").annotate(Min("payment_date")):
                number, found, issued = self.issued_later[credit]
                if paid < issued:
                    day = date_format(paid, "SHORT_DATE_FORMAT")
                    expected = _("the day of the first payment, %(day)s, or earlier") % {"day": day}
                    faults.add(number, "issuance_date", found, expected, "too_late")

    def doubts(self, batch: Batch) -> Iterator[tuple[int, str, Any]]:
        yield from super().doubts(batch)
        changed = {row.item.pk: row for row in batch.compared if row.kind == "changed"}
        for credit in Credit.objects.with_payments().filter(pk__in=changed):
            row = changed[credit.pk]
            owed = row.item.body - credit.body_payments
            if row.item.is_closed and not credit.is_closed and owed > 0:
                yield row.number, "actual_return_date", _("%s of the body isn't paid.") % grouped(owed)


class PaymentResource(BookResource):
    id = Field("id", "id", Id(required=False))
    credit_id = Field("credit_id", "credit_id", Id())
    payment_date = Field("payment_date", "payment_date", Day())
    type_id = Field(
        "type_id", "type_id", Kind({Dictionary.BODY, Dictionary.INTEREST}, _("1 (body) or 2 (interest)"))
    )
    sum = Field("sum", "sum", Amount(KOPECK))

    owner = "credit_id"

    class Meta:
        model = Payment
        fields = ("id", "credit_id", "payment_date", "type_id", "sum")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.added: dict[tuple[int, int], Decimal] = defaultdict(Decimal)  # sums of the rows so far

    def check(self, batch: Batch) -> None:
        issued = batch.known(Credit, "credit_id", "credit_id", "issuance_date")
        kinds = batch.known(Dictionary, "type_id", "type_id")
        for number, item in batch.having("credit_id"):
            if item.credit_id not in issued:
                batch.refuse(number, "credit_id", _("the id of a credit"), "does_not_exist")
            elif not (day := issued[item.credit_id]):
                batch.leave_out(number)
            elif item.payment_date and item.payment_date < day:
                text = _("the credit's issuance date, %(day)s, or later")
                expected = text % {"day": date_format(day, "SHORT_DATE_FORMAT")}
                batch.refuse(number, "payment_date", expected, "too_early")
        for number, item in batch.having("type_id"):
            if not kinds.get(item.type_id):
                batch.leave_out(number)

    def doubts(self, batch: Batch) -> Iterator[tuple[int, str, Any]]:
        yield from super().doubts(batch)
        rows = [row for row in batch.compared if row.kind != "unchanged"]
        credits_paid = Credit.objects.with_payments().in_bulk({row.item.credit_id for row in rows})
        for row in rows:
            for payment, sign in ((row.stored, -1), (row.item, 1)):
                if payment:
                    self.added[payment.credit_id, payment.type_id] += sign * payment.sum
            if not (credit := credits_paid.get(row.item.credit_id)):
                continue  # deleted meanwhile
            if row.item.type_id == Dictionary.BODY:
                beyond, what = credit.body_payments - credit.body, _("body")
            else:
                beyond, what = credit.percent_payments - credit.percent, _("interest")
            beyond += self.added[credit.pk, row.item.type_id]
            if beyond > 0:
                text = _("With it %(amount)s more is paid for %(what)s than is owed.")
                yield row.number, "sum", text % {"amount": grouped(beyond), "what": what}


class DictionaryResource(BookResource):
    id = Field("id", "id", Id())
    name = Field("name", "name", Text(max_length=100))

    class Meta:
        model = Dictionary
        fields = ("id", "name")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names: dict[int, str] = {}

    def check(self, batch: Batch) -> None:
        self.names |= {item.pk: item.name for item in batch.items.values()}

    def finish(self, faults: Faults, doubtful: Doubtful) -> None:
        names = dict(Dictionary.objects.values_list("pk", "name")) | self.names
        missing = set(Dictionary.FIXED) - names.keys()
        for number in sorted(missing - doubtful.among(Dictionary, missing)):
            faults.add(None, "id", None, _("a row with the id %d") % number, "required")
        folded = [name.casefold() for name in names.values()]
        for name in names.values():
            if folded.count(name.casefold()) > 1:
                expected = _("a name that no other row has, in any case")
                faults.add(None, "name", name, expected, "repeated")
