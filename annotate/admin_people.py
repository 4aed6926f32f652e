"""The People tab: everybody's numbers in one table, what work they get, and invitations."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from annotate.accounts import change_role, disable_labeler, enable_labeler, known_labeler
from annotate.admin_access import QUIET, AdminContext, attempt, picked, scroll_to
from annotate.invitations import invite, revoke
from annotate.label_page import page_file
from annotate.passwords import make_reset
from annotate.people import change_settings
from annotate.people_html import invitations_html, link_html, people_html, person_html
from annotate.people_stats import PersonRow, pace, people_rows
from storage import team
from storage.errors import InputError
from storage.records import LabelerKind, Role

_ROLES = [role.value for role in Role]


def build_people_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    store, script = admin.store, page_file("admin.js")
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    everybody = gr.HTML(apply_default_css=False, js_on_load=script)
    with gr.Column(elem_classes="ad-form", elem_id="ad-person"):
        gr.HTML(
            '<div class="ad">'
            "<h2>What somebody gets</h2><p class='soft'>Choose a name in the table, or here.</p></div>",
            apply_default_css=False,
            elem_classes="ad-head",
            js_on_load=None,
        )
        person = gr.Dropdown([], label="Person", interactive=True, value=None)
        detail = gr.HTML(apply_default_css=False, js_on_load=None)
        with gr.Row():
            role = gr.Dropdown(_ROLES, label="Role", info="A change signs them out.", value=None)
            groups = gr.Textbox(label="Groups", info="Names, with commas between them.")
            daily = gr.Number(label="Judgments a day", info="Empty for no limit.", precision=0)
            total = gr.Number(label="Judgments in all", info="Empty for no limit.", precision=0)
        with gr.Row(elem_classes="ad-buttons"):
            save = gr.Button("Save changes", variant="primary")
            pause = gr.Button("Pause")
            resume = gr.Button("Resume", visible=False)
            let_in = gr.Button("Let in past qualification")
            must_qualify = gr.Button("Must qualify", visible=False)
            reset = gr.Button("Make a password link")
            disable = gr.Button("Disable account", variant="stop")
            enable = gr.Button("Enable account", visible=False)
        new_password = gr.HTML(apply_default_css=False, js_on_load=script)
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(
            '<div class="ad">'
            "<h2>Invite somebody</h2><p class='soft'>A link makes one account; there is no open sign-up.</p></div>",
            apply_default_css=False,
            elem_classes="ad-head",
            js_on_load=None,
        )
        with gr.Row():
            its_role = gr.Dropdown(_ROLES, label="Role", value=Role.LABELER.value)
            name = gr.Textbox(label="Name", info="Empty lets them choose one.")
            join = gr.Textbox(label="In groups", info="Names, with commas between them.")
            days = gr.Number(label="Days it holds", value=7, precision=0, minimum=1, maximum=90)
        with gr.Row(elem_classes="ad-buttons"):
            make = gr.Button("Make an invitation", variant="primary")
        link = gr.HTML(apply_default_css=False, js_on_load=script)
        invited = gr.HTML(apply_default_css=False, js_on_load=script)

    chosen = [detail, role, groups, daily, total, pause, resume, let_in, must_qualify]
    chosen += [reset, disable, enable, new_password]
    outputs = [message, everybody, person, *chosen]

    def seen(chosen_name: str | None, said: str = "") -> tuple[Any, ...]:
        rows = people_rows(store, admin.now)
        row = next((r for r in rows if r.name == chosen_name), None)
        names = gr.Dropdown(choices=[r.name for r in rows], value=row.name if row else None)
        return said, people_html(rows, pace(store)), names, *_controls(row)

    def show(chosen_name: str | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return *seen(chosen_name), _invitations()

    def _invitations() -> str:
        return invitations_html(list(team.invitations(store).values()))

    def choose(chosen_name: str | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        rows = people_rows(store, admin.now)
        return _controls(next((r for r in rows if r.name == chosen_name), None))

    def press(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(picked(event)[1])

    def changing(**change: Any) -> Any:
        def handler(chosen_name: str | None, request: gr.Request) -> tuple[Any, ...]:
            author = admin.admin(request)

            def act() -> str:
                change_settings(store, chosen_name or "", author=author, **change)
                return f"Saved what {chosen_name} gets."

            return seen(chosen_name, attempt(act))

        return handler

    def save_all(
        chosen_name: str | None,
        role_name: str | None,
        groups_text: str,
        a_day: float | None,
        in_all: float | None,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        author = admin.admin(request)

        def act() -> str:
            if not chosen_name:
                raise InputError("Choose a person first: press a name in the table.")
            known = known_labeler(store, chosen_name)
            if role_name and role_name != known.role:
                change_role(store, known.name, Role(role_name), author=author)
            change_settings(
                store,
                known.name,
                author=author,
                groups=_names(groups_text),
                daily_limit=None if a_day is None else int(a_day),
                total_limit=None if in_all is None else int(in_all),
            )
            return f"Saved what {chosen_name} gets."

        return seen(chosen_name, attempt(act))

    def lock(chosen_name: str | None, request: gr.Request) -> tuple[Any, ...]:
        author = admin.admin(request)

        def act() -> str:
            disable_labeler(store, chosen_name or "", author=author)
            return f"Disabled {chosen_name}: signed out everywhere, judgments kept."

        return seen(chosen_name, attempt(act))

    def unlock(chosen_name: str | None, request: gr.Request) -> tuple[Any, ...]:
        author = admin.admin(request)

        def act() -> str:
            enable_labeler(store, chosen_name or "", author=author)
            return f"Enabled {chosen_name}."

        return seen(chosen_name, attempt(act))

    def make_password_link(chosen_name: str | None, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)
        return _with_link(
            lambda: "/reset/" + make_reset(store, chosen_name or "", author=author),
            to=chosen_name or "",
        )

    def make_link(
        role_name: str, for_name: str, in_groups: str, for_days: float, request: gr.Request
    ) -> tuple[str, str, str]:
        author = admin.admin(request)

        def made() -> str:
            return "/invite/" + invite(
                store,
                role=Role(role_name),
                author=author,
                name=for_name,
                groups=_names(in_groups),
                days=for_days or 0,
            )

        return *_with_link(made, to=for_name or "one person"), _invitations()

    def take_back(event: gr.EventData, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            revoke(store, picked(event)[1], author=author)
            return "Took the invitation back."

        return attempt(act), _invitations()

    tab.select(show, [person], [*outputs, invited], **QUIET)
    everybody.click(press, None, outputs, **QUIET).then(None, js=scroll_to("ad-person"), **QUIET)
    person.input(choose, [person], chosen, **QUIET)
    save.click(save_all, [person, role, groups, daily, total], outputs, **QUIET)
    for button, change in (
        (pause, {"paused": True}),
        (resume, {"paused": False}),
        (let_in, {"qualified": True}),
        (must_qualify, {"qualified": False}),
    ):
        button.click(changing(**change), [person], outputs, **QUIET)
    reset.click(make_password_link, [person], [message, new_password], **QUIET)
    disable.click(lock, [person], outputs, **QUIET)
    enable.click(unlock, [person], outputs, **QUIET)
    make.click(make_link, [its_role, name, join, days], [message, link, invited], **QUIET)
    invited.click(take_back, None, [message, invited], **QUIET)


def _with_link(make: Callable[[], str], *, to: str) -> tuple[str, str]:
    """What went wrong, and the link where nothing did."""
    made: list[str] = []

    def act() -> str:
        made.append(make())
        return ""

    return attempt(act), link_html(made[0], to=to) if made else ""


def _names(typed: str) -> list[str]:
    return [part.strip() for part in (typed or "").split(",") if part.strip()]


def _controls(row: PersonRow | None) -> tuple[Any, ...]:
    """What belongs to the person chosen: the line about them, four fields, seven buttons, no link."""
    there = row is not None
    person = row is not None and row.kind is LabelerKind.HUMAN
    paused, qualified, active = (
        (row.paused, row.qualified, row.active) if row else (False, False, True)
    )
    return (
        person_html(row) if row else "",
        gr.Dropdown(_ROLES, value=row.role.value if row else None, interactive=person),
        gr.Textbox(value=", ".join(row.groups) if row else "", interactive=there),
        gr.Number(value=row.daily_limit if row else None, interactive=there),
        gr.Number(value=row.total_limit if row else None, interactive=there),
        gr.Button(visible=not paused, interactive=there),
        gr.Button(visible=paused, interactive=there),
        gr.Button(visible=not qualified, interactive=there),
        gr.Button(visible=qualified, interactive=there),
        gr.Button(interactive=person and active),
        gr.Button(visible=active, interactive=there),
        gr.Button(visible=not active, interactive=there),
        "",
    )
