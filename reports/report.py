"""What every report is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fintrack.api import ParamsForm


@dataclass(frozen=True)
class Report:
    """A question about the book: its parameters, and the rows that answer it.

    compute takes the cleaned parameters and returns instances of row, a frozen dataclass.
    """

    params: type[ParamsForm]
    row: type
    compute: Callable[..., list[Any]]
