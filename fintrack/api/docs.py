"""The API's schema, and a page to read and try it."""

from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.utils.decorators import method_decorator
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from fintrack.access import MayReadBook


class Schema(SpectacularAPIView):
    permission_classes = [MayReadBook]


@method_decorator(csp_update({"img-src": [SELF, "data:"]}), name="dispatch")
class Docs(PermissionRequiredMixin, TemplateView):
    """Swagger UI from our own files. Its style sheet holds icons as data: images."""

    permission_required = MayReadBook.permissions
    template_name = "docs.html"
