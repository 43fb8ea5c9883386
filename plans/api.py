"""Plans through the API, one by one; a file of them is for plans_insert."""

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
        field_name="category__name", lookup_expr="icontains", help_text=_("part of a category's name")
    )
    ordering = ordering("id", "period", "sum")

    class Meta(ListFilter.Meta):
        model = Plan
        fields = {"period": RANGE, "category": ["exact"], "sum": RANGE}


class PlanViewSet(BookViewSet):
    """Plans: the target of a month. `period` is its first day, `category` 3 (issuance) or 4 (collection)."""

    queryset = Plan.objects.all()
    serializer_class = PlanSerializer
    filterset_class = PlanFilter
    pagination_class = Pages
