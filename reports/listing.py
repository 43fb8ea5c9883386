"""The definition of a list of the book: current rows, filtered, in pages or as one download."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.db.models import Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from credits.book.reading import in_batches, snapshot
from credits.models import History
from credits.totals import Total
from fintrack.api.params import NumberField
from fintrack.keyset import Page

from .models import DataStamp
from .params import CSV, ParamsAtToday
from .stretch import last_day_of_book

PAGE_SIZE = 100
MOST_DAYS = 9999  # so that a due date and the days are a date
HISTORIES = {history.name.lower(): history.label for history in History}


class DaysField(NumberField):
    """A number of days, such as after a credit is due."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MOST_DAYS, required=False, **kwargs)


class HistoryField(forms.MultipleChoiceField):
    """What a credit's borrower had done before it was issued."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Borrower was"),
            required=False,
            choices=HISTORIES,
            widget=forms.CheckboxSelectMultiple,
            help_text=", ".join(HISTORIES),
            **kwargs,
        )


class ListingParams(ParamsAtToday):
    """The filters of a list, and the cursor of a page. Without a cursor it is the first page.

    Fields named in rare are shown only on demand, or if one of them is set.
    """

    main = ()
    rare: ClassVar[tuple[str, ...]] = ()

    format = forms.ChoiceField(required=False, choices=[(CSV, CSV)], widget=forms.HiddenInput, help_text=CSV)
    cursor = forms.CharField(
        required=False, widget=forms.HiddenInput, help_text=_("a cursor from a link to another page")
    )

    def narrows(self) -> bool:
        """Tells whether a filter is set."""
        return any(field.data for field in self.visible_fields())

    def common_fields(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name not in self.rare]

    def rare_fields(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name in self.rare]

    def narrows_rarely(self) -> bool:
        """Tells whether a rare filter is set."""
        return any(field.data for field in self.rare_fields())


def histories(names: list[str]) -> list[History]:
    return [History[name.upper()] for name in names]


def between(column: str, first: date | None, last: date | None) -> Q:
    """Returns the condition for days from the first to the last, both included. None means no bound."""
    return Q(**given(**{f"{column}__gte": first, f"{column}__lte": last}))


def given(**lookups: Any) -> dict[str, Any]:
    """Returns the lookups that have a value."""
    return {name: value for name, value in lookups.items() if value}


@dataclass(frozen=True)
class Listing:
    """A list of a table's rows.

    find takes the cleaned filters and returns a QuerySet. row_of makes a row from each of its instances and
    the filters. prepare takes today's date, and is called before the list is read. total takes the QuerySet
    and the filters, and is called only if a filter is set. If there is a filter check_date, the list is as of
    that day; otherwise as of today.
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
                yield self.row_of(item, **params)

    def page(self, cursor: str, params: dict[str, Any], filtered: bool) -> dict[str, Any]:
        """Returns a page, its rows and, if filtered, the total of all pages, as of one moment.

        Raises Http404 if the cursor is invalid.
        """
        self.prepare(params["today"])
        with snapshot():
            found = self.find(**params)
            page = Page(found, PAGE_SIZE, cursor)
            rows = [self.row_of(item, **params) for item in page.rows]
            total = self.total(found, **params) if filtered else None
            state = {"last_day": last_day_of_book(params["today"]), "stamp": DataStamp.current()}
        days = {name: params.get(name) for name in ("today", "check_date")}
        return {"page": page, "rows": rows, "total": total, **state, **days}
