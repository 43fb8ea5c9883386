"""Files of plans: the source file plans.csv, and the upload, which names categories."""

from datetime import date
from typing import Any, BinaryIO

from django.db import IntegrityError
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from import_export.fields import Field

from credits.book.batches import Batch, Seen
from credits.book.cells import Amount, Cell, Day, Id, Kind
from credits.book.files import Faults, Faulty
from credits.book.loading import Source, load_file
from credits.book.money import ZERO
from credits.book.resources import BookResource
from credits.book.trail import record_refusal
from credits.models import Dictionary

from .models import Plan

MAX_BYTES = 2 * 2**20  # of an uploaded file


class Month(Day):
    """The first day of a month."""

    expected = _("the first day of a month, dd.mm.yyyy or yyyy-mm-dd, from 1900 to 2999")

    def parse(self, value: Any) -> date | None:
        day = super().parse(value)
        return day if day and day.day == 1 else None


class Category(Cell):
    """A category by any of its names, in any case: the names below and the dictionary's own."""

    expected = _("видача, issuance, збір or collection")
    names = {
        "видача": Dictionary.ISSUANCE,
        "issuance": Dictionary.ISSUANCE,
        "збір": Dictionary.COLLECTION,
        "collection": Dictionary.COLLECTION,
    }

    def learn_names(self) -> None:
        categories = Dictionary.objects.filter(pk__in=self.names.values()).values_list("name", "pk")
        self.names = self.names | {name.casefold(): pk for name, pk in categories}

    def parse(self, value: Any) -> int | None:
        return self.names.get(str(value).casefold())

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return next(name for name, category in self.names.items() if category == value)


class AnyPlanResource(BookResource):
    """Matches plans by month and category, never by id."""

    key_expected = _("a month and category that no earlier row has")

    def key_of(self, item: Any) -> tuple[date, int] | None:
        return (item.period, item.category_id) if item.period and item.category_id else None

    def stored(self, items: list[Any]) -> dict[Any, Model]:
        plans = Plan.objects.filter(period__in={item.period for item in items if item.period})
        return {self.key_of(plan): plan for plan in plans}


class PlanResource(AnyPlanResource):
    id = Field("id", "id", Id())
    period = Field("period", "period", Month())
    sum = Field("sum", "sum", Amount(ZERO))
    category_id = Field(
        "category_id",
        "category_id",
        Kind({Dictionary.ISSUANCE, Dictionary.COLLECTION}, _("3 (issuance) or 4 (collection)")),
    )

    key_column = "period"

    class Meta:
        model = Plan
        fields = ("id", "period", "sum", "category_id")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ids = Seen()

    def check(self, batch: Batch) -> None:
        categories = batch.known(Dictionary, "category_id", "category_id")
        for number, item in batch.having("id"):
            if not self.ids.add(item.pk):
                batch.refuse(number, "id", _("an id that no other row has"), "repeated")
        for number, item in batch.having("category_id"):
            if not categories.get(item.category_id):
                batch.leave_out(number)
        for _number, item in batch:
            item.pk = None  # the database assigns the id


class PlanUploadResource(AnyPlanResource):
    """The file of POST /plans_insert: it may hold only new plans."""

    month = Field("period", "month", Month())
    category_name = Field("category_id", "category_name", Category())
    sum = Field("sum", "sum", Amount(ZERO))

    key_column = "month"
    at_least = _("at least one plan")
    max_rows = 10_000
    max_unzipped = 20 * 2**20
    max_marks = 1_000_000

    class Meta:
        model = Plan
        fields = ("month", "category_name", "sum")

    def prepare(self) -> None:
        self.fields["category_name"].widget.learn_names()

    def check_known(self, batch: Batch, number: int, item: Model, stored: Model) -> None:
        expected = _("a month that has no plan yet for this category")
        batch.refuse(number, "month", expected, "unique")


def insert_plans(file: BinaryIO, name: str = "") -> int:
    """Stores the plans of an uploaded file, all or none, and returns their number. Raises Faulty."""

    def insert() -> int:
        return load_file(PlanUploadResource(), file, name, Faults(limit=None)).new

    try:
        try:
            return insert()
        except IntegrityError:  # another request stored such a plan meanwhile; a retry reports it as a fault
            return insert()
    except Faulty as faulty:
        source = Source.of(file, name)
        record_refusal(Plan, *source, faulty.faults, PlanUploadResource.columns(), faulty.rows)
        raise
