"""The book through the API: borrowers, credits, payments and the dictionary."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fintrack.api.lists import (
    ID,
    RANGE,
    CursorForm,
    Cursors,
    IdFilter,
    ListFilter,
    Pages,
    TextFilter,
    ordering,
)
from fintrack.api.problems import Conflict
from fintrack.api.schema import example

from .book.api import BULK, IDEMPOTENCY, MAX_BULK, BookSerializer, BookViewSet
from .models import Borrower, Credit, Dictionary, Payment


@example({"id": 1, "login": "devotedclinic", "registration_date": "2020-01-01"})
class BorrowerSerializer(BookSerializer):
    class Meta(BookSerializer.Meta):
        model = Borrower
        fields = ["id", "login", "registration_date"]
        extra_kwargs: dict[str, Any] = {"login": {"validators": []}}  # the model checks that it is unique


class BorrowerFilter(ListFilter):
    search = TextFilter(
        method=lambda rows, _name, text: rows.search(text),
        help_text=_("an id, or part of a login in any case"),
    )
    ordering = ordering("id", "login", "registration_date")

    class Meta(ListFilter.Meta):
        model = Borrower
        fields = {"login": ["exact"], "registration_date": RANGE}


class BorrowerViewSet(BookViewSet):
    """Borrowers: the people who borrow from the lender."""

    queryset = Borrower.objects.all()
    serializer_class = BorrowerSerializer
    filterset_class = BorrowerFilter
    pagination_class = Pages


@example(
    {
        "id": 1,
        "borrower": 31,
        "issuance_date": "2020-01-11",
        "return_date": "2020-01-25",
        "actual_return_date": "2021-04-23",
        "body": 4500.0,
        "percent": 32535.0,
    }
)
class CreditSerializer(BookSerializer):
    class Meta(BookSerializer.Meta):
        model = Credit
        fields = [
            "id",
            "borrower",
            "issuance_date",
            "return_date",
            "actual_return_date",
            "body",
            "percent",
        ]


class CreditFilter(ListFilter):
    state = filters.MultipleChoiceFilter(
        choices=[(name, name) for name in Credit.STATES],
        method=lambda rows, _name, states: rows.in_state(states, timezone.localdate()) if states else rows,
        help_text=_("open (in_term or overdue), in_term, overdue or closed; may be repeated"),
    )
    search = TextFilter(
        method=lambda rows, _name, text: rows.filter(borrower__in=Borrower.objects.search(text)),
        help_text=_("an id of a borrower, or part of a login in any case"),
    )
    ordering = ordering("id", "issuance_date", "return_date", "body", "percent")

    class Meta(ListFilter.Meta):
        form = CursorForm
        model = Credit
        fields = {
            "borrower": ["exact"],
            "issuance_date": RANGE,
            "return_date": RANGE,
            "actual_return_date": RANGE,
            "body": RANGE,
            "percent": RANGE,
        }


class CreditViewSet(BookViewSet):
    """Credits. `percent` is the interest accrued, an amount; an open credit has no `actual_return_date`."""

    queryset = Credit.objects.all()
    serializer_class = CreditSerializer
    filterset_class = CreditFilter
    pagination_class = Cursors


@example({"id": 1, "credit": 2, "payment_date": "2020-01-14", "type": 2, "sum": 1837.5})
class PaymentSerializer(BookSerializer):
    class Meta(BookSerializer.Meta):
        model = Payment
        fields = ["id", "credit", "payment_date", "type", "sum"]


class PaymentFilter(ListFilter):
    borrower = IdFilter("credit__borrower", **ID)
    search = TextFilter(
        method=lambda rows, _name, text: rows.filter(credit__borrower__in=Borrower.objects.search(text)),
        help_text=_("an id of a borrower, or part of a login in any case"),
    )
    ordering = ordering("id", "payment_date", "sum")

    class Meta(ListFilter.Meta):
        form = CursorForm
        model = Payment
        fields = {"credit": ["exact"], "type": ["exact"], "payment_date": RANGE, "sum": RANGE}


class CreatedPayments(serializers.Serializer):
    """The number of payments stored, and their ids in the order of the request."""

    created = serializers.IntegerField(min_value=1, max_value=MAX_BULK)
    ids = serializers.ListField(child=serializers.IntegerField(min_value=1))


class PaymentViewSet(BookViewSet):
    """Payments: money received for a credit. `type` is 1 (body) or 2 (interest)."""

    queryset = Payment.objects.all()
    serializer_class = PaymentSerializer
    filterset_class = PaymentFilter
    pagination_class = Cursors

    @extend_schema(
        operation_id="payments_bulk_create",
        summary="Create many payments",
        parameters=IDEMPOTENCY,
        request=PaymentSerializer(**BULK),
        responses={201: CreatedPayments},
    )
    @action(detail=False, methods=["post"], url_path="bulk", pagination_class=None, filter_backends=[])
    def bulk_create(self, request: Request) -> Response:
        """Stores up to 5,000 payments, all or none. A fault's pointer begins with the payment's index."""
        serializer = self.get_serializer(data=request.data, **BULK)
        return self.once(
            request,
            serializer,
            lambda payments: {"created": len(payments), "ids": [payment["id"] for payment in payments]},
        )


@example({"id": 1, "name": "тіло"})
class DictionarySerializer(BookSerializer):
    class Meta(BookSerializer.Meta):
        model = Dictionary
        fields = ["id", "name"]


class DictionaryFilter(ListFilter):
    search = TextFilter(field_name="name", lookup_expr="icontains", help_text=_("part of a name"))
    ordering = ordering("id", "name")

    class Meta(ListFilter.Meta):
        model = Dictionary
        fields = {"name": ["exact"]}


class DictionaryViewSet(BookViewSet):
    """Names of kinds of money: 1 body, 2 interest, 3 issuance, 4 collection. These four can't be deleted."""

    queryset = Dictionary.objects.all()
    serializer_class = DictionarySerializer
    filterset_class = DictionaryFilter
    pagination_class = Pages

    def perform_destroy(self, instance: Dictionary) -> None:
        if instance.pk in Dictionary.FIXED:
            raise Conflict("needed")
        super().perform_destroy(instance)
