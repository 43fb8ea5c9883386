"""FinTrack's WSGI application and, at /bare, a Django view that only reads one value from the same cache.

The bare view runs in the same process without middleware. Its cost is the least that Django, the cache and
the web server cost for any request.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from fintrack.wsgi import application as fintrack


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(cache.get("bare"), content_type="text/plain")


urlpatterns = [path("bare", view)]


class BareRequest(WSGIRequest):
    urlconf = __name__


class BareHandler(WSGIHandler):
    request_class = BareRequest


with override_settings(MIDDLEWARE=[]):
    bare = BareHandler()
cache.set("bare", "one value", timeout=None)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return (bare if environ["PATH_INFO"] == "/bare" else fintrack)(environ, start_response)
