"""The [generate] section of pairloop.toml."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from generate.strategies import Strategy


class EngineName(StrEnum):
    """Which engine samples; auto takes vLLM where it is installed, else transformers."""

    AUTO = "auto"
    VLLM = "vllm"
    TRANSFORMERS = "transformers"
    OPENAI = "openai"
    RAY = "ray"


class Server(BaseModel):
    """The server that engine "openai" asks. Its key comes from PAIRLOOP_GENERATE_KEY."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    model: str = ""  # its name there, where that is not generate.model
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 600.0


class RayCluster(BaseModel):
    """The cluster that engine "ray" runs on, and what runs on each of its machines."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    address: str | None = None  # None: RAY_ADDRESS, else this machine's cluster or a new one
    actors: Annotated[int, Field(ge=1)] | None = None  # None: one per GPU, or per machine
    engine: Literal[EngineName.AUTO, EngineName.VLLM, EngineName.TRANSFORMERS] = EngineName.AUTO


class GenerateConfig(BaseModel):
    """What is sampled from the newest policy, and which answers meet in a pair."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1)]  # the SFT model: a Hub id or a local path
    engine: EngineName = EngineName.AUTO
    server: Server = Server()
    ray: RayCluster = RayCluster()
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
    strategy: Strategy = Strategy.RANDOM
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = (
        0.9  # similarity from which answers are alike
    )
    show_truncated: bool = False
    show_refused: bool = False
    refusals: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1  # GPUs that hold one model together
    data_parallel_size: Annotated[int, Field(ge=1)] = 1  # engines side by side
