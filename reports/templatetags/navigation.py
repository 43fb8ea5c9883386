"""The way to every report and list."""

from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse

register = template.Library()


@register.simple_tag
def navigation() -> list[dict[str, Any]]:
    """Title and address of each page that needs no more to be found."""
    from reports.urls import pages  # the routes lead to views that render templates with this tag

    links = []
    for page in pages:
        shown = page.callback.view_initkwargs  # type: ignore[attr-defined]
        try:
            url = reverse(page.name)
        except NoReverseMatch:  # of one borrower, say
            continue
        links.append({"title": (shown.get("report") or shown["listing"]).title, "url": url})
    return links
