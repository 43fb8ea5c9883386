"""Content negotiation: picks the format that the client's Accept header prefers."""

from collections.abc import Iterable
from contextlib import suppress

from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """Like DRF's, but honours q: the most preferred format wins, and formats with q=0 are never sent."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        ranges = []
        for token in self.get_accept_list(request):
            with suppress(ValueError):  # a parameter can't be decoded
                ranges.append(MediaType(token))
        ranges.sort(key=lambda each: each.specificity, reverse=True)
        none = MediaType("*/*;q=0")
        found = [
            (renderer, next((each for each in ranges if each.match(renderer.media_type)), none))
            for renderer in renderers
        ]
        renderer, accepted = max(found, key=lambda pair: (pair[1].quality, pair[1].specificity))
        if not accepted.quality:
            raise NotAcceptable
        return renderer, str(accepted) if accepted.specificity > 1 else renderer.media_type
