"""What a training run would do: the newest policy's settled pairs, or prompts and a reward model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import NotReadyError
from storage.judgments import votes
from storage.pairs import consensus_by_pair, pairs, pairs_of_round
from storage.policies import newest_policy
from storage.prompts import prompts, split_by_prompt
from storage.records import Pair, Policy, Purpose, Split, content_id
from storage.store import Store
from storage.tallies import model_votes, remarks_of_people
from storage.words import many
from train.asked import Choice, choose
from train.config import (
    RLHF,
    WEIGHED,
    BothBad,
    Method,
    Ties,
    TrainConfig,
)
from train.judgments_used import edits_of, margins_of
from train.reward_model import RewardModel, newest_reward_model
from train.triplets import Built, Drop, build_triplets, counted_ties

# Settings that change nothing of what is learned: a run goes on from its checkpoints with another.
_ELSEWHERE = {
    "launch": {"main_address", "machines"},
    "price_per_hour": True,
    "checkpoints": True,
    "gradient_checkpointing": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a training run would do."""

    run_id: str  # of the triplets, and of the run that trains on them
    policy: Policy  # the one trained from
    built: Built
    fingerprint: str  # of data and settings: equal means the same training
    edits: Mapping[str, str]  # edited text of the chosen answer, by pair
    margins: Mapping[str, float]  # between the answers, by pair, for a reward model
    votes: (
        pa.Table | None
    )  # storage.judgments.votes of training pairs, where they were read already
    rlhf: "Rlhf | None" = None  # what GRPO and RLOO learn from instead of triplets

    @property
    def next_round(self) -> int:
        return self.policy.round + 1

    def work(self, workspace: Path) -> Path:
        """Where its checkpoints are kept until it is published."""
        return workspace / "policies" / f".work-{self.fingerprint[:16]}"

    @property
    def lineage(self) -> dict[str, object]:
        """What a run's record names beside its settings."""
        return {} if self.rlhf is None else {"reward_model": self.rlhf.reward_model.as_json()}

    @property
    def learns_from(self) -> str:
        """In words: how many triplets, or prompts and whose scores."""
        if self.rlhf is not None:
            asked = len(self.rlhf.choice.prompts)
            return f"{many(asked, 'prompt')} scored by rewards/{self.rlhf.reward_model.name}"
        ties = f" and {counted_ties(n)}" if (n := len(self.built.even)) else ""
        return f"{many(len(self.built.of(Split.TRAIN)), 'triplet')}{ties}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlhf:
    """The prompts that the policy answers, and what scores its answers."""

    choice: Choice
    reward_model: RewardModel


def plan_training(
    store: Store, workspace: Path, config: TrainConfig, *, run_id: str, now: datetime
) -> Plan:
    """Triplets of the newest policy's own pairs, or prompts and the newest reward model.

    Raises NotReadyError when too few pairs are settled, or there is no reward model.
    """
    policy = newest_policy(store)
    if policy is None:
        raise NotReadyError(
            "There is nothing to train on: no policy has answered prompts yet. "
            "Begin with `pairloop generate`."
        )
    formed = pairs_of_round(store, policy.round, purpose=Purpose.TRAIN)
    built = build_triplets(
        formed,
        consensus_by_pair(store),
        split_by_prompt(store),
        run_id=run_id,
        now=now,
        models=model_votes(store),
        judge_votes=config.judge_votes,
        alike=_alike(config),
        soft_ties=config.ties is Ties.SOFT,
    )
    if config.method in RLHF:
        return _plan_rlhf(store, workspace, config, policy=policy, built=built, run_id=run_id)
    usable = len(built.of(Split.TRAIN))
    if usable < config.min_triplets:
        if not formed:
            raise NotReadyError(
                f"Cannot train round {policy.round + 1}: round {policy.round} has no pairs yet. Make "
                "some with `pairloop generate` and have people compare them with `pairloop annotate`."
            )
        total = len(built.triplets) + built.drops.total() + len(built.unpaired) + len(built.even)
        because = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in built.drops.items())
        heldout = len(built.of(Split.VALIDATION))
        raise NotReadyError(
            f"Cannot train round {policy.round + 1}: {usable:,} of {many(total, 'pair')} of round "
            f"{policy.round} are settled training preferences and train.min_triplets is "
            f"{config.min_triplets} ({heldout} held out for validation; {because or 'no drops'}). "
            "Collect more judgments with `pairloop annotate`, or lower train.min_triplets or "
            "annotate.votes_per_pair in pairloop.toml."
        )
    edits = (
        edits_of(remarks_of_people(store), formed, built.of(Split.TRAIN)) if config.edits else {}
    )
    given = votes(store, purposes=[Purpose.TRAIN]) if config.method is Method.REWARD else None
    margins = {} if given is None else _margins(given, formed, built)
    facts = [
        policy.id,
        config.model_dump(mode="json", exclude=_elsewhere(config)),
        sorted(
            [t.pair_id, t.chosen, t.split.value, *counted_as(t.weight, t.probability, config)]
            for t in built.triplets
        ),
        sorted(t.pair_id for t in built.even),
        sorted([u.pair_id, u.desirable] for u in built.unpaired),
        edits,
        margins,
    ]
    return Plan(
        run_id=run_id,
        policy=policy,
        built=built,
        fingerprint=_fingerprint(facts),
        edits=edits,
        margins=margins,
        votes=given,
    )


def _elsewhere(config: TrainConfig) -> dict[str, Any]:
    """KTO's divergence is estimated within what a device takes at once; the others do not care."""
    return _ELSEWHERE | ({} if config.method is Method.KTO else {"device_batch_size": True})


def _plan_rlhf(
    store: Store, workspace: Path, config: TrainConfig, *, policy: Policy, built: Built, run_id: str
) -> Plan:
    """Held-out pairs are kept, to see the policy by; the others are the reward model's."""
    choice = choose(prompts(store), pairs(store))
    if not choice.prompts:
        raise NotReadyError(
            "There is no training prompt to answer: "
            + ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in choice.left_out.items())
            + ". Add prompts with `pairloop prompts add`."
        )
    model = newest_reward_model(store, workspace)
    held, scored = built.of(Split.VALIDATION), len(built.of(Split.TRAIN))
    drops = built.drops + Counter({Drop.SCORED: scored})
    facts = [
        policy.id,
        config.model_dump(mode="json"),
        sorted(p.id for p in choice.prompts),
        model.name,
        model.weights_hash,
        sorted(t.pair_id for t in held),
    ]
    return Plan(
        run_id=run_id,
        policy=policy,
        built=Built(triplets=held, drops=drops),
        fingerprint=_fingerprint(facts),
        edits={},
        margins={},
        votes=None,
        rlhf=Rlhf(choice=choice, reward_model=model),
    )


def _fingerprint(facts: Sequence[object]) -> str:
    return content_id("f3", facts).split(":")[1]


def counted_as(weight: float, probability: float, config: TrainConfig) -> tuple[float, float]:
    """As the settings let a pair count. A vote that changes neither begins no new training."""
    weighed = config.pair_weights and config.method in WEIGHED
    return weight if weighed else 1.0, probability if config.soft_labels else 1.0


def _alike(config: TrainConfig) -> dict[Drop, bool]:
    """Of the pairs without a winner those that are kept, and whether their answers are wanted."""
    found = {}
    if config.ties is Ties.DESIRABLE:
        found[Drop.TIE] = True
    if config.both_bad is BothBad.UNDESIRABLE:
        found[Drop.BOTH_BAD] = False
    return found


def _margins(given: pa.Table, pairs: Sequence[Pair], built: Built) -> dict[str, float]:
    columns = (given[name].to_pylist() for name in ("pair_id", "verdict", "strength"))
    return margins_of(zip(*columns, strict=True), pairs, built.triplets)
