"""The second tab: the rounds' buttons, what the child process does, and the policies."""

import html
from datetime import timedelta
from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt
from annotate.admin_html import section, table, text
from annotate.admin_progress import next_html
from annotate.charts import line_chart
from annotate.overview import curves, run_of_child
from annotate.rounds import ChildState, RoundRunner, Verb, start_run, stop_run
from storage.policies import policies
from storage.run_records import RunStatus
from storage.store import Store, utc_now
from storage.summaries import round_summaries

_CURVES = [
    ("Loss", "step", {"loss": "training", "eval_loss": "held out"}),
    ("Preferred answer is the more likely one", "step", {"rewards/accuracies": "share of pairs"}),
    ("Speed", "report", {"tokens_per_second": "tokens per second"}),
]

_AFTER = {
    "generate": "Its pairs are on the labeling page now.",
    "train": "A new policy is ready. Compare it with SFT, or generate its answers.",
    "evaluate": "The comparisons are on the labeling page now, looking like any other pair.",
}


def build_rounds_tab(admin: AdminContext, blocks: Any) -> None:
    """The tab's content and its events."""
    store, runner = admin.store, admin.runner

    with gr.Row(elem_classes="ad-buttons"):
        generate = gr.Button("Generate next answers", variant="primary")
        train = gr.Button("Train next policy", variant="primary")
        compare = gr.Button("Compare with SFT", variant="primary")
        stop = gr.Button("Stop", variant="stop", interactive=False)
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    live = gr.HTML(apply_default_css=False, js_on_load=None)
    rounds = gr.HTML(apply_default_css=False, js_on_load=None)
    shown = gr.State("")

    def press(verb: Verb, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def start() -> str:
            start_run(runner, store, verb, author=author)
            return f"Started `pairloop {verb}`."

        return attempt(start), live_html(store, runner)

    def press_generate(request: gr.Request) -> tuple[str, str]:
        return press("generate", request)

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

    def tick(before: str, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        now = live_html(store, runner)
        busy = runner.state().running
        buttons = [gr.Button(interactive=not busy)] * 3 + [gr.Button(interactive=busy)]
        if now == before:
            return gr.skip(), gr.skip(), gr.skip(), *buttons
        return now, now, policies_html(store), *buttons

    def show(request: gr.Request) -> tuple[str, str]:
        admin.admin(request)
        return policies_html(store), live_html(store, runner)

    parts = [live, shown, rounds, generate, train, compare, stop]
    blocks.load(show, None, [rounds, live], **QUIET)
    gr.Timer(1.0).tick(tick, [shown], parts, **QUIET)
    generate.click(press_generate, None, [message, live], **QUIET)
    train.click(press_train, None, [message, live], **QUIET)
    compare.click(press_compare, None, [message, live], **QUIET)
    stop.click(press_stop, None, [message, live], **QUIET)


def policies_html(store: Store) -> str:
    """The table at the end of the tab."""
    with store.connected():
        summaries = {summary.round: summary for summary in round_summaries(store)}
        known = policies(store)
    rows = []
    for policy in reversed(known):
        summary = summaries.get(policy.round)
        done = (
            f"{summary.responses:,} answers, {summary.settled:,} of {summary.pairs:,} pairs settled"
            if summary
            else "no answers yet"
        )
        trained = f"{summary.triplets:,} triplets" if summary and summary.triplets else "not yet"
        rows.append([f"round {policy.round}", policy.method, policy.base_model, done, trained])
    head = ["Policy", "Made by", "Base model", "Answers and pairs", "Next one trained on"]
    shown = table(head, rows, empty="No policy yet.", name="Policies")
    return section(f"<h2>Policies</h2>{shown}")


def live_html(store: Store, runner: RoundRunner) -> str:
    """What the child process is doing, or what the last one left."""
    state = runner.state()
    if not state.verb:
        return section('<p class="soft">Nothing was started here yet.</p>')
    begun = utc_now() - timedelta(seconds=state.seconds + 1)
    found = run_of_child(store, pid=state.pid, since=begun)
    run, events = found or (None, [])
    share = run.progress if run else 0.0
    words = run.message if run else ("Starting" if state.running else "")
    status = _outcome(state, run.status if run else None)
    charts = "".join(
        line_chart(curves(events, names=names), title=title, x_label=x_label)
        for title, x_label, names in _CURVES
    )
    tail = runner.log_tail()
    width = max(0.0, min(1.0, share)) * 100
    return (
        f'<div class="ad"><section class="run" data-running="{str(state.running).lower()}">'
        f'<div class="run-line"><b>pairloop {html.escape(state.verb)}</b>'
        f'<span class="badge" data-status="{status}">{status}</span>'
        f'<span class="soft">{text(words)}</span></div>'
        f'<div class="bar" role="progressbar" aria-label="Progress" aria-valuenow="{width:.0f}">'
        f'<div style="width:{width:.1f}%"></div></div>'
        f'<div class="charts">{charts}</div>'
        f'<p class="soft">logs/{html.escape(state.log)}</p>'
        f"<pre tabindex='0'>{html.escape(tail) or '(empty)'}</pre>"
        f"{_after(state, status)}</section></div>"
    )


def _outcome(state: ChildState, run: RunStatus | None) -> str:
    """running, done, stopped or failed; the run's own word where the exit code is not known."""
    if state.running:
        return "stopping" if state.stop_asked else "running"
    if state.exit_code == 0 or (state.exit_code is None and run is RunStatus.DONE):
        return "done"
    return "stopped" if state.stop_asked or run is RunStatus.STOPPED else "failed"


def _after(state: ChildState, status: str) -> str:
    if state.running:
        return ""
    if status == "done":
        return next_html(_AFTER.get(state.verb, ""))
    if status == "stopped":
        return next_html("It was stopped. Starting it again goes on where it was.")
    return next_html("The log above says why it failed. Starting it again goes on where it was.")
