"""The [train] section of pairloop.toml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """How settled pairs become the next policy: DPO on a LoRA adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    beta: Annotated[float, Field(gt=0)] = 0.1
    sft_weight: Annotated[float, Field(ge=0)] = (
        0.0  # of the chosen answers' own loss, added to DPO's
    )
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-5  # LoRA on a model of billions
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 32  # pairs per optimizer step
    device_batch_size: Annotated[int, Field(ge=1)] = 8  # pairs on the device at once
    max_length: Annotated[int, Field(ge=2)] = 2048  # tokens of prompt and answer; longer is refused
    lora_rank: Annotated[int, Field(ge=1, le=64)] = 16
    lora_alpha: Annotated[int, Field(ge=1)] = 32
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the steps
    judge_votes: bool = False  # train on pairs that only language models judged, too
    min_triplets: Annotated[int, Field(ge=1)] = 20
    checkpoints: Annotated[int, Field(ge=1)] = 5  # per run, to resume from after a kill
    gradient_checkpointing: bool = False
    seed: int = 0
