"""Sampling what the store lacks: requests to the engine, finished answers to the store at once.

Killed at any moment, a run loses the answers in flight and those of the last moment, at most
APPEND_SECONDS of them; the next run samples only what is missing.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from generate.chat import check_model, prompt_token_ids, template_hash
from generate.config import GenerateConfig
from generate.filters import Drop
from generate.pair_stage import PairsMade
from generate.plan import Wanted
from generate.sampler import Request, Sample, Sampler, open_sampler
from generate.weights import policy_hash
from storage.errors import ModelError
from storage.records import Policy, Prompt, Response
from storage.responses import response_ids_of
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now

log = logging.getLogger(__name__)

APPEND_SECONDS = 1.0  # finished answers wait at most this long for their append
APPEND_SHARE = 0.02  # of the time at most, where one append takes longer than usual
NAMED = 5  # prompts named in a message

TOO_LONG = "too_long"
REFUSED_BY_TEMPLATE = "refused_by_template"

Progress = Callable[[int, int, float, float], None]  # done, wanted, answers/s, tokens/s


@dataclass(kw_only=True)
class Generated:
    """What one call did."""

    policy: Policy
    wanted: int = 0
    sampled: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of sampling, without loading the model
    new_pairs: int = 0
    all_pairs: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)  # prompts that can't be sampled

    def take(self, made: PairsMade) -> None:
        """Note what forming pairs came to."""
        self.all_pairs, self.new_pairs, self.drops = made.all_pairs, made.new_pairs, made.drops

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What all of a run's responses have in common."""

    engine: str
    template_hash: str
    policy_hashes: Mapping[str, Future[str | None]]
    run_id: str


def sample_missing(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    wanted: Sequence[Wanted],
    *,
    progress: Progress | None = None,
    open_engine: Callable[[], Sampler] | None = None,
    strict: bool = False,
) -> Generated:
    """Sample the wanted answers that are not stored yet and append them as they finish.

    Several policies' answers may be wanted: one engine gives them side by side. The result's
    policy is the first one's. The engine is opened only if something is missing: loading a model
    takes longer than finding that there is nothing to do.
    strict: refuse to start when a prompt can't be sampled, instead of leaving it out.
    """
    found = {w.policy.id: w.policy for w in wanted}
    result = Generated(policy=wanted[0].policy, wanted=len(wanted))
    have = {known for policy_id in found for known in response_ids_of(store, policy_id)}
    missing = [w for w in wanted if w.response_id not in have]
    groups: dict[str, list[Wanted]] = {}
    for one in missing:
        groups.setdefault(model_of(one.policy, workspace, config), []).append(one)
    for model, some in groups.items():
        using = config.model_copy(update={"model": model})
        _sample_with(
            store, workspace, using, some, result, progress, open_engine=open_engine, strict=strict
        )
    return result


def model_of(policy: Policy, workspace: Path, config: GenerateConfig) -> str:
    """The weights to load: the workspace's own where the policy was fully tuned."""
    whole = workspace / policy.base_model
    return str(whole) if policy.round > 0 and whole.is_dir() else config.model


def _sample_with(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    missing: list[Wanted],
    result: Generated,
    progress: Progress | None,
    *,
    open_engine: Callable[[], Sampler] | None,
    strict: bool,
) -> None:
    """Sample what one base model's policies lack."""
    found = {w.policy.id: w.policy for w in missing}
    check_model(config.model)
    adapters = {p.id: workspace / p.adapter if p.adapter else None for p in found.values()}
    with ThreadPoolExecutor(1) as hashing:  # reads the weights while the engine loads them
        hashes = {
            key: hashing.submit(policy_hash, replace(p, base_model=config.model))
            for key, p in found.items()
        }
        engine = (
            open_engine()
            if open_engine
            else open_sampler(config, adapters=[a for a in adapters.values() if a])
        )
        try:
            missing, ids_of = _fitting(missing, engine, config, result, strict=strict)
            run = RunLog(
                store,
                RunKind.GENERATE,
                number=result.policy.round,
                config=config.model_dump(mode="json"),
            )
            template = template_hash(engine.tokenizer) if engine.tokenizer is not None else ""
            facts = _Facts(
                engine=engine.name,
                template_hash=template,
                policy_hashes=hashes,
                run_id=run.run.id,
            )
            requests = [
                Request(
                    key=w.response_id,
                    messages=w.prompt.messages,
                    prompt_token_ids=ids_of[w.prompt.id],
                    sampling=w.sampling,
                    adapter=adapters[w.policy.id],
                )
                for w in missing
            ]
            _run(store, run, engine, requests, missing, facts, result, progress)
        finally:
            engine.close()


def _run(
    store: Store,
    run: RunLog,
    engine: Sampler,
    requests: Sequence[Request],
    missing: Sequence[Wanted],
    facts: _Facts,
    result: Generated,
    progress: Progress | None,
) -> None:
    by_key = {w.response_id: w for w in missing}
    finished: list[Response] = []
    began = last = time.monotonic()
    before, sampled_before = result.seconds, result.sampled
    wait = APPEND_SECONDS

    def flush() -> None:
        nonlocal last, wait
        start = time.monotonic()
        with store.connected():
            store.append(finished)
            result.sampled += len(finished)
            finished.clear()
            result.seconds = before + start - began
            run.event(
                f"{result.sampled - sampled_before} of {len(missing)} answers, "
                f"{result.tokens_per_second:.0f} tokens/s",
                progress=(result.sampled - sampled_before) / max(len(missing), 1),
                metrics={
                    "answers": float(result.sampled),
                    "tokens": float(result.tokens),
                    "tokens_per_second": result.tokens_per_second,
                },
            )
        last = time.monotonic()
        wait = max(APPEND_SECONDS, (last - start) / APPEND_SHARE)
        if progress is not None:
            speed = result.sampled / max(result.seconds, 1e-9)
            progress(result.sampled - sampled_before, len(missing), speed, result.tokens_per_second)

    with run.failing(), ExitStack() as stack:
        stack.callback(flush)  # whatever ends the run
        for sample in engine.sample(requests):
            finished.append(_response(by_key[sample.key], sample, facts))
            result.tokens += len(sample.token_ids or ())
            result.finish_reasons[sample.finish_reason.value] += 1
            if time.monotonic() - last > wait:
                flush()
    run.event(f"{result.sampled} answers sampled", progress=1.0, status=RunStatus.DONE)


def _fitting(
    missing: Sequence[Wanted],
    engine: Sampler,
    config: GenerateConfig,
    result: Generated,
    *,
    strict: bool,
) -> tuple[list[Wanted], dict[str, tuple[int, ...] | None]]:
    """What can be sampled, and its prompts' token ids; the rest is named and counted, or refused."""
    asked = {w.prompt.id: w.prompt for w in missing}
    if engine.tokenizer is None:
        return list(missing), dict.fromkeys(asked)
    ids_of, refused = _rendered(engine.tokenizer, asked.values())
    if refused:
        lines = [f"  {why}: {_excerpt(asked[key])}" for key, why in refused.items()]
        message = f"The chat template of {config.model} refuses {len(refused)} prompt(s):"
        _leave_out(message, lines, "Mend or remove these prompts", strict=strict)
        result.left_out[REFUSED_BY_TEMPLATE] = len(refused)
    long = []
    if engine.context_tokens is not None:
        room = engine.context_tokens - config.max_tokens
        long = [key for key, ids in ids_of.items() if ids is not None and len(ids) > room]
    if long:
        lines = [f"  {len(ids_of[key] or ())} tokens: {_excerpt(asked[key])}" for key in long]
        message = (
            f"{len(long)} prompt(s) are longer than the {room} tokens that the model's context of "
            f"{engine.context_tokens} leaves beside generate.max_tokens = {config.max_tokens}:"
        )
        advice = "Lower generate.max_tokens, or remove these prompts"
        _leave_out(message, lines, advice, strict=strict)
        result.left_out[TOO_LONG] = len(long)
    out = {*refused, *long}
    return [w for w in missing if w.prompt.id not in out], ids_of


def _leave_out(message: str, lines: Sequence[str], advice: str, *, strict: bool) -> None:
    shown = "\n".join([message, *lines[:NAMED]])
    if len(lines) > NAMED:
        shown += f"\n  and {len(lines) - NAMED} more"
    if strict:
        raise ModelError(f"{shown}\n{advice}, or leave them out by not giving --strict.")
    log.warning("%s\nThey are left out. %s to have them answered.", shown, advice)


def _rendered(
    tokenizer: Any, asked: Sequence[Prompt] | Any
) -> tuple[dict[str, tuple[int, ...] | None], dict[str, str]]:
    """Each prompt's token ids, and why the template refused those it did."""
    from jinja2 import TemplateError

    ids_of: dict[str, tuple[int, ...] | None] = {}
    refused = {}
    for prompt in asked:
        try:
            ids_of[prompt.id] = prompt_token_ids(tokenizer, prompt.messages)
        except TemplateError as error:
            refused[prompt.id] = str(error)
    return ids_of, refused


def _excerpt(prompt: Prompt) -> str:
    return f"{prompt.messages[-1].content[:60]!r} ({prompt.source}, {prompt.id})"


def _response(want: Wanted, sample: Sample, facts: _Facts) -> Response:
    s = want.sampling
    return Response(
        id=want.response_id,
        prompt_id=want.prompt.id,
        policy_id=want.policy.id,
        text=sample.text,
        prompt_token_ids=sample.prompt_token_ids,
        token_ids=sample.token_ids,
        logprobs=sample.logprobs,
        logprob_sum=None if sample.logprobs is None else sum(sample.logprobs),
        finish_reason=sample.finish_reason,
        temperature=s.temperature,
        top_p=s.top_p,
        top_k=s.top_k,
        min_p=s.min_p,
        stop=s.stop,
        max_tokens=s.max_tokens,
        seed=s.seed,
        sample_index=s.index,
        engine=facts.engine,
        template_hash=facts.template_hash,
        policy_hash=facts.policy_hashes[want.policy.id].result(),
        run_id=facts.run_id,
        created_at=utc_now(),
    )
