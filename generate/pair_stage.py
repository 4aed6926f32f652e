"""The verb: form pairs of the answers in the store and append those it does not have.

Safe to repeat: a pair is named by its two answers, and the same answers, settings and seed give the
same pairs. What was formed, how, and what was left out is a run of its own.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from generate.config import GenerateConfig
from generate.filters import Drop, Filters
from generate.pairs import Formed, Known, form_pairs, policy_pairs
from generate.scores import judged_scores, points_of
from generate.strategies import Strategy
from storage.errors import NotReadyError
from storage.judges import model_judgments
from storage.pairs import consensus_by_pair, pairs, pairs_of_round
from storage.policies import policies
from storage.prompts import prompts
from storage.records import Pair, Policy, Purpose, Response, Split, Verdict, content_id
from storage.responses import answers_of
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog, run_events
from storage.store import Store, utc_now

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
    with store.connected():
        testing = {p.id for p in prompts(store) if p.split is Split.TEST}
        answers = [r for r in answers_of(store, policy.id) if r.prompt_id not in testing]
        there = [p for p in pairs(store) if p.purpose is Purpose.TRAIN]
        points = points_of(consensus_by_pair(store)) if strategy is Strategy.SWISS else {}
        if strategy.needs_scores and scores is None:
            scores = _model_scores(store, there)
        if strategy is Strategy.POLICY_AGAINST_POLICY:
            mine = {r.prompt_id for r in answers}
            answers += [r for r in _rival_answers(store, policy, against) if r.prompt_id in mine]
    if strategy is Strategy.ACROSS_TEMPERATURES and len({r.temperature for r in answers}) == 1:
        raise NotReadyError(
            f"Every answer of round {policy.round} was sampled at temperature "
            f"{answers[0].temperature:g}, so none can meet one of another temperature. Add to "
            "generate.temperatures and run `pairloop generate`, or take another --strategy."
        )
    if strategy.needs_scores and not any(r.id in (scores or {}) for r in answers):
        raise NotReadyError(
            f"The strategy {strategy.value} needs scores of round {policy.round}'s answers, and "
            "there are none. Form pairs with `pairloop generate --strategy random` and have them "
            "judged with `pairloop judge`, or give --scores FILE with response_id and score."
        )
    formed = form_pairs(
        by_prompt(answers),
        strategy=strategy,
        pairs_per_prompt=config.pairs_per_prompt,
        filters=filters_of(config),
        seed=config.seed,
        number=policy.round,
        now=utc_now(),
        known=Known(
            pairs=there,
            scores=scores or {},
            points=points,
        ),
    )
    of_round = sum(p.round == policy.round for p in there) + len(formed.pairs)
    if dry_run:
        return PairsMade(all_pairs=of_round, new_pairs=len(formed.pairs), drops=formed.drops)
    settings = config.model_dump(
        mode="json",
        include={"strategy", "pairs_per_prompt", "near_duplicate", "seed"}
        | {"show_truncated", "show_refused", "refusals"},
    )
    return _append(store, formed, formed.pairs, policy, of_round, answers, settings)


def form_comparisons(
    store: Store,
    ours: Policy,
    theirs: Policy,
    config: GenerateConfig,
    *,
    response_ids: Collection[str],
) -> PairsMade:
    """Pair two policies' answers among these responses, for blind evaluation.

    Looping answers and stock refusals are shown here: leaving them out would flatter their policy.
    """
    wanted = set(response_ids)
    mine, other = (
        [r for r in answers_of(store, policy.id) if r.id in wanted] for policy in (ours, theirs)
    )
    filters = filters_of(config)
    formed = policy_pairs(
        by_prompt(mine),
        by_prompt(other),
        filters=Filters(
            near_duplicate=filters.near_duplicate,
            show=filters.show | {Drop.LOOPING, Drop.REFUSED},
        ),
        number=ours.round,
        now=utc_now(),
    )
    known = {p.id for p in pairs_of_round(store, ours.round, purpose=Purpose.EVALUATION)}
    new = [p for p in formed.pairs if p.id not in known]
    settings = {"strategy": "policy against policy", "against": theirs.id}
    settings |= config.model_dump(mode="json", include={"near_duplicate", "show_truncated"})
    return _append(store, formed, new, ours, len(formed.pairs), [*mine, *other], settings)


def by_prompt(responses: Iterable[Response]) -> dict[str, list[Response]]:
    """The responses to each prompt, by its id."""
    grouped: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        grouped[response.prompt_id].append(response)
    return grouped


def _rival_answers(store: Store, policy: Policy, against: Policy | None) -> list[Response]:
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
    found = answers_of(store, rival.id)
    if not found:
        raise NotReadyError(
            f"The policy of round {rival.round} has no stored answers for policy-against-policy."
        )
    return found


def _model_scores(store: Store, there: Sequence[Pair]) -> dict[str, float]:
    rows = model_judgments(store).select(["pair_id", "verdict"]).to_pylist()
    return judged_scores(there, ((row["pair_id"], Verdict(row["verdict"])) for row in rows))


def _append(
    store: Store,
    formed: Formed,
    new: Sequence[Pair],
    policy: Policy,
    all_pairs: int,
    answers: Sequence[Response],
    settings: Mapping[str, object],
) -> PairsMade:
    """Append the new pairs and the run that made them; a run that says nothing new is left out."""
    drops = {reason.value: count for reason, count in sorted(formed.drops.items())}
    made = {"answers": len(answers), "pairs": all_pairs}
    made |= {f"dropped_{reason}": count for reason, count in drops.items()}
    run_id = content_id("f1", [policy.id, dict(settings), made])
    with store.connected():
        store.append(new)
        if new or not run_events(store, run_id):
            run = RunLog(store, RunKind.PAIRS, number=policy.round, config=settings, run_id=run_id)
            run.event(
                f"{len(new)} new pairs of {all_pairs}",
                progress=1.0,
                status=RunStatus.DONE,
                metrics={"new_pairs": float(len(new))} | {k: float(n) for k, n in made.items()},
            )
    log.info("pairs round=%d n=%d new=%d drops=%s", policy.round, all_pairs, len(new), drops)
    return PairsMade(all_pairs=all_pairs, new_pairs=len(new), drops=formed.drops)
