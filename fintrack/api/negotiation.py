"""Content negotiation: picks the format that the client's Accept header prefers."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """DRF's, except that it respects q: the most preferred format wins, and formats with q=0 aren't sent."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        there = list(renderers)
        accept = tuple(self.get_accept_list(request))
        number, media_type = preferred(accept, tuple(renderer.media_type for renderer in there))
        return there[number], media_type


@lru_cache(maxsize=500)
def preferred(accept: tuple[str, ...], media_types: tuple[str, ...]) -> tuple[int, str]:
    """Returns the index of the media type that the client prefers, and its name. Raises NotAcceptable."""
    ranges = []
    for token in accept:
        with suppress(ValueError):  # a parameter that can't be decoded
            ranges.append(MediaType(token))
    ranges.sort(key=lambda each: each.specificity, reverse=True)
    none = MediaType("*/*;q=0")
    found = [next((each for each in ranges if each.match(kind)), none) for kind in media_types]
    number, accepted = max(enumerate(found), key=lambda pair: (pair[1].quality, pair[1].specificity))
    if not accepted.quality:
        raise NotAcceptable
    return number, str(accepted) if accepted.specificity > 1 else media_types[number]
