"""Small charts as SVG text: they follow light and dark mode and need nothing from outside."""

import math
from collections.abc import Mapping, Sequence

from annotate.charts_intervals import Bar
from annotate.charts_svg import (
    COLOURS,
    INK,
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

_HEIGHT = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 30
_LETTER = 7  # as wide as a digit is at most

Points = Sequence[tuple[float, float]]


def line_chart(
    series: Mapping[str, Points],
    *,
    title: str,
    x_label: str = "",
    from_zero: bool = False,
    ends: tuple[str, str] | None = None,
) -> str:
    """Lines over a common x axis; "" while there is nothing to draw.

    ends: what the first and the last x are called, instead of their numbers with x_label.
    """
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
    marks = ticks(y_low, y_high)
    y_low, y_high = min(y_low, marks[0]), max(y_high, marks[-1])
    left = max(_LEFT, 10 + _LETTER * max(len(number(tick)) for tick in marks))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_low) / (y_high - y_low)
        return (
            left + across * (WIDTH - left - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for tick in marks:
        _, y_px = place(x_low, tick)
        parts.append(level(y_px, left, WIDTH - _RIGHT))
        parts.append(words(left - 8, y_px + 4, number(tick), anchor=Anchor.END))
    base = _HEIGHT - _BOTTOM + 20
    begin, end = ends or (number(x_low), f"{x_label} {number(x_high)}")
    if x_high > x_low:
        parts.append(words(left, base, begin))
    parts.append(words(WIDTH - _RIGHT, base, end, anchor=Anchor.END))
    legend = []
    for i, (name, points) in enumerate(drawn.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)
        end_x, end_y = place(*points[-1])
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round"/>'
            f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="3.5" fill="{colour}"/>'
        )
        legend.append(
            f'<span><i style="background:{colour}"></i>{plain(name)} '
            f"<b>{number(points[-1][1])}</b></span>"
        )
    return figure(title, "".join(legend), svg(title, _HEIGHT, parts))


def interval_bars(bars: Sequence[Bar], *, title: str, reference: float | None = None) -> str:
    """Shares from 0 to 1 as bars with whiskers, over a dashed reference line."""
    if not bars:
        return ""
    row, left = 34, 150
    height = row * len(bars) + 26

    def across(share: float) -> float:
        return left + max(0.0, min(1.0, share)) * (WIDTH - left - 60)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = across(tick)
        parts.append(upright(x, 4, height - 22))
        parts.append(words(x, height - 6, f"{tick:g}", anchor=Anchor.MIDDLE))
    for i, bar in enumerate(bars):
        y = 6 + i * row
        parts.append(words(left - 10, y + 15, short(bar.label), anchor=Anchor.END, kind="name"))
        if bar.value is None:
            parts.append(words(left + 6, y + 15, bar.note))
            continue
        end = across(bar.value)
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{max(1.0, end - left):.1f}" height="17" rx="4" '
            f'fill="{COLOURS[0]}"/>'
        )
        if bar.low is not None and bar.high is not None:
            low, high, middle = across(bar.low), across(bar.high), y + 10.5
            parts.append(
                f'<path class="whisker" stroke="{INK}" stroke-width="1.5" fill="none" d="M{low:.1f} {middle} H{high:.1f} '
                f'M{low:.1f} {middle - 5} v10 M{high:.1f} {middle - 5} v10"/>'
            )
            end = max(end, high)
        parts.append(words(end + 8, y + 15, f"{bar.value:.2f}", kind="value"))
    if reference is not None:
        parts.append(upright(across(reference), 4, height - 22, reference=True))
    return figure(title, "", svg(title, height, parts))


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
        f'aria-label="{plain(title)}">{bars}</svg>'
    )
