"""What the retraining rule looks at, read from the store."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from annotate.agreement_kept import kept_report
from annotate.config import AnnotateConfig, Retrain
from annotate.retrain import Decision, Facts, LastStep, Outcome, decide
from annotate.rounds import ChildState, RoundRunner, command_of
from annotate.settings import in_force
from storage.activity import activities_page
from storage.policies import newest_policy
from storage.run_records import RunKind, RunStatus
from storage.runs import RunState, runs
from storage.store import Store, utc_now
from storage.summaries import decided_since
from storage.team_records import Activity

RULE = "[retrain]"  # who started it, in the trail
STARTED = "run started"
_KINDS = (RunKind.GENERATE, RunKind.TRAIN, RunKind.EVALUATE)
# A child's run is recorded seconds after its start, and the trail's row right after it.
_SLACK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The decision, and what the rule started last without a run of its own: (activity's id, log)."""

    decision: Decision
    left_no_run: tuple[str, str] | None


def look(store: Store, rule: Retrain, config: AnnotateConfig, *, runner: RoundRunner) -> Looked:
    """Read the facts and decide."""
    child = runner.state()  # first: of a child that has ended every row is there
    with store.connected():
        seen = [state for state in runs(store) if state.run.kind in _KINDS]
        began = _began(store, seen)
        running = _running(seen, child)
        mine = activities_page(store, actor=RULE, action=STARTED, count=1, skip=0)
        own = _own_run(mine[0], seen) if mine else None
        newest = newest_policy(store)
        settled = decided_since(store, newest.round, since=began) if newest else 0
        facts = Facts(
            now=utc_now(),
            running=running,
            new_pairs=settled,
            agreement=_agreement(store, rule, config),
            training_begun=began,
            last=_last(mine[0], own, seen) if mine and not running else None,
        )
    lost = (mine[0].id, mine[0].detail) if mine and own is None and not running else None
    return Looked(decision=decide(rule, facts), left_no_run=lost)


def _began(store: Store, seen: list[RunState]) -> datetime | None:
    """When training was last begun: also where it ended before it could record a run."""
    times = [state.run.created_at for state in seen if state.run.kind is RunKind.TRAIN]
    times += [
        entry.created_at
        for entry in activities_page(store, actor=None, action=STARTED, count=20, skip=0)
        if entry.subject == RunKind.TRAIN.value
    ]
    return max(times, default=None)


def _running(seen: list[RunState], child: ChildState) -> str:
    if child.running:
        return command_of(child.verb)
    kinds = (state.run.kind for state in seen if state.status is RunStatus.RUNNING)
    return next((command_of(kind.value) for kind in kinds), "")


def _own_run(started: Activity, seen: list[RunState]) -> RunState | None:
    """The run that the rule's child recorded."""
    since = started.created_at - _SLACK
    later = [s for s in seen if s.run.created_at >= since and s.run.kind.value == started.subject]
    return later[-1] if later else None


def _last(started: Activity, own: RunState | None, seen: list[RunState]) -> LastStep:
    if own is None:
        since = started.created_at
        return LastStep(
            verb=started.subject,
            outcome=Outcome.FAILED,
            message=f"see logs/{started.detail}",
            overtaken=any(s.run.created_at > since for s in seen),
        )
    return LastStep(
        verb=started.subject,
        outcome={RunStatus.DONE: Outcome.DONE, RunStatus.FAILED: Outcome.FAILED}.get(
            own.status, Outcome.STOPPED
        ),
        message=own.message[:200],
        overtaken=any(s.run.created_at > own.run.created_at for s in seen),
    )


def _agreement(store: Store, rule: Retrain, config: AnnotateConfig) -> float | None:
    if rule.at_least is None or rule.agreement_at_least is None:
        return None
    report = kept_report(store, in_force(store, config))
    found = report.alpha_nominal if rule.agreement == "alpha" else report.observed_agreement
    return found.value
