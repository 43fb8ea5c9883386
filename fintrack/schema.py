"""What the API says of itself, in OpenAPI 3.1."""

from http import HTTPStatus
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from .api import CONFLICTS, MAX_FAULTS, PROBLEM, TooLarge, problem_of
from .tags import Unmatched

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
# What went wrong, as an example says it.
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
}
HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "The scheme: Token."}},
    405: {"Allow": {"schema": {"type": "string"}, "description": "The methods that this address knows."}},
    429: {
        "Retry-After": {
            "schema": {"type": "integer", "minimum": 1},
            "description": "Seconds after which requests are counted anew.",
        }
    },
}
FAULT = {
    "type": "object",
    "description": (
        "Where it is (a parameter or header, a JSON pointer into the body, or a row and column of a file), "
        "what was found there, what was expected or is wrong, and a code for programs, which stays the same "
        "whatever the words."
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
        f"RFC 9457. `errors` is there with status 400, and with a duplicate. It lists at most {MAX_FAULTS:,} "
        "faults, and `more_errors` says how many more there are; only plans_insert lists all."
    ),
    "properties": {
        "type": {
            "type": "string",
            "enum": ["about:blank", *(f"urn:fintrack:conflict:{kind}" for kind in CONFLICTS)],
            "description": "In which way a 409 is a conflict; about:blank of all other errors.",
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
    """Unknown fields of a body are errors; the addresses at the root are the same operations once more."""

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        return name if self.path.startswith("/api/") else f"{name}_original"

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)
        return schema | {"additionalProperties": False} if direction == "request" else schema


def example(row: dict[str, Any]) -> Any:
    """A decorator of a serializer: how a row looks, as it is read and as it is written."""
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
    """Every error that an operation may end with, and its body. A hook of drf-spectacular."""
    components = result["components"]
    components["schemas"] |= {"Fault": FAULT, "Problem": SCHEMA_OF_PROBLEM}
    components["responses"] = {f"Problem{status}": response_of(status) for status in DETAILS}
    for path, item in result["paths"].items():
        for method, operation in item.items():
            for status in statuses(path, method, operation):
                reference = {"$ref": f"#/components/responses/Problem{status}"}
                operation["responses"].setdefault(str(status), reference)
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    found = [400, 401, 403, 405, 406, 429, 500]
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    if "{" in path or {"page", "cursor"} & parameters:
        found.append(404)
    if method in WRITES:
        found.append(409)
    if "If-Match" in parameters:
        found.append(412)
    if "requestBody" in operation:
        found += [413, 415]
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
