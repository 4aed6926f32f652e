"""The model card and the loss curve that go with a trained policy."""

from pathlib import Path
from typing import Any

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
| triplets | {triplets} ({heldout} more held out) |
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
        triplets=report["triplets"],
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


def loss_plot(report: dict[str, Any], path: Path) -> None:
    """Loss and reward margin over the steps, as a PNG."""
    from matplotlib.figure import Figure

    history = report["history"]
    steps = [row["step"] for row in history]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [row["loss"] for row in history])
    left.set(title="Loss", xlabel="step", ylim=(0, None))
    right.plot(steps, [row.get("rewards/margins", float("nan")) for row in history])
    right.set(title="Reward margin (chosen - rejected)", xlabel="step")
    figure.savefig(path, dpi=120)
