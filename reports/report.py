"""The definition of a report."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import date
from functools import cached_property
from types import UnionType
from typing import Any, get_args, get_type_hints

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.functional import Promise

from .params import ReportParams


@dataclass(frozen=True)
class Report:
    """A question about the book: its parameters, and the rows that answer it.

    compute takes the cleaned parameters and returns instances of row, a frozen dataclass of dates,
    decimals, numbers, text and None. totals takes the rows and returns {column: value} for each row of
    totals. formula tells readers how the figures are computed. page_context takes the rows and the
    parameters, and returns more context for the page's template. latest returns context that may change while
    the book doesn't: it is never cached. example is for the documentation of the API: parameters, and a row
    of their answer.
    """

    name: str
    title: str | Promise
    question: str | Promise
    formula: str | Promise
    params: type[ReportParams]
    row: type
    compute: Callable[..., list[Any]]
    totals: Callable[[list[Any]], list[dict[str, Any]]]
    page_context: Callable[..., dict[str, Any]] = lambda rows, **params: {}
    latest: Callable[[], dict[str, Any]] = dict
    example: tuple[dict[str, Any], Any] | None = None

    @cached_property
    def columns(self) -> list[str]:
        return [field.name for field in fields(self.row)]

    @cached_property
    def readers(self) -> list[Callable[[Any], Any]]:
        """For each column, the function that converts a value from JSON."""
        hints = get_type_hints(self.row)
        return [reader(hints[column]) for column in self.columns]

    def dumped(self, rows: list[Any]) -> str:
        """Returns the rows as JSON. It is exact: decimals become strings."""
        return json.dumps([list(asdict(row).values()) for row in rows], cls=DjangoJSONEncoder)

    def loaded(self, text: str) -> list[Any]:
        """Returns the rows that were passed to dumped()."""
        return [
            self.row(*(read(value) for read, value in zip(self.readers, values, strict=True)))
            for values in json.loads(text)
        ]


def summed(rows: list[Any], *columns: str) -> dict[str, Any]:
    """Returns {column: sum} for totals. A value of None counts as 0."""
    return {column: sum(getattr(row, column) or 0 for row in rows) for column in columns}


def reader(hint: Any) -> Callable[[Any], Any]:
    if isinstance(hint, UnionType):
        (kind,) = set(get_args(hint)) - {type(None)}
        read = reader(kind)
        return lambda value: None if value is None else read(value)
    return date.fromisoformat if hint is date else hint
