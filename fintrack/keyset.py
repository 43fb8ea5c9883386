"""Keyset pages: each begins at a position in an index, so the last page takes no longer than the first."""

from collections.abc import Sequence
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _


def columns(rows: QuerySet[Any]) -> list[str]:
    """Returns the columns that order the rows. "-" sorts descending; the last is unique, none is nullable."""
    return [str(name) for name in rows.query.order_by]


def opposite(order: Sequence[str]) -> list[str]:
    return [name[1:] if name.startswith("-") else f"-{name}" for name in order]


def position(row: Any, order: Sequence[str]) -> list[Any]:
    """Returns the values of the row in these columns."""
    return [getattr(row, name.lstrip("-")) for name in order]


def after(values: Sequence[Any], order: Sequence[str]) -> Q:
    """Returns the condition for rows after the position."""
    condition = Q()
    for name, value in zip(reversed(order), reversed(values), strict=True):
        column, way = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        beyond = Q(**{f"{column}__{way}": value})
        if condition:
            # The extra bound lets SQLite, too, start in the index at the position.
            beyond = Q(**{f"{column}__{way}e": value}) & (beyond | Q(**{column: value}) & condition)
        condition = beyond
    return condition


def ids_first(part: QuerySet[Any]) -> list[Any]:
    """Returns the rows of a sliced QuerySet, with its annotations and prefetched rows.

    The first query reads ids alone, from an index that has all the columns it needs. If it had to read whole
    rows, MySQL would scan the index from its end instead of starting at the position, and MariaDB would sort
    the table instead of skipping an offset. Call it in a snapshot, so that no row vanishes in between.
    """
    ids = list(part.values_list("pk", flat=True))
    whole: Any = part.all()
    whole.query.clear_limits()
    whole.query.clear_ordering(force=True)
    whole.query.clear_where()
    found = whole.in_bulk(ids)
    return [found[pk] for pk in ids]


def first_rows(rows: QuerySet[Any], count: int, values: Sequence[Any] = ()) -> list[Any]:
    """Returns the first rows, or the first ones after a position."""
    return ids_first((rows.filter(after(values, columns(rows))) if values else rows)[:count])


class Page:
    """At most `size` rows, and the cursors of the pages around them.

    A cursor is signed for one order. It holds the direction, and the position that the page begins after or,
    backwards, ends before. Without a position it leads to the last page: the first one of the reversed order.
    """

    def __init__(self, rows: QuerySet[Any], size: int, cursor: str = "") -> None:
        """Raises Http404 if the cursor was not signed here for this order."""
        self.order = columns(rows)
        self.signer = Signer(salt=f"cursor {self.order}")
        backwards, values = False, []
        if cursor:
            try:
                backwards, *values = self.signer.unsign_object(cursor)
            except BadSignature as error:
                raise Http404(_("There is no such page. Follow next and previous.")) from error
        found = first_rows(rows.order_by(*opposite(self.order)) if backwards else rows, size + 1, values)
        more = len(found) > size
        self.rows = found[:size][::-1] if backwards else found[:size]
        has_previous, has_next = (more, bool(values)) if backwards else (bool(values), more)
        self.previous = self.cursor(True, self.rows[0]) if self.rows and has_previous else None
        self.next = self.cursor(False, self.rows[-1]) if self.rows and has_next else None
        self.last = self.signer.sign_object([True])
        if values and not self.rows:  # all rows on that side were deleted since
            if backwards:
                self.next = self.signer.sign_object([False])
            else:
                self.previous = self.last

    def cursor(self, backwards: bool, row: Any) -> str:
        return self.signer.sign_object([backwards, *map(str, position(row, self.order))])
