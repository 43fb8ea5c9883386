"""Turns the words of a search into conditions on rows."""

from collections.abc import Iterable

from django.db.models import Q

from .cells import Amount, Day
from .money import ZERO


def ids(text: str) -> list[int]:
    """Returns the id that the text may be, as a list of one or none."""
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < 19 else []


def same(words: str, days: Iterable[str], amounts: Iterable[str]) -> Q:
    """Returns the condition that one of the days or amounts equals the words, written as in files."""
    found = Q(pk__in=())
    if day := Day().parse(words):
        for column in days:
            found |= Q(**{column: day})
    if (amount := Amount(ZERO).parse(words)) is not None:
        for column in amounts:
            found |= Q(**{column: amount})
    return found
