"""The Activity tab: who did what, newest first."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext
from annotate.admin_html import moment, section, table
from storage.activity import activities_page, activity_kinds
from storage.team_records import Activity

ROWS = 50
ALL = "everything"
EVERYBODY = "everybody"


def build_activity_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    with gr.Row(elem_classes="ad-filter"):
        actor = gr.Dropdown([EVERYBODY], value=EVERYBODY, label="Person", interactive=True)
        action = gr.Dropdown([ALL], value=ALL, label="What", interactive=True)
        page = gr.Number(label="Page", value=1, precision=0, minimum=1)
    trail = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Row(elem_classes="ad-buttons"):
        newer = gr.Button("Newer")
        older = gr.Button("Older")

    def seen(who: str, what: str, number: float | None) -> tuple[Any, ...]:
        here = max(1, int(number or 1))
        found = activities_page(
            admin.store,
            actor=None if who == EVERYBODY else who,
            action=None if what == ALL else what,
            count=ROWS + 1,
            skip=(here - 1) * ROWS,
        )
        return (
            activity_html(found[:ROWS]),
            here,
            gr.Button(interactive=here > 1),
            gr.Button(interactive=len(found) > ROWS),
        )

    def show(request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        actors, actions = activity_kinds(admin.store)
        return (
            gr.Dropdown(choices=[EVERYBODY, *actors], value=EVERYBODY),
            gr.Dropdown(choices=[ALL, *actions], value=ALL),
            *seen(EVERYBODY, ALL, 1),
        )

    def first(who: str, what: str, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(who, what, 1)

    def turn(who: str, what: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(who, what, number)

    def back(who: str, what: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(who, what, (number or 1) - 1)

    def forward(who: str, what: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(who, what, (number or 1) + 1)

    outputs = [trail, page, newer, older]
    tab.select(show, None, [actor, action, *outputs], **QUIET)
    actor.input(first, [actor, action], outputs, **QUIET)
    action.input(first, [actor, action], outputs, **QUIET)
    page.submit(turn, [actor, action, page], outputs, **QUIET)
    newer.click(back, [actor, action, page], outputs, **QUIET)
    older.click(forward, [actor, action, page], outputs, **QUIET)


def activity_html(found: Sequence[Activity]) -> str:
    """Entries of the trail as a table."""
    rows = [[moment(a.created_at), a.actor, a.action, a.subject, a.detail] for a in found]
    head = ["When (UTC)", "Who", "What", "Whom or what", "Detail"]
    return section(table(head, rows, empty="Nothing was done yet.", name="Activity"))
