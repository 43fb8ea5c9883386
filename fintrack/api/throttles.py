"""Limits how often programs may send requests, and how often people may try a password."""

import logging
from contextlib import suppress
from typing import Any

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from fintrack.access import client_address

logger = logging.getLogger(__name__)


class Throttle(SimpleRateThrottle):
    """Allows a number of requests in each minute (or second, hour, day).

    Requests are counted in the cache, which all processes share. While the cache fails, all are allowed.
    """

    scope: str
    num_requests: int | None
    duration: int
    count: int

    def get_rate(self) -> Any:
        return api_settings.DEFAULT_THROTTLE_RATES[self.scope]

    def get_ident(self, request: Any) -> Any:
        return client_address(request)

    def allow_request(self, request: Any, view: Any) -> bool:
        if not self.num_requests:
            return True
        now = self.timer()
        self.rest = self.duration - now % self.duration
        try:
            self.count = self.counted(f"{self.get_cache_key(request, view)}:{int(now // self.duration)}")
            return self.count <= self.num_requests
        except Exception as error:  # each driver has errors of its own
            logger.warning("Requests can't be counted: %r", error)
            return True

    def counted(self, key: str) -> int:
        """Counts this request, and returns the count. Only the first request takes two round trips."""
        with suppress(ValueError):  # the cache has no count yet
            return self.cache.incr(key)
        return 1 if self.cache.add(key, 1, timeout=self.duration) else self.cache.incr(key)

    def is_first_refusal(self) -> bool:
        """Tells whether this is the first request refused since the count started from 0."""
        return self.count - 1 == self.num_requests

    def wait(self) -> float:
        """Returns the seconds until the count starts again from 0."""
        return self.rest


class Accounts(Throttle):
    """Counts the requests of each token, and of each signed-in account."""

    scope = "account"

    def get_cache_key(self, request: Request, view: Any) -> str:
        token = getattr(request.auth, "pk", None)
        return f"throttle:token:{token}" if token else f"throttle:account:{request.user.pk}"


class Strangers(Throttle):
    """Counts requests without a valid token by address, so that nobody can guess tokens."""

    scope = "stranger"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return f"throttle:stranger:{self.get_ident(request)}"


class SignIns(Throttle):
    """Counts sign-ins by address, over all usernames."""

    scope = "sign_in"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"throttle:sign_in:{self.get_ident(request)}"


class OwnPasswords(Throttle):
    """Counts the attempts of a signed-in account to change its password, which requires the old one."""

    scope = "own_password"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"throttle:own_password:{request.user.pk}"
