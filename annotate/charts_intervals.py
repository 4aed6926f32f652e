"""Charts of estimates with their intervals: one per labeler, or one after the other in time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import assert_never

from annotate.charts_svg import (
    COLOURS,
    WIDTH,
    Anchor,
    figure,
    level,
    number,
    plain,
    short,
    svg,
    ticks,
    upright,
    words,
)

_ROW, _NAMES, _END = 26, 180, WIDTH - 64
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 52, 16, 14, 30, 200
_TOLD = 40  # rows that the description reads out


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A labeled value with its interval; None where there is too little data."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A value with its interval at a place of the x axis; None where there is too little data."""

    x: float
    label: str  # of x, as people read it
    value: float | None
    low: float | None = None
    high: float | None = None


class Axis(StrEnum):
    """What the numbers of a forest are."""

    SHARE = "share"  # 0 to 1, shown in percent
    NUMBER = "number"
    LOG_ODDS = "log_odds"  # natural logarithms, shown as odds


def forest(
    bars: Sequence[Bar], *, title: str, reference: float | None, axis: Axis = Axis.SHARE
) -> str:
    """A point and an interval per row; those that miss the reference stand out.

    "" while no row has a value. An interval stops at the end of the axis.
    """
    known = [value for bar in bars for value in (bar.value, bar.low, bar.high) if _is(value)]
    if not any(_is(bar.value) for bar in bars):
        return ""
    marks = _marks([v for v in known if v is not None], axis, reference)
    bottom = _ROW * len(bars) + 8

    def across(value: float) -> float:
        share = (value - marks[0]) / (marks[-1] - marks[0])
        return _NAMES + max(0.0, min(1.0, share)) * (_END - _NAMES)

    parts = []
    for mark in marks:
        parts.append(upright(across(mark), 4, bottom))
        shown = _shown(mark, axis)
        parts.append(words(across(mark), bottom + 17, shown, anchor=Anchor.MIDDLE))
    if reference is not None:
        parts.append(upright(across(reference), 4, bottom, reference=True))
    for i, bar in enumerate(bars):
        y = 6 + (i + 0.5) * _ROW
        parts.append(words(_NAMES - 10, y + 4, short(bar.label), anchor=Anchor.END, kind="name"))
        if bar.value is None or not _is(bar.value):
            parts.append(words(_NAMES + 6, y + 4, bar.note or "not enough data"))
            continue
        low = bar.low if bar.low is not None else bar.value
        high = bar.high if bar.high is not None else bar.value
        hit = reference is None or bar.low is None or low <= reference <= high
        colour = COLOURS[0] if hit else COLOURS[1]
        parts.append(
            f"<g><title>{plain(_said(bar, axis))}</title>"
            f'<line x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'
            f'<circle cx="{across(bar.value):.1f}" cy="{y:.1f}" r="5" fill="{colour}"/></g>'
        )
        parts.append(words(_END + 12, y + 4, _shown(bar.value, axis), kind="value"))
    held = "" if reference is None else f"Held against {_shown(reference, axis)}. "
    told = "; ".join(_said(bar, axis) for bar in bars[:_TOLD])
    return figure(title, "", svg(title, bottom + 24, parts, says=f"{held}{told}"))


def line_with_band(
    moments: Sequence[Moment], *, title: str, x_label: str, reference: float | None = None
) -> str:
    """A share over time with its interval as a band; it breaks where there is too little data.

    "" while no moment has a value. reference: a dashed line, such as the whole project's figure.
    """
    known = [m for m in moments if _is(m.value)]
    if not known:
        return ""
    values = [v for m in known for v in (m.value, m.low, m.high) if v is not None]
    if reference is not None:
        values.append(reference)
    marks = _spread(min(values), max(values), about=4)
    xs = [m.x for m in moments]

    def place(x: float, value: float) -> tuple[float, float]:
        share = (x - min(xs)) / (max(xs) - min(xs)) if max(xs) > min(xs) else 0.5
        up = (value - marks[0]) / (marks[-1] - marks[0])
        return (
            _LEFT + share * (WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for mark in marks:
        _, y = place(xs[0], mark)
        parts.append(level(y, _LEFT, WIDTH - _RIGHT))
        parts.append(words(_LEFT - 8, y + 4, _shown(mark, Axis.SHARE), anchor=Anchor.END))
    if reference is not None:
        parts.append(level(place(xs[0], reference)[1], _LEFT, WIDTH - _RIGHT, reference=True))
    for there, run in groupby(moments, key=lambda m: _is(m.value)):
        if there:
            parts += _run(list(run), place)
    base = _HEIGHT - _BOTTOM + 20
    first = min(moments, key=lambda m: m.x)
    last = max(moments, key=lambda m: m.x)
    if last.x > first.x:
        parts.append(words(_LEFT, base, first.label))
        parts.append(words((_LEFT + WIDTH - _RIGHT) / 2, base, x_label, anchor=Anchor.MIDDLE))
    parts.append(words(WIDTH - _RIGHT, base, last.label, anchor=Anchor.END))
    told = "; ".join(_said(_bar(m), Axis.SHARE) for m in known[-_TOLD:])
    return figure(title, "", svg(title, _HEIGHT, parts, says=told))


def _run(run: Sequence[Moment], place: Callable[[float, float], tuple[float, float]]) -> list[str]:
    """Moments without a gap: band, line and points."""
    colour = COLOURS[0]
    line = [(m, place(m.x, m.value)) for m in run if m.value is not None]
    edges = [m for m in run if m.low is not None and m.high is not None]
    upper = [place(m.x, m.high) for m in edges if m.high is not None]
    lower = [place(m.x, m.low) for m in reversed(edges) if m.low is not None]
    parts = []
    if len(edges) > 1:
        around = " ".join(f"{x:.1f},{y:.1f}" for x, y in upper + lower)
        parts.append(f'<polygon points="{around}" fill="{colour}" fill-opacity=".18"/>')
    elif edges:
        (x, high), (_, low) = upper[0], lower[0]
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" '
            f'stroke-width="3" stroke-opacity=".35"/>'
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for _, (x, y) in line)
    parts.append(
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-linejoin="round"/>'
    )
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
        f"<title>{plain(_said(_bar(m), Axis.SHARE))}</title></circle>"
        for m, (x, y) in line
    ]
    return parts


def _bar(moment: Moment) -> Bar:
    return Bar(label=moment.label, value=moment.value, low=moment.low, high=moment.high)


def _is(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _marks(values: Sequence[float], axis: Axis, reference: float | None) -> list[float]:
    """Where the axis is marked; its ends are the first and the last."""
    match axis:
        case Axis.SHARE:
            return [0.0, 0.25, 0.5, 0.75, 1.0]
        case Axis.NUMBER:
            held = [*values] if reference is None else [*values, reference]
            return _spread(min(held), max(held), about=4)
        case Axis.LOG_ODDS:
            furthest = max(abs(value) for value in values) / math.log(2)
            ends = max(1, min(8, math.ceil(furthest)))  # at most 256 to 1
            step = 1 if ends <= 3 else 2 if ends <= 6 else 4
            ends = math.ceil(ends / step) * step
            return [n * math.log(2) for n in range(-ends, ends + 1, step)]
        case _:
            assert_never(axis)


def _spread(low: float, high: float, *, about: int) -> list[float]:
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    return ticks(low, high, about=about)


def _shown(value: float, axis: Axis) -> str:
    match axis:
        case Axis.SHARE:
            return f"{100 * value:.3g}%"
        case Axis.NUMBER:
            return number(value)
        case Axis.LOG_ODDS:
            odds = math.exp(abs(value))
            said = f"{odds:.0f}" if abs(odds - round(odds)) < 0.005 else f"{odds:.2f}"
            return "1" if said == "1" else f"{said}:1" if value > 0 else f"1:{said}"
        case _:
            assert_never(axis)


def _said(bar: Bar, axis: Axis) -> str:
    """A row in words, the name kept apart from the words around it whatever way it reads."""
    name = f"\u2068{bar.label}\u2069"
    if bar.value is None or not _is(bar.value):
        return f"{name}: {bar.note or 'not enough data'}"
    if bar.low is None or bar.high is None:
        return f"{name}: {_shown(bar.value, axis)}"
    ends = f"{_shown(bar.low, axis)} to {_shown(bar.high, axis)}"
    return f"{name}: {_shown(bar.value, axis)} ({ends})"
