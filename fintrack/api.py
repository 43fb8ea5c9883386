"""What all API answers share: errors (RFC 9457), and parameters that a form checks."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, SuspiciousOperation
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler


class Refused(APIException):
    """400 that lists every fault: where it is, what was found, what was expected."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self, detail: Any, errors: Iterable[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.errors = list(errors)


def problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error as application/problem+json."""
    if isinstance(exc, SuspiciousOperation):  # such as more fields or files than Django reads
        exc = ParseError()
    response = exception_handler(exc, context)
    if response is None:
        return None
    response.data = {
        "type": "about:blank",
        "title": HTTPStatus(response.status_code).phrase,
        "status": response.status_code,
        "detail": response.data["detail"],
    }
    if isinstance(exc, Refused):
        response.data["errors"] = exc.errors
    response.content_type = "application/problem+json"
    return response


class ParamsForm(forms.Form):
    """The parameters of one question. A field's help_text says what it expects, in errors too."""

    data: QueryDict

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
                faults.append({"parameter": name, "found": given[-1], "expected": expected})
            elif len(given) > 1:
                faults.append({"parameter": name, "found": ", ".join(given), "expected": _("one value")})
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

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound
