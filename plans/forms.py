"""The form for the plans of a year: twelve months by category, saved together."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import product
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils import timezone
from django.utils.translation import gettext as _

from credits.book.days import month_ends
from credits.book.fields import AmountField
from credits.book.money import ZERO, grouped, rounded
from credits.book.trail import Change, Record, last_touch
from credits.models import Dictionary
from credits.totals import DailyTotal, Total
from fintrack.merging import MergingForm

from .forecast import Forecast, months_after, next_months
from .models import Plan

CATEGORIES = (Dictionary.ISSUANCE, Dictionary.COLLECTION)


@dataclass(frozen=True, slots=True)
class Cell:
    """The field of a plan, with the plan and the actual sum of the same month a year before."""

    field: BoundField
    plan_before: Decimal | None
    actual_before: Decimal


class YearForm(MergingForm, forms.Form):
    """The form of a year. Each cell is a field named "<category>-<month>"; an empty cell has no plan."""

    def __init__(self, year: int, data: Any = None) -> None:
        """With data, it locks the year's plans; call it in the transaction that saves."""
        super().__init__(data)
        self.year = year
        self.stored: list[Plan] = []
        plans = self.plans_of(year) if data is None else self.plans_of(year).select_for_update()
        self.plans = {f"{p.category_id}-{p.period.month}": p for p in plans}
        names = Dictionary.objects.in_bulk(CATEGORIES)
        self.categories = [str(names[category]) for category in CATEGORIES]
        for category, month in product(CATEGORIES, range(1, 13)):
            plan = self.plans.get(f"{category}-{month}")
            label = f"{names[category]} {year}-{month:02}"
            self.fields[f"{category}-{month}"] = AmountField(
                least=ZERO,
                required=False,
                initial=plan and plan.sum,
                label=label,
                widget=forms.TextInput(
                    attrs={"inputmode": "decimal", "class": "plan-sum", "aria-label": label}
                ),
            )
        self.merge()

    @staticmethod
    def plans_of(year: int) -> Any:
        return Plan.objects.between(date(year, 1, 1), date(year, 12, 1))

    def key(self, name: str) -> dict[str, Any]:
        """Returns the fields that identify the plan of a cell."""
        category, month = map(int, name.split("-"))
        return {"period": date(self.year, month, 1), "category_id": category}

    def last_change(self, name: str) -> Record | None:
        if plan := self.plans.get(name):
            return last_touch(plan, "sum")
        gone = {f"fields__{column}__0": value for column, value in self.key(name).items()}
        changes = Change.objects.filter(table=Plan._meta.label_lower, action=Change.DELETED, **gone)
        return changes.select_related("account").first()

    def save(self) -> dict[str, int]:
        """Stores the changed cells. Returns the counts {"added": …, "changed": …, "deleted": …}."""
        done = {"added": 0, "changed": 0, "deleted": 0}
        for name in self.changed_data:
            amount, plan = self.cleaned_data[name], self.plans.get(name)
            if plan is None and amount is not None:
                self.stored.append(Plan.objects.create(**self.key(name), sum=amount))
                done["added"] += 1
            elif plan is not None and amount is None:
                plan.delete()
                done["deleted"] += 1
            elif plan is not None and plan.sum != amount:
                plan.sum = amount
                plan.save()
                self.stored.append(plan)
                done["changed"] += 1
        return done

    @cached_property
    def rows(self) -> list[tuple[str, list[Cell]]]:
        """(month, [a cell for each category]) for each month."""
        before = self.year - 1
        planned = {(p.category_id, p.period.month): p.sum for p in self.plans_of(before)}
        year = (date(before, 1, 1), date(before, 12, 31))
        done = {
            Dictionary.ISSUANCE: DailyTotal.objects.issued().between(*year).by_month(),
            Dictionary.COLLECTION: DailyTotal.objects.collected().between(*year).by_month(),
        }
        return [
            (
                f"{self.year}-{month:02}",
                [
                    Cell(
                        self[f"{category}-{month}"],
                        planned.get((category, month)),
                        done[category].get(f"{before}-{month:02}", Total()).sum,
                    )
                    for category in CATEGORIES
                ],
            )
            for month in range(1, 13)
        ]

    def add_hints(self) -> None:
        """Adds what is forecast for the next months of collection to the cells of those without a plan."""
        cells = {f"{self.year}-{month:02}": f"{Dictionary.COLLECTION}-{month}" for month in range(1, 13)}
        empty = {month: cell for month, cell in cells.items() if cell not in self.plans}
        day = DailyTotal.objects.last_day(timezone.localdate())
        ends = month_ends(day, 1) if day else []
        if ends and not empty.keys().isdisjoint(months_after(ends[0])):
            for month, forecast in next_months(ends[0]).items():
                if month in empty:
                    self[empty[month]].help_text = hint(forecast)

    def totals(self) -> list[tuple[Decimal, Decimal, Decimal]]:
        """Returns (plan, plan a year before, actual sum a year before) of the year for each category."""
        return [
            (
                sum((cell.field.initial or ZERO for cell in cells), ZERO),
                sum((cell.plan_before or ZERO for cell in cells), ZERO),
                sum((cell.actual_before for cell in cells), ZERO),
            )
            for cells in zip(*(cells for _month, cells in self.rows), strict=True)
        ]


def hint(forecast: Forecast) -> str:
    amount = forecast.sum
    if amount is None:
        return _("no forecast: %s") % _(str(forecast.lacks))
    return _("forecast %s") % grouped(rounded(amount))
