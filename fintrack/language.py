"""The language of the pages: chosen by a switch, kept in a cookie and with the account."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_POST
from django.views.i18n import LANGUAGE_QUERY_PARAMETER, set_language

from .models import AccountLanguage


@login_not_required
@require_POST
def choose_language(request: HttpRequest) -> HttpResponseBase:
    """Django's set_language(), which sets the cookie, and also stores the language with the account."""
    language = request.POST.get(LANGUAGE_QUERY_PARAMETER)
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        AccountLanguage.objects.update_or_create(account=request.user, defaults={"language": language})
    return set_language(request)


def chosen_language(account: Any) -> str | None:
    return AccountLanguage.objects.filter(account=account).values_list("language", flat=True).first()


def set_language_cookie(response: HttpResponseBase, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
