"""The book: borrowers, their credits, the payments, and the dictionary of kinds of money."""

from array import array
from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, Greatest, Lower, Round
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext, pgettext_lazy

from .book.days import DaysBetween, DaysLater
from .book.money import KOPECK, MONEY, ZERO, ComparableMoneySum, Exceeds, MoneySum, WholeKopecks, grouped
from .book.reading import chunks
from .book.searching import ids, same
from .book.summaries import LOCK, Summary, SummaryManager
from .book.trail import Change, Load, LoadIds, RowsAtFault, Upload  # noqa: F401  # tables of this app
from .book.writing import BookModel, BookQuerySet, Lock, one_at_a_time  # noqa: F401
from .movements import BUCKETS, LATE, Flaw, History, Movement  # noqa: F401
from .totals import DailyTotal, Registrations, Total  # noqa: F401

# More interest than this many times the body is doubtful; the first real book has up to 13.3 times.
TIMES_BODY = 20

DEBTS_AT_ONCE = 500  # ids in one query


class DatedQuerySet(BookQuerySet):
    """Rows that move an amount of money on a day; a subclass names both columns."""

    day: str
    amount: str

    def dates(self, field_name: str, kind: str, order: str = "ASC") -> Any:
        """Django's, but returns a list: the first day of each year or month that has a row, or each such day.

        It reads one entry of the index for each. Django would truncate every date, on SQLite even in Python.
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
        """Returns the number of all rows and the sum of their amounts."""
        return Total(**self.aggregate(count=Count("pk"), sum=MoneySum(self.amount)))

    def first_day(self) -> date | None:
        """Returns the first day that has a row."""
        return self.aggregate(first=Min(self.day))["first"]


class ExactCharField(models.CharField):
    """Text that every database compares exactly. By default MySQL and MariaDB ignore case."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class BorrowerQuerySet(BookQuerySet):
    def count(self) -> int:
        query = self.query
        is_part = query.where or query.is_sliced or query.combinator or query.has_select_fields
        return super().count() if is_part or self._result_cache is not None else Registrations.total()

    def search(self, words: str) -> Self:
        """Returns the borrowers that have this id, or a login that contains the words.

        Case is ignored; on SQLite only that of A to Z, since its lower() changes no other letters.
        """
        by_id = Q(pk__in=ids(words))
        by_login = Q(login__contains=words) | Q(folded__contains=words.lower())
        return self.alias(folded=Lower("login")).filter(by_id | by_login)

    def with_credits(self) -> Self:
        """Annotates each borrower with credit_count and lent (the sum of the bodies) of all its credits."""
        return self.annotate(credit_count=Count("credits"), lent=MoneySum("credits__body"))


class Borrower(BookModel):
    """A person who borrows from the lender. Borrowers have no accounts on this site: those are auth.User."""

    login = ExactCharField(_("login"), max_length=150)
    registration_date = models.DateField(_("registered"))

    past = ("registration_date",)

    # Set by with_credits().
    credit_count: int
    lent: Decimal

    objects = BorrowerQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("borrower")
        verbose_name_plural = _("borrowers")
        indexes = [models.Index(fields=["registration_date", "id"], name="borrower_registered")]
        constraints = [models.UniqueConstraint(fields=["login"], name="borrower_login_unique")]

    def __str__(self) -> str:
        return self.login


def returned_after(day: date) -> Q:
    """Returns the condition for credits that are returned after the day, or not yet."""
    return Q(actual_return_date__isnull=True) | Q(actual_return_date__gt=day)


class CreditQuerySet(DatedQuerySet):
    day = "issuance_date"
    amount = "body"

    def with_outstanding(self, day: date) -> Self:
        """Annotates each credit with outstanding on the day: body - body payments by then, at least 0.

        A credit that is not open on the day owes nothing.
        """
        money = models.DecimalField(**MONEY)
        paid = (
            Payment.objects.filter(credit=OuterRef("pk"), type=Dictionary.BODY, payment_date__lte=day)
            .order_by()
            .values("credit")
            .annotate(paid=ComparableMoneySum("sum"))
        )
        owed = F("body") - Coalesce(Subquery(paid.values("paid")), ZERO)
        left = Round(Greatest(owed, ZERO, output_field=money), 2)  # SQLite subtracts floats
        is_open = Q(returned_after(day), issuance_date__lte=day)
        return self.annotate(outstanding=Case(When(is_open, then=left), default=ZERO, output_field=money))

    def total_on(self, day: date) -> Total:
        """Returns total(), and what the credits owe on the day."""
        found = self.with_outstanding(day)
        sums = found.aggregate(count=Count("pk"), sum=MoneySum("body"), owed=MoneySum("outstanding"))
        return Total(sums["count"], sums["sum"] or ZERO, sums["owed"] or ZERO)  # none() has no sums

    def late(self, days: int, on: date) -> Self:
        """Returns the credits not returned by due date + days. A return after the day `on` doesn't count."""
        deadline = DaysLater("return_date", days)
        returned_late = Q(actual_return_date__gt=F("deadline"))
        return self.alias(deadline=deadline).filter(returned_after(on) | returned_late)

    def named(self, words: str) -> Self:
        """Returns the credits that have this id, or a borrower that has this id or such a login."""
        return self.filter(self.has_name(words))

    def search(self, words: str) -> Self:
        """Returns the credits that named() returns, and those that have such an amount or day."""
        days = ("issuance_date", "return_date", "actual_return_date")
        return self.filter(self.has_name(words) | same(words, days, ("body", "percent")))

    @staticmethod
    def has_name(words: str) -> Q:
        if numbers := ids(words):
            return Q(pk__in=numbers) | Q(borrower__in=numbers)
        return Q(borrower__in=Borrower.objects.search(words))

    def in_state(self, states: Collection[str], day: date) -> Self:
        """Returns the credits in any of these states on the day. Before its issuance a credit has none."""
        # Usually no return date is in the future. Then open credits are a range of the index credit_returned.
        some_return_later = Credit.objects.filter(actual_return_date__gt=day).exists()
        not_returned = returned_after(day) if some_return_later else Q(actual_return_date__isnull=True)
        is_open = Q(not_returned, issuance_date__lte=day)
        kinds = {
            Credit.OPEN: is_open,
            Credit.IN_TERM: is_open & Q(return_date__gte=day),
            Credit.OVERDUE: is_open & Q(return_date__lt=day),
            Credit.CLOSED: Q(actual_return_date__lte=day),
        }
        wanted = set(states)
        if wanted >= {Credit.IN_TERM, Credit.OVERDUE}:
            wanted.add(Credit.OPEN)
        if Credit.OPEN in wanted:
            wanted -= {Credit.IN_TERM, Credit.OVERDUE}
        return self.filter(Q(*(kinds[state] for state in sorted(wanted)), _connector=Q.OR))

    def moved_on(self, day: date) -> Self:
        """Returns the credits that were issued, returned or paid for on the day."""
        paid = Exists(Payment.objects.filter(credit=OuterRef("pk"), payment_date=day).order_by())
        return self.filter(Q(issuance_date=day) | Q(actual_return_date=day) | paid)

    def with_history(self) -> Self:
        """Annotates each credit with history, the borrower's on the day of its issuance."""
        issued = OuterRef("issuance_date")
        earlier = Credit.objects.filter(borrower=OuterRef("borrower"), issuance_date__lt=issued).order_by()
        deadline = DaysLater("return_date", LATE)
        late = earlier.alias(deadline=deadline).filter(
            Q(actual_return_date__isnull=True) | Q(actual_return_date__gt=F("deadline")),
            deadline__lte=issued,
        )
        kind = Case(
            When(Exists(late), then=Value(History.LATE_BEFORE)),
            When(Exists(earlier), then=Value(History.RETURNING)),
            default=Value(History.NEW),
        )
        return self.annotate(history=kind)

    def overpaid(self) -> Self:
        """Returns the credits whose payments for the body exceed the body."""
        paid = (
            Payment.objects.filter(type=Dictionary.BODY)
            .values("credit")
            .annotate(paid=ComparableMoneySum("sum"))
        )
        return self.filter(pk__in=paid.filter(paid__gt=F("credit__body")).values("credit"))

    def with_payments(self, until: date = date.max) -> Self:
        """Annotates each credit with body_payments and percent_payments, the sums paid by the day."""
        by_then = Q(payments__payment_date__lte=until)
        paid = {
            name: MoneySum("payments__sum", filter=by_then & Q(payments__type=kind))
            for name, kind in (
                ("body_payments", Dictionary.BODY),
                ("percent_payments", Dictionary.INTEREST),
            )
        }
        return self.annotate(**paid)

    def lent_by_borrower(self) -> Any:
        """Returns (borrower, sum of the bodies) of each borrower, the greatest sums first."""
        # A cast keeps SQLite from reading the rows in the order of borrowers, in which they lie far apart.
        owner = Cast("borrower", models.BigIntegerField())
        sums = self.annotate(owner=owner).order_by().values_list("owner").annotate(lent=MoneySum("body"))
        return sums.order_by("-lent", "owner")

    def owing_most(self, least: Decimal, count: int, day: date) -> Any:
        """Returns the borrowers that owe most of these credits' bodies on the day, by amount, then login.

        Those whose bodies add up to less than `least` are left out, since they owe less too.
        """
        some = self.lent_by_borrower().filter(lent__gte=least).values("owner")
        found = self.with_outstanding(day).filter(borrower__in=some).order_by().values("borrower")
        owing = found.annotate(owed=MoneySum("outstanding")).order_by("-owed", "borrower__login")
        return owing.values_list("borrower", flat=True)[:count]

    def flawed(self, kind: Flaw.Kind) -> Self:
        """Returns the credits that have this flaw."""
        return self.filter(pk__in=Flaw.objects.filter(kind=kind).values("credit_id"))

    def beyond_daily_rate(self, rate: Decimal, today: date) -> Self:
        """Returns the credits whose interest exceeds body × rate × days. The rate is in percent.

        The days are those from issuance to return, or to today for open credits; at least 1.
        """
        days = DaysBetween("issuance_date", Coalesce("actual_return_date", today))
        at_least_one = Greatest(days, 1, output_field=models.IntegerField())
        return self.filter(Exceeds("percent", "body", at_least_one * int(rate * 100)))


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

    # Set by with_payments().
    body_payments: Decimal
    percent_payments: Decimal
    # Set by with_outstanding().
    outstanding: Decimal

    objects = CreditQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("credit")
        verbose_name_plural = _("credits")
        indexes = [
            # The columns after the id allow filters and sums to be computed from the index alone.
            models.Index(
                fields=["issuance_date", "id", "actual_return_date", "return_date", "body"],
                name="credit_in_order",
            ),
            models.Index(
                fields=["actual_return_date", "issuance_date", "id", "return_date", "body"],
                name="credit_returned",
            ),
            models.Index(fields=["return_date", "id"], name="credit_due"),
            models.Index(fields=["body", "id"], name="credit_by_body"),
            models.Index(fields=["percent", "id"], name="credit_by_percent"),
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
            text = ngettext(
                "%(interest)s is more than %(times)d time the body, %(body)s.",
                "%(interest)s is more than %(times)d times the body, %(body)s.",
                TIMES_BODY,
            )
            values = {"interest": grouped(self.percent), "times": TIMES_BODY, "body": grouped(self.body)}
            yield "percent", text % values

    def doubts_of_payments(self) -> Iterator[tuple[str, Any]]:
        """Yields (field, reason) if too much was paid for the credit, or if it is closed with a debt."""
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

    def is_closed_on(self, day: date) -> bool:
        return self.actual_return_date is not None and self.actual_return_date <= day

    def state(self, day: date) -> str:
        """Returns whether the credit is in term, overdue or closed on the day; "" before it is issued."""
        if self.issuance_date > day:
            return ""
        if self.is_closed_on(day):
            return self.CLOSED
        return self.OVERDUE if self.days_past_due(day) else self.IN_TERM

    def days_past_due(self, day: date) -> int:
        """Returns the number of days from the deadline to the day, at least 0."""
        return max(0, (day - self.return_date).days)


class DictionaryQuerySet(BookQuerySet):
    def search(self, words: str) -> Self:
        return self.filter(Q(name__icontains=words) | Q(pk__in=ids(words)))


# {name of an entry as the migrations make it: its name for people}
ORIGINAL_NAMES = {
    "тіло": _("body"),
    "відсотки": _("interest"),
    "видача": _("issuance"),
    "збір": _("collection"),
}


def name_for_people(name: str) -> str:
    """Returns the name of a dictionary entry: in the reader's language, unless staff have chosen the name."""
    return str(ORIGINAL_NAMES.get(name, name))


class Dictionary(BookModel):
    """The names of what a payment is for (1, 2) and of what a plan is about (3, 4)."""

    BODY, INTEREST, ISSUANCE, COLLECTION = FIXED = (1, 2, 3, 4)

    name = models.CharField(_("name"), max_length=100)

    objects = DictionaryQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("dictionary entry")
        verbose_name_plural = _("dictionary")

    def __str__(self) -> str:
        return name_for_people(self.name)

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        others = Dictionary.objects.exclude(pk=self.pk).values_list("name", flat=True)
        if self.name and self.name.casefold() in (name.casefold() for name in others):
            expected = _("There is already an entry with this name, ignoring case.")
            yield "name", ValidationError(expected, "unique")


class PaymentQuerySet(DatedQuerySet):
    day = "payment_date"
    amount = "sum"

    def of_few(self, lent: CreditQuerySet) -> Self:
        """Returns the payments of these credits. The database finds the credits, then their payments."""
        return self.filter(credit__in=lent)

    def of_many(self, lent: CreditQuerySet) -> Self:
        """Returns the payments of these credits. The database looks at the credit of each payment in turn.

        With of_few() MariaDB would sort millions of payments for one page.
        """
        of_payment = lent.filter(pk=OuterRef("credit")).values("pk")
        return self.alias(lent=Subquery(of_payment)).filter(lent__isnull=False)

    def within(self, days: int) -> Self:
        """Returns the payments that were made by their credit's due date + days."""
        due = Credit.objects.filter(pk=OuterRef("credit")).values("return_date")
        return self.alias(due=Subquery(due)).filter(payment_date__lte=DaysLater("due", days))

    def paid_for_body(self, day: date) -> dict[int, tuple[Decimal, date | None, date | None]]:
        """Returns {credit: (paid for its body by the day, day of the last payment, day of the next one)}."""
        by_then, later = Q(payment_date__lte=day), Q(payment_date__gt=day)
        rows = self.filter(type=Dictionary.BODY).order_by().values_list("credit")
        return {
            credit: (paid, last, following)
            for credit, paid, last, following in rows.annotate(
                paid=MoneySum("sum", filter=by_then),
                last=Max("payment_date", filter=by_then),
                following=Min("payment_date", filter=later),
            )
        }

    def search(self, words: str) -> Self:
        """Returns the payments that have this id, credit, amount or day, or a borrower with such a login."""
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
        db_index=False,  # payment_of_type begins with it
        limit_choices_to={"pk__in": [Dictionary.BODY, Dictionary.INTEREST]},
    )
    sum = models.DecimalField(_("sum"), **MONEY, validators=[MinValueValidator(KOPECK)])

    past = ("payment_date",)

    objects = PaymentQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            # The columns after the id allow sums to be computed from the index alone.
            models.Index(fields=["payment_date", "id", "type", "sum"], name="payment_in_order"),
            models.Index(fields=["type", "payment_date", "id"], name="payment_of_type"),
            models.Index(fields=["sum", "id"], name="payment_by_sum"),
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
        """Django's, but reads the credit again and locks it, unless it is excluded."""
        if "credit" not in (exclude or ()):
            for credit in Credit.objects.held([self.credit_id]).values():
                self.credit = credit
        super().clean_fields(exclude)

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        try:
            issued = self.credit.issuance_date
        except Credit.DoesNotExist:
            return  # the field reports the missing credit itself
        if issued and self.payment_date and self.payment_date < issued:
            expected = _("Expected the credit's day of issuance, %s, or later.") % issued
            yield "payment_date", ValidationError(expected, "too_early")


class BorrowerDebt(Summary):
    """What a borrower owes. The list of borrowers is sorted by these figures.

    The figures hold on each day from `since` to the day before `changes_on`, because no issuance, return or
    payment for body lies between. None means no bound. So a new day rarely requires a write.
    """

    # oldest_due of borrowers without open credits. It is not null, since databases sort nulls differently.
    NEVER = date.max

    borrower = models.OneToOneField(
        Borrower, models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False
    )
    credit_count = models.PositiveIntegerField()
    open_count = models.PositiveIntegerField()
    outstanding = WholeKopecks(max_digits=20, decimal_places=2)
    oldest_due = models.DateField()
    since = models.DateField(null=True)
    changes_on = models.DateField(null=True)

    sources: ClassVar = {
        "credits.borrower": ("id",),
        "credits.credit": ("borrower_id", "issuance_date", "return_date", "actual_return_date", "body"),
        "credits.payment": ("credit_id", "type_id", "payment_date", "sum"),
    }
    objects = SummaryManager()

    class Meta(Summary.Meta):
        db_table = "book_borrower_debt"
        indexes = [
            models.Index(fields=["outstanding", "borrower"], name="debt_by_outstanding"),
            models.Index(fields=["oldest_due", "borrower"], name="debt_by_oldest_due"),
            models.Index(fields=["since"], name="debt_since"),
            models.Index(fields=["changes_on"], name="debt_changes_on"),
        ]

    def __str__(self) -> str:
        return f"{self.borrower_id}"

    @classmethod
    def recompute(cls, touched: dict[Any, Collection[Any] | None]) -> None:
        borrowers: set[int] = set()
        for source, keys in touched.items():
            if keys is None:
                cls._base_manager.all().delete()
                return cls.store(cls.all_borrowers(), timezone.localdate())
            if source is Payment:
                for credits_paid in chunks(keys, DEBTS_AT_ONCE):
                    owners = Credit.objects.filter(pk__in=credits_paid).values_list("borrower", flat=True)
                    borrowers.update(owners)
            else:
                borrowers.update(keys)
        return cls.store(borrowers, timezone.localdate())

    @classmethod
    def all_computed(cls) -> Iterator["BorrowerDebt"]:
        for batch in chunks(cls.all_borrowers(), DEBTS_AT_ONCE):
            yield from cls.of(batch, timezone.localdate())

    @classmethod
    def bring_to(cls, day: date) -> None:
        begun_later, ended = Q(since__gt=day), Q(changes_on__lte=day)
        # MySQL would sometimes scan the table for both conditions in one query.
        if any(cls._base_manager.filter(condition).exists() for condition in (begun_later, ended)):
            with transaction.atomic():
                one_at_a_time(LOCK)
                others = cls._base_manager.filter(begun_later | ended).values_list("pk", flat=True)
                cls.store(array("q", others), day)

    @classmethod
    def all_borrowers(cls) -> Iterable[int]:
        return array("q", Borrower.objects.values_list("pk", flat=True).iterator())

    @classmethod
    def store(cls, borrowers: Iterable[int], day: date) -> None:
        for batch in chunks(borrowers, DEBTS_AT_ONCE):
            cls._base_manager.filter(pk__in=batch).delete()
            cls._base_manager.bulk_create(cls.of(batch, day))

    @classmethod
    def of(cls, borrowers: Collection[int], day: date) -> list["BorrowerDebt"]:
        """Returns what these borrowers owe on the day. Ids without a borrower are left out."""
        nothing = {"credit_count": 0, "open_count": 0, "outstanding": ZERO, "oldest_due": cls.NEVER}
        every = Credit.objects.filter(borrower__in=borrowers).in_bulk()
        owners = {credit.borrower_id for credit in every.values()}
        others = Borrower.objects.filter(pk__in=set(borrowers) - owners).values_list("pk", flat=True)
        debts = {pk: cls(borrower_id=pk, **nothing) for pk in [*owners, *others]}
        paid = Payment.objects.filter(credit__in=every).paid_for_body(day)
        for credit in every.values():
            debt = debts[credit.borrower_id]
            total, *days = paid.get(credit.pk, (ZERO,))
            for changed in filter(None, [credit.issuance_date, credit.actual_return_date, *days]):
                if changed <= day:
                    debt.since = max(changed, debt.since or changed)
                else:
                    debt.changes_on = min(changed, debt.changes_on or changed)
            if credit.issuance_date <= day:
                debt.credit_count += 1
                if not credit.is_closed_on(day):
                    debt.open_count += 1
                    debt.outstanding += max(credit.body - total, ZERO)
                    debt.oldest_due = min(debt.oldest_due, credit.return_date)
        return list(debts.values())


class RateQuerySet(BookQuerySet):
    def percents(self) -> dict[str, Decimal | None]:
        """Returns {name: percent} of all rates."""
        return dict.fromkeys(Rate.NAMES) | dict(self.values_list("name", "percent"))


class Rate(BookModel):
    """A percentage that staff set: of provisions for each bucket of days past due, and a limit for interest.

    The migrations create all rates. Those of provisions are an example, not a regulator's.
    """

    DAILY_INTEREST = gettext_noop("daily interest")
    NAMES = (*(bucket.name for bucket in BUCKETS), DAILY_INTEREST)

    name = models.CharField(
        pgettext_lazy("rate", "for"), max_length=20, unique=True, choices=[(name, _(name)) for name in NAMES]
    )
    percent = models.DecimalField(
        _("percent"),
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(ZERO)],
        help_text=_(
            "Of the outstanding principal of the bucket, from 0 to 100. For daily interest: the book's check "
            "reports credits with more interest than this percent of the body a day; empty: it checks none."
        ),
    )

    objects = RateQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("rate")
        verbose_name_plural = _("rates")
        constraints = [models.CheckConstraint(condition=Q(percent__gte=0), name="rate_not_negative")]

    def __str__(self) -> str:
        return self.get_name_display()

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        if self.name != self.DAILY_INTEREST and not (self.percent is not None and self.percent <= 100):
            yield "percent", _("Expected a percentage from 0 to 100.")
