"""Who acts, and by what: what the trails of the book and of accounts have in common."""

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
    """Lets the trail know whose request it is that writes."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        token = current_request.set(request)
        try:
            return get_response(request)
        finally:
            current_request.reset(token)

    return middleware


def actor() -> dict[str, Any]:
    """The account that acts now, if any, and by what: the address of a request, or a command."""
    if request := current_request.get():
        user = getattr(request, "user", None)  # a token's too: DRF sets it when it has authenticated
        known = user is not None and user.is_authenticated
        return {"account": user if known else None, "via": request.path[:200]}
    return {"account": None, "via": " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:200]}
