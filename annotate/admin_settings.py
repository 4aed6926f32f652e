"""The Distribution tab: how votes are spread, changed while people work."""

from collections.abc import Sequence
from typing import Any, get_args

import gradio as gr
from pydantic import ValidationError

from annotate.admin_access import QUIET, AdminContext, attempt, picked
from annotate.admin_html import said
from annotate.config import AnnotateConfig, ConsensusRule, Distribution
from annotate.forecast import wanted_under
from annotate.label_page import page_file
from annotate.settings import OFF, change
from annotate.settings_html import TITLES, meaning_html, settings_html
from storage import team


def build_settings_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    keys = list(TITLES)
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(
            '<div class="ad">'
            "<h2>How votes are spread</h2><p class='soft'>Changes hold at once, also for people now at work. "
            "Votes that are in stay.</p></div>",
            apply_default_css=False,
            elem_classes="ad-head",
            js_on_load=None,
        )
        fields = []
        for first in range(0, len(keys), 3):
            with gr.Row():
                fields += [_field(key) for key in keys[first : first + 3]]
        meaning = gr.HTML(apply_default_css=False, js_on_load=None)
        with gr.Row(elem_classes="ad-buttons"):
            apply = gr.Button("Apply", variant="primary")
            preview = gr.Button("What would it mean?")
    table = gr.HTML(apply_default_css=False, js_on_load=page_file("admin.js"))
    outputs = [message, meaning, table, *fields]

    def seen(said_now: str = "") -> tuple[Any, ...]:
        now = admin.now
        shown = settings_html(admin.config, now, team.settings(admin.store))
        return said_now, "", shown, *(getattr(now, key) for key in keys)

    def show(request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen()

    def mean(request: gr.Request, *values: Any) -> tuple[str, str]:
        admin.admin(request)
        now = admin.now
        try:
            wanted = AnnotateConfig.model_validate(now.model_dump() | _typed_changes(values, now))
        except ValidationError as error:
            problems = "; ".join(
                f"{TITLES[str(i['loc'][0])][0]}: {i['msg']}" for i in error.errors()
            )
            return said(problems), ""
        before, after = wanted_under(admin.store, now, wanted)
        return "", meaning_html(before, after)

    def put(request: gr.Request, *values: Any) -> tuple[Any, ...]:
        author = admin.admin(request)

        def act() -> str:
            typed = _typed_changes(values, admin.now)
            # An emptied field is off; back to the file is a button of its own.
            changes = {key: OFF if value is None else value for key, value in typed.items()}
            if not changes:
                return "Nothing differs from what is in force."
            change(admin.store, admin.config, changes, author=author)
            admin.desk.refresh()
            return f"Changed: {', '.join(TITLES[key][0].lower() for key in changes)}."

        answer = attempt(act)
        return seen(answer)

    def back(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        author = admin.admin(request)
        key = picked(event)[1]

        def act() -> str:
            change(admin.store, admin.config, {key: None}, author=author)
            admin.desk.refresh()
            return f"{TITLES[key][0]} is as pairloop.toml says again."

        return seen(attempt(act))

    def _typed_changes(values: Sequence[Any], now: AnnotateConfig) -> dict[str, Any]:
        typed = {key: _typed(key, value) for key, value in zip(keys, values, strict=True)}
        return {key: value for key, value in typed.items() if value != getattr(now, key)}

    tab.select(show, None, outputs, **QUIET)
    preview.click(mean, fields, [message, meaning], **QUIET)
    apply.click(put, fields, outputs, **QUIET)
    table.click(back, None, outputs, **QUIET)


def _field(key: str) -> Any:
    title, info = TITLES[key]
    kinds = _kinds(key)
    if ConsensusRule in kinds:
        named = [(rule.value.replace("_", "-"), rule.value) for rule in ConsensusRule]
        return gr.Dropdown(named, label=title, info=info)
    if bool in kinds:
        return gr.Checkbox(label=title, info=info)
    if float in kinds:
        return gr.Number(label=title, info=info, step=0.01)
    return gr.Number(label=title, info=info, precision=0)


def _kinds(key: str) -> set[Any]:
    """The plain types a setting may have."""
    hint = Distribution.model_fields[key].annotation
    inner = get_args(hint)
    return {hint, *inner, *(part for one in inner for part in get_args(one))}


def _typed(key: str, value: Any) -> Any:
    """A field's value as the setting has it: whole numbers stay whole."""
    if value is None or _kinds(key) & {bool, ConsensusRule}:
        return value
    return float(value) if float in _kinds(key) else int(value)
