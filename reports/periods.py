"""Periods as people type them in addresses of pages: 2021-06, 2021-q2, 2021, today-7, month-1, year."""

import re
from datetime import date, timedelta
from typing import NamedTuple, Self

from credits.book.days import month_name, month_number

from .stretch import last_of_month

FIXED = re.compile(r"(?P<year>[0-9]{4})(-q(?P<quarter>[1-4])|-(?P<month>0[1-9]|1[0-2]))?")
RELATIVE = re.compile(r"(?P<unit>today|month|quarter|year)(-(?P<back>[0-9]{1,4}))?")
MONTHS = {"month": 1, "quarter": 3, "year": 12}


class Period(NamedTuple):
    """Days from the first to the last. A period that is not over ends today."""

    first: date
    last: date

    @classmethod
    def of(cls, text: str, today: date) -> Self | None:
        """Returns the period that the text names; None if it names none."""
        try:
            if named := FIXED.fullmatch(text):
                first = month_number(f"{named['year']}-{named['month'] or '01'}")
                if named["quarter"]:
                    return cls.of_months(first + 3 * int(named["quarter"]) - 3, 3, today)
                return cls.of_months(first, 1 if named["month"] else 12, today)
            if named := RELATIVE.fullmatch(text):
                back = int(named["back"] or 0)
                if named["unit"] == "today":
                    day = today - timedelta(days=back)
                    return cls(day, day)
                months = MONTHS[named["unit"]]
                return cls.of_months((month_number(f"{today}") // months - back) * months, months, today)
        except (OverflowError, ValueError):  # beyond the days that a date can be
            pass
        return None

    @classmethod
    def of_months(cls, number: int, count: int, today: date) -> Self:
        """Returns the period of so many months from the month with this number."""
        first = date.fromisoformat(f"{month_name(number)}-01")
        last = last_of_month(date.fromisoformat(f"{month_name(number + count - 1)}-01"))
        return cls(first, today if first <= today < last else last)
