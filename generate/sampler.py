"""The seam to an engine: requests in, finished samples out, in any order.

Every engine (generate/*_engine.py) implements it, and one contract test runs on all of them
(tests/generate/test_engines.py).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from generate.config import EngineName, GenerateConfig
from storage.errors import ConfigurationError
from storage.records import FinishReason, Message, Sampling

BLOCK = 16_384  # requests; an engine runs dry at the end of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answer to sample, from the base model or through one of its adapters.

    prompt_token_ids: messages as the model reads them, so that no engine renders a template of its
    own; None only for an engine whose tokenizer is None: a server, which renders messages itself.
    """

    key: str
    messages: tuple[Message, ...]
    prompt_token_ids: tuple[int, ...] | None
    sampling: Sampling
    adapter: Path | None = None

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """prompt_token_ids, for an engine that has a tokenizer."""
        assert self.prompt_token_ids is not None, "this engine has a tokenizer: send token ids"
        return self.prompt_token_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finished answer.

    text leaves out special tokens and the stop string; token_ids holds all that was sampled, the
    end token included. logprobs: of each of them, in nats, under the untempered and untruncated
    policy. What an engine does not tell is None, never made up.
    """

    key: str
    text: str
    finish_reason: FinishReason
    prompt_token_ids: tuple[int, ...] | None
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


class Sampler(Protocol):
    """Samples from one base model and its adapters, several of them in one call."""

    name: str  # engine and version, stored with each response
    context_tokens: int | None  # prompt and answer together, None: not known
    tokenizer: Any | None  # what prompts are rendered with, None: the engine renders them

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        """Yield each request's sample as it finishes; the same seed gives the same tokens.

        There may be more requests than memory holds: they are taken as they are needed.
        A prompt's requests should stand side by side: engines that can read a prompt once then do.
        Raises ModelError when the engine can't go on; what was yielded before stays good.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; nothing can be sampled from it afterwards."""
        ...


def blocks(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """The requests some at a time, for an engine that sorts or deals them out."""
    stream = iter(requests)
    while block := list(islice(stream, BLOCK)):
        yield block


def vllm_installed() -> bool:
    """Whether some build of vLLM can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("vllm") is not None


def open_sampler(config: GenerateConfig, *, adapters: Sequence[Path]) -> Sampler:
    """The engine the config names, its model loaded; adapters: those that will be asked for."""
    if config.data_parallel_size > 1 and config.engine in (EngineName.OPENAI, EngineName.RAY):
        raise ConfigurationError(
            f"generate.data_parallel_size is {config.data_parallel_size}, but it is for engines of "
            "this machine alone. Set it to 1: with engine ray, generate.ray.actors says how many "
            "engines there are; a server has its own setting."
        )
    if config.engine is EngineName.OPENAI:
        from generate.openai_engine import KEY, OpenAISampler

        return OpenAISampler(config, key=os.environ.get(KEY, ""))
    if config.engine is EngineName.RAY:
        from generate.ray_engine import RaySampler

        return RaySampler(config, adapters=adapters)
    if config.data_parallel_size > 1:
        from generate.parallel_engine import ParallelSampler

        return ParallelSampler(config, adapters=adapters)
    engine = config.engine
    if engine is EngineName.AUTO:
        engine = EngineName.VLLM if vllm_installed() else EngineName.TRANSFORMERS
    if engine is EngineName.VLLM:
        from generate.vllm_engine import VllmSampler

        return VllmSampler(config, adapters=adapters)
    from generate.transformers_engine import TransformersSampler

    return TransformersSampler(config)
