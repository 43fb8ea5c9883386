"""The values of rows, as the database has them and as instances have them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import models

from .money import rounded

Values = dict[str, Any]  # the values of a row: {field: value}
ChangedRow = tuple[Any, Values | None, Values | None]  # pk, before, after; None if there was or is no row


def columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def money_fields(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if isinstance(field, models.DecimalField)]


def stored_values(model: type[models.Model], pks: Iterable[Any], locking: bool = True) -> dict[Any, Values]:
    """Returns {pk: values} as the database has them now. With locking, the rows are locked as well."""
    wanted, names = list(pks), columns(model)
    found: dict[Any, Values] = {}
    table = model._base_manager.select_for_update() if locking else model._base_manager.all()
    for start in range(0, len(wanted), 500):
        rows = table.filter(pk__in=wanted[start : start + 500])
        found |= {row["id"]: row for row in rows.order_by().values(*names)}
    return found


def given_values(row: models.Model) -> Values:
    """Returns the values of an instance as the database will store them. Expressions stay expressions."""
    values = {}
    fields: tuple[Any, ...] = row._meta.concrete_fields
    for field in fields:
        value = getattr(row, field.attname)
        if not hasattr(value, "resolve_expression"):
            value = (field.target_field if field.is_relation else field).to_python(value)
        values[field.attname] = rounded(value) if isinstance(value, Decimal) else value
    return values


def is_exact(row: models.Model, given: Values) -> bool:
    """Tells whether the database will store the values as they are, without computing or rounding any."""
    return all(
        value == getattr(row, name) and not hasattr(value, "resolve_expression")
        for name, value in given.items()
    )


def changed_rows(before: dict[Any, Values], after: dict[Any, Values]) -> list[ChangedRow]:
    """Returns all rows of both. A row only in `after` is new; a row only in `before` is deleted."""
    return [(pk, before.get(pk), after.get(pk)) for pk in before | after]
