"""The verb: form pairs of the answers in the store and append those it does not have.

Safe to repeat: a pair is named by its two answers, and the same answers, settings and seed give the
same pairs.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from generate.config import GenerateConfig
from generate.pairs import Drop, Formed, policy_pairs, random_pairs
from storage.pairs import pairs_of_round
from storage.prompts import prompts
from storage.records import Policy, Purpose, Response, Split
from storage.responses import responses_of
from storage.store import Store, utc_now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsMade:
    """What forming pairs came to: all those wanted, those that are new, and what was left out."""

    all_pairs: int
    new_pairs: int
    drops: Counter[Drop]


def form_training_pairs(store: Store, policy: Policy, config: GenerateConfig) -> PairsMade:
    """Pair everything this policy answered outside the test prompts."""
    testing = {p.id for p in prompts(store) if p.split is Split.TEST}
    answers = by_prompt(r for r in responses_of(store, policy.id) if r.prompt_id not in testing)
    formed = random_pairs(
        answers,
        pairs_per_prompt=config.pairs_per_prompt,
        near_duplicate=config.near_duplicate,
        seed=config.seed,
        number=policy.round,
        now=utc_now(),
    )
    return _append_new(store, formed, policy, purpose=Purpose.TRAIN)


def form_comparisons(
    store: Store,
    ours: Policy,
    theirs: Policy,
    config: GenerateConfig,
    *,
    response_ids: Collection[str],
) -> PairsMade:
    """Pair two policies' answers among these responses, for blind evaluation."""
    wanted = set(response_ids)
    mine, other = (
        by_prompt(r for r in responses_of(store, policy.id) if r.id in wanted)
        for policy in (ours, theirs)
    )
    formed = policy_pairs(
        mine, other, near_duplicate=config.near_duplicate, number=ours.round, now=utc_now()
    )
    return _append_new(store, formed, ours, purpose=Purpose.EVALUATION)


def by_prompt(responses: Iterable[Response]) -> dict[str, list[Response]]:
    """The responses to each prompt, by its id."""
    grouped: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        grouped[response.prompt_id].append(response)
    return grouped


def _append_new(store: Store, formed: Formed, policy: Policy, *, purpose: Purpose) -> PairsMade:
    known = {p.id for p in pairs_of_round(store, policy.round, purpose=purpose)}
    new = [p for p in formed.pairs if p.id not in known]
    store.append(new)
    log.info(
        "pairs formed round=%d n=%d new=%d drops=%s",
        policy.round,
        len(formed.pairs),
        len(new),
        {reason.value: count for reason, count in sorted(formed.drops.items())},
    )
    return PairsMade(all_pairs=len(formed.pairs), new_pairs=len(new), drops=formed.drops)
