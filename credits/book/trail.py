"""The trail: who loaded or changed which rows of the book, when, and their values before and after.

writing.py reports every change to it, and loading.py every load, in the same transaction. So there is no
change without a record and no record without a change. The trail's tables are no part of the book.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from gzip import GzipFile
from io import BytesIO
from operator import attrgetter
from typing import Any, Self

from django.apps import apps
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.dispatch import receiver
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fintrack.trail import actor

from .files import Faults, Row, rows_at_fault
from .money import ZERO, grouped
from .values import ChangedRow, columns, money_fields
from .writing import BookModel, rows_changed

current_load: ContextVar["Load | None"] = ContextVar("current_load", default=None)


def tables() -> list[tuple[str, Any]]:
    """Returns the tables of the book, as choices."""
    models_ = [model for model in apps.get_models() if issubclass(model, BookModel)]
    return [(model._meta.label_lower, model._meta.verbose_name_plural) for model in models_]


class RecordQuerySet(models.QuerySet[Any]):
    def of_object(self, table: str, pk: Any) -> Self:
        return self.filter(table=table, object_id=pk)

    def bringing(self, table: str, pk: int) -> Self:
        """Returns the loads that stored the object as a new row."""
        near = (pk - LoadIds.MOST + 1, pk)
        return self.filter(table=table, ranges__first_id__range=near, ranges__last_id__gte=pk)

    def last_ones(self, number: int) -> Self:
        return self.select_related("account").order_by("-pk")[:number]


class Record(models.Model):
    moment = models.DateTimeField(_("when"), default=timezone.now, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,  # accounts are switched off, not deleted
        null=True,
        related_name="+",
        verbose_name=_("account"),
    )
    via = models.CharField(_("by way of"), max_length=200)
    table = models.CharField(_("table"), max_length=50, choices=tables)

    objects = RecordQuerySet.as_manager()

    class Meta:
        abstract = True
        default_permissions = ("view",)
        ordering = ("-pk",)

    def signature(self) -> str:
        """Returns when it was done and by whom."""
        return f"{self.minute()}, {self.account or self.via}"

    def minute(self) -> str:
        return date_format(timezone.localtime(self.moment), "SHORT_DATETIME_FORMAT")


class Load(Record):
    """The load of one file into one table, or the undoing of a load, which removes the load's new rows.

    New rows have no record of their own. Each changed row has one, and each row that an undoing deletes.
    """

    STORED, REFUSED, UNDOING = "stored", "refused", "undoing"

    file = models.CharField(_("file"), max_length=255)
    digest = models.CharField(_("SHA-256 of the file"), max_length=64)
    outcome = models.CharField(
        _("outcome"),
        max_length=10,
        choices=[(STORED, _("stored")), (REFUSED, _("refused")), (UNDOING, _("undoing"))],
    )
    undoes = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="undone_by", verbose_name=_("undoes")
    )
    new = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    removed = models.PositiveIntegerField(_("removed"), default=0)
    faults = models.PositiveIntegerField(_("faults"), default=0)
    sums = models.JSONField(_("sums of the new rows"), default=dict)
    rows_digest = models.CharField(_("SHA-256 of the new rows"), max_length=64)

    class Meta(Record.Meta):
        db_table = "trail_load"
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return f"{self.title()}, {self.minute()}"

    def title(self) -> str:
        return gettext("Undoing of %s") % self.file if self.undoes_id else self.file

    def new_ids(self) -> Iterator[int]:
        for first, last in self.ranges.order_by("first_id").values_list("first_id", "last_id"):
            yield from range(first, last + 1)


class LoadIds(models.Model):
    """A range of consecutive ids of a load's new rows, from first_id to last_id."""

    MOST = 2000  # ids in a range: only the few ranges that begin within this distance can hold a given id

    pk = models.CompositePrimaryKey("load_id", "first_id")
    load = models.ForeignKey(Load, models.PROTECT, related_name="ranges", db_index=False)
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()

    class Meta:
        db_table = "trail_load_ids"
        default_permissions = ()
        indexes = [models.Index(fields=["first_id", "last_id"], name="load_ids")]

    def __str__(self) -> str:
        return f"{self.first_id}–{self.last_id}"


class RowsAtFault(models.Model):
    """A CSV file of the rows at fault of a refused load, with all faults of each row."""

    MOST = 8 * 2**20  # compressed bytes: MariaDB takes statements of at most 16 MB

    load = models.OneToOneField(Load, models.PROTECT, primary_key=True, related_name="rows_at_fault")
    content = models.BinaryField()  # compressed

    class Meta:
        db_table = "trail_rows_at_fault"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.load_id}"

    def lines(self) -> Iterable[bytes]:
        return GzipFile(fileobj=BytesIO(self.content))


class Change(Record):
    """One row that was added, changed or deleted.

    fields is {name: [before, after]}. A value is null if there was no row.
    """

    ADDED, CHANGED, DELETED = "added", "changed", "deleted"

    object_id = models.BigIntegerField(_("id"), null=True)  # unknown in some old records made on MySQL
    action = models.CharField(
        _("action"),
        max_length=10,
        choices=[(ADDED, _("added")), (CHANGED, _("changed")), (DELETED, _("deleted"))],
    )
    fields = models.JSONField(_("before and after"), encoder=DjangoJSONEncoder)
    load = models.ForeignKey(
        Load, models.PROTECT, null=True, related_name="changes", verbose_name=_("import")
    )

    class Meta(Record.Meta):
        db_table = "trail_change"
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [models.Index(fields=["table", "object_id"], name="change_of_object")]

    def __str__(self) -> str:
        return f"{self.get_table_display()} {self.object_id}: {self.get_action_display()}"

    def readable_fields(self) -> Iterator[tuple[str, Any, Any]]:
        """Yields (field, before, after) as text for people."""
        model = apps.get_model(self.table)
        money = {field.attname for field in money_fields(model)}
        days = {field.attname for field in model._meta.concrete_fields if type(field) is models.DateField}
        labels = {field.attname: field.verbose_name for field in model._meta.concrete_fields}

        def text(name: str, value: Any) -> Any:
            if value is None:
                return "–"
            if name in days:
                return date_format(date.fromisoformat(value), "SHORT_DATE_FORMAT")
            return grouped(Decimal(value)) if name in money else value

        for name, (before, after) in self.fields.items():
            yield labels.get(name, name), text(name, before), text(name, after)

    def as_items(self) -> SafeString:
        """Returns each field with its values before and after, as items of an HTML list."""
        return format_html_join("", "<li>{}: {} → {}</li>", self.readable_fields())


class Upload(models.Model):
    """A file between its preview and its import, kept where all worker processes find it."""

    key = models.CharField(max_length=32, primary_key=True)
    table = models.CharField(max_length=50)
    columns = models.PositiveSmallIntegerField()  # the index of one of the resources of the table's admin
    name = models.CharField(max_length=255)
    content = models.BinaryField()
    encoding = models.CharField(max_length=20, default="")  # "": it is detected
    digest = models.CharField(max_length=64)  # of the preview
    moment = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        db_table = "trail_upload"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


def last_touch(row: models.Model, name: str) -> Record | None:
    """Returns the last change of the field or deletion of its row, or else the load that stored the row."""
    table, column = row._meta.label_lower, row._meta.get_field(name).attname  # type: ignore[union-attr]
    changes = Change.objects.of_object(table, row.pk).select_related("account")
    loads = Load.objects.select_related("account")
    return changes.filter(fields__has_key=column).first() or next(iter(loads.bringing(table, row.pk)), None)


@receiver(rows_changed)
def record_changes(sender: Any, rows: list[ChangedRow] | None, **kwargs: Any) -> None:
    """Records each changed row. rows is None, and no row is recorded, if its table was emptied for a load."""
    common = actor() | {"table": sender._meta.label_lower, "load": current_load.get()}
    changes = []
    for pk, old, new in rows or []:
        fields = {}
        for name in columns(sender):
            pair = [old and old[name], new and new[name]]
            if pair[0] != pair[1] or old is None or new is None:
                fields[name] = pair
        if fields:
            action = Change.ADDED if old is None else Change.DELETED if new is None else Change.CHANGED
            changes.append(Change(**common, object_id=pk, action=action, fields=fields))
    if changes:
        Change.objects.bulk_create(changes, batch_size=2000)


class LoadRecord:
    """The record of a running load, with the sums and the digest of the rows that it has stored so far."""

    def __init__(self, model: type[models.Model], file: str, digest: str, removed: int = 0) -> None:
        self.load = Load(
            **actor(),
            table=model._meta.label_lower,
            file=file[:255],
            digest=digest,
            outcome=Load.STORED,
            removed=removed,
        )
        self.values_of = attrgetter(*columns(model))
        self.money = {field.attname: ZERO for field in money_fields(model)}
        self.rows = hashlib.sha256()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Rows that are changed inside this context are recorded as changed by the load."""
        self.load.save()
        token = current_load.set(self.load)
        try:
            yield
        finally:
            current_load.reset(token)

    def add(self, rows: list[Any]) -> None:
        """Records new rows, which come in the order of the file."""
        lines = (";".join(map(str, values)) + "\n" for values in map(self.values_of, rows))
        self.rows.update("".join(lines).encode())
        for name in self.money:
            self.money[name] += sum(map(attrgetter(name), rows), ZERO)
        ranges: list[LoadIds] = []
        for pk in sorted(row.pk for row in rows):
            if ranges and ranges[-1].last_id == pk - 1 and pk - ranges[-1].first_id < LoadIds.MOST:
                ranges[-1].last_id = pk
            else:
                ranges.append(LoadIds(load=self.load, first_id=pk, last_id=pk))
        LoadIds.objects.bulk_create(ranges)

    def finish(self, new: int, changed: int, unchanged: int) -> None:
        self.load.new, self.load.changed, self.load.unchanged = new, changed, unchanged
        self.load.sums = {name: str(amount) for name, amount in self.money.items()}
        self.load.rows_digest = self.rows.hexdigest()
        self.load.save()


def record_refusal(
    model: type[models.Model], file: str, digest: str, faults: Faults, columns: list[str], rows: Iterable[Row]
) -> Load:
    """Records a refused file and its rows at fault. The load's transaction must have been rolled back."""
    with transaction.atomic():
        load = Load.objects.create(
            **actor(),
            table=model._meta.label_lower,
            file=file[:255],
            digest=digest,
            outcome=Load.REFUSED,
            faults=faults.count,
        )
        if faults:
            content = packed(rows_at_fault(columns, rows, faults))
            RowsAtFault.objects.create(load=load, content=content)
    return load


def packed(lines: Iterable[str]) -> bytes:
    """Compresses the lines. If they are too many, it leaves out the rest and adds a line that says so."""
    content = BytesIO()
    with GzipFile(fileobj=content, mode="wb") as file:
        for line in lines:
            if content.tell() > RowsAtFault.MOST:
                file.write(gettext("There are more rows at fault than can be kept here.").encode())
                break
            file.write(line.encode())
    return content.getvalue()
