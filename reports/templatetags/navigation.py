"""The navigation: links to all reports and lists."""

from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse

register = template.Library()


@register.simple_tag
def navigation() -> list[dict[str, Any]]:
    """Returns the title and address of each page whose address takes no arguments."""
    from reports.urls import pages  # avoid an import cycle: the views render templates that use this tag

    links = []
    for page in pages:
        shown = page.callback.view_initkwargs  # type: ignore[attr-defined]
        try:
            url = reverse(page.name)
        except NoReverseMatch:  # it takes an argument, such as a borrower's id
            continue
        links.append({"title": (shown.get("report") or shown["listing"]).title, "url": url})
    return links
