"""What all API answers share: errors (RFC 9457), the reading of JSON, parameters that a form checks."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.http import HttpRequest, HttpResponse, QueryDict
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
from rest_framework.parsers import JSONParser as DRFJSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView, exception_handler

from .access import MayReadBook
from .throttles import Strangers

PROBLEM = "application/problem+json"
ADDRESSES = re.compile(r"/(api(?!/docs/)|year_performance|plans_performance|user_credits|plans_insert)(/|$)")
MAX_JSON = 2 * 2**20  # bytes of a request
MAX_ID = 2**63 - 1
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,2})?$"  # as text

# What MariaDB and MySQL say when two transactions were in each other's way: it may be tried again.
IN_THE_WAY = {1020, 1205, 1213}


class Refused(APIException):
    """400 that lists every fault: where it is, what was found, what was expected."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self, detail: Any, errors: Iterable[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.errors = list(errors)


class Conflict(APIException):
    """409: what was asked disagrees with what is there."""

    status_code = HTTPStatus.CONFLICT


class TooLarge(APIException):
    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request is larger than %d bytes.") % MAX_JSON


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
    response.data = problem_of(response.status_code, response.data["detail"])
    if isinstance(exc, Refused):
        response.data["errors"] = exc.errors
    response.content_type = PROBLEM
    # Whatever it was that could not be had.
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return response


def problem_of(status: int, detail: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }


def translated(exc: Exception, request: Request, view: Any) -> Exception:
    """What an exception of Django, DRF or the database means to a client."""
    denied = isinstance(exc, DjangoPermissionDenied | PermissionDenied)
    if denied and request.method not in view.allowed_methods and MayReadBook().has_permission(request, view):
        return MethodNotAllowed(request.method or "")
    if isinstance(exc, ValidationError):
        return Refused(_("Check the body of the request."), faults_of(exc.detail, request.data))
    if isinstance(exc, RequestDataTooBig):
        return TooLarge()
    if isinstance(exc, SuspiciousOperation):  # such as more fields or files than Django reads
        return ParseError()
    if isinstance(exc, ProtectedError):
        return Conflict(_("It can't be deleted: something else in the book refers to it."))
    if isinstance(exc, IntegrityError):
        return Conflict(_("It disagrees with what was stored at the same moment. Nothing was changed."))
    if is_in_the_way(exc):
        return Conflict(_("Something else was writing at the same time. Nothing was changed: try again."))
    return exc


def is_in_the_way(error: Exception) -> bool:
    """Whether somebody else was writing, so that it may go well another time."""
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (code in IN_THE_WAY or "locked" in str(error))


def faults_of(detail: Any, data: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
    """A fault for each message of a serializer, with a JSON pointer (RFC 6901) into the body."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            if name == api_settings.NON_FIELD_ERRORS_KEY:
                yield from faults_of(inner, data, pointer)
            else:
                yield from faults_of(inner, part(data, name), pointer_to(pointer, str(name)))
    else:
        for message in detail:
            yield {"pointer": pointer, "found": found(data), "expected": message}


def part(data: Any, name: str | int) -> Any:
    """What the data have of that name or at that place."""
    try:
        return data[name]
    except (KeyError, IndexError, TypeError):
        return None


def found(value: Any) -> str | None:
    """A value of JSON as people see it, long ones cut."""
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
    """The error where it is not a view of DRF that answers; None where a page does."""
    if not ADDRESSES.match(request.path_info):
        return None
    text = json.dumps(problem_of(status, status.description or status.phrase))
    return HttpResponse(text, status=status, content_type=PROBLEM)


class JSONParser(DRFJSONParser):
    """DRF's, with a limit, and with Decimal in place of float: an amount is exact however it is written."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > MAX_JSON:
            raise TooLarge
        try:
            text = stream.read().decode()
            data = json.loads(
                text,
                parse_int=lambda digits: self.number(int, digits),
                parse_float=lambda digits: self.number(Decimal, digits),
                parse_constant=self.no_constant,
                object_pairs_hook=self.members,
            )
            faults = list(self.faults(data))
        except (ValueError, RecursionError) as error:
            faults = [{"pointer": "", "found": None, "expected": _("JSON in UTF-8: %s") % error}]
        if faults:
            raise Refused(_("Check the body of the request."), faults)
        return data

    @staticmethod
    def number(kind: type, digits: str) -> Any:
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            return Misfit(digits, _("a number of ordinary size"))

    @staticmethod
    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    @staticmethod
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            for name, times in Counter(name for name, _value in pairs).items():
                if times > 1:
                    members[name] = Misfit(None, _("a name that its object has once"))
        return members

    def faults(self, data: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
        """What can't be read for what it is, at any depth."""
        if isinstance(data, Misfit):
            yield {"pointer": pointer, "found": found(data.text), "expected": data.expected}
        elif isinstance(data, str) and readable(data) != data:
            yield {"pointer": pointer, "found": found(readable(data)), "expected": _("text in Unicode")}
        elif isinstance(data, dict):
            for name, value in data.items():
                inner = pointer_to(pointer, readable(name))
                if readable(name) != name:
                    yield {"pointer": inner, "found": found(readable(name)), "expected": _("text in Unicode")}
                yield from self.faults(value, inner)
        elif isinstance(data, list):
            for index, value in enumerate(data):
                yield from self.faults(value, f"{pointer}/{index}")


class Misfit(NamedTuple):
    """What stands in place of a value that JSON has and Python hasn't."""

    text: str | None
    expected: Any


def readable(text: str) -> str:
    """The text; halves of surrogate pairs, which are no character, as their escapes."""
    return text.encode(errors="backslashreplace").decode()


def pointer_to(pointer: str, name: str) -> str:
    """The JSON pointer (RFC 6901) to what is under the name there."""
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


class NumberField(forms.IntegerField):
    """Plain digits; int() would also take 2_021."""

    def to_python(self, value: Any) -> int | None:
        text = str(value).strip()
        if value is not None and text and not (text.isascii() and text.isdigit()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class ParamsForm(forms.Form):
    """The parameters of one question. A field's help_text says what it expects, in errors too."""

    data: QueryDict
    strict = False  # an optional parameter that is named must have a value

    def clean(self) -> None:
        for fault in self.misplaced():
            self.add_error(None, _("%(parameter)s: expected %(expected)s") % fault)

    def given(self, name: str) -> list[str]:
        """What was sent under the name: texts, and names of files."""
        files = self.files.getlist(name) if self.files else []
        return [*self.data.getlist(name), *(str(file.name) for file in files)]

    def misplaced(self) -> list[dict[str, Any]]:
        """The parameters that the form doesn't know, or that are given twice."""
        faults = []
        for name in dict.fromkeys([*self.data, *self.files]):
            given = self.given(name)
            if name not in self.fields:
                known = ", ".join(self.fields)
                expected: Any = _("one of these parameters: %(names)s") % {"names": known}
                faults.append(
                    {
                        "parameter": name,
                        "found": given[-1],
                        "expected": expected if known else _("no parameters"),
                    }
                )
            elif len(given) > 1:
                faults.append({"parameter": name, "found": ", ".join(given), "expected": _("one value")})
            elif self.strict and not self.fields[name].required and not str(given[0]).strip():
                expected = self.fields[name].help_text
                faults.append({"parameter": name, "found": given[0], "expected": expected})
        return faults

    def checked(self) -> dict[str, Any]:
        """The cleaned parameters. Raise Refused, which lists what is wrong with each."""
        wrong = [
            {
                "parameter": name,
                "found": next(reversed(self.given(name)), None),
                "expected": self.fields[name].help_text,
            }
            for name in self.errors
            if name != NON_FIELD_ERRORS
        ]
        if faults := self.misplaced() + wrong:
            raise Refused(_("Check the parameters."), faults)
        return self.cleaned_data


class NoSuchAddress(APIView):
    """What is asked for under the API's root and isn't there."""

    permission_classes = [IsAuthenticated]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound
