"""What people type into a search, as conditions on rows."""

from collections.abc import Iterable

from django.db.models import Q

from .cells import Amount, Day
from .money import ZERO


def ids(text: str) -> list[int]:
    """The id that a text may be, if any."""
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < 19 else []


def same(words: str, days: Iterable[str], amounts: Iterable[str]) -> Q:
    """Of a row: one of its days or amounts is what the words say, written as in a file."""
    found = Q(pk__in=())
    if day := Day().parse(words):
        for column in days:
            found |= Q(**{column: day})
    if (amount := Amount(ZERO).parse(words)) is not None:
        for column in amounts:
            found |= Q(**{column: amount})
    return found
