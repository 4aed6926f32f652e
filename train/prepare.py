"""From examples to a trainer that is ready for its first step."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError, NotReadyError
from storage.words import many
from train.asked import Asked, filled_up
from train.config import RLHF, WITH_REFERENCE, Method, TrainConfig, Tuning
from train.examples import Example, Single
from train.reference import Reference, reference_logps, scorer
from train.weights import (
    ScorerWeights,
    Weights,
    as_reference,
    open_model,
    open_reward_model,
    open_scorer,
    tokenizer_of,
)

BF16_BYTES = 2

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # said in the checks, once
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained, from where, and where it goes.

    flip_rate: how often a vote is wrong, for the robust loss. cache: folder of reference
    log-probabilities. work: checkpoints, to resume from. singles: answers without a pair, for KTO.
    asked, scorer: the prompts that the policy answers and the reward model, for GRPO and RLOO.
    """

    examples: Sequence[Example]
    heldout: Sequence[Example]
    policy: Weights
    reference: Weights
    flip_rate: float
    config: TrainConfig
    cache: Path
    work: Path
    singles: Sequence[Single] = ()
    asked: Sequence[Asked] = ()
    scorer: ScorerWeights | None = None

    @property
    def rows(self) -> int:
        """That the trainer should hold, of every method but KTO."""
        return len(filled_up(self.asked, self.config)) if self.asked else len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything ready for the first step."""

    job: Job
    trainer: Any
    tokenizer: Any
    reference: Reference | None  # of the examples, then of the held-out ones; None: has none
    dtype: str

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


def prepare(job: Job, *, tokenizer: Any = None) -> Prepared:
    """Load the model, set up the trainer and find the reference's log-probabilities.

    tokenizer: of the policy, where it is loaded already. Raises NotReadyError when a pair is longer than max_length, ModelError when rows went missing.
    """
    import torch
    from transformers import PrinterCallback

    config = job.config
    refuse_long([*job.examples, *job.singles], config)
    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    tokenizer = tokenizer_of(job.policy) if tokenizer is None else tokenizer
    named = {"tokenizer": tokenizer, "dtype": dtype}
    match config.method:
        case Method.DPO:
            trainer, answers = _dpo(job, **named)
        case Method.GRPO | Method.RLOO:
            trainer, answers = _rlhf(job, **named)
        case _:
            trainer, answers = _other(job, **named)
    rows = len(answers) if config.method is Method.KTO else job.rows
    if len(trainer.train_dataset) != rows:
        raise ModelError(
            f"The trainer has {many(len(trainer.train_dataset), 'row')} of {rows}. Report it."
        )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if "ref" in getattr(trainer.model, "peft_config", {}) and config.method not in RLHF:
        trainer.model.delete_adapter("ref")  # TRL's copy; ours is a column of numbers
    found = None
    if config.method in WITH_REFERENCE:
        found = _reference(job, [*job.examples, *job.heldout], trainer, **named)
        if config.method is Method.DPO:
            from train.exact_trainer import dataset_of

            trainer.train_dataset = dataset_of(job.examples, found.part(0, len(job.examples)))
        elif config.method is Method.KTO:
            from train.trl_methods import kto_rows

            known = _reference(job, [e for _, e in answers], trainer, **named)
            trainer.train_dataset = kto_rows(answers, known)
    return Prepared(
        job=job,
        trainer=trainer,
        tokenizer=tokenizer,
        reference=found,
        dtype=str(dtype).removeprefix("torch."),
    )


def _dpo(job: Job, *, tokenizer: Any, dtype: Any) -> tuple[Any, list[tuple[Single, Example]]]:
    from train.exact_trainer import ExactDPOTrainer, arguments, dataset_of

    config = job.config
    model, peft_config = open_model(job.policy, config, dtype)
    nothing = [0.0] * len(job.examples)
    unknown = Reference(chosen=nothing, rejected=nothing, source=None)
    bf16 = dtype.itemsize == BF16_BYTES
    trainer = ExactDPOTrainer(
        loss=config.loss,
        sft_weight=config.sft_weight,
        flip_rate=job.flip_rate,
        model=model,
        args=arguments(config, len(job.examples), work=job.work, bf16=bf16),
        train_dataset=dataset_of(job.examples, unknown),
        processing_class=tokenizer,
        peft_config=peft_config,
    )
    return trainer, []


def _other(job: Job, *, tokenizer: Any, dtype: Any) -> tuple[Any, list[tuple[Single, Example]]]:
    """The trainer, and for KTO the answers in its order."""
    from train.trl_methods import Setup, kto_answers, trainer_of

    config = job.config
    scorer_wanted = config.method is Method.REWARD
    opened = open_scorer if scorer_wanted else open_model
    model, peft_config = opened(job.policy, config, dtype)
    setup = Setup(
        config=config,
        model=model,
        peft_config=peft_config,
        tokenizer=tokenizer,
        work=job.work,
        bf16=dtype.itemsize == BF16_BYTES,
    )
    kto = config.method is Method.KTO
    answers = kto_answers(job.examples, job.singles, config) if kto else []
    return trainer_of(setup, job.examples, answers), answers


def _rlhf(job: Job, *, tokenizer: Any, dtype: Any) -> tuple[Any, list[tuple[Single, Example]]]:
    with warnings.catch_warnings():  # the trainers import vLLM where it is installed; none uses it
        warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
        from train.rlhf import hold_near, rlhf_trainer
    from train.trl_methods import Setup

    assert job.scorer is not None, "a plan for GRPO or RLOO names its reward model"
    model, peft_config = open_model(job.policy, job.config, dtype)
    setup = Setup(
        config=job.config,
        model=model,
        peft_config=peft_config,
        tokenizer=tokenizer,
        work=job.work,
        bf16=dtype.itemsize == BF16_BYTES,
    )
    scorer = open_reward_model(job.scorer, pad_id=tokenizer.pad_token_id, dtype=dtype)
    trainer = rlhf_trainer(setup, job.asked, scorer)
    hold_near(trainer, job.reference, job.policy, job.config, dtype)
    return trainer, []


def _reference(
    job: Job, examples: Sequence[Example], trainer: Any, *, tokenizer: Any, dtype: Any
) -> Reference:
    from train.exact_trainer import at_temperature_1

    config = job.config

    def score(wanted: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        shown = as_reference(trainer.model, job.reference, job.policy, config, dtype)
        with at_temperature_1(trainer.model, config), shown as seen:
            return scorer(seen, pad_id=tokenizer.pad_token_id)(wanted)

    name = f"{job.reference.policy_id.replace(':', '-')}-{str(dtype).removeprefix('torch.')}"
    return reference_logps(
        examples,
        policy_id=job.reference.policy_id,
        beta=config.beta,
        score=score,
        cache=job.cache / f"{name}.parquet",
        exact=config.tuning is not Tuning.QLORA,
    )


def refuse_long(examples: Sequence[Example | Single], config: TrainConfig) -> None:
    """A trainer that cuts long answers takes their end token first, without a word."""
    long = [e for e in examples if e.length > config.max_length]
    if long:
        longest = max(e.length for e in long)
        raise NotReadyError(
            f"{len(long)} of {len(examples)} triplets are longer than train.max_length = "
            f"{many(config.max_length, 'token')} (the longest has {longest}). Set train.max_length "
            f"to {longest} or more; cut answers would teach the model to stop anywhere."
        )
