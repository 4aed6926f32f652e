"""`pairloop generate --pairs-only`: new pairs of the answers that are stored, without sampling."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generate.config import GenerateConfig
from generate.strategies import Strategy
from storage.errors import ConfigurationError, NotReadyError
from storage.words import many

if TYPE_CHECKING:
    from pairloop.workspace import Workspace
    from storage.records import Policy
    from storage.store import Store


IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairChoice:
    """The flags that say which answers meet; "" where one was not given."""

    strategy: Strategy | None
    against: str
    scores: str

    def applied(self, config: GenerateConfig, *, pairs_only: bool) -> GenerateConfig:
        """The configuration with the flags over it; raises ConfigurationError where they clash."""
        made = config.model_copy(update={"strategy": self.strategy} if self.strategy else {})
        if self.against and made.strategy is not Strategy.POLICY_AGAINST_POLICY:
            raise ConfigurationError(
                f"--against goes with --strategy policy-against-policy, not {made.strategy.value}."
            )
        if self.scores and not made.strategy.needs_scores:
            raise ConfigurationError(
                "--scores goes with --strategy uncertain or best-against-lower, not "
                f"{made.strategy.value}."
            )
        if (self.against or self.scores) and not pairs_only:
            raise ConfigurationError(
                "--against and --scores are about answers that are stored: add --pairs-only."
            )
        return made


def form(space: "Workspace", choice: PairChoice, *, dry_run: bool, as_json: bool) -> None:
    """Form the newest policy's pairs and say what was written, or would be."""
    from annotate.consensus import settle
    from annotate.settings import in_force
    from generate.pair_stage import form_training_pairs
    from generate.scores import read_scores
    from pairloop.report import table
    from storage.policies import find_policy

    config = choice.applied(space.generate, pairs_only=True)
    with space.store() as store:
        policy = find_policy(store, "latest")
        if choice.scores == IMPLICIT:
            scores: dict[str, float] | None = _implicit(space, store, policy)
        else:
            scores = read_scores(choice.scores) if choice.scores else None
        rival = find_policy(store, choice.against) if choice.against else None
        if config.strategy is Strategy.SWISS:
            settle(store, in_force(store, space.annotate))
        made = form_training_pairs(
            store, policy, config, against=rival, scores=scores, dry_run=dry_run
        )
    drops = {reason.value: n for reason, n in sorted(made.drops.items())}
    if as_json:
        found = {"round": policy.round, "strategy": config.strategy.value}
        print(
            json.dumps(
                found | {"new_pairs": made.new_pairs, "pairs": made.all_pairs, "drops": drops}
            )
        )
        return
    if drops:
        rows = [[reason.replace("_", " "), n] for reason, n in drops.items()]
        table("Left out", ["why", "answers or prompts"], rows)
    verb = "would form" if dry_run else "formed"
    print(
        f"Round {policy.round}: {verb} {many(made.new_pairs, 'new pair')} by strategy {config.strategy.value}, "
        f"{made.all_pairs} in all. "
        f"Next: pairloop {'generate --pairs-only' if dry_run else 'annotate'}"
    )


def _implicit(space: "Workspace", store: "Store", policy: "Policy") -> dict[str, float]:
    """The implicit rewards of the policy's answers, against what train.reference names."""
    from generate.implicit import implicit_rewards
    from pairloop.report import progress_bar
    from storage.policies import find_policy, policies
    from storage.prompts import prompts
    from storage.records import Split
    from storage.responses import responses_of
    from train.config import PREVIOUS

    parent = next((p for p in policies(store) if p.id == policy.parent), None)
    if parent is None:
        raise NotReadyError(
            "Implicit rewards compare a trained policy with what it was trained from, and round 0 "
            "was not trained here. Train one with `pairloop train`, or give --scores FILE."
        )
    named = space.train.reference
    reference = parent if named == PREVIOUS else find_policy(store, named)
    testing = {p.id for p in prompts(store) if p.split is Split.TEST}
    answers = [r for r in responses_of(store, policy.id) if r.prompt_id not in testing]
    with progress_bar("Scoring") as tick:
        return implicit_rewards(
            answers,
            model=space.generate.model,
            dtype=space.generate.dtype,
            adapter=space.root / policy.adapter if policy.adapter else None,
            reference_adapter=space.root / reference.adapter if reference.adapter else None,
            progress=lambda done, total: tick(done, total, "answers"),
        )
