"""The [generate] section of pairloop.toml."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class EngineName(StrEnum):
    """Which engine samples; auto takes vLLM where it is installed, else transformers."""

    AUTO = "auto"
    VLLM = "vllm"
    TRANSFORMERS = "transformers"


class GenerateConfig(BaseModel):
    """What is sampled from the newest policy, and which answers meet in a pair."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1)]  # the SFT model: a Hub id or a local path
    engine: EngineName = EngineName.AUTO
    dtype: str = "auto"
    temperatures: Annotated[
        tuple[Annotated[float, Field(ge=0, le=2)], ...], Field(min_length=1)
    ] = (0.7, 1.0, 1.3)
    samples_per_temperature: Annotated[int, Field(ge=1, le=64)] = 2
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0  # 0: all tokens
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    max_tokens: Annotated[int, Field(ge=1)] = 512
    seed: int = 0
    pairs_per_prompt: Annotated[int, Field(ge=1)] = 1
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = (
        0.9  # similarity from which answers are alike
    )
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1  # GPUs that hold one model together
    data_parallel_size: Annotated[int, Field(ge=1)] = 1  # engines side by side
