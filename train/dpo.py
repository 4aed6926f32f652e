"""LoRA DPO with TRL: rows in, an adapter folder out. The only file that imports trl and peft.

Round 1 trains a fresh adapter; the reference is the base model (the adapter switched off). Later
rounds go on training the last round's adapter; the reference is that adapter as it was.
"""

import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError, NotReadyError
from train.config import TrainConfig
from train.rows import Row

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ADAPTER = "adapter_model.safetensors"
STEP_0_LOSS = math.log(2)  # policy and reference are equal before the first step
STEP_0_TOLERANCE = 1e-3

OnLog = Callable[[int, int, Mapping[str, float]], None]  # step, steps, finite metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the run measured. heldout_accuracy: share of validation pairs whose chosen answer has
    the higher implicit reward; nan without validation pairs.
    """

    metrics: dict[str, float]
    history: list[dict[str, float]]
    heldout_margins: list[float]
    heldout_accuracy: float


def train_dpo(
    rows: Sequence[Row],
    heldout: Sequence[Row],
    *,
    base_model: str,
    adapter: Path | None,
    config: TrainConfig,
    work: Path,
    out: Path,
    on_log: OnLog,
) -> Trained:
    """Train and write adapter and tokenizer to `out`; resumes from a checkpoint in `work`.

    Raises NotReadyError when a row is longer than max_length, ModelError when the loss is no
    number or the reference does not match the policy at the first step.
    """
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        PrinterCallback,
        TrainerCallback,
    )
    from transformers.trainer_utils import get_last_checkpoint
    from trl import DPOConfig, DPOTrainer

    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    _refuse_long(rows, tokenizer, config)
    model: Any = AutoModelForCausalLM.from_pretrained(base_model, dtype=dtype)
    if adapter is None:
        peft_config = LoraConfig(
            task_type="CAUSAL_LM",
            target_modules="all-linear",
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
        )
    else:
        peft_config = None
        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)

    device_batch = min(config.device_batch_size, config.batch_size)
    accumulate = max(1, config.batch_size // device_batch)
    steps = math.ceil(math.ceil(len(rows) / (device_batch * accumulate)) * config.epochs)

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            found = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
            if "loss" not in found:
                return
            _check_loss(found, step=state.global_step, config=config)
            on_log(state.global_step, state.max_steps, found)

    arguments = DPOConfig(
        output_dir=str(work),
        beta=config.beta,
        # With a share of the chosen answers' likelihood (Pang et al. 2024, RPO) the policy keeps
        # writing what people chose instead of only moving away from what they rejected.
        loss_type=["sigmoid", "sft"] if config.sft_weight else ["sigmoid"],
        loss_weights=[1.0, config.sft_weight] if config.sft_weight else None,
        learning_rate=config.learning_rate,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=device_batch,
        per_device_eval_batch_size=device_batch,
        gradient_accumulation_steps=accumulate,
        gradient_checkpointing=config.gradient_checkpointing,
        warmup_steps=config.warmup,
        lr_scheduler_type="cosine",
        max_length=config.max_length,
        logging_steps=1,
        save_strategy="steps",
        save_steps=max(1, steps // config.checkpoints),
        save_total_limit=2,
        seed=config.seed,
        bf16=dtype is torch.bfloat16,
        use_cpu=not on_gpu,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
    )
    trainer = DPOTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(rows),
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=[Watch()],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if len(trainer.train_dataset) != len(rows):
        raise ModelError(
            f"{len(rows)} triplets went in but the trainer kept {len(trainer.train_dataset)}. "
            "Nothing was trained; raise train.max_length."
        )
    checkpoint = get_last_checkpoint(str(work)) if work.is_dir() else None
    result = trainer.train(resume_from_checkpoint=checkpoint)
    margins = implicit_margins(trainer.model, tokenizer, heldout, beta=config.beta)
    trainer.save_model(str(out))
    tokenizer.save_pretrained(str(out))
    shutil.rmtree(out / "ref", ignore_errors=True)  # the frozen copy TRL saves beside the adapter
    (out / "training_args.bin").unlink(missing_ok=True)  # a pickle; the config is in run.json
    if not (out / ADAPTER).is_file():
        raise ModelError(f"The trainer wrote no {ADAPTER} to {out}.")
    metrics = {k: float(v) for k, v in result.metrics.items() if isinstance(v, int | float)}
    accuracy = sum(m > 0 for m in margins) / len(margins) if margins else math.nan
    return Trained(
        metrics=metrics,
        history=[row for row in trainer.state.log_history if "loss" in row],
        heldout_margins=margins,
        heldout_accuracy=accuracy,
    )


def _dataset(rows: Sequence[Row]) -> Any:
    from datasets import Dataset

    columns = ("prompt", "chosen", "rejected")
    return Dataset.from_list([{name: row[name] for name in columns} for row in rows])


def _check_loss(logged: Mapping[str, float], *, step: int, config: TrainConfig) -> None:
    loss, margin = logged["loss"], logged["rewards/margins"]
    if not math.isfinite(loss):
        raise ModelError(
            f"The loss became {loss} at step {step}. Lower train.learning_rate; the last "
            "checkpoint is kept and a new run with other settings begins afresh."
        )
    # The learning rate is 0 at the first step, so policy and reference are still the same.
    wrong_loss = not config.sft_weight and abs(loss - STEP_0_LOSS) > STEP_0_TOLERANCE
    if step == 1 and (wrong_loss or abs(margin) > STEP_0_TOLERANCE):
        raise ModelError(
            f"At the first step the loss is {loss:.4f} and the reward margin {margin:.4f}, not "
            f"ln 2 = {STEP_0_LOSS:.4f} and 0: the reference is not the policy that is trained. "
            "Check that the adapter belongs to the base model."
        )


def _refuse_long(rows: Sequence[Row], tokenizer: Any, config: TrainConfig) -> None:
    """TRL would cut long answers, their end token first, without a word."""
    lengths = [
        max(len(token_ids(tokenizer, row, side)) for side in ("chosen", "rejected")) for row in rows
    ]
    long = sum(n > config.max_length for n in lengths)
    if long:
        raise NotReadyError(
            f"{long} of {len(rows)} triplets are longer than train.max_length = "
            f"{config.max_length} tokens (the longest has {max(lengths)}). Set train.max_length "
            f"to {max(lengths)} or more; cut answers would teach the model to stop anywhere."
        )


def token_ids(tokenizer: Any, row: Row, side: str) -> list[int]:
    """Prompt and answer as the trainer tokenizes them: the whole conversation, templated."""
    conversation = [*_turns(row["prompt"]), *_turns(row[side])]
    return list(tokenizer.apply_chat_template(conversation, return_dict=True)["input_ids"])


def prompt_ids(tokenizer: Any, row: Row) -> list[int]:
    """The prompt as the trainer tokenizes it."""
    encoded = tokenizer.apply_chat_template(
        _turns(row["prompt"]), add_generation_prompt=True, return_dict=True
    )
    return list(encoded["input_ids"])


def _turns(value: object) -> list[dict[str, str]]:
    assert isinstance(value, list), "a conversation is a list of turns"
    return value


def implicit_margins(
    model: Any, tokenizer: Any, rows: Sequence[Row], *, beta: float
) -> list[float]:
    """Implicit reward of chosen minus rejected, per row: beta times the log-ratio to the reference
    (Rafailov et al. 2023, section 4).
    """
    import torch

    model.eval()
    margins = []
    with torch.inference_mode():
        for row in rows:
            ratios = []
            start = len(prompt_ids(tokenizer, row))
            for side in ("chosen", "rejected"):
                ids = token_ids(tokenizer, row, side)
                policy = _logprob(model, ids, start)
                with _reference(model):
                    ratios.append(policy - _logprob(model, ids, start))
            margins.append(beta * (ratios[0] - ratios[1]))
    return margins


def _reference(model: Any) -> Any:
    """The reference: TRL's frozen "ref" adapter if the policy continues one, else the base."""
    from contextlib import contextmanager

    if "ref" not in model.peft_config:
        return model.disable_adapter()

    @contextmanager
    def switched() -> Any:
        model.set_adapter("ref")
        try:
            yield
        finally:
            model.set_adapter("default")

    return switched()


def _logprob(model: Any, ids: Sequence[int], start: int) -> float:
    """Sum of the log-probabilities (nats) of ids[start:] given what precedes them."""
    import torch

    ids_1_T = torch.tensor([list(ids)], device=model.device)
    logits_T_V = model(input_ids=ids_1_T).logits[0, :-1].float()
    logps_T = logits_T_V.log_softmax(-1).gather(1, ids_1_T[0, 1:, None])[:, 0]
    return float(logps_T[start - 1 :].sum())
