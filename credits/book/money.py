"""Money: always Decimal, exact to the kopeck, and rounded half up once, at the end of a calculation."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import models
from django.db.models import Func, Sum
from django.utils.formats import number_format

KOPECK = Decimal("0.01")
ZERO = Decimal("0.00")
MONEY: dict[str, Any] = {"max_digits": 14, "decimal_places": 2}  # for every DecimalField of an amount


def rounded(value: Decimal) -> Decimal:
    """Rounds half up to two places. Zero has no sign: never -0.00."""
    return value.quantize(KOPECK, ROUND_HALF_UP) or ZERO


def rounded_if_known(value: Decimal | None) -> Decimal | None:
    return None if value is None else rounded(value)


def grouped(amount: Decimal) -> str:
    """Formats an amount for people."""
    return number_format(amount, decimal_pos=2, force_grouping=True)


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """Returns part / whole in percent, rounded to two places; None if whole is 0."""
    return rounded(part * 100 / whole) if whole else None


class WholeKopecks(models.DecimalField):
    """A sum, exact beyond the 15 digits of SQLite's numbers: whole kopecks there, an amount elsewhere."""

    def get_internal_type(self) -> str:
        return "WholeKopecks"  # Django cuts a DecimalField from SQLite to 15 digits

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
    """Converts an amount to whole kopecks, on SQLite."""

    template = "CAST(ROUND(%(expressions)s * 100) AS INTEGER)"


class MoneySum(Sum):
    """Adds up amounts, exact to the kopeck. The sum of no rows is 0.

    Queries can sort by it and compare it with a Decimal. To compare it with columns, or to calculate with it,
    use ComparableMoneySum.
    """

    output_field: Any = WholeKopecks(max_digits=20, decimal_places=2)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        # SQLite adds up amounts as floats, which isn't exact; integers are.
        kopecks = self.copy()
        kopecks.source_expressions = [Kopecks(amount) for amount in self.source_expressions]
        return kopecks.as_sql(compiler, connection, **extra)


class ComparableMoneySum(MoneySum):
    """A sum that SQL can compare and calculate with. On SQLite it is exact to 15 digits."""

    output_field = models.DecimalField(**MONEY)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = super().as_sqlite(compiler, connection, **extra)
        return f"CAST({sql} / 100.0 AS NUMERIC)", params  # comparable with a Decimal, which is sent as text


class Exceeds(Func):
    """Tells whether an amount is more than so many ten-thousandths of another one, exactly.

    It takes the amount, the other amount, and the number of ten-thousandths, which is an integer.
    """

    arity = 3
    output_field: Any = models.BooleanField()

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        return self.compared(compiler, *self.source_expressions)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        # A product beyond 64 bits becomes a float, but then it is beyond all amounts anyway.
        *amounts, number = self.source_expressions
        kopecks = [Kopecks(amount, output_field=models.BigIntegerField()) for amount in amounts]
        return self.compared(compiler, *kopecks, number)

    @staticmethod
    def compared(compiler: Any, *expressions: Any) -> tuple[str, Any]:
        (amount, first), (other, second), (number, third) = map(compiler.compile, expressions)
        return f"({amount} * 10000 > {other} * ({number}))", (*first, *second, *third)
