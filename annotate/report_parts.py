"""A report as parts that every form of it is made from: sections of sentences, tables, pictures."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from annotate.admin_html import code, table
from annotate.render import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table; cells are text. name: what it is called where it is not seen."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One heading's content. charts: SVG figures; wide ones take the page's whole width.

    in_card: whether a data card has it too.
    """

    title: str
    says: Sequence[str] = ()
    tables: Sequence[Rows] = ()
    charts: Sequence[str] = ()
    wide: Sequence[str] = ()
    in_card: bool = True


def section_html(section: Section) -> str:
    """The section as HTML, every text escaped."""
    says = "".join(f"<p>{code(s)}</p>" for s in section.says)
    charts = f'<div class="charts">{"".join(section.charts)}</div>' if section.charts else ""
    tables = "".join(
        f"<h3>{html.escape(visible(t.name))}</h3>{table(t.head, t.rows, name=t.name)}"
        for t in section.tables
        if t.rows
    )
    title = html.escape(visible(section.title))
    return f"<section><h2>{title}</h2>{says}{charts}{''.join(section.wide)}{tables}</section>"


def section_markdown(section: Section, *, level: int) -> str:
    """The section as Markdown without its pictures, every text escaped."""
    parts = [f"{'#' * level} {_escaped(section.title)}", *map(_escaped, section.says)]
    for one in section.tables:
        if not one.rows:
            continue
        lines = [one.head, ["---"] * len(one.head), *one.rows]
        parts.append(f"{_escaped(one.name)}:")
        parts.append(
            "\n".join(
                f"| {' | '.join(c if c == '---' else _escaped(c) for c in row)} |" for row in lines
            )
        )
    return "\n\n".join(parts)


_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~$!&])")


def _escaped(value: str) -> str:
    """Text that Markdown and the HTML in it leave as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(visible(value).split()))
