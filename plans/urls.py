from django.urls import path

from .views import PlansInsert

urlpatterns = [path("plans_insert", PlansInsert.as_view(), name="plans_insert")]
