"""What a training run would do: the newest policy's settled pairs, gathered and looked over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from storage.errors import NotReadyError
from storage.judgments import by_people, votes
from storage.pairs import consensus_by_pair, pairs_of_round
from storage.policies import find_policy, newest_policy
from storage.prompts import prompts
from storage.records import Pair, Policy, Purpose, Split, content_id
from storage.store import Store
from storage.tallies import model_votes, remarks_of_people
from train.check import data_checks
from train.config import MAX_FLIP_RATE, PREVIOUS, BothBad, Loss, Method, Ties, TrainConfig
from train.examples import Example, edited_examples, examples_of, singles_of
from train.judgments_used import edits_of, margins_of
from train.preflight import Check, Data, Light
from train.prepare import Job
from train.rows import texts_of
from train.triplets import Built, Drop, build_triplets
from train.weights import Weights, tokenizer_of

_ELSEWHERE = {"launch": {"main_address"}}  # may be another on every day


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

    @property
    def next_round(self) -> int:
        return self.policy.round + 1

    def work(self, workspace: Path) -> Path:
        """Where its checkpoints are kept until it is published."""
        return workspace / "policies" / f".work-{self.fingerprint[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A plan with its data: the job for the trainer, and what the checks look at."""

    workspace: Path
    job: Job
    data: Data
    reference: Policy

    def checks(self) -> list[Check]:
        """Those that need no model."""
        return data_checks(self.data)


def plan_training(store: Store, config: TrainConfig, *, run_id: str, now: datetime) -> Plan:
    """Triplets of the newest policy's own pairs; raises NotReadyError when too few are settled."""
    policy = newest_policy(store)
    if policy is None:
        raise NotReadyError(
            "There is nothing to train on: no policy has answered prompts yet. "
            "Begin with `pairloop generate`."
        )
    pairs = pairs_of_round(store, policy.round, purpose=Purpose.TRAIN)
    built = build_triplets(
        pairs,
        consensus_by_pair(store),
        {p.id: p for p in prompts(store)},
        run_id=run_id,
        now=now,
        models=model_votes(store),
        judge_votes=config.judge_votes,
        alike=_alike(config),
    )
    usable = len(built.of(Split.TRAIN))
    if usable < config.min_triplets:
        total = len(built.triplets) + built.drops.total() + len(built.unpaired)
        because = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in built.drops.items())
        heldout = len(built.of(Split.VALIDATION))
        raise NotReadyError(
            f"Cannot train round {policy.round + 1}: {usable} of {total} pairs of round "
            f"{policy.round} are settled training preferences and train.min_triplets is "
            f"{config.min_triplets} ({heldout} held out for validation; {because or 'no drops'}). "
            "Collect more judgments with `pairloop annotate`, or lower train.min_triplets or "
            "annotate.votes_per_pair in pairloop.toml."
        )
    edits = edits_of(remarks_of_people(store), pairs, built.of(Split.TRAIN)) if config.edits else {}
    given = votes(store, purposes=[Purpose.TRAIN]) if config.method is Method.REWARD else None
    margins = {} if given is None else _margins(given, pairs, built)
    facts = [
        policy.id,
        config.model_dump(mode="json", exclude=_ELSEWHERE),
        sorted([t.pair_id, t.chosen, t.split.value] for t in built.triplets),
        sorted([u.pair_id, u.desirable] for u in built.unpaired),
        edits,
        margins,
    ]
    return Plan(
        run_id=run_id,
        policy=policy,
        built=built,
        fingerprint=content_id("f2", facts).split(":")[1],
        edits=edits,
        margins=margins,
        votes=given,
    )


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


def gather(
    store: Store, workspace: Path, plan: Plan, config: TrainConfig, *, flip_rate: float | None
) -> Gathered:
    """Read everything the plan trains on.

    flip_rate: how often a vote is wrong in this project, None where that is not known; the robust
    loss needs it, or train.flip_rate.
    """
    triplets, held = (plan.built.of(s) for s in (Split.TRAIN, Split.VALIDATION))
    unpaired = [u for u in plan.built.unpaired if u.split is Split.TRAIN]
    texts = texts_of(store, plan.built.triplets, unpaired)
    weights, reference = weights_of(workspace, plan.policy), reference_of(store, plan, config)
    tokenizer = tokenizer_of(weights)
    given = plan.votes if plan.votes is not None else votes(store, purposes=[Purpose.TRAIN])
    examples = [
        replace(e, margin=plan.margins.get(e.pair_id, 0.0))
        for e in _weighed(examples_of(triplets, texts, tokenizer), config)
    ]
    job = Job(
        examples=examples + edited_examples(triplets, examples, plan.edits, texts, tokenizer),
        heldout=examples_of(held, texts, tokenizer),
        policy=weights,
        reference=weights_of(workspace, reference),
        flip_rate=_flip_rate(config, flip_rate),
        config=config,
        cache=workspace / "cache" / "reference",
        work=plan.work(workspace),
        singles=singles_of(unpaired, texts, tokenizer),
    )
    data = Data(
        triplets=triplets,
        held=held,
        train=examples,
        extra=job.examples[len(examples) :],
        singles=job.singles,
        heldout=job.heldout,
        texts=texts,
        votes=by_people(given),
        tokenizer=tokenizer,
        config=config,
    )
    return Gathered(workspace=workspace, job=job, data=data, reference=reference)


def refuse_red(checks: Sequence[Check]) -> None:
    """Raise NotReadyError where a light is red."""
    red = [c for c in checks if c.light is Light.RED]
    if red:
        found = " ".join(f"{c.name}: {c.finding} ({', '.join(c.examples)}). {c.fix}" for c in red)
        raise NotReadyError(f"Nothing was trained, {len(red)} check(s) are red. {found}")


def weights_of(workspace: Path, policy: Policy) -> Weights:
    """Where a policy's weights lie; a fully tuned one's base is a folder of the workspace."""
    whole = workspace / policy.base_model
    return Weights(
        policy_id=policy.id,
        base_model=str(whole) if whole.is_dir() else policy.base_model,
        adapter=workspace / policy.adapter if policy.adapter else None,
    )


def reference_of(store: Store, plan: Plan, config: TrainConfig) -> Policy:
    """The policy that train.reference names; raises ConfigurationError for one there is not."""
    if config.reference == PREVIOUS:
        return plan.policy
    return find_policy(store, config.reference)


def _weighed(examples: Sequence[Example], config: TrainConfig) -> list[Example]:
    """With the weights and probabilities that the settings ask for."""
    return [
        replace(
            e,
            weight=e.weight if config.pair_weights else 1.0,
            probability=e.probability if config.soft_labels else 1.0,
        )
        for e in examples
    ]


def measures_flips(config: TrainConfig) -> bool:
    """Whether training needs to know how often this project's votes are wrong."""
    return config.loss is Loss.ROBUST and config.flip_rate is None


def _flip_rate(config: TrainConfig, measured: float | None) -> float:
    if config.loss is not Loss.ROBUST:
        return 0.0
    rate = config.flip_rate if config.flip_rate is not None else measured
    if rate is None:
        raise NotReadyError(
            'train.loss = "robust" needs to know how often a vote is wrong, and too few pairs have '
            "two votes to tell. Set train.flip_rate, or collect a second vote on some pairs."
        )
    return min(rate, MAX_FLIP_RATE)
