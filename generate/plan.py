"""Which answers a policy should give, and what sampling the missing ones will cost. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from generate.config import GenerateConfig
from storage.records import Policy, Response, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One answer a policy should have given: to which prompt, how sampled, under which id."""

    response_id: str
    prompt_id: str
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
    prompt_ids: Sequence[str],
    given_by: Sequence[Policy],
    config: GenerateConfig,
    *,
    samples: int | None = None,
) -> list[Wanted]:
    """Every answer the policies should have given, prompt by prompt, then policy by policy.

    samples: per temperature, where it is not the config's.
    """
    wanted = []
    for prompt_id in prompt_ids:
        settings = [
            Sampling(
                temperature=temperature,
                top_p=config.top_p,
                top_k=config.top_k,
                min_p=config.min_p,
                stop=config.stop,
                max_tokens=config.max_tokens,
                seed=seed_of(config.seed, prompt_id, temperature=temperature, index=index),
                index=index,
            )
            for temperature in config.temperatures
            for index in range(samples or config.samples_per_temperature)
        ]
        wanted += [
            Wanted(
                response_id=Response.id_of(
                    prompt_id=prompt_id, policy_id=policy.id, sampling=sampling
                ),
                prompt_id=prompt_id,
                policy=policy,
                sampling=sampling,
            )
            for policy in given_by
            for sampling in settings
        ]
    return wanted


def answers_each(config: GenerateConfig, samples: int | None = None) -> int:
    """How many answers a policy should give to each prompt."""
    return len(config.temperatures) * (samples or config.samples_per_temperature)


def estimate(
    policy: Policy,
    config: GenerateConfig,
    *,
    prompts: int,
    missing: int,
    mean_tokens: float | None,
    tokens_per_second: float | None,
) -> Plan:
    """What is left to sample, at the length and speed that earlier runs measured."""
    wanted = prompts * answers_each(config)
    tokens = None if mean_tokens is None else round(missing * mean_tokens)
    seconds = tokens / tokens_per_second if tokens is not None and tokens_per_second else None
    return Plan(
        policy=policy,
        prompts=prompts,
        wanted=wanted,
        done=wanted - missing,
        missing=missing,
        expected_tokens=tokens,
        most_tokens=missing * config.max_tokens,
        tokens_per_second=tokens_per_second,
        expected_seconds=seconds,
    )
