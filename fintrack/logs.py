"""One JSON line for each request, and an id by which a client's request is found in them."""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestLog:
    """Middleware, the outermost. A client may bring an id in X-Request-ID; each answer has one.

    A line names the route and never the address, which may hold a login or an amount.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        known = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        token = request_id.set(known)
        began = time.perf_counter()
        try:
            response = self.get_response(request)
            facts = {
                "method": request.method,
                "route": f"/{match.route}" if (match := request.resolver_match) else None,
                "status": response.status_code,
                "ms": round((time.perf_counter() - began) * 1000, 1),
                "cache": response.headers.get("X-Cache"),
                "account": account_of(request),
            }
            logger.info("request", extra={"facts": facts})
        finally:
            request_id.reset(token)
        response.headers["X-Request-ID"] = known
        return response


def account_of(request: HttpRequest) -> int | None:
    """The id of the account, if somebody has asked for it already: a line is no reason for a query."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return user.pk if user else None


class NoTraceback(logging.Filter):
    """Leaves the traceback out where the message says enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
