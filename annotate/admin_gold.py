"""The Gold tab: known answers that look like any other pair, and how they are doing."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt, picked
from annotate.gold import gold_results, promote_unanimous, retire_gold
from annotate.label_page import page_file
from annotate.queue_html import gold_html
from storage.queue_pages import gold_rows
from storage.words import many


def build_gold_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    store = admin.store
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(_PROMOTE, apply_default_css=False, elem_classes="ad-head", js_on_load=None)
        votes = gr.Number(
            label="Agreeing votes",
            value=3,
            precision=0,
            minimum=2,
            maximum=25,
            elem_classes="ad-narrow",
        )
        with gr.Row(elem_classes="ad-buttons"):
            promote = gr.Button("Make hidden gold of unanimous pairs", variant="primary")
    listed = gr.HTML(apply_default_css=False, js_on_load=page_file("admin.js"))

    def seen() -> str:
        return gold_html(gold_rows(store), gold_results(store).drift)

    def show(request: gr.Request) -> str:
        admin.admin(request)
        return seen()

    def promoted(wanted: float | None, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            made = promote_unanimous(store, author=author, votes=max(2, int(wanted or 3)))
            admin.desk.refresh()
            if not made:
                return "No further pair has so many votes that all agree."
            return f"Made {many(len(made), 'hidden gold pair')}."

        return attempt(act), seen()

    def retired(event: gr.EventData, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            retire_gold(store, picked(event)[1], author=author)
            admin.desk.refresh()
            return "Retired it: nobody is shown it any more, and it counts against nobody."

        return attempt(act), seen()

    tab.select(show, None, [listed], **QUIET)
    promote.click(promoted, [votes], [message, listed], **QUIET)
    listed.click(retired, None, [message, listed], **QUIET)


_PROMOTE = (
    '<div class="ad"><h2>From unanimous pairs</h2><p class="soft">Pairs on which several people '
    "voted and all said the same make good gold: certain, and like any other pair. Others can be "
    "made by hand in the Queue tab.</p></div>"
)
