"""The definition of a list of the book: current rows, filtered, in pages or as one download."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from credits.book.reading import in_batches, snapshot
from credits.totals import Total
from fintrack.keyset import Page

from .params import CSV, ParamsAtToday

PAGE_SIZE = 100


class ListingParams(ParamsAtToday):
    """The filters of a list, and the cursor of a page. Without a cursor it is the first page."""

    format = forms.ChoiceField(required=False, choices=[(CSV, CSV)], widget=forms.HiddenInput, help_text=CSV)
    cursor = forms.CharField(
        required=False, widget=forms.HiddenInput, help_text=_("a cursor from a link to another page")
    )

    def narrows(self) -> bool:
        """Tells whether a filter is set."""
        return any(field.data for field in self.visible_fields())


def given(**lookups: Any) -> dict[str, Any]:
    """Returns the lookups that have a value."""
    return {name: value for name, value in lookups.items() if value}


@dataclass(frozen=True)
class Listing:
    """A list of a table's rows.

    find takes the cleaned filters and returns a QuerySet. row_of makes a row from each of its instances.
    prepare takes today's date, and is called before the list is read. total takes the QuerySet and the
    filters, and is called only if a filter is set.
    """

    name: str
    title: str | Promise
    params: type[ListingParams]
    row: type
    find: Callable[..., QuerySet[Any]]
    row_of: Callable[..., Any]
    prepare: Callable[[date], None] = lambda today: None
    total: Callable[..., Total | None] = lambda found, **filters: None

    @cached_property
    def columns(self) -> list[str]:
        return [field.name for field in fields(self.row)]

    def every_row(self, params: dict[str, Any]) -> Iterator[Any]:
        """Returns all rows as of one moment, read in batches to save memory."""
        self.prepare(params["today"])  # before the response begins: if it raises, there is an error response
        return self.read(params)

    def read(self, params: dict[str, Any]) -> Iterator[Any]:
        with snapshot():
            for item in in_batches(self.find(**params)):
                yield self.row_of(item, params["today"])

    def page(self, cursor: str, params: dict[str, Any], filtered: bool) -> dict[str, Any]:
        """Returns a page, its rows and, if filtered, the total of all pages, as of one moment.

        Raises Http404 if the cursor is invalid.
        """
        self.prepare(params["today"])
        with snapshot():
            found = self.find(**params)
            page = Page(found, PAGE_SIZE, cursor)
            rows = [self.row_of(item, params["today"]) for item in page.rows]
            total = self.total(found, **params) if filtered else None
        return {"page": page, "rows": rows, "total": total, "today": params["today"]}
