"""Which answers a policy should give, and what sampling the missing ones will cost. Pure."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from generate.config import GenerateConfig
from storage.records import Policy, Prompt, Response, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One answer a policy should have given: to which prompt, how sampled, under which id."""

    response_id: str
    prompt: Prompt
    policy: Policy
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do. Tokens and seconds are estimates; None: nothing was measured yet."""

    policy: Policy
    prompts: int
    wanted: int
    done: int
    missing: int
    expected_tokens: int | None  # by the mean length of the stored answers
    most_tokens: int  # if every answer ran into max_tokens
    tokens_per_second: float | None  # of the last run with this model and engine
    expected_seconds: float | None


def seed_of(config_seed: int, prompt_id: str, *, temperature: float, index: int) -> int:
    """A seed of its own for each answer: the same seed at two temperatures gives alike answers."""
    text = f"{config_seed}\0{prompt_id}\0{temperature!r}\0{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) & 0x7FFFFFFF


def plan(
    chosen: Sequence[Prompt], policy: Policy, config: GenerateConfig, *, samples: int | None = None
) -> list[Wanted]:
    """Every answer the policy should have, prompt by prompt.

    samples: per temperature, where it is not the config's.
    """
    wanted = []
    for prompt in chosen:
        for temperature in config.temperatures:
            for index in range(samples or config.samples_per_temperature):
                sampling = Sampling(
                    temperature=temperature,
                    top_p=config.top_p,
                    top_k=config.top_k,
                    min_p=config.min_p,
                    stop=config.stop,
                    max_tokens=config.max_tokens,
                    seed=seed_of(config.seed, prompt.id, temperature=temperature, index=index),
                    index=index,
                )
                response_id = Response.id_of(
                    prompt_id=prompt.id, policy_id=policy.id, sampling=sampling
                )
                wanted.append(
                    Wanted(response_id=response_id, prompt=prompt, policy=policy, sampling=sampling)
                )
    return wanted


def estimate(
    wanted: Sequence[Wanted],
    have: Collection[str],
    policy: Policy,
    config: GenerateConfig,
    *,
    mean_tokens: float | None,
    tokens_per_second: float | None,
) -> Plan:
    """What is left of the wanted answers, at the length and speed that earlier runs measured."""
    missing = sum(w.response_id not in have for w in wanted)
    tokens = None if mean_tokens is None else round(missing * mean_tokens)
    seconds = tokens / tokens_per_second if tokens is not None and tokens_per_second else None
    return Plan(
        policy=policy,
        prompts=len({w.prompt.id for w in wanted}),
        wanted=len(wanted),
        done=len(wanted) - missing,
        missing=missing,
        expected_tokens=tokens,
        most_tokens=missing * config.max_tokens,
        tokens_per_second=tokens_per_second,
        expected_seconds=seconds,
    )
