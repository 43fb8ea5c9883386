"""Charts: SVG drawn from a report's rows, beside the table with the same figures.

Each tag takes the names of the columns to draw, or named series. The style sheet sets colours and strokes.
What is drawn together also differs in shape, for colour-blind readers.

Bars, lines and curves stand on labels: days, months such as 2021-06, or other texts. Every label has a column
of the drawing, which is one tab stop: while it has the focus or the pointer, its values stand above the
drawing, in the order of the key. The column leads to the tag's `link`, an address in which {label}, {first}
and {last} stand for the label and its first and last day. Points of curves have addresses of their own, for
the pointer; the table has the same links for the keyboard. Notes of the page's context, which have a day, are
marked at the label that covers the day, and listed beneath.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from itertools import groupby, zip_longest
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from reports.stretch import last_of_month

from .figures import NOTHING, day, money, month
from .figures import percent as percentage

register = template.Library()

Label = date | str

WIDTH, HEIGHT = 600, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 36
LINE = 22  # height of a line of text above the drawing
STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
WIDEST = 72  # maximum width of a row in a bar chart
GLYPH = 12  # width of a character on a phone, where the style sheet enlarges the text
SMALL_GLYPH = 8  # elsewhere
BAR = 4  # half the width of a band of a single label
EVERY = (1, 2, 3, 6, 12)  # distances between labels, which are often months or ages in months
MONTH = re.compile(r"\d{4}-\d{2}")
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

    @property
    def places(self) -> list[float]:
        return [self.x(number) for number in range(self.count)]


@dataclass(frozen=True)
class Point:
    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.x},{self.y}"


@dataclass(frozen=True)
class Curve:
    """A named line with a value for each label. A None is a gap; the line ends at its last known value.

    addresses are those of the rows behind each value.
    """

    name: str
    values: list[Decimal | None]
    addresses: Sequence[str] = ()


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
    units = (
        (10**9, pgettext("amount", "{number}B")),
        (10**6, pgettext("amount", "{number}M")),
        (10**3, pgettext("amount", "{number}k")),
    )
    for unit, written in units:
        if amount >= unit:
            return written.format(number=number_format((amount / unit).normalize()))
    return number_format(amount.normalize())


def axis(top: Scale, unit: str = "") -> list[dict[str, Any]]:
    return [{"y": top.y(tick), "label": short(tick) + unit} for tick in top.ticks]


def distances(texts: list[str], step: float) -> tuple[int, int]:
    """Returns how many labels apart the texts fit, on a wide screen and on a phone.

    It is every label, or every second, third, sixth, …, so that a phone shows some of what others show.
    """
    longest = max(map(len, texts), default=0)
    wide, narrow = (math.ceil(glyph * (longest + 0.5) / step) for glyph in (SMALL_GLYPH, GLYPH))
    wide = next((every for every in EVERY if every >= wide), wide)
    narrow = math.ceil(narrow / wide) * wide
    return wide, next((every for every in EVERY if every >= narrow and every % wide == 0), narrow)


def text_width(texts: list[str]) -> int:
    """Returns the width of the longest text."""
    return GLYPH * max(map(len, texts), default=0)


def marks(texts: list[str], places: list[float], step: float) -> list[dict[str, Any]]:
    """Returns the labels on the horizontal axis that fit. Those that only fit on a wide screen are extra."""
    wide, narrow = distances(texts, step)
    return [
        {"x": x, "label": text, "is_extra": number % narrow != 0}
        for number, (x, text) in enumerate(zip(places, texts, strict=True))
        if text and number % wide == 0
    ]


def text_of(label: Label) -> str:
    """Returns the label as the language writes it."""
    if isinstance(label, date):
        return day(label)
    return month(label) if MONTH.fullmatch(label) else label


def days_of(label: Label) -> tuple[date, date] | None:
    """Returns the first and the last day of a label; None if it is neither a day nor a month."""
    if isinstance(label, date):
        return label, label
    if not MONTH.fullmatch(label):
        return None
    first = date.fromisoformat(f"{label}-01")
    return first, last_of_month(first)


def filled(link: str, label: Label) -> str:
    """Returns the address of a label."""
    first, last = days_of(label) or ("", "")
    return link.format(label=label, first=first, last=last)


@dataclass(frozen=True)
class Series:
    """What a chart shows of a series: its name, its CSS class, and a text for each label, or None."""

    name: str
    style: str
    values: list[str | None]


def columns(
    labels: Sequence[Label], places: list[float], step: float, series: list[Series], link: str
) -> list[dict[str, Any]]:
    """Returns, for each label, its part of the drawing, its address, and its values in words and in lines."""
    found = []
    for number, (label, x) in enumerate(zip(labels, places, strict=True)):
        values = [(each, each.values[number] if number < len(each.values) else None) for each in series]
        said = ", ".join(f"{each.name} {value}" for each, value in values if value is not None)
        left, right = max(0, x - step / 2), min(WIDTH, x + step / 2)
        found.append(
            {
                "x": round(left, 1),
                "width": round(right - left, 1),
                "address": filled(link, label),
                "title": f"{text_of(label)}: {said or NOTHING}",
                "lines": broken(
                    [("", text_of(label)), *((each.style, value or NOTHING) for each, value in values)]
                ),
            }
        )
    return found


def broken(texts: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Breaks styled texts into lines that fit above the drawing, even on a phone."""
    lines: list[list[tuple[str, str]]] = [[]]
    for style, text in texts:
        length = sum(len(each) + 1 for _style, each in lines[-1]) + len(text)
        if lines[-1] and GLYPH * length > WIDTH:
            lines.append([])
        lines[-1].append((style, text))
    return lines


def noted(notes: Iterable[Any], labels: Sequence[Label], places: list[float]) -> dict[str, Any]:
    """Returns the notes on the days of the labels, numbered, and their marks, which may share a place."""
    spans = [(days_of(label), x) for label, x in zip(labels, places, strict=True)]
    covered = [
        (note, next((x for days, x in spans if days and days[0] <= note.day <= days[1]), None))
        for note in notes
    ]
    found = [(note, x) for note, x in covered if x is not None]
    at: dict[float, list[int]] = {}
    for number, (_note, x) in enumerate(found, 1):
        at.setdefault(x, []).append(number)
    flags: list[dict[str, Any]] = []
    free = 0.0  # where the next number can begin
    for x, numbers in at.items():
        text = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
        half = text_width([text]) / 2
        fits = x - half >= free
        free = x + half if fits else free
        flags.append({"x": x, "number": text if fits else ""})
    return {"notes": [note for note, _x in found], "flags": flags}


@register.inclusion_tag("charts/bars.html", takes_context=True)
def bars(
    context: Any,
    rows: list[Any],
    label: str,
    plan: str,
    actual: str,
    title: str,
    name: str,
    plan_key: Any = None,
    actual_key: Any = None,
    link: str = "",
) -> dict[str, Any]:
    """Draws a wide outlined bar for each row's plan, and a narrow filled bar inside it for its actual.

    The keys replace the words "plan" and "actual", for example by two years.
    """
    labels = [getattr(row, label) for row in rows]
    plans = [getattr(row, plan) for row in rows]
    actuals = [getattr(row, actual) for row in rows]
    heights = scale(plans + actuals)
    left = left_of(heights)
    room = (WIDTH - left - RIGHT) / max(1, len(rows))
    ground = heights.y(Decimal(0))
    places = [round(left + room * (number + 0.5), 1) for number in range(len(rows))]
    keys = {"plan_key": str(plan_key or _("plan")), "actual_key": str(actual_key or _("actual"))}
    series = [
        Series(keys["plan_key"], "plan-value", [money(amount) for amount in plans]),
        Series(keys["actual_key"], "actual-value", [money(amount) for amount in actuals]),
    ]
    groups = [
        {
            "plan": bar(left + room * number, room, 0.76, heights.y(plans[number]), ground),
            "actual": bar(left + room * number, room, 0.44, heights.y(actuals[number]), ground),
        }
        for number in range(len(rows))
    ]
    notes = noted(context.get("notes", ()), labels, places)
    return keys | {
        "groups": groups,
        "marks": marks([mark_of(each) for each in labels], places, room),
        **frame(heights, left, WIDTH - RIGHT, columns(labels, places, room, series, link), notes),
        "title": title,
        "name": name,
    }


def bar(left: float, room: float, share: float, top: float, ground: float) -> dict[str, float]:
    """Returns a rectangle, centred in its room."""
    width = min(room, WIDEST) * share
    return {
        "x": round(left + (room - width) / 2, 1),
        "width": round(width, 1),
        "y": top,
        "height": round(ground - top, 1),
    }


@register.inclusion_tag("charts/lines.html", takes_context=True)
def lines(
    context: Any,
    rows: list[Any],
    label: str,
    plan: str,
    actual: str,
    title: str,
    name: str,
    until: Any = None,
    link: str = "",
) -> dict[str, Any]:
    """Draws a dashed line for the plan, and a solid line for the actuals, which ends at `until`."""
    labels = [getattr(row, label) for row in rows]
    past = [row for row in rows if until is None or getattr(row, label) <= until]
    heights = scale([getattr(row, column) for row in rows for column in (plan, actual)])
    across = Across(left_of(heights), WIDTH - RIGHT, len(rows))
    series = [
        Series(_("expected"), "plan-value", [money(getattr(row, plan)) for row in rows]),
        Series(_("cumulative"), "actual-value", [money(getattr(row, actual)) for row in past]),
    ]
    planned = points([getattr(row, plan) for row in rows], heights, across)
    reached = points([getattr(row, actual) for row in past], heights, across)
    drawn = columns(labels, across.places, across.step, series, link)
    for column, *ends in zip_longest(drawn, planned, reached):
        column["points"] = [
            {"x": end.x, "y": end.y, "style": each.style}
            for each, end in zip(series, ends, strict=True)
            if end
        ]
    notes = noted(context.get("notes", ()), labels, across.places)
    return {
        **two_lines(planned, reached),
        "marks": marks([mark_of(each) for each in labels], across.places, across.step),
        **frame(heights, across.left, across.right, drawn, notes),
        "title": title,
        "name": name,
    }


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
    planned = points([getattr(row, plan) for row in rows], heights, across) if plan else []
    reached = points([getattr(row, actual) for row in rows], heights, across)
    return two_lines(planned, reached) | {"width": width, "height": height, "title": title}


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


def two_lines(planned: Sequence[Point | None], reached: Sequence[Point | None]) -> dict[str, Any]:
    """Returns the line of the plan, if there is one, and that of the actuals with its end."""
    return {"plan_line": line(planned), "actual_line": line(reached), "end": last(reached)}


@register.inclusion_tag("charts/curves.html", takes_context=True)
def curves(
    context: Any,
    labels: Sequence[Label],
    series: list[Curve],
    title: str,
    name: str,
    percent: bool = False,
    band: Band | None = None,
    link: str = "",
) -> dict[str, Any]:
    """Draws a line for each series, over the labels. Up to eight series differ in their dashes and end marks.

    The values are amounts of money, or percentages. The band lies behind the lines.
    """
    amounts = [value for curve in series for value in curve.values if value is not None]
    heights = scale([*amounts, *(high for _low, high in filter(None, band.ranges if band else []))])
    unit, written = ("\u202f%", percentage) if percent else ("", money)
    texts = [text_of(label) for label in labels]
    across = Across(left_of(heights, unit), WIDTH - max(RIGHT, text_width(texts) // 2), len(labels))
    kinds = [number % len(MARKS) + 1 for number in range(len(series))]
    shown = [
        Series(curve.name, f"series-{kind}", [None if v is None else written(v) for v in curve.values])
        for kind, curve in zip(kinds, series, strict=True)
    ]
    drawn = columns(labels, across.places, across.step, shown, link)
    for number, column in enumerate(drawn):
        column["points"] = [
            point | {"style": each.style, "title": f"{each.name}, {texts[number]}: {each.values[number]}"}
            for curve, each in zip(series, shown, strict=True)
            if (point := point_of(curve, number, heights, across))
        ]
    notes = noted(context.get("notes", ()), labels, across.places)
    return {
        "curves": [
            parts(curve, points(curve.values, heights, across)) | {"number": kind, "mark": MARKS[kind - 1]}
            for kind, curve in zip(kinds, series, strict=True)
        ],
        "marks": marks(texts, across.places, across.step),
        **({"band": {"name": band.name, "areas": areas_of(band, heights, across)}} if band else {}),
        **frame(heights, across.left, across.right, drawn, notes, unit),
        "title": title,
        "name": name,
    }


def point_of(curve: Curve, number: int, heights: Scale, across: Across) -> dict[str, Any] | None:
    """Returns where the curve's value is drawn, with the address of the rows behind it; None for a gap."""
    value = curve.values[number] if number < len(curve.values) else None
    if value is None:
        return None
    address = curve.addresses[number] if number < len(curve.addresses) else ""
    return {"x": across.x(number), "y": heights.y(value), "address": address}


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


def parts(curve: Curve, places: Sequence[Point | None]) -> dict[str, Any]:
    """Returns a line for each stretch without a gap, the points that stand alone, and the end."""
    pieces = [list(piece) for known, piece in groupby(places, key=bool) if known]
    end = last(places)
    return {
        "name": curve.name,
        "lines": [line(piece) for piece in pieces if len(piece) > 1],
        "dots": [piece[0] for piece in pieces if len(piece) == 1 and piece[0] != end],
        "end": end,
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


def left_of(heights: Scale, unit: str = "") -> int:
    """Returns where the drawing begins, beside the amounts on its axis."""
    return max(LEFT, text_width([tick["label"] for tick in axis(heights, unit)]) + 6)


def frame(
    heights: Scale,
    left: int,
    right: int,
    drawn: list[dict[str, Any]],
    notes: dict[str, Any],
    unit: str = "",
) -> dict[str, Any]:
    """Returns what all charts have. Above the drawing is room for the values of a column and for notes."""
    most = max((len(column["lines"]) for column in drawn), default=0)
    above = LINE * (most + bool(notes["notes"]))
    for column in drawn:
        column["lines"] = [
            (LINE * number + 18 - above, texts) for number, texts in enumerate(column["lines"])
        ]
    return {
        "width": WIDTH,
        "height": HEIGHT + above,
        "start": -above,
        "left": left,
        "right": right,
        "top": TOP,
        "plot_height": HEIGHT - BOTTOM - TOP,
        "ground": HEIGHT - BOTTOM,
        "bottom": HEIGHT - 6,
        "ticks": axis(heights, unit),
        "columns": drawn,
        **notes,
    }


@register.inclusion_tag("charts/day_bars.html", takes_context=True)
def day_bars(
    context: Any, rows: list[Any], actual: str, title: str, name: str, count: int, link: str
) -> dict[str, Any]:
    """Draws a bar for each row's day, in a month of `count` days."""
    days, sums = [row.day for row in rows], [getattr(row, actual) for row in rows]
    heights = scale(sums)
    left = left_of(heights)
    room = (WIDTH - left - RIGHT) / count
    places = [round(left + room * (number + 0.5), 1) for number in range(count)]
    ground = heights.y(Decimal(0))
    series = [Series(_("actual"), "actual-value", [money(amount) for amount in sums])]
    drawn = places[: len(rows)]
    notes = noted(context.get("notes", ()), days, drawn)
    return {
        "bars": [
            bar(left + room * number, room, 0.76, heights.y(amount), ground)
            for number, amount in enumerate(sums)
        ],
        "marks": marks([str(number) for number in range(1, count + 1)], places, room),
        **frame(heights, left, WIDTH - RIGHT, columns(days, drawn, room, series, link), notes),
        "title": title,
        "name": name,
    }


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
