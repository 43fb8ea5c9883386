"""Addresses that lead nowhere, or elsewhere."""

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
    """What is asked for under the API's root and isn't there."""

    permission_classes = [IsAuthenticated]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


@csrf_exempt
@login_not_required
def without_slash(request: HttpRequest, address: str) -> HttpResponse:
    """Redirect to the address without the slash at its end, as the original service did; the method stays."""
    path, mark, query = request.get_full_path().partition("?")
    return HttpResponseRedirect(f"{path.rstrip('/')}{mark}{query}", preserve_request=True)
