"""Filters that format figures for people: grouped thousands, two decimals, a dash for None."""

from datetime import date
from decimal import Decimal

from django import template
from django.utils.formats import number_format

from credits.book.money import grouped
from reports.stretch import last_of_month

register = template.Library()

NOTHING = "–"


@register.filter
def money(amount: Decimal | None) -> str:
    return NOTHING if amount is None else grouped(amount)


@register.filter
def percent(share: Decimal | None) -> str:
    return NOTHING if share is None else f"{money(share)}\u202f%"


@register.filter
def count(number: int | None) -> str:
    return NOTHING if number is None else number_format(number, force_grouping=True)


@register.filter
def day(value: date | None) -> str:
    return NOTHING if value is None else value.isoformat()


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
