"""Conditional requests (RFC 9110, section 13): each row has an ETag, and a write may require it to match."""

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
        "The `ETag` that the row had when you read it. If it is another one now, somebody else has changed "
        "the row: the response is a 412, and nothing is done."
    ),
)
ETAG = OpenApiParameter(
    "ETag",
    {"type": "string"},
    OpenApiParameter.HEADER,
    required=True,
    response=[200, 201],
    description="It changes whenever the answer changes. Send it in `If-Match` or `If-None-Match`.",
)
# The headers of every GET. For a single row IF_MATCH replaces the first.
CONDITIONAL = [
    OpenApiParameter(
        "If-Match",
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` that you have. If the answer has another one now, the response is a 412.",
    ),
    OpenApiParameter(
        "If-None-Match",
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` that you have. If the answer still has it, the response is an empty 304.",
    ),
    ETAG,
]


class Unmatched(APIException):
    """412: the row has changed since the client read it."""

    status_code = HTTPStatus.PRECONDITION_FAILED
    default_detail = _("The row has been changed since you read it. Nothing was done: read it again.")


def tag_of(row: Any) -> str:
    """Returns the strong ETag of a row in the API. It is the same in every response."""
    return quote_etag(hashlib.sha256(JSONRenderer().render(row)).hexdigest()[:32])


def check_if_match(request: Request, row: Any) -> None:
    """Raises Unmatched if the request's If-Match doesn't match the row, WrongHeader if it isn't valid."""
    given = request.headers.get("If-Match")
    if given is None:
        return
    if not TAGS.fullmatch(given):
        raise WrongHeader("If-Match", given, _("ETags in their quotes, or *"))
    if given.strip() != "*" and tag_of(row) not in re.findall(TAG, given):
        raise Unmatched


class ConditionalGet(ConditionalGetMiddleware):
    """Django's, except that the API answers a failed If-Match with a problem, not with a page."""

    def needs_etag(self, response: Any) -> bool:
        """Errors get no ETag, since clients would take it for the row's."""
        return response.status_code < 400 and super().needs_etag(response)

    def process_response(self, request: Any, response: Any) -> Any:
        conditional = super().process_response(request, response)
        if conditional is not response and conditional.status_code == HTTPStatus.PRECONDITION_FAILED:
            return of_api(request, HTTPStatus.PRECONDITION_FAILED) or conditional
        return conditional


conditional_get = decorator_from_middleware(ConditionalGet)


class GZip(GZipMiddleware):
    """Django's, except that it doesn't compress responses marked no-transform.

    Compression makes their ETag weak, and a weak ETag never matches an If-Match.
    """

    def process_response(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        if "no-transform" in response.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)


class UnpaddedGZip(GZip):
    """Compresses without random padding: the bytes are the same for all readers.

    Use it only for responses without secrets.
    """

    max_random_bytes = 0


unpadded_gzip = UnpaddedGZip(lambda request: HttpResponse()).process_response
