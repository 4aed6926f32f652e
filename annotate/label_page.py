"""The labeling page: a place that Gradio draws, and one script file of ours that fills it and talks
to our own routes.

No data passes through the file, so there is nothing in it that a text could inject into.
"""

import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from annotate.render import highlight_css

# One script and one sheet, each in several files, in this order; annotate/adjudicate_page.py takes
# the parts that a page of pairs needs.
SCRIPTS = (
    "state.js",
    "server.js",
    "outbox.js",
    "supply.js",
    "drawing.js",
    "views.js",
    "deciding.js",
    "extra.js",
    "earlier.js",
    "difference.js",
    "actions.js",
    "keymap.js",
    "telling.js",
    "copying.js",
    "status.js",
    "start.js",
)
SHEETS = ("label.css", "card.css", "bar.css", "panels.css")


def page_file(name: str) -> str:
    """One of the page's own files."""
    return (files("annotate") / "page" / name).read_text(encoding="utf-8")


def joined(names: Sequence[str]) -> str:
    """Several of them, one after the other."""
    return "\n".join(map(page_file, names))


def page_html(name: str) -> str:
    """A page's HTML with the view of one pair, which both pages have, in its place."""
    return page_file(name).replace("<!-- pair-view.html -->", page_file("pair-view.html"))


def page_script(page: str, scripts: Sequence[str]) -> str:
    """The file that fills the page: its HTML and its scripts."""
    return (
        page_file("frame.js")
        .replace('"PAGE_HTML"', json.dumps(page_html(page)), 1)
        .replace('"PAGE_SCRIPTS";', joined(scripts), 1)
    )


def label_script() -> str:
    """The labeling page's file."""
    return page_script("label.html", SCRIPTS)


def page_head(sheets: Sequence[str], *, address: str, script: str) -> str:
    """What goes into a page's <head>; the address changes with the file, so that it can be kept."""
    version = hashlib.sha256(script.encode()).hexdigest()[:16]
    return (
        f"<style>{joined(sheets)}\n{highlight_css()}</style>"
        f'<script src="{html.escape(address)}?v={version}"></script>'
    )


def label_head() -> str:
    """What goes into the labeling page's <head>."""
    return page_head(SHEETS, address="/page/label.js", script=label_script())


def build_place(title: str) -> Any:
    """The Blocks of a page that a script fills; without listeners, so there is no event to call."""
    import gradio as gr

    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        gr.Column(elem_id="pl-place")
    return blocks
