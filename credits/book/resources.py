"""Rows of a file <-> rows of a table: what every source file shares."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from import_export.resources import ModelResource

from .batches import Batch, Doubtful
from .files import Faults, Row, guarded
from .values import columns


class BookResource(ModelResource):
    """One source file <-> one table. An instance serves one load."""

    # What a row is known by, and what is expected of it within one file.
    key_column = "id"
    key_expected = _("an id that no earlier row has")
    owner: str | None = None  # the column of a known row that never changes
    at_least: Any = _("at least one row")  # expected of a file that has none

    # Of a file that comes in a request; load_data knows no limits.
    max_rows = 60_000
    max_unzipped = 100 * 2**20
    max_marks = 5_000_000  # 60,000 rows of 7 columns of text have 3,700,000

    @classmethod
    def columns(cls) -> list[str]:
        return [cls.fields[name].column_name for name in cls._meta.fields]

    @cached_property
    def values(self) -> list[str]:
        """The attributes beside the key."""
        return [field.attribute for field in self.fields.values() if field.attribute != "id"]

    @cached_property
    def attributes(self) -> list[str]:
        """All attributes of the model, in its order."""
        return columns(self._meta.model)

    @cached_property
    def cleaners(self) -> list[tuple[str, str, Callable[[Any], Any]]]:
        """(column, attribute, function that turns a cell into a value) of each field."""
        fields = [self.fields[name] for name in self._meta.fields]
        return [(field.column_name, field.attribute, field.widget.clean) for field in fields]

    def instance(self, row: Row, faults: Faults) -> tuple[Model, set[str]]:
        """The row as an unsaved instance, with None for each cell at fault; and the columns of those."""
        values, wrong = dict.fromkeys(self.attributes), set()
        for column, attribute, clean in self.cleaners:
            cell = row.cells[column]
            try:
                values[attribute] = clean(cell)
            except ValueError as error:
                faults.add(row.number, column, cell, error, "required" if cell == "" else "invalid")
                wrong.add(column)
        return self._meta.model(*values.values()), wrong  # by position: a third faster than by name

    def text_cells(self, item: Model) -> list[str]:
        """The row in the cells of a text file, in the order of columns()."""
        return [str(self.fields[name].export(item)) for name in self._meta.fields]

    def workbook_cells(self, item: Model) -> list[Any]:
        """The same in the cells of a workbook."""
        values = [self.fields[name].get_value(item) for name in self._meta.fields]
        # A spreadsheet's numbers are exact to 15 digits.
        return [str(v) if isinstance(v, int) and v >= 10**15 else guarded(v) for v in values]

    @classmethod
    def get_display_name(cls) -> str:
        return ", ".join(cls.columns())

    def prepare(self) -> None:
        """Before the first row: what the resource must know of the database."""

    def key_of(self, item: Any) -> Any:
        """What the row is known by; None where it has none or that is at fault."""
        return item.id  # three times as fast as item.pk

    def stored(self, items: list[Any]) -> dict[Any, Model]:
        """{key: row} of those items that the database has already."""
        pks = [item.pk for item in items if item.pk is not None]
        return self._meta.model._default_manager.in_bulk(pks)

    def check_known(self, batch: Batch, number: int, item: Model, stored: Model) -> None:
        """Refuse a row whose id is known but belongs to something else."""
        if self.owner:
            owner = self.fields[self.owner]
            given, known = owner.get_value(item), owner.get_value(stored)
            if given is not None and given != known:
                expected = _("%(known)s, which %(id)d belongs to") % {"known": known, "id": item.pk}
                batch.refuse(number, owner.column_name, expected)

    def check(self, batch: Batch) -> None:
        """Refuse the rows that disagree with themselves, each other or the database."""

    def finish(self, faults: Faults, doubtful: Doubtful) -> None:
        """Add the faults that show only when all rows are known: those of the file, and of the database."""

    def doubts(self, batch: Batch) -> Iterator[tuple[int, str, Any]]:
        """(row, column, why it is doubtful) of what would be stored anew, and may be."""
        columns = {field.attribute: field.column_name for field in self.fields.values()}
        today = timezone.localdate()
        for row in batch.compared:
            if row.kind != "unchanged":
                for name, reason in row.item.doubts(today):
                    yield row.number, columns[name], reason
