"""A matrix as a picture: labeler by labeler."""

import math
from collections.abc import Sequence

from annotate.charts_svg import (
    CARD,
    COLOURS,
    INK,
    LINE,
    SOFT,
    WIDTH,
    Anchor,
    figure,
    plain,
    short,
    svg,
    words,
)

_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_SHADES = (0.07, 0.2, 0.33, 0.46, 0.84, 1.0)
_DARK = 0.6  # from this shade on, text is the card's colour; nothing lies near it, so all is read
_NAMES, _HEAD, _FOOT = 176, 118, 46
_TEXT, _ZERO = 24, 34  # a smaller cell has no room for its number, or for its leading zero
_TOLD = 60  # cells that the description reads out


def heat_map(labels: Sequence[str], values: Sequence[Sequence[float | None]], *, title: str) -> str:
    """A square of cells, darker where the value is higher, empty where it is None.

    values[i][j] belongs to labels[i] and labels[j]. "" while there is no value at all. Wide from
    some 20 labels on: give it the page's whole width.
    """
    known = [v for row in values for v in row if v is not None and math.isfinite(v)]
    if not known:
        return ""
    edges = _edges(min(known), max(known))
    size = max(15.0, min(46.0, (WIDTH - _NAMES - 12) / len(labels)))
    across = _NAMES + size * len(labels) + 12
    bottom = _HEAD + size * len(labels)
    parts = []
    for i, label in enumerate(labels):
        middle = (i + 0.5) * size
        name = short(label)
        parts.append(words(_NAMES - 8, _HEAD + middle + 4, name, anchor=Anchor.END, kind="name"))
        head = short(label, wide=15)
        parts.append(words(_NAMES + middle + 4, _HEAD - 8, head, kind="name", turned=-90))
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            said = f"\u2068{labels[i]}\u2069, \u2068{labels[j]}\u2069"
            x, y = _NAMES + j * size, _HEAD + i * size
            parts.append(_cell(x, y, size, value, edges, said))
    parts += _legend(bottom + 18, edges)
    told = f"{len(labels)} by {len(labels)}, from {_text(min(known))} to {_text(max(known))}."
    return figure(title, "", svg(title, bottom + _FOOT, parts, says=told, width=max(WIDTH, across)))


def _cell(
    x: float, y: float, size: float, value: float | None, edges: Sequence[float], said: str
) -> str:
    at = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2:.1f}" height="{size - 2:.1f}" rx="2"'
    if value is None or not math.isfinite(value):
        return f'<rect {at} fill="none" stroke="{LINE}" stroke-dasharray="2 3"/>'
    shade = _shade(value, edges)
    number = ""
    if size >= _TEXT:
        ink = CARD if shade > _DARK else INK
        shown = _text(value) if size >= _ZERO else _text(value).replace("0.", ".", 1)
        number = (
            f'<text class="cell" x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}" '
            f'text-anchor="middle" style="fill:{ink}">{shown}</text>'
        )
    return (
        f"<g><title>{plain(said)}: {_text(value)}</title>"
        f'<rect {at} fill="{COLOURS[0]}" fill-opacity="{shade:g}"/>{number}</g>'
    )


def _legend(y: float, edges: Sequence[float]) -> list[str]:
    """The shades from low to high with the numbers between them, and the empty cell."""
    wide = 44
    parts = []
    for i in range(len(edges) - 1):
        shade = _shade((edges[i] + edges[i + 1]) / 2, edges)
        parts.append(
            f'<rect x="{_NAMES + i * wide}" y="{y:.1f}" width="{wide}" height="9" '
            f'fill="{COLOURS[0]}" fill-opacity="{shade:g}"/>'
        )
    parts += [
        words(_NAMES + i * wide, y + 23, _text(edge), anchor=Anchor.MIDDLE)
        for i, edge in enumerate(edges)
    ]
    parts.append(
        f'<rect x="8" y="{y:.1f}" width="9" height="9" rx="2" fill="none" stroke="{SOFT}" '
        f'stroke-dasharray="2 3"/>'
    )
    parts.append(words(23, y + 9, "not enough data"))
    return parts


def _edges(low: float, high: float) -> list[float]:
    """Round numbers around the values, at most one more than there are shades."""
    for step in _STEPS:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        if last - first <= len(_SHADES):
            return [round(n * step, 6) for n in range(first, last + 1)]
    return [low, high]


def _shade(value: float, edges: Sequence[float]) -> float:
    bins = len(edges) - 1
    at = sum(value >= edge for edge in edges[1:-1])
    return _SHADES[round(at * (len(_SHADES) - 1) / (bins - 1))] if bins > 1 else _SHADES[2]


def _text(value: float) -> str:
    return f"{value:.2f}"
