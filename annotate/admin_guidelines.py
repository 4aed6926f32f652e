"""The Guidelines tab: what people judge by, edited with a preview, kept in versions."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt, picked
from annotate.admin_html import section
from annotate.guidelines import MAX_CHARS, current, publish
from annotate.guidelines_html import difference_html, versions_html
from annotate.label_page import page_file
from annotate.render import render_markdown
from storage import team
from storage.queue_pages import judgments_by_guideline


def build_guidelines_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    store = admin.store
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(_HEAD, apply_default_css=False, elem_classes="ad-head", js_on_load=None)
        with gr.Row(equal_height=False):
            text = gr.Textbox(
                label="Guidelines in Markdown", lines=16, max_lines=32, max_length=MAX_CHARS
            )
            preview = gr.HTML(apply_default_css=False, js_on_load=None, elem_classes="ad-preview")
        with gr.Row(elem_classes="ad-buttons"):
            put = gr.Button("Publish", variant="primary")
            reset = gr.Button("Back to what is in force")
    versions = gr.HTML(apply_default_css=False, js_on_load=page_file("admin.js"))
    difference = gr.HTML(apply_default_css=False, js_on_load=None)

    def rendered(typed: str) -> str:
        return section('<h2 class="first">As people see it</h2>', render_markdown(typed or ""))

    def listed() -> str:
        return versions_html(team.guidelines(store), judgments_by_guideline(store))

    def show(typed: str, request: gr.Request) -> tuple[str, str, str]:
        """What somebody is typing stays when the tab is left and opened again."""
        admin.admin(request)
        now = current(store)
        kept = typed or (now.text if now else "")
        return kept, rendered(kept), listed()

    def look(typed: str, request: gr.Request) -> str:
        admin.admin(request)
        return rendered(typed)

    def published(typed: str, request: gr.Request) -> tuple[str, str, str]:
        author = admin.admin(request)

        def act() -> str:
            before = current(store)
            made = publish(store, typed or "", author=author)
            admin.desk.refresh()
            if before is not None and made.revision == before.revision:
                return f"This is version {made.revision + 1} already; nothing changed."
            return f"Version {made.revision + 1} is in force; judgments from now on name it."

        answer = attempt(act)
        newest = team.guidelines(store)
        return answer, listed(), difference_html(newest, newest[0].revision) if newest else ""

    def forget(request: gr.Request) -> tuple[str, str]:
        admin.admin(request)
        now = current(store)
        kept = now.text if now else ""
        return kept, rendered(kept)

    def compare(event: gr.EventData, request: gr.Request) -> str:
        admin.admin(request)
        number = picked(event)[1]
        return difference_html(team.guidelines(store), int(number) if number.isdigit() else -1)

    tab.select(show, [text], [text, preview, versions], **QUIET)
    text.change(look, [text], [preview], **QUIET)
    put.click(published, [text], [message, versions, difference], **QUIET)
    reset.click(forget, None, [text, preview], **QUIET)
    versions.click(compare, None, [difference], **QUIET)


_HEAD = (
    '<div class="ad"><h2>Guidelines</h2><p class="soft">Every version is kept, and every judgment '
    "names the one its labeler had. Publishing does not interrupt anybody.</p></div>"
)
