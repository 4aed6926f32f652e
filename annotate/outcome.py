"""A pair's votes counted, what they come to, and whether that is what the store has of it already."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

import pyarrow as pa

from annotate.stats.votes import VERDICTS
from storage.adjudication_records import Adjudication
from storage.records import ADJUDICATED, Consensus, Purpose, Verdict

ADJUDICATOR_ACCURACY = 0.95  # researchers who discussed a pair: Stiennon et al. 2020, appendix C.2
DAWID_SKENE = "dawid_skene"
MOVED = 0.01  # a consensus is stored anew once its probability has moved by more than this


class Tally(NamedTuple):
    """A pair's votes by verdict."""

    first: int
    second: int
    tie: int
    both_bad: int

    def votes(self) -> list[Verdict]:
        return [v for v, n in zip(VERDICTS, self, strict=True) for _ in range(n)]


class Outcome(NamedTuple):
    """What a pair comes to; the fields are those of Consensus."""

    verdict: Verdict | None
    probability_first: float
    method: str
    settled: bool
    reason: str
    closed: bool

    def consensus(self, pair_id: str, tally: Tally, *, events: int, now: datetime) -> Consensus:
        return Consensus(
            pair_id=pair_id,
            verdict=self.verdict,
            probability_first=self.probability_first,
            votes=sum(tally),
            first_votes=tally.first,
            second_votes=tally.second,
            tie_votes=tally.tie,
            both_bad_votes=tally.both_bad,
            method=self.method,
            settled=self.settled,
            reason=self.reason,
            closed=self.closed,
            events=events,
            created_at=now,
        )


def adjudicated(adjudication: Adjudication) -> Outcome:
    """What a decision comes to: settled and closed, also where nothing can be decided."""
    match adjudication.verdict:
        case Verdict.FIRST:
            first = ADJUDICATOR_ACCURACY
        case Verdict.SECOND:
            first = 1 - ADJUDICATOR_ACCURACY
        case Verdict.TIE | Verdict.BOTH_BAD | Verdict.SKIP | None:
            first = 0.5
        case _:
            assert_never(adjudication.verdict)
    cause = adjudication.cause.value.replace("_", " ")
    decided = "adjudicated" if adjudication.verdict else "an adjudicator found it undecidable"
    return Outcome(
        verdict=adjudication.verdict,
        probability_first=first,
        method=ADJUDICATED,
        settled=True,
        reason=f"{decided} ({cause})",
        closed=True,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tallied:
    """Pairs of storage.tallies alike in their votes now and in the consensus the store has of them."""

    pair_ids: list[str]
    purpose: Purpose
    strategy: str
    events: int
    tally: Tally
    known: tuple[int, Tally, Outcome] | None  # events, votes and outcome

    def differs(self, outcome: Outcome) -> bool:
        """Whether the outcome, or what led to it, is another than the one the store has.

        A reason by Dawid and Skene's model names a probability, and does not count by itself.
        """
        if self.known is None:
            return True
        events, tally, known = self.known
        moved = abs(outcome.probability_first - known.probability_first) > MOVED
        worded = outcome.reason != known.reason and outcome.method != DAWID_SKENE
        return (
            (events, tally) != (self.events, self.tally)
            or (known.verdict, known.method) != (outcome.verdict, outcome.method)
            or (known.settled, known.closed) != (outcome.settled, outcome.closed)
            or moved
            or worded
        )


def alike(table: pa.Table) -> Iterator[Tallied]:
    """The rows of storage.tallies.tallies, those together that differ in nothing but their pair."""
    said = [name for name in table.column_names if name != "pair_id"]
    grouped = table.group_by(said).aggregate([("pair_id", "list")])
    columns = [grouped[name].to_pylist() for name in ["pair_id_list", *said]]
    verdicts: dict[str | None, Verdict | None] = {None: None} | {v.value: v for v in Verdict}
    purposes = {p.value: p for p in Purpose}
    for row in zip(*columns, strict=True):
        pair_ids, purpose, strategy, events, first, second, tie, both_bad, verdict, *known = row
        probability, kf, ks, kt, kb, method, settled, reason, closed, known_events = known
        before = None
        if known_events is not None:
            outcome = Outcome(verdicts[verdict], probability, method, settled, reason, closed)
            before = (known_events, Tally(kf, ks, kt, kb), outcome)
        yield Tallied(
            pair_ids,
            purposes[purpose],
            strategy,
            events,
            Tally(first, second, tie, both_bad),
            before,
        )
