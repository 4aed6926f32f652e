"""Sampling what the store lacks: requests to the engine, finished answers to the store at once.

Run again after any end, it samples only what is missing.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from generate.chat import check_model, template_hash
from generate.config import GenerateConfig
from generate.fitting import fitting
from generate.plan import Wanted
from generate.recording import Generated, Progress, Recorder
from generate.sampler import Request, Sample, Sampler, open_sampler
from generate.weights import policy_hash
from storage.records import Policy, Response
from storage.responses import response_ids_of
from storage.run_records import RunKind
from storage.runs import RunLog
from storage.store import Store, utc_now


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
    result = Generated(policy=wanted[0].policy, wanted=len(wanted))
    with store.connected():
        found = {w.policy.id for w in wanted}
        have = {known for policy_id in found for known in response_ids_of(store, policy_id)}
    groups: dict[str, list[Wanted]] = {}
    for one in wanted:
        if one.response_id not in have:
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
            asked = {w.prompt.id: w.prompt for w in missing}
            ids_of, left_out = fitting(asked, engine, config, strict=strict)
            result.left_out += left_out
            by_key = {w.response_id: w for w in missing if w.prompt.id in ids_of}
            requests = [
                Request(
                    key=key,
                    messages=w.prompt.messages,
                    prompt_token_ids=ids_of[w.prompt.id],
                    sampling=w.sampling,
                    adapter=adapters[w.policy.id],
                )
                for key, w in by_key.items()
            ]
            run = RunLog(
                store,
                RunKind.GENERATE,
                number=result.policy.round,
                config=config.model_dump(mode="json"),
            )
            template = "" if engine.tokenizer is None else template_hash(engine.tokenizer)
            with run.failing(), Recorder(store, run, result, len(requests), progress) as recorder:
                for sample in engine.sample(requests):
                    want = by_key[sample.key]
                    recorder.add(
                        _response(
                            want,
                            sample,
                            engine=engine.name,
                            template_hash=template,
                            policy_hash=hashes[want.policy.id].result(),
                            run_id=run.run.id,
                        )
                    )
        finally:
            engine.close()


def _response(
    want: Wanted,
    sample: Sample,
    *,
    engine: str,
    template_hash: str,
    policy_hash: str | None,
    run_id: str,
) -> Response:
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
        engine=engine,
        template_hash=template_hash,
        policy_hash=policy_hash,
        run_id=run_id,
        created_at=utc_now(),
    )
