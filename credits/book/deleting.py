"""The admin action that deletes selected rows. It shows them first, and deletes them only if unchanged."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import IntegrityError, models
from django.db.models import Exists, OuterRef, ProtectedError, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from .values import Values, columns, stored_values
from .writing import writing

MOST = 5_000  # rows at once
SHOWN = 20


@admin.action(description=_("Delete selected rows"), permissions=["delete"])
def delete_selected(staff: Any, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
    """Returns the page that asks for confirmation; None after deleting, or if there are too many rows."""
    rows = queryset.select_related(None).order_by("pk")
    names = staff.opts.verbose_name_plural
    if rows.values("pk")[: MOST + 1].count() > MOST:
        paginator = staff.get_paginator(request, rows, 1)
        problem = _(
            "Rows found: %(found)s (%(names)s). At most %(most)s are deleted at once. "
            "Filter the list, or select some of its rows."
        )
        if paginator.is_capped:
            problem = _(
                "Rows found: more than %(found)s (%(names)s). At most %(most)s are deleted at once. "
                "Filter the list, or select some of its rows."
            )
        found = number_format(paginator.count, force_grouping=True)
        most = number_format(MOST, force_grouping=True)
        messages.error(request, problem % {"found": found, "names": names, "most": most})
        return None
    if "digest" in request.POST:
        try:
            if deleted := delete_as_shown(rows, request.POST["digest"]):
                text = _("Rows deleted: %(number)s (%(names)s).")
                number = number_format(deleted, force_grouping=True)
                messages.success(request, text % {"number": number, "names": names})
                return None
            problem = _("Nothing was deleted: the rows or their values have changed since they were shown.")
        except (ProtectedError, IntegrityError):
            problem = _("Nothing was deleted: other rows refer to these rows now.")
        messages.error(request, problem)
    across = request.POST.get("select_across", "0")
    values = {row["id"]: row for row in rows.values(*columns(staff.model))}
    resource = staff.resource_classes[0]()
    context = {
        **staff.admin_site.each_context(request),
        "title": _("Delete rows"),
        "opts": staff.opts,
        "media": staff.media,
        "number": len(values),
        "digest": digest_of(values),
        "sums": staff.sums(rows),
        "columns": resource.columns(),
        "rows": [resource.text_cells(row) for row in rows[:SHOWN]],
        "blocked": list(blocked(rows)),
        "across": across,
        # If all rows of a list are selected, one id is enough: the list's address selects the rows.
        "selected": list(values)[:1] if across == "1" else list(values),
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    request.current_app = staff.admin_site.name
    return TemplateResponse(request, "admin/delete_rows.html", context)


def delete_as_shown(rows: QuerySet[Any], digest: str) -> int:
    """Deletes the rows if they still have the digest. Returns how many it deleted: all or none."""
    with writing():
        values = stored_values(rows.model, list(rows.values_list("pk", flat=True)))
        if digest_of(values) != digest:
            return 0
        rows.model._default_manager.filter(pk__in=list(values)).delete()
    return len(values)


def digest_of(values: dict[Any, Values]) -> str:
    """Returns a digest of the rows and all their values."""
    return hashlib.sha256(
        repr(sorted((pk, *row.values()) for pk, row in values.items())).encode()
    ).hexdigest()


def blocked(rows: QuerySet[Any]) -> Iterator[tuple[int, Any, list[Any]]]:
    """Yields why some rows can't be deleted: (how many, which kind of row refers to them, the first ten)."""
    relations: Any = rows.model._meta.related_objects
    for relation in relations:
        if relation.on_delete is models.PROTECT:
            others = relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
            kept = rows.filter(Exists(others))
            if number := kept.count():
                yield number, relation.related_model._meta.verbose_name_plural, list(kept[:10])
