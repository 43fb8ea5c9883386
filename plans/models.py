"""The monthly targets for issuance and collection."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from credits.book.money import MONEY, ZERO
from credits.book.searching import same
from credits.book.writing import BookModel, BookQuerySet
from credits.models import Dictionary


class PlanQuerySet(BookQuerySet):
    def between(self, first: date, last: date) -> Self:
        """Selects plans whose month begins between the two days, both inclusive."""
        return self.filter(period__range=(first, last))

    def until(self, day: date) -> Self:
        """Selects plans whose month has begun by the day."""
        return self.filter(period__lte=day)

    def search(self, words: str) -> Self:
        """Finds plans by year (2021), month (2021-06), first day of a month, or sum."""
        found = same(words, ["period"], ["sum"])
        if match := re.fullmatch(r"(?!0000)([0-9]{4})(?:-([0-9]{1,2})?)?", words):
            year, month = match.groups()
            found |= Q(period__year=year, **{"period__month": month} if month else {})
        return self.filter(found)

    def in_order(self) -> Self:
        """Sorts by month, then category id."""
        return self.order_by("period", "category_id")

    def by_month(self) -> dict[str, dict[int, Decimal]]:
        """Returns {"2021-06": {category id: sum}}."""
        months: dict[str, dict[int, Decimal]] = {}
        for plan in self:
            months.setdefault(f"{plan.period:%Y-%m}", {})[plan.category_id] = plan.sum
        return months


class Plan(BookModel):
    """The target of one month for one category, issuance or collection."""

    period = models.DateField(_("month"), help_text=_("The first day of the month."))
    category = models.ForeignKey(
        Dictionary,
        models.PROTECT,
        related_name="plans",
        verbose_name=_("category"),
        limit_choices_to={"pk__in": [Dictionary.ISSUANCE, Dictionary.COLLECTION]},
    )
    sum = models.DecimalField(_("sum"), **MONEY, validators=[MinValueValidator(ZERO)])

    much = Decimal(100_000_000)  # larger plans get a warning; the largest in a real book is 3,597,000

    objects = PlanQuerySet.as_manager()

    class Meta(BookModel.Meta):
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.UniqueConstraint(
                fields=["period", "category"],
                name="plan_one_per_month_and_category",
                violation_error_message=_("There is a plan for this month and category already."),
            ),
            models.CheckConstraint(
                condition=Q(period__day=1),
                name="plan_period_is_first_of_month",
                violation_error_message=_("The month must be given by its first day."),
            ),
            models.CheckConstraint(condition=Q(sum__gte=0), name="plan_sum_not_negative"),
            models.CheckConstraint(
                condition=Q(category__in=[Dictionary.ISSUANCE, Dictionary.COLLECTION]),
                name="plan_for_issuance_or_collection",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m}"

    def faults(self) -> Iterator[tuple[str, Any]]:
        yield from super().faults()
        if not self.period:
            return
        others = Plan.objects.exclude(pk=self.pk)
        if self.period.day != 1:
            yield "period", _("Expected the first day of a month.")
        elif self.category_id and others.filter(period=self.period, category=self.category_id).exists():
            expected = _("There is a plan for this month and category already.")
            yield "period", ValidationError(expected, "unique")
