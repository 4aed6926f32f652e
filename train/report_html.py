"""policies/round-N/report.html: what a round of training did, in one file that loads nothing."""

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.records import Triplet
from train.config import Method
from train.rewards import Reward, doubtful
from train.rows import Texts
from train.samples import Sampled
from train.verdict import Slice, Verdict, slices_of

DOUBTFUL = 20
EXCERPT = 600  # characters of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything the report shows beside run.json's numbers."""

    verdict: Verdict
    rewards: Sequence[Reward]
    heldout: Sequence[Reward]
    triplets: Mapping[str, Triplet]  # by pair
    texts: Texts
    samples: Sequence[Sampled]


def report_html(report: Mapping[str, Any], found: Findings) -> str:
    """The page. report: run.json's content."""
    slices = slices_of(found.heldout, found.triplets, found.texts)
    parts = [
        f"<h1>{_title(report)}</h1>",
        _verdict(found.verdict),
        _facts(report),
        "<h2>Training</h2>" + _curves(report),
        "<h2>Held-out pairs</h2>" + _histogram(found.heldout) + _slices(slices),
        "<h2>Labels worth a second look</h2>" + _doubtful(found),
        "<h2>Before and after</h2>" + _samples(found.samples),
        "<h2>Checks</h2>" + _checks(report["checks"], report["warnings"]),
        "<h2>Settings and lineage</h2>" + _settings(report),
    ]
    title = f"pairloop: {_title(report).lower()}"
    return _PAGE.format(title=title, style=_STYLE, body="\n".join(parts))


def _verdict(verdict: Verdict) -> str:
    words = {True: "Promote", False: "Do not promote", None: "Cannot tell yet"}[verdict.promote]
    kind = {True: "yes", False: "no", None: "open"}[verdict.promote]
    return f'<p class="verdict {kind}"><b>{words}</b>: {html.escape(verdict.reason)}.</p>'


def _title(report: Mapping[str, Any]) -> str:
    if report["method"] == Method.REWARD:
        return f"Reward model of round {report['round'] - 1}"
    return f"Policy of round {report['round']}"


def _facts(report: Mapping[str, Any]) -> str:
    dropped = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in report["drops"].items())
    reference = report["reference"]
    named = f"{reference['policy']}, log-probabilities {reference['logps']}"
    held = named if reference["policy"] else ""
    loss = f", {report['config']['loss']} loss" if report["method"] == Method.DPO else ""
    alike = ", ".join(f"{n} {kind}" for kind, n in report["unpaired"].items())
    return _table(
        ["", ""],
        [
            ["trained from", f"{report['parent_policy']} ({report['base_model']})"],
            ["method", f"{report['method']}{loss}"],
            ["reference", held or "none"],
            *_scored_by(report),
            ["triplets", f"{report['triplets']}, and {report['heldout']} held out"],
            ["ties, of probability 0.5", str(report["ties"])],
            ["edited answers", f"{len(report['edited'])} above the chosen ones"],
            ["answers of ties and both-bad pairs", alike or "none"],
            ["left out", dropped or "nothing"],
        ],
    )


def _scored_by(report: Mapping[str, Any]) -> list[list[str]]:
    model = report["reward_model"]
    if model is None:
        return []
    return [
        ["prompts answered", str(report["prompts"])],
        ["reward model", f"rewards/{model['name']}, SHA-256 {model['weights_hash']}"],
    ]


_OF_PAIRS = {
    "loss": "loss",
    "rewards/margins": "reward margin",
    "rewards/accuracies": "pairs right",
    "logps/chosen_per_token": "chosen, nats per token",
    "entropy": "entropy, nats",
    "grad_norm": "gradient norm",
}
_OF_PROMPTS = {
    "reward": "reward model's score",
    "reward_std": "its spread",
    "kl": "KL to the reference, nats per token",
    "completions/mean_length": "answer, tokens",
    "entropy": "entropy, nats",
    "grad_norm": "gradient norm",
}


def _curves(report: Mapping[str, Any]) -> str:
    from matplotlib.figure import Figure

    history: Sequence[Mapping[str, float]] = report["history"]
    names = _OF_PAIRS if report["reward_model"] is None else _OF_PROMPTS
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for axis, (name, words) in zip(figure.subplots(2, 3).flat, names.items(), strict=True):
        points = [(row["step"], row[name]) for row in history if name in row]
        axis.plot([x for x, _ in points], [y for _, y in points], color="#3b6fd4")
        axis.set_title(words, fontsize=9)
        axis.tick_params(labelsize=8)
    return _svg(figure, "Curves of the training run over its steps")


def _histogram(rewards: Sequence[Reward]) -> str:
    if not rewards:
        return "<p>There are no held-out pairs: prompts are held out by train's split shares.</p>"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist([r.chosen for r in rewards], bins=24, alpha=0.7, label="chosen", color="#3b6fd4")
    left.hist([r.rejected for r in rewards], bins=24, alpha=0.6, label="rejected", color="#d4763b")
    left.legend(fontsize=8)
    left.set_title("implicit reward", fontsize=9)
    right.hist([r.margin for r in rewards], bins=24, color="#5a9367")
    right.axvline(0, color="#888", linewidth=1)
    right.set_title("chosen minus rejected", fontsize=9)
    return _svg(figure, "Implicit rewards of held-out pairs")


def _slices(slices: Sequence[Slice]) -> str:
    rows = [
        [s.name, str(s.pairs), f"{s.accuracy:.1%}", f"{s.low:.1%} to {s.high:.1%}"] for s in slices
    ]
    note = (
        "<p>How often the policy prefers what people chose. With many slices some stand out by "
        "chance; the lowest come first.</p>"
    )
    return note + _table(["held-out pairs", "pairs", "agrees", "95 % interval"], rows)


def _doubtful(found: Findings) -> str:
    rows = []
    for reward in doubtful([*found.rewards, *found.heldout], most=DOUBTFUL):
        t = found.triplets[reward.pair_id]
        prompt = found.texts.prompts[t.prompt_id].messages[-1].content
        rows.append(
            [
                reward.pair_id,
                f"{reward.margin:+.2f}",
                f"{t.votes} ({t.agreement:.0%})",
                prompt[:EXCERPT],
                found.texts.responses[t.chosen].text[:EXCERPT],
                found.texts.responses[t.rejected].text[:EXCERPT],
            ]
        )
    if not rows:
        return "<p>The policy agrees with every label it was shown.</p>"
    head = ["pair", "margin", "votes (agree)", "prompt", "people chose", "people rejected"]
    note = "<p>Where the policy contradicts people most, the label may be wrong.</p>"
    return note + _table(head, rows)


def _samples(samples: Sequence[Sampled]) -> str:
    if not samples:
        return "<p>There are no held-out prompts to answer.</p>"
    rows = [[s.prompt[:EXCERPT], s.before[:EXCERPT], s.after[:EXCERPT]] for s in samples]
    return _table(["held-out prompt", "before", "after"], rows)


def _checks(checks: Sequence[Mapping[str, Any]], warnings: Mapping[str, str]) -> str:
    rows = [[c["name"], c["light"], c["finding"], c["fix"]] for c in checks]
    rows += [[name, "while training", words, ""] for name, words in warnings.items()]
    return _table(["check", "", "found", "what to do"], rows)


def _settings(report: Mapping[str, Any]) -> str:
    rows = [[k, str(v)] for k, v in report["config"].items()]
    rows += [[k, str(v)] for k, v in report["versions"].items()]
    rows += [["run", report["run_id"]], ["data and settings", report["fingerprint"]]]
    return _table(["", ""], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head) if any(head) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _svg(figure: Any, words: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    return f'<figure role="img" aria-label="{html.escape(words)}">{drawn}</figure>'


_STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #1c2430; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top;
  padding: .35rem .7rem; border-bottom: 1px solid #e3e7ee; overflow-wrap: break-word;
  white-space: pre-wrap; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
.verdict { padding: .7rem 1rem; border-radius: .5rem; background: #f1f3f7; }
.verdict.yes { background: #e3f4e8; } .verdict.no { background: #fbe7e3; }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
{body}
</body></html>
"""
