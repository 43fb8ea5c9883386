"""Charts: proportional heights, round gridlines, labels that don't overlap."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from django.template import Context, Template

from reports.templatetags.charts import (
    GLYPH,
    MARKS,
    WIDTH,
    Band,
    Curve,
    broken,
    distances,
    marks,
    scale,
    short,
)

from . import builders
from .test_heat import STYLES, contrast, palette


@dataclass
class Row:
    label: object
    plan: Decimal
    actual: Decimal


def drawn(tag: str, rows: list[Row]) -> str:
    return Template("{% load charts %}" + tag).render(Context({"rows": rows, "until": date(2021, 6, 2)}))


def drawn_curves(labels: list[str], *series: Curve, title: str = "Ageing", options: str = "") -> str:
    tag = f'{{% load charts %}}{{% curves labels series title "ageing" {options} %}}'
    return Template(tag).render(Context({"labels": labels, "series": series, "title": title}))


def curve(name: str, *values: str | None) -> Curve:
    return Curve(name, [None if value is None else Decimal(value) for value in values])


def lines_of(svg: str) -> list[str]:
    """Returns the lines of a chart of curves, without those of its legend."""
    return re.findall(r'class="curve" points="([^"]+)"', svg[svg.index("</figcaption>") :])


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


def test_each_series_has_its_line_stroke_and_end_mark():
    labels = ["2021-05", "2021-06", "2021-07"]
    svg = drawn_curves(labels, curve("current", "100", "50", "0"), curve("late", "0", "25", "100"))
    # 100 is at 10 and 0 at 184. Half a label, 42, fits at the right.
    assert lines_of(svg) == ["52.0,10.0 305.0,97.0 558.0,184.0", "52.0,184.0 305.0,140.5 558.0,10.0"]
    assert re.findall(r'class="(series-\d)">\s*<polyline', svg[svg.index("</figcaption>") :]) == [
        "series-1",
        "series-2",
    ]
    assert re.findall(r'<path class="mark" d="([^"]+)"', svg) == [
        f"M46,6{MARKS[0]}",
        f"M46,6{MARKS[1]}",
        f"M558.0,184.0{MARKS[0]}",
        f"M558.0,10.0{MARKS[1]}",
    ]
    assert re.findall(r'class="stroke (series-\d)".*?</svg>([^<]+)</span>', svg) == [
        ("series-1", "current"),
        ("series-2", "late"),
    ]


def test_a_missing_value_splits_the_line():
    labels = ["0", "1", "2", "3", "4", "5"]
    svg = drawn_curves(labels, curve("2021-01", "100", "50", None, "25", "0", None))
    assert lines_of(svg) == ["52.0,10.0 158.8,97.0", "372.4,140.5 479.2,184.0"]
    assert f'd="M479.2,184.0{MARKS[0]}"' in svg
    assert 'class="dot"' not in svg


def test_a_lone_value_is_a_dot_and_at_the_end_a_mark():
    svg = drawn_curves(["0", "1", "2"], curve("2021-01", "100", None, "50"))
    assert lines_of(svg) == []
    assert re.findall(r'class="dot" cx="([\d.]+)" cy="([\d.]+)"', svg) == [("52.0", "10.0")]
    assert f'd="M586.0,97.0{MARKS[0]}"' in svg


def test_a_series_may_be_shorter_than_the_axis_or_have_no_value():
    svg = drawn_curves(
        ["0", "1", "2"], curve("2021-01", "100", "50"), curve("2021-02"), curve("2021-03", None)
    )
    assert lines_of(svg) == ["52.0,10.0 319.0,97.0"]
    assert svg.count('class="key series-key"') == 3
    assert svg.count('<path class="mark"') == 4


def columns_of(svg: str) -> list[tuple[str, list[str]]]:
    """Returns the title of each column, with the lines of values that it shows."""
    found = []
    for column in svg.split('<g class="column">')[1:]:
        texts = re.findall(r'<text class="value"[^>]*>(.*?)</text>', column)
        found.append(
            (re.findall(r"<title>([^<]+)", column)[0], [re.sub("<[^>]+>", " ", text) for text in texts])
        )
    return found


def test_each_point_shows_its_series_label_and_value():
    labels = ["2021-05", "2021-06"]
    money = drawn_curves(labels, curve("1–30 days", "1234567.5", None), curve("<late>", "0", "2"))
    assert re.findall(r'class="point [^>]*><title>([^<]+)</title>', money) == [
        "1–30 days, 2021-05: 1\u00a0234\u00a0567.50",
        "&lt;late&gt;, 2021-05: 0.00",
        "&lt;late&gt;, 2021-06: 2.00",
    ]
    share = drawn_curves(labels, curve("PAR30", "77.55", "100"), options="percent=True")
    titles = ["PAR30, 2021-05: 77.55\u202f%", "PAR30, 2021-06: 100.00\u202f%"]
    assert re.findall(r'class="point [^>]*><title>([^<]+)</title>', share) == titles


def test_a_column_shows_the_values_of_all_series_in_the_order_of_the_key():
    svg = drawn_curves(["2021-05", "2021-06"], curve("current", "1", None), curve("late", "0", "2.5"))
    assert columns_of(svg) == [
        ("2021-05: current 1.00, late 0.00", [" 2021-05  1.00  0.00 "]),
        ("2021-06: late 2.50", [" 2021-06  –  2.50 "]),
    ]


def test_a_column_of_bars_and_one_of_lines_lead_to_their_rows():
    rows = [Row("2021-02", Decimal(1000), Decimal(250))]
    link = 'link="/x/?from={first}&to={last}&month={label}"'
    svg = drawn(f'{{% bars rows "label" "plan" "actual" "Issuance" "issuance" {link} %}}', rows)
    assert '<a href="/x/?from=2021-02-01&amp;to=2021-02-28&amp;month=2021-02"><title>2021-02: plan' in svg
    rows = [Row(date(2021, 6, day), Decimal(day * 10), Decimal(day * 5)) for day in (1, 2, 3)]
    svg = drawn(
        '{% lines rows "label" "plan" "actual" "Issuance" "issuance" until=until link="/x/?to={last}" %}',
        rows,
    )
    assert re.findall(r'<a href="([^"]+)"', svg) == [f"/x/?to=2021-06-0{day}" for day in (1, 2, 3)]
    # The last day is after the end of the line of actuals.
    assert columns_of(svg)[1:] == [
        ("2021-06-02: expected 20.00, cumulative 10.00", [" 2021-06-02  20.00  10.00 "]),
        ("2021-06-03: expected 30.00", [" 2021-06-03  30.00  – "]),
    ]
    assert len(re.findall('<circle class="point', svg)) == 3 + 2


def test_a_column_is_one_tab_stop_and_points_are_none():
    series = Curve("late", [Decimal(1), None], ["/late/", "/none/"])
    svg = drawn_curves(["2021-05", "2021-06"], series, options='link="/month/{label}/"')
    assert re.findall(r"<a [^>]+>", svg) == [
        '<a href="/month/2021-05/">',
        '<a href="/late/" tabindex="-1">',
        '<a href="/month/2021-06/">',
    ]
    without = drawn_curves(["0", "1"], curve("2021-01", "1", "2"))
    assert without.count('<g tabindex="0" role="img" aria-label=') == 2


def test_values_are_broken_into_lines_that_fit_above_the_drawing():
    svg = drawn_curves(["2021-05"], *(curve(f"{number}", "1234567.89") for number in range(8)))
    ((_title, lines),) = columns_of(svg)
    # The month and 8 amounts of 12 characters: 600 / 12 = 50 characters fit in a line.
    assert [len(line.split("  ")) for line in lines] == [4, 3, 2]
    assert 'viewBox="0 -66 600 286"' in svg
    assert re.findall(r'<text class="value" x="6" y="([^"]+)"', svg) == ["-48", "-26", "-4"]
    for texts in broken([("", "1" * 30)] * 5):
        assert GLYPH * len(" ".join(text for _style, text in texts)) <= WIDTH


@pytest.mark.parametrize(
    ("greatest", "options", "texts"),
    [
        ("2000", "", ["0", "500", "1k", "1.5k", "2k"]),
        ("77.55", "percent=True", ["0\u202f%", "20\u202f%", "40\u202f%", "60\u202f%", "80\u202f%"]),
    ],
)
def test_the_axis_has_amounts_or_percentages(greatest, options, texts):
    svg = drawn_curves(["0", "1"], curve("2021-01", "40", greatest), options=options)
    assert re.findall(r'class="amount"[^>]*>([^<]+)<', svg) == texts


def test_wide_labels_of_the_axis_move_the_lines_to_the_right():
    svg = drawn_curves(["0", "1"], curve("2021-01", "100", "0"), options="percent=True")
    assert lines_of(svg) == ["66.0,10.0 586.0,184.0"]
    assert '<line class="grid" x1="66" x2="586" y1="184.0" y2="184.0">' in svg
    assert '<text class="amount" x="66"' in svg


@pytest.mark.parametrize(
    ("texts", "step", "apart"),
    [
        (["Jan", "Dec"], 44.5, (1, 1)),  # the months of a year: 3.5 × 8 and 3.5 × 12 wide
        (["черв", "лип"], 44.5, (1, 2)),  # 4.5 × 8 = 36, and 4.5 × 12 = 54
        (["1", "31"], 17.8, (2, 2)),  # the days of a month
        (["2021-01"], 46.4, (2, 2)),
        (["2021-01"], 22, (3, 6)),  # 2.7 and 4.1 labels wide; of every third, a phone shows every second
        (["0000000"], 2.5, (24, 48)),
        ([], 500, (1, 1)),
    ],
)
def test_labels_stand_as_far_apart_as_they_are_long(texts, step, apart):
    assert [max(1, each) for each in distances(texts, step)] == [*apart]


def test_a_phone_shows_some_of_the_labels_of_a_wide_screen():
    months = [f"2021-{month:02}" for month in range(1, 13)]
    shown = marks(months, [22.0 * number for number in range(12)], 22)
    assert [(mark["x"], mark["label"], mark["is_extra"]) for mark in shown] == [
        (0, "2021-01", False),
        (66, "2021-04", True),
        (132, "2021-07", False),
        (198, "2021-10", True),
    ]


def test_a_chart_of_curves_has_a_title_and_a_description():
    svg = drawn_curves(["0"], curve("2021-01", "5"), title="Recovered & collected")
    assert '<svg viewBox="0 -22 600 242" role="group" aria-labelledby="ageing-title ageing-desc">' in svg
    assert '<title id="ageing-title">Recovered &amp; collected</title>' in svg
    assert '<desc id="ageing-desc">A line for each key; the table has the figures.</desc>' in svg


def test_curves_without_values_are_an_empty_grid():
    assert lines_of(drawn_curves([])) == []
    assert lines_of(drawn_curves(["0", "1"], curve("2021-01", None, None), curve("2021-02", "0"))) == []


def test_eight_series_differ_in_dashes_and_marks_and_a_ninth_is_like_the_first():
    svg = drawn_curves(["0", "1"], *(curve(str(number), "1", "2") for number in range(9)))
    numbers = [int(number) for number in re.findall(r'class="stroke series-(\d)"', svg)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert len(set(MARKS)) == 8
    dashes = re.findall(r"\.series-(\d) { [^}]*--dashes: ([\d ]+);", STYLES)
    assert [number for number, pattern in dashes] == ["2", "3", "4", "5", "6", "7", "8"]
    assert len({pattern for number, pattern in dashes}) == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("number", range(1, 9))
def test_each_series_stands_out_from_its_card(number, scheme):
    colours = palette(scheme)
    assert contrast(colours[f"series-{number}"], colours["card"]) >= 3


def test_a_sparkline_can_do_without_a_plan():
    rows = [Row("", Decimal(999), Decimal(amount)) for amount in (50, 100, 0)]
    svg = drawn('{% sparkline rows None "actual" "Outstanding" %}', rows)
    assert re.findall(r'points="([^"]*)"', svg) == ["", "4.0,28.0 120.0,4.0 236.0,52.0"]
    assert '<circle class="end" cx="236.0" cy="52.0" r="3">' in svg


def test_a_sparkline_leaves_missing_values_out():
    rows = [Row("", Decimal(0), amount) for amount in (None, Decimal(50), Decimal(100), None)]
    svg = drawn('{% sparkline rows None "actual" "PAR30" count=5 %}', rows)
    assert re.findall(r'points="([^"]*)"', svg) == ["", "62.0,28.0 120.0,4.0"]
    assert '<circle class="end" cx="120.0" cy="4.0" r="3">' in svg


def test_a_chart_has_no_inline_style_or_script():
    rows = [Row("2021-01", Decimal(1), Decimal(1))]
    svg = drawn('{% bars rows "label" "plan" "actual" "title" "x" %}', rows)
    svg += drawn('{% sparkline rows "plan" "actual" "title" %}', rows)
    svg += drawn_curves(["0", "1"], curve("2021-01", "1", "2"), options="percent=True")
    assert "style=" not in svg
    assert "<script" not in svg


def banded(labels: list[str], *ranges: tuple[str, str] | None) -> str:
    band = Band("range <of> errors", [each and (Decimal(each[0]), Decimal(each[1])) for each in ranges])
    tag = '{% load charts %}{% curves labels series "Forecast" "forecast" band=band %}'
    return Template(tag).render(Context({"labels": labels, "series": [], "band": band}))


def test_a_band_is_an_area_for_each_stretch_without_a_gap():
    svg = banded(["1", "2", "3", "4"], ("0", "50"), ("50", "100"), None, ("25", "75"))
    # Its upper edge, then its lower edge back. A single range is a bar 8 wide.
    assert re.findall(r'<polygon class="band" points="([^"]*)">', svg) == [
        "52.0,97.0 230.0,10.0 230.0,97.0 52.0,184.0",
        "582.0,53.5 590.0,53.5 590.0,140.5 582.0,140.5",
    ]
    assert '<span class="key band-key">range &lt;of&gt; errors</span>' in svg


def test_the_scale_covers_the_band():
    assert re.findall(r'class="amount"[^>]*>([^<]+)<', banded(["1", "2"], ("0", "9"), None)) == [
        "0",
        "2.5",
        "5",
        "7.5",
        "10",
    ]


def test_without_a_band_there_is_none_in_the_key():
    svg = drawn_curves(["0", "1"], curve("2021-01", "5", "6"))
    assert "band" not in svg
    assert "<polygon" not in svg
    assert banded(["1", "2"], None, None).count("<polygon") == 0


def drawn_bullet(*sums: str | None) -> str:
    amounts = dict(
        zip(("actual", "plan", "expected"), (each and Decimal(each) for each in sums), strict=True)
    )
    return Template("{% load charts %}{% bullet actual plan expected %}").render(Context(amounts))


def test_a_bullet_shows_actual_plan_and_what_is_expected_by_now_on_one_scale():
    svg = drawn_bullet("50", "200", "100")
    assert '<rect class="actual" x="0" y="5.5" width="60.0"' in svg
    assert '<line class="plan-tick" x1="240.0" x2="240.0"' in svg
    assert '<line class="expected-tick" x1="120.0" x2="120.0"' in svg
    assert "<title>50.00 of a plan of 200.00; by now 100.00 is expected</title>" in svg


def test_a_bullet_beyond_the_plan_fills_the_scale():
    svg = drawn_bullet("400", "200", None)
    assert '<rect class="actual" x="0" y="5.5" width="240.0"' in svg
    assert '<line class="plan-tick" x1="120.0" x2="120.0"' in svg
    assert "expected-tick" not in svg
    assert "<title>400.00 of a plan of 200.00</title>" in svg


def test_a_bullet_of_nothing_is_empty():
    svg = drawn_bullet("0", "0", "0")
    assert '<rect class="actual" x="0" y="5.5" width="0.0"' in svg
    assert '<line class="plan-tick" x1="0.0" x2="0.0"' in svg


def test_amounts_beside_a_plan_share_a_scale():
    def places(tag: str) -> list[str]:
        svg = Template("{% load charts %}" + tag).render(Context({"a": Decimal(60), "b": Decimal(120)}))
        return re.findall(r'width="([\d.]+)" height="7"|class="range" d="([^"]+)"|x1="([\d.]+)"', svg)

    # 240 wide stands for 120.
    assert places("{% beside_plan a b b %}") == [("120.0", "", ""), ("", "", "240.0")]
    assert places("{% beside_plan b a b a b %}") == [
        ("240.0", "", ""),
        ("", "M120.0,9H240.0M120.0,6v6M240.0,6v6", ""),
        ("", "", "120.0"),
    ]
    assert places("{% beside_plan a None b %}") == [("120.0", "", "")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "year-performance/?year=2021",
        "year-on-year/?year=2021",
        "month/?month=2021-06",
        "plans-performance/?check_date=2021-07-15",
        "portfolio-trend/?check_date=2021-07-31",
        "vintages/?check_date=2021-07-31",
        "collection-efficiency/?check_date=2021-09-30",
        "first-payment-default/?check_date=2021-09-30",
        "new-and-returning/?check_date=2021-07-15",
        "forecast/?check_date=2021-07-31",
    ],
)
def test_what_a_chart_shows_leads_where_its_table_leads(analyst, address):
    for month in ("2021-06", "2021-07"):
        builders.plan(month, 3, 1000)
        builders.plan(month, 4, 1000)
        builders.payment(builders.credit(f"{month}-01"), f"{month}-10", 250)
    html = analyst.get(f"/reports/{address}").content.decode()
    charts, tables = (
        set(re.findall(r'<a href="([^"#]+)"', "".join(re.findall(f"<{tag}.*?</{tag}>", html, re.S))))
        for tag in ("svg", "table")
    )
    assert charts
    # The table of plans has the date's own month above it, without a link to the month's page.
    above = {"/reports/month/?month=2021-07"} if address.startswith("plans") else set()
    assert charts - tables == above
