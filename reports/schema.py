"""The OpenAPI schema of a report, generated from the report itself."""

from dataclasses import asdict
from datetime import date
from decimal import Decimal
from types import UnionType
from typing import Any, get_args, get_type_hints

from django import forms
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from fintrack.api.params import AMOUNT, AmountField
from fintrack.api.schema import AutoSchema

from .downloads import TYPES
from .params import BorrowerField, DayField, MonthField, YearField
from .report import Report

# The description of each kind of parameter.
DESCRIPTIONS: dict[type, str] = {
    BorrowerField: "The borrower of the report",
    DayField: "The date of the report",
    MonthField: "The month of the report",
    YearField: "The year of the report",
    forms.ChoiceField: "The format of the response; overrides the header `Accept`",
}

# What a report takes if a parameter of this kind is left out. Other kinds have an initial value.
DEFAULTS: dict[type, str] = {
    DayField: "the last day of the book",
    MonthField: "the last month that is over by the last day of the book",
}

KINDS: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    Decimal: {"type": "number"},
    int: {"type": "integer"},
    str: {"type": "string"},
}


class ReportSchema(AutoSchema):
    @property
    def report(self) -> Report:
        return self.view.report

    def get_tags(self) -> list[str]:
        return ["reports"]

    def get_summary(self) -> str:
        return str(self.report.question)

    def get_description(self) -> str:  # type: ignore[override]
        return str(self.report.formula)

    def get_override_parameters(self) -> list[Any]:
        example = self.report.example[0] if self.report.example else {}
        form = self.view.form({})
        return super().get_override_parameters() + [
            OpenApiParameter(
                name,
                schema_of_field(field),
                OpenApiParameter.PATH if f"{{{name}}}" in self.path else OpenApiParameter.QUERY,
                required=field.required and name != "format",  # Accept may name the format
                description=describe(field),
                examples=[OpenApiExample("example", example[name])] if name in example else (),
            )
            for name, field in form.fields.items()
        ]

    def get_response_serializers(self) -> Any:
        examples = []
        if self.report.example:
            row = asdict(self.report.example[1])
            examples = [
                OpenApiExample("example", [{name: example_value(value) for name, value in row.items()}])
            ]
        row_component = ResolvedComponent(
            "".join(map(str.capitalize, self.report.name.split("_"))) + "Row",
            ResolvedComponent.SCHEMA,
            schema_of_row(self.report),
            self.report.row,
        )
        self.registry.register_on_missing(row_component)
        rows = {"type": "array", "items": row_component.ref}
        file = {"type": "string", "format": "binary"}
        return {
            (200, "application/json"): OpenApiResponse(rows, "The rows of the report.", examples=examples),
            **{(200, media_type): OpenApiResponse(file) for media_type in TYPES.values()},
        }


def describe(field: forms.Field) -> str:
    """Says what the parameter means, and which values it accepts."""
    value = None if field.required else DEFAULTS.get(type(field), field.initial)
    default = "" if value is None else f"; default: {value}"
    return f"{DESCRIPTIONS.get(type(field), field.label)} ({field.help_text}{default})."


def schema_of_row(report: Report) -> dict[str, Any]:
    hints = get_type_hints(report.row)
    properties = {column: schema_of(hints[column]) for column in report.columns}
    return {"type": "object", "properties": properties, "required": report.columns}


def schema_of(hint: Any) -> dict[str, Any]:
    if isinstance(hint, UnionType):
        (kind,) = set(get_args(hint)) - {type(None)}
        return KINDS[kind] | {"type": [KINDS[kind]["type"], "null"]}
    return KINDS[hint]


def schema_of_field(field: forms.Field) -> dict[str, Any]:
    if isinstance(field, forms.ChoiceField):
        choices: Any = field.choices
        return {"type": "string", "enum": [value for value, _label in choices]}
    if isinstance(field, AmountField):
        return {"type": "string", "pattern": AMOUNT}
    if isinstance(field, forms.IntegerField):
        limits = {"minimum": field.min_value, "maximum": field.max_value}
        return {"type": "integer"} | {name: value for name, value in limits.items() if value is not None}
    if isinstance(field, forms.DateField) and field.input_formats == ["%Y-%m"]:
        return {"type": "string", "pattern": "^[12][0-9]{3}-(0[1-9]|1[0-2])$"}
    if isinstance(field, forms.DateField):
        return {"type": "string", "format": "date"}
    return {"type": "string"}


def example_value(value: Any) -> Any:
    """Returns the value as JSON represents it."""
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
