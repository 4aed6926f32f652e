"""The layouts by name, and which of them a file has."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from generate.rows import Row, rows
from pairloop.imports import arena, argilla, fields, labelstudio, published, table
from pairloop.imports.found import Found
from storage.errors import InputError

AUTO = "auto"
SHOWN_COLUMNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a kind of file is read, and the columns by which it is known."""

    name: str
    read: Callable[[Iterator[Row]], Iterator[Found]]
    columns: tuple[frozenset[str], ...]  # any of these sets


def _columns(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in sets)


LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            name="votes",
            read=table.read,
            columns=_columns("response_a response_b annotator_id choice"),
        ),
        Layout(
            name="hh-rlhf",
            read=fields.each_row(published.read_hh),
            columns=_columns("chosen rejected"),
        ),
        Layout(
            name="ultrafeedback",
            read=fields.each_row(published.read_ultrafeedback),
            columns=_columns("instruction completions"),
        ),
        Layout(
            name="helpsteer2",
            read=published.read_helpsteer2,
            columns=_columns("prompt response helpfulness verbosity"),
        ),
        Layout(
            name="helpsteer3",
            read=fields.each_row(published.read_helpsteer3),
            columns=_columns("context response1 response2 overall_preference"),
        ),
        Layout(
            name="summarize",
            read=fields.each_row(published.read_summarize),
            columns=_columns("info summaries choice"),
        ),
        Layout(name="argilla", read=argilla.read, columns=_columns("fields responses")),
        Layout(name="labelstudio", read=labelstudio.read, columns=_columns("data annotations")),
        Layout(
            name="arena",
            read=arena.read,
            columns=_columns("conversation_a conversation_b winner", "states type"),
        ),
    )
}


def layout_of(name: str, source: str) -> Layout:
    """The layout asked for; `auto` looks at the columns of the source's first readable row."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name != AUTO:
        raise InputError(f"There is no layout {name!r}. Known: {', '.join(LAYOUTS)}, or {AUTO}.")
    first = next((row for row in rows(source) if not row.problem), None)
    if first is None:
        raise InputError(f"{source} has no row that can be read, so its layout is not known.")
    have = first.values.keys() | first.empty
    found = guesses(have)
    if len(found) == 1:
        return LAYOUTS[found[0]]
    columns = ", ".join(sorted(map(str, have))[:SHOWN_COLUMNS])
    why = f"fits {' and '.join(found)}" if found else "fits no layout"
    raise InputError(
        f"{source} {why}; its columns are: {columns}. Name the layout instead of {AUTO}: "
        f"{', '.join(LAYOUTS)}."
    )


def guesses(have: Collection[str]) -> list[str]:
    """Layouts whose columns are all there."""
    return [
        layout.name
        for layout in LAYOUTS.values()
        if any(columns <= set(have) for columns in layout.columns)
    ]
