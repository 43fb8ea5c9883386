"""Form fields for dates and amounts, which accept the same text as cells of a file."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .cells import Amount, Cell, Day


class ReadAsCell(forms.Field):
    """Parses the input like a cell of a file."""

    cell: Cell

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value  # the value of the row, not input
        text = value.strip()
        if not text:
            return None
        if (value := self.cell.parse(text)) is None:
            raise forms.ValidationError(_("Expected %s.") % self.cell.expected, code="invalid")
        return value


class DayField(ReadAsCell, forms.DateField):
    cell = Day()


class AmountField(ReadAsCell, forms.DecimalField):
    """An amount of `least` or more."""

    def __init__(self, *, least: Decimal, **kwargs: Any) -> None:
        text = forms.TextInput(attrs={"inputmode": "decimal"})  # a number input refuses a comma
        super().__init__(**{"widget": text, **kwargs})
        self.cell = Amount(least)
