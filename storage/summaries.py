"""The state of the loop, round by round, aggregated in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """Counts of one round.

    decided: settled training pairs with a preferred answer. closed: no further vote is wanted,
    whether the pair settled or has no majority.
    """

    round: int
    prompts: int
    responses: int
    pairs: int
    settled: int
    decided: int
    votes: int
    evaluation_pairs: int
    closed: int
    evaluation_closed: int
    triplets: int  # what the policy of the next round was trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One comparison of two policies: what people settled, or what one model said."""

    pair_id: str
    prompt_id: str
    first_policy: str
    second_policy: str
    verdict: str
    first_chars: int
    second_chars: int


class Phase(StrEnum):
    """What the loop waits for."""

    ADD_PROMPTS = "add_prompts"
    GENERATE = "generate"
    COMPARE = "compare"  # votes on comparisons of policies
    LABEL = "label"
    TRAIN = "train"
    NO_PREFERENCE = "no_preference"  # all labeled, and no answer preferred


def loop_phase(
    *, prompts: int, rounds: Sequence[RoundSummary], newest_round: int
) -> tuple[Phase, int]:
    """What to do next, and how many pairs still want votes for it."""
    if not prompts:
        return Phase.ADD_PROMPTS, 0
    if not rounds or newest_round > rounds[-1].round:
        return Phase.GENERATE, 0
    now = rounds[-1]
    if comparisons := now.evaluation_pairs - now.evaluation_closed:
        return Phase.COMPARE, comparisons
    if not now.pairs:
        return Phase.GENERATE, 0
    if unfinished := now.pairs - now.closed:
        return Phase.LABEL, unfinished
    return (Phase.TRAIN if now.decided else Phase.NO_PREFERENCE), 0


def round_summaries(store: Store) -> list[RoundSummary]:
    """One row per round that has responses."""
    return [
        RoundSummary(**{name: int(str(value)) for name, value in row.items()})
        for row in store.query("round_summaries")
    ]


def evaluation_outcomes(store: Store) -> list[Outcome]:
    """Every comparison of two policies that people have settled."""
    return [_outcome(row) for row in store.query("evaluation_outcomes")]


def comparison_ids(store: Store, *, policy: str, against: str) -> set[str]:
    """The pairs in which two policies (ids) meet to be compared, judged or not."""
    rows = store.query("comparison_ids", policy=policy, against=against)
    return {str(row["id"]) for row in rows}


def judged_outcomes(store: Store) -> dict[str, list[Outcome]]:
    """Every comparison of two policies that a model has judged, by the model's labeler name."""
    found: dict[str, list[Outcome]] = {}
    for row in store.query("evaluation_judgments"):
        found.setdefault(str(row["labeler"]), []).append(_outcome(row))
    return found


def _outcome(row: Mapping[str, object]) -> Outcome:
    return Outcome(
        pair_id=str(row["pair_id"]),
        prompt_id=str(row["prompt_id"]),
        first_policy=str(row["first_policy"]),
        second_policy=str(row["second_policy"]),
        verdict=str(row["verdict"]),
        first_chars=int(str(row["first_chars"])),
        second_chars=int(str(row["second_chars"])),
    )


def table_counts(store: Store) -> dict[str, int]:
    """Rows stored, by kind."""
    return {name: int(str(n)) for name, n in store.query("table_counts")[0].items()}


def dashboard_version(store: Store) -> tuple[int, ...]:
    """Numbers that change whenever what the progress page shows may: nothing is scanned for them."""
    row = store.query("dashboard_version")[0]
    return tuple(int(str(n)) for n in row.values())
