"""Money is Decimal to the kopeck from file to JSON; rounding is half up, once, at the very end."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db.models import Sum
from django.utils.formats import number_format

KOPECK = Decimal("0.01")
ZERO = Decimal("0.00")
MONEY: dict[str, Any] = {"max_digits": 14, "decimal_places": 2}  # of every DecimalField that holds an amount


def rounded(value: Decimal) -> Decimal:
    """The value to two places, half up."""
    return value.quantize(KOPECK, ROUND_HALF_UP)


def shown(amount: Decimal) -> str:
    """The amount as people read it on a screen."""
    return number_format(amount, decimal_pos=2, force_grouping=True)


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """part / whole in percent, to two places; None where there is nothing to compare with."""
    return rounded(part * 100 / whole) if whole else None


class MoneySum(Sum):
    """The sum of an amount, exact to the kopeck (on SQLite up to 15 digits); 0 where there are no rows."""

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        # SQLite keeps decimals as floats and would add them as floats; whole kopecks add up exactly.
        kopecks = self.copy()
        kopecks.template = "%(function)s(CAST(ROUND(%(expressions)s * 100) AS INTEGER))"
        sql, params = kopecks.as_sql(compiler, connection, **extra)
        return f"CAST({sql} / 100.0 AS NUMERIC)", params  # comparable with a Decimal, which is sent as text

    def get_db_converters(self, connection: Any) -> list[Any]:
        def to_kopecks(value: Decimal | None, expression: Any, connection: Any) -> Decimal:
            return ZERO if value is None else rounded(value)

        return [*super().get_db_converters(connection), to_kopecks]
