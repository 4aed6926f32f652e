"""What a plan trains on, read from the store: the trainer's job, and what the checks look at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.errors import NotReadyError
from storage.judgments import by_people, votes
from storage.policies import find_policy
from storage.records import Policy, Purpose, Split
from storage.responses import responses_of
from storage.store import Store
from storage.words import many
from train.asked import asked_of, checks_of
from train.check import data_checks
from train.checks_adapter import adapter
from train.config import (
    MAX_FLIP_RATE,
    PREVIOUS,
    Loss,
    TrainConfig,
)
from train.examples import Example, edited_examples, examples_of, singles_of
from train.plan import Plan, Rlhf, counted_as
from train.preflight import Check, Data, Light
from train.prepare import Job
from train.reward_model import check_of, refuse_other_tokens
from train.rows import texts_of
from train.weights import ScorerWeights, Weights, tokenizer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A plan with its data: the job for the trainer, and what the checks look at."""

    workspace: Path
    job: Job
    data: Data
    reference: Policy
    prompt_checks: Sequence[Check] = ()  # where prompts are trained on, not triplets

    def checks(self) -> list[Check]:
        """Those that need no model."""
        checks = [*self.prompt_checks] if self.job.asked else data_checks(self.data)
        return [*checks, adapter(self.job)]


def gather(
    store: Store, workspace: Path, plan: Plan, config: TrainConfig, *, flip_rate: float | None
) -> Gathered:
    """Read everything the plan trains on.

    flip_rate: how often a vote is wrong in this project, None where that is not known; the robust
    loss needs it, or train.flip_rate.
    """
    triplets, held = (plan.built.of(s) for s in (Split.TRAIN, Split.VALIDATION))
    unpaired = [u for u in plan.built.unpaired if u.split is Split.TRAIN]
    texts = texts_of(store, [*plan.built.triplets, *plan.built.even], unpaired)
    weights, reference = weights_of(workspace, plan.policy), reference_of(store, plan, config)
    tokenizer = tokenizer_of(weights)
    given = plan.votes if plan.votes is not None else votes(store, purposes=[Purpose.TRAIN])
    examples = [
        replace(e, margin=plan.margins.get(e.pair_id, 0.0))
        for e in _weighed(examples_of(triplets, texts, tokenizer), config)
    ]
    even = [replace(e, even=True) for e in examples_of(plan.built.even, texts, tokenizer)]
    edited = edited_examples(triplets, examples, plan.edits, texts, tokenizer)
    job = Job(
        examples=[*examples, *edited, *even],
        heldout=examples_of(held, texts, tokenizer),
        policy=weights,
        reference=weights_of(workspace, reference),
        flip_rate=_flip_rate(config, flip_rate),
        config=config,
        cache=workspace / "cache" / "reference",
        work=plan.work(workspace),
        singles=singles_of(unpaired, texts, tokenizer),
        asked=() if plan.rlhf is None else asked_of(plan.rlhf.choice.prompts, tokenizer),
        scorer=None if plan.rlhf is None else _scorer_of(workspace, plan.rlhf, tokenizer),
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
    checked = () if plan.rlhf is None else _prompt_checks(store, plan, plan.rlhf, job)
    return Gathered(
        workspace=workspace, job=job, data=data, reference=reference, prompt_checks=checked
    )


def _scorer_of(workspace: Path, rlhf: Rlhf, tokenizer: Any) -> ScorerWeights:
    model = rlhf.reward_model
    whole = workspace / model.base_model
    base_model = str(whole) if whole.is_dir() else model.base_model
    base = Weights(policy_id=model.name, base_model=base_model, adapter=None)
    refuse_other_tokens(model, tokenizer_of(base), tokenizer)
    return ScorerWeights(base_model=base_model, folder=model.folder(workspace))


def _prompt_checks(store: Store, plan: Plan, rlhf: Rlhf, job: Job) -> list[Check]:
    read = {
        r.prompt_id: r.prompt_token_ids
        for r in responses_of(store, plan.policy.id)
        if r.prompt_token_ids
    }
    return [
        *checks_of(job.asked, rlhf.choice, job.config, read=read),
        check_of(rlhf.reward_model, newest_round=plan.policy.round),
    ]


def refuse_red(checks: Sequence[Check]) -> None:
    """Raise NotReadyError where a light is red."""
    red = [c for c in checks if c.light is Light.RED]
    if red:
        found = " ".join(f"{c.name}: {c.finding} ({', '.join(c.examples)}). {c.fix}" for c in red)
        raise NotReadyError(
            f"Nothing was trained, {many(len(red), 'check is', 'checks are')} red. {found}"
        )


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
    found = []
    for e in examples:
        weight, probability = counted_as(e.weight, e.probability, config)
        found.append(replace(e, weight=weight, probability=probability))
    return found


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
