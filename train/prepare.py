"""From examples to a trainer that is ready for its first step."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import NotReadyError
from train.config import TrainConfig, Tuning
from train.examples import Example
from train.reference import Reference, reference_logps, scorer
from train.weights import Weights, as_reference, open_model

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained, from where, and where it goes.

    flip_rate: how often a vote is wrong, for the robust loss. cache: folder of reference
    log-probabilities. work: checkpoints, to resume from.
    """

    examples: Sequence[Example]
    heldout: Sequence[Example]
    policy: Weights
    reference: Weights
    flip_rate: float
    config: TrainConfig
    cache: Path
    work: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything ready for the first step."""

    job: Job
    trainer: Any
    tokenizer: Any
    reference: Reference  # of the examples, then of the held-out ones

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


def prepare(job: Job) -> Prepared:
    """Load the model, set up the trainer and find the reference's log-probabilities.

    Raises NotReadyError when a pair is longer than max_length.
    """
    import torch
    from transformers import AutoTokenizer, PrinterCallback

    from train.exact_trainer import ExactDPOTrainer, arguments, dataset_of

    config = job.config
    refuse_long(job.examples, config)
    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(job.policy.base_model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model, peft_config = open_model(job.policy, config, dtype)
    nothing = [0.0] * len(job.examples)
    unknown = Reference(chosen=nothing, rejected=nothing, source=None)
    trainer = ExactDPOTrainer(
        loss=config.loss,
        sft_weight=config.sft_weight,
        flip_rate=job.flip_rate,
        model=model,
        args=arguments(config, len(job.examples), work=job.work, bf16=dtype is torch.bfloat16),
        train_dataset=dataset_of(job.examples, unknown),
        processing_class=tokenizer,
        peft_config=peft_config,
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter("ref")  # TRL's copy; ours is a column of numbers

    def score(wanted: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        with as_reference(trainer.model, job.reference, job.policy, config, dtype) as seen:
            return scorer(seen, pad_id=tokenizer.pad_token_id)(wanted)

    name = f"{job.reference.policy_id.replace(':', '-')}-{str(dtype).removeprefix('torch.')}"
    found = reference_logps(
        [*job.examples, *job.heldout],
        policy_id=job.reference.policy_id,
        beta=config.beta,
        score=score,
        cache=job.cache / f"{name}.parquet",
        exact=config.tuning is not Tuning.QLORA,
    )
    trainer.train_dataset = dataset_of(job.examples, found.part(0, len(job.examples)))
    return Prepared(job=job, trainer=trainer, tokenizer=tokenizer, reference=found)


def refuse_long(examples: Sequence[Example], config: TrainConfig) -> None:
    """A trainer that cuts long answers takes their end token first, without a word."""
    long = [e for e in examples if e.length > config.max_length]
    if long:
        longest = max(e.length for e in long)
        raise NotReadyError(
            f"{len(long)} of {len(examples)} triplets are longer than train.max_length = "
            f"{config.max_length} tokens (the longest has {longest}). Set train.max_length "
            f"to {longest} or more; cut answers would teach the model to stop anywhere."
        )
