"""What every chart is drawn with: escaped text, round ticks, and the frame around the picture.

Colours are the page's variables, each with its light value to fall back on, so that a chart reads
the same on the administration pages, in a report of its own and in a page without any style.
"""

import html
import math
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

from annotate.render import visible

WIDTH = 560
INK, SOFT, LINE = "var(--ink,#1c1f26)", "var(--soft,#565c69)", "var(--line,#dfdfd8)"
CARD = "var(--card,#fff)"
COLOURS = ("var(--chart-1,#3451c6)", "var(--chart-2,#c2571a)", "var(--chart-3,#24703f)")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Ubuntu, Arial, sans-serif"
_JOINS = "\u200d"
_SKIN = range(0x1F3FB, 0x1F400)
_FLAG = range(0x1F1E6, 0x1F200)


class Anchor(StrEnum):
    """Which end of a text stands at its place."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


def plain(value: str) -> str:
    """Somebody's text, escaped, with what would reorder or hide it made visible."""
    return html.escape(visible(value).replace("\n", " "))


def words(
    x: float,
    y: float,
    value: str,
    *,
    anchor: Anchor = Anchor.START,
    kind: str = "",
    turned: float = 0.0,
) -> str:
    """A text at a place; kind "name" or "value" stands out, turned is in degrees."""
    colour = INK if kind in ("name", "value") else SOFT
    turn = f' transform="rotate({turned:g} {x:.1f} {y:.1f})"' if turned else ""
    role = f' class="{kind}"' if kind else ""
    return (
        f'<text{role} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{turn}>'
        f"{plain(value)}</text>"
    )


def upright(x: float, top: float, bottom: float, *, reference: bool = False) -> str:
    """A vertical line of the grid, or the dashed one that values are held against."""
    return _straight(f'x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"', reference)


def level(y: float, left: float, right: float, *, reference: bool = False) -> str:
    """A horizontal line of the grid, or the dashed one that values are held against."""
    return _straight(f'x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"', reference)


def _straight(ends: str, reference: bool) -> str:  # noqa: FBT001 one of two kinds of line
    if reference:
        return (
            f'<line class="reference" {ends} stroke="{INK}" stroke-dasharray="4 4" opacity=".55"/>'
        )
    return f'<line class="grid" {ends} stroke="{LINE}"/>'


def figure(title: str, legend: str, picture: str) -> str:
    """The chart with its caption; legend and picture are markup."""
    return (
        f'<figure class="chart" tabindex="0"><figcaption>{plain(title)}'
        f'<span class="legend">{legend}</span></figcaption>{picture}</figure>'
    )


def svg(
    title: str, height: float, parts: Sequence[str], *, says: str = "", width: float = WIDTH
) -> str:
    """The picture itself; says: what a person who cannot see it is told beyond its title."""
    told = f"<desc>{plain(says)}</desc>" if says else ""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{plain(title)}" '
        f'font-family="{_FONT}" font-size="12">'
        f"<title>{plain(title)}</title>{told}{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float, *, about: int = 3) -> list[float]:
    """A few round numbers that enclose the range; high is above low."""
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def number(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:.3g}"


def short(label: str, *, wide: int = 22) -> str:
    """The label cut to `wide` columns in the middle: names often differ at their ends alone.

    Never inside a character that is made of several.
    """
    marks = _characters(visible(label).replace("\n", " "))
    if sum(map(_columns, marks)) <= wide:
        return "".join(marks)
    head = _fitting(marks, (wide - 1) // 3)
    tail = _fitting(marks[::-1], wide - 1 - sum(map(_columns, head)))
    return f"{''.join(head)}\u2026{''.join(reversed(tail))}"


def _fitting(marks: Sequence[str], wide: int) -> list[str]:
    """As many from the beginning as have room."""
    kept: list[str] = []
    for mark in marks:
        wide -= _columns(mark)
        if wide < 0:
            break
        kept.append(mark)
    return kept


def _characters(label: str) -> list[str]:
    """What people count as one character each: accents, joined emoji and flags stay whole."""
    marks: list[str] = []
    for char in label:
        before = marks[-1] if marks else ""
        flag = ord(char) in _FLAG and len(before) == 1 and ord(before) in _FLAG
        joined = before.endswith(_JOINS) or char == _JOINS or ord(char) in _SKIN
        if before and (flag or joined or unicodedata.category(char) in ("Mn", "Me")):
            marks[-1] += char
        else:
            marks.append(char)
    return marks


def _columns(mark: str) -> int:
    wide = unicodedata.east_asian_width(mark[0]) in "WF" or ord(mark[0]) in _FLAG
    return 2 if wide else 1
