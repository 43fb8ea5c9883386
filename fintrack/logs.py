"""Logs one JSON line for each request, with an id by which a client's request can be found."""

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
    """The outermost middleware: logs each request, and sends its id in X-Request-ID, as clients may too.

    A line names the route, never the address, which may contain a login or an amount.
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
    """Returns the id of the account if it has been loaded already. A log line must not cost a query."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return user.pk if user else None


class NoTraceback(logging.Filter):
    """Removes the traceback from records whose message is enough."""

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
