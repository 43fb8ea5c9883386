"""Functions for the stretches of days that reports cover."""

from calendar import monthrange
from datetime import date, timedelta

from credits.book.days import days_before, month_end_before
from credits.totals import DailyTotal


def last_day_of_book(today: date) -> date | None:
    """Returns the last day up to today that has an issuance or a payment."""
    return DailyTotal.objects.last_day(today)


def last_whole_month(today: date) -> date | None:
    """Returns the end of the last month in the book that is over by the book's last day; None if none is."""
    last = last_day_of_book(today)
    if last and last < last_of_month(last):
        last = last_day_of_book(month_end_before(last))
    return last and last_of_month(last)


def last_whole_year(today: date) -> date | None:
    """Returns the end of the last year in the book that is over by the book's last day; None if none is."""
    last = last_day_of_book(today)
    if last and last < date(last.year, 12, 31):
        last = last_day_of_book(days_before(date(last.year, 1, 1), 1))
    return last and date(last.year, 12, 31)


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
