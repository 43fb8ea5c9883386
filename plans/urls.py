from django.urls import path
from rest_framework.routers import SimpleRouter

from .api import PlanViewSet
from .views import PlansInsert

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("plans", PlanViewSet, "plans")

# Also at the root, for clients of the original service.
original = [path("plans_insert", PlansInsert.as_view(), name="plans_insert")]

api = [*original, *router.urls]
urlpatterns = original
