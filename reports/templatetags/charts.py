"""Charts: SVG drawn from a report's rows, beside the table with the same figures.

Each tag takes the names of the columns to draw, or named series. The style sheet sets colours and strokes.
What is drawn together also differs in shape, for colour-blind readers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from itertools import groupby
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from .figures import money
from .figures import percent as percentage

register = template.Library()

WIDTH, HEIGHT = 600, 214
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 30
STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
LABELS = 16  # maximum on the horizontal axis
WIDEST = 72  # maximum width of a row in a bar chart
GLYPH = 12  # width of a character on a phone, where the style sheet enlarges the text
BAR = 4  # half the width of a band of a single label
EVERY = (1, 2, 3, 6, 12)  # distances between labels, which are often months or ages in months
# The mark at the end of each series, as a path from its centre: disc, square, diamond, triangles up and down,
# plus, cross, hourglass.
MARKS = (
    "m-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",
    "m-3.5,-3.5h7v7h-7z",
    "m0,-5l5,5l-5,5l-5,-5z",
    "m0,-5l5,9h-10z",
    "m0,5l5,-9h-10z",
    "m-5,0h10m-5,-5v10",
    "m-4,-4l8,8m0,-8l-8,8",
    "m-4,-4h8l-8,8h8z",
)


@dataclass(frozen=True)
class Scale:
    """Maps amounts to heights, with 0 at the bottom and gridlines at round amounts."""

    top: Decimal
    ticks: list[Decimal]
    height: int = HEIGHT - TOP - BOTTOM
    offset: int = TOP

    def y(self, amount: Decimal) -> float:
        return round(self.offset + self.height * float(1 - amount / self.top), 1)


@dataclass(frozen=True)
class Across:
    """Maps the numbers of columns to places, with the first at the left and the last at the right."""

    left: int
    right: int
    count: int

    @property
    def step(self) -> float:
        return (self.right - self.left) / max(1, self.count - 1)

    def x(self, number: int) -> float:
        return round(self.left + self.step * number, 1)


@dataclass(frozen=True)
class Point:
    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.x},{self.y}"


@dataclass(frozen=True)
class Curve:
    """A named line with a value for each label. A None is a gap; the line ends at its last known value."""

    name: str
    values: list[Decimal | None]


@dataclass(frozen=True)
class Band:
    """A named area between a low and a high value for each label. A None is a gap."""

    name: str
    ranges: list[tuple[Decimal, Decimal] | None]


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


def axis(top: Scale, unit: str = "") -> list[dict[str, Any]]:
    return [{"y": top.y(tick), "label": short(tick) + unit} for tick in top.ticks]


def labelled(texts: list[str]) -> list[str]:
    """Blanks all texts but the first and every fifth (1, 5, 10, …) if there are too many to fit."""
    few = len(texts) <= LABELS
    return [text if few or number == 1 or number % 5 == 0 else "" for number, text in enumerate(texts, 1)]


def spaced(texts: list[str], across: Across) -> list[str]:
    """Blanks texts of any length until they fit. Leaves the first and every second, third, sixth, … after."""
    least = math.ceil((text_width(texts) + GLYPH) / across.step)
    every = next((count for count in EVERY if count >= least), least)
    return [text if number % every == 0 else "" for number, text in enumerate(texts)]


def text_width(texts: list[str]) -> int:
    """Returns the width of the longest text."""
    return GLYPH * max(map(len, texts), default=0)


def marks(texts: list[str], across: Across) -> list[dict[str, Any]]:
    """Returns the labels on the horizontal axis, without the blank ones."""
    return [{"x": across.x(number), "label": text} for number, text in enumerate(texts) if text]


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
    across = Across(LEFT, WIDTH - RIGHT, len(rows))
    texts = labelled([mark_of(getattr(row, label)) for row in rows])
    drawn = two_lines(rows, plan, past, actual, heights, across)
    return frame(heights) | drawn | {"marks": marks(texts, across), "title": title, "name": name}


@register.inclusion_tag("charts/sparkline.html")
def sparkline(
    rows: list[Any], plan: str | None, actual: str, title: str, count: int | None = None
) -> dict[str, Any]:
    """Draws the same lines in a tiny chart, or only the actuals if plan is None.

    count is the number of rows that it has room for. Values that are None are left out.
    """
    width, height = 240, 56
    columns = [plan, actual] if plan else [actual]
    amounts = [getattr(row, column) for row in rows for column in columns]
    greatest = max([*filter(None, amounts), Decimal(0)]) or Decimal(1)
    heights = Scale(top=greatest, ticks=[], height=height - 8, offset=4)
    across = Across(4, width - 4, count or len(rows))
    drawn = two_lines(rows, plan, rows, actual, heights, across)
    return drawn | {"width": width, "height": height, "title": title}


@register.inclusion_tag("charts/bullet.html")
def bullet(actual: Decimal, plan: Decimal, expected: Decimal | None) -> dict[str, Any]:
    """Draws a bar for the actual sum, a tick for the plan, and a dashed one for what is expected so far."""
    width = 240
    whole = max(actual, plan, expected or Decimal(0)) or Decimal(1)
    sums = {"actual": actual, "plan": plan, "expected": expected}
    title = _("{actual} of a plan of {plan}")
    if expected is not None:
        title = _("{actual} of a plan of {plan}; by now {expected} is expected")
    title = title.format(**{name: money(amount) for name, amount in sums.items()})
    places = {
        name: None if amount is None else round(width * float(amount / whole), 1)
        for name, amount in sums.items()
    }
    return {"width": width, "title": title, **places}


def two_lines(
    rows: list[Any], plan: str | None, past: list[Any], actual: str, heights: Scale, across: Across
) -> dict[str, Any]:
    """Returns the line of the plan, if there is one, and that of the actuals with its end."""
    planned = points([getattr(row, plan) for row in rows], heights, across) if plan else []
    reached = points([getattr(row, actual) for row in past], heights, across)
    return {"plan_line": line(planned), "actual_line": line(reached), "end": last(reached)}


@register.inclusion_tag("charts/curves.html")
def curves(
    labels: list[str],
    series: list[Curve],
    title: str,
    name: str,
    percent: bool = False,
    band: Band | None = None,
) -> dict[str, Any]:
    """Draws a line for each series, over the labels. Up to eight series differ in their dashes and end marks.

    The values are amounts of money, or percentages. Each point shows its value under the mouse. The band lies
    behind the lines.
    """
    amounts = [value for curve in series for value in curve.values if value is not None]
    heights = scale([*amounts, *(high for _low, high in filter(None, band.ranges if band else []))])
    unit, written = ("\u202f%", percentage) if percent else ("", money)
    left = max(LEFT, text_width([tick["label"] for tick in axis(heights, unit)]) + 6)
    across = Across(left, WIDTH - max(RIGHT, text_width(labels) // 2), len(labels))
    drawn = [
        parts(curve, labels, points(curve.values, heights, across), written)
        | {"number": number % len(MARKS) + 1, "mark": MARKS[number % len(MARKS)]}
        for number, curve in enumerate(series)
    ]
    texts = {"marks": marks(spaced(labels, across), across), "title": title, "name": name}
    areas = {"band": {"name": band.name, "areas": areas_of(band, heights, across)}} if band else {}
    # A long label reaches below the lowest amount, so it's a little lower than in the other charts.
    return frame(heights, unit, across) | texts | {"bottom": HEIGHT - 5, "curves": drawn} | areas


def areas_of(band: Band, heights: Scale, across: Across) -> list[str]:
    """Returns the outline of each stretch of the band without a gap. A single range is a narrow bar."""
    areas = []
    for _known, stretch in groupby(enumerate(band.ranges), lambda item: item[1] is not None):
        found = [(across.x(number), *ends) for number, ends in stretch if ends]
        if len(found) == 1:
            ((x, low, high),) = found
            found = [(x - BAR, low, high), (x + BAR, low, high)]
        upper = [Point(x, heights.y(high)) for x, _low, high in found]
        lower = [Point(x, heights.y(low)) for x, low, _high in reversed(found)]
        if found:
            areas.append(line([*upper, *lower]))
    return areas


def parts(
    curve: Curve,
    labels: list[str],
    places: Sequence[Point | None],
    written: Callable[[Decimal | None], str],
) -> dict[str, Any]:
    """Returns a line for each stretch without a gap, the points that stand alone, the end, and all points."""
    pieces = [list(piece) for known, piece in groupby(places, key=bool) if known]
    end = last(places)
    return {
        "name": curve.name,
        "lines": [line(piece) for piece in pieces if len(piece) > 1],
        "dots": [piece[0] for piece in pieces if len(piece) == 1 and piece[0] != end],
        "end": end,
        "points": [
            {"x": place.x, "y": place.y, "label": label, "value": written(value)}
            for place, label, value in zip(places, labels, curve.values, strict=False)
            if place
        ],
    }


def points(amounts: Iterable[Decimal | None], heights: Scale, across: Across) -> list[Point | None]:
    """Returns where each amount is drawn; None stays None."""
    return [
        None if amount is None else Point(across.x(number), heights.y(amount))
        for number, amount in enumerate(amounts)
    ]


def line(places: Iterable[Point | None]) -> str:
    """Returns the points of a polyline."""
    return " ".join(str(place) for place in places if place)


def last(places: Sequence[Point | None]) -> Point | None:
    """Returns the last known point."""
    return next(filter(None, reversed(places)), None)


def mark_of(value: date | str) -> str:
    """Returns the label on the axis: the number of a day, or the name of a month such as 2021-06."""
    return str(value.day) if isinstance(value, date) else date_format(date.fromisoformat(f"{value}-01"), "M")


def frame(heights: Scale, unit: str = "", across: Across | None = None) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": across.left if across else LEFT,
        "right": across.right if across else WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM + 22,
        "ticks": axis(heights, unit),
    }


@register.inclusion_tag("charts/day_bars.html")
def day_bars(rows: list[Any], actual: str, title: str, name: str, count: int) -> dict[str, Any]:
    """Draws a bar for each day of a month, which leads to the day on the month's page.

    count is the number of days of the whole month.
    """
    sums = [getattr(row, actual) for row in rows]
    heights, room = scale(sums), (WIDTH - LEFT - RIGHT) / count
    ground = heights.y(Decimal(0))
    lefts = [LEFT + room * number for number in range(count)]
    drawn = [
        {
            "day": row.day,
            "sum": money(amount),
            "actual": bar(left, room, 0.76, heights.y(amount), ground),
            "area": bar(left, room, 1, TOP, ground),  # is found by the pointer on a day without a sum too
        }
        for row, amount, left in zip(rows, sums, lefts, strict=False)
    ]
    marks = [
        {"x": round(left + room / 2, 1), "label": number}
        for number, left in enumerate(lefts, 1)
        if number == 1 or number % 5 == 0
    ]
    sizes = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "bottom": ground + 22}
    return sizes | {"ticks": axis(heights), "days": drawn, "marks": marks, "title": title, "name": name}


@register.inclusion_tag("charts/beside_plan.html")
def beside_plan(
    amount: Decimal,
    plan: Decimal | None,
    greatest: Decimal,
    low: Decimal | None = None,
    high: Decimal | None = None,
) -> dict[str, Any]:
    """Draws a bar for an amount, a tick for the plan, and a line from low to high.

    Charts of the same greatest amount have the same scale. The figures must stand beside the chart.
    """
    width = 240
    sums = {"amount": amount, "plan": plan, "low": low, "high": high}
    places = {
        name: None if value is None else round(width * float(value / (greatest or 1)), 1)
        for name, value in sums.items()
    }
    return {"width": width, **places}
