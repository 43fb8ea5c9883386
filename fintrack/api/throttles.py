"""How often a program may ask, and a person may try a password."""

import logging
from contextlib import suppress
from typing import Any

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from fintrack.access import client_address

logger = logging.getLogger(__name__)


class Throttle(SimpleRateThrottle):
    """So many requests in each minute (or second, hour, day), counted in the cache that all processes share.

    Without the cache nothing is counted and nothing is refused.
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
        except Exception as error:  # whatever a driver raises
            logger.warning("Requests can't be counted: %r", error)
            return True

    def counted(self, key: str) -> int:
        """How many there were with this one: one round trip, but for the first."""
        with suppress(ValueError):  # there is nothing to add to
            return self.cache.incr(key)
        return 1 if self.cache.add(key, 1, timeout=self.duration) else self.cache.incr(key)

    def is_first_refusal(self) -> bool:
        """Of those until counting begins anew."""
        return self.count - 1 == self.num_requests

    def wait(self) -> float:
        """Seconds until counting begins anew."""
        return self.rest


class Accounts(Throttle):
    """A token, or an account that is signed in."""

    scope = "account"

    def get_cache_key(self, request: Request, view: Any) -> str:
        token = getattr(request.auth, "pk", None)
        return f"throttle:token:{token}" if token else f"throttle:account:{request.user.pk}"


class Strangers(Throttle):
    """An address that shows no valid token, so that none can be guessed."""

    scope = "stranger"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return f"throttle:stranger:{self.get_ident(request)}"


class SignIns(Throttle):
    """An address, whatever names it tries."""

    scope = "sign_in"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"throttle:sign_in:{self.get_ident(request)}"


class OwnPasswords(Throttle):
    """An account that is signed in, and shows its password once more to change it."""

    scope = "own_password"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"throttle:own_password:{request.user.pk}"
