"""TRL's other trainers on exact token ids: KTO, SFT, reward, and SimPO and ORPO, which are in
trl.experimental and may change or go without notice. The trainers are TRL's own; only their
preparation of texts is left out, since there are none. See exact_trainer.py for DPO.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from train.config import Method, TrainConfig, Tuning
from train.exact_trainer import Ordered, fuse_head, shared_arguments
from train.examples import Example, Single
from train.reference import Reference

IGNORED = -100  # a label that is not trained


class _AsItIs(Ordered):
    """The rows are ids already: nothing is prepared, and nothing left out."""

    model: Any
    accelerator: Any
    data_collator: Any
    compute_loss: Any
    _prepare_inputs: Any
    _set_signature_columns_if_needed: Any
    _signature_columns: Any

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


class _WithLength(_AsItIs):
    """Keeps the column that rows are sorted by."""

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "length" not in self._signature_columns:
            self._signature_columns.append("length")


class ExactKTOTrainer(_AsItIs, KTOTrainer):  # type: ignore[misc]
    """KTO on rows of kto_rows."""


class ExactSFTTrainer(_WithLength, SFTTrainer):  # type: ignore[misc]
    """SFT on rows of sft_rows."""


class ExactRewardTrainer(_WithLength, RewardTrainer):  # type: ignore[misc]
    """A reward model on rows of reward_rows; its collator passes by the length."""


class ExactCPOTrainer(_AsItIs, CPOTrainer):  # type: ignore[misc]
    """SimPO on rows of pair_rows."""


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
                train_dataset=reward_rows(examples, margins=config.strength_margin),
                **_model(setup),
            )
        case Method.SIMPO | Method.ORPO:
            return _without_reference(setup, examples)
        case Method.DPO:
            raise AssertionError("DPO is train/exact_trainer.py's")


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
        data_collator=DataCollatorForUnpairedPreference(
            pad_token_id=setup.tokenizer.pad_token_id, max_length=None
        ),
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
        Single(pair_id=e.pair_id, prompt_ids=e.prompt_ids, answer_ids=ids, desirable=desirable)
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
    good = max(1, sum(a.desirable for a in answers))
    bad = max(1, len(answers) - sum(a.desirable for a in answers))
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
            "length": [e.length for e in examples],
        }
    )


def pair_rows(examples: Sequence[Example]) -> Dataset:
    """Both conversations, padded by TRL's older collator."""
    columns: dict[str, list[Any]] = {"length": [e.length for e in examples]}
    for side, at in (("chosen", 0), ("rejected", 1)):
        whole = [list(e.sequences()[at]) for e in examples]
        columns[f"{side}_input_ids"] = whole
        columns[f"{side}_attention_mask"] = [[1] * len(ids) for ids in whole]
        columns[f"{side}_labels"] = [
            [IGNORED] * len(e.prompt_ids) + ids[len(e.prompt_ids) :]
            for e, ids in zip(examples, whole, strict=True)
        ]
    return Dataset.from_dict(columns)
