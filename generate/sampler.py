"""The seam to an engine: requests in, finished samples out, in any order.

Two real engines implement it, vLLM (generate/vllm_engine.py) and transformers
(generate/transformers_engine.py); one contract test runs on both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from generate.config import EngineName, GenerateConfig
from storage.records import FinishReason, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answer to sample. The prompt is token ids: no engine renders a template of its own."""

    key: str
    prompt_token_ids: tuple[int, ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finished answer.

    text leaves out special tokens; token_ids holds all that was sampled, the end token included.
    logprob_sum: nats, of token_ids under the untempered policy.
    """

    key: str
    text: str
    token_ids: tuple[int, ...]
    logprob_sum: float | None
    finish_reason: FinishReason


class Sampler(Protocol):
    """Samples from one base model, with or without an adapter."""

    name: str  # engine and version, stored with each response
    context_tokens: int  # prompt and answer together

    def sample(self, requests: Sequence[Request], *, adapter: Path | None) -> Iterator[Sample]:
        """Yield each request's sample as it finishes; the same seed gives the same tokens."""
        ...


def vllm_installed() -> bool:
    """Whether some build of vLLM can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("vllm") is not None


def open_sampler(config: GenerateConfig, *, adapters: Sequence[Path]) -> Sampler:
    """The engine the config names, its model loaded; adapters: those that will be asked for."""
    engine = config.engine
    if engine is EngineName.AUTO:
        engine = EngineName.VLLM if vllm_installed() else EngineName.TRANSFORMERS
    if engine is EngineName.VLLM:
        from generate.vllm_engine import VllmSampler

        return VllmSampler(config, adapters=adapters)
    from generate.transformers_engine import TransformersSampler

    return TransformersSampler(config)
