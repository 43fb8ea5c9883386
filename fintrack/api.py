"""What all API answers share: errors (RFC 9457), the reading of JSON, parameters that a form checks."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext_lazy as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
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
ADDRESSES = re.compile(settings.CORS_URLS_REGEX)
MAX_FAULTS = 1000  # of one answer; a body of 2 MB may have 200,000
MAX_JSON = 2 * 2**20  # bytes of a request
MAX_ID = 2**63 - 1
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,2})?$"  # as text
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

# What MariaDB and MySQL say when two transactions were in each other's way: it may be tried again.
IN_THE_WAY = {1020, 1205, 1213}
DUPLICATE = 1062

# The last part of the type of a 409, and its detail.
CONFLICTS = {
    "busy": _("Something else was writing at the same time. Nothing was changed: try again."),
    "changed": _("It disagrees with what was stored at the same moment. Nothing was changed."),
    "duplicate": _("There is such a row already. Nothing was changed."),
    "key-reused": _("This Idempotency-Key belongs to a request with another body."),
    "needed": _("It can't be deleted: the book needs the entries 1 to 4."),
    "referenced": _("It can't be deleted: something else in the book refers to it."),
}


class Refused(APIException):
    """400 that lists the faults: where each is, what was found, what was expected, and a code for programs.

    If there are more than the limit (None: no limit), the others are counted.
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
    """400 for one header."""

    def __init__(self, name: str, found: str, expected: Any, code: str = "invalid") -> None:
        super().__init__(_("Check the headers."), [parameter_fault(name, found[:100], expected, code)])


class Conflict(Refused):
    """409: what was asked disagrees with what is there, in one of the ways of CONFLICTS."""

    status_code = HTTPStatus.CONFLICT

    def __init__(self, kind: str, errors: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(CONFLICTS[kind], errors)
        self.kind = kind


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
    response.data = problem_of(response.status_code, response.data["detail"], getattr(exc, "kind", ""))
    if isinstance(exc, Refused) and exc.errors:
        response.data["errors"] = exc.errors
        if exc.more_errors:
            response.data["more_errors"] = exc.more_errors
    response.content_type = PROBLEM
    # Whatever it was that could not be had.
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
    """What an exception of Django, DRF or the database means to a client."""
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
    if isinstance(exc, ProtectedError):
        return Conflict("referenced")
    if isinstance(exc, IntegrityError):
        return Conflict("duplicate" if is_duplicate(exc) else "changed")
    if is_in_the_way(exc):
        return Conflict("busy")
    return exc


def is_duplicate(error: IntegrityError) -> bool:
    """Whether another row has what only one may have."""
    return error.args[0] == DUPLICATE or str(error).startswith("UNIQUE ")


def is_in_the_way(error: Exception) -> bool:
    """Whether somebody else was writing, so that it may go well another time."""
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (code in IN_THE_WAY or "locked" in str(error))


def parameter_fault(name: str, found: str | None, expected: Any, code: str | None) -> dict[str, Any]:
    """A fault of a parameter or a header."""
    return {"parameter": name, "found": found, "expected": expected, "code": code}


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
            yield {"pointer": pointer, "found": found(data), "expected": message, "code": message.code}


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
    return problem_response(status) if ADDRESSES.match(request.path_info) else None


def problem_response(status: HTTPStatus, **headers: str) -> HttpResponse:
    text = json.dumps(problem_of(status, status.description or status.phrase))
    return HttpResponse(text, status=status, content_type=PROBLEM, headers=headers)


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
            expected = _("JSON in UTF-8: %s") % error
            faults = [{"pointer": "", "found": None, "expected": expected, "code": "parse_error"}]
        if faults:
            raise Refused(_("Check the body of the request."), faults)
        return data

    @staticmethod
    def number(kind: type, digits: str) -> Any:
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            return Misfit(digits, _("a number of ordinary size"), "invalid")

    @staticmethod
    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    @staticmethod
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            for name, times in Counter(name for name, _value in pairs).items():
                if times > 1:
                    members[name] = Misfit(None, _("a name that its object has once"), "repeated")
        return members

    def faults(self, data: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
        """What can't be read for what it is, at any depth."""
        if isinstance(data, Misfit):
            yield {
                "pointer": pointer,
                "found": found(data.text),
                "expected": data.expected,
                "code": data.code,
            }
        elif isinstance(data, str) and readable(data) != data:
            misfit = Misfit(readable(data), _("text in Unicode"), "invalid")
            yield from self.faults(misfit, pointer)
        elif isinstance(data, dict):
            for name, value in data.items():
                inner = pointer_to(pointer, readable(name))
                if readable(name) != name:
                    yield from self.faults(Misfit(readable(name), _("text in Unicode"), "invalid"), inner)
                yield from self.faults(value, inner)
        elif isinstance(data, list):
            for index, value in enumerate(data):
                yield from self.faults(value, f"{pointer}/{index}")


class Misfit(NamedTuple):
    """What stands in place of a value that JSON has and Python hasn't."""

    text: str | None
    expected: Any
    code: str


def readable(text: str) -> str:
    """The text; halves of surrogate pairs, which are no character, as their escapes."""
    return text.encode(errors="backslashreplace").decode()


def pointer_to(pointer: str, name: str) -> str:
    """The JSON pointer (RFC 6901) to what is under the name there."""
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


class PlainField(forms.Field):
    """Text of one pattern alone: Python would also read 2_021, 1e3 and the digits of other scripts."""

    pattern: str

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not re.fullmatch(self.pattern, value.strip()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class NumberField(PlainField, forms.IntegerField):
    pattern = "[0-9]+"


class AmountField(PlainField, forms.DecimalField):
    pattern = AMOUNT


class DateField(PlainField, forms.DateField):
    """A day as yyyy-mm-dd."""

    pattern = DAY
    input_formats = ("%Y-%m-%d",)


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
        """The parameters that the form doesn't know, or that are given twice or empty."""
        faults = []
        for name in dict.fromkeys([*self.data, *self.files]):
            given, field = self.given(name), self.fields.get(name)
            if field is None:
                known = _("one of these parameters: %(names)s") % {"names": ", ".join(self.fields)}
                expected = known if self.fields else _("no parameters")
                faults.append(parameter_fault(name, given[-1], expected, "unknown"))
            elif len(given) > 1 and not isinstance(field, forms.MultipleChoiceField):
                faults.append(parameter_fault(name, ", ".join(given), _("one value"), "repeated"))
            elif self.strict and not field.required and name not in self.errors and not given[0].strip():
                faults.append(parameter_fault(name, given[0], field.help_text, "required"))
        return faults

    def checked(self) -> dict[str, Any]:
        """The cleaned parameters. Raise Refused, which lists what is wrong with each."""
        faults = self.misplaced()
        for name, errors in self.errors.as_data().items():
            if name != NON_FIELD_ERRORS:
                given, expected = next(reversed(self.given(name)), None), self.fields[name].help_text
                # To Django a file is missing where a text is sent in its place.
                code = "invalid" if given and errors[0].code == "required" else errors[0].code
                faults.append(parameter_fault(name, given, expected, code))
        if faults:
            raise Refused(_("Check the parameters."), faults)
        return self.cleaned_data


class NoSuchAddress(APIView):
    """What is asked for under the API's root and isn't there."""

    permission_classes = [IsAuthenticated]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


@csrf_exempt
@login_not_required
def without_slash(request: HttpRequest, address: str) -> HttpResponse:
    """Redirect to the address without the slash at its end, as the original service did; the method stays."""
    path, mark, query = request.get_full_path().partition("?")
    return HttpResponseRedirect(f"{path.rstrip('/')}{mark}{query}", preserve_request=True)
