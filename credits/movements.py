"""Stored movements of credits by day. Reports on the health of the book add them up, as of any day."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from operator import add
from typing import Any, ClassVar, NamedTuple, Self

from django.apps import apps
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Max, Min, Q, Sum, Value, When
from django.db.models.functions import Greatest, Left
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from .book.days import days_before
from .book.money import KOPECK, ZERO, WholeKopecks, percent
from .book.reading import chunks
from .book.summaries import Summary, SummaryManager
from .totals import Total

IDS_AT_ONCE = 500  # in one query
DAYS_AT_ONCE = 20  # due days whose payments are read in one query
FEW = 2  # days of which only the credits that moved are computed, not all that are due on the same day
LATE = 30  # days past due after which an earlier credit counts as late
BODY = 1  # the id in the dictionary


class Bucket(NamedTuple):
    """A range of days past due, both ends included. most is None for the last bucket."""

    name: str
    least: int
    most: int | None

    def due_between(self, day: date) -> tuple[date | None, date | None]:
        """Returns the first and last due day of the credits in this bucket on the day. None is no bound."""
        first = None if self.most is None else days_before(day, self.most)
        return first, days_before(day, self.least) if self.least else None


BUCKETS = [
    Bucket(gettext_noop("current"), 0, 0),
    Bucket(gettext_noop("1 to 30"), 1, 30),
    Bucket(gettext_noop("31 to 60"), 31, 60),
    Bucket(gettext_noop("61 to 90"), 61, 90),
    Bucket(gettext_noop("91 to 180"), 91, 180),
    Bucket(gettext_noop("181 to 360"), 181, 360),
    Bucket(gettext_noop("over 360"), 361, None),
]


class History(models.IntegerChoices):
    """What a credit's borrower did before the day of its issuance. The names are those of the API."""

    NEW = 1, pgettext_lazy("borrower", "new")  # no credit was issued on an earlier day
    RETURNING = 2, pgettext_lazy("borrower", "returning")
    LATE_BEFORE = 3, _("returning, late before")  # an earlier credit was then unreturned 30 days after due


@dataclass(frozen=True, slots=True)
class Standing:
    """The number of open credits, and their outstanding principal."""

    credits: int = 0
    outstanding: Decimal = ZERO

    def __add__(self, other: "Standing") -> "Standing":
        return Standing(self.credits + other.credits, self.outstanding + other.outstanding)


class CohortMonth(NamedTuple):
    """What happened in one month to the credits issued in one month. Months are such as 2021-06."""

    cohort: str
    month: str
    credits: int  # issued
    issued: Decimal
    body_paid: Decimal
    interest_paid: Decimal


class Paid(NamedTuple):
    """Credits due in one month whose days of grace have passed, and what was paid by the end of them."""

    month: str  # 2021-06
    grace: int  # days after the due day
    credits: int
    body: Decimal
    body_paid: Decimal


class Returned(NamedTuple):
    """Credits due in one month whose days of grace have passed, by history, and how many were returned."""

    month: str  # 2021-06
    history: int  # of History
    grace: int  # days after the due day
    credits: int
    returned: int  # by the end of the grace


CLOSED = len(BUCKETS)  # stands for the number of a bucket in rolls()
OLD, NEW = "old", "new"  # the origin of a month's changes
STARTS = [bucket.least for bucket in BUCKETS[1:]]


@dataclass(frozen=True, slots=True)
class Roll:
    """The number of credits that took one way in a month, and what they owed before and after it."""

    credits: int = 0
    opening: Decimal = ZERO
    closing: Decimal = ZERO

    def __add__(self, other: "Roll") -> "Roll":
        return Roll(self.credits + other.credits, self.opening + other.opening, self.closing + other.closing)


@dataclass(frozen=True, slots=True)
class Flow:
    """What a month brought: cash, and the outstanding principal at its end. All are money.

    Lists have an item for each bucket.
    """

    opening: list[Decimal]  # the outstanding principal at the end of the month before
    cash: list[Decimal]  # what was paid in the month for the credits of each bucket of that day
    moved: dict[tuple[int, int], Decimal]  # what they owe at the end, by their buckets before and after
    issued: Decimal
    new_cash: Decimal  # what was paid in the month for the credits issued in it
    new_closing: list[Decimal]  # what these owe at the end

    @property
    def closing(self) -> list[Decimal]:
        """Returns the outstanding principal at the end of the month."""
        found = [*self.new_closing]
        for (_before, after), outstanding in self.moved.items():
            found[after] += outstanding
        return found


@dataclass(frozen=True, slots=True)
class Turnover:
    """The number and the sum of issued credits, and the cash that was paid."""

    credits: int = 0
    issued: Decimal = ZERO
    collected: Decimal = ZERO


class MovementQuerySet(models.QuerySet[Any]):
    def until(self, day: date) -> Self:
        """Returns the movements by the day, of credits issued by the day."""
        return self.filter(day__lte=day, issued_on__lte=day)

    def total(self) -> Total:
        """Returns the number of credits issued, and the sum of their bodies."""
        sums = self.aggregate(count=Sum("opened"), sum=Sum("issued"))
        return Total(sums["count"] or 0, sums["sum"] or ZERO)

    def days(self) -> tuple[date | None, date | None]:
        """Returns the first and the last day on which something happened."""
        found = self.aggregate(first=Min("day"), last=Max("day"))
        return found["first"], found["last"]

    def by_bucket(self, day: date) -> Self:
        """Annotates each movement with the number of its credits' bucket on the day."""
        within = [
            When(due_on__gte=days_before(day, bucket.most), then=Value(number))
            for number, bucket in enumerate(BUCKETS)
            if bucket.most is not None
        ]
        last = Value(len(BUCKETS) - 1)
        return self.annotate(bucket=Case(*within, default=last, output_field=models.SmallIntegerField()))

    def by_cohort(self) -> list[CohortMonth]:
        """Returns the months of each cohort, in order. Money paid before the issuance counts on its day."""
        rows = self.annotate(cohort=Left("issued_on", 7), month=Left(Greatest("day", "issued_on"), 7))
        sums = [Sum(column) for column in ("opened", "issued", "body_paid", "interest_paid")]
        groups = rows.order_by("cohort", "month").values_list("cohort", "month")
        return [CohortMonth(*row) for row in groups.annotate(*sums)]

    def paid_in_time(self, day: date, graces: Sequence[int]) -> list[Paid]:
        """Returns the credits due in each month whose grace has passed by the day, and what was paid."""
        return [Paid(*row) for row in self.in_time(day, graces, ["month"], ["opened", "issued"], "body_paid")]

    def returned_in_time(self, day: date, graces: Sequence[int]) -> list[Returned]:
        """Returns the credits due in each month whose grace has passed by the day, and how many came back."""
        return [
            Returned(*row) for row in self.in_time(day, graces, ["month", "history"], ["opened"], "closed")
        ]

    def in_time(
        self, day: date, graces: Sequence[int], groups: list[str], due: list[str], done: str
    ) -> Iterator[tuple[Any, ...]]:
        """Yields (*groups, grace, *sums) of the credits whose due day and grace have passed by the day.

        The sums are those of the columns due, and of done by the end of the grace. A grace without credits is
        left out.
        """
        sums: dict[str, Sum] = {}
        for grace in graces:
            passed = Q(due_on__lte=days_before(day, grace))
            for column in due:
                sums[f"{column}_{grace}"] = Sum(column, filter=passed, default=0)
            # days_late stands first, since it rules out most rows.
            sums[f"{done}_{grace}"] = Sum(done, filter=Q(days_late__lte=grace) & passed, default=0)
        rows = self.until(day).filter(due_on__lte=day).annotate(month=Left("due_on", 7)).order_by(*groups)
        for row in rows.values_list(*groups).annotate(**sums):
            keys, values = row[: len(groups)], row[len(groups) :]
            for grace, of_grace in zip(graces, chunks(values, len(due) + 1), strict=True):
                if of_grace[0]:
                    yield (*keys, grace, *of_grace)

    def turnover(self, day: date) -> dict[tuple[str, bool], Turnover]:
        """Returns {("2021-06", whether the borrowers were new): Turnover} up to the day.

        Money paid before the issuance counts in its own month, as it does in the month's collection.
        It has the months with an issuance or a payment, in order.
        """
        moved = Q(opened__gt=0) | Q(body_paid__gt=0) | Q(interest_paid__gt=0)
        is_new = ExpressionWrapper(Q(history=History.NEW), output_field=models.BooleanField())
        rows = self.filter(moved, day__lte=day)
        rows = rows.annotate(month=Left("day", 7), is_new=is_new).order_by("month")
        sums = rows.values_list("month", "is_new").annotate(
            Sum("opened"), Sum("issued"), Sum("body_paid"), Sum("interest_paid")
        )
        return {
            (month, bool(is_new)): Turnover(opened, issued, body + interest)
            for month, is_new, opened, issued, body, interest in sums
        }

    def ageing(self, day: date) -> list[Standing]:
        """Returns the standing of each bucket at the end of the day, in the order of BUCKETS."""
        rows = self.until(day).by_bucket(day).order_by().values_list("bucket")
        found = {
            number: Standing(opened - closed, outstanding)
            for number, opened, closed, outstanding in rows.annotate(
                Sum("opened"), Sum("closed"), Sum("outstanding")
            )
        }
        return [found.get(number, Standing()) for number in range(len(BUCKETS))]

    def ageings(self, days: list[date]) -> list[list[Standing]]:
        """Returns ageing() of each of these month ends, which must be in order, from one query."""
        return [in_buckets(by_due, day) for day, by_due, _changes in self.at_month_ends(days)]

    def rolls(self, days: list[date]) -> list[dict[tuple[int, int], Roll]]:
        """Returns where the credits open at each of these month ends were at the next, from one query.

        The month ends must be those of consecutive months. A key is the number of the bucket at the first and
        at the next of them, or CLOSED. Credits issued between them don't count.
        """
        rows = pairwise(self.at_month_ends(days, "carried", by_origin=True))
        return [rolled(by_due, first, last, changes) for (first, by_due, _), (last, _, changes) in rows]

    def flows(self, days: list[date]) -> dict[date, Flow]:
        """Returns the flow of the month that ends on each of these days but the first, from one query.

        The days must be the ends of consecutive months. The cash of a bucket includes payments for credits
        that were closed before the month. Payments before the month of issuance don't count.
        """
        columns = ("issued", "body_paid", "interest_paid")
        rows = pairwise(self.at_month_ends(days, *columns, by_origin=True))
        return {
            last: flow_of(by_due, first, last, changes) for (first, by_due, _), (last, _, changes) in rows
        }

    def at_month_ends(
        self, days: list[date], *columns: str, by_origin: bool = False
    ) -> Iterator[tuple[date, dict[date, Standing], list[Any]]]:
        """Yields each of these month ends, {due day: standing} at its end, and the changes of its month.

        The month ends must be in order. The month of the first has no changes. A change has the sums of the
        columns, and of opened, closed and outstanding, for the credits due on one day and, by origin, issued
        in the month (NEW) or before it (OLD).
        """
        if not days:
            return
        up_to_first = When(day__lte=days[0], then=Value(""))
        rows = self.until(days[-1]).annotate(month=Case(up_to_first, default=Left("day", 7)))
        groups = ["month", "due_on"]
        if by_origin:
            rows = rows.annotate(
                issued_in=Left("issued_on", 7),
                origin=Case(
                    When(issued_in__lt=F("month"), then=Value(OLD)),
                    When(issued_in=F("month"), then=Value(NEW)),
                    output_field=models.CharField(),
                ),
            )
            groups.append("origin")
        sums = [Sum(column) for column in ("opened", "closed", "outstanding", *columns)]
        rows = rows.order_by("month").values(*groups).annotate(*sums)
        of_months: dict[str, list[Any]] = defaultdict(list)
        for row in rows.values_list(*groups, *(each.default_alias for each in sums), named=True):
            of_months[row.month].append(row)
        months = iter(sorted(of_months))
        month = next(months, None)
        by_due: dict[date, Standing] = {}
        for day in days:
            by_due = {due: standing for due, standing in by_due.items() if standing != Standing()}
            while month is not None and month <= f"{day:%Y-%m}":
                for row in of_months[month]:
                    change = Standing(row.opened__sum - row.closed__sum, row.outstanding__sum)
                    by_due[row.due_on] = by_due.get(row.due_on, Standing()) + change
                month = next(months, None)
            yield day, by_due, of_months[f"{day:%Y-%m}"]

    def by_period(self, day: date, starts: list[date]) -> list[tuple[Standing, Decimal]]:
        """Returns the standing at the end of the day, and the interest left, by the period of the due day.

        starts are the first days of the periods, in order. What is due before them all makes one more period,
        the first. Interest is known only as it is now, so movements after the day change it.
        """
        by_day = Q(day__lte=day)
        before = [When(due_on__lt=start, then=Value(number)) for number, start in enumerate(starts)]
        last = Value(len(starts))
        rows = self.filter(issued_on__lte=day).annotate(
            period=Case(*before, default=last, output_field=models.SmallIntegerField())
        )
        periods = rows.order_by().values_list("period")
        found = {
            period: (Standing(opened - closed, outstanding), interest)
            for period, opened, closed, outstanding, interest in periods.annotate(
                opened_by_day=Sum("opened", filter=by_day, default=0),
                closed_by_day=Sum("closed", filter=by_day, default=0),
                outstanding_by_day=Sum("outstanding", filter=by_day),
                interest=Sum("interest_left"),
            )
        }
        return [found.get(number, (Standing(), ZERO)) for number in range(len(starts) + 1)]


def rolled(
    by_due: dict[date, Standing], first: date, last: date, changes: list[Any]
) -> dict[tuple[int, int], Roll]:
    """Follows the credits open at the first day to the last. The changes are those between."""
    of_old = {change.due_on: change for change in changes if change.origin == OLD}
    found: dict[tuple[int, int], Roll] = defaultdict(Roll)
    for due, standing in by_due.items():
        before, after = bucket_number(due, first), bucket_number(due, last)
        roll = Roll(standing.credits, standing.outstanding, standing.outstanding)
        if change := of_old.get(due):
            found[before, CLOSED] += Roll(change.closed__sum, change.carried__sum)
            roll += Roll(-change.closed__sum, -change.carried__sum, change.outstanding__sum)
        found[before, after] += roll
    return {way: roll for way, roll in sorted(found.items()) if roll.credits}


def flow_of(by_due: dict[date, Standing], first: date, last: date, changes: list[Any]) -> Flow:
    """Returns the flow of the credits open at the first day, and of new ones, up to the last."""
    opening, cash, new_closing = ([ZERO] * len(BUCKETS) for _list in range(3))
    moved: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    issued = new_cash = ZERO
    for due, standing in by_due.items():
        before, after = bucket_number(due, first), bucket_number(due, last)
        opening[before] += standing.outstanding
        moved[before, after] += standing.outstanding
    for change in changes:
        before, after = bucket_number(change.due_on, first), bucket_number(change.due_on, last)
        paid = change.body_paid__sum + change.interest_paid__sum
        if change.origin == OLD:
            moved[before, after] += change.outstanding__sum
            cash[before] += paid
        elif change.origin == NEW:
            new_closing[after] += change.outstanding__sum
            issued += change.issued__sum
            new_cash += paid
    return Flow(opening, cash, moved, issued, new_cash, new_closing)


def bucket_number(due: date, day: date) -> int:
    """Returns the number of the bucket that the credits due on the first day are in on the second."""
    return bisect(STARTS, (day - due).days)


def in_buckets(by_due: dict[date, Standing], day: date) -> list[Standing]:
    """Adds up the standings of due days in the buckets of the day."""
    found = [Standing()] * len(BUCKETS)
    for due, standing in by_due.items():
        found[bucket_number(due, day)] += standing
    return found


def at_risk(ageing: list[Standing]) -> list[Decimal | None]:
    """Returns, for each bucket, the percent of all outstanding principal that is in it or in a later one.

    From the second bucket on this is the portfolio at risk: PAR>0, PAR>30, PAR>60 and so on.
    """
    outstanding = [standing.outstanding for standing in ageing]
    whole = sum(outstanding, ZERO)
    return [percent(sum(outstanding[number:], ZERO), whole) for number in range(len(outstanding))]


class Movement(Summary):
    """What happened on one day to the credits issued on one day and due on one day, by their history.

    The sums over the days to D are the figures at D. A credit is open, and owes its body, from the day of its
    issuance to the day before its return.
    """

    pk = models.CompositePrimaryKey("due_on", "issued_on", "history", "day")
    due_on = models.DateField()
    issued_on = models.DateField()
    history = models.PositiveSmallIntegerField(choices=History)
    day = models.DateField()
    days_late = models.IntegerField()  # from due_on to day; negative before it
    opened = models.PositiveIntegerField()  # credits issued
    closed = models.PositiveIntegerField()  # credits returned
    issued = WholeKopecks(max_digits=20, decimal_places=2)
    outstanding = WholeKopecks(max_digits=20, decimal_places=2)  # the change of the outstanding principal
    body_paid = WholeKopecks(max_digits=20, decimal_places=2)
    interest_paid = WholeKopecks(max_digits=20, decimal_places=2)
    # The change of the interest left. Interest is known only as it is now, so only the sum of all days means
    # something.
    interest_left = WholeKopecks(max_digits=20, decimal_places=2)
    # The principal that the credits returned on the day owed at the end of the month before.
    carried = WholeKopecks(max_digits=20, decimal_places=2)

    sources: ClassVar = {
        "credits.credit": (
            "id",
            "borrower_id",
            "return_date",
            "issuance_date",
            "body",
            "percent",
            "actual_return_date",
        ),
        "credits.payment": ("credit_id", "type_id", "payment_date", "sum"),
    }
    objects = SummaryManager.from_queryset(MovementQuerySet)()

    class Meta(Summary.Meta):
        db_table = "book_movement"

    def __str__(self) -> str:
        return f"{self.day} of {self.issued_on}–{self.due_on}"

    @classmethod
    def keys(cls, source: Any, before: Any, after: Any) -> set[Any]:
        if source._meta.label_lower == "credits.payment":
            return {Moved(credit, day) for credit, _type, day, _sum in filter(None, (before, after))}
        if before and after and before[:6] == after[:6]:  # only the return differs
            pk, borrower, due, *_others = after
            days = before[6], after[6]
            keys: set[Any] = {Moved(pk, day) for day in days if day}
            if len({is_late(due, day) for day in days}) > 1:
                keys.add(Owner(borrower))
            return keys
        return {
            key
            for _pk, borrower, due, *_others in filter(None, (before, after))
            for key in (Due(due), Owner(borrower))
        }

    @classmethod
    def recompute(cls, touched: dict[Any, Collection[Any] | None]) -> None:
        """Computes all movements of the credits due on some days; of others only those of single days."""
        if None in touched.values():
            cls._base_manager.all().delete()
            cls.store(cls.due_days())
            return
        keys: set[Any] = set().union(*filter(None, touched.values()))
        whole = {key.due for key in keys if isinstance(key, Due)}
        for some in chunks({key.borrower for key in keys if isinstance(key, Owner)}, IDS_AT_ONCE):
            whole.update(rows_of("Credit").filter(borrower__in=some).values_list("return_date", flat=True))
        by_due: dict[date, set[date]] = defaultdict(set)
        for due, day in moved_days([key for key in keys if isinstance(key, Moved)]):
            by_due[due].add(day)
        whole.update(due for due, days in by_due.items() if len(days) > FEW)
        for some in chunks(whole, IDS_AT_ONCE):
            cls._base_manager.filter(due_on__in=some).delete()
        cls.store(sorted(whole))
        by_day: dict[date, list[date]] = defaultdict(list)
        for due in by_due.keys() - whole:
            for day in by_due[due]:
                by_day[day].append(due)
        for day, due_days in by_day.items():
            cls.store_day(due_days, day)

    @classmethod
    def all_computed(cls) -> Iterator["Movement"]:
        for some in chunks(cls.due_days(), DAYS_AT_ONCE):
            yield from cls.of([rows_of("Credit").filter(return_date__in=some)])

    @classmethod
    def due_days(cls) -> list[date]:
        days = rows_of("Credit").order_by("return_date").values_list("return_date", flat=True)
        return list(days.distinct())

    @classmethod
    def store(cls, due_days: Iterable[date]) -> None:
        """Computes and stores all movements of the credits due on these days."""
        for some in chunks(due_days, DAYS_AT_ONCE):
            due = rows_of("Credit").filter(return_date__in=some)
            cls._base_manager.bulk_create(cls.of([due]), batch_size=2000)

    @classmethod
    def store_day(cls, due_days: Iterable[date], day: date) -> None:
        """Computes and stores the movements of one day, of the credits due on these days."""
        for some in chunks(due_days, IDS_AT_ONCE):
            cls._base_manager.filter(due_on__in=some, day=day).delete()
            moved = rows_of("Credit").filter(return_date__in=some).moved_on(day)
            ids = chunks(moved.order_by().values_list("pk", flat=True), IDS_AT_ONCE)
            rows = cls.of(rows_of("Credit").filter(pk__in=part) for part in ids)
            cls._base_manager.bulk_create(row for row in rows if row.day == day)

    @classmethod
    def of(cls, parts: Iterable[Any]) -> list["Movement"]:
        """Computes all movements of these credits. They are given in parts, each small enough for a query."""
        found: dict[tuple[date, date, int, date], list[Any]] = {}
        for part in parts:
            paid: dict[int, list[tuple[date, int, Decimal]]] = defaultdict(list)
            payments = rows_of("Payment").filter(credit__in=part.order_by()).order_by()
            for credit, *payment in payments.values_list("credit_id", "payment_date", "type_id", "sum"):
                paid[credit].append(tuple(payment))
            rows = (
                part.with_history()
                .order_by()
                .values_list(
                    "pk", "return_date", "history", "issuance_date", "actual_return_date", "body", "percent"
                )
            )
            for pk, due, history, issued, returned, body, interest in rows:
                for day, changes in movements_of(issued, returned, body, interest, paid.get(pk, [])):
                    key = (due, issued, history, day)
                    sums = found.get(key)
                    found[key] = list(map(add, sums, changes)) if sums else changes
        columns = [field.attname for field in cls._meta.concrete_fields]
        return [
            cls(**dict(zip(columns, (*key, (key[3] - key[0]).days, *sums), strict=True)))
            for key, sums in found.items()
        ]


class Moved(NamedTuple):
    """A key: the movements of this credit may change from this day on."""

    credit: int
    day: date


class Due(NamedTuple):
    """A key: all movements of the credits due on this day may change."""

    due: date


class Owner(NamedTuple):
    """A key: the history of this borrower's credits may change."""

    borrower: int


def is_late(due: date, returned: date | None) -> bool:
    return returned is None or (returned - due).days > LATE


def moved_days(keys: list[Moved]) -> Iterator[tuple[date, date]]:
    """Yields (due day, day) of each day on which a movement of these credits may change."""
    given: dict[int, set[date]] = defaultdict(set)
    for pk, day in keys:
        given[pk].add(day)
    for some in chunks(given, IDS_AT_ONCE):
        first = {pk: min(given[pk]) for pk in some}
        found = rows_of("Credit").filter(pk__in=some)
        due_days = {}
        for pk, due, *days in found.values_list("pk", "return_date", "issuance_date", "actual_return_date"):
            due_days[pk] = due
            yield from ((due, day) for day in {*given[pk], *days} if day and day >= first[pk])
        paid = rows_of("Payment").filter(credit__in=due_days, payment_date__gt=min(first.values()))
        for pk, day in paid.values_list("credit_id", "payment_date"):
            if day > first[pk]:
                yield due_days[pk], day


def rows_of(name: str) -> Any:
    """Returns the rows of a table of the book. Its module needs this one, so it can't be imported here."""
    return apps.get_model("credits", name)._base_manager.all()


def movements_of(
    issued: date,
    returned: date | None,
    body: Decimal,
    interest: Decimal,
    payments: list[tuple[date, int, Decimal]],
) -> Iterator[tuple[date, list[Any]]]:
    """Yields (day, [opened, closed, …, carried]) for each day on which the credit moved, in order."""
    paid: dict[date, list[Decimal]] = {issued: [ZERO, ZERO]}
    if returned:
        paid[returned] = [ZERO, ZERO]
    for day, kind, amount in payments:
        paid.setdefault(day, [ZERO, ZERO])[kind != BODY] += amount
    owed = interest_owed = carried = body_paid = interest_paid = ZERO
    month = (0, 0)
    for day in sorted(paid):
        if month != (day.year, day.month):
            month, carried = (day.year, day.month), owed
        for_body, for_interest = paid[day]
        body_paid += for_body
        interest_paid += for_interest
        is_open = issued <= day and not (returned and returned <= day)
        now = max(body - body_paid, ZERO) if is_open else ZERO
        interest_now = max(interest - interest_paid, ZERO) if is_open else ZERO
        yield (
            day,
            [
                int(day == issued),
                int(day == returned),
                body if day == issued else ZERO,
                now - owed,
                for_body,
                for_interest,
                interest_now - interest_owed,
                carried if day == returned else ZERO,
            ],
        )
        owed, interest_owed = now, interest_now


class Flaw(Summary):
    """A credit whose rows contradict each other, or that nobody pays."""

    class Kind(models.IntegerChoices):
        """The names are those of the API."""

        PAID_BEFORE_ISSUANCE = 1, _("paid before issuance")
        BODY_OVERPAID = 2, _("body overpaid")
        INTEREST_OVERPAID = 3, _("interest overpaid")
        CLOSED_UNPAID = 4, _("closed, but unpaid")  # by more than a kopeck
        OPEN_PAID = 5, _("open, but paid in full")
        NEVER_PAID = 6, _("open, without a payment")

    pk = models.CompositePrimaryKey("kind", "credit_id")
    kind = models.PositiveSmallIntegerField(choices=Kind)
    credit_id = models.BigIntegerField()

    sources: ClassVar = {
        "credits.credit": ("id", "issuance_date", "actual_return_date", "body", "percent"),
        "credits.payment": ("credit_id", "type_id", "payment_date", "sum"),
    }
    objects = SummaryManager()

    class Meta(Summary.Meta):
        db_table = "book_flaw"
        indexes = [models.Index(fields=["credit_id"], name="flaw_of_credit")]

    def __str__(self) -> str:
        return f"{self.credit_id}: {self.get_kind_display()}"

    @classmethod
    def recompute(cls, touched: dict[Any, Collection[Any] | None]) -> None:
        if None in touched.values():
            cls._base_manager.all().delete()
            for some in chunks(cls.all_computed(), 2000):
                cls._base_manager.bulk_create(some)
            return
        for some in chunks(set().union(*filter(None, touched.values())), IDS_AT_ONCE):
            cls._base_manager.filter(credit_id__in=some).delete()
            cls._base_manager.bulk_create(cls.of(rows_of("Credit").filter(pk__in=some)))

    @classmethod
    def all_computed(cls) -> Iterator["Flaw"]:
        ids = rows_of("Credit").order_by("pk").values_list("pk", flat=True).iterator()
        for some in chunks(ids, IDS_AT_ONCE):
            yield from cls.of(rows_of("Credit").filter(pk__in=some))

    @classmethod
    def of(cls, found: Any) -> Iterator["Flaw"]:
        """Computes the flaws of these credits."""
        kinds = cls.Kind
        for credit in found.with_payments().annotate(first_paid=models.Min("payments__payment_date")):
            body_left = credit.body - credit.body_payments
            interest_left = credit.percent - credit.percent_payments
            left = max(body_left, ZERO) + max(interest_left, ZERO)
            has = {
                kinds.PAID_BEFORE_ISSUANCE: credit.first_paid and credit.first_paid < credit.issuance_date,
                kinds.BODY_OVERPAID: body_left < 0,
                kinds.INTEREST_OVERPAID: interest_left < 0,
                kinds.CLOSED_UNPAID: credit.is_closed and max(body_left, interest_left) > KOPECK,
                kinds.OPEN_PAID: not credit.is_closed and left == 0 and credit.first_paid,
                kinds.NEVER_PAID: not credit.is_closed and not credit.first_paid,
            }
            yield from (cls(kind=kind, credit_id=credit.pk) for kind, is_so in has.items() if is_so)
