"""TRL's DPOTrainer on exact token ids, with given reference log-probabilities, weights and soft
labels, none of which it has itself (trl issue 5613). This file, trl_methods.py and rlhf.py import trl.

It keeps TRL's loop, checkpoints, accelerate and PEFT handling and its fused LM head; what it
replaces is the data preparation (there is nothing to prepare) and the loss. With weights and
probabilities of 1 it computes what DPOTrainer computes: tests/train/test_exact_trainer.py.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from train.config import Loss, TrainConfig, Tuning
from train.examples import Example, relative_weights
from train.losses import PER_TOKEN, pair_losses
from train.order import Order
from train.reference import Reference

_SCALARS = ("weight", "probability")


def dataset_of(examples: Sequence[Example], reference: Reference) -> Dataset:
    """Rows of ids and numbers; the weights are scaled to a mean of 1."""
    return Dataset.from_dict(
        {
            "prompt_ids": [list(e.prompt_ids) for e in examples],
            "chosen_ids": [list(e.chosen_ids) for e in examples],
            "rejected_ids": [list(e.rejected_ids) for e in examples],
            "ref_chosen_logps": reference.chosen,
            "ref_rejected_logps": reference.rejected,
            "weight": relative_weights(examples),
            "probability": [e.probability for e in examples],
            "length": [e.length for e in examples],
        }
    )


def arguments(config: TrainConfig, pairs: int, *, work: Path, bf16: bool) -> DPOConfig:
    """TRL's settings for so many pairs; checkpoints go to `work`."""
    return DPOConfig(
        beta=config.beta,
        precompute_ref_log_probs=config.tuning is Tuning.FULL,  # else TRL loads it a second time
        max_length=config.max_length,
        **shared_arguments(config, pairs, work=work, bf16=bf16),
    )


def shared_arguments(
    config: TrainConfig, rows: int, *, work: Path, bf16: bool, grouped: bool = True
) -> dict[str, Any]:
    """Settings that every trainer takes alike. grouped: whether rows may be sorted by length."""
    steps = math.ceil(math.ceil(rows / config.batch_size) * config.epochs)
    on_gpu = torch.cuda.is_available()
    by_length = "group_by_length" if config.group_by_length else "random"
    return {
        "output_dir": str(work),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.at_once,
        "gradient_accumulation_steps": config.batch_size // (config.processes * config.at_once),
        "gradient_checkpointing": config.gradient_checkpointing,
        "train_sampling_strategy": by_length if grouped else "sequential",
        "warmup_steps": config.warmup,
        "lr_scheduler_type": "cosine",
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": max(1, steps // config.checkpoints),
        "save_total_limit": 2,
        "seed": config.seed,
        "bf16": bf16,
        "use_cpu": not on_gpu,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "ddp_find_unused_parameters": False,
    }


def fuse_head(model: Any) -> None:
    """Let a model give log-probabilities without logits, as the trainer's own does."""
    add_fused_lm_head(model)


@contextmanager
def at_temperature_1(model: Any, config: TrainConfig) -> Iterator[None]:
    """Log-probabilities as the model has them, where a trainer's head divides by a temperature."""
    if config.temperature == 1.0:
        yield
        return
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = inner.forward
    fuse_head(inner)
    try:
        yield
    finally:
        inner.forward = before


class ExactCollator(DataCollatorForPreference):  # type: ignore[misc]
    """TRL's padding, and the pairs' weights and probabilities beside it."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        for name in _SCALARS:
            batch[name] = torch.tensor([e[name] for e in examples])
        return batch


class Ordered:
    """Trains rows in our own order, which is the same for any number of processes."""

    args: Any
    train_dataset: Any
    order: Order | None = None

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Any:
        if self.args.train_sampling_strategy == "sequential":
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        rows = self.train_dataset if train_dataset is None else train_dataset
        self.order = Order(
            list(rows["length"]),
            batch=self.args.train_batch_size
            * self.args.gradient_accumulation_steps
            * self.args.world_size,
            seed=self.args.seed,
            grouped=self.args.train_sampling_strategy == "group_by_length",
        )
        return self.order


class ExactDPOTrainer(Ordered, DPOTrainer):  # type: ignore[misc]
    """DPO of examples whose reference log-probabilities are columns; `loss` is one of ours."""

    def __init__(
        self, *, loss: Loss, sft_weight: float, flip_rate: float, args: DPOConfig, **named: Any
    ) -> None:
        self._loss = loss
        self._sft_weight = sft_weight
        self._flip_rate = flip_rate
        tokenizer = named["processing_class"]
        collator = ExactCollator(pad_token_id=tokenizer.pad_token_id, max_length=None)
        super().__init__(args=args, data_collator=collator, **named)
        self.precompute_ref_logps = True

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        for name in (*_SCALARS, "length"):
            if name not in self._signature_columns:
                self._signature_columns.append(name)

    def _compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: Any = None,  # noqa: ARG002 - TRL passes it; there are none to return
    ) -> torch.Tensor:
        mask_2B_T = inputs["completion_mask"]
        labels_2B_T = inputs["input_ids"].masked_fill(mask_2B_T == 0, -100)
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=labels_2B_T,
            use_cache=False,
            fused_lm_head=True,
        )
        shifted_2B_T = mask_2B_T[:, 1:]
        logps_2B_T = outputs.log_probs[:, -shifted_2B_T.size(1) :]
        chosen_B, rejected_B = logps_2B_T.sum(dim=1).chunk(2)
        c_B = chosen_B - inputs["ref_chosen_logps"]
        j_B = rejected_B - inputs["ref_rejected_logps"]
        tokens_B, others_B = mask_2B_T.sum(dim=1).clamp(min=1).chunk(2)
        per_token = self._loss in PER_TOKEN
        losses_B = pair_losses(
            self._loss,
            c_B / tokens_B if per_token else c_B,
            j_B / others_B if per_token else j_B,
            beta=self.beta,
            probability_B=inputs["probability"],
            flip_rate=self._flip_rate,
        )
        loss: torch.Tensor = (inputs["weight"] * losses_B).mean()
        chosen_mask_B_T, _ = shifted_2B_T.chunk(2)
        if self._sft_weight:
            # The chosen answers' own loss per token (RPO, Pang et al. 2024): the policy keeps
            # writing what people chose instead of only moving away from what they rejected.
            own_B_T, _ = logps_2B_T.chunk(2)
            loss = loss - self._sft_weight * own_B_T[chosen_mask_B_T.bool()].mean()
        self._note(inputs, outputs, chosen_B, rejected_B, c_B, j_B)
        return loss

    def try_step(self, rows: Dataset, *, backward: bool = True) -> tuple[float, float]:
        """Loss and reward margin of these rows; nothing is updated."""
        batch = self._prepare_inputs(self.data_collator(list(rows)))
        self.model.train()
        loss = self.compute_loss(self.model, batch)
        if backward:
            self.accelerator.backward(loss)
        found = float(loss.detach()), float(self._metrics["train"]["rewards/margins"][-1])
        self.model.zero_grad(set_to_none=True)
        self._metrics["train"].clear()
        self._total_train_tokens = 0
        return found

    @torch.no_grad()
    def _note(
        self,
        inputs: dict[str, Any],
        outputs: Any,
        chosen_B: torch.Tensor,
        rejected_B: torch.Tensor,
        c_B: torch.Tensor,
        j_B: torch.Tensor,
    ) -> None:
        """Keep TRL's metrics of a batch; rewards are beta times the log-ratios."""
        mode = "train" if self.model.training else "eval"
        gather = self.accelerator.gather_for_metrics
        mask_2B_T = inputs["completion_mask"][:, 1:].bool()
        rewards_B, others_B = self.beta * c_B, self.beta * j_B
        tokens_B = inputs["completion_mask"].sum(dim=1).clamp(min=1).chunk(2)[0]
        found = {
            "rewards/chosen": gather(rewards_B).mean(),
            "rewards/rejected": gather(others_B).mean(),
            "rewards/margins": gather(rewards_B - others_B).mean(),
            "rewards/accuracies": gather((rewards_B > others_B).float()).mean(),
            "logps/chosen": gather(chosen_B).mean(),
            "logps/rejected": gather(rejected_B).mean(),
            "logps/chosen_per_token": gather(chosen_B / tokens_B).mean(),
            "entropy": gather(outputs.entropy[:, -mask_2B_T.size(1) :][mask_2B_T].mean()).mean(),
        }
        for name, value in found.items():
            self._metrics[mode][name].append(float(value))
        if mode == "train":
            self._total_train_tokens += int(gather(inputs["attention_mask"].sum()).sum())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
