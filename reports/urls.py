from django.urls import path

from . import plans_performance, user_credits, year_performance
from .views import ReportAPI

urlpatterns = [
    path("year_performance", ReportAPI.as_view(report=year_performance.report), name="year_performance"),
    path("user_credits/<user_id>", ReportAPI.as_view(report=user_credits.report), name="user_credits"),
    path("plans_performance", ReportAPI.as_view(report=plans_performance.report), name="plans_performance"),
]
