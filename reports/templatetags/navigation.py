"""The navigation: links to all reports and lists."""

from functools import lru_cache
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag(takes_context=True)
def navigation(context: Any) -> SafeString:
    """Links to all pages whose address takes no arguments; the current one is marked."""
    return links(context["request"].path, get_language())


@lru_cache(maxsize=500)
def links(path: str, language: str) -> SafeString:
    from reports.urls import pages  # avoid an import cycle: the views render templates that use this tag

    found = []
    for page in pages:
        shown = page.callback.view_initkwargs  # type: ignore[attr-defined]
        try:
            url = reverse(page.name)
        except NoReverseMatch:  # it takes an argument, such as a borrower's id
            continue
        current = "page" if url == path else "true" if url != "/" and url in path else ""
        mark = format_html(' aria-current="{}"', current) if current else ""
        found.append((url, mark, (shown.get("report") or shown["listing"]).title))
    return format_html_join("\n    ", '<a href="{}"{}>{}</a>', found)
