"""The verb: form pairs of the answers in the store and append those it does not have.

Safe to repeat: a pair is named by its two answers, and the same answers, settings and seed give the
same pairs. What was formed, how, and what was left out is a run of its own.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from generate.config import GenerateConfig
from generate.filters import Drop, Filters
from generate.pairs import Formed, Known, form_pairs, policy_pairs
from generate.scores import judged_scores, points_of
from generate.strategies import Strategy
from storage.errors import NotReadyError
from storage.judges import model_judgments
from storage.pairs import consensus_by_pair, number_of_pairs, pairs, pairs_of_prompts
from storage.policies import policies
from storage.prompts import portions, prompt_ids_of
from storage.records import Policy, Purpose, Response, Split, Verdict, content_id
from storage.responses import answers_to
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog, run_events
from storage.store import Store, utc_now
from storage.words import many

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsMade:
    """What forming pairs came to: all of the round, those that are new, and what was left out."""

    all_pairs: int
    new_pairs: int
    drops: Counter[Drop]


def filters_of(config: GenerateConfig) -> Filters:
    """The filters that the configuration asks for."""
    shown = ((Drop.TRUNCATED, config.show_truncated), (Drop.REFUSED, config.show_refused))
    return Filters(
        near_duplicate=config.near_duplicate,
        refusals=config.refusals,
        show=frozenset(drop for drop, show in shown if show),
    )


def form_training_pairs(
    store: Store,
    policy: Policy,
    config: GenerateConfig,
    *,
    against: Policy | None = None,
    scores: Mapping[str, float] | None = None,
    dry_run: bool = False,
) -> PairsMade:
    """Pair what this policy answered outside the test prompts, as config.strategy says.

    against: whose answers policy-against-policy adds (default: the policy's parent).
    scores: by response id, instead of what models judged. Raises NotReadyError where the strategy
    needs what is not there. dry_run: nothing is appended.
    """
    strategy = config.strategy
    rival = None
    if strategy is Strategy.POLICY_AGAINST_POLICY:
        rival = _rival(store, policy, against)
    if strategy.needs_scores and scores is None:
        scores = _model_scores(store)
    points = points_of(consensus_by_pair(store)) if strategy is Strategy.SWISS else {}
    tally = _Tally()
    for some in portions(prompt_ids_of(store, Split.TRAIN, Split.VALIDATION)):
        with store.connected():
            answers = answers_to(store, policy.id, some)
            there = pairs_of_prompts(store, some, purpose=Purpose.TRAIN)
            others = [] if rival is None else answers_to(store, rival.id, some)
        mine = {r.prompt_id for r in answers}
        answers += [r for r in others if r.prompt_id in mine]
        formed = form_pairs(
            by_prompt(answers),
            strategy=strategy,
            pairs_per_prompt=config.pairs_per_prompt,
            filters=filters_of(config),
            seed=config.seed,
            number=policy.round,
            now=utc_now(),
            known=Known(pairs=there, scores=scores or {}, points=points),
        )
        tally.take(formed, answers, rivals=len(others), scores=scores or {})
        if not dry_run:
            store.append(formed.pairs)
    _refuse_hopeless(strategy, policy, rival, tally)
    of_round = number_of_pairs(store, policy.round, purpose=Purpose.TRAIN)
    made = PairsMade(
        all_pairs=of_round + (tally.pairs if dry_run else 0),
        new_pairs=tally.pairs,
        drops=tally.drops,
    )
    if not dry_run:
        settings = config.model_dump(
            mode="json",
            include={"strategy", "pairs_per_prompt", "near_duplicate", "seed"}
            | {"show_truncated", "show_refused", "refusals"},
        )
        _record(store, made, policy, tally.answers, settings)
    return made


@dataclass(kw_only=True)
class _Tally:
    """What the portions of prompts came to, added up."""

    answers: int = 0
    pairs: int = 0
    rivals: int = 0  # answers of the policy that this one meets
    scored: int = 0
    temperatures: set[float] = field(default_factory=set)
    drops: Counter[Drop] = field(default_factory=Counter)

    def take(
        self,
        formed: Formed,
        answers: Sequence[Response],
        *,
        rivals: int,
        scores: Mapping[str, float],
    ) -> None:
        self.answers += len(answers)
        self.pairs += len(formed.pairs)
        self.rivals += rivals
        self.scored += sum(r.id in scores for r in answers)
        self.temperatures |= {r.temperature for r in answers}
        self.drops += formed.drops


def _refuse_hopeless(
    strategy: Strategy, policy: Policy, rival: Policy | None, tally: _Tally
) -> None:
    """Raise NotReadyError where the strategy could form no pair of any prompt's answers."""
    if rival is not None and not tally.rivals:
        raise NotReadyError(
            f"The policy of round {rival.round} has no stored answers for policy-against-policy."
        )
    if strategy is Strategy.ACROSS_TEMPERATURES and len(tally.temperatures) == 1:
        raise NotReadyError(
            f"Every answer of round {policy.round} was sampled at temperature "
            f"{min(tally.temperatures):g}, so none can meet one of another temperature. Add to "
            "generate.temperatures and run `pairloop generate`, or take another --strategy."
        )
    if strategy.needs_scores and not tally.scored:
        raise NotReadyError(
            f"The strategy {strategy.value} needs scores of round {policy.round}'s answers, and "
            "there are none. Form pairs with `pairloop generate --strategy random` and have them "
            "judged with `pairloop judge`, or give --scores FILE with response_id and score."
        )


def form_comparisons(
    store: Store,
    ours: Policy,
    theirs: Policy,
    config: GenerateConfig,
    prompt_ids: Sequence[str],
    *,
    response_ids: Collection[str],
) -> PairsMade:
    """Pair two policies' answers to these prompts among these responses, for blind evaluation.

    Looping answers and stock refusals are shown here: leaving them out would flatter their policy.
    """
    filters = filters_of(config)
    shown = Filters(
        near_duplicate=filters.near_duplicate,
        show=filters.show | {Drop.LOOPING, Drop.REFUSED},
    )
    answers = new = all_pairs = 0
    drops: Counter[Drop] = Counter()
    for some in portions(prompt_ids):
        with store.connected():
            mine, other = (
                [r for r in answers_to(store, policy.id, some) if r.id in response_ids]
                for policy in (ours, theirs)
            )
            there = pairs_of_prompts(store, some, purpose=Purpose.EVALUATION)
        formed = policy_pairs(
            by_prompt(mine), by_prompt(other), filters=shown, number=ours.round, now=utc_now()
        )
        known = {p.id for p in there if p.round == ours.round}
        fresh = [p for p in formed.pairs if p.id not in known]
        store.append(fresh)
        answers += len(mine) + len(other)
        new, all_pairs = new + len(fresh), all_pairs + len(formed.pairs)
        drops += formed.drops
    made = PairsMade(all_pairs=all_pairs, new_pairs=new, drops=drops)
    settings = {"strategy": "policy against policy", "against": theirs.id}
    settings |= config.model_dump(mode="json", include={"near_duplicate", "show_truncated"})
    _record(store, made, ours, answers, settings)
    return made


def by_prompt(responses: Iterable[Response]) -> dict[str, list[Response]]:
    """The responses to each prompt, by its id."""
    grouped: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        grouped[response.prompt_id].append(response)
    return grouped


def _rival(store: Store, policy: Policy, against: Policy | None) -> Policy:
    """Whose answers meet the policy's; raises NotReadyError where there is no other policy."""
    rival = against or next((p for p in policies(store) if p.id == policy.parent), None)
    if rival is None:
        raise NotReadyError(
            "policy-against-policy needs a second policy, and round 0 is the first. Train one with "
            "`pairloop train`, or name one with --against."
        )
    if rival.id == policy.id:
        raise NotReadyError(
            "policy-against-policy needs two policies, and --against names the newest one itself."
        )
    return rival


def _model_scores(store: Store) -> dict[str, float]:
    rows = model_judgments(store).select(["pair_id", "verdict"]).to_pylist()
    votes = ((row["pair_id"], Verdict(row["verdict"])) for row in rows)
    return judged_scores((p for p in pairs(store) if p.purpose is Purpose.TRAIN), votes)


def _record(
    store: Store, made: PairsMade, policy: Policy, answers: int, settings: Mapping[str, object]
) -> None:
    """Append the run that formed pairs; one that says nothing new is left out."""
    drops = {reason.value: count for reason, count in sorted(made.drops.items())}
    counts = {"answers": answers, "pairs": made.all_pairs}
    counts |= {f"dropped_{reason}": count for reason, count in drops.items()}
    run_id = content_id("f1", [policy.id, dict(settings), counts])
    with store.connected():
        if made.new_pairs or not run_events(store, run_id):
            run = RunLog(store, RunKind.PAIRS, number=policy.round, config=settings, run_id=run_id)
            run.event(
                f"{many(made.new_pairs, 'new pair')} of {made.all_pairs}",
                progress=1.0,
                status=RunStatus.DONE,
                metrics={"new_pairs": float(made.new_pairs)}
                | {name: float(n) for name, n in counts.items()},
            )
    log.info(
        "pairs round=%d n=%d new=%d drops=%s", policy.round, made.all_pairs, made.new_pairs, drops
    )
