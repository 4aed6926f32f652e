"""Where the loop stands, per round, and what to do next."""

from dataclasses import dataclass
from typing import assert_never

from annotate.retrain import rule_words
from annotate.retrain_facts import look
from annotate.rounds import RoundRunner
from pairloop.workspace import Workspace
from storage.imports import ImportedSummary, imported_policies, imported_summary
from storage.policies import policies
from storage.prompts import prompt_ids
from storage.records import Policy, Split
from storage.run_records import RunKind, RunStatus
from storage.runs import run_events, runs, triplets_of
from storage.store import Store
from storage.summaries import (
    Phase,
    RoundSummary,
    evaluation_outcomes,
    loop_phase,
    round_summaries,
)
from storage.win_rate import win_rate
from storage.words import many

_LOOP = (RunKind.GENERATE, RunKind.TRAIN, RunKind.EVALUATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStatus:
    """One policy: what it answered, what people said, what it was trained on, how it compares.

    triplets: what this round's policy was trained on. Rates are shares in [0, 1], None where
    there is nothing to count.
    """

    round: int
    policy: str
    prompts: int = 0
    responses: int = 0
    pairs: int = 0
    votes: int = 0
    settled: int = 0
    decided: int = 0
    triplets: int = 0
    heldout_accuracy: float | None = None
    evaluation_pairs: int = 0
    closed: int = 0
    evaluation_closed: int = 0
    win_rate: float | None = None
    win_rate_low: float | None = None
    win_rate_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStatus:
    """The whole loop.

    imported: what came from elsewhere, None where nothing did. rule: when `pairloop annotate` trains
    by itself, and what it waits for; "" where there is no such rule.
    """

    prompts: int
    rounds: list[RoundStatus]
    imported: ImportedSummary | None
    next_step: str
    rule: str


def loop_status(store: Store, workspace: Workspace) -> LoopStatus:
    """Read the store and say where things stand."""
    with store.connected():
        known = policies(store)
        summaries = round_summaries(store)
        by_round = {s.round: s for s in summaries}
        outcomes = evaluation_outcomes(store)
        rounds = []
        for policy in known:
            summary = by_round.get(policy.round)
            compared = win_rate(outcomes, policy=policy.id, against=known[0].id)
            counted = policy.round > 0 and compared.comparisons > 0
            rounds.append(
                RoundStatus(
                    round=policy.round,
                    policy=policy.id,
                    **_counts(summary),
                    triplets=_triplets(store, policy),
                    heldout_accuracy=_heldout_accuracy(store, policy),
                    win_rate=compared.value if counted else None,
                    win_rate_low=compared.low if counted else None,
                    win_rate_high=compared.high if counted else None,
                )
            )
        total = len(prompt_ids(store))
        imported = imported_summary(store) if imported_policies(store) else None
        running = [s for s in runs(store) if s.run.kind in _LOOP and s.status is RunStatus.RUNNING]
    newest = known[-1].round if known else 0
    if running:
        state = running[0]
        far = f": {state.message}" if state.message else ""
        next_step = f"wait, pairloop {state.run.kind.value} is running{far}"
    else:
        next_step = _next_step(total, summaries, newest, workspace)
    return LoopStatus(
        prompts=total,
        rounds=rounds,
        imported=imported if imported and imported.responses else None,
        next_step=next_step,
        rule=_rule(store, workspace),
    )


def _rule(store: Store, workspace: Workspace) -> str:
    words = rule_words(workspace.retrain)
    if not words:
        return ""
    runner = RoundRunner(workspace.root)
    decision = look(store, workspace.retrain, workspace.annotate, runner=runner).decision
    if decision.start is None:
        return f"{words}. {decision.why}"
    return f"{words}. {decision.why} `pairloop annotate` starts it while it runs."


def _counts(summary: RoundSummary | None) -> dict[str, int]:
    if summary is None:
        return {}
    names = ["prompts", "responses", "pairs", "votes", "settled", "decided"]
    names += ["closed", "evaluation_pairs", "evaluation_closed"]
    return {name: getattr(summary, name) for name in names}


def _triplets(store: Store, policy: Policy) -> int:
    if policy.run_id is None:
        return 0
    return sum(t.split is Split.TRAIN for t in triplets_of(store, policy.run_id))


def _heldout_accuracy(store: Store, policy: Policy) -> float | None:
    if policy.run_id is None:
        return None
    for event in reversed(run_events(store, policy.run_id)):
        if event.status is RunStatus.DONE:
            return event.metrics.get("heldout_accuracy")
    return None


def _next_step(prompts: int, rounds: list[RoundSummary], newest: int, workspace: Workspace) -> str:
    phase, wanted = loop_phase(prompts=prompts, rounds=rounds, newest_round=newest)
    match phase:
        case Phase.ADD_PROMPTS:
            return "pairloop prompts add FILE"
        case Phase.GENERATE:
            return "pairloop generate"
        case Phase.COMPARE:
            return f"pairloop annotate ({many(wanted, 'comparison of policies is', 'comparisons of policies are')} open)"
        case Phase.LABEL:
            ready = rounds[-1].decided >= workspace.train.min_triplets
            enough = "; enough are settled for `pairloop train`" if ready else ""
            return f"pairloop annotate ({many(wanted, f'pair of round {newest} is', f'pairs of round {newest} are')} open{enough})"
        case Phase.TRAIN:
            return "pairloop train"
        case Phase.NO_PREFERENCE:
            return "pairloop prompts add FILE (no answer of the last round was preferred)"
        case _:
            assert_never(phase)
