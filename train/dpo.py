"""Preference training: examples in, a policy's folder out. The file that sets up TRL and PEFT.

The policy begins as the last round's (or as a fresh adapter on the base model) and is held near a
reference by its log-probabilities, which are worked out once, before the first step.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError, NotReadyError
from train.config import Start, TrainConfig, Tuning
from train.examples import Example
from train.losses import loss_at_start
from train.reference import Reference, reference_logps, scorer

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ADAPTER = "adapter_model.safetensors"
START_TOLERANCE = 1e-3  # of loss and margin before the first step, where both are known

OnLog = Callable[[int, int, Mapping[str, float]], None]  # step, steps, finite metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where a policy's weights are: a model, seen through an adapter or as it is."""

    policy_id: str
    base_model: str
    adapter: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the run measured. heldout_accuracy: share of validation pairs whose chosen answer has
    the higher implicit reward; nan without validation pairs.
    """

    metrics: dict[str, float]
    history: list[dict[str, float]]
    reference: Reference
    heldout_margins: list[float]
    heldout_accuracy: float


def train_dpo(
    examples: Sequence[Example],
    heldout: Sequence[Example],
    *,
    policy: Weights,
    reference: Weights,
    flip_rate: float,
    config: TrainConfig,
    cache: Path,
    work: Path,
    out: Path,
    on_log: OnLog,
) -> Trained:
    """Train and write weights and tokenizer to `out`; resumes from a checkpoint in `work`.

    cache: folder of reference log-probabilities. Raises NotReadyError when a pair is longer than
    max_length, ModelError when the loss is no number or the policy does not start at the reference.
    """
    import torch
    from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint

    from train.exact_trainer import ExactDPOTrainer, dataset_of

    refuse_long(examples, config)
    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(policy.base_model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model, peft_config = _open(policy, config, dtype)
    starts_at_reference = _same(policy, reference, config)

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            found = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
            if "loss" not in found:
                return
            step = state.global_step
            _check_loss(found, step=step, config=config, known=starts_at_reference)
            on_log(step, state.max_steps, found)

    nothing = [0.0] * len(examples)
    unknown = Reference(chosen=nothing, rejected=nothing, source=None)
    trainer = ExactDPOTrainer(
        loss=config.loss,
        sft_weight=config.sft_weight,
        flip_rate=flip_rate,
        model=model,
        args=_arguments(config, len(examples), work=work, bf16=dtype is torch.bfloat16),
        train_dataset=dataset_of(examples, unknown),
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=[Watch()],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter(
            "ref"
        )  # TRL's copy of the adapter; ours is a column of numbers

    def score(wanted: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        with _as_reference(trainer.model, reference, policy, config, dtype) as seen:
            return scorer(seen, pad_id=tokenizer.pad_token_id)(wanted)

    found = reference_logps(
        [*examples, *heldout],
        policy_id=reference.policy_id,
        beta=config.beta,
        score=score,
        cache=cache / f"{reference.policy_id.replace(':', '-')}-{str(dtype)[6:]}.parquet",
        exact=config.tuning is not Tuning.QLORA,
    )
    trainer.train_dataset = dataset_of(examples, found.part(0, len(examples)))
    checkpoint = get_last_checkpoint(str(work)) if work.is_dir() else None
    result = trainer.train(resume_from_checkpoint=checkpoint)
    margins = _margins(
        heldout,
        found.part(len(examples), None),
        scorer(trainer.model, pad_id=tokenizer.pad_token_id),
        beta=config.beta,
    )
    trainer.save_model(str(out))
    tokenizer.save_pretrained(str(out))
    (out / "training_args.bin").unlink(missing_ok=True)  # a pickle; the config is in run.json
    wanted = "model*.safetensors" if config.tuning is Tuning.FULL else ADAPTER
    if not any(out.glob(wanted)):
        raise ModelError(f"The trainer wrote no {wanted} to {out}.")
    metrics = {k: float(v) for k, v in result.metrics.items() if isinstance(v, int | float)}
    accuracy = sum(m > 0 for m in margins) / len(margins) if margins else math.nan
    return Trained(
        metrics=metrics,
        history=[row for row in trainer.state.log_history if "loss" in row],
        reference=found,
        heldout_margins=margins,
        heldout_accuracy=accuracy,
    )


def _open(policy: Weights, config: TrainConfig, dtype: Any) -> tuple[Any, Any]:
    """The model to train, and the adapter to add where it has none yet."""
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        policy.base_model, dtype=dtype, **_four_bits(config)
    )
    if config.tuning is Tuning.FULL:
        if policy.adapter is not None:
            raise ModelError(
                f"The policy {policy.policy_id} is an adapter; full fine-tuning begins from whole "
                'weights. Go on with train.tuning = "lora", or merge it first '
                "(pairloop export --policy latest --merged)."
            )
        return model, None
    if policy.adapter is not None and config.start is Start.CONTINUE:
        return PeftModel.from_pretrained(model, policy.adapter, is_trainable=True), None
    return model, LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
    )


def _four_bits(config: TrainConfig) -> dict[str, Any]:
    if config.tuning is not Tuning.QLORA:
        return {}
    from importlib.util import find_spec

    import torch

    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise ModelError(
            'train.tuning = "qlora" needs a GPU and bitsandbytes (`pip install bitsandbytes`). '
            'Use train.tuning = "lora".'
        )
    from transformers import BitsAndBytesConfig

    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": four}


def _same(policy: Weights, reference: Weights, config: TrainConfig) -> bool:
    """Whether training starts with the policy equal to its reference."""
    adapter = policy.adapter if config.start is Start.CONTINUE else None
    return (policy.base_model, adapter) == (reference.base_model, reference.adapter)


@contextmanager
def _as_reference(
    model: Any, reference: Weights, policy: Weights, config: TrainConfig, dtype: Any
) -> Iterator[Any]:
    """The model to be trained, not yet trained, made to answer as the reference."""
    if _same(policy, reference, config):
        yield model
    elif reference.base_model == policy.base_model and config.tuning is not Tuning.FULL:
        if reference.adapter is None:
            with model.disable_adapter():
                yield model
            return
        model.load_adapter(str(reference.adapter), "reference")
        model.set_adapter("reference")
        try:
            yield model
        finally:
            model.set_adapter("default")
            model.delete_adapter("reference")
    else:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
        from trl.trainer.utils import add_fused_lm_head

        other: Any = AutoModelForCausalLM.from_pretrained(reference.base_model, dtype=dtype)
        add_fused_lm_head(other)
        if reference.adapter is not None:
            other = PeftModel.from_pretrained(other, reference.adapter)
        yield other.to(model.device)


def _arguments(config: TrainConfig, pairs: int, *, work: Path, bf16: bool) -> Any:
    import torch
    from trl import DPOConfig

    device_batch = min(config.device_batch_size, config.batch_size)
    accumulate = max(1, config.batch_size // device_batch)
    steps = math.ceil(math.ceil(pairs / (device_batch * accumulate)) * config.epochs)
    on_gpu = torch.cuda.is_available()
    return DPOConfig(
        output_dir=str(work),
        beta=config.beta,
        precompute_ref_log_probs=config.tuning is Tuning.FULL,  # else TRL loads it a second time
        learning_rate=config.learning_rate,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=accumulate,
        gradient_checkpointing=config.gradient_checkpointing,
        train_sampling_strategy="group_by_length" if config.group_by_length else "random",
        warmup_steps=config.warmup,
        lr_scheduler_type="cosine",
        max_length=config.max_length,
        logging_steps=1,
        save_strategy="steps",
        save_steps=max(1, steps // config.checkpoints),
        save_total_limit=2,
        seed=config.seed,
        bf16=bf16,
        use_cpu=not on_gpu,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
    )


def _check_loss(
    logged: Mapping[str, float], *, step: int, config: TrainConfig, known: bool
) -> None:
    """known: policy and reference are equal before the first step, where the rate is 0 still."""
    loss, margin = logged["loss"], logged["rewards/margins"]
    if not math.isfinite(loss):
        raise ModelError(
            f"The loss became {loss} at step {step}. Lower train.learning_rate; the last "
            "checkpoint is kept and a new run with other settings begins afresh."
        )
    expected = loss_at_start(config.loss, beta=config.beta)
    tolerance = START_TOLERANCE * max(1.0, expected)
    wrong_loss = not config.sft_weight and abs(loss - expected) > tolerance
    if known and step == 1 and (wrong_loss or abs(margin) > START_TOLERANCE):
        raise ModelError(
            f"At the first step the loss is {loss:.4f} and the reward margin {margin:.4f}, not "
            f"{expected:.4f} and 0: the reference is not the policy that is trained. "
            "Check that the adapter belongs to the base model."
        )


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


def _margins(
    examples: Sequence[Example], reference: Reference, score: Any, *, beta: float
) -> list[float]:
    """Implicit reward of chosen minus rejected, per pair: beta times the log-ratio to the reference
    (Rafailov et al. 2023, section 4).
    """
    if not examples:
        return []
    wanted = [(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()]
    now = score(wanted)
    return [
        beta * ((c - rc) - (j - rj))
        for c, j, rc, rj in zip(
            now[::2], now[1::2], reference.chosen, reference.rejected, strict=True
        )
    ]
