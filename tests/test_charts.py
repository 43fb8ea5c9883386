"""Charts: proportional heights, round gridlines, labels that don't overlap."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from django.template import Context, Template

from reports.templatetags.charts import LABELS, labelled, scale, short


@dataclass
class Row:
    label: object
    plan: Decimal
    actual: Decimal


def drawn(tag: str, rows: list[Row]) -> str:
    return Template("{% load charts %}" + tag).render(Context({"rows": rows, "until": date(2021, 6, 2)}))


@pytest.mark.parametrize(
    ("greatest", "ticks"),
    [
        ("1562000", [0, 500_000, 1_000_000, 1_500_000, 2_000_000]),
        ("3597000", [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]),
        ("1000", [0, 250, 500, 750, 1000]),
        ("0.03", [0, Decimal("0.01"), Decimal("0.02"), Decimal("0.03")]),
        ("9", [0, Decimal("2.5"), 5, Decimal("7.5"), 10]),
        ("0", [0]),
    ],
)
def test_gridlines_are_round_and_cover_the_greatest_amount(greatest, ticks):
    assert scale([Decimal(greatest)]).ticks == ticks


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("500000", "500k"),
        ("1500000", "1.5M"),
        ("2500", "2.5k"),
        ("7.50", "7.5"),
        ("10000000000", "10B"),
    ],
)
def test_amounts_on_the_axis_are_short(amount, text):
    assert short(Decimal(amount)) == text


def test_labels_are_thinned_until_they_fit():
    days = [str(day) for day in range(1, 32)]
    assert [text for text in labelled(days) if text] == ["1", "5", "10", "15", "20", "25", "30"]
    assert len([text for text in labelled(days) if text]) <= LABELS
    assert labelled(["a", "b"]) == ["a", "b"]


def test_bars_are_proportional_to_their_amounts():
    rows = [Row("2021-01", Decimal(1000), Decimal(250)), Row("2021-02", Decimal(0), Decimal(500))]
    svg = drawn('{% bars rows "label" "plan" "actual" "Issuance" "issuance" %}', rows)
    heights = {
        kind: [float(height) for height in re.findall(rf'<rect class="{kind}"[^>]* height="([\d.]+)"', svg)]
        for kind in ("plan", "actual")
    }
    assert heights == {"plan": [174, 0], "actual": [43.5, 87]}
    assert "2021-01: plan 1\u00a0000.00, actual 250.00" in svg
    assert '<title id="issuance-title">Issuance</title>' in svg
    assert 'aria-labelledby="issuance-title issuance-desc"' in svg


def test_the_line_of_actuals_ends_at_the_last_known_day():
    rows = [Row(date(2021, 6, day), Decimal(day * 10), Decimal(day * 5)) for day in (1, 2, 3)]
    svg = drawn('{% lines rows "label" "plan" "actual" "Issuance" "issuance" until=until %}', rows)
    plan, actual = re.findall(r'points="([^"]+)"', svg)
    assert [len(points.split()) for points in (plan, actual)] == [3, 2]
    assert actual.split()[0].startswith("52.0,")


@pytest.mark.parametrize("tag", ["bars", "lines"])
def test_a_chart_without_amounts_is_an_empty_grid(tag):
    svg = drawn(f'{{% {tag} rows "label" "plan" "actual" "Issuance" "issuance" %}}', [])
    assert "<svg" in svg


def test_a_chart_has_no_inline_style_or_script():
    rows = [Row("2021-01", Decimal(1), Decimal(1))]
    svg = drawn('{% bars rows "label" "plan" "actual" "title" "x" %}', rows)
    svg += drawn('{% sparkline rows "plan" "actual" "title" %}', rows)
    assert "style=" not in svg
    assert "<script" not in svg
