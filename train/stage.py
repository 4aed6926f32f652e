"""The verb: the newest policy's settled pairs in, the next policy registered.

policies/round-N/ appears whole or not at all. A killed run leaves its checkpoints under
policies/.work-<fingerprint>/; the same command on the same data and settings goes on from them.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from storage.records import Policy, Split
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.words import many
from train.cards import loss_plot, model_card
from train.check import model_checks
from train.config import Loss, Method, TrainConfig, Tuning
from train.examples import Single
from train.gather import Gathered, gather, refuse_red
from train.plan import Plan, plan_training
from train.preflight import Check
from train.reference import Reference
from train.report_html import Findings, report_html
from train.triplets import Drop
from train.trouble import told_plainly
from train.verdict import as_json, verdict_of
from train.watch import warnings_of
from train.weights import weights_hash

if TYPE_CHECKING:
    from train.fit import Trained

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
OnStep = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a training run did. policy: None of a reward model, which is no policy."""

    policy: Policy | None
    round: int
    learned_from: str  # in words
    triplets: int
    heldout: int
    heldout_accuracy: float
    drops: Counter[Drop]
    folder: Path
    resumed: bool


def train(
    store: Store,
    workspace: Path,
    config: TrainConfig,
    *,
    plan: Plan | None = None,
    flip_rate: float | None = None,
    on_step: OnStep | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train the next policy from the newest one's settled pairs and register it.

    plan: where it was made already. flip_rate: how often a vote is wrong in this project, None
    where that is not known; for the loss that measures_flips. stopping: whether to keep a
    checkpoint and stop; then KeyboardInterrupt is raised.
    """
    plan = plan or plan_training(store, workspace, config, run_id=uuid4().hex, now=utc_now())
    run = RunLog(
        store,
        RunKind.TRAIN,
        number=plan.next_round,
        config=config.model_dump(mode="json") | plan.lineage,
        run_id=plan.run_id,
    )
    with run.failing():
        folder, work = _folder(workspace, plan, config), plan.work(workspace)
        resumed = work.is_dir()
        report = _finished(folder, plan)
        if report is None:
            gathered = gather(store, workspace, plan, config, flip_rate=flip_rate)
            checks = gathered.checks()
            refuse_red(checks)
            store.append([*plan.built.triplets, *plan.built.even])
            live = Live(run, on_step)
            report = _fit_and_publish(gathered, plan, live, checks, folder, stopping)
            shutil.rmtree(work, ignore_errors=True)
        scores_only = config.method is Method.REWARD
        policy = None if scores_only else _register(store, plan, folder, config, run.run.id)
    accuracy = report["heldout_accuracy"]
    result = TrainResult(
        policy=policy,
        round=plan.policy.round if policy is None else policy.round,
        learned_from=plan.learns_from,
        triplets=len(plan.built.of(Split.TRAIN)),
        heldout=len(plan.built.of(Split.VALIDATION)),
        heldout_accuracy=float(str(accuracy)) if accuracy is not None else float("nan"),
        drops=plan.built.drops,
        folder=folder,
        resumed=resumed,
    )
    metrics = {} if accuracy is None else {"heldout_accuracy": result.heldout_accuracy}
    run.event(
        f"reward model of round {plan.policy.round} kept in {folder.relative_to(workspace)}"
        if policy is None
        else f"policy of round {policy.round} registered",
        progress=1.0,
        status=RunStatus.DONE,
        metrics=metrics,
    )
    return result


def _fit_and_publish(
    gathered: Gathered,
    plan: Plan,
    live: "Live",
    checks: Sequence[Check],
    folder: Path,
    stopping: Callable[[], bool],
) -> dict[str, object]:
    """Train, and move the weights with their report to `folder`; returns the report."""
    job, config = gathered.job, gathered.job.config
    run, pairs = live.run, len(plan.built.of(Split.TRAIN))
    run.event(f"training on {plan.learns_from}, {many(len(job.heldout), 'pair')} held out")
    out = job.work / "result"
    trained = _fit(gathered, out, live, stopping)
    checks = [*checks, *model_checks(job, trained.reference, trained.dry_step)]
    verdict = verdict_of(trained.heldout_rewards, live.warnings, method=config.method)
    report: dict[str, object] = {
        "fingerprint": plan.fingerprint,
        "run_id": run.run.id,
        "round": plan.next_round,
        "base_model": plan.policy.base_model,
        "parent_policy": plan.policy.id,
        "method": config.method.value,
        "reference": _reference(gathered, trained.reference),
        "flip_rate": job.flip_rate if config.loss is Loss.ROBUST else None,
        "edited": sorted(plan.edits),
        "ties": len(plan.built.even),
        "reward_model": plan.lineage.get("reward_model"),
        "prompts": len(job.asked),
        "examples": len(job.examples),
        "unpaired": Counter(_kind(s) for s in job.singles),
        "config": config.model_dump(mode="json"),
        "versions": run.run.versions,
        "triplets": pairs,
        "heldout": len(job.heldout),
        "checks": [asdict(c) for c in checks],
        "drops": {reason.value: n for reason, n in plan.built.drops.items()},
        "heldout_accuracy": trained.heldout_accuracy if job.heldout else None,
        "heldout_margins": [r.margin for r in trained.heldout_rewards],
        "warnings": live.warnings,
        "verdict": as_json(verdict),
        "metrics": trained.metrics,
        "history": trained.history,
    }
    findings = Findings(
        verdict=verdict,
        rewards=trained.rewards,
        heldout=trained.heldout_rewards,
        triplets={t.pair_id: t for t in plan.built.triplets},
        texts=gathered.data.texts,
        samples=trained.samples,
    )
    with told_plainly(config):
        _publish(out, folder, report, findings)
    return report


def _fit(gathered: Gathered, out: Path, live: "Live", stopping: Callable[[], bool]) -> "Trained":
    """In this process, or in those that the settings ask for."""
    from train.fit import fit  # seconds of imports: after the plan was found good
    from train.launch import fit_launched
    from train.samples import sampled

    job, tokenizer = gathered.job, gathered.data.tokenizer
    if job.config.launch is None:
        return fit(job, out=out, on_log=live.on_log, stopping=stopping, tokenizer=tokenizer)
    trained = fit_launched(job, gathered.workspace, on_log=live.on_log, stopping=stopping)
    return replace(trained, samples=sampled(job, out, tokenizer))


class Live:
    """Tells of every step while training runs, and of each kind of warning once."""

    def __init__(self, run: RunLog, on_step: OnStep | None) -> None:
        self.run, self._on_step = run, on_step
        self._history: list[Mapping[str, float]] = []
        self.warnings: dict[str, str] = {}

    def on_log(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Take the figures of a step."""
        self._history.append(metrics)
        self.run.event(f"step {step} of {steps}", progress=step / steps, metrics=metrics)
        for name, words in warnings_of(self._history, steps=steps).items():
            if name not in self.warnings:
                self.warnings[name] = words
                log.warning("%s: %s", name, words)
                self.run.event(f"warning, {name}: {words}", progress=step / steps)
        if self._on_step is not None:
            self._on_step(step, steps, metrics)


def _finished(folder: Path, plan: Plan) -> dict[str, object] | None:
    """The report of a run that published its folder but was killed before registering it."""
    if not folder.exists():
        return None
    report: dict[str, object] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    if report["fingerprint"] != plan.fingerprint:
        aside = folder.with_name(f"{folder.name}.unregistered-{str(report['fingerprint'])[:8]}")
        log.warning("%s is of other data or settings and was moved to %s", folder, aside.name)
        folder.replace(aside)
        return None
    return report


def _publish(out: Path, folder: Path, report: dict[str, object], findings: Findings) -> None:
    """Complete the result folder, then move it into place in one step."""
    (out / RUN_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(model_card(report), encoding="utf-8")
    loss_plot(report, out / "loss.png")
    (out / "report.html").write_text(report_html(report, findings), encoding="utf-8")
    rows = [
        asdict(r) | {"split": split.value}
        for split, rewards in (
            (Split.TRAIN, findings.rewards),
            (Split.VALIDATION, findings.heldout),
        )
        for r in rewards
    ]
    pq.write_table(pa.Table.from_pylist(rows), out / "rewards.parquet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    out.replace(folder)


def _folder(workspace: Path, plan: Plan, config: TrainConfig) -> Path:
    """Where the result goes; a reward model is not the next round's policy, so it is apart."""
    if config.method is Method.REWARD:
        return workspace / "rewards" / f"round-{plan.policy.round}-{plan.fingerprint[:8]}"
    return workspace / "policies" / f"round-{plan.next_round}"


def _reference(gathered: Gathered, found: Reference | None) -> dict[str, object]:
    """Nulls for a method without a reference."""
    return {
        "policy": gathered.reference.id if found else None,
        "weights_hash": gathered.reference.adapter_hash if found else None,
        "logps": found.source if found else None,
        "checked": found.checked if found else 0,
        "error_mean": found.error_mean if found else None,
        "error_spread": found.error_spread if found else None,
    }


def _kind(single: Single) -> str:
    return "desirable" if single.desirable else "undesirable"


def _register(store: Store, plan: Plan, folder: Path, config: TrainConfig, run_id: str) -> Policy:
    whole = config.tuning is Tuning.FULL
    adapter_hash = weights_hash(folder)
    parent, place = plan.policy, f"policies/{folder.name}"
    base_model = place if whole else parent.base_model
    policy = Policy(
        id=Policy.id_of(base_model=base_model, adapter_hash=adapter_hash, parent=parent.id),
        round=plan.next_round,
        base_model=base_model,
        adapter=None if whole else place,
        adapter_hash=adapter_hash,
        parent=parent.id,
        method=config.method.value,
        run_id=run_id,
        created_at=utc_now(),
    )
    store.append([policy])
    return policy
