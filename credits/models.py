"""The book: borrowers, their credits, the payments, and the dictionary that names kinds of money."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Count, F, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Greatest, Lower, Round
from django.utils.translation import gettext_lazy as _

from .book.money import KOPECK, MONEY, ZERO, ComparableMoneySum, MoneySum, WholeKopecks, grouped
from .book.searching import ids, same
from .book.trail import Change, Load, LoadIds, RowsAtFault, Upload  # noqa: F401  # tables of this app
from .book.writing import BookModel, BookQuerySet, Lock  # noqa: F401
from .totals import DailyTotal, Total  # noqa: F401

# More interest than this many times the body is doubtful; the first real book has up to 13.3 times.
TIMES_BODY = 20


class DatedQuerySet(BookQuerySet):
    """Rows that move an amount of money on a day; a subclass names both columns."""

    day: str
    amount: str

    def dates(self, field_name: str, kind: str, order: str = "ASC") -> Any:
        """The first days of the years or months, or the days, that have a row; Django's, as a list.

        One look into the index for each: Django would truncate every date, on SQLite in Python.
        """
        found: list[date] = []
        rows: Any = self
        while day := rows.order_by().aggregate(day=Min(field_name))["day"]:
            if kind == "year":
                start, following = day.replace(month=1, day=1), day.replace(year=day.year + 1, month=1, day=1)
            elif kind == "month":
                start = day.replace(day=1)
                following = (start + timedelta(days=31)).replace(day=1)
            else:
                start, following = day, day + timedelta(days=1)
            found.append(start)
            rows = self.filter(**{f"{field_name}__gte": following})
        return found if order == "ASC" else found[::-1]

    def total(self) -> Total:
        """Of all rows."""
        return Total(**self.aggregate(count=Count("pk"), sum=MoneySum(self.amount)))

    def first_day(self) -> date | None:
        """The first day that has a row."""
        return self.aggregate(first=Min(self.day))["first"]


class ExactCharField(models.CharField):
    """Text compared to the letter on every database; MySQL and MariaDB ignore case by default."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class BorrowerQuerySet(BookQuerySet):
    def search(self, words: str) -> Self:
        """Those whose id is the words, or whose login has them in it.

        In any case; on SQLite, which knows the case of a to z alone, other letters as they are.
        """
        by_id = Q(pk__in=ids(words))
        by_login = Q(login__contains=words) | Q(folded__contains=words.lower())
        return self.alias(folded=Lower("login")).filter(by_id | by_login)

    def with_debt(self, day: date) -> Self:
        """Annotated with what they owe on the day: credits, open_credits, outstanding, oldest_due.

        outstanding is principal; oldest_due is the earliest deadline of an open credit, or None.
        """
        issued = Credit.objects.filter(borrower=OuterRef("pk"), issuance_date__lte=day).order_by()
        of_borrower = issued.values("borrower")
        still_open = Credit.objects.open_at(day).filter(borrower=OuterRef("pk")).order_by().values("borrower")
        owed = (
            Credit.objects.outstanding_at(day)
            .filter(borrower=OuterRef("pk"))
            .order_by()
            .values("borrower")
            .annotate(owed=MoneySum("outstanding"))
        )
        return self.annotate(
            credit_count=Coalesce(Subquery(of_borrower.annotate(n=Count("pk")).values("n")), 0),
            open_count=Coalesce(Subquery(still_open.annotate(n=Count("pk")).values("n")), 0),
            outstanding=Coalesce(Subquery(owed.values("owed")), 0, output_field=WholeKopecks(**MONEY)),
            oldest_due=Subquery(still_open.annotate(due=Min("return_date")).values("due")),
        )

    def with_credits(self) -> Self:
        """Annotated with credit_count and lent, the sum of their bodies: all credits ever issued to each."""
        return self.annotate(credit_count=Count("credits"), lent=MoneySum("credits__body"))


class Borrower(BookModel):
    """Whom the lender lends to. Not an account of this site: that is auth.User."""

    login = ExactCharField(_("login"), max_length=150)
    registration_date = models.DateField(_("registered"))

    past = ("registration_date",)

    # Where the QuerySet is with_debt() or with_credits().
    credit_count: int
    lent: Decimal
    open_count: int
    outstanding: Decimal
    oldest_due: date | None

    objects = BorrowerQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("borrower")
        verbose_name_plural = _("borrowers")
        constraints = [models.UniqueConstraint(fields=["login"], name="borrower_login_unique")]

    def __str__(self) -> str:
        return self.login


def returned_after(day: date) -> Q:
    """Of a credit: returned later than on the day, or not yet."""
    return Q(actual_return_date__isnull=True) | Q(actual_return_date__gt=day)


class CreditQuerySet(DatedQuerySet):
    day = "issuance_date"
    amount = "body"

    def open_at(self, day: date) -> Self:
        """Issued by the day and not returned by it."""
        return self.in_state([Credit.OPEN], day)

    def outstanding_at(self, day: date) -> Self:
        """Open ones, annotated with outstanding: body - body payments up to the day, never under 0."""
        paid = (
            Payment.objects.filter(credit=OuterRef("pk"), type=Dictionary.BODY, payment_date__lte=day)
            .order_by()
            .values("credit")
            .annotate(paid=ComparableMoneySum("sum"))
        )
        owed = F("body") - Coalesce(Subquery(paid.values("paid")), ZERO)
        not_negative = Greatest(owed, ZERO, output_field=models.DecimalField(**MONEY))
        return self.open_at(day).annotate(outstanding=Round(not_negative, 2))  # SQLite subtracts floats

    def named(self, words: str) -> Self:
        """By its id or its borrower's, or a part of the borrower's login."""
        return self.filter(self.has_name(words))

    def search(self, words: str) -> Self:
        """The same, or by one of its amounts or days."""
        days = ("issuance_date", "return_date", "actual_return_date")
        return self.filter(self.has_name(words) | same(words, days, ("body", "percent")))

    @staticmethod
    def has_name(words: str) -> Q:
        if numbers := ids(words):
            return Q(pk__in=numbers) | Q(borrower__in=numbers)
        return Q(borrower__in=Borrower.objects.search(words))

    def in_state(self, states: Collection[str], day: date) -> Self:
        """Those of any of these states of Credit.STATES on the day; one that is issued later is in none."""
        is_open = Q(returned_after(day), issuance_date__lte=day)
        kinds = {
            Credit.OPEN: is_open,
            Credit.IN_TERM: is_open & Q(return_date__gte=day),
            Credit.OVERDUE: is_open & Q(return_date__lt=day),
            Credit.CLOSED: Q(actual_return_date__lte=day),
        }
        return self.filter(Q(*(kinds[state] for state in states), _connector=Q.OR))

    def overpaid(self) -> Self:
        """More was paid towards the body than the body is."""
        paid = (
            Payment.objects.filter(type=Dictionary.BODY)
            .values("credit")
            .annotate(paid=ComparableMoneySum("sum"))
        )
        return self.filter(pk__in=paid.filter(paid__gt=F("credit__body")).values("credit"))

    def with_payments(self, until: date = date.max) -> Self:
        """Annotated with body_payments and percent_payments: what was paid for each by the day."""
        by_then = Q(payments__payment_date__lte=until)
        paid = {
            name: MoneySum("payments__sum", filter=by_then & Q(payments__type=kind))
            for name, kind in (
                ("body_payments", Dictionary.BODY),
                ("percent_payments", Dictionary.INTEREST),
            )
        }
        return self.annotate(**paid)


class Credit(BookModel):
    """One loan. It is open while actual_return_date is empty: in term up to its deadline, then overdue."""

    OPEN, IN_TERM, OVERDUE, CLOSED = STATES = ("open", "in_term", "overdue", "closed")

    borrower = models.ForeignKey(Borrower, models.PROTECT, related_name="credits", verbose_name=_("borrower"))
    issuance_date = models.DateField(_("issued"))
    return_date = models.DateField(_("due"))
    actual_return_date = models.DateField(_("returned"), null=True, blank=True)
    body = models.DecimalField(_("body"), **MONEY, validators=[MinValueValidator(ZERO)])
    percent = models.DecimalField(
        _("interest"),
        **MONEY,
        validators=[MinValueValidator(ZERO)],
        help_text=_("Interest accrued: an amount of money, not a rate."),
    )

    past = ("issuance_date", "actual_return_date")

    # Where the QuerySet is with_payments().
    body_payments: Decimal
    percent_payments: Decimal

    objects = CreditQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("credit")
        verbose_name_plural = _("credits")
        indexes = [
            models.Index(fields=["issuance_date", "body"], name="credit_issued"),
            models.Index(fields=["issuance_date", "id"], name="credit_in_order"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(body__gte=0), name="credit_body_not_negative"),
            models.CheckConstraint(condition=Q(percent__gte=0), name="credit_percent_not_negative"),
            models.CheckConstraint(
                condition=Q(return_date__gte=F("issuance_date")),
                name="credit_due_after_issuance",
                violation_error_message=_("The credit is due before it is issued."),
            ),
            models.CheckConstraint(
                condition=Q(actual_return_date__gte=F("issuance_date")) | Q(actual_return_date__isnull=True),
                name="credit_returned_after_issuance",
                violation_error_message=_("The credit is returned before it is issued."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        if self.issuance_date:
            for name in ("return_date", "actual_return_date"):
                day = getattr(self, name)
                if day and day < self.issuance_date:
                    expected = _("Expected the day of issuance, %s, or later.") % self.issuance_date
                    yield name, ValidationError(expected, "too_early")
            paid = self.payments.first_day() if self.pk else None
            if paid and paid < self.issuance_date:
                expected = _("Expected the day of the first payment, %s, or earlier.") % paid
                yield "issuance_date", ValidationError(expected, "too_late")

    def doubts(self, today: date) -> Iterator[tuple[str, Any]]:
        yield from super().doubts(today)
        if self.percent > self.body * TIMES_BODY:
            values = {"interest": grouped(self.percent), "times": TIMES_BODY, "body": grouped(self.body)}
            yield "percent", _("%(interest)s is more than %(times)d times the body, %(body)s.") % values

    def doubts_of_payments(self) -> Iterator[tuple[str, Any]]:
        """What is doubtful beside the payments that are stored: too much paid, or closed with a debt."""
        stored = Credit.objects.with_payments().get(pk=self.pk)
        for name in ("body", "percent"):
            owed = getattr(stored, name) - getattr(stored, f"{name}_payments")
            if owed < 0:
                yield name, _("%s more was paid than is owed.") % grouped(-owed)
            elif owed > 0 and stored.is_closed:
                yield name, _("%s is unpaid, though the credit is closed.") % grouped(owed)

    @property
    def is_closed(self) -> bool:
        return self.actual_return_date is not None

    def state(self, day: date) -> str:
        """In term, overdue or closed on the day; empty before it is issued."""
        if self.issuance_date > day:
            return ""
        if self.actual_return_date and self.actual_return_date <= day:
            return self.CLOSED
        return self.OVERDUE if self.days_past_due(day) else self.IN_TERM

    def days_past_due(self, day: date) -> int:
        """Whole days from the deadline to the day, never under 0."""
        return max(0, (day - self.return_date).days)


class DictionaryQuerySet(BookQuerySet):
    def search(self, words: str) -> Self:
        return self.filter(Q(name__icontains=words) | Q(pk__in=ids(words)))


class Dictionary(BookModel):
    """The names of what a payment is for (1, 2) and of what a plan is about (3, 4)."""

    BODY, INTEREST, ISSUANCE, COLLECTION = FIXED = (1, 2, 3, 4)

    name = models.CharField(_("name"), max_length=100)

    objects = DictionaryQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("dictionary entry")
        verbose_name_plural = _("dictionary")

    def __str__(self) -> str:
        return self.name

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        others = Dictionary.objects.exclude(pk=self.pk).values_list("name", flat=True)
        if self.name and self.name.casefold() in (name.casefold() for name in others):
            expected = _("There is an entry of this name, in some case, already.")
            yield "name", ValidationError(expected, "unique")


class PaymentQuerySet(DatedQuerySet):
    day = "payment_date"
    amount = "sum"

    def search(self, words: str) -> Self:
        """By its id or its credit's, a part of the borrower's login, its amount or its day."""
        if numbers := ids(words):
            named = Q(pk__in=numbers) | Q(credit__in=numbers)
        else:
            named = Q(credit__borrower__in=Borrower.objects.search(words))
        return self.filter(named | same(words, [self.day], [self.amount]))


class Payment(BookModel):
    """Money received for a credit, towards its body or its interest."""

    credit = models.ForeignKey(
        Credit,
        models.PROTECT,
        related_name="payments",
        verbose_name=_("credit"),
        db_index=False,  # payment_of_credit begins with it
    )
    payment_date = models.DateField(_("paid"))
    type = models.ForeignKey(
        Dictionary,
        models.PROTECT,
        related_name="payments",
        verbose_name=_("type"),
        db_index=False,  # two values
        limit_choices_to={"pk__in": [Dictionary.BODY, Dictionary.INTEREST]},
    )
    sum = models.DecimalField(_("sum"), **MONEY, validators=[MinValueValidator(KOPECK)])

    past = ("payment_date",)

    objects = PaymentQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            models.Index(fields=["payment_date", "type", "sum"], name="payment_by_day"),
            models.Index(fields=["payment_date", "id"], name="payment_in_order"),
            models.Index(fields=["credit", "type", "payment_date", "sum"], name="payment_of_credit"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(sum__gt=0), name="payment_sum_positive"),
            models.CheckConstraint(
                condition=Q(type__in=[Dictionary.BODY, Dictionary.INTEREST]),
                name="payment_for_body_or_interest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's. Unless it is excluded, the credit is read anew, and held."""
        if "credit" not in (exclude or ()):
            for credit in Credit.objects.held([self.credit_id]).values():
                self.credit = credit
        super().clean_fields(exclude)

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        try:
            issued = self.credit.issuance_date
        except Credit.DoesNotExist:
            return  # a fault of its own
        if issued and self.payment_date and self.payment_date < issued:
            expected = _("Expected the credit's day of issuance, %s, or later.") % issued
            yield "payment_date", ValidationError(expected, "too_early")
