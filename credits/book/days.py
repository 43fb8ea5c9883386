"""Arithmetic with days, in Python and in SQL."""

from calendar import monthrange
from datetime import date
from typing import Any

from django.db import models
from django.db.models import Func


def days_before(day: date, days: int) -> date:
    """Returns the day this many days before, but no earlier than the first day that a date can be."""
    return date.fromordinal(max(1, day.toordinal() - days))


def month_end_before(day: date) -> date:
    """Returns the last day of the month before."""
    return days_before(day.replace(day=1), 1)


def month_ends(day: date, count: int) -> list[date]:
    """Returns the last `count` month ends up to the day, in order; fewer near the first year."""
    ends: list[date] = []
    last = day if day.day == monthrange(day.year, day.month)[1] else month_end_before(day)
    while len(ends) < count and last > date.min:
        ends.append(last)
        last = month_end_before(last)
    return ends[::-1]


def month_number(month: str) -> int:
    """Returns the number of a month such as 2021-06, counted from the year 0, to calculate with."""
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def month_name(number: int) -> str:
    """Returns the month of a number, such as 2021-06."""
    return f"{number // 12:04}-{number % 12 + 1:02}"


class DaysLater(Func):
    """The date this many days after the date of an expression. Django's own arithmetic makes it a moment."""

    output_field: Any = models.DateField()

    def __init__(self, day: Any, days: int, **extra: Any) -> None:
        super().__init__(day, days=int(days), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="DATE(%(expressions)s, '%(days)+d days')", **extra)

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        template = "DATE_ADD(%(expressions)s, INTERVAL %(days)d DAY)"
        return self.as_sql(compiler, connection, template=template, **extra)


class DaysBetween(Func):
    """The number of days from the first date to the second."""

    arity = 2
    output_field: Any = models.IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        first, last = (compiler.compile(day) for day in self.source_expressions)
        sql = f"CAST(JULIANDAY({last[0]}) - JULIANDAY({first[0]}) AS INTEGER)"
        return sql, (*last[1], *first[1])

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        first, last = (compiler.compile(day) for day in self.source_expressions)
        return f"DATEDIFF({last[0]}, {first[0]})", (*last[1], *first[1])
