"""POST /plans_insert: store a whole file of new plans, or nothing."""

from dataclasses import asdict

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits.book.files import Faulty
from fintrack.access import MayAddPlans
from fintrack.api.params import ParamsForm
from fintrack.api.problems import Refused, WrongHeader, parameter_fault

from .resources import MAX_BYTES, insert_plans

FORM_OVERHEAD = 64 * 2**10  # bytes of a request besides the file


class UploadForm(ParamsForm):
    file = forms.FileField(help_text=_("one CSV or XLSX file, at most 2 MB"))

    def clean_file(self) -> UploadedFile:
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(self.fields["file"].help_text, code="too_large")
        return file


class PlansFile(serializers.Serializer):
    """A form with one file."""

    file = serializers.FileField(
        help_text="CSV or XLSX with the columns month, category_name and sum; at most 2 MB."
    )


class InsertedPlans(serializers.Serializer):
    """How many plans were stored."""

    message = serializers.CharField()
    inserted = serializers.IntegerField(min_value=1)


EXAMPLE = OpenApiExample("inserted", {"message": "Plans inserted successfully", "inserted": 4})


class PlansInsert(APIView):
    """Store all plans of a file. If it has faults, store nothing and list each with its row and column."""

    permission_classes = [MayAddPlans]
    parser_classes = [MultiPartParser]

    @extend_schema(
        tags=["plans"],
        summary="Insert the plans of a file",
        request=PlansFile,
        responses={200: OpenApiResponse(InsertedPlans, "All plans are stored.", examples=[EXAMPLE])},
    )
    def post(self, request: Request) -> Response:
        if (key := request.headers.get("Idempotency-Key")) is not None:
            expected = _("no such header: a file sent again is refused anyway, because its plans exist")
            raise WrongHeader("Idempotency-Key", key, expected, "unknown")
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BYTES + FORM_OVERHEAD:
            at_most = UploadForm.base_fields["file"].help_text
            raise Refused(_("Check the parameters."), [parameter_fault("file", None, at_most, "too_large")])
        data = request.query_params.copy()
        data.update(request.POST)
        file = UploadForm(data, request.FILES).checked()["file"]
        try:
            inserted = insert_plans(file.file, file.name or "")
        except Faulty as faulty:
            errors = [asdict(fault) for fault in faulty.faults.in_order()]
            raise Refused(_("The file has faults; nothing was stored."), errors, limit=None) from faulty
        return Response({"message": "Plans inserted successfully", "inserted": inserted})
