"""What every list of the book is made of: rows as they stand, filtered, paged, and downloadable whole."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from credits.totals import Total
from fintrack.api.params import NumberField

from .params import CSV, ParamsAtToday

PAGE_SIZE = 100


class ListingParams(ParamsAtToday):
    """The filters of a list; without a page, its first."""

    format = forms.ChoiceField(required=False, choices=[(CSV, CSV)], widget=forms.HiddenInput, help_text=CSV)
    page = NumberField(
        required=False,
        min_value=1,
        max_value=10**6,
        widget=forms.HiddenInput,
        help_text=_("a page number from 1"),
    )

    def narrows(self) -> bool:
        """Whether a filter is set."""
        return any(field.data for field in self.visible_fields())


def given(**lookups: Any) -> dict[str, Any]:
    """The lookups that have a value."""
    return {name: value for name, value in lookups.items() if value}


@dataclass(frozen=True)
class Listing:
    """Rows of a table: find takes the cleaned filters and returns a QuerySet, row_of makes a row of each.

    total takes the QuerySet; it is asked only where a filter is set: adding up a whole table takes long.
    """

    name: str
    title: str | Promise
    params: type[ListingParams]
    row: type
    find: Callable[..., QuerySet[Any]]
    row_of: Callable[..., Any]
    total: Callable[[Any], Total | None] = lambda found: None

    @cached_property
    def columns(self) -> list[str]:
        return [field.name for field in fields(self.row)]

    def rows(self, found: Iterable[Any], params: dict[str, Any]) -> Iterator[Any]:
        return (self.row_of(item, params["today"]) for item in found)

    def page(self, found: QuerySet[Any], number: int, params: dict[str, Any]) -> tuple[list[Any], bool]:
        """The rows of a page, and whether there are more; nothing is counted."""
        start = (number - 1) * PAGE_SIZE
        items = list(found[start : start + PAGE_SIZE + 1])
        return list(self.rows(items[:PAGE_SIZE], params)), len(items) > PAGE_SIZE
