"""Small charts as SVG text: they follow light and dark mode and need nothing from outside."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 560, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 30
_COLOURS = ("var(--chart-1)", "var(--chart-2)", "var(--chart-3)")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A labeled value with its interval; None where there is too little data."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


def line_chart(
    series: Mapping[str, Points], *, title: str, x_label: str, from_zero: bool = False
) -> str:
    """Lines over a common x axis; "" while there is nothing to draw."""
    drawn = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in series.items()
    }
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = (min(0.0, *ys) if from_zero else min(ys)), max(ys)
    if y_high == y_low:
        y_low, y_high = y_low - 0.5, y_high + 0.5
    ticks = _ticks(y_low, y_high)
    y_low, y_high = min(y_low, ticks[0]), max(y_high, ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_low) / (y_high - y_low)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for tick in ticks:
        _, y_px = place(x_low, tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y_px:.1f}" y2="{y_px:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y_px + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
        )
    base = _HEIGHT - _BOTTOM + 20
    if x_high > x_low:
        parts.append(f'<text x="{_LEFT}" y="{base}">{_number(x_low)}</text>')
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{base}" text-anchor="end">'
        f"{html.escape(x_label)} {_number(x_high)}</text>"
    )
    legend = []
    for i, (name, points) in enumerate(drawn.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)
        end_x, end_y = place(*points[-1])
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round"/>'
            f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="3.5" fill="{colour}"/>'
        )
        legend.append(
            f'<span><i style="background:{colour}"></i>{html.escape(name)} '
            f"<b>{_number(points[-1][1])}</b></span>"
        )
    return _figure(title, "".join(legend), _svg(title, _HEIGHT, parts))


def interval_bars(bars: Sequence[Bar], *, title: str, reference: float | None = None) -> str:
    """Shares from 0 to 1 as bars with whiskers, over a dashed reference line."""
    if not bars:
        return ""
    row, left = 34, 150
    height = row * len(bars) + 26

    def across(share: float) -> float:
        return left + max(0.0, min(1.0, share)) * (_WIDTH - left - 60)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = across(tick)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 22}"/>'
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick:g}</text>'
        )
    for i, bar in enumerate(bars):
        y = 6 + i * row
        parts.append(
            f'<text class="name" x="{left - 10}" y="{y + 15}" text-anchor="end">'
            f"{html.escape(_short(bar.label))}</text>"
        )
        if bar.value is None:
            parts.append(f'<text x="{left + 6}" y="{y + 15}">{html.escape(bar.note)}</text>')
            continue
        end = across(bar.value)
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{max(1.0, end - left):.1f}" height="17" rx="4" '
            f'fill="{_COLOURS[0]}"/>'
        )
        if bar.low is not None and bar.high is not None:
            low, high, middle = across(bar.low), across(bar.high), y + 10.5
            parts.append(
                f'<path class="whisker" d="M{low:.1f} {middle} H{high:.1f} '
                f'M{low:.1f} {middle - 5} v10 M{high:.1f} {middle - 5} v10"/>'
            )
            end = max(end, high)
        parts.append(f'<text class="value" x="{end + 8:.1f}" y="{y + 15}">{bar.value:.2f}</text>')
    if reference is not None:
        x = across(reference)
        parts.append(
            f'<line class="reference" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 22}"/>'
        )
    return _figure(title, "", _svg(title, height, parts))


def _figure(title: str, legend: str, svg: str) -> str:
    return (
        f'<figure class="chart"><figcaption>{html.escape(title)}'
        f'<span class="legend">{legend}</span></figcaption>{svg}</figure>'
    )


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers that enclose the range."""
    rough = (high - low) / 3
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    first = math.floor(low / step)
    return [n * step for n in range(first, math.ceil(high / step) + 1)]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:.3g}"


def interval_points(bars: Sequence[Bar], *, title: str, reference: float) -> str:
    """Shares from 0 to 1 as points with their intervals; those that miss the reference stand out."""
    drawn = [bar for bar in bars if bar.value is not None]
    if not drawn:
        return ""
    row, left = 28, 150
    height = row * len(drawn) + 26
    parts = []

    def across(share: float) -> float:
        return left + max(0.0, min(1.0, share)) * (_WIDTH - left - 24)

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = across(tick)
        kind = "reference" if tick == reference else "grid"
        parts.append(
            f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 22}"/>'
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick:.0%}</text>'
        )
    for i, bar in enumerate(drawn):
        low, high = bar.low or 0.0, 1.0 if bar.high is None else bar.high
        misses = not low <= reference <= high
        colour = _COLOURS[1] if misses else _COLOURS[0]
        y = 4 + i * row + row / 2
        parts.append(
            f'<text class="name" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">'
            f"{html.escape(_short(bar.label))}</text>"
            f'<line x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'
            f'<circle cx="{across(bar.value or 0.0):.1f}" cy="{y:.1f}" r="5.5" fill="{colour}"/>'
        )
    return _figure(title, "", _svg(title, height, parts))


def sparkline(values: Sequence[float], *, title: str) -> str:
    """A row of small bars, the newest at the right."""
    if not any(values):
        return ""
    step, high = 6, 22
    top = max(values)
    bars = "".join(
        f'<rect x="{i * step}" y="{high - size:.1f}" width="{step - 2}" height="{size:.1f}" rx="1"/>'
        for i, value in enumerate(values)
        for size in [max(1.0, high * value / top)]
    )
    return (
        f'<svg class="spark" viewBox="0 0 {len(values) * step} {high}" role="img" '
        f'aria-label="{html.escape(title)}">{bars}</svg>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 22 else label[:21] + "\u2026"
