"""What all lists of the API share: filters, whose unknown names are errors, ordering, and pages."""

from typing import Any

from django import forms
from django.core.signing import BadSignature, Signer
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import NotFound
from rest_framework.pagination import BasePagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

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
    """The filter that sorts: by a field, or downwards with a minus; what is equal goes by id the same way."""
    names = [name for field in fields for name in (field, f"-{field}")]

    def sort(queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        return queryset.order_by(*dict.fromkeys([value, "-id" if value.startswith("-") else "id"]))

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


class Pages(PageNumberPagination):
    """Pages with a count, for tables that are small. A page after the last is 404."""

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

    A cursor is the row that a page begins after, or ends before; one that was made up is 404. (DRF's own
    cursors count through equal rows, and skip some on the way back.)
    """

    @property
    def signer(self) -> Signer:
        """A cursor is ours alone to make, and of one order."""
        return Signer(salt=f"cursor {self.order}")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.address = request.build_absolute_uri()
        self.order: Any = queryset.query.order_by
        size = int(request.query_params.get("page_size", PAGE_SIZE))
        cursor = request.query_params.get("cursor")
        backwards = False
        if cursor is not None:
            try:
                backwards, *position = self.signer.unsign_object(cursor)
            except BadSignature as error:
                raise NotFound(_("There is no such page. Follow next and previous.")) from error
            queryset = queryset.filter(self.beyond(position, backwards))
        found = list((queryset.reverse() if backwards else queryset)[: size + 1])
        more = len(found) > size
        self.rows = found[:size][::-1] if backwards else found[:size]
        self.has_previous, self.has_next = (more, True) if backwards else (cursor is not None, more)
        return self.rows

    def beyond(self, position: list[Any], backwards: bool) -> Q:
        """What comes after the row in that position, or before it."""
        *first, number = (name.lstrip("-") for name in self.order)
        *values, pk = position
        way = "lt" if self.order[0].startswith("-") != backwards else "gt"
        after = Q(**{f"{number}__{way}": pk})
        for name, value in zip(first, values, strict=True):
            after = Q(**{f"{name}__{way}": value}) | Q(**{name: value}) & after
        return after

    def link(self, there: bool, row: Any, backwards: bool) -> str | None:
        if not there:
            return None
        position = [str(getattr(row, name.lstrip("-"))) for name in self.order]
        cursor = self.signer.sign_object([backwards, *position])
        return replace_query_param(self.address, "cursor", cursor)

    def get_paginated_response(self, data: Any) -> Response:
        rows = self.rows
        return Response(
            {
                "next": self.link(bool(rows) and self.has_next, rows and rows[-1], False),
                "previous": self.link(bool(rows) and self.has_previous, rows and rows[0], True),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema_of_page(schema, "payments?cursor=WzEsIjEwMCJd%3AHj0vTMl")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        description = (
            "Where the page begins (a cursor, as `next` and `previous` of the same ordering have it)."
        )
        return [parameter("cursor", {"type": "string", "minLength": 1}, description), size_parameter()]
