"""Errors of the API as problem details (RFC 9457)."""

import json
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import defaults
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    ParseError,
    PermissionDenied,
    Throttled,
    ValidationError,
)
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler

from fintrack.access import MayReadBook

from .throttles import Strangers

PROBLEM = "application/problem+json"
ADDRESSES = re.compile(settings.CORS_URLS_REGEX)
MAX_JSON = 2 * 2**20  # bytes of a request's body
MAX_FAULTS = 1000  # in one response; a body of 2 MB may have 200,000

# Errors of MariaDB and MySQL that a retry may solve: record changed, lock wait timeout, deadlock.
RETRYABLE = {1020, 1205, 1213}
DUPLICATE = 1062

# The last part of the type of a 409, and its detail.
CONFLICTS = {
    "busy": _("Somebody else was writing at the same time. Nothing was changed: try again."),
    "changed": _("The request conflicts with what somebody else has just stored. Nothing was changed."),
    "duplicate": _("Such a row exists already. Nothing was changed."),
    "key-reused": _("This Idempotency-Key was used for a request with a different body."),
    "needed": _("The row can't be deleted: the book needs entries 1 to 4 of the dictionary."),
    "referenced": _("The row can't be deleted: other rows refer to it."),
}


class Refused(APIException):
    """400 with a list of faults: where each is, what was found, what was expected, and a code for programs.

    At most limit faults are listed (None: all of them); more_errors counts the rest.
    """

    status_code = HTTPStatus.BAD_REQUEST
    kind = ""

    def __init__(
        self, detail: Any, errors: Iterable[dict[str, Any]] = (), limit: int | None = MAX_FAULTS
    ) -> None:
        super().__init__(detail)
        every = list(errors)
        self.errors = every[:limit]
        self.more_errors = len(every) - len(self.errors)


class WrongHeader(Refused):
    """400 because of one header."""

    def __init__(self, name: str, found: str, expected: Any, code: str = "invalid") -> None:
        super().__init__(_("Check the headers."), [parameter_fault(name, found[:100], expected, code)])


class Conflict(Refused):
    """409: the request conflicts with stored data. kind is a key of CONFLICTS."""

    status_code = HTTPStatus.CONFLICT

    def __init__(self, kind: str, errors: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(CONFLICTS[kind], errors)
        self.kind = kind


class Busy(APIException):
    """503: too many requests are waiting for reports that take long to compute."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = _("This report takes long to compute, and other requests are waiting. Try again later.")
    wait = 5  # seconds, for Retry-After


class TooLarge(APIException):
    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = format_lazy(_("The request is larger than {most} bytes."), most=MAX_JSON)


def problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error as application/problem+json."""
    request, view = context["request"], context["view"]
    exc = translated(exc, request, view)
    if isinstance(exc, AuthenticationFailed | NotAuthenticated):
        throttle = Strangers()
        if not throttle.allow_request(request, view):
            exc = Throttled(throttle.wait())
    response = exception_handler(exc, context)
    if response is None:
        return None
    response.data = problem_of(response.status_code, response.data["detail"], getattr(exc, "kind", ""))
    if isinstance(exc, Refused) and exc.errors:
        response.data["errors"] = exc.errors
        if exc.more_errors:
            response.data["more_errors"] = exc.more_errors
    response.content_type = PROBLEM
    # Send JSON even if the client asked for another format.
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return response


def problem_of(status: int, detail: Any, kind: str = "") -> dict[str, Any]:
    return {
        "type": f"urn:fintrack:conflict:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }


def translated(exc: Exception, request: Request, view: Any) -> Exception:
    """Turns an exception of Django, DRF or the database into one of the API."""
    denied = isinstance(exc, DjangoPermissionDenied | PermissionDenied)
    if denied and request.method not in view.allowed_methods and MayReadBook().has_permission(request, view):
        return MethodNotAllowed(request.method or "")
    if isinstance(exc, ValidationError):
        faults = list(faults_of(exc.detail, request.data))
        if {fault["code"] for fault in faults} == {"unique"}:
            return Conflict("duplicate", faults)
        return Refused(_("Check the body of the request."), faults)
    if isinstance(exc, RequestDataTooBig):
        return TooLarge()
    if isinstance(exc, SuspiciousOperation):  # such as more fields or files than Django reads
        return ParseError()
    if isinstance(exc, Http404) and isinstance(exc.__context__, ObjectDoesNotExist):
        return NotFound()  # Django's own text has no translation
    if isinstance(exc, ProtectedError):
        return Conflict("referenced")
    if isinstance(exc, IntegrityError):
        return Conflict("duplicate" if is_duplicate(exc) else "changed")
    if is_retryable(exc):
        return Conflict("busy")
    return exc


def is_duplicate(error: IntegrityError) -> bool:
    """Tells whether a unique constraint was violated."""
    return error.args[0] == DUPLICATE or str(error).startswith("UNIQUE ")


def is_retryable(error: Exception) -> bool:
    """Tells whether another writer caused the error, so that a retry may succeed."""
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (code in RETRYABLE or "locked" in str(error))


def parameter_fault(name: str, found: str | None, expected: Any, code: str | None) -> dict[str, Any]:
    """Returns a fault of a parameter or a header."""
    return {"parameter": name, "found": found, "expected": expected, "code": code}


def faults_of(detail: Any, data: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
    """Yields a fault for each message of a serializer, with a JSON pointer (RFC 6901) into the body."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            if name == api_settings.NON_FIELD_ERRORS_KEY:
                yield from faults_of(inner, data, pointer)
            else:
                yield from faults_of(inner, part(data, name), pointer_to(pointer, str(name)))
    else:
        for message in detail:
            yield {"pointer": pointer, "found": excerpt(data), "expected": message, "code": message.code}


def part(data: Any, name: str | int) -> Any:
    """Returns the member of that name or the item at that index, or None."""
    try:
        return data[name]
    except (KeyError, IndexError, TypeError):
        return None


def excerpt(value: Any) -> str | None:
    """Returns a JSON value as text for people, cut to 100 characters."""
    if value is None or isinstance(value, dict | list):
        return None
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_api(request, HTTPStatus.BAD_REQUEST) or defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_api(request, HTTPStatus.FORBIDDEN) or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_api(request, HTTPStatus.NOT_FOUND) or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return of_api(request, HTTPStatus.INTERNAL_SERVER_ERROR) or defaults.server_error(request)


def of_api(request: HttpRequest, status: HTTPStatus) -> HttpResponse | None:
    """Returns a problem if the path belongs to the API, and None if it belongs to a page."""
    return problem_response(status) if ADDRESSES.match(request.path_info) else None


def problem_response(status: HTTPStatus, **headers: str) -> HttpResponse:
    text = json.dumps(problem_of(status, gettext(status.description or status.phrase)))
    return HttpResponse(text, status=status, content_type=PROBLEM, headers=headers)


def pointer_to(pointer: str, name: str) -> str:
    """Appends the name to a JSON pointer (RFC 6901)."""
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
