"""Stored totals of each day: issuances, payments and registrations. Reports over time read them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Count, Max, Q, Sum, Value
from django.db.models.functions import Left
from django.utils.translation import gettext_lazy as _

from .book.days import month_end_before, month_ends
from .book.money import ZERO, MoneySum, WholeKopecks
from .book.summaries import Summary, SummaryManager

USUAL = 6  # whole months that tell the usual course of a month


@dataclass(frozen=True, slots=True)
class Total:
    """The number of issuances or payments, and their sum. That of credits may tell what they owe on a day."""

    count: int = 0
    sum: Decimal = ZERO
    outstanding: Decimal | None = None


class DailyTotalQuerySet(models.QuerySet[Any]):
    def issued(self) -> Self:
        return self.filter(kind=DailyTotal.ISSUED)

    def collected(self) -> Self:
        """Returns the totals of payments, for body and for interest."""
        return self.filter(kind__in=[DailyTotal.BODY_PAID, DailyTotal.INTEREST_PAID])

    def between(self, first: date | None, last: date | None) -> Self:
        """Returns the totals from the first day to the last, both included. None means no bound."""
        rows = self if first is None else self.filter(day__gte=first)
        return rows if last is None else rows.filter(day__lte=last)

    def by_month(self) -> dict[str, Total]:
        """Returns {"2021-06": Total} for the months that have an issuance or a payment.

        On every database the text of a date begins with its month.
        """
        return self.annotate(month=Left("day", 7)).totals_by("month")

    def by_day(self) -> dict[date, Total]:
        """Returns {day: Total} for the days that have an issuance or a payment."""
        return self.totals_by("day")

    def usual_share(self, day: date) -> Decimal | None:
        """Returns the share of a month's sum that is usually there by this day of the month, such as 0.5.

        It is the mean of the six months before; None if one of them has no sum. On the last day of a month it
        is 1.
        """
        ends = month_ends(month_end_before(day), USUAL)
        if not ends:
            return None
        by_day = Q(day__day__lte=31 if day in month_ends(day, 1) else day.day)
        months = self.between(ends[0].replace(day=1), ends[-1]).annotate(month=Left("day", 7))
        sums = (
            months.order_by()
            .values_list("month")
            .annotate(so_far=Sum("sum", filter=by_day), whole=Sum("sum"))
        )
        shares = [so_far / whole for _month, so_far, whole in sums if whole]
        return sum(shares, ZERO) / USUAL if len(shares) == USUAL else None

    def total(self) -> Total:
        sums = self.aggregate(count=Sum("count"), sum=Sum("sum"))
        return Total(sums["count"] or 0, sums["sum"] or ZERO)

    def last_day(self, until: date) -> date | None:
        """Returns the last day, up to this one, that has an issuance or a payment."""
        return self.filter(day__lte=until).aggregate(last=Max("day"))["last"]

    def totals_by(self, column: str) -> dict[Any, Total]:
        rows = self.order_by(column).values_list(column).annotate(Sum("count"), Sum("sum"))
        return {value: Total(count, amount) for value, count, amount in rows}


class DailyTotal(Summary):
    """The count and sum of a day's issuances, payments for body or payments for interest."""

    BODY_PAID, INTEREST_PAID, ISSUED = 1, 2, 3  # the ids in the dictionary
    KINDS = {"credits.credit": [ISSUED], "credits.payment": [BODY_PAID, INTEREST_PAID]}

    pk = models.CompositePrimaryKey("kind", "day")
    kind = models.PositiveSmallIntegerField(
        choices=[(ISSUED, _("issued")), (BODY_PAID, _("body paid")), (INTEREST_PAID, _("interest paid"))]
    )
    day = models.DateField()
    count = models.PositiveIntegerField()
    sum = WholeKopecks(max_digits=20, decimal_places=2)

    sources: ClassVar = {
        "credits.credit": ("issuance_date", "body"),
        "credits.payment": ("payment_date", "type_id", "sum"),
    }
    objects = SummaryManager.from_queryset(DailyTotalQuerySet)()

    class Meta(Summary.Meta):
        db_table = "book_daily_total"

    def __str__(self) -> str:
        return f"{self.day} {self.get_kind_display()}"

    @classmethod
    def computed(cls, source: Any, days: Collection[date] | None) -> Iterator["DailyTotal"]:
        day, *kind, amount = cls.sources[source._meta.label_lower]
        rows = (
            source._base_manager.all()
            if days is None
            else source._base_manager.filter(**{f"{day}__in": days})
        )
        if not kind:
            rows = rows.annotate(kind=Value(cls.ISSUED))
        groups = rows.order_by().values_list(day, *(kind or ["kind"])).annotate(Count("pk"), MoneySum(amount))
        for of_day, of_kind, count, amount_sum in groups:
            yield cls(kind=of_kind, day=of_day, count=count, sum=amount_sum)

    @classmethod
    def stored(cls, source: Any, days: Collection[date] | None) -> models.QuerySet[Any]:
        rows = cls.objects.filter(kind__in=cls.KINDS[source._meta.label_lower])
        return rows if days is None else rows.filter(day__in=days)


class Registrations(Summary):
    """The number of borrowers registered on a day. Counting the borrowers themselves reads a whole index."""

    day = models.DateField(primary_key=True)
    count = models.PositiveIntegerField()

    sources: ClassVar = {"credits.borrower": ("registration_date",)}
    objects = SummaryManager()

    class Meta(Summary.Meta):
        db_table = "book_registrations"

    def __str__(self) -> str:
        return f"{self.day}"

    @classmethod
    def computed(cls, source: Any, days: Collection[date] | None) -> Iterator["Registrations"]:
        rows = source._base_manager.order_by()
        groups = rows if days is None else rows.filter(registration_date__in=days)
        for day, count in groups.values_list("registration_date").annotate(Count("pk")):
            yield cls(day=day, count=count)

    @classmethod
    def stored(cls, source: Any, days: Collection[date] | None) -> models.QuerySet[Any]:
        rows = cls.objects.all()
        return rows if days is None else rows.filter(day__in=days)

    @classmethod
    def total(cls) -> int:
        """Returns the number of borrowers."""
        return cls.objects.aggregate(count=Sum("count"))["count"] or 0
