"""What the Rounds page shows: the run, the check, the rule, the policies, the doubted labels."""

import html
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from annotate.admin_html import Raw, badge, code, moment, section, table, text
from annotate.admin_progress import next_html
from annotate.charts import line_chart
from annotate.check_result import last_check
from annotate.config import AnnotateConfig, Retrain
from annotate.overview import curves, kept_figures, run_of_child
from annotate.retrain import rule_words
from annotate.retrain_facts import look
from annotate.round_files import Doubt, RoundVerdict, doubts, round_folder, standing_verdict
from annotate.rounds import TRAINING, ChildState, RoundRunner, command_of
from storage import adjudications as adjudicating
from storage.policies import policies
from storage.run_records import RunEvent, RunKind, RunStatus
from storage.runs import runs
from storage.slices import prompt_excerpts
from storage.store import Store, utc_now
from storage.win_rate import WinRate, rate_of
from storage.words import many

WARNING = "warning, "  # how train begins the message of an event that warns
_EXCERPT = 120
_CURVES = [
    ("Loss", "step", {"loss": "training", "eval_loss": "held out"}),
    ("Reward margin", "step", {"rewards/margins": "chosen minus rejected"}),
    ("Preferred answer is the more likely one", "step", {"rewards/accuracies": "share of pairs"}),
    ("Chosen answers", "step", {"logps/chosen_per_token": "nats per token"}),
    ("Score of its answers", "step", {"reward": "reward model's mean"}),
    ("Distance from the reference", "step", {"kl": "KL, nats per token"}),
    ("Length of its answers", "step", {"completions/mean_length": "tokens"}),
    ("Entropy", "step", {"entropy": "nats per token"}),
    ("Speed", "report", {"tokens_per_second": "tokens per second"}),
]
_AFTER = {
    "generate": "Its pairs are on the labeling page now.",
    "train": "A new policy is ready. Compare it with SFT, or generate its answers.",
    "reward": "The reward model is in rewards/. Train the next policy from its scores.",
    "evaluate": "The comparisons are on the labeling page now, looking like any other pair.",
}
_LIGHTS = {"green": "done", "amber": "late", "red": "failed"}
_STOPPING = (
    "Stop ends training after its present step and keeps a checkpoint; starting it again goes on from "
    "there. Stop pressed twice ends it at once, and it goes on from the checkpoint before."
)


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
    tail = "" if state.verb == "check" and status == "done" else runner.log_tail()
    width = max(0.0, min(1.0, share)) * 100
    stopping = (
        f'<p class="soft">{_STOPPING}</p>' if state.running and state.verb in TRAINING else ""
    )
    log = f"<pre tabindex='0'>{html.escape(tail) or '(empty)'}</pre>"
    return section(
        f'<section class="run" data-running="{str(state.running).lower()}">'
        f'<div class="run-line"><b>{html.escape(command_of(state.verb))}</b>'
        f'<span class="badge" data-status="{status}">{status}</span>'
        f'<span class="soft">{text(words)}</span></div>'
        f'<div class="bar" role="progressbar" aria-label="Progress" aria-valuenow="{width:.0f}">'
        f'<div style="width:{width:.1f}%"></div></div>{stopping}{warnings_html(events)}'
        f'<div class="charts">{charts}</div>'
        f'<p class="soft">logs/{html.escape(state.log)}</p>'
        f"{log if tail or state.verb != 'check' else ''}"
        f"{_after(state, status)}</section>"
    )


def warnings_html(events: Sequence[RunEvent]) -> Raw:
    """What train warns of, in the order it began to."""
    found = [e.message.removeprefix(WARNING) for e in events if e.message.startswith(WARNING)]
    if not found:
        return Raw("")
    rows = "".join(f"<li>{code(words)}</li>" for words in dict.fromkeys(found))
    return Raw(f'<div role="status"><ul class="warnings" aria-label="Warnings">{rows}</ul></div>')


def scores_html(store: Store) -> str:
    """What a method that learns from a reward model's scores has to learn from."""
    trained = [
        state
        for state in runs(store)
        if state.run.kind is RunKind.TRAIN
        and state.status is RunStatus.DONE
        and state.run.config.get("method") == "reward"
    ]
    if not trained:
        return section(
            "<p>The next policy learns from a reward model's scores, and none was trained here. "
            "<b>Train a reward model first</b>, from the settled pairs.</p>"
        )
    newest = max(trained, key=lambda state: state.run.created_at)
    return section(
        '<p class="soft">The next policy learns from the scores of the reward model of round '
        f"{newest.run.round - 1}'s pairs, trained {moment(newest.updated_at)} UTC.</p>"
    )


def check_html(runner: RoundRunner) -> str:
    """The table of the last check before training; "" before there was one."""
    found = last_check(runner)
    if found is None:
        return ""
    rows = []
    for check in found.checks:
        light = str(check.get("light", ""))
        ids = ", ".join(map(str, check.get("examples", [])))
        finding = f"{check.get('finding', '')}{f' ({ids})' if ids else ''}"
        fix = "" if light == "green" else str(check.get("fix", ""))
        rows.append(
            [
                str(check.get("name", "")),
                badge(light, kind=_LIGHTS.get(light, "idle")),
                _sentence(finding),
                _sentence(fix),
            ]
        )
    amber = sum(str(c.get("light")) == "amber" for c in found.checks)
    words = f"{found.red} red, {amber} amber. " + (
        "Nothing stands in the way of training."
        if not found.red
        else "Training is refused until what is red is mended."
    )
    shown = table(["Check", "Light", "Found", "What to do"], rows, name="Checks before training")
    return section(
        f'<h2>Before training</h2><p class="soft">{text(words)} Looked at {moment(found.at)} UTC.'
        f"</p>{shown}"
    )


def rule_html(store: Store, rule: Retrain, config: AnnotateConfig, *, runner: RoundRunner) -> str:
    """The retraining rule and what it waits for; "" where it is off."""
    words = rule_words(rule)
    if not words:
        return ""
    why = look(store, rule, config, runner=runner).decision.why
    return section(
        f'<h2>Retraining rule</h2><p>{text(words)}.</p><p class="soft" id="ad-rule">{code(why)}</p>'
    )


def policies_html(store: Store, workspace: Path) -> str:
    """The policies: what each was trained on and answered, how often it wins, and its verdict."""
    figures = kept_figures(store)
    summaries = {summary.round: summary for summary in figures.rounds}
    rows = []
    for policy in reversed(policies(store)):
        summary = summaries.get(policy.round)
        done = (
            f"{many(summary.responses, 'answer')}, {summary.settled:,} of {many(summary.pairs, 'pair')} settled"
            if summary
            else "no answers yet"
        )
        trained = many(summary.triplets, "triplet") if summary and summary.triplets else "not yet"
        rate = figures.rates.get(policy.id) or rate_of([])  # it came this minute
        verdict = standing_verdict(workspace, policy.round, rate) if policy.round > 0 else None
        rows.append(
            [
                f"round {policy.round}",
                policy.method,
                _won(rate),
                _verdict(verdict),
                _report_link(workspace, policy.round),
                done,
                trained,
                policy.base_model,
            ]
        )
    head = ["Policy", "Made by", "Win rate against SFT", "Verdict", "Report"]
    head += ["Answers and pairs", "Next one trained on", "Base model"]
    shown = table(head, rows, empty="No policy yet.", name="Policies")
    return section(f"<h2>Policies</h2>{shown}")


def newest_doubts(store: Store, workspace: Path) -> tuple[int, list[Doubt]]:
    """The newest round with a report of its labels, and those its policy contradicts; 0, []."""
    for policy in reversed(policies(store)):
        if policy.round > 0 and (found := doubts(workspace, policy.round)):
            return policy.round, found
    return 0, []


def doubts_html(store: Store, number: int, found: Sequence[Doubt]) -> str:
    """Labels worth a second look."""
    if not found:
        return ""
    with store.connected():
        ids = [doubt.pair_id for doubt in found]
        prompts = prompt_excerpts(store, ids, chars=_EXCERPT)
        decided, sent = adjudicating.standing(store), adjudicating.case_requests(store)
    rows = [
        [
            _sentence(prompts.get(doubt.pair_id, (0, "(this pair is not in the store)"))[1]),
            f"{doubt.margin:+.2f}",
            "held out" if doubt.split == "validation" else "trained on",
            "decided" if doubt.pair_id in decided else "sent" if doubt.pair_id in sent else "",
            doubt.pair_id,
        ]
        for doubt in found
    ]
    head = ["Prompt", "Margin", "Pair was", "Adjudication", "Pair"]
    return section(
        f"<h2>Labels worth a second look</h2>"
        f'<p class="soft">Where the policy of round {number} contradicts people most, the label may '
        "be wrong. Margin: the implicit reward of the answer people chose, less the other one's. "
        "Adjudicators see these pairs under Doubted, never the margin.</p>"
        f"{table(head, rows, name='Labels worth a second look')}"
    )


def _sentence(words: str) -> Raw:
    return Raw(f'<span class="sentence">{text(words)}</span>')


def _won(rate: WinRate) -> Raw:
    """As people judged the comparisons so far, a tie being half a win."""
    if not rate.comparisons:
        return Raw("")
    of = f"{rate.low:.0%} to {rate.high:.0%}, of {rate.comparisons:,} judged"
    return Raw(f'<b>{rate.value:.0%}</b><span class="below">{text(of)}</span>')


def _verdict(verdict: RoundVerdict | None) -> Raw:
    if verdict is None:
        return Raw("")
    kind = {True: "done", False: "failed", None: "idle"}[verdict.promote]
    return Raw(f"{badge(verdict.word, kind=kind)}{_sentence(verdict.reason)}")


def _report_link(workspace: Path, number: int) -> Raw:
    if number < 1 or not (round_folder(workspace, number) / "report.html").is_file():
        return Raw("")
    return Raw(
        f'<a href="/api/rounds/{number}/report" target="_blank" rel="noopener" '
        f'aria-label="Report of round {number}, in a new tab">Report</a>'
    )


def _outcome(state: ChildState, run: RunStatus | None) -> str:
    """running, done, stopped or failed; the run's own word where the exit code is not known."""
    if state.running:
        return "stopping" if state.stop_asked else "running"
    # A check ends with 1 where a light is red: it did its work all the same.
    looked = state.verb == "check" and state.exit_code == 1
    if state.exit_code == 0 or looked or (state.exit_code is None and run is RunStatus.DONE):
        return "done"
    return "stopped" if state.stop_asked or run is RunStatus.STOPPED else "failed"


def _after(state: ChildState, status: str) -> str:
    if state.running:
        return ""
    if state.verb == "check":
        return "" if status == "done" else next_html("The log above says why it found nothing out.")
    if status == "done":
        return next_html(_AFTER.get(state.verb, ""))
    if status == "stopped":
        return next_html("It was stopped. Starting it again goes on where it was.")
    return next_html("The log above says why it failed. Starting it again goes on where it was.")
