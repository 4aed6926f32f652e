"""The reward model that GRPO and RLOO learn from: the newest that `method = "reward"` trained here."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError, NotReadyError
from storage.intervals import wilson
from storage.runs import runs
from storage.store import Store
from storage.words import many
from train.preflight import Check, Light
from train.weights import weights_hash

HOW = "`pairloop train --method reward`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    """A folder of rewards/, and what its run.json tells.

    base_model: an id or a path, as the run that trained it names it. round: whose pairs it learned
    from. heldout: pairs that it was judged on; right: how many it ordered as people did.
    """

    name: str
    weights_hash: str
    base_model: str
    round: int
    run_id: str
    heldout: int
    right: int

    def folder(self, workspace: Path) -> Path:
        return workspace / "rewards" / self.name

    def as_json(self) -> dict[str, Any]:
        """For run.json and the run's configuration: which one it was, to the byte."""
        return asdict(self)


def newest_reward_model(store: Store, workspace: Path) -> RewardModel:
    """Of the reward models that runs of this store trained; raises NotReadyError without any."""
    begun = {state.run.id: state.run.created_at for state in runs(store)}
    reports = {
        file.parent: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted((workspace / "rewards").glob("*/run.json"))
    }
    known = {folder: r for folder, r in reports.items() if r["run_id"] in begun}
    if not known:
        raise NotReadyError(
            "GRPO and RLOO learn from a reward model's scores, and none was trained here. "
            f"Train one on the settled pairs first: {HOW}."
        )
    folder = max(known, key=lambda f: (begun[known[f]["run_id"]], f.name))
    report = known[folder]
    accuracy = report["heldout_accuracy"]
    return RewardModel(
        name=folder.name,
        weights_hash=weights_hash(folder),
        base_model=report["base_model"],
        round=int(report["round"]) - 1,
        run_id=report["run_id"],
        heldout=int(report["heldout"]),
        right=0 if accuracy is None else round(accuracy * report["heldout"]),
    )


def check_of(model: RewardModel, *, newest_round: int) -> Check:
    """Whether its scores say what people prefer of this policy's answers."""
    low, high = wilson(model.right, model.heldout) if model.heldout else (0.0, 1.0)
    seen = f"rewards/{model.name}, of round {model.round}'s pairs"
    seen += (
        f", right in {model.right} of {many(model.heldout, 'held-out pair')} ({low:.0%} to {high:.0%})"
        if model.heldout
        else ", judged on no held-out pairs"
    )
    fixes = []
    if low <= 0.5:
        fixes.append(
            "It may be no better than chance, and a policy learns whatever it scores high: collect "
            f"more judgments and train it again, {HOW}"
        )
    if model.round < newest_round:
        fixes.append(
            f"It never saw answers of round {newest_round}'s policy: judge some of them and train "
            f"it again, {HOW}"
        )
    return Check(
        name="reward model",
        light=Light.AMBER if fixes else Light.GREEN,
        count=model.heldout,
        finding=seen,
        fix=". ".join(fixes),
    )


def refuse_other_tokens(model: RewardModel, reads: Any, tokenizer: Any) -> None:
    """Raise ModelError where a reward model's tokenizer `reads` other ids than the policy writes."""
    if reads.get_vocab() != tokenizer.get_vocab():
        raise ModelError(
            f"The reward model rewards/{model.name} is on {model.base_model}, whose tokens are "
            "not the policy's, so it cannot read the policy's answers. Train one on this policy's "
            f"pairs: {HOW}."
        )
