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
    """Django's, for what Django can read.

    All text is in UTF-8, whatever a request says: some of Python's codecs make no text, or half characters.
    A body that comes without its length (in chunks, or over HTTP/2) is read here: Django would take it for
    empty. One that is larger than any may be is refused like others.
    """
    if kind := environ.get("CONTENT_TYPE"):
        environ["CONTENT_TYPE"] = CHARSET.sub("", kind)
        try:
            parse_header_parameters(environ["CONTENT_TYPE"])
        except ValueError:  # of a parameter that can't be decoded
            environ["CONTENT_TYPE"] = kind.partition(";")[0]
    if not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(settings.MAX_BODY + 1)
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    return django_application(environ, start_response)
