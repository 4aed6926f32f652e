"""The model card and the loss curve that go with a trained policy."""

from pathlib import Path
from typing import Any

from storage.records import Policy
from storage.words import many
from train.triplets import counted_ties

CARD = """---
base_model: {base_model}
library_name: peft
tags: [{method}, trl, peft, pairloop]
---
# {title}

Weights on `{base_model}`, trained with {named} on human preferences between this model's own answers
by pairloop.

| | |
| --- | --- |
| trained from | policy `{parent_policy}` (round {previous}) |
| learned from | {learned} ({heldout} pairs held out) |
| pairs left out | {drops} |
| held-out preference accuracy | {accuracy} |
| loss, first and last step | {losses} |
| run | `{run_id}` |

Reference: {reference}. Settings, library versions and the whole training
history are in `run.json`; `report.html` shows curves, held-out rewards, slices, labels worth a
second look and answers before and after; `rewards.parquet` holds the implicit rewards.

![Training loss]({plot})
"""


def model_card(report: dict[str, Any]) -> str:
    """README.md of policies/round-N."""
    history = report["history"]
    accuracy = report["heldout_accuracy"]
    scores_only = report["method"] == "reward"
    return CARD.format(
        base_model=report["base_model"],
        round=report["round"],
        previous=report["round"] - 1,
        parent_policy=report["parent_policy"],
        learned=_learned(report),
        heldout=report["heldout"],
        drops=", ".join(f"{n} {reason}" for reason, n in report["drops"].items()) or "none",
        accuracy="no validation pairs" if accuracy is None else f"{accuracy:.3f}",
        losses=f"{history[0]['loss']:.4f}, {history[-1]['loss']:.4f}" if history else "none",
        run_id=report["run_id"],
        plot="loss.png",
        method=report["method"],
        named="a reward loss" if scores_only else str(report["method"]).upper(),
        title=f"Reward model of round {report['round'] - 1}"
        if scores_only
        else f"Policy of round {report['round']}",
        reference=report["reference"]["policy"] or "none, this method has none",
    )


def _learned(report: dict[str, Any]) -> str:
    model = report["reward_model"]
    if model is not None:
        return (
            f"{many(report['prompts'], 'prompt')}, its answers scored by `rewards/{model['name']}`"
        )
    return many(report["triplets"], "triplet") + (
        f", {counted_ties(n)}" if (n := report["ties"]) else ""
    )


POLICY_CARD = """---
base_model: {base_model}
license: {licence}
library_name: {library}
pipeline_tag: text-generation
tags: [{tags}]
---
# Policy of round {round}

{what}

| | |
| --- | --- |
| base model | `{base_model}` |
| policy | `{policy}` (round {round}) |
| trained from | {parent} |
| adapter weights, sha256 | {adapter_hash} |
| run | {run} |

{check}
"""


def policy_card(
    policy: Policy, *, merged: bool, licence: str, checked: int, error: float | None
) -> str:
    """README.md of an exported policy. error: nats per token, None where nothing was checked."""
    trained = f"trained with {policy.method.upper()} on human preferences by pairloop"
    if policy.parent is None:
        what = f"`{policy.base_model}` as it is, exported by pairloop."
    elif merged:
        what = f"`{policy.base_model}`, {trained}; the whole model."
    else:
        what = f"A LoRA adapter of `{policy.base_model}`, {trained}."
    return POLICY_CARD.format(
        base_model=policy.base_model,
        licence=licence,
        library="transformers" if merged else "peft",
        tags=", ".join(
            [policy.method, "pairloop"] if merged else [policy.method, "peft", "pairloop"]
        ),
        round=policy.round,
        what=what,
        policy=policy.id,
        parent=f"`{policy.parent}`" if policy.parent else "nothing: this is the SFT model",
        adapter_hash=f"`{policy.adapter_hash}`" if policy.adapter_hash else "none",
        run=f"`{policy.run_id}`" if policy.run_id else "none",
        check="Not checked against the policy: no answers with token ids were stored."
        if error is None
        else f"Loaded again, these files gave {many(checked, 'stored answer')} the policy's own "
        f"log-probabilities, to {error:.1e} nats per token.",
    )


def loss_plot(report: dict[str, Any], path: Path) -> None:
    """Loss and reward margin, or a reward model's score, over the steps, as a PNG."""
    from matplotlib.figure import Figure

    history = report["history"]
    steps = [row["step"] for row in history]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [row["loss"] for row in history])
    pairs = report["reward_model"] is None
    left.set(title="Loss", xlabel="step", ylim=(0, None) if pairs else None)
    name = "rewards/margins" if pairs else "reward"
    right.plot(steps, [row.get(name, float("nan")) for row in history])
    words = "Reward margin (chosen - rejected)" if pairs else "Reward model's score of its answers"
    right.set(title=words, xlabel="step")
    figure.savefig(path, dpi=120)
