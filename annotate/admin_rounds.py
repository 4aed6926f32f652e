"""The Rounds tab: the buttons, what the child process does, and what training found out."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt
from annotate.round_files import send_to_adjudication, sent_words
from annotate.rounds import Verb, command_of, start_run, stop_run
from annotate.rounds_html import (
    check_html,
    doubts_html,
    live_html,
    newest_doubts,
    policies_html,
    rule_html,
    scores_html,
)

_RULE_SECONDS = 10.0


def build_rounds_tab(admin: AdminContext, blocks: Any, tab: Any) -> None:
    """The tab's content and its events."""
    store, runner = admin.store, admin.runner

    with gr.Row(elem_classes="ad-buttons"):
        generate = gr.Button("Generate next answers", variant="primary")
        check = gr.Button("Check before training")
        reward = gr.Button("Train reward model", visible=runner.learns_from_scores)
        train = gr.Button("Train next policy", variant="primary")
        compare = gr.Button("Compare with SFT", variant="primary")
        stop = gr.Button("Stop", variant="stop", interactive=False)
    scores = gr.HTML(apply_default_css=False, js_on_load=None, visible=runner.learns_from_scores)
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    live = gr.HTML(apply_default_css=False, js_on_load=None)
    checked = gr.HTML(apply_default_css=False, js_on_load=None)
    rule = gr.HTML(apply_default_css=False, js_on_load=None)
    rounds = gr.HTML(apply_default_css=False, js_on_load=None)
    doubted = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Row(elem_classes="ad-buttons"):
        send = gr.Button("Send these to adjudication", visible=False)
    answered = gr.HTML(apply_default_css=False, js_on_load=None)
    shown = gr.State("")

    def press(verb: Verb, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def start() -> str:
            start_run(runner, store, verb, author=author)
            return f"Started `{command_of(verb)}`."

        return attempt(start), live_html(store, runner)

    def press_generate(request: gr.Request) -> tuple[str, str]:
        return press("generate", request)

    def press_check(request: gr.Request) -> tuple[str, str]:
        return press("check", request)

    def press_reward(request: gr.Request) -> tuple[str, str]:
        return press("reward", request)

    def press_train(request: gr.Request) -> tuple[str, str]:
        return press("train", request)

    def press_compare(request: gr.Request) -> tuple[str, str]:
        return press("evaluate", request)

    def press_stop(request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def end() -> str:
            stop_run(runner, store, author=author)
            return "Asked it to stop; what is finished is kept."

        return attempt(end), live_html(store, runner)

    def found() -> tuple[Any, ...]:
        number, pairs = newest_doubts(store, admin.workspace)
        table = doubts_html(store, number, pairs)
        return (
            scores_html(store) if runner.learns_from_scores else "",
            check_html(runner),
            policies_html(store, admin.workspace),
            table,
            gr.Button(visible=bool(table)),
        )

    def tick(before: str, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        now = live_html(store, runner)
        busy = runner.state().running
        buttons = [gr.Button(interactive=not busy)] * 5 + [gr.Button(interactive=busy)]
        if now == before:
            return *[gr.skip()] * 7, *buttons
        return now, now, *found(), *buttons

    def show(request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return live_html(store, runner), *found()

    def show_rule(request: gr.Request) -> str:
        admin.admin(request)
        return rule_html(store, admin.rule, admin.config, runner=runner)

    def send_doubted(request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)
        number, pairs = newest_doubts(store, admin.workspace)

        def act() -> str:
            ids = [doubt.pair_id for doubt in pairs]
            return sent_words(send_to_adjudication(store, ids, number=number, author=author))

        return attempt(act), doubts_html(store, number, pairs)

    parts = [scores, checked, rounds, doubted, send]
    buttons = [generate, check, reward, train, compare, stop]
    blocks.load(show, None, [live, *parts], **QUIET)
    tab.select(show, None, [live, *parts], **QUIET)
    blocks.load(show_rule, None, rule, **QUIET)
    gr.Timer(1.0).tick(tick, [shown], [live, shown, *parts, *buttons], **QUIET)
    gr.Timer(_RULE_SECONDS).tick(show_rule, None, rule, **QUIET)
    generate.click(press_generate, None, [message, live], **QUIET)
    check.click(press_check, None, [message, live], **QUIET)
    reward.click(press_reward, None, [message, live], **QUIET)
    train.click(press_train, None, [message, live], **QUIET)
    compare.click(press_compare, None, [message, live], **QUIET)
    stop.click(press_stop, None, [message, live], **QUIET)
    send.click(send_doubted, None, [answered, doubted], **QUIET)
