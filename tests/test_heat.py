"""Heat cells: fixed steps, and colours on which the text stays readable."""

import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Template

from reports.templatetags.heat import heat

STYLES = (Path(settings.BASE_DIR) / "fintrack/static/fintrack/fintrack.css").read_text()
SCHEMES = ("light", "dark")

Colour = tuple[float, ...]  # red, green and blue from 0 to 1


def colour(code: str) -> Colour:
    return tuple(int(code[place : place + 2], 16) / 255 for place in (1, 3, 5))


def palette(scheme: str) -> dict[str, Colour]:
    """Returns the style sheet's variables with a colour for each scheme."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLES)
    return {name: colour(codes[SCHEMES.index(scheme)]) for name, *codes in found}


def heat_colours(scheme: str) -> list[Colour]:
    """Returns the background of each step, mixed as the style sheet says."""
    colours = palette(scheme)
    found = re.findall(
        r"\.heat-(\d+) { --heat: color-mix\(in srgb, var\(--([\w-]+)\) (\d+)%, var\(--([\w-]+)\)\); }", STYLES
    )
    assert [int(step) for step, *mixed in found] == list(range(11))
    return [mix(colours[top], int(part) / 100, colours[ground]) for step, top, part, ground in found]


def mix(top: Colour, part: float, ground: Colour) -> Colour:
    return tuple(one * part + other * (1 - part) for one, other in zip(top, ground, strict=True))


def luminance(colour: Colour) -> float:
    """Returns the relative luminance that WCAG 2 defines."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_as_wcag_defines_it():
    assert contrast(colour("#000000"), colour("#ffffff")) == pytest.approx(21)
    assert contrast(colour("#767676"), colour("#ffffff")) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize(
    ("share", "step"),
    [
        ("0", "heat-0"),
        ("9.99", "heat-0"),
        ("10", "heat-1"),
        ("10.00", "heat-1"),
        ("55.5", "heat-5"),
        ("89.99", "heat-8"),
        ("90", "heat-9"),
        ("99.99", "heat-9"),
        ("100", "heat-10"),
        ("1234.56", "heat-10"),
        ("-12", "heat-0"),
    ],
)
def test_a_percentage_has_a_step_of_ten(share, step):
    assert heat(Decimal(share)) == step


def test_a_percentage_of_nothing_has_no_step():
    assert heat(None) == ""
    cell = Template('{% load heat %}<td class="{{ share|heat }}">').render(Context({"share": None}))
    assert cell == '<td class="">'


def test_the_legend_shows_all_steps():
    html = Template("{% load heat %}{% heat_legend %}").render(Context())
    assert re.findall(r'<li class="([\w-]+)">([^<]+)</li>', html) == [
        ("heat-0", "0–10\u202f%"),
        ("heat-1", "10–20\u202f%"),
        ("heat-2", "20–30\u202f%"),
        ("heat-3", "30–40\u202f%"),
        ("heat-4", "40–50\u202f%"),
        ("heat-5", "50–60\u202f%"),
        ("heat-6", "60–70\u202f%"),
        ("heat-7", "70–80\u202f%"),
        ("heat-8", "80–90\u202f%"),
        ("heat-9", "90–100\u202f%"),
        ("heat-10", "100\u202f% and more"),
    ]
    assert 'aria-label="Colours of the percentages"' in html
    assert "style=" not in html


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_is_readable_on_every_step(scheme):
    text = palette(scheme)["text"]
    assert [step for step, back in enumerate(heat_colours(scheme)) if contrast(text, back) < 4.5] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_first_step_is_the_background_of_the_table(scheme):
    assert heat_colours(scheme)[0] == palette(scheme)["card"]


@pytest.mark.parametrize(("scheme", "darker"), [("light", True), ("dark", False)])
def test_each_step_is_further_from_the_background_even_in_grey(scheme, darker):
    steps = [luminance(back) for back in heat_colours(scheme)]
    assert sorted(steps, reverse=darker) == steps
    assert min(contrast(one, other) for one, other in pairwise(heat_colours(scheme))) > 1.08


def test_cells_keep_their_colours_in_print():
    assert '[class*="heat-"] { background: var(--heat); print-color-adjust: exact; }' in STYLES
    assert "@media print {\n  :root { color-scheme: light; }" in STYLES
