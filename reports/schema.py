"""What the OpenAPI schema says of a report: all of it is in the report already."""

from dataclasses import asdict
from datetime import date
from decimal import Decimal
from types import UnionType
from typing import Any, get_args, get_type_hints

from django import forms
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from fintrack.schema import AutoSchema

from .downloads import TYPES
from .report import Report

KINDS: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    Decimal: {"type": "number"},
    int: {"type": "integer"},
    str: {"type": "string"},
}


class ReportSchema(AutoSchema):
    view: Any

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
        return [
            OpenApiParameter(
                name,
                schema_of_field(field),
                OpenApiParameter.PATH if f"{{{name}}}" in self.path else OpenApiParameter.QUERY,
                required=field.required and name != "format",  # Accept says it too
                description=str(field.help_text),
                examples=[OpenApiExample("example", example[name])] if name in example else (),
            )
            for name, field in form.fields.items()
        ]

    def get_response_serializers(self) -> Any:
        examples = []
        if self.report.example:
            row = asdict(self.report.example[1])
            examples = [OpenApiExample("example", [{name: shown(value) for name, value in row.items()}])]
        rows = {"type": "array", "items": schema_of_row(self.report)}
        file = {"type": "string", "format": "binary"}
        return {
            (200, "application/json"): OpenApiResponse(rows, "The rows of the report.", examples=examples),
            **{(200, media_type): OpenApiResponse(file) for media_type in TYPES.values()},
        }


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
    if isinstance(field, forms.IntegerField):
        limits = {"minimum": field.min_value, "maximum": field.max_value}
        return {"type": "integer"} | {name: value for name, value in limits.items() if value is not None}
    if isinstance(field, forms.DateField) and field.input_formats == ["%Y-%m"]:
        return {"type": "string", "pattern": "^[12][0-9]{3}-(0[1-9]|1[0-2])$"}
    if isinstance(field, forms.DateField):
        return {"type": "string", "format": "date"}
    return {"type": "string"}


def shown(value: Any) -> Any:
    """As JSON shows it."""
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
