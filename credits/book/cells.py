"""Parses the cells of files. Forms and searches parse their input in the same way."""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from import_export.widgets import Widget

from .files import guarded, unguarded
from .money import rounded

MAX_ID = 2**63 - 1
MAX_AMOUNT = Decimal(10**12)
AMOUNT = re.compile(r"-?([0-9]{1,3}([ \u00a0\u202f][0-9]{3})+|[0-9]+)([.,][0-9]{1,2})?")
DATE = re.compile(
    r"((?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})|(?P<Y>\d{4})-(?P<M>\d\d)-(?P<D>\d\d))"
    r"([ T]00:00(:00)?)?",  # programs that store dates as moments write midnight too
    re.ASCII,
)


class Cell(Widget):
    """A kind of cell. clean() raises ValueError with the expected values as its message."""

    expected: Any = ""

    def __init__(self, required: bool = True) -> None:
        super().__init__()
        self.required = required

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        if value == "" and not self.required:
            return None
        if (cleaned := self.parse(value)) is None:
            raise ValueError(self.expected)
        return cleaned

    def parse(self, value: Any) -> Any:
        """Returns the value, or None if the cell isn't of this kind."""
        raise NotImplementedError

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        """Returns the value as text that parse() accepts."""
        return "" if value is None else str(value)


class Id(Cell):
    expected: Any = _("a whole number from 1")

    def __init__(self, required: bool = True) -> None:
        super().__init__(required)
        if not required:
            self.expected = _("a whole number from 1, or nothing in a new row")

    def parse(self, value: Any) -> int | None:
        if isinstance(value, str):
            number = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
        elif isinstance(value, float):
            number = int(value) if value.is_integer() else 0
        else:
            number = value if type(value) is int else 0
        return number if 1 <= number <= MAX_ID else None


class Kind(Id):
    """The id of one of some dictionary entries."""

    def __init__(self, kinds: set[int], expected: Any) -> None:
        super().__init__()
        self.kinds = kinds
        self.expected = expected

    def parse(self, value: Any) -> int | None:
        number = super().parse(value)
        return number if number in self.kinds else None


class Text(Cell):
    def __init__(self, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length
        text = _("1 to {most} characters in UTF-8 or the chosen encoding")
        self.expected = format_lazy(text, most=max_length)

    def parse(self, value: Any) -> str | None:
        text = unguarded(str(value))
        readable = text.isprintable() and "\ufffd" not in text
        return text if readable and 0 < len(text) <= self.max_length else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return guarded(value)


class Day(Cell):
    expected = _("a date, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999")

    def parse(self, value: Any) -> date | None:
        if isinstance(value, datetime):
            day = value.date() if value.time() == datetime.min.time() else None
        elif isinstance(value, str):
            day = parsed_day(value)
        else:
            day = value if isinstance(value, date) else None
        return day if day and 1900 <= day.year <= 2999 else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else value.isoformat()


@lru_cache(maxsize=4096)  # a book has many rows and few days
def parsed_day(text: str) -> date | None:
    if not (match := DATE.fullmatch(text)):
        return None
    year, month, day = match.group("Y", "M", "D") if match["Y"] else match.group("y", "m", "d")
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


class Amount(Cell):
    """Money. A decimal comma and spaces between thousands are accepted; ambiguous formats aren't."""

    def __init__(self, least: Decimal) -> None:
        super().__init__()
        self.least = least
        text = _("an amount of {least} or more, at most 12 digits and 2 decimals")
        self.expected = format_lazy(text, least=least)

    def parse(self, value: Any) -> Decimal | None:
        if isinstance(value, float):
            value = f"{value:.15g}"  # the digits that a spreadsheet shows
        elif isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not (isinstance(value, str) and AMOUNT.fullmatch(value)):
            return None
        amount = Decimal(re.sub(r"\s", "", value).replace(",", "."))
        return amount if self.least <= amount < MAX_AMOUNT else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return str(rounded(value))
