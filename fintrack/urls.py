from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path, reverse_lazy

from reports.urls import api as reports_api

from .api import NoSuchAddress
from .health import livez, readyz

accounts = [
    path("login/", auth.LoginView.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "password/",
        auth.PasswordChangeView.as_view(success_url=reverse_lazy("home")),
        name="password_change",
    ),
]

urlpatterns = [
    path("", include("reports.urls")),
    path("", include("plans.urls")),
    path("accounts/", include(accounts)),
    path("admin/", admin.site.urls),
    path("api/v1/", include(reports_api)),
    path("api/v1/", include("plans.urls")),
    path("api/v1/<path:unknown>", NoSuchAddress.as_view()),
    path("livez", livez),
    path("readyz", readyz),
]
