"""The adjudication page: like the labeling page, one static Gradio component that talks to our
own routes, and made of the same parts.
"""

from typing import Any

from annotate.label_page import SHEETS, joined, page_html
from annotate.render import highlight_css

# Most of it is what the labeling page has too.
SCRIPTS = (
    "state.js",
    "server.js",
    "drawing.js",
    "difference.js",
    "telling.js",
    "copying.js",
    "adjudicate-actions.js",
    "keymap.js",
    "adjudicate-cases.js",
    "adjudicate-votes.js",
    "adjudicate-deciding.js",
    "adjudicate-start.js",
)


def adjudicate_head() -> str:
    """What goes into the page's <head>."""
    return f"<style>{joined((*SHEETS, 'adjudicate.css'))}\n{highlight_css()}</style>"


def build_adjudicate_page() -> Any:
    """The Blocks to mount at /adjudicate; without listeners, so there is no event to call."""
    import gradio as gr

    with gr.Blocks(title="pairloop: adjudicate", analytics_enabled=False) as blocks:
        gr.HTML(
            html_template=page_html("adjudicate.html"),
            js_on_load=joined(SCRIPTS),
            apply_default_css=False,
        )
    return blocks
