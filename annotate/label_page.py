"""The labeling page: one static Gradio component that talks to our own routes.

No data passes through the template, so there is nothing in it that a text could inject into.
"""

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


def label_head() -> str:
    """What goes into the page's <head>."""
    return f"<style>{joined(SHEETS)}\n{highlight_css()}</style>"


def build_label_page() -> Any:
    """The Blocks to mount at /label; it has no listeners, so there is no event to call."""
    import gradio as gr

    with gr.Blocks(title="pairloop: label", analytics_enabled=False) as blocks:
        gr.HTML(
            html_template=page_html("label.html"),
            js_on_load=joined(SCRIPTS),
            apply_default_css=False,
        )
    return blocks
