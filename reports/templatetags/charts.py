"""Charts: SVG drawn from a report's rows, beside the table with the same figures.

Each tag takes the names of the columns to draw. The style sheet sets colours and strokes. Plans and actuals
also differ in shape, for colour-blind readers.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from .figures import money

register = template.Library()

WIDTH, HEIGHT = 600, 214
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 30
STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
LABELS = 16  # maximum on the horizontal axis
WIDEST = 72  # maximum width of a row in a bar chart


@dataclass(frozen=True)
class Scale:
    """Maps amounts to heights, with 0 at the bottom and gridlines at round amounts."""

    top: Decimal
    ticks: list[Decimal]
    height: int = HEIGHT - TOP - BOTTOM
    offset: int = TOP

    def y(self, amount: Decimal) -> float:
        return round(self.offset + self.height * float(1 - amount / self.top), 1)


def scale(amounts: list[Decimal]) -> Scale:
    """Returns a scale with about four gridlines, the last at or above the greatest amount."""
    greatest = max([*amounts, Decimal(0)])
    if not greatest:
        return Scale(top=Decimal(1), ticks=[greatest])
    least_step = greatest / 4
    power = Decimal(10) ** least_step.adjusted()
    step = next(step * power for step in STEPS if step * power >= least_step)
    count = int((greatest / step).to_integral_value(ROUND_CEILING))
    return Scale(top=step * count, ticks=[step * number for number in range(count + 1)])


def short(amount: Decimal) -> str:
    """Shortens an amount: 1500000 is 1.5M, 20000 is 20k."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if amount >= unit:
            return f"{number_format((amount / unit).normalize())}{letter}"
    return number_format(amount.normalize())


def axis(top: Scale) -> list[dict[str, Any]]:
    return [{"y": top.y(tick), "label": short(tick)} for tick in top.ticks]


def labelled(texts: list[str]) -> list[str]:
    """Blanks all texts but the first and every fifth (1, 5, 10, …) if there are too many to fit."""
    few = len(texts) <= LABELS
    return [text if few or number == 1 or number % 5 == 0 else "" for number, text in enumerate(texts, 1)]


@register.inclusion_tag("charts/bars.html")
def bars(
    rows: list[Any],
    label: str,
    plan: str,
    actual: str,
    title: str,
    name: str,
    plan_key: Any = None,
    actual_key: Any = None,
) -> dict[str, Any]:
    """Draws a wide outlined bar for each row's plan, and a narrow filled bar inside it for its actual.

    The keys replace the words "plan" and "actual", for example by two years.
    """
    plans = [getattr(row, plan) for row in rows]
    actuals = [getattr(row, actual) for row in rows]
    heights = scale(plans + actuals)
    room = (WIDTH - LEFT - RIGHT) / max(1, len(rows))
    ground = heights.y(Decimal(0))
    groups = []
    for number, row in enumerate(rows):
        left = LEFT + room * number
        groups.append(
            {
                "label": getattr(row, label),
                "mark": mark_of(getattr(row, label)),
                "middle": round(left + room / 2, 1),
                "plan": bar(left, room, 0.76, heights.y(plans[number]), ground),
                "actual": bar(left, room, 0.44, heights.y(actuals[number]), ground),
                "plan_sum": money(plans[number]),
                "actual_sum": money(actuals[number]),
            }
        )
    keys = {"plan_key": plan_key or _("plan"), "actual_key": actual_key or _("actual")}
    return frame(heights) | keys | {"groups": groups, "title": title, "name": name}


def bar(left: float, room: float, share: float, top: float, ground: float) -> dict[str, float]:
    """Returns a rectangle, centred in its room."""
    width = min(room, WIDEST) * share
    return {
        "x": round(left + (room - width) / 2, 1),
        "width": round(width, 1),
        "y": top,
        "height": round(ground - top, 1),
    }


@register.inclusion_tag("charts/lines.html")
def lines(
    rows: list[Any], label: str, plan: str, actual: str, title: str, name: str, until: Any = None
) -> dict[str, Any]:
    """Draws a dashed line for the plan, and a solid line for the actuals, which ends at `until`."""
    past = [row for row in rows if until is None or getattr(row, label) <= until]
    heights = scale([getattr(row, column) for row in rows for column in (plan, actual)])
    step = (WIDTH - LEFT - RIGHT) / max(1, len(rows) - 1)
    texts = labelled([mark_of(getattr(row, label)) for row in rows])
    marks = [{"x": round(LEFT + step * n, 1), "label": text} for n, text in enumerate(texts) if text]
    drawn = {
        "plan_line": line([getattr(row, plan) for row in rows], heights, LEFT, step),
        "actual_line": line([getattr(row, actual) for row in past], heights, LEFT, step),
        "end": {"x": round(LEFT + step * (len(past) - 1), 1), "y": heights.y(getattr(past[-1], actual))}
        if past
        else None,
    }
    return frame(heights) | drawn | {"marks": marks, "title": title, "name": name}


@register.inclusion_tag("charts/sparkline.html")
def sparkline(
    rows: list[Any], plan: str, actual: str, title: str, count: int | None = None
) -> dict[str, Any]:
    """Draws the same lines in a tiny chart. count is the number of rows that it has room for."""
    width, height = 240, 56
    amounts = [getattr(row, column) for row in rows for column in (plan, actual)]
    greatest = max([*amounts, Decimal(0)]) or Decimal(1)
    heights = Scale(top=greatest, ticks=[], height=height - 8, offset=4)
    step = (width - 8) / max(1, (count or len(rows)) - 1)
    return {
        "width": width,
        "height": height,
        "title": title,
        "plan_line": line([getattr(row, plan) for row in rows], heights, 4, step),
        "actual_line": line([getattr(row, actual) for row in rows], heights, 4, step),
        "end": {"x": round(4 + step * (len(rows) - 1), 1), "y": heights.y(getattr(rows[-1], actual))}
        if rows
        else None,
    }


def line(amounts: list[Decimal], heights: Scale, left: float, step: float) -> str:
    """Returns the points of a polyline."""
    return " ".join(f"{left + step * n:.1f},{heights.y(amount)}" for n, amount in enumerate(amounts))


def mark_of(value: date | str) -> str:
    """Returns the label on the axis: the number of a day, or the name of a month such as 2021-06."""
    return str(value.day) if isinstance(value, date) else date_format(date.fromisoformat(f"{value}-01"), "M")


def frame(heights: Scale) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM + 22,
        "ticks": axis(heights),
    }
