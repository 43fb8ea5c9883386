"""The plans of a year in one form: twelve months by category, saved as a whole."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MinValueValidator
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from credits.models import Credit, Dictionary, Payment, Total
from credits.money import MONEY, ZERO
from credits.writing import writing

from .models import Plan

CATEGORIES = (Dictionary.ISSUANCE, Dictionary.COLLECTION)


@dataclass(frozen=True, slots=True)
class Cell:
    """A plan to fill in, beside what was planned and done in the same month a year before."""

    field: BoundField
    plan_before: Decimal | None
    actual_before: Decimal


class YearForm(forms.Form):
    """Each cell is a field, "<category>-<month>". An empty one has no plan.

    A cell is stored if it was changed here; if somebody else changed it meanwhile, that is an error.
    """

    def __init__(self, year: int, data: Any = None) -> None:
        super().__init__(data)
        self.year = year
        self.plans = {(p.category_id, p.period.month): p for p in self.plans_of(year)}
        for category in CATEGORIES:
            for month in range(1, 13):
                plan = self.plans.get((category, month))
                self.fields[f"{category}-{month}"] = forms.DecimalField(
                    **MONEY,
                    required=False,
                    localize=False,
                    validators=[MinValueValidator(ZERO)],
                    initial=plan and plan.sum,
                    show_hidden_initial=True,  # what the editor saw
                    label=f"{year}-{month:02}",
                    widget=forms.TextInput(attrs={"inputmode": "decimal", "class": "plan-sum"}),
                )

    @staticmethod
    def plans_of(year: int) -> Any:
        return Plan.objects.between(date(year, 1, 1), date(year, 12, 1))

    def clean(self) -> None:
        for category, month in self.changed_cells():
            name = f"{category}-{month}"
            field = self.fields[name]
            seen = field.to_python(self.data.get(f"initial-{name}"))
            plan = self.plans.get((category, month))
            if name in self.cleaned_data and seen != (plan and plan.sum):
                now = plan.sum if plan else _("empty")
                self.add_error(
                    name, _("Somebody has changed this to %s meanwhile. Load the page again.") % now
                )

    def changed_cells(self) -> list[tuple[int, int]]:
        cells = (name.split("-") for name in self.changed_data)
        return [(int(category), int(month)) for category, month in cells]

    def save(self) -> Counter[str]:
        """Store the cells that were changed, all or none; {"added": …, "changed": …, "deleted": …}."""
        done: Counter[str] = Counter()
        with writing():
            for category, month in self.changed_cells():
                amount = self.cleaned_data[f"{category}-{month}"]
                plan = self.plans.get((category, month))
                if plan is None:
                    Plan.objects.create(period=date(self.year, month, 1), category_id=category, sum=amount)
                    done["added"] += 1
                elif amount is None:
                    plan.delete()
                    done["deleted"] += 1
                else:
                    plan.sum = amount
                    plan.save()
                    done["changed"] += 1
        return done

    def categories(self) -> list[str]:
        names = Dictionary.objects.in_bulk(CATEGORIES)
        return [names[category].name for category in CATEGORIES]

    def rows(self) -> list[tuple[str, list[Cell]]]:
        """(month, a cell for each category)."""
        before = self.year - 1
        planned = {(p.category_id, p.period.month): p.sum for p in self.plans_of(before)}
        year = (date(before, 1, 1), date(before, 12, 31))
        done = {
            Dictionary.ISSUANCE: Credit.objects.issued_between(*year).by_month(),
            Dictionary.COLLECTION: Payment.objects.paid_between(*year).by_month(),
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
