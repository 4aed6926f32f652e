"""The verb: the newest policy's settled pairs in, the next policy registered.

policies/round-N/ appears whole or not at all. A killed run leaves its checkpoints under
policies/.work-<fingerprint>/; the same command on the same data and settings goes on from them.
"""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from storage.errors import ModelError, NotReadyError
from storage.pairs import consensus_by_pair, pairs_of_round
from storage.policies import find_policy, newest_policy
from storage.prompts import prompts
from storage.records import Policy, Purpose, Split, content_id
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from train.cards import loss_plot, model_card
from train.config import MAX_FLIP_RATE, PREVIOUS, SFT, Loss, TrainConfig, Tuning
from train.examples import Example, examples_of
from train.rows import texts_of
from train.triplets import Built, Drop, build_triplets
from train.weights import Weights

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
    store: Store,
    workspace: Path,
    config: TrainConfig,
    *,
    flip_rate: float | None = None,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Train the next policy from the newest one's settled pairs and register it.

    flip_rate: how often a vote is wrong in this project, None where that is not known; the robust
    loss needs it, or train.flip_rate.
    """
    flips = _flip_rate(config, flip_rate)
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
        # Seconds of imports: after the plan was found good.
        from transformers import AutoTokenizer

        from train.dpo import train_dpo
        from train.prepare import Job

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
            reference = reference_of(store, plan.policy, config)
            weights = weights_of(workspace, plan.policy)
            tokenizer = AutoTokenizer.from_pretrained(weights.base_model)
            trained = train_dpo(
                Job(
                    examples=_weighed(examples_of(training, texts, tokenizer), config),
                    heldout=examples_of(heldout, texts, tokenizer),
                    policy=weights,
                    reference=weights_of(workspace, reference),
                    flip_rate=flips,
                    config=config,
                    cache=workspace / "cache" / "reference",
                    work=work,
                ),
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
                "reference": {
                    "policy": reference.id,
                    "weights_hash": reference.adapter_hash,
                    "logps": trained.reference.source,
                    "checked": trained.reference.checked,
                    "error_mean": trained.reference.error_mean,
                    "error_spread": trained.reference.error_spread,
                },
                "flip_rate": flips if config.loss is Loss.ROBUST else None,
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
        policy = _register(store, plan, folder, config, run_id=run.run.id)
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


def weights_of(workspace: Path, policy: Policy) -> Weights:
    """Where a policy's weights lie; a fully tuned one's base is a folder of the workspace."""
    whole = workspace / policy.base_model
    return Weights(
        policy_id=policy.id,
        base_model=str(whole) if whole.is_dir() else policy.base_model,
        adapter=workspace / policy.adapter if policy.adapter else None,
    )


def reference_of(store: Store, policy: Policy, config: TrainConfig) -> Policy:
    """The policy that train.reference names; raises ConfigurationError for one there is not."""
    if config.reference == PREVIOUS:
        return policy
    return find_policy(store, SFT if config.reference == SFT else config.reference)


def _weighed(examples: Sequence[Example], config: TrainConfig) -> list[Example]:
    """With the weights and probabilities that the settings ask for."""
    return [
        replace(
            e,
            weight=e.weight if config.pair_weights else 1.0,
            probability=e.probability if config.soft_labels else 1.0,
        )
        for e in examples
    ]


def _flip_rate(config: TrainConfig, measured: float | None) -> float:
    if config.loss is not Loss.ROBUST:
        return 0.0
    rate = config.flip_rate if config.flip_rate is not None else measured
    if rate is None:
        raise NotReadyError(
            'train.loss = "robust" needs to know how often a vote is wrong, and too few pairs have '
            "two votes to tell. Set train.flip_rate, or collect a second vote on some pairs."
        )
    return min(rate, MAX_FLIP_RATE)


def _register(
    store: Store, plan: Plan, folder: Path, config: TrainConfig, *, run_id: str
) -> Policy:
    whole = config.tuning is Tuning.FULL
    files = sorted(folder.glob("model*.safetensors" if whole else "adapter_model.safetensors"))
    if not files:
        raise ModelError(f"{folder} has no trained weights; move it away and train again.")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while block := content.read(1 << 24):
                digest.update(block)
    parent, place = plan.policy, f"policies/{folder.name}"
    base_model = place if whole else parent.base_model
    policy = Policy(
        id=Policy.id_of(base_model=base_model, adapter_hash=digest.hexdigest(), parent=parent.id),
        round=plan.next_round,
        base_model=base_model,
        adapter=None if whole else place,
        adapter_hash=digest.hexdigest(),
        parent=parent.id,
        method="dpo",
        run_id=run_id,
        created_at=utc_now(),
    )
    store.append([policy])
    return policy
