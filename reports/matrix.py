"""Cells of the pages' tables of percentages."""

from decimal import Decimal
from typing import NamedTuple


class Cell(NamedTuple):
    """A percentage, and the address of the rows behind it. A partial cell will count more days or credits."""

    percent: Decimal | None
    behind: str = ""
    is_partial: bool = False
