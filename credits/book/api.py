"""The base of the API of every table of the book: fields, serializers and views."""

import json
import re
from collections.abc import Callable
from copy import copy
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Model, QuerySet
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import get_error_detail
from rest_framework.permissions import BasePermission, DjangoModelPermissions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from fintrack.access import MayReadBook
from fintrack.api.lists import (
    FilterBackend,
)
from fintrack.api.params import AMOUNT, DAY, MAX_ID
from fintrack.api.parsers import JSONParser
from fintrack.api.problems import Conflict, WrongHeader
from fintrack.api.tags import ETAG, IF_MATCH, check_if_match, conditional_get, tag_of
from fintrack.models import IdempotencyKey, KeyTaken

from .reading import snapshot
from .writing import writing

MAX_BULK = 5000


BULK: dict[str, Any] = {"many": True, "allow_empty": False, "max_length": MAX_BULK}


MAX_KEY = 255


ROW_ACTIONS = ("create", "retrieve", "update", "partial_update")  # these return the row


CONTROLS = r"\x00-\x1f\x7f-\x9f\ufffd"


class RelatedId(serializers.PrimaryKeyRelatedField):
    """The id of another row."""

    default_error_messages = {
        "does_not_exist": _("No row has this id, or the row isn't allowed here."),
        "incorrect_type": _("An id is a whole number."),
    }
    known: dict[int, Model] | None = None  # all rows that a list refers to, looked up in one query

    def to_internal_value(self, data: Any) -> Any:
        if type(data) is not int:
            self.fail("incorrect_type")
        known = self.held({data}) if self.known is None else self.known
        if data not in known:
            self.fail("does_not_exist")
        return known[data]

    def held(self, ids: set[Any]) -> dict[int, Model]:
        """Returns {id: row} of the rows that exist. Nobody can change them until the transaction ends."""
        rows: Any = self.get_queryset()
        return rows.held([pk for pk in ids if type(pk) is int and 0 < pk <= MAX_ID])


class Amount(serializers.DecimalField):
    """Money. Responses have a number of at most two decimals; requests may have a number or text."""

    default_error_messages = {"invalid": _("An amount is a number, or text such as 1500.50.")}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            if not re.fullmatch(AMOUNT, data.removeprefix("-")):
                self.fail("invalid")
        elif isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Day(serializers.DateField):
    """A day as yyyy-mm-dd. The pattern is checked because strptime() also takes digits of other scripts."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and not re.fullmatch(DAY, data):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """Text that is stored exactly as it is given. Control characters and spaces around it are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
        pattern = rf"^[^\s{CONTROLS}]([^{CONTROLS}]*[^\s{CONTROLS}])?$"
        expected = _("Enter characters that can be seen, without spaces around them.")
        self.validators.append(RegexValidator(pattern, expected))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class RelatedIdSchema(OpenApiSerializerFieldExtension):
    target_class = RelatedId

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        relation = self.target.parent.Meta.model._meta.get_field(self.target.source)
        if kinds := relation.get_limit_choices_to().get("pk__in"):
            return {"type": "integer", "enum": kinds}
        return {"type": "integer", "minimum": 1, "maximum": MAX_ID}


class AmountSchema(OpenApiSerializerFieldExtension):
    target_class = Amount

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        number = {"type": "number", "minimum": float(self.target.min_value), "maximum": 999_999_999_999.99}
        if direction == "response":
            return number
        return {
            "anyOf": [number, {"type": "string", "pattern": AMOUNT}],
            "description": "At most 12 digits and two decimals, as a number or as text. Both are exact.",
        }


class BulkSerializer(serializers.ListSerializer):
    """Many new rows, stored all or none. The rows that they refer to are looked up with one query a field."""

    child: Any
    max_length: int | None

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list) and len(data) <= (self.max_length or 0):
            rows = [row for row in data if isinstance(row, dict)]
            for name, field in self.child.fields.items():
                if isinstance(field, RelatedId):
                    ids = [row.get(name) for row in rows]
                    field.known = field.held({pk for pk in ids if isinstance(pk, int)})
        return super().to_internal_value(data)

    def create(self, validated_data: list[dict[str, Any]]) -> list[Model]:
        model = self.child.Meta.model
        return model.objects.bulk_create([model(**values) for values in validated_data])


class BookSerializer(serializers.ModelSerializer):
    """A row of the book. It is validated by its model's rules, and an unknown field is a fault."""

    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        models.DateField: Day,
        models.DecimalField: Amount,
        models.CharField: Text,
    }
    serializer_related_field = RelatedId

    class Meta:
        list_serializer_class = BulkSerializer
        validators: list[Any] = []  # the models validate

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, dict):
            known = [name for name, field in self.fields.items() if not field.read_only]
            expected = ErrorDetail(
                _("One of these fields: %(names)s.") % {"names": ", ".join(known)}, "unknown"
            )
            if isinstance(self.instance, Model) and data.get("id") == self.instance.pk:
                known.append("id")  # a client may send back the row as it read it
            unknown = {name: [expected] for name in data if name not in known}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            faults: Any = error.detail
            raise serializers.ValidationError(faults | unknown) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return values

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        item = copy(self.instance) if isinstance(self.instance, Model) else self.Meta.model()
        related = {name: field for name, field in self.fields.items() if isinstance(field, RelatedId)}
        for name, value in attrs.items():
            setattr(item, name, value)
        for name, field in related.items():
            if name not in attrs:  # a PATCH without it
                setattr(item, name, field.to_internal_value(item.serializable_value(name)))
        try:
            # The rows that it refers to have been looked up. Rows of a list are validated without queries.
            alone = self.parent is None
            item.full_clean(exclude=related, validate_unique=alone, validate_constraints=alone)
        except ModelValidationError as error:
            faults: Any = get_error_detail(error)
            own = faults.pop(NON_FIELD_ERRORS, [])
            raise serializers.ValidationError(faults | ({"non_field_errors": own} if own else {})) from error
        return attrs


class BookPermissions(DjangoModelPermissions):
    """Django's permissions for the table. Reading needs the view permission, which all roles have."""

    VIEW = ["%(app_label)s.view_%(model_name)s"]
    perms_map = DjangoModelPermissions.perms_map | {"GET": VIEW, "HEAD": VIEW, "OPTIONS": VIEW}


IDEMPOTENCY = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
        OpenApiParameter.HEADER,
        description=(
            "Any text of your own, such as a UUID. If you send the same request again with the same key "
            "within 7 days, nothing is stored, and the response is the same, with "
            "`Idempotency-Replayed: true`. The same key with another body is a 409."
        ),
    ),
    OpenApiParameter(
        "Idempotency-Replayed",
        {"type": "string", "enum": ["true"]},
        OpenApiParameter.HEADER,
        response=[201],
        description="Present if a request with this `Idempotency-Key` was answered before.",
    ),
]


LOCATION = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri"},
    OpenApiParameter.HEADER,
    required=True,
    response=[201],
    description="The address of the new row.",
)


@extend_schema_view(
    create=extend_schema(parameters=[*IDEMPOTENCY, ETAG, LOCATION]),
    retrieve=extend_schema(parameters=[IF_MATCH]),
    update=extend_schema(parameters=[IF_MATCH, ETAG]),
    partial_update=extend_schema(parameters=[IF_MATCH, ETAG]),
    destroy=extend_schema(parameters=[IF_MATCH]),
)
@method_decorator(conditional_get, name="dispatch")
class BookViewSet(ModelViewSet):
    """A table of the book."""

    filter_backends = [FilterBackend]
    parser_classes = [JSONParser]
    lookup_value_converter = "int"

    def get_permissions(self) -> list[BasePermission]:
        return [BookPermissions() if self.action else MayReadBook()]  # without an action: 405

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset().order_by("id")
        # The action decides, not the method: for OPTIONS, DRF gets the row with the method PUT, and outside a
        # transaction.
        return rows.select_for_update() if self.action in ("update", "partial_update", "destroy") else rows

    def get_object(self) -> Any:
        """Raises Unmatched if the row's ETag doesn't match the request's If-Match."""
        row = super().get_object()
        check_if_match(self.request, self.get_serializer(row).data)
        return row

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with snapshot():
            return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = self.once(request, self.get_serializer(data=request.data), lambda row: row)
        response["Location"] = request.build_absolute_uri(f"{request.path}/{response.data['id']}")
        return response

    def once(self, request: Request, serializer: Any, answer: Callable[[Any], Any]) -> Response:
        """Stores the serializer's rows. A repeated request with an Idempotency-Key gets the first answer."""

        def store() -> Any:
            serializer.is_valid(raise_exception=True)
            serializer.save()
            return answer(json.loads(JSONRenderer().render(serializer.data)))

        key = request.headers.get("Idempotency-Key")
        with writing():
            if key is None:
                return Response(store(), status=201)
            try:
                sent = [request.path, request.data]
                data, again = IdempotencyKey.once(request.user, checked_key(key), sent, store)
            except KeyTaken:
                raise Conflict("key-reused") from None
        return Response(data, status=201, headers={"Idempotency-Replayed": "true"} if again else None)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with writing():
            return super().update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with writing():
            return super().destroy(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "private, no-cache"
        if response.status_code < 300 and self.action in ROW_ACTIONS:
            response["ETag"] = tag_of(response.data)
            response["Cache-Control"] += ", no-transform"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response


def checked_key(key: str) -> str:
    if not re.fullmatch(f"[!-~]{{1,{MAX_KEY}}}", key):
        raise WrongHeader("Idempotency-Key", key, _("1 to %d visible characters of ASCII") % MAX_KEY)
    return key
