"""The verb: the newest policy's settled pairs in, the next policy registered.

policies/round-N/ appears whole or not at all. A killed run leaves its checkpoints under
policies/.work-<fingerprint>/; the same command on the same data and settings goes on from them.
"""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from storage.errors import ModelError, NotReadyError
from storage.pairs import consensus_by_pair, pairs_of_round
from storage.policies import newest_policy
from storage.prompts import prompts
from storage.records import Policy, Purpose, Split, content_id
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.tallies import model_votes
from train.cards import loss_plot, model_card
from train.config import TrainConfig
from train.rows import texts_of, training_row
from train.triplets import Built, Drop, build_triplets

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
OnStep = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a training run would do."""

    policy: Policy  # the one trained from
    built: Built
    fingerprint: str  # of data and settings: equal means the same training

    @property
    def next_round(self) -> int:
        return self.policy.round + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a training run did."""

    policy: Policy
    triplets: int
    heldout: int
    heldout_accuracy: float
    drops: Counter[Drop]
    folder: Path
    resumed: bool


def plan_training(store: Store, config: TrainConfig, *, run_id: str, now: datetime) -> Plan:
    """Triplets of the newest policy's own pairs; raises NotReadyError when too few are settled."""
    policy = newest_policy(store)
    if policy is None:
        raise NotReadyError(
            "There is nothing to train on: no policy has answered prompts yet. "
            "Begin with `pairloop generate`."
        )
    built = build_triplets(
        pairs_of_round(store, policy.round, purpose=Purpose.TRAIN),
        consensus_by_pair(store),
        {p.id: p for p in prompts(store)},
        run_id=run_id,
        now=now,
        models=model_votes(store),
        judge_votes=config.judge_votes,
    )
    usable = len(built.of(Split.TRAIN))
    if usable < config.min_triplets:
        total = len(built.triplets) + built.drops.total()
        because = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in built.drops.items())
        heldout = len(built.of(Split.VALIDATION))
        raise NotReadyError(
            f"Cannot train round {policy.round + 1}: {usable} of {total} pairs of round "
            f"{policy.round} are settled training preferences and train.min_triplets is "
            f"{config.min_triplets} ({heldout} held out for validation; {because or 'no drops'}). "
            "Collect more judgments with `pairloop annotate`, or lower train.min_triplets or "
            "annotate.votes_per_pair in pairloop.toml."
        )
    facts = [
        policy.id,
        config.model_dump(mode="json"),
        sorted([t.pair_id, t.chosen, t.split.value] for t in built.triplets),
    ]
    return Plan(policy=policy, built=built, fingerprint=content_id("f1", facts).split(":")[1])


def train(
    store: Store, workspace: Path, config: TrainConfig, *, on_step: OnStep | None = None
) -> TrainResult:
    """Train the next policy from the newest one's settled pairs and register it."""
    run_id = uuid4().hex
    plan = plan_training(store, config, run_id=run_id, now=utc_now())
    run = RunLog(
        store,
        RunKind.TRAIN,
        number=plan.next_round,
        config=config.model_dump(mode="json"),
        run_id=run_id,
    )
    try:
        from train.dpo import train_dpo  # seconds of imports: after the plan was found good

        store.append(plan.built.triplets)
        folder = workspace / "policies" / f"round-{plan.next_round}"
        work = workspace / "policies" / f".work-{plan.fingerprint[:16]}"
        resumed = work.is_dir()
        report = _finished(folder, plan)
        if report is None:
            training, heldout = (plan.built.of(s) for s in (Split.TRAIN, Split.VALIDATION))
            texts = texts_of(store, plan.built.triplets)

            def on_log(step: int, steps: int, metrics: Mapping[str, float]) -> None:
                run.event(f"step {step} of {steps}", progress=step / steps, metrics=metrics)
                if on_step is not None:
                    on_step(step, steps, metrics)

            run.event(f"training on {len(training)} triplets, {len(heldout)} held out")
            out = work / "result"
            trained = train_dpo(
                [training_row(t, texts) for t in training],
                [training_row(t, texts) for t in heldout],
                base_model=plan.policy.base_model,
                adapter=workspace / plan.policy.adapter if plan.policy.adapter else None,
                config=config,
                work=work,
                out=out,
                on_log=on_log,
            )
            report = {
                "fingerprint": plan.fingerprint,
                "run_id": run.run.id,
                "round": plan.next_round,
                "base_model": plan.policy.base_model,
                "parent_policy": plan.policy.id,
                "method": "dpo",
                "config": config.model_dump(mode="json"),
                "versions": run.run.versions,
                "triplets": len(training),
                "heldout": len(heldout),
                "drops": {reason.value: n for reason, n in plan.built.drops.items()},
                "heldout_accuracy": trained.heldout_accuracy if heldout else None,
                "heldout_margins": trained.heldout_margins,
                "metrics": trained.metrics,
                "history": trained.history,
            }
            _publish(out, folder, report)
            shutil.rmtree(work, ignore_errors=True)
        policy = _register(store, plan, folder, run_id=run.run.id)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        status = RunStatus.STOPPED if stopped else RunStatus.FAILED
        run.event(f"{type(error).__name__}: {error}"[:500], status=status)
        raise
    accuracy = report["heldout_accuracy"]
    result = TrainResult(
        policy=policy,
        triplets=len(plan.built.of(Split.TRAIN)),
        heldout=len(plan.built.of(Split.VALIDATION)),
        heldout_accuracy=float(str(accuracy)) if accuracy is not None else float("nan"),
        drops=plan.built.drops,
        folder=folder,
        resumed=resumed,
    )
    metrics = {} if accuracy is None else {"heldout_accuracy": result.heldout_accuracy}
    run.event(
        f"policy of round {policy.round} registered",
        progress=1.0,
        status=RunStatus.DONE,
        metrics=metrics,
    )
    return result


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


def _publish(out: Path, folder: Path, report: dict[str, object]) -> None:
    """Complete the result folder, then move it into place in one step."""
    (out / RUN_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(model_card(report), encoding="utf-8")
    loss_plot(report, out / "loss.png")
    folder.parent.mkdir(parents=True, exist_ok=True)
    out.replace(folder)


def _register(store: Store, plan: Plan, folder: Path, *, run_id: str) -> Policy:
    adapter_file = folder / "adapter_model.safetensors"
    if not adapter_file.is_file():
        raise ModelError(
            f"{folder} has no adapter_model.safetensors; move it away and train again."
        )
    digest = hashlib.sha256(adapter_file.read_bytes()).hexdigest()
    parent = plan.policy
    policy = Policy(
        id=Policy.id_of(base_model=parent.base_model, adapter_hash=digest, parent=parent.id),
        round=plan.next_round,
        base_model=parent.base_model,
        adapter=f"policies/{folder.name}",
        adapter_hash=digest,
        parent=parent.id,
        method="dpo",
        run_id=run_id,
        created_at=utc_now(),
    )
    store.append([policy])
    return policy
