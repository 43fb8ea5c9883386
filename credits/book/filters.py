"""The filter of date columns in the admin's lists: from one day to another."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin import FieldListFilter
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from .cells import Day


class DayFilter(FieldListFilter):
    """Filters from one day to another, both inclusive, written as in files."""

    template = "admin/day_filter.html"

    used_parameters: dict[str, Any]

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.names = {f"{field_path}__gte": _("From"), f"{field_path}__lte": _("To")}
        super().__init__(field, request, params, model, model_admin, field_path)
        self.typed = {name: values[-1].strip() for name, values in self.used_parameters.items()}

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yields a single choice, which is the whole form."""
        yield {
            "fields": [(name, label, self.typed.get(name, "")) for name, label in self.names.items()],
            "others": [(name, value) for name, value in changelist.params.items() if name not in self.names],
            "clear": changelist.get_query_string(remove=self.names) if any(self.typed.values()) else None,
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns no rows, and shows a message, if the input is not a day."""
        for name, text in self.typed.items():
            if not text:
                continue
            if (day := Day().parse(text)) is None:
                problem = _("%(field)s, %(end)s: found %(found)s; expected %(expected)s.")
                known = {"field": capfirst(self.title), "end": self.names[name], "expected": Day.expected}
                messages.error(request, problem % {"found": text, **known})
                return queryset.none()
            queryset = queryset.filter(**self.bound(name, day))
        return queryset

    def bound(self, name: str, day: Any) -> dict[str, Any]:
        """Returns the condition. Datetimes are compared with midnight of the day, or of the day after it."""
        if not isinstance(self.field, models.DateTimeField):
            return {name: day}
        if name.endswith("__lte"):
            name, day = f"{name.removesuffix('e')}", day + timedelta(days=1)
        return {name: timezone.make_aware(datetime.combine(day, time.min))}


FieldListFilter.register(lambda field: isinstance(field, models.DateField), DayFilter, take_priority=True)
