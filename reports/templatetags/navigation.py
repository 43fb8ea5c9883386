"""The navigation: the overview, the groups of pages, the API's page and the admin."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.translation import get_language

from reports.params import PeriodField, ReportParams

register = template.Library()


class Link(NamedTuple):
    address: str
    title: str
    current: str = ""  # aria-current: "page", or "true" for a page below it


class Group(NamedTuple):
    title: str
    links: list[Link]

    @property
    def is_current(self) -> bool:
        return any(link.current for link in self.links)


@register.inclusion_tag("navigation.html", takes_context=True)
def navigation(context: Any) -> dict[str, Any]:
    """Links to all pages whose address takes no arguments, by group. The date of this page goes along."""
    path, form = context["request"].path, context.get("form")
    period = form.asked.strip() if isinstance(form, ReportParams) and form.is_valid() else ""
    groups = groups_at(path, period, get_language())
    return {"path": path, "groups": groups, "perms": context["perms"]}


@lru_cache(maxsize=500)
def groups_at(path: str, period: str, language: str) -> list[Group]:
    from reports.urls import groups  # avoid an import cycle: the views render templates that use this tag

    return [Group(str(title), [*links(pages, path, period)]) for title, pages in groups]


def links(pages: list[Any], path: str, period: str) -> Iterator[Link]:
    for page in pages:
        shown = page.callback.view_initkwargs
        made_of = shown.get("report") or shown["listing"]
        try:
            address = reverse(page.name)
        except NoReverseMatch:  # it takes an argument, such as a borrower's id
            continue
        current = "page" if address == path else "true" if path.startswith(address) else ""
        yield Link(address + of_period(made_of.params, period), str(made_of.title), current)


def of_period(params: type[ReportParams], period: str) -> str:
    """Returns the query for the period, if the page takes one. A day is cut to its month or year."""
    for name in params.main:
        field = params.base_fields.get(name)
        if period and isinstance(field, PeriodField):
            is_day = re.fullmatch(r"[0-9-]+", period)
            return "?" + urlencode({name: period[: field.length] if is_day else period})
    return ""
