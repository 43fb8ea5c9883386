"""The OpenAPI 3.1 schema of the API."""

from http import HTTPStatus
from typing import Any

from django.utils.text import capfirst
from django_filters.utils import get_model_field
from drf_spectacular.authentication import SessionScheme
from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import get_doc, is_list_serializer
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework.serializers import ModelSerializer

from .lists import AmountFilter, DayFilter, IdFilter, TextFilter
from .problems import CONFLICTS, MAX_FAULTS, MAX_JSON, PROBLEM, Busy, TooLarge, problem_of
from .tags import CONDITIONAL, Unmatched

# The summary and description of each action on a table.
ACTIONS = {
    "list": (
        "List the {all}",
        "A page of the {all} that match all given filters, in the requested order. "
        "`next` and `previous` lead to the other pages.",
    ),
    "create": ("Create a {one}", "Store a new {one}. The response is the stored row with its id."),
    "retrieve": ("Read a {one}", "The {one} that has this id."),
    "update": (
        "Replace a {one}",
        "Replace the fields of the {one}. Required fields must be given; omitted optional fields keep their "
        "values.",
    ),
    "partial_update": (
        "Change a {one}",
        "Change the given fields of the {one}. The others keep their values.",
    ),
    "destroy": (
        "Delete a {one}",
        "Delete the {one} permanently. Returns 409 if other rows refer to it.",
    ),
}
# The end of a filter's description, by its type and lookup: "Issued from this day, inclusive".
LOOKUPS = {
    AmountFilter: {
        "exact": "of this amount",
        "gte": "of this amount or more",
        "lte": "of this amount or less",
    },
    DayFilter: {
        "exact": "on this day",
        "gte": "from this day, inclusive",
        "lte": "to this day, inclusive",
    },
    IdFilter: {"exact": "with this id"},
    TextFilter: {"exact": "equal to this text"},
}
OTHER_FILTERS = {
    "ordering": "sort by this field, descending with a minus; equal rows by id in the same direction",
    "search": "matching this text",
}

WRITES = {"post", "put", "patch", "delete"}
PARAMETER_FAULT = {
    "parameter": "year",
    "found": "20x1",
    "expected": "a year from 1900 to 2999",
    "code": "invalid",
}
POINTER_FAULT = {
    "pointer": "/sum",
    "found": "0",
    "expected": "Ensure this value is greater than or equal to 0.01.",
    "code": "min_value",
}
ROW_FAULT = {
    "row": 2,
    "column": "month",
    "found": "2021-06-01",
    "expected": "a month that has no plan yet for this category",
    "code": "unique",
}
# The details of example problems.
DETAILS = {
    400: "Check the parameters.",
    401: "Authentication credentials were not provided.",
    403: "You do not have permission to perform this action.",
    404: "No Credit matches the given query.",
    405: 'Method "PUT" not allowed.',
    406: "Could not satisfy the request Accept header.",
    409: str(CONFLICTS["referenced"]),
    412: str(Unmatched.default_detail),
    413: str(TooLarge.default_detail),
    415: 'Unsupported media type "text/plain" in request.',
    429: "Request was throttled. Expected available in 12 seconds.",
    500: HTTPStatus.INTERNAL_SERVER_ERROR.description,
    503: str(Busy.default_detail),
}
REQUEST_ID = {
    "schema": {"type": "string"},
    "required": True,
    "description": (
        "The id of the request in the log. A client may send its own id in a request header of this name: "
        "1 to 64 letters, digits, dots, underscores and hyphens."
    ),
}
HEADERS = {
    401: {
        "WWW-Authenticate": {
            "schema": {"type": "string"},
            "required": True,
            "description": "The authentication scheme: Token.",
        }
    },
    405: {
        "Allow": {
            "schema": {"type": "string"},
            "required": True,
            "description": "The methods that this address allows.",
        }
    },
    429: {
        "Retry-After": {
            "schema": {"type": "integer", "minimum": 1},
            "required": True,
            "description": "Seconds to wait before the next request.",
        }
    },
    503: {
        "Retry-After": {
            "schema": {"type": "integer", "minimum": 1},
            "required": True,
            "description": "Seconds after which to ask again.",
        }
    },
}
FAULT = {
    "type": "object",
    "description": (
        "Where the fault is (a parameter or header, a JSON pointer into the body, or a row and column of a "
        "file), what was found there, what was expected, and a code for programs. The wording of `expected` "
        "may change, the code doesn't."
    ),
    "properties": {
        "parameter": {"type": "string"},
        "pointer": {"type": "string", "format": "json-pointer"},
        "row": {"type": ["integer", "null"]},
        "column": {"type": ["string", "null"]},
        "found": {"type": ["string", "null"]},
        "expected": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["found", "expected", "code"],
}
SCHEMA_OF_PROBLEM = {
    "type": "object",
    "description": (
        "A problem of RFC 9457. `errors` lists the faults of a request (400, if the request can be parsed) "
        f"or the duplicates (409): at most {MAX_FAULTS:,}, and `more_errors` counts the rest. Only "
        "plans_insert always lists all."
    ),
    "properties": {
        "type": {
            "type": "string",
            "enum": ["about:blank", *(f"urn:fintrack:conflict:{kind}" for kind in CONFLICTS)],
            "description": "The kind of conflict of a 409; about:blank for all other errors.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "more_errors": {"type": "integer", "minimum": 1},
    },
    "required": ["type", "title", "status", "detail"],
}


class AutoSchema(SpectacularSchema):
    """Forbids unknown fields in a body, and describes the addresses at the root as copies of /api/v1/."""

    view: Any

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation: Any = super().get_operation(*args, **kwargs)
        if not self.is_current:
            operation["summary"] += " (original address)"
            operation["description"] += f"\n\nThe same as `/api/v1{self.path}`."
        return operation

    @property
    def is_current(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def names(self) -> dict[str, Any]:
        """Returns the singular and plural names of the table's rows."""
        meta = self.view.queryset.model._meta
        return {"one": meta.verbose_name, "all": meta.verbose_name_plural}

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        return name if self.is_current else f"{name}_original"

    def get_summary(self) -> str | None:
        action = getattr(self.view, "action", None)
        return ACTIONS[action][0].format(**self.names) if action in ACTIONS else super().get_summary()

    def get_description(self) -> str:  # type: ignore[override]
        description = super().get_description()
        action = getattr(self.view, "action", None)
        if action in ACTIONS:
            return f"{ACTIONS[action][1].format(**self.names)}\n\n{description}"
        return description

    def get_override_parameters(self) -> list[Any]:
        return [*super().get_override_parameters(), *(CONDITIONAL if self.method == "GET" else [])]

    def _resolve_path_parameters(self, variables: Any) -> Any:
        found = super()._resolve_path_parameters(variables)
        return [parameter | {"description": f"The id of the {self.names['one']}."} for parameter in found]

    def _get_request_body(self, direction: Any = "request") -> Any:
        body: Any = super()._get_request_body(direction)
        if body and "application/json" in body["content"]:
            body["description"] = f"JSON in UTF-8, at most {MAX_JSON // 2**20} MB."
        return body

    def _unwrap_list_serializer(self, serializer: Any, direction: Any) -> Any:
        schema: Any = super()._unwrap_list_serializer(serializer, direction)
        many: Any = serializer
        if is_list_serializer(serializer) and many.max_length:
            schema |= {"minItems": 0 if many.allow_empty else 1, "maxItems": many.max_length}
        return schema

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)
        if isinstance(serializer, ModelSerializer):
            schema["description"] = get_doc(type(self.view))
        return schema | {"additionalProperties": False} if direction == "request" else schema


class FilterSchema(DjangoFilterExtension):
    """Describes each filter: which rows it selects, and which values it accepts."""

    target_class = "fintrack.api.lists.FilterBackend"
    priority = 1

    def resolve_filter_field(
        self, auto_schema: Any, model: Any, filterset_class: Any, field_name: str, filter_field: Any
    ) -> Any:
        (parameter,) = super().resolve_filter_field(
            auto_schema, model, filterset_class, field_name, filter_field
        )
        lookups = LOOKUPS.get(type(filter_field), {})
        if field_name in OTHER_FILTERS:
            text = OTHER_FILTERS[field_name]
        elif filter_field.lookup_expr in lookups and filter_field.method is None:
            name = get_model_field(model, filter_field.field_name).verbose_name
            text = f"{name} {lookups[filter_field.lookup_expr]}"
        else:
            text = f"with this {field_name}"
        return [parameter | {"description": f"{capfirst(text)} ({filter_field.extra['help_text']})."}]


def example(row: dict[str, Any]) -> Any:
    """Returns a decorator that gives a serializer examples of a row, for reading and for writing."""
    written = {name: value for name, value in row.items() if name != "id"}
    return extend_schema_serializer(
        examples=[
            OpenApiExample("read", row, response_only=True),
            OpenApiExample("written", written, request_only=True),
        ]
    )


class SessionCookieScheme(SessionScheme):
    target_class = "fintrack.access.SessionAuthentication"


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "fintrack.access.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token …`, as `manage.py api_token` prints it.",
        }


def describe_problems(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds error responses and response headers to all operations. A hook of drf-spectacular."""
    components = result["components"]
    components["schemas"] |= {"Fault": FAULT, "Problem": SCHEMA_OF_PROBLEM}
    components["responses"] = {f"Problem{status}": response_of(status) for status in DETAILS}
    answers = list(components["responses"].values())
    for path, item in result["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                answer["description"] = answer["description"] or HTTPStatus(int(status)).phrase
                answers.append(answer)
            for status in statuses(path, method, operation):
                name = "NotModified" if status == HTTPStatus.NOT_MODIFIED else f"Problem{status}"
                operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/{name}"})
            operation["responses"] = dict(sorted(operation["responses"].items()))
    components["headers"] = {}
    for answer in answers:
        headers = answer.get("headers", {}) | {"X-Request-ID": REQUEST_ID}
        components["headers"] |= headers
        answer["headers"] = references(*headers)
    components["responses"]["NotModified"] = {
        "description": "The response has not changed: its `ETag` is still the one that was sent.",
        "headers": references("ETag", "X-Request-ID"),
    }
    return result


def references(*headers: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    found = [400, 401, 403, 405, 406, 429, 500]
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    if "{" in path or {"page", "cursor"} & parameters:
        found.append(404)
    if method in WRITES:
        found.append(409)
    if "If-Match" in parameters:
        found.append(412)
    if "If-None-Match" in parameters:
        found.append(304)
    if "requestBody" in operation:
        found += [413, 415]
    if "reports" in operation["tags"]:
        found.append(503)
    return found


def response_of(status: int) -> dict[str, Any]:
    body = problem_of(status, DETAILS[status])
    examples: dict[str, Any] = {"example": {"value": body}}
    if status == HTTPStatus.BAD_REQUEST:
        examples = {
            name: {"value": body | {"detail": detail, "errors": [fault]}}
            for name, detail, fault in (
                ("parameter", "Check the parameters.", PARAMETER_FAULT),
                ("body", "Check the body of the request.", POINTER_FAULT),
                ("file", "The file has faults; nothing was stored.", ROW_FAULT),
            )
        }
    if status == HTTPStatus.CONFLICT:
        examples = {
            kind: {"value": problem_of(status, str(detail), kind)} for kind, detail in CONFLICTS.items()
        }
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
    return response | ({"headers": HEADERS[status]} if status in HEADERS else {})
