"""The verb: sample what is missing from a policy, append it as it finishes, have pairs formed.

Killed at any moment and run again, it samples only what the store does not have.
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from generate.chat import load_tokenizer, prompt_token_ids, template_hash
from generate.config import GenerateConfig
from generate.filters import Drop
from generate.pair_stage import PairsMade, form_comparisons, form_training_pairs
from generate.sampler import Request, Sample, Sampler, open_sampler
from storage.errors import ConfigurationError, ModelError, NotReadyError
from storage.policies import newest_policy, policies
from storage.prompts import prompts
from storage.records import Policy, Prompt, Response, Sampling, Split
from storage.responses import response_ids_of
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now

log = logging.getLogger(__name__)

APPEND_SECONDS = 1.0  # finished answers wait at most this long for their append
LONG_SHOWN = 5

Progress = Callable[[int, int, float], None]  # answers done, answers wanted, tokens per second


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One answer the policy should have given: which prompt, how sampled, under which id."""

    response_id: str
    prompt: Prompt
    sampling: Sampling


@dataclass(kw_only=True)
class Generated:
    """What one call did."""

    policy: Policy
    wanted: int = 0
    sampled: int = 0
    tokens: int = 0
    seconds: float = 0.0
    new_pairs: int = 0
    all_pairs: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)

    def take(self, made: PairsMade) -> None:
        """Count the pairs in."""
        self.all_pairs, self.new_pairs, self.drops = made.all_pairs, made.new_pairs, made.drops


def current_policy(store: Store, config: GenerateConfig) -> Policy:
    """The newest policy; registers the SFT model as round 0 in a new workspace."""
    newest = newest_policy(store)
    if newest is not None:
        base = policies(store)[0].base_model
        if base != config.model:
            raise ConfigurationError(
                f"generate.model is {config.model!r}, but this workspace's rounds began from "
                f"{base!r}. Set it back, or start a new workspace for the other model."
            )
        return newest
    policy = Policy(
        id=Policy.id_of(base_model=config.model, adapter_hash=None, parent=None),
        round=0,
        base_model=config.model,
        adapter=None,
        adapter_hash=None,
        parent=None,
        method="sft",
        run_id=None,
        created_at=utc_now(),
    )
    store.append([policy])
    return policy


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
                seed = seed_of(config.seed, prompt.id, temperature=temperature, index=index)
                sampling = Sampling(
                    temperature=temperature,
                    top_p=config.top_p,
                    max_tokens=config.max_tokens,
                    seed=seed,
                    index=index,
                )
                response_id = Response.id_of(
                    prompt_id=prompt.id, policy_id=policy.id, sampling=sampling
                )
                wanted.append(Wanted(response_id=response_id, prompt=prompt, sampling=sampling))
    return wanted


def generate(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    *,
    progress: Progress | None = None,
    skip_long: bool = False,
) -> Generated:
    """Sample the newest policy's missing answers to train and validation prompts, form pairs."""
    policy = current_policy(store, config)
    chosen = [p for p in prompts(store) if p.split is not Split.TEST]
    if not chosen:
        raise NotReadyError(
            "There are no prompts to answer. Add some with `pairloop prompts add FILE`."
        )
    wanted = plan(chosen, policy, config)
    result = sample_missing(
        store, workspace, config, policy, wanted, progress=progress, skip_long=skip_long
    )
    result.take(form_training_pairs(store, policy, config))
    return result


def compare(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    *,
    policy: Policy,
    against: Policy,
    samples: int,
    progress: Progress | None = None,
) -> Generated:
    """Blind evaluation pairs: both policies answer the test prompts under the same settings."""
    chosen = [p for p in prompts(store) if p.split is Split.TEST]
    if not chosen:
        raise NotReadyError(
            "There are no test prompts to compare policies on. Raise generate.test_share before "
            "adding prompts, or add more prompts."
        )
    adapters = [workspace / p.adapter for p in (policy, against) if p.adapter]
    engine = cache(partial(open_sampler, config, adapters=adapters))  # one for both policies
    ids: set[str] = set()
    for one in (policy, against):
        wanted = plan(chosen, one, config, samples=samples)
        result = sample_missing(
            store, workspace, config, one, wanted, progress=progress, open_engine=engine
        )
        ids |= {w.response_id for w in wanted}
    result.take(form_comparisons(store, policy, against, config, response_ids=ids))
    return result


def sample_missing(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    policy: Policy,
    wanted: Sequence[Wanted],
    *,
    progress: Progress | None = None,
    open_engine: Callable[[], Sampler] | None = None,
    skip_long: bool = False,
) -> Generated:
    """Sample the wanted answers that are not stored yet and append them as they finish.

    open_engine is called only if something is missing: loading a model takes longer than finding
    that there is nothing to do.
    """
    result = Generated(policy=policy, wanted=len(wanted))
    have = response_ids_of(store, policy.id)
    missing = [w for w in wanted if w.response_id not in have]
    if not missing:
        return result
    tokenizer = load_tokenizer(config.model)
    template = template_hash(tokenizer)
    ids_of = {w.prompt.id: () for w in missing} | {
        p.id: prompt_token_ids(tokenizer, p.messages)
        for p in {w.prompt.id: w.prompt for w in missing}.values()
    }
    adapter = workspace / policy.adapter if policy.adapter else None
    engine = (
        open_engine()
        if open_engine
        else open_sampler(config, adapters=[adapter] if adapter else [])
    )
    missing = _fitting(missing, ids_of, engine, config, skip_long=skip_long)
    run = RunLog(
        store, RunKind.GENERATE, number=policy.round, config=config.model_dump(mode="json")
    )
    by_key = {w.response_id: w for w in missing}
    requests = [
        Request(key=w.response_id, prompt_token_ids=ids_of[w.prompt.id], sampling=w.sampling)
        for w in missing
    ]
    finished: list[Response] = []
    began = last = time.monotonic()

    def flush() -> None:
        nonlocal last
        store.append(finished)
        result.sampled += len(finished)
        finished.clear()
        last = time.monotonic()
        result.seconds = last - began
        speed = result.tokens / max(result.seconds, 1e-9)
        run.event(
            f"{result.sampled} of {len(missing)} answers, {speed:.0f} tokens/s",
            progress=result.sampled / len(missing),
            metrics={"answers": float(result.sampled), "tokens_per_second": speed},
        )
        if progress is not None:
            progress(result.sampled, len(missing), speed)

    try:
        for sample in engine.sample(requests, adapter=adapter):
            want = by_key[sample.key]
            finished.append(
                _response(want, sample, policy, engine.name, ids_of, template, run.run.id)
            )
            result.tokens += len(sample.token_ids)
            result.finish_reasons[sample.finish_reason.value] += 1
            if time.monotonic() - last > APPEND_SECONDS:
                flush()
        flush()
    except BaseException as error:
        flush()
        stopped = isinstance(error, KeyboardInterrupt)
        status = RunStatus.STOPPED if stopped else RunStatus.FAILED
        run.event(f"{type(error).__name__}: {error}"[:500], status=status)
        raise
    run.event(f"{result.sampled} answers sampled", progress=1.0, status=RunStatus.DONE)
    return result


def _fitting(
    missing: Sequence[Wanted],
    ids_of: Mapping[str, tuple[int, ...]],
    engine: Sampler,
    config: GenerateConfig,
    *,
    skip_long: bool,
) -> list[Wanted]:
    """Leave out, or refuse, prompts that leave no room for an answer."""
    room = engine.context_tokens - config.max_tokens
    long = {w.prompt.id: w.prompt for w in missing if len(ids_of[w.prompt.id]) > room}
    if not long:
        return list(missing)
    shown = "\n".join(
        f"  {len(ids_of[p.id])} tokens: {p.messages[-1].content[:60]!r} ({p.source})"
        for p in list(long.values())[:LONG_SHOWN]
    )
    message = (
        f"{len(long)} prompt(s) are longer than the {room} tokens that the model's context of "
        f"{engine.context_tokens} leaves beside generate.max_tokens = {config.max_tokens}:\n{shown}"
    )
    if not skip_long:
        raise ModelError(
            f"{message}\nLower generate.max_tokens, remove these prompts, or leave them out with "
            "`pairloop generate --skip-long`."
        )
    log.warning("%s\nThey were left out.", message)
    return [w for w in missing if w.prompt.id not in long]


def _response(
    want: Wanted,
    sample: Sample,
    policy: Policy,
    engine: str,
    ids_of: Mapping[str, tuple[int, ...]],
    template: str,
    run_id: str,
) -> Response:
    s = want.sampling
    return Response(
        id=want.response_id,
        prompt_id=want.prompt.id,
        policy_id=policy.id,
        text=sample.text,
        prompt_token_ids=ids_of[want.prompt.id],
        token_ids=sample.token_ids,
        logprob_sum=sample.logprob_sum,
        finish_reason=sample.finish_reason,
        temperature=s.temperature,
        top_p=s.top_p,
        max_tokens=s.max_tokens,
        seed=s.seed,
        sample_index=s.index,
        engine=engine,
        template_hash=template,
        run_id=run_id,
        created_at=utc_now(),
    )
