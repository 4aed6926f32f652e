"""The admin pages: progress and agreement, and the rounds with their buttons.

Every table and chart is HTML made here with each text escaped; /admin is for admins only, so its
events are too.
"""

import html
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

from annotate.agreement import Estimate
from annotate.charts import Bar, interval_bars, line_chart
from annotate.config import AnnotateConfig
from annotate.overview import Overview, curves, overview, run_of_child
from annotate.rounds import ChildState, RoundRunner, Verb
from storage.errors import PairloopError
from storage.policies import policies
from storage.records import RunStatus
from storage.store import Store, utc_now
from storage.summaries import round_summaries


def admin_head() -> str:
    """What goes into the page's <head>."""
    css = (files("annotate") / "page" / "admin.css").read_text(encoding="utf-8")
    return f"<style>{css}</style>"


def build_admin_page(store: Store, config: AnnotateConfig, runner: RoundRunner) -> Any:
    """The Blocks to mount at /admin."""
    import gradio as gr

    def press(verb: Verb) -> tuple[str, str]:
        try:
            runner.start(verb)
        except PairloopError as error:
            return said(str(error)), live_html(store, runner)
        return said(f"Started `pairloop {verb}`."), live_html(store, runner)

    def press_stop() -> tuple[str, str]:
        try:
            runner.stop()
        except PairloopError as error:
            return said(str(error)), live_html(store, runner)
        return said("Asked it to stop; what is finished is kept."), live_html(store, runner)

    def tick(before: str) -> tuple[Any, ...]:
        now = live_html(store, runner)
        busy = runner.state().running
        buttons = [gr.Button(interactive=not busy)] * 3 + [gr.Button(interactive=busy)]
        if now == before:
            return gr.skip(), gr.skip(), gr.skip(), *buttons
        return now, now, policies_html(store), *buttons

    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
    with gr.Blocks(title="pairloop: admin", analytics_enabled=False) as blocks:
        gr.HTML(_HEADER, apply_default_css=False)
        with gr.Tabs():
            with gr.Tab("Progress & agreement", id="progress"):
                progress = gr.HTML(apply_default_css=False)
            with gr.Tab("Rounds", id="rounds"):
                with gr.Row(elem_classes="ad-buttons"):
                    generate = gr.Button("Generate next answers", variant="primary")
                    train = gr.Button("Train next policy", variant="primary")
                    compare = gr.Button("Compare with SFT", variant="primary")
                    stop = gr.Button("Stop", variant="stop", interactive=False)
                message = gr.HTML(apply_default_css=False)
                live = gr.HTML(apply_default_css=False)
                rounds = gr.HTML(apply_default_css=False)
        shown = gr.State("")

        def show_all() -> tuple[str, str, str]:
            seen = overview(store, config)
            return progress_html(seen), policies_html(store), live_html(store, runner)

        blocks.load(show_all, None, [progress, rounds, live], **quiet)
        gr.Timer(10.0).tick(
            lambda: progress_html(overview(store, config)), None, [progress], **quiet
        )
        parts = [live, shown, rounds, generate, train, compare, stop]
        gr.Timer(1.0).tick(tick, [shown], parts, **quiet)
        generate.click(lambda: press("generate"), None, [message, live], **quiet)
        train.click(lambda: press("train"), None, [message, live], **quiet)
        compare.click(lambda: press("evaluate"), None, [message, live], **quiet)
        stop.click(press_stop, None, [message, live], **quiet)
    return blocks


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

_HEADER = """<header class="ad-top"><span class="ad-brand"><i></i><i></i>pairloop</span><h1>Admin</h1>
<nav><a href="/label/">Label</a><a href="/docs">REST</a>
<form method="post" action="/logout"><button>Sign out</button></form></nav></header>"""


def progress_html(seen: Overview) -> str:
    """The first tab."""
    report = seen.agreement
    tiles = [
        ("Agreement", report.observed_agreement, "share of vote pairs that agree, ties included"),
        ("Without ties", report.observed_agreement_without_ties, "only votes that prefer a side"),
        ("Krippendorff's alpha", report.alpha_nominal, "0 is chance, 1 is perfect"),
    ]
    bars = [
        Bar(label=row.name, value=row.agreement, note="no shared pairs yet")
        for row in seen.labelers
        if row.judged
    ]
    observed = report.observed_agreement.value
    charts = interval_bars(bars[:15], title="Agreement with others", reference=observed)
    unit, hours = _unit(seen.votes_by_hour[-1][0] if seen.votes_by_hour else 0.0)
    charts += line_chart(
        {"votes": [(x / hours, float(y)) for x, y in seen.votes_by_hour]},
        title="Votes so far",
        x_label=unit,
        from_zero=True,
    )
    return (
        f'<div class="ad">{next_html(seen.next_step)}<div class="tiles">'
        f"{''.join(_tile(*tile) for tile in tiles)}"
        f'<div class="tile"><h3>Votes</h3><p class="big">{report.judgments:,}</p>'
        f"<p>on {report.pairs:,} pairs</p></div></div>"
        f"<h2>Rounds</h2>{rounds_table(seen)}"
        f"<h2>Labelers</h2>{labelers_table(seen)}"
        f'<div class="charts">{charts}</div></div>'
    )


def policies_html(store: Store) -> str:
    """The table at the end of the second tab."""
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
    table = _table(head, rows, empty="No policy yet.")
    return f'<div class="ad"><h2>Policies</h2>{table}</div>'


def _unit(span_hours: float) -> tuple[str, float]:
    """A unit of time that suits a span, and its length in hours."""
    if span_hours < 2:
        return "minutes", 1 / 60
    return ("hours", 1.0) if span_hours < 72 else ("days", 24.0)


def rounds_table(seen: Overview) -> str:
    """Counts per round, with the win rate over the policy before where it was evaluated."""
    won = {c.newer: c for c in seen.comparisons if c.older == c.newer - 1}
    rows = []
    for s in seen.rounds:
        comparison = won.get(s.round)
        decided = comparison.wins + comparison.losses if comparison else 0
        rate = f"{comparison.wins / decided:.0%} of {decided}" if comparison and decided else ""
        rows.append(
            [
                str(s.round),
                f"{s.prompts:,}",
                f"{s.responses:,}",
                f"{s.pairs:,}",
                f"{s.votes:,}",
                _share_bar(s.settled, s.pairs),
                f"{s.triplets:,}",
                rate,
            ]
        )
    return _table(
        ["Round", "Prompts", "Answers", "Pairs", "Votes", "Settled", "Triplets", "Won vs before"],
        rows,
        empty="No answers yet.",
    )


def labelers_table(seen: Overview) -> str:
    """Everybody's work."""
    rows = [
        [
            row.name if row.active else f"{row.name} (disabled)",
            row.kind if row.kind == "model" else row.role,
            f"{row.judged:,}",
            f"{row.median_seconds:.1f} s" if row.median_seconds is not None else "",
            f"{row.agreement:.2f} ({row.vote_pairs:,})" if row.agreement is not None else "",
            f"{row.left_share:.0%}" if row.left_share is not None else "",
        ]
        for row in seen.labelers
    ]
    return _table(
        ["Name", "Role", "Judged", "Median time", "Agreement (vote pairs)", "Left preferred"],
        rows,
        empty="Nobody yet.",
    )


def live_html(store: Store, runner: RoundRunner) -> str:
    """What the child process is doing, or what the last one left."""
    state = runner.state()
    if not state.verb:
        return '<div class="ad"><p class="soft">Nothing was started here yet.</p></div>'
    begun = utc_now() - timedelta(seconds=state.seconds + 1)
    found = run_of_child(store, pid=state.pid, since=begun)
    run, events = found or (None, [])
    share = run.progress if run else 0.0
    text = run.message if run else ("Starting" if state.running else "")
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
        f'<span class="soft">{html.escape(text)}</span></div>'
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


def next_html(step: str) -> str:
    """The line that says what to do."""
    return f'<p class="next"><b>Next</b> {_code(step)}</p>'


def said(text: str) -> str:
    """The answer to a press of a button."""
    return f'<div class="ad"><p class="said" role="status">{_code(text)}</p></div>'


def _code(text: str) -> str:
    """Escaped, with `code` marked."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _tile(title: str, estimate: Estimate, note: str) -> str:
    if estimate.value is None:
        return (
            f'<div class="tile"><h3>{html.escape(title)}</h3><p class="big soft">not enough data</p>'
            f"<p>{estimate.n:,} pairs with two votes or more</p></div>"
        )
    return (
        f'<div class="tile"><h3>{html.escape(title)}</h3><p class="big">{estimate.value:.2f}'
        f"<small>{estimate.low:.2f} to {estimate.high:.2f}</small></p><p>{html.escape(note)}</p></div>"
    )


def _share_bar(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    return f"\0<span class='share'><i style='width:{share:.0f}%'></i></span>{part:,} of {whole:,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> str:
    """A table of escaped texts; a cell that starts with a NUL is HTML of this file."""
    if not rows:
        return f'<p class="soft">{html.escape(empty)}</p>'
    names = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{cell[1:] if cell.startswith(chr(0)) else html.escape(cell)}</td>" for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'
