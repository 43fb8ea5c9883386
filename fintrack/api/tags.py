"""Conditional requests (RFC 9110, section 13): the tag of a row, and a write only if the row still has it."""

import hashlib
import re
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.http import ConditionalGetMiddleware
from django.utils.decorators import decorator_from_middleware
from django.utils.http import quote_etag
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from .problems import WrongHeader, of_api

TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
TAGS = re.compile(rf"\s*(\*|{TAG}(\s*,\s*{TAG})*)\s*")

IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'},
    OpenApiParameter.HEADER,
    description=(
        "The `ETag` that the row had when you read it. If it has another one by now, somebody else has "
        "changed it: 412, and nothing is done."
    ),
)
ETAG = OpenApiParameter(
    "ETag",
    {"type": "string"},
    OpenApiParameter.HEADER,
    required=True,
    response=[200, 201],
    description="Another one whenever the answer changes. For `If-Match` and `If-None-Match`.",
)
# What every GET takes and gives; of a row, IF_MATCH takes the place of the first.
CONDITIONAL = [
    OpenApiParameter(
        "If-Match",
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` that you have. If the answer has another one by now: 412.",
    ),
    OpenApiParameter(
        "If-None-Match",
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` that you have. If the answer still has it: 304, and nothing is sent again.",
    ),
    ETAG,
]


class Unmatched(APIException):
    """412: the row isn't what the client takes it for."""

    status_code = HTTPStatus.PRECONDITION_FAILED
    default_detail = _("The row has been changed since you read it. Nothing was done: read it again.")


def tag_of(row: Any) -> str:
    """The strong tag of what is said of a row: the same whichever request it answers."""
    return quote_etag(hashlib.sha256(JSONRenderer().render(row)).hexdigest()[:32])


def check_if_match(request: Request, row: Any) -> None:
    """Raises Unmatched if the request is about another state of the row, WrongHeader if nobody can tell."""
    given = request.headers.get("If-Match")
    if given is None:
        return
    if not TAGS.fullmatch(given):
        raise WrongHeader("If-Match", given, _("ETags in their quotes, or *"))
    if given.strip() != "*" and tag_of(row) not in re.findall(TAG, given):
        raise Unmatched


class ConditionalGet(ConditionalGetMiddleware):
    """Django's, which answers an If-Match that fails with a page."""

    def needs_etag(self, response: Any) -> bool:
        """An error has none, which would pass for that of the row."""
        return response.status_code < 400 and super().needs_etag(response)

    def process_response(self, request: Any, response: Any) -> Any:
        conditional = super().process_response(request, response)
        if conditional is not response and conditional.status_code == HTTPStatus.PRECONDITION_FAILED:
            return of_api(request, HTTPStatus.PRECONDITION_FAILED) or conditional
        return conditional


conditional_get = decorator_from_middleware(ConditionalGet)


class GZip(GZipMiddleware):
    """Django's, but for what says no-transform: compressed, it would have a weak tag, which never matches."""

    def process_response(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        if "no-transform" in response.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)


class EvenGZip(GZip):
    """Without padding, for what holds no secret of its reader: the bytes are the same for all readers."""

    max_random_bytes = 0


even_gzip = EvenGZip(lambda request: HttpResponse()).process_response
