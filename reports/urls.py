"""Every route of the reports: pages with hyphens, addresses of the API with underscores."""

from django.urls import path

from . import month, plans_performance, user_credits, year_performance
from .views import Home, ReportAPI, ReportPage

pages = [
    path(
        "reports/year-performance/",
        ReportPage.as_view(report=year_performance.report),
        name="year_performance_page",
    ),
    path(
        "reports/plans-performance/",
        ReportPage.as_view(report=plans_performance.report),
        name="plans_performance_page",
    ),
    path("reports/month/", ReportPage.as_view(report=month.report), name="month_page"),
    path("reports/user-credits/", ReportPage.as_view(report=user_credits.report), name="user_credits_page"),
]

# These stand at the root too, for those who knew the service before.
original = [
    path("year_performance", ReportAPI.as_view(report=year_performance.report), name="year_performance"),
    path("plans_performance", ReportAPI.as_view(report=plans_performance.report), name="plans_performance"),
    path("user_credits/<user_id>", ReportAPI.as_view(report=user_credits.report), name="user_credits"),
]

api = [
    *original,
    path("month", ReportAPI.as_view(report=month.report), name="month"),
]

urlpatterns = [path("", Home.as_view(pages=pages), name="home"), *pages, *original]
