"""What all lists of the API share: filters, whose unknown names are errors, ordering, and pages."""

from typing import Any

from django import forms
from django.core import paginator
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.pagination import BasePagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from fintrack.keyset import Page, columns, ids_first, opposite

from .params import AMOUNT, MAX_ID, AmountField, DateField, NumberField, ParamsForm

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
RANGE = ["exact", "gte", "lte"]
ID: dict[str, Any] = {
    "help_text": _("an id, a whole number from 1"),
    "min_value": 1,
    "max_value": MAX_ID,
}


class ListForm(ParamsForm):
    """The parameters of a list."""

    strict = True
    page_size = NumberField(
        required=False,
        min_value=1,
        max_value=MAX_PAGE_SIZE,
        help_text=_("a whole number from 1 to %d") % MAX_PAGE_SIZE,
    )


class PageForm(ListForm):
    page = NumberField(required=False, min_value=1, help_text=_("a page, a whole number from 1"))


class CursorForm(ListForm):
    cursor = forms.CharField(required=False, help_text=_("a cursor, as next and previous give them"))


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MAX_ID})
class IdFilter(filters.Filter):
    field_class = NumberField


@extend_schema_field({"type": "string", "pattern": AMOUNT})
class AmountFilter(filters.Filter):
    field_class = AmountField


class DayFilter(filters.DateFilter):
    field_class = DateField


@extend_schema_field({"type": "string", "pattern": r"\S"})
class TextFilter(filters.CharFilter):
    pass


class ListFilter(filters.FilterSet):
    """Filters by the fields of a table; `ordering` and `search` are added by each."""

    class Meta:
        form: type[ListForm] = PageForm
        filter_overrides = {
            models.ForeignKey: {"filter_class": IdFilter, "extra": lambda field: ID},
            models.DateField: {
                "filter_class": DayFilter,
                "extra": lambda field: {"help_text": _("a date, yyyy-mm-dd")},
            },
            models.DecimalField: {
                "filter_class": AmountFilter,
                "extra": lambda field: {
                    "help_text": _("an amount of at most 12 digits and two decimals, such as 1500.50"),
                    "min_value": 0,
                    "max_digits": 14,
                    "decimal_places": 2,
                },
            },
            models.CharField: {
                "filter_class": TextFilter,
                "extra": lambda field: {"help_text": _("text, to the letter")},
            },
        }

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for name, chosen in self.filters.items():  # the form has more: the parameters of pages
            queryset = chosen.filter(queryset, self.form.cleaned_data[name])
        return queryset


def ordering(*fields: str) -> filters.ChoiceFilter:
    """The filter that sorts: by a field, or downwards with a minus; what is equal goes by id the same way.

    Each field of a large table needs an index that begins with it and the id, or is unique.
    """
    names = [name for field in fields for name in (field, f"-{field}")]

    def sort(queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        name, meta = value.lstrip("-"), queryset.model._meta
        if meta.get_field(name).unique or (name,) in [rule.fields for rule in meta.total_unique_constraints]:
            return queryset.order_by(value)  # MariaDB would sort for the id
        return queryset.order_by(value, "-id" if value.startswith("-") else "id")

    expected = _("one of: %(names)s") % {"names": ", ".join(names)}
    return filters.ChoiceFilter(choices=[(name, name) for name in names], method=sort, help_text=expected)


class FilterBackend(filters.DjangoFilterBackend):
    """Raises Refused, with a fault for each parameter that is wrong, unknown, empty or given twice."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if view.detail:
            ParamsForm(request.query_params).checked()
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        filterset.form.checked()
        return filterset.qs


def size_parameter() -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
    description = f"How many rows a page has (a whole number from 1 to {MAX_PAGE_SIZE})."
    return parameter("page_size", schema, description)


def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def schema_of_page(rows: Any, example: str, **members: Any) -> dict[str, Any]:
    """Of a first page of the rows; example is what leads to the next, members stand beside them."""
    link = {"type": ["string", "null"], "format": "uri"}
    address = f"http://127.0.0.1:8000/api/v1/{example}"
    links = {"next": link | {"example": address}, "previous": link | {"example": None}}
    properties = members | links | {"results": rows}
    return {"type": "object", "properties": properties, "required": list(properties)}


class FromBothEnds(paginator.Paginator):
    """Finds the pages of the second half from the end, so that the last one is as near as the first."""

    def page(self, number: Any) -> Any:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        stop = min(start + self.per_page, self.count)
        rows: Any = self.object_list
        if start < self.count - stop:
            found = ids_first(rows[start:stop])
        else:
            backwards = rows.order_by(*opposite(columns(rows)))
            found = ids_first(backwards[self.count - stop : self.count - start])[::-1]
        return paginator.Page(found, number, self)


class Pages(PageNumberPagination):
    """Pages with a count, for tables that are small. A page after the last is 404."""

    django_paginator_class = FromBothEnds
    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        page = {"type": "integer", "minimum": 1, "default": 1}
        description = "Which page (a whole number from 1); a page after the last is 404."
        return [parameter("page", page, description), size_parameter()]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        count = {"type": "integer", "minimum": 0, "example": 123}
        return schema_of_page(schema, "borrowers?page=2", count=count)


class Cursors(BasePagination):
    """Pages without a count, each as quick as the first, for tables that grow with every day.

    (DRF's own cursors count through equal rows, and skip some on the way back.)
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.address = request.build_absolute_uri()
        size = int(request.query_params.get("page_size", PAGE_SIZE))
        self.page = Page(queryset, size, request.query_params.get("cursor", ""))
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        next_, previous = (
            cursor and replace_query_param(self.address, "cursor", cursor)
            for cursor in (self.page.next, self.page.previous)
        )
        return Response({"next": next_, "previous": previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema_of_page(schema, "payments?cursor=WzEsIjEwMCJd%3AHj0vTMl")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        description = (
            "Where the page begins (a cursor, as `next` and `previous` of the same ordering have it)."
        )
        return [parameter("cursor", {"type": "string", "minLength": 1}, description), size_parameter()]
