"""Functions for the stretches of days that reports cover."""

from calendar import monthrange
from datetime import date, timedelta

from credits.book.days import month_ends
from credits.totals import DailyTotal


def last_day_of_book(today: date) -> date | None:
    """Returns the last day up to today that has an issuance or a payment."""
    return DailyTotal.objects.last_day(today)


def last_whole_month(today: date) -> date | None:
    """Returns the end of the last month that is over by the last day of the book.

    It is that day if the book began after the month, and None for an empty book.
    """
    last = last_day_of_book(today)
    return last and last_end(last, month_ends(last, 1))


def last_whole_year(today: date) -> date | None:
    """Returns the end of the last year that is over by the last day of the book, as last_whole_month()."""
    last = last_day_of_book(today)
    return last and last_end(last, [end for end in month_ends(last, 12) if end.month == 12])


def last_end(last: date, ends: list[date]) -> date:
    return next((end for end in ends if last_day_of_book(end)), last)


def last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def day_before(day: date) -> date | None:
    return day - timedelta(days=1) if day > date.min else None


def day_after(day: date) -> date | None:
    return day + timedelta(days=1) if day < date.max else None


def a_year_before(day: date) -> date:
    """Returns the same day a year before; 28 February for 29 February. Days of year 1 stay the same."""
    leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=max(1, day.year - 1), day=28 if leap_day else day.day)
