"""What reports at a date share: the parameters, the month ends beside the date, and lists of credits then."""

from datetime import date

from django.urls import reverse
from django.utils.http import urlencode

from credits.book.days import days_before

from .listing import given
from .params import DayField, ParamsAtToday
from .stretch import day_after, day_before, last_day_of_book, last_of_month


class ParamsAtDate(ParamsAtToday):
    check_date = DayField(required=False)


def date_of(check_date: date | None, today: date) -> date | None:
    """Returns the date of the report, or else the last day of the book. None for an empty book."""
    return check_date or last_day_of_book(today)


def month_ends_beside(day: date) -> dict[str, date | None]:
    """Returns the ends of the month before and of the month after, for links."""
    month_after = day_after(last_of_month(day))
    return {
        "month_end_before": day_before(day.replace(day=1)),
        "month_end_after": month_after and last_of_month(month_after),
    }


def open_credits(day: date, due_from: date | None = None, due_to: date | None = None) -> str:
    """Returns the address of the list of the credits open on the day that were due between these days."""
    filters = {"state": "open", "check_date": day, **given(due_from=due_from, due_to=due_to)}
    return f"{reverse('credits_page')}?{urlencode(filters)}"


def credits_past_due(day: date, days: int) -> str:
    """Returns the address of the list of the credits open on the day, and more than so many days past due."""
    return open_credits(day, due_to=days_before(day, days + 1))
