"""The base of the resources: each maps the rows of a source file to the rows of a table."""

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
    """Maps the rows of one source file to the rows of one table. An instance serves one load."""

    # The column that identifies a row, and the message if two rows of a file have the same key.
    key_column = "id"
    key_expected = _("an id that no earlier row has")
    owner: str | None = None  # a column that must not change in a stored row
    at_least: Any = _("at least one row")  # the message if a file has no rows

    # Limits of a file from a request. load_data has no limits.
    max_rows = 60_000
    max_unzipped = 100 * 2**20
    max_marks = 5_000_000  # 60,000 rows of 7 columns of text have 3,700,000

    @classmethod
    def columns(cls) -> list[str]:
        return [cls.fields[name].column_name for name in cls._meta.fields]

    @cached_property
    def values(self) -> list[str]:
        """The attributes except the key."""
        return [field.attribute for field in self.fields.values() if field.attribute != "id"]

    @cached_property
    def attributes(self) -> list[str]:
        """All attributes of the model, in the model's order."""
        return columns(self._meta.model)

    @cached_property
    def cleaners(self) -> list[tuple[str, str, Callable[[Any], Any]]]:
        """(column, attribute, function that converts a cell to a value) for each field."""
        fields = [self.fields[name] for name in self._meta.fields]
        return [(field.column_name, field.attribute, field.widget.clean) for field in fields]

    def instance(self, row: Row, faults: Faults) -> tuple[Model, set[str]]:
        """Returns an unsaved instance, with None for each cell at fault, and the columns of these cells."""
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
        """Returns the cells of the row for a text file, in the order of columns()."""
        return [str(self.fields[name].export(item)) for name in self._meta.fields]

    def workbook_cells(self, item: Model) -> list[Any]:
        """Returns the cells of the row for a workbook, in the order of columns()."""
        values = [self.fields[name].get_value(item) for name in self._meta.fields]
        # A spreadsheet's numbers are exact to 15 digits.
        return [str(v) if isinstance(v, int) and v >= 10**15 else guarded(v) for v in values]

    @classmethod
    def get_display_name(cls) -> str:
        return ", ".join(cls.columns())

    def prepare(self) -> None:
        """Called before the first row: reads from the database what the checks need."""

    def key_of(self, item: Any) -> Any:
        """Returns the row's key, or None if it has none or the cell is at fault."""
        return item.id  # three times as fast as item.pk

    def stored(self, items: list[Any]) -> dict[Any, Model]:
        """Returns {key: stored row} for the items that the database has."""
        pks = [item.pk for item in items if item.pk is not None]
        return self._meta.model._default_manager.in_bulk(pks)

    def check_known(self, batch: Batch, number: int, item: Model, stored: Model) -> None:
        """Refuses a row whose id belongs to a stored row with another owner."""
        if self.owner:
            owner = self.fields[self.owner]
            given, known = owner.get_value(item), owner.get_value(stored)
            if given is not None and given != known:
                expected = _("%(known)s, which %(id)d belongs to") % {"known": known, "id": item.pk}
                batch.refuse(number, owner.column_name, expected)

    def check(self, batch: Batch) -> None:
        """Refuses the rows that contradict themselves, other rows or the database."""

    def finish(self, faults: Faults, doubtful: Doubtful) -> None:
        """Adds the faults of the whole file and of the database, which show only after the last row."""

    def doubts(self, batch: Batch) -> Iterator[tuple[int, str, Any]]:
        """Yields (row, column, reason) for doubtful values of new and changed rows, which may be stored."""
        columns = {field.attribute: field.column_name for field in self.fields.values()}
        today = timezone.localdate()
        for row in batch.compared:
            if row.kind != "unchanged":
                for name, reason in row.item.doubts(today):
                    yield row.number, columns[name], reason
