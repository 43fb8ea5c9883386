"""Views for unknown API addresses, and for addresses with a trailing slash."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import (
    NotFound,
)
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView


class NoSuchAddress(APIView):
    """Returns 404 for unknown addresses under /api/v1/, and 401 without credentials."""

    permission_classes = [IsAuthenticated]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


@csrf_exempt
@login_not_required
def without_slash(request: HttpRequest, address: str) -> HttpResponse:
    """Redirects to the address without its trailing slash, as the original service did; keeps the method."""
    path, mark, query = request.get_full_path().partition("?")
    return HttpResponseRedirect(f"{path.rstrip('/')}{mark}{query}", preserve_request=True)
