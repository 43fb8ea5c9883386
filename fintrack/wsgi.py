"""The WSGI entry point that the web server loads."""

import os
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fintrack.settings")

CHARSET = re.compile(r"\s*;\s*charset\b[^;]*", re.IGNORECASE)

django_application = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Passes the request to Django, after two corrections.

    The charset of Content-Type is dropped, so that all text is read as UTF-8: some of Python's codecs return
    bytes or lone surrogates. A body without Content-Length (chunked, or HTTP/2) is read here, because Django
    would treat it as empty; at most MAX_BODY + 1 bytes, so that Django refuses a larger one.
    """
    if kind := environ.get("CONTENT_TYPE"):
        environ["CONTENT_TYPE"] = CHARSET.sub("", kind)
        try:
            parse_header_parameters(environ["CONTENT_TYPE"])
        except ValueError:  # a parameter can't be decoded
            environ["CONTENT_TYPE"] = kind.partition(";")[0]
    if not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(settings.MAX_BODY + 1)
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    return django_application(environ, start_response)
