"""The API's schema, and a page to read and try it."""

from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from fintrack.access import MayReadBook


class Schema(SpectacularAPIView):
    """drf-spectacular's, always in English, which is the language of the API's names and codes."""

    permission_classes = [MayReadBook]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override("en"):
            return super().dispatch(request, *args, **kwargs)


@method_decorator(csp_update({"img-src": [SELF, "data:"]}), name="dispatch")
class Docs(PermissionRequiredMixin, TemplateView):
    """Swagger UI from our own files. Its style sheet holds icons as data: images."""

    permission_required = MayReadBook.permissions
    template_name = "docs.html"
