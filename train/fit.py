"""Preference training: examples in, a folder of weights out, by any of the methods.

The policy begins as the last round's (or as a fresh adapter on the base model) and is held near a
reference by its log-probabilities, which are worked out once, before the first step.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from train.config import Method, Tuning
from train.dry_step import DryStep, dry_step, wrong_start
from train.prepare import Job, Prepared, prepare
from train.ranks import first_says, rank, world
from train.reference import Reference, scorer
from train.rewards import (
    Reward,
    accuracy_of,
    rewards_by_model,
    rewards_of,
    rewards_per_token,
)
from train.samples import PROMPTS, Sampled, answers
from train.trouble import told_plainly
from train.weights import ADAPTER

log = logging.getLogger(__name__)

OnLog = Callable[[int, int, Mapping[str, float]], None]  # step, steps, finite metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the run measured, and the implicit rewards of the pairs trained on and held out."""

    metrics: dict[str, float]
    history: list[dict[str, float]]
    reference: Reference | None
    dry_step: DryStep
    rewards: list[Reward]
    heldout_rewards: list[Reward]
    samples: list[Sampled]

    @property
    def heldout_accuracy(self) -> float:
        """Share of validation pairs whose chosen answer has the higher reward; nan without any."""
        return accuracy_of(self.heldout_rewards)


def fit(
    job: Job,
    *,
    out: Path,
    on_log: OnLog,
    stopping: Callable[[], bool] = lambda: False,
    tokenizer: Any = None,
) -> Trained:
    """Train and write weights and tokenizer to `out`; resumes from a checkpoint in job.work.

    tokenizer: of the policy, where it is loaded already. Where stopping() says so, a checkpoint is kept and KeyboardInterrupt raised. Raises ModelError
    when the loss is no number, the policy does not start where the reference says, or memory or
    disk ran out.
    """
    with told_plainly(job.config):
        return _fit(job, out, on_log, stopping, tokenizer)


def _fit(
    job: Job, out: Path, on_log: OnLog, stopping: Callable[[], bool], tokenizer: Any
) -> Trained:
    from transformers import TrainerCallback

    ready = prepare(job, tokenizer=tokenizer)
    first = dry_step(ready)
    if not first.holds:
        raise ModelError(wrong_start(first))
    trainer, asked = ready.trainer, []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            given = logs or {}
            found = {k: float(v) for k, v in given.items() if isinstance(v, int | float)}
            found = renamed(found, job.config.method)
            if "loss" in found:
                _check_loss(found["loss"], step=state.global_step)
                on_log(state.global_step, state.max_steps, found)

        def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if trainer.order is not None:
                trainer.order.epoch = state.global_step // trainer.order.steps

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
            if first_says(rank() == 0 and stopping()):
                asked.append(True)
                control.should_save = control.should_training_stop = True

    scores_only = job.config.method is Method.REWARD
    asks = [] if scores_only or world() > 1 else job.heldout[:PROMPTS]
    asked_ids = [e.prompt_ids for e in asks]
    before = answers(trainer.model, ready.tokenizer, asked_ids)
    trainer.add_callback(Watch())
    checkpoint = first_says(last_checkpoint(job.work) if rank() == 0 else None)
    result = trainer.train(resume_from_checkpoint=checkpoint)
    if asked:
        raise KeyboardInterrupt
    rewards, heldout = _rewards(ready)
    _save(ready, out)
    metrics = {k: float(v) for k, v in result.metrics.items() if isinstance(v, int | float)}
    return Trained(
        metrics=metrics,
        history=[
            renamed(row, job.config.method) for row in trainer.state.log_history if "loss" in row
        ],
        reference=ready.reference,
        dry_step=first,
        rewards=rewards,
        heldout_rewards=heldout,
        samples=[
            Sampled(
                prompt=ready.tokenizer.decode(e.prompt_ids, skip_special_tokens=True),
                before=earlier,
                after=later,
            )
            for e, earlier, later in zip(
                asks, before, answers(trainer.model, ready.tokenizer, asked_ids), strict=True
            )
        ],
    )


_METRICS = {
    Method.REWARD: {"margin": "rewards/margins", "accuracy": "rewards/accuracies"},
    Method.ORPO: {"log_odds_chosen": "rewards/margins", "logps/chosen": "logps/chosen_per_token"},
    Method.SIMPO: {"logps/chosen": "logps/chosen_per_token"},
}


def renamed(metrics: Mapping[str, float], method: Method) -> dict[str, float]:
    """With the names that DPO's metrics have, where a trainer has another for the same."""
    names = _METRICS.get(method, {})
    kept = {k: v for k, v in metrics.items() if k not in names.values()}
    return kept | {names[k]: v for k, v in metrics.items() if k in names}


def _rewards(ready: Prepared) -> tuple[list[Reward], list[Reward]]:
    """Of the pairs trained on, without edits and ties, and of those held out."""
    from train.exact_trainer import at_temperature_1

    job, model = ready.job, ready.trainer.model
    trained = [e for e in job.examples if not e.edited and not e.even]
    heldout = job.heldout
    if job.config.method is Method.REWARD:
        return (
            rewards_by_model(trained, model, pad_id=ready.pad_id),
            rewards_by_model(heldout, model, pad_id=ready.pad_id),
        )
    n, beta = len(job.examples), job.config.beta

    def score(wanted: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        with at_temperature_1(model, job.config):
            return scorer(model, pad_id=ready.pad_id)(wanted)

    if ready.reference is None:
        scale = 1.0 if job.config.method is Method.SFT else beta
        return (
            rewards_per_token(trained, score, scale=scale),
            rewards_per_token(heldout, score, scale=scale),
        )
    known, held = ready.reference.part(0, len(trained)), ready.reference.part(n, None)
    return (
        rewards_of(trained, known, score, beta=beta),
        rewards_of(heldout, held, score, beta=beta),
    )


def last_checkpoint(work: Path) -> str | None:
    """The newest one that was written to its end; a later one that was not is removed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda c: -int(c.name.rpartition("-")[2]))
    for checkpoint in found:
        try:
            json.loads((checkpoint / "trainer_state.json").read_bytes())  # written last
        except (OSError, ValueError):
            log.warning("%s was not written to its end and is removed", checkpoint.name)
            shutil.rmtree(checkpoint)
            continue
        return str(checkpoint)
    return None


def _save(ready: Prepared, out: Path) -> None:
    ready.trainer.save_model(str(out))
    if rank() > 0:
        return
    ready.tokenizer.save_pretrained(str(out))
    (out / "training_args.bin").unlink(missing_ok=True)  # a pickle; the config is in run.json
    wanted = "model*.safetensors" if ready.job.config.tuning is Tuning.FULL else ADAPTER
    if not any(out.glob(wanted)):
        raise ModelError(f"The trainer wrote no {wanted} to {out}.")


def _check_loss(loss: float, *, step: int) -> None:
    if not math.isfinite(loss):
        raise ModelError(
            f"The loss became {loss} at step {step}. Lower train.learning_rate; the last "
            "checkpoint is kept and a new run with other settings begins afresh."
        )
