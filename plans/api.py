"""The API of single plans; plans_insert takes a whole file."""

from django.utils.translation import gettext_lazy as _

from credits.book.api import BookSerializer, BookViewSet
from fintrack.api.lists import RANGE, ListFilter, Pages, TextFilter, ordering
from fintrack.api.schema import example

from .models import Plan


@example({"id": 1, "period": "2020-01-01", "category": 3, "sum": 21000.0})
class PlanSerializer(BookSerializer):
    class Meta(BookSerializer.Meta):
        model = Plan
        fields = ["id", "period", "category", "sum"]


class PlanFilter(ListFilter):
    search = TextFilter(
        field_name="category__name", lookup_expr="icontains", help_text=_("a part of the category's name")
    )
    ordering = ordering("id", "period", "sum")

    class Meta(ListFilter.Meta):
        model = Plan
        fields = {"period": RANGE, "category": ["exact"], "sum": RANGE}


class PlanViewSet(BookViewSet):
    """Monthly plans. `period` is the first day of the month, `category` is 3 (issuance) or 4 (collection)."""

    queryset = Plan.objects.all()
    serializer_class = PlanSerializer
    filterset_class = PlanFilter
    pagination_class = Pages
