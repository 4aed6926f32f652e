"""The state of the loop, round by round, aggregated in the database."""

from collections.abc import Sequence
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
    """One settled comparison of two policies."""

    pair_id: str
    prompt_id: str
    first_policy: str
    second_policy: str
    verdict: str


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
    """Every settled comparison of two policies."""
    return [
        Outcome(
            pair_id=str(row["pair_id"]),
            prompt_id=str(row["prompt_id"]),
            first_policy=str(row["first_policy"]),
            second_policy=str(row["second_policy"]),
            verdict=str(row["verdict"]),
        )
        for row in store.query("evaluation_outcomes")
    ]


def table_counts(store: Store) -> dict[str, int]:
    """Rows stored, by kind."""
    return {name: int(str(n)) for name, n in store.query("table_counts")[0].items()}


def dashboard_version(store: Store) -> tuple[int, ...]:
    """Numbers that change whenever what the progress page shows may: nothing is scanned for them."""
    row = store.query("dashboard_version")[0]
    return tuple(int(str(n)) for n in row.values())
