"""Money is Decimal to the kopeck from file to JSON; rounding is half up, once, at the very end."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import models
from django.db.models import Func, Sum
from django.utils.formats import number_format

KOPECK = Decimal("0.01")
ZERO = Decimal("0.00")
MONEY: dict[str, Any] = {"max_digits": 14, "decimal_places": 2}  # of every DecimalField that holds an amount


def rounded(value: Decimal) -> Decimal:
    """The value to two places, half up. What rounds to nothing is 0.00, without a sign."""
    return value.quantize(KOPECK, ROUND_HALF_UP) or ZERO


def grouped(amount: Decimal) -> str:
    """The amount as people read it on a screen."""
    return number_format(amount, decimal_pos=2, force_grouping=True)


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """part / whole in percent, to two places; None where there is nothing to compare with."""
    return rounded(part * 100 / whole) if whole else None


class WholeKopecks(models.DecimalField):
    """A sum, exact beyond the 15 digits of SQLite's numbers: whole kopecks there, an amount elsewhere."""

    def get_internal_type(self) -> str:
        return "WholeKopecks"  # Django cuts what SQLite returns for a DecimalField to 15 digits

    def db_type(self, connection: Any) -> str:
        return (
            "bigint"
            if connection.vendor == "sqlite"
            else f"numeric({self.max_digits}, {self.decimal_places})"
        )

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal:
        if value is None:
            return ZERO
        return Decimal(value).scaleb(-2) if connection.vendor == "sqlite" else rounded(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        prepared_value = super().get_db_prep_value(value, connection, prepared)
        return int(self.to_python(value).scaleb(2)) if connection.vendor == "sqlite" else prepared_value


class Kopecks(Func):
    """An amount in whole kopecks, on SQLite."""

    template = "CAST(ROUND(%(expressions)s * 100) AS INTEGER)"


class MoneySum(Sum):
    """The sum of an amount, exact to the kopeck; 0 where there are no rows.

    A query can sort by it and compare it with a Decimal; to compare or calculate with columns it takes
    ComparableMoneySum.
    """

    output_field: Any = WholeKopecks(max_digits=20, decimal_places=2)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        # Floats don't add up exactly, whole kopecks do.
        kopecks = self.copy()
        kopecks.source_expressions = [Kopecks(amount) for amount in self.source_expressions]
        return kopecks.as_sql(compiler, connection, **extra)


class ComparableMoneySum(MoneySum):
    """A sum that SQL can compare and calculate with; on SQLite exact to 15 digits."""

    output_field = models.DecimalField(**MONEY)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = super().as_sqlite(compiler, connection, **extra)
        return f"CAST({sql} / 100.0 AS NUMERIC)", params  # comparable with a Decimal, which is sent as text
