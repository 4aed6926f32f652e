"""TRL's other trainers on exact token ids: KTO, SFT, reward, and SimPO and ORPO, which are in
trl.experimental and may change or go without notice. The trainers are TRL's own; only their
preparation of texts is left out, since there are none, and KTO, reward and SimPO get a weight per
row. With weights of 1 they compute what TRL's do. See exact_trainer.py for DPO, rlhf.py for GRPO.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import logsigmoid
from trl import KTOConfig, KTOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference
from trl.trainer.reward_trainer import DataCollatorForPreference

from train.config import Method, TrainConfig, Tuning
from train.exact_trainer import Ordered, fuse_head, shared_arguments
from train.examples import Example, Single, relative_weights
from train.reference import Reference

IGNORED = -100  # a label that is not trained


class _AsItIs(Ordered):
    """The rows are ids already: nothing is prepared, and nothing left out."""

    kept: tuple[str, ...] = ()  # columns beside those that TRL knows
    model: Any
    accelerator: Any
    data_collator: Any
    compute_loss: Any
    _prepare_inputs: Any
    _signature_columns: Any

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]
        self._signature_columns += [c for c in self.kept if c not in self._signature_columns]

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def tokenize_row(self, row: dict[str, Any], *_: Any) -> dict[str, Any]:
        return row

    def try_step(self, rows: Dataset, *, backward: bool = True) -> float:
        """Loss of these rows; nothing is updated."""
        if self.args.remove_unused_columns:
            self._set_signature_columns_if_needed()
            rows = rows.select_columns(
                [c for c in rows.column_names if c in self._signature_columns]
            )
        batch = self._prepare_inputs(self.data_collator(list(rows)))
        self.model.train()
        loss = self.compute_loss(self.model, batch)
        if backward:
            self.accelerator.backward(loss)
        self.model.zero_grad(set_to_none=True)
        for noted in ("_metrics", "_stored_metrics"):
            getattr(self, noted, {}).get("train", {}).clear()
        self._total_train_tokens = 0
        return float(loss.detach())


class _Weighed:
    """A collator's batch with the rows' weights."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)  # type: ignore[misc]
        return batch | {"weight": torch.tensor([e["weight"] for e in examples])}


class AnswerCollator(_Weighed, DataCollatorForUnpairedPreference):  # type: ignore[misc]
    """Of kto_rows."""


class ConversationCollator(_Weighed, DataCollatorForPreference):  # type: ignore[misc]
    """Of reward_rows; it passes by the length."""


class ExactKTOTrainer(_AsItIs, KTOTrainer):  # type: ignore[misc]
    """KTO on rows of kto_rows."""

    kept = ("weight",)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *more: Any, **named: Any) -> Any:
        """TRL multiplies each kind's losses by its weight, which may be one number per answer."""
        weight_B = inputs["weight"]
        wanted_B = torch.as_tensor(inputs["label"], dtype=torch.bool, device=weight_B.device)
        self.desirable_weight = self.args.desirable_weight * weight_B[wanted_B]
        self.undesirable_weight = self.args.undesirable_weight * weight_B[~wanted_B]
        rest = {name: value for name, value in inputs.items() if name != "weight"}
        return super().compute_loss(model, rest, *more, **named)


class ExactSFTTrainer(_AsItIs, SFTTrainer):  # type: ignore[misc]
    """SFT on rows of sft_rows."""

    kept = ("length",)


class ExactRewardTrainer(_AsItIs, RewardTrainer):  # type: ignore[misc]
    """A reward model on rows of reward_rows."""

    kept = ("length", "weight")

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """TRL's metrics and scores; the loss once more, with the pairs' weights."""
        rest = {name: value for name, value in inputs.items() if name != "weight"}
        _, outputs = super().compute_loss(model, rest, return_outputs=True)
        c_B, j_B = outputs.logits.squeeze(-1).chunk(2)
        return -(inputs["weight"] * logsigmoid(c_B - j_B - inputs["margin"])).mean()


class ExactCPOTrainer(_AsItIs, CPOTrainer):  # type: ignore[misc]
    """SimPO on rows of pair_rows."""

    def get_batch_loss_metrics(self, model: Any, batch: dict[str, Any], **named: Any) -> Any:
        self._weights = batch["weight"]
        return super().get_batch_loss_metrics(model, batch, **named)

    def cpo_loss(self, *logps_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        losses_B, chosen_B, rejected_B = super().cpo_loss(*logps_B)
        weight_B = torch.tensor(self._weights, device=losses_B.device)
        return weight_B * losses_B, chosen_B, rejected_B


class ExactORPOTrainer(_AsItIs, ORPOTrainer):  # type: ignore[misc]
    """ORPO on rows of pair_rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a trainer is made of."""

    config: TrainConfig
    model: Any
    peft_config: Any
    tokenizer: Any
    work: Path
    bf16: bool


def trainer_of(
    setup: Setup, examples: Sequence[Example], answers: Sequence[tuple[Single, Example]]
) -> Any:
    """The trainer of setup.config.method. answers: for KTO, from kto_answers."""
    config = setup.config
    match config.method:
        case Method.KTO:
            return _kto(setup, answers)
        case Method.SFT:
            return ExactSFTTrainer(
                args=SFTConfig(
                    max_length=None,
                    dataset_kwargs={"skip_prepare_dataset": True},
                    **_shared(setup, len(examples)),
                ),
                train_dataset=sft_rows(examples),
                **_model(setup),
            )
        case Method.REWARD:
            return ExactRewardTrainer(
                args=RewardConfig(max_length=None, **_shared(setup, len(examples))),
                data_collator=ConversationCollator(pad_token_id=setup.tokenizer.pad_token_id),
                train_dataset=reward_rows(examples, margins=config.strength_margin),
                **_model(setup),
            )
        case Method.SIMPO | Method.ORPO:
            return _without_reference(setup, examples)
        case Method.DPO | Method.GRPO | Method.RLOO:
            raise AssertionError("train/exact_trainer.py's and train/rlhf.py's")


def _without_reference(setup: Setup, examples: Sequence[Example]) -> Any:
    config = setup.config
    wrapped = hasattr(setup.model, "get_base_model")
    fuse_head(setup.model.get_base_model() if wrapped else setup.model)  # for scores
    named = _shared(setup, len(examples)) | {"beta": config.beta, "max_length": config.max_length}
    rows = pair_rows(examples)
    if config.method is Method.ORPO:
        args = ORPOConfig(**named)
        trainer = ExactORPOTrainer(args=args, train_dataset=rows.select([0]), **_model(setup))
    else:
        args = CPOConfig(loss_type="simpo", cpo_alpha=0, simpo_gamma=config.simpo_gamma, **named)
        trainer = ExactCPOTrainer(args=args, train_dataset=rows.select([0]), **_model(setup))
    trainer.train_dataset = rows
    return trainer


def _kto(setup: Setup, answers: Sequence[tuple[Single, Example]]) -> ExactKTOTrainer:
    config = setup.config
    desirable, undesirable = kto_weights(config, [s for s, _ in answers])
    unknown = [0.0] * len(answers)
    trainer = ExactKTOTrainer(
        args=KTOConfig(
            beta=config.beta,
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            max_length=config.max_length,
            precompute_ref_log_probs=config.tuning is Tuning.FULL,  # else it is loaded again
            **shared_arguments(
                config, len(answers), work=setup.work, bf16=setup.bf16, grouped=False
            ),
        ),
        data_collator=AnswerCollator(pad_token_id=setup.tokenizer.pad_token_id, max_length=None),
        train_dataset=kto_rows(answers, Reference(chosen=unknown, rejected=unknown, source=None)),
        **_model(setup),
    )
    trainer.precompute_ref_logps = True
    return trainer


def _shared(setup: Setup, rows: int) -> dict[str, Any]:
    return shared_arguments(setup.config, rows, work=setup.work, bf16=setup.bf16)


def _model(setup: Setup) -> dict[str, Any]:
    return {
        "model": setup.model,
        "processing_class": setup.tokenizer,
        "peft_config": setup.peft_config,
    }


def kto_answers(
    examples: Sequence[Example], singles: Sequence[Single], config: TrainConfig
) -> list[tuple[Single, Example]]:
    """Every answer in the order of training, and beside it what its divergence is estimated from.

    KTO's KL term compares each prompt with another prompt's answer, the one before it in its batch
    (TRL's way); that pair stands in an Example as prompt, answer ("chosen") and the other answer
    ("rejected"), so that its reference is found like any other.
    """
    paired = [
        Single(
            pair_id=e.pair_id,
            prompt_ids=e.prompt_ids,
            answer_ids=ids,
            desirable=desirable,
            weight=e.weight,
        )
        for e in examples
        for ids, desirable in ((e.chosen_ids, True), (e.rejected_ids, False))
    ]
    rows = list(dict.fromkeys([*paired, *singles]))  # an edit's pair names the same answer twice
    random.Random(config.seed).shuffle(rows)
    size = config.at_once
    found = []
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        for row, other in zip(batch, [batch[-1], *batch[:-1]], strict=True):
            found.append(
                (
                    row,
                    Example(
                        pair_id=row.pair_id,
                        prompt_ids=row.prompt_ids,
                        chosen_ids=row.answer_ids,
                        rejected_ids=other.answer_ids,
                    ),
                )
            )
    return found


def kto_weights(config: TrainConfig, answers: Sequence[Single]) -> tuple[float, float]:
    """Of desirable and undesirable answers; unless set, the rarer kind is weighed up to the other.

    Ethayarajh et al. 2024, eq. 8: the sums of both should be in a ratio of 1 to 4/3.
    """
    good = sum(a.weight for a in answers if a.desirable) or 1
    bad = sum(a.weight for a in answers if not a.desirable) or 1
    desirable, undesirable = config.desirable_weight, config.undesirable_weight
    if desirable is None:
        desirable = max(1.0, bad / good) if undesirable is None else undesirable * bad / good
    if undesirable is None:
        undesirable = desirable * good / bad
    return desirable, undesirable


def kto_rows(answers: Sequence[tuple[Single, Example]], reference: Reference) -> Dataset:
    """reference: of the examples beside the answers."""
    return Dataset.from_dict(
        {
            "prompt_ids": [list(s.prompt_ids) for s, _ in answers],
            "completion_ids": [list(s.answer_ids) for s, _ in answers],
            "KL_completion_ids": [list(e.rejected_ids) for _, e in answers],
            "label": [s.desirable for s, _ in answers],
            "ref_logps": reference.chosen,
            "ref_KL_logps": reference.rejected,
            "weight": relative_weights([s for s, _ in answers]),
            "length": [s.length for s, _ in answers],
        }
    )


def sft_rows(examples: Sequence[Example]) -> Dataset:
    """The chosen answers; the prompt is read, not trained."""
    return Dataset.from_dict(
        {
            "input_ids": [list(e.sequences()[0]) for e in examples],
            "labels": [[IGNORED] * len(e.prompt_ids) + list(e.chosen_ids) for e in examples],
            "length": [e.length for e in examples],
        }
    )


def reward_rows(examples: Sequence[Example], *, margins: bool) -> Dataset:
    """Whole conversations, and how far apart they should be set."""
    return Dataset.from_dict(
        {
            "chosen_ids": [list(e.sequences()[0]) for e in examples],
            "rejected_ids": [list(e.sequences()[1]) for e in examples],
            "margin": [e.margin if margins else 0.0 for e in examples],
            "weight": relative_weights(examples),
            "length": [e.length for e in examples],
        }
    )


def pair_rows(examples: Sequence[Example]) -> Dataset:
    """Both conversations, padded by TRL's older collator."""
    columns: dict[str, list[Any]] = {
        "length": [e.length for e in examples],
        "weight": relative_weights(examples),
    }
    for side, at in (("chosen", 0), ("rejected", 1)):
        whole = [list(e.sequences()[at]) for e in examples]
        columns[f"{side}_input_ids"] = whole
        columns[f"{side}_attention_mask"] = [[1] * len(ids) for ids in whole]
        columns[f"{side}_labels"] = [
            [IGNORED] * len(e.prompt_ids) + ids[len(e.prompt_ids) :]
            for e, ids in zip(examples, whole, strict=True)
        ]
    return Dataset.from_dict(columns)
