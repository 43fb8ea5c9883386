from django.contrib.auth import views as auth
from django.urls import include, path, reverse_lazy
from django.views.generic import TemplateView

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

# At the root for those who knew the service before, under /api/v1/ for all.
api = [path("", include("reports.urls")), path("", include("plans.urls"))]

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("accounts/", include(accounts)),
    path("livez", livez),
    path("readyz", readyz),
    path("", include(api)),
    path("api/v1/", include(api)),
]
