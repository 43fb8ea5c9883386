"""Stretches of days that reports count over."""

from calendar import monthrange
from datetime import date

from credits.models import Credit, Payment


def last_day_of_book(today: date) -> date | None:
    """The last day that has an issuance or a payment, never after today."""
    days = (Credit.objects.last_day(today), Payment.objects.last_day(today))
    return max(filter(None, days), default=None)


def last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def a_year_before(day: date) -> date:
    """29 February's is the 28th."""
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)
