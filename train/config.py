"""The [train] section of pairloop.toml."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_FLIP_RATE = 0.49  # the robust loss divides by 1 - 2 * flip rate


class Loss(StrEnum):
    """Which preference loss is trained."""

    SIGMOID = "sigmoid"
    SIGMOID_NORM = "sigmoid_norm"
    IPO = "ipo"
    ROBUST = "robust"
    HINGE = "hinge"
    APO_ZERO = "apo_zero"
    APO_DOWN = "apo_down"


class Tuning(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    QLORA = "qlora"  # the adapter on a base held in four bits; needs a GPU and bitsandbytes
    FULL = "full"


class Start(StrEnum):
    """What a round's adapter begins as."""

    CONTINUE = "continue"  # the last round's
    FRESH = "fresh"  # a new one on the base model


PREVIOUS, SFT = "previous", "sft"  # references by name; anything else is a policy id or round-N


class TrainConfig(BaseModel):
    """How settled pairs become the next policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    loss: Loss = Loss.SIGMOID
    beta: Annotated[float, Field(gt=0)] = 0.1
    flip_rate: Annotated[float | None, Field(ge=0, le=MAX_FLIP_RATE)] = (
        None  # of votes, for the robust loss; None: as measured in this project
    )
    soft_labels: bool = False  # train towards the votes' probability, not towards certainty
    pair_weights: bool = True  # by how sure the votes are; False: every pair alike
    sft_weight: Annotated[float, Field(ge=0)] = (
        0.0  # of the chosen answers' own loss, added to DPO's
    )
    tuning: Tuning = Tuning.LORA
    start: Start = Start.CONTINUE
    reference: str = PREVIOUS
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-5  # LoRA on a model of billions
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 32  # pairs per optimizer step
    device_batch_size: Annotated[int, Field(ge=1)] = 8  # pairs on the device at once
    group_by_length: bool = True  # pairs of like length share a batch: less padding
    max_length: Annotated[int, Field(ge=2)] = 2048  # tokens of prompt and answer; longer is refused
    lora_rank: Annotated[int, Field(ge=1, le=64)] = 16
    lora_alpha: Annotated[int, Field(ge=1)] = 32
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the steps
    judge_votes: bool = False  # train on pairs that only language models judged, too
    min_triplets: Annotated[int, Field(ge=1)] = 20
    checkpoints: Annotated[int, Field(ge=1)] = 5  # per run, to resume from after a kill
    gradient_checkpointing: bool = False
    price_per_hour: Annotated[float | None, Field(ge=0)] = None  # of the machine, for the estimate
    seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> "TrainConfig":
        if self.start is Start.FRESH and self.reference != SFT:
            raise ValueError(
                'start = "fresh" trains a new adapter on the base model, so its reference is that '
                'model: set reference = "sft" too'
            )
        return self
