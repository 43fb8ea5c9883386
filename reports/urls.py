"""The routes of all reports. Addresses of pages have hyphens, those of the API underscores."""

from django.urls import path
from django.utils.translation import gettext_lazy as _

from . import (
    ageing,
    borrower,
    borrower_list,
    collection_efficiency,
    credit_list,
    data_quality,
    expected_receipts,
    first_payment_default,
    forecast,
    forecast_parts,
    month,
    new_and_returning,
    overview,
    pace,
    payment_list,
    plans_performance,
    portfolio_trend,
    provisions,
    roll_rates,
    top_borrowers,
    user_credits,
    vintages,
    year_on_year,
    year_performance,
)
from .saved_views import SavedViewDeletion, SavedViewsPage
from .views import ListingPage, ReportAPI, ReportPage, UserCreditsPage

home = path("", ReportPage.as_view(report=overview.report), name="home")

plan = [
    path(
        "reports/year-performance/",
        ReportPage.as_view(report=year_performance.report),
        name="year_performance_page",
    ),
    path("reports/year-on-year/", ReportPage.as_view(report=year_on_year.report), name="year_on_year_page"),
    path("reports/month/", ReportPage.as_view(report=month.report), name="month_page"),
    path(
        "reports/plans-performance/",
        ReportPage.as_view(report=plans_performance.report),
        name="plans_performance_page",
    ),
    path("reports/forecast/", ReportPage.as_view(report=forecast.report), name="forecast_page"),
]

book = [
    path("reports/ageing/", ReportPage.as_view(report=ageing.report), name="ageing_page"),
    path(
        "reports/portfolio-trend/",
        ReportPage.as_view(report=portfolio_trend.report),
        name="portfolio_trend_page",
    ),
    path(
        "reports/provisions/",
        ReportPage.as_view(report=provisions.report),
        name="provisions_page",
    ),
    path(
        "reports/roll-rates/",
        ReportPage.as_view(report=roll_rates.report),
        name="roll_rates_page",
    ),
    path(
        "reports/expected-receipts/",
        ReportPage.as_view(report=expected_receipts.report),
        name="expected_receipts_page",
    ),
]

cohorts = [
    path("reports/vintages/", ReportPage.as_view(report=vintages.report), name="vintages_page"),
    path(
        "reports/collection-efficiency/",
        ReportPage.as_view(report=collection_efficiency.report),
        name="collection_efficiency_page",
    ),
    path(
        "reports/first-payment-default/",
        ReportPage.as_view(report=first_payment_default.report),
        name="first_payment_default_page",
    ),
    path(
        "reports/new-and-returning/",
        ReportPage.as_view(report=new_and_returning.report),
        name="new_and_returning_page",
    ),
]

borrowers = [
    path("reports/borrowers/", ListingPage.as_view(listing=borrower_list.listing), name="borrowers_page"),
    path(
        "reports/borrowers/<int:borrower_id>/",
        ReportPage.as_view(report=borrower.report),
        name="borrower_page",
    ),
    path(
        "reports/top-borrowers/",
        ReportPage.as_view(report=top_borrowers.report),
        name="top_borrowers_page",
    ),
]

rows = [
    path("reports/credits/", ListingPage.as_view(listing=credit_list.listing), name="credits_page"),
    path("reports/payments/", ListingPage.as_view(listing=payment_list.listing), name="payments_page"),
    path(
        "reports/data-quality/",
        ReportPage.as_view(report=data_quality.report),
        name="data_quality_page",
    ),
]

# The navigation, in order.
groups = [
    (_("Plan"), plan),
    (_("Book"), book),
    (_("Cohorts"), cohorts),
    (_("Borrowers"), borrowers),
    (_("Rows"), rows),
]

pages = [home, *plan, *book, *cohorts, *borrowers, *rows]

saved = [
    path("reports/saved/", SavedViewsPage.as_view(), name="saved_views_page"),
    path("reports/saved/<int:pk>/delete/", SavedViewDeletion.as_view(), name="saved_view_delete"),
]

# Also at the root, for clients of the original service.
original = [
    path("year_performance", ReportAPI.as_view(report=year_performance.report), name="year_performance"),
    path("plans_performance", ReportAPI.as_view(report=plans_performance.report), name="plans_performance"),
    path("user_credits/<user_id>", ReportAPI.as_view(report=user_credits.report), name="user_credits"),
]

api = [
    *original,
    path("ageing", ReportAPI.as_view(report=ageing.report), name="ageing"),
    path("borrower/<borrower_id>", ReportAPI.as_view(report=borrower.report), name="borrower"),
    path(
        "collection_efficiency",
        ReportAPI.as_view(report=collection_efficiency.report),
        name="collection_efficiency",
    ),
    path("data_quality", ReportAPI.as_view(report=data_quality.report), name="data_quality"),
    path("expected_receipts", ReportAPI.as_view(report=expected_receipts.report), name="expected_receipts"),
    path(
        "first_payment_default",
        ReportAPI.as_view(report=first_payment_default.report),
        name="first_payment_default",
    ),
    path("forecast", ReportAPI.as_view(report=forecast.report), name="forecast"),
    path("forecast_parts", ReportAPI.as_view(report=forecast_parts.report), name="forecast_parts"),
    path("month", ReportAPI.as_view(report=month.report), name="month"),
    path("new_and_returning", ReportAPI.as_view(report=new_and_returning.report), name="new_and_returning"),
    path("overview", ReportAPI.as_view(report=overview.report), name="overview"),
    path("pace", ReportAPI.as_view(report=pace.report), name="pace"),
    path("portfolio_trend", ReportAPI.as_view(report=portfolio_trend.report), name="portfolio_trend"),
    path("provisions", ReportAPI.as_view(report=provisions.report), name="provisions"),
    path("roll_rates", ReportAPI.as_view(report=roll_rates.report), name="roll_rates"),
    path("top_borrowers", ReportAPI.as_view(report=top_borrowers.report), name="top_borrowers"),
    path("vintages", ReportAPI.as_view(report=vintages.report), name="vintages"),
    path("year_on_year", ReportAPI.as_view(report=year_on_year.report), name="year_on_year"),
]

# The address of an earlier page.
earlier = path("reports/user-credits/", UserCreditsPage.as_view(), name="user_credits_page")

urlpatterns = [*pages, *saved, *original, earlier]
