"""What the admin pages and /api/status say about the store, as plain values."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never

from annotate.agreement import AgreementReport
from annotate.agreement_kept import kept_report
from annotate.config import AnnotateConfig, Distribution
from annotate.forecast import Forecast, forecast
from annotate.kept import Kept, PerStore
from annotate.people_stats import PersonRow, people_rows
from storage.people import vote_times, votes_growth
from storage.policies import policies
from storage.records import Policy
from storage.run_records import RunEvent
from storage.runs import RunState, run_events, runs
from storage.store import Store
from storage.summaries import (
    Outcome,
    Phase,
    RoundSummary,
    dashboard_version,
    evaluation_outcomes,
    loop_phase,
    round_summaries,
    table_counts,
)
from storage.win_rate import WinRate, win_rate
from storage.words import many

_RUNS_SHOWN = 20
_STEP = re.compile(r"step (\d+) of \d+")  # how train begins the message of a logged step


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two policies on held-out prompts, as people judged them; round numbers."""

    newer: int
    older: int
    wins: int  # of the newer policy
    ties: int
    losses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything the progress page shows."""

    rounds: list[RoundSummary]
    policies: list[Policy]
    people: list[PersonRow]
    agreement: AgreementReport
    comparisons: list[Comparison]
    votes_by_hour: list[tuple[float, int]]  # hours since the first vote, votes so far
    forecast: Forecast
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFigures:
    """Where the loop stands, as pages and routes share it. rates: against SFT, by policy id."""

    rounds: list[RoundSummary]
    comparisons: list[Comparison]
    rates: dict[str, WinRate]
    counts: dict[str, int]
    next_step: str


def loop_figures(store: Store, _config: Distribution) -> LoopFigures:
    """Read and count it all."""
    with store.connected():
        rounds, known = round_summaries(store), policies(store)
        outcomes, counts = evaluation_outcomes(store), table_counts(store)
    return LoopFigures(
        rounds=rounds,
        comparisons=compare(outcomes, known),
        rates={p.id: win_rate(outcomes, policy=p.id, against=known[0].id) for p in known},
        counts=counts,
        next_step=next_step(prompts=counts["prompts"], rounds=rounds, known=known),
    )


_figures: PerStore[Kept[LoopFigures, Distribution]] = PerStore(
    lambda: Kept(loop_figures, dashboard_version)
)
_ANY = Distribution()  # the figures are the same under all settings


def kept_figures(store: Store) -> LoopFigures:
    """The figures of an open store."""
    return _figures.of(store).value(store, _ANY)


def overview(store: Store, config: AnnotateConfig) -> Overview:
    """Read all of it."""
    with store.connected():
        figures, times = kept_figures(store), vote_times(store)
        return Overview(
            rounds=figures.rounds,
            policies=policies(store),
            people=people_rows(store, config),
            forecast=forecast(store, config, times=times),
            agreement=kept_report(store, config),
            comparisons=figures.comparisons,
            votes_by_hour=votes_by_hour(votes_growth(times)),
            next_step=figures.next_step,
        )


def _version(store: Store) -> tuple[int, ...]:
    """What an overview rests on; the pace changes with the minutes."""
    return (*dashboard_version(store), int(time.time() // 60))


_kept: PerStore[Kept[Overview, AnnotateConfig]] = PerStore(lambda: Kept(overview, _version))


def kept_overview(store: Store, config: AnnotateConfig, *, patience: float) -> Overview | None:
    """The overview of an open store, shared by all who look at it.

    None where it is the first and not there within `patience` seconds; a later call has it.
    """
    return _kept.of(store).soon(store, config, patience=patience)


def votes_by_hour(growth: Sequence[tuple[datetime, int]]) -> list[tuple[float, int]]:
    """How the votes grew, in hours since the first."""
    return [((at - growth[0][0]).total_seconds() / 3600, votes) for at, votes in growth]


def compare(outcomes: Sequence[Outcome], known: Sequence[Policy]) -> list[Comparison]:
    """Settled evaluation pairs, counted for the newer policy of each two."""
    number = {p.id: p.round for p in known}
    counts: dict[tuple[int, int], list[int]] = {}
    for outcome in outcomes:
        first, second = number[outcome.first_policy], number[outcome.second_policy]
        count = counts.setdefault((max(first, second), min(first, second)), [0, 0, 0])
        preferred = {"first": first, "second": second}.get(outcome.verdict)
        if preferred is None:
            count[1] += 1  # a tie, or both bad: nobody won
        else:
            count[0 if preferred == max(first, second) else 2] += 1
    return [
        Comparison(newer=newer, older=older, wins=wins, ties=ties, losses=losses)
        for (newer, older), (wins, ties, losses) in sorted(counts.items())
    ]


def next_step(*, prompts: int, rounds: Sequence[RoundSummary], known: Sequence[Policy]) -> str:
    """One sentence on what to do now."""
    newest = known[-1].round if known else 0
    phase, wanted = loop_phase(prompts=prompts, rounds=rounds, newest_round=newest)
    match phase:
        case Phase.ADD_PROMPTS:
            return "Add prompts with `pairloop prompts add FILE`."
        case Phase.GENERATE:
            return f"Generate answers of the round {newest} policy."
        case Phase.COMPARE:
            comparisons = many(
                wanted,
                "comparison of policies still wants",
                "comparisons of policies still want",
            )
            return f"Label: {comparisons} votes."
        case Phase.LABEL:
            pairs = many(wanted, "pair still wants", "pairs still want")
            return f"Label round {newest}: {pairs} votes."
        case Phase.TRAIN:
            return f"Round {newest} is labeled. Train the next policy."
        case Phase.NO_PREFERENCE:
            return (
                f"Round {newest} has no pair with a preferred answer. Add prompts, then generate."
            )
        case _:
            assert_never(phase)


def agreement_overview(store: Store, config: AnnotateConfig) -> dict[str, Any]:
    """For GET /api/agreement."""
    return asdict(kept_report(store, config))


def status_overview(store: Store) -> dict[str, Any]:
    """For GET /api/status."""
    figures = kept_figures(store)
    return {
        "rounds": [asdict(summary) for summary in figures.rounds],
        "comparisons": [asdict(c) for c in figures.comparisons],
        "counts": figures.counts,
        "next": figures.next_step,
    }


def run_list(store: Store) -> list[dict[str, Any]]:
    """The newest runs with their events, for GET /api/rounds."""
    with store.connected():
        return [
            {
                "id": state.run.id,
                "kind": state.run.kind.value,
                "round": state.run.round,
                "status": state.status.value,
                "progress": state.progress,
                "message": state.message,
                "started_at": state.run.created_at.isoformat(),
                "updated_at": state.updated_at.isoformat(),
                "events": [
                    {
                        "sequence": event.sequence,
                        "status": event.status.value,
                        "progress": event.progress,
                        "message": event.message,
                        "metrics": dict(event.metrics),
                        "at": event.created_at.isoformat(),
                    }
                    for event in run_events(store, state.run.id)
                ],
            }
            for state in runs(store)[:_RUNS_SHOWN]
        ]


def run_of_child(
    store: Store, *, pid: int, since: datetime
) -> tuple[RunState, list[RunEvent]] | None:
    """The run that a child process left, with its events; None before it has begun one."""
    with store.connected():
        for state in runs(store):
            if state.run.pid == pid and state.run.created_at >= since:
                return state, run_events(store, state.run.id)
    return None


def curves(
    events: Sequence[RunEvent], *, names: Mapping[str, str]
) -> dict[str, list[tuple[float, float]]]:
    """Metrics over the training step, or the event's number where it names none; names: metric ->
    label.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        for name, label in names.items():
            if name in event.metrics:
                step = _STEP.match(event.message)
                at = int(step[1]) if step else event.sequence
                point = (float(at), float(event.metrics[name]))
                found.setdefault(label, []).append(point)
    return found
