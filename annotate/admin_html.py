"""Pieces of the admin pages as HTML: every text is escaped here, whoever wrote it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from annotate.render import visible


class Raw(str):
    """HTML made by these files; every other str is text and gets escaped."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A cell with what a table is sorted by, where that is not its text."""

    shown: str
    by: float


def text(value: str) -> str:
    """Somebody's text, escaped, with what would reorder or hide it made visible."""
    return html.escape(visible(value))


def code(value: str) -> str:
    """Text with `code` marked."""
    parts = text(value).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def said(value: str) -> str:
    """The answer to a press of a button."""
    return f'<div class="ad"><p class="said" role="status">{code(value)}</p></div>' if value else ""


def section(*parts: str) -> str:
    """What one HTML component shows."""
    return f'<div class="ad">{"".join(parts)}</div>'


def tile(title: str, big: str, *, small: str = "", note: str = "", soft: bool = False) -> Raw:
    """One number with what it means."""
    kind = "big soft" if soft else "big"
    beside = f"<small>{text(small)}</small>" if small else ""
    return Raw(
        f'<div class="tile"><h2>{text(title)}</h2><p class="{kind}">{text(big)}{beside}</p>'
        f"<p>{text(note)}</p></div>"
    )


def tiles(parts: Sequence[str]) -> Raw:
    return Raw(f'<div class="tiles">{"".join(parts)}</div>')


def share_bar(part: int, whole: int) -> Raw:
    share = 100 * part / whole if whole else 0
    return Raw(
        f"<span class='share' aria-hidden='true'><i style='width:{share:.0f}%'></i></span>"
        f"{part:,} of {whole:,}"
    )


def badge(word: str, *, kind: str = "") -> Raw:
    return Raw(f'<span class="badge" data-status="{html.escape(kind or word)}">{text(word)}</span>')


def pick(value: str, shown: str, *, action: str = "open") -> Raw:
    """A button in a table; a press reaches Python as annotate.admin_access.picked."""
    return Raw(
        f'<button type="button" class="pick" data-action="{html.escape(action)}" '
        f'data-pick="{html.escape(value)}">{text(shown)}</button>'
    )


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Key]],
    *,
    empty: str = "",
    sortable: bool = False,
    name: str = "",
) -> Raw:
    """A table that scrolls sideways where it must; `name` is what a screen reader calls it."""
    if not rows:
        return Raw(f'<p class="soft">{text(empty)}</p>')
    titles = "".join(_title(i, title, sortable=sortable) for i, title in enumerate(head))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    label = f' aria-label="{html.escape(name)}"' if name else ""
    return Raw(
        f'<div class="scroll" role="region" tabindex="0"{label or " aria-label=Table"}><table>'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _title(column: int, title: str, *, sortable: bool) -> str:
    if not title:
        return "<td></td>"
    shown = text(title)
    if sortable:
        shown = f'<button type="button" data-sort="{column}">{shown}</button>'
    return f'<th scope="col">{shown}</th>'


def _cell(cell: str | Key) -> str:
    if isinstance(cell, Key):
        return f'<td data-by="{cell.by:.6g}">{_inside(cell.shown)}</td>'
    return f"<td>{_inside(cell)}</td>"


def _inside(cell: str) -> str:
    return cell if isinstance(cell, Raw) else text(cell)


def moment(at: datetime | None) -> Raw:
    """A time as people read it; UTC, like everything stored."""
    if at is None:
        return Raw("")
    return Raw(f'<time datetime="{at.isoformat()}Z">{at:%Y-%m-%d %H:%M}</time>')


def span(seconds: float) -> str:
    """A length of time in words."""
    for name, size in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= size:
            n = round(seconds / size)
            return f"{n:,} {name}{'' if n == 1 else 's'}"
    return "under a minute"
