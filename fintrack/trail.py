"""The actor that both trails, of the book and of accounts, record for each change."""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)


def trail_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Makes the current request known to the trails."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        token = current_request.set(request)
        try:
            return get_response(request)
        finally:
            current_request.reset(token)

    return middleware


def actor() -> dict[str, Any]:
    """Returns the acting account, if any, and the source of the change: a request's path or a command."""
    if request := current_request.get():
        user = getattr(request, "user", None)  # DRF sets it for tokens too
        known = user is not None and user.is_authenticated
        return {"account": user if known else None, "via": request.path[:200]}
    return {"account": None, "via": " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:200]}
