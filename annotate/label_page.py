"""The labeling page: one static Gradio component that talks to our own routes.

No data passes through the template, so there is nothing in it that a text could inject into.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from annotate.render import highlight_css

# One script and one sheet, each in several files, in this order.
SCRIPTS = (
    "state.js",
    "outbox.js",
    "supply.js",
    "views.js",
    "deciding.js",
    "extra.js",
    "earlier.js",
    "difference.js",
    "keymap.js",
    "status.js",
    "start.js",
)
SHEETS = ("label.css", "card.css", "bar.css", "panels.css")


def page_file(name: str) -> str:
    """One of the page's own files."""
    return (files("annotate") / "page" / name).read_text(encoding="utf-8")


def _joined(names: Sequence[str]) -> str:
    return "\n".join(map(page_file, names))


def label_head() -> str:
    """What goes into the page's <head>."""
    return f"<style>{_joined(SHEETS)}\n{highlight_css()}</style>"


def build_label_page() -> Any:
    """The Blocks to mount at /label; it has no listeners, so there is no event to call."""
    import gradio as gr

    with gr.Blocks(title="pairloop: label", analytics_enabled=False) as blocks:
        gr.HTML(
            html_template=page_file("label.html"),
            js_on_load=_joined(SCRIPTS),
            apply_default_css=False,
        )
    return blocks
