"""Preference training: examples in, a policy's folder out.

The policy begins as the last round's (or as a fresh adapter on the base model) and is held near a
reference by its log-probabilities, which are worked out once, before the first step.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from train.config import Tuning
from train.dry_step import DryStep, dry_step, wrong_start
from train.prepare import Job, Prepared, prepare
from train.reference import Reference, scorer
from train.rewards import Reward, accuracy_of, rewards_of
from train.samples import PROMPTS, Sampled, answers

ADAPTER = "adapter_model.safetensors"

OnLog = Callable[[int, int, Mapping[str, float]], None]  # step, steps, finite metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the run measured, and the implicit rewards of the pairs trained on and held out."""

    metrics: dict[str, float]
    history: list[dict[str, float]]
    reference: Reference
    dry_step: DryStep
    rewards: list[Reward]
    heldout_rewards: list[Reward]
    samples: list[Sampled]

    @property
    def heldout_accuracy(self) -> float:
        """Share of validation pairs whose chosen answer has the higher reward; nan without any."""
        return accuracy_of(self.heldout_rewards)


def train_dpo(
    job: Job, *, out: Path, on_log: OnLog, stopping: Callable[[], bool] = lambda: False
) -> Trained:
    """Train and write weights and tokenizer to `out`; resumes from a checkpoint in job.work.

    Where stopping() says so, a checkpoint is kept and KeyboardInterrupt raised. Raises ModelError
    when the loss is no number or the policy does not start where the reference says.
    """
    from transformers import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint

    ready = prepare(job)
    first = dry_step(ready)
    if not first.holds:
        raise ModelError(wrong_start(first))
    trainer, asked = ready.trainer, []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            found = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
            if "loss" in found:
                _check_loss(found["loss"], step=state.global_step)
                on_log(state.global_step, state.max_steps, found)

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
            if stopping():
                asked.append(True)
                control.should_save = control.should_training_stop = True

    asks = job.heldout[:PROMPTS]
    asked_ids = [e.prompt_ids for e in asks]
    before = answers(trainer.model, ready.tokenizer, asked_ids)
    trainer.add_callback(Watch())
    checkpoint = get_last_checkpoint(str(job.work)) if job.work.is_dir() else None
    result = trainer.train(resume_from_checkpoint=checkpoint)
    if asked:
        raise KeyboardInterrupt
    score, n = scorer(trainer.model, pad_id=ready.pad_id), len(job.examples)
    rewards, heldout = (
        rewards_of(of, reference, score, beta=job.config.beta)
        for of, reference in (
            (job.examples, ready.reference.part(0, n)),
            (job.heldout, ready.reference.part(n, None)),
        )
    )
    _save(ready, out)
    metrics = {k: float(v) for k, v in result.metrics.items() if isinstance(v, int | float)}
    return Trained(
        metrics=metrics,
        history=[row for row in trainer.state.log_history if "loss" in row],
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


def _save(ready: Prepared, out: Path) -> None:
    ready.trainer.save_model(str(out))
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
