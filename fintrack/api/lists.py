"""The base of all lists of the API: filters, ordering and pages. Unknown parameters are errors."""

from typing import Any

from django import forms
from django.core import paginator
from django.db import models
from django.db.models import QuerySet
from django.utils.text import format_lazy
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
        help_text=format_lazy(_("a whole number from 1 to {most}"), most=MAX_PAGE_SIZE),
    )


class PageForm(ListForm):
    page = NumberField(required=False, min_value=1, help_text=_("a page, a whole number from 1"))


class CursorForm(ListForm):
    cursor = forms.CharField(required=False, help_text=_("a cursor from next or previous"))


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
    """Filters by the fields of a table. Subclasses add `ordering` and `search`."""

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
                "extra": lambda field: {"help_text": _("exact text")},
            },
        }

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for name, chosen in self.filters.items():  # the form also has the parameters of pages
            queryset = chosen.filter(queryset, self.form.cleaned_data[name])
        return queryset


def ordering(*fields: str) -> filters.ChoiceFilter:
    """Returns a filter that sorts by a field; a minus sorts descending. Equal values are sorted by id.

    In a large table each field must be unique, or have an index that begins with the field and the id.
    """
    names = [name for field in fields for name in (field, f"-{field}")]

    def sort(queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        name, meta = value.lstrip("-"), queryset.model._meta
        if meta.get_field(name).unique or (name,) in [rule.fields for rule in meta.total_unique_constraints]:
            return queryset.order_by(value)  # with the id, MariaDB would sort the rows
        return queryset.order_by(value, "-id" if value.startswith("-") else "id")

    expected = format_lazy(_("one of: {names}"), names=", ".join(names))
    return filters.ChoiceFilter(choices=[(name, name) for name in names], method=sort, help_text=expected)


class FilterBackend(filters.DjangoFilterBackend):
    """Filters lists. Raises Refused with a fault for each wrong, unknown, empty or repeated parameter."""

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
    """Returns the schema of a page: links, rows and further members.

    example is the end of the address of the next page.
    """
    link = {"type": ["string", "null"], "format": "uri"}
    address = f"http://127.0.0.1:8000/api/v1/{example}"
    links = {"next": link | {"example": address}, "previous": link | {"example": None}}
    properties = members | links | {"results": rows}
    return {"type": "object", "properties": properties, "required": list(properties)}


class FromBothEnds(paginator.Paginator):
    """Reads pages of the second half in reverse order, so that the last page is as fast as the first."""

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
    """Pages with a count, for small tables. A page after the last is a 404."""

    django_paginator_class = FromBothEnds
    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        page = {"type": "integer", "minimum": 1, "default": 1}
        description = "The number of the page (a whole number from 1). A page after the last is a 404."
        return [parameter("page", page, description), size_parameter()]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        count = {"type": "integer", "minimum": 0, "example": 123}
        return schema_of_page(schema, "borrowers?page=2", count=count)


class Cursors(BasePagination):
    """Pages without a count, for tables that grow every day. Each page is as fast as the first.

    DRF's own cursors use offsets within equal rows, and skip some of them on the way back.
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
            "Where the page begins (a cursor from `next` or `previous` of a page with the same ordering)."
        )
        return [parameter("cursor", {"type": "string", "minLength": 1}, description), size_parameter()]
