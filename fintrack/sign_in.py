"""Sign-in and the change of one's own password. Rate limits refuse attempts before a password is hashed."""

from http import HTTPStatus
from math import ceil
from typing import Any

from axes.helpers import get_client_http_accept, get_client_path_info, get_client_user_agent
from axes.models import AccessFailureLog
from django.conf import settings
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy, ngettext
from django.views.generic import FormView

from .access import client_address
from .accounts import OwnPasswordForm
from .api.throttles import OwnPasswords, SignIns, Throttle
from .language import chosen_language, set_language_cookie


class LimitedFormView(FormView):
    """A form that is refused without reading it when it was sent too often."""

    throttle: type[Throttle]
    refusal: Any

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        throttle = self.throttle()
        if throttle.allow_request(request, self):
            return super().post(request, *args, **kwargs)
        if throttle.is_first_refusal():
            keep_refusal(request)
        return too_many_attempts(request, self.refusal, throttle.wait())


class SignIn(LimitedFormView, LoginView):
    """Django's, except that it is throttled and sets the language that the account has chosen."""

    throttle = SignIns
    refusal = gettext_lazy(
        "There were too many attempts to sign in from your network address. "
        "For security, nobody can sign in from this address now."
    )

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        if language := chosen_language(form.get_user()):
            set_language_cookie(response, language)
        return response


class OwnPassword(LimitedFormView, PasswordChangeView):
    throttle = OwnPasswords
    refusal = gettext_lazy(
        "There were too many attempts to change the password of your account. "
        "For security, you can't change it now."
    )
    form_class = OwnPasswordForm
    success_url = reverse_lazy("home")


def keep_refusal(request: HttpRequest) -> None:
    """Records a refused attempt in the history of failed sign-ins.

    The record names the signed-in account, if any, and never the name that was tried.
    """
    AccessFailureLog.objects.create(
        username=request.user.get_username() or None,
        ip_address=client_address(request),
        user_agent=get_client_user_agent(request),
        http_accept=get_client_http_accept(request),
        path_info=get_client_path_info(request),
        locked_out=True,
    )


def locked_out(request: HttpRequest, response: HttpResponse, credentials: dict[str, Any]) -> HttpResponse:
    """Returns the response that axes sends after too many wrong passwords for one name from one address."""
    times = settings.AXES_FAILURE_LIMIT
    reason = ngettext(
        "The password for %(name)s was wrong %(times)d time from your network address. "
        "For security, nobody can sign in with this name from this address now.",
        "The password for %(name)s was wrong %(times)d times from your network address. "
        "For security, nobody can sign in with this name from this address now.",
        times,
    )
    known = {"name": credentials["username"], "times": times}
    return too_many_attempts(request, reason % known, settings.AXES_COOLOFF_TIME.total_seconds())


def too_many_attempts(request: HttpRequest, reason: str, seconds: float) -> HttpResponse:
    """Returns a 429 page with the reason and the time to wait."""
    context = {"reason": reason, "minutes": ceil(seconds / 60)}
    page = render(request, "registration/locked_out.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
    page["Retry-After"] = str(ceil(seconds))
    return page
