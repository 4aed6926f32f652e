"""One step without an update: does the trainer compute what it should, and what does it cost?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.config import RLHF, Method, TrainConfig
from train.examples import Example
from train.prepare import Prepared
from train.ranks import sharded
from train.reference import Reference, scorer
from train.weights import starts_equal

TOLERANCE = 1e-3  # of the loss and the margin, relative above 1
TOLERANCE_BF16 = 2e-2  # where the other methods' loss is worked out apart, in other batches


@dataclass(frozen=True, slots=True, kw_only=True)
class DryStep:
    """One step on the longest pairs, without an update.

    expected_*: by formula where policy and reference are equal, else from log-probabilities that
    were worked out apart from the trainer. margin: None where the method has no reference.
    others: name, figure and what it should be. tokens: trained; of methods that write answers
    themselves, the number of answers. peak_bytes: of the GPU, 0 without one. Where the model will be
    sharded there is no backward pass: before training every process still holds all of it, and
    seconds are three forward passes'.
    """

    loss: float
    expected_loss: float
    margin: float | None
    expected_margin: float | None
    seconds: float
    tokens: int
    peak_bytes: int
    tolerance: float = TOLERANCE
    others: tuple[tuple[str, float, float], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the trainer computes what it should."""
        figures = [(self.loss, self.expected_loss)]
        if self.margin is not None and self.expected_margin is not None:
            figures.append((self.margin, self.expected_margin))
        figures += [(found, expected) for _, found, expected in self.others]
        return all(
            abs(found - expected) <= self.tolerance * max(1.0, abs(expected))
            for found, expected in figures
        )


def dry_step(ready: Prepared) -> DryStep:
    """Forward and backward on the longest pairs or prompts; the gradients are dropped."""
    if ready.job.config.method in RLHF:
        return _rlhf(ready)
    if ready.job.config.method is not Method.DPO or ready.reference is None:
        return _other(ready)
    import torch

    from train.exact_trainer import dataset_of

    job, trainer = ready.job, ready.trainer
    order = sorted(range(len(job.examples)), key=lambda i: -job.examples[i].length)
    places = order[: job.config.at_once]
    chosen = [job.examples[i] for i in places]
    known = Reference(
        chosen=[ready.reference.chosen[i] for i in places],
        rejected=[ready.reference.rejected[i] for i in places],
        source=None,
    )
    expected_loss, expected_margin = _expected(ready, chosen, known)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    loss, margin = trainer.try_step(dataset_of(chosen, known), backward=not sharded())
    seconds = _seconds(began)
    return DryStep(
        loss=loss,
        expected_loss=expected_loss,
        margin=margin,
        expected_margin=expected_margin,
        seconds=seconds,
        tokens=sum(len(ids) for e in chosen for ids in e.sequences()),
        peak_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    )


def _other(ready: Prepared) -> DryStep:
    """Of the methods that are not DPO."""
    import torch

    from train.expected import expected_loss

    config, trainer = ready.job.config, ready.trainer
    lengths = trainer.train_dataset["length"]
    longest = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    rows = trainer.train_dataset.select(longest[: config.at_once])
    args = trainer.args
    expected = expected_loss(
        config,
        list(rows),
        scorer(trainer.model, pad_id=ready.pad_id),
        weights=(
            getattr(args, "desirable_weight", 1.0),
            getattr(args, "undesirable_weight", 1.0),
        ),
    )
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    loss = trainer.try_step(rows, backward=not sharded())
    return DryStep(
        loss=loss,
        expected_loss=expected,
        margin=None,
        expected_margin=None,
        seconds=_seconds(began),
        tokens=tokens_of(config, rows),
        peak_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        tolerance=TOLERANCE if ready.dtype == "float32" else TOLERANCE_BF16,
    )


def _rlhf(ready: Prepared) -> DryStep:
    """Answers to the longest prompts, scored, and the loss of as many as the device takes."""
    import torch

    from train.rlhf import apart

    job, config, trainer = ready.job, ready.job.config, ready.trainer
    many = max(1, config.at_once // config.num_generations)
    longest = sorted((a.prompt_ids for a in job.asked), key=lambda ids: -len(ids))[:many]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    batch = trainer.try_generation(longest)
    written = time.perf_counter()
    tried = trainer.try_loss(batch)
    answers = len(tried.sequences)
    steps = answers / min(tried.part, answers)
    seconds = written - began + steps * (time.perf_counter() - written)
    peak_bytes = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    known = apart(
        trainer,
        tried,
        reference=job.reference,
        policy=job.policy,
        config=config,
        dtype=getattr(torch, ready.dtype),
    )
    size = config.num_generations
    groups = [tried.advantages[i : i + size] for i in range(0, answers, size)]
    return DryStep(
        loss=tried.loss,
        expected_loss=known.loss,
        margin=None,
        expected_margin=None,
        seconds=seconds,
        tokens=answers,
        peak_bytes=peak_bytes,
        tolerance=TOLERANCE if ready.dtype == "float32" else TOLERANCE_BF16,
        others=(
            ("KL to the reference", tried.kl, known.kl),
            ("largest error of a score", known.score_error, 0.0),
            ("largest sum of a group's advantages", max(abs(sum(g)) for g in groups), 0.0),
        ),
    )


def _seconds(began: float) -> float:
    """Of forward and backward; a backward pass takes two forward ones."""
    return (time.perf_counter() - began) * (3 if sharded() else 1)


def tokens_of(config: TrainConfig, rows: Any) -> int:
    """That these rows train: of both conversations of pairs, of the answers by themselves."""
    names = {
        Method.SFT: ("input_ids",),
        Method.KTO: ("prompt_ids", "completion_ids"),
        Method.REWARD: ("chosen_ids", "rejected_ids"),
    }.get(config.method, ("chosen_input_ids", "rejected_input_ids"))
    return sum(len(ids) for name in names for ids in rows[name])


def _expected(
    ready: Prepared, examples: Sequence[Example], known: Reference
) -> tuple[float, float]:
    """Loss and margin of these examples, by formula or from scores made apart from the trainer."""
    import torch

    from train.losses import PER_TOKEN, loss_at_start, pair_losses

    job, config = ready.job, ready.job.config
    if starts_equal(job.policy, job.reference, config) and not config.sft_weight:
        return loss_at_start(config.loss, beta=config.beta), 0.0
    wanted = [(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()]
    now = torch.tensor(scorer(ready.trainer.model, pad_id=ready.pad_id)(wanted))
    c_B = now[::2] - torch.tensor(known.chosen)
    j_B = now[1::2] - torch.tensor(known.rejected)
    chosen_B = torch.tensor([len(e.chosen_ids) for e in examples])
    rejected_B = torch.tensor([len(e.rejected_ids) for e in examples])
    per_token = config.loss in PER_TOKEN
    weight_B = torch.tensor([e.weight for e in examples])
    losses_B = pair_losses(
        config.loss,
        c_B / chosen_B if per_token else c_B,
        j_B / rejected_B if per_token else j_B,
        beta=config.beta,
        probability_B=torch.tensor([e.probability for e in examples]),
        flip_rate=job.flip_rate,
    )
    loss = float((losses_B * weight_B / weight_B.mean()).mean())
    if config.sft_weight:
        loss += config.sft_weight * float(-now[::2].sum() / chosen_B.sum())
    return loss, config.beta * float((c_B - j_B).mean())


def wrong_start(first: DryStep) -> str:
    """What to say where the dry step does not hold."""
    if first.margin is None or first.expected_margin is None:
        others = "".join(f", {name} {a:.4f} (should be {b:.4f})" for name, a, b in first.others)
        return (
            f"Before the first step the loss is {first.loss:.4f}, and {first.expected_loss:.4f} "
            f"worked out apart from the trainer{others}. Check that the adapter belongs to the base model, "
            "that neither was changed since, and that the installed trl is one this version knows."
        )
    return (
        f"Before the first step the loss is {first.loss:.4f} and the reward margin "
        f"{first.margin:.4f}, not {first.expected_loss:.4f} and {first.expected_margin:.4f}: the "
        "reference is not the policy it should be. Check that the adapter belongs to the base "
        "model, and that neither was changed since."
    )
