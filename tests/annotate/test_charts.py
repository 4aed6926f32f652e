"""Charts are data in, SVG text out: well-formed, escaped, and readable without a page's style."""

import math
from xml.etree import ElementTree as ET

import pytest

from annotate.charts import interval_bars, line_chart
from annotate.charts_intervals import Axis, Bar, Moment, forest, line_with_band
from annotate.charts_matrix import heat_map
from annotate.charts_svg import WIDTH, short, ticks

HOSTILE = "</svg><script>alert(1)</script>&\"'"
NAMES = [
    "ann",
    "\u0645\u0631\u064a\u0645",
    "\u202egnp.exe",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20,
    HOSTILE,
]


def parsed(figure: str) -> ET.Element:
    return ET.fromstring(figure.replace("&#x27;", "'"))


def texts(figure: str) -> list[str]:
    return ["".join(t.itertext()) for t in parsed(figure).iter("text")]


def square(n: int) -> list[list[float | None]]:
    return [[None if i == j else 0.5 + 0.4 * (i + j) / (2 * n) for j in range(n)] for i in range(n)]


@pytest.mark.parametrize("highest", [5, 1_000_000, 9_000_000, 0.000123])
def test_the_numbers_of_the_axis_have_room(highest):
    drawn = parsed(line_chart({"votes": [(0, 0), (1, highest)]}, title="t", from_zero=True))
    ends = [t for t in drawn.iter("text") if t.get("text-anchor") == "end" and t.text]
    axis = [t for t in ends if float(t.get("x")) < WIDTH / 2]
    assert axis
    for label in axis:
        assert float(label.get("x")) - 6.7 * len(label.text) >= 0, label.text


@pytest.mark.parametrize(
    "figure",
    [
        heat_map(NAMES, square(5), title=HOSTILE),
        forest(
            [Bar(label=n, value=0.5, low=0.4, high=0.6) for n in NAMES],
            title=HOSTILE,
            reference=0.5,
        ),
        forest(
            [Bar(label=HOSTILE, value=0.5), Bar(label="x", value=None, note=HOSTILE)],
            title="t",
            reference=None,
        ),
        line_with_band(
            [Moment(x=1, label=HOSTILE, value=0.5, low=0.4, high=0.6)],
            title=HOSTILE,
            x_label=HOSTILE,
        ),
        line_chart({HOSTILE: [(0, 1), (1, 2)]}, title=HOSTILE, x_label=HOSTILE),
        interval_bars([Bar(label=HOSTILE, value=0.5)], title=HOSTILE),
    ],
    ids=["heat map", "forest", "forest notes", "line with band", "lines", "bars"],
)
def test_no_text_leaves_its_place_whatever_it_is(figure: str) -> None:
    """Well-formed, no element but those of a chart, a name and a role for a screen reader."""
    root = parsed(figure)
    tags = {e.tag for e in root.iter()}
    assert tags <= {
        "figure",
        "figcaption",
        "span",
        "i",
        "b",
        "svg",
        "title",
        "desc",
        "g",
        "rect",
        "line",
        "text",
        "circle",
        "path",
        "polyline",
        "polygon",
    }
    svg = root.find("svg")
    assert svg is not None
    assert (svg.get("role"), svg.find("title") is not None) == ("img", True)
    assert "\u202e" not in figure


@pytest.mark.parametrize("n", [2, 12, 40])
def test_a_heat_map_has_room_for_each_cell_and_shows_numbers_while_they_fit(n: int) -> None:
    figure = heat_map([f"labeler {i}" for i in range(n)], square(n), title="Agreement")
    svg = parsed(figure).find("svg")
    assert svg is not None
    width, height = (float(v) for v in svg.attrib["viewBox"].split()[2:])
    cells = [r for r in svg.iter("rect") if r.get("rx") == "2" and float(r.attrib["x"]) > 100]
    assert len(cells) == n * n
    for cell in cells:
        assert float(cell.attrib["x"]) + float(cell.attrib["width"]) <= width
        assert float(cell.attrib["y"]) + float(cell.attrib["height"]) <= height
    shown = [t for t in svg.iter("text") if t.get("class") == "cell"]
    assert len(shown) == (0 if n == 40 else n * n - n)


def test_a_heat_map_is_darker_where_the_value_is_higher_and_empty_without_one() -> None:
    figure = heat_map(["a", "b"], [[None, 0.5], [0.9, math.nan]], title="t")
    cells = [
        r for r in parsed(figure).iter("rect") if r.get("rx") == "2" and float(r.attrib["x"]) > 100
    ]
    shades = [float(c.get("fill-opacity", "0")) for c in cells]
    assert shades[0] == shades[3] == 0
    assert 0 < shades[1] < shades[2]
    assert heat_map(["a"], [[None]], title="t") == ""


def test_a_forest_tells_who_misses_the_reference_and_who_has_too_few_votes() -> None:
    bars = [
        Bar(label="even", value=0.5, low=0.4, high=0.6),
        Bar(label="left", value=0.8, low=0.7, high=0.9),
        Bar(label="new", value=None),
    ]
    figure = forest(bars, title="Left preferred", reference=0.5)
    assert [c.get("fill") for c in parsed(figure).iter("circle")] == [
        "var(--chart-1,#3451c6)",
        "var(--chart-2,#c2571a)",
    ]
    assert "not enough data" in texts(figure)
    assert "80%" in texts(figure)
    assert forest(bars[2:], title="t", reference=0.5) == ""


def test_log_odds_are_shown_as_odds_around_even() -> None:
    """ln 3 is three to one, and an interval past the end of the axis stops there."""
    bars = [Bar(label="a", value=math.log(3), low=-9.0, high=1.5)]
    figure = forest(bars, title="t", reference=0.0, axis=Axis.LOG_ODDS)
    shown = texts(figure)
    assert {"3:1", "1", "256:1", "1:256"} <= set(shown)
    line = next(line for line in parsed(figure).iter("line") if line.get("stroke-width") == "3")
    assert float(line.attrib["x1"]) == 180.0


def test_the_ends_of_a_line_may_have_names_of_their_own() -> None:
    series = {"votes": [(0.0, 0.0), (8.02, 100.0)]}
    assert "day 8.02" in texts(line_chart(series, title="t", x_label="day"))
    named = texts(line_chart(series, title="t", ends=("first vote", "8 days later")))
    assert {"first vote", "8 days later"} <= set(named)
    assert not any("8.02" in text for text in named)


def test_a_line_with_its_band_breaks_where_there_is_too_little_data() -> None:
    moments = [
        Moment(x=float(i), label=f"day {i}", value=None if i == 2 else 0.6, low=0.5, high=0.7)
        for i in range(5)
    ]
    figure = line_with_band(moments, title="t", x_label="day of voting", reference=0.65)
    assert len(list(parsed(figure).iter("polygon"))) == 2
    assert {"day 0", "day 4", "day of voting"} <= set(texts(figure))
    assert line_with_band(moments[2:3], title="t", x_label="day") == ""


def test_a_cut_label_never_splits_a_character() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert short("ann") == "ann"
    assert short("imported:votes:expert_24") == "importe\u2026otes:expert_24"
    assert short(family * 20, wide=7) == family + "\u2026" + family * 2
    assert short("e\u0301" * 30, wide=4) == "e\u0301\u2026" + "e\u0301" * 2
    assert short("\U0001f1e9\U0001f1ea" * 9, wide=7) == (
        "\U0001f1e9\U0001f1ea" + "\u2026" + "\U0001f1e9\U0001f1ea" * 2
    )


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.61, 0.64), (-3.0, 40.0), (0.5, 0.5001)])
def test_ticks_are_round_and_enclose_the_range(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 7
