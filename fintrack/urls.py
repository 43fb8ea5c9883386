from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path

from credits.urls import api as credits_api
from plans.urls import api as plans_api
from reports.urls import api as reports_api

from .api.addresses import NoSuchAddress, without_slash
from .api.docs import Docs, Schema
from .health import livez, readyz
from .language import choose_language
from .sign_in import OwnPassword, SignIn

accounts = [
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", OwnPassword.as_view(), name="password_change"),
    path("language/", choose_language, name="language"),
]

urlpatterns = [
    path("", include("reports.urls")),
    path("", include("plans.urls")),
    path("accounts/", include(accounts)),
    path("admin/", admin.site.urls),
    re_path(
        r"^(?P<address>api/v1/.+|year_performance|plans_performance|user_credits/[^/]+|plans_insert)/$",
        without_slash,
        name="without_slash",
    ),
    path("api/v1/", include(reports_api)),
    path("api/v1/", include(credits_api)),
    path("api/v1/", include(plans_api)),
    path("api/v1/<path:unknown>", NoSuchAddress.as_view()),
    path("api/schema/", Schema.as_view(), name="schema"),
    path("api/docs/", Docs.as_view(), name="docs"),
    path("livez", livez),
    path("readyz", readyz),
]

handler400 = "fintrack.api.problems.bad_request"
handler403 = "fintrack.api.problems.permission_denied"
handler404 = "fintrack.api.problems.not_found"
handler500 = "fintrack.api.problems.server_error"
