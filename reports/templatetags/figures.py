"""Filters that format figures for people, as their language writes them; a dash for None.

`iso` and the first and last day of a month are for addresses.
"""

from datetime import date
from decimal import Decimal

from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.formats import date_format, number_format
from django.utils.translation import pgettext

from credits.book.money import grouped
from credits.models import name_for_people
from reports.params import MonthField
from reports.stretch import last_of_month

register = template.Library()

NOTHING = "–"


@register.filter
def money(amount: Decimal | None) -> str:
    return NOTHING if amount is None else grouped(amount)


@register.filter
def in_currency(amount: Decimal | None) -> str:
    """Formats an amount that stands alone, outside a table."""
    return NOTHING if amount is None else f"{grouped(amount)}\u00a0{settings.CURRENCY}"


@register.simple_tag
def currency() -> str:
    return settings.CURRENCY


@register.filter
def percent(share: Decimal | None) -> str:
    return NOTHING if share is None else f"{money(share)}\u202f%"


@register.filter
def count(number: int | None) -> str:
    return NOTHING if number is None else number_format(number, force_grouping=True)


@register.filter
def day(value: date | None) -> str:
    return NOTHING if value is None else date_format(value, "SHORT_DATE_FORMAT")


@register.filter
def month(value: date | str) -> str:
    """Formats a month, given as one of its days or as 2021-06."""
    first = value if isinstance(value, date) else date.fromisoformat(f"{value}-01")
    return date_format(first, pgettext("format of a month", "Y-m"))


@register.filter
def written(field: BoundField) -> str:
    """Formats the value of a valid form's field, which may be newer than cleaned_data."""
    kind = field.field
    value = kind.clean(field.data)
    if choices := getattr(kind, "choices", None):
        chosen = value if isinstance(value, list) else [value]
        return ", ".join(str(label) for choice, label in choices if choice in chosen)
    if isinstance(kind, MonthField):
        return month(value)
    if isinstance(value, date):
        return day(value)
    return money(value) if isinstance(value, Decimal) else str(value)


@register.filter
def entry(name: str) -> str:
    """Shows the name of a dictionary entry: a category of plans, or what a payment is for."""
    return name_for_people(name)


@register.filter
def iso(value: date | None) -> str:
    return value.isoformat() if value else ""


@register.filter
def change(share: Decimal | None) -> str:
    """Formats a percentage with its sign; 0 has none."""
    if share is None:
        return NOTHING
    sign = "−" if share < 0 else "+" if share > 0 else ""
    return f"{sign}{percent(abs(share))}"


@register.filter
def first_day(month: str) -> str:
    """Returns 2021-06-01 for 2021-06."""
    return f"{month}-01"


@register.filter
def last_day(month: str) -> str:
    """Returns 2021-06-30 for 2021-06."""
    return last_of_month(date.fromisoformat(f"{month}-01")).isoformat()
