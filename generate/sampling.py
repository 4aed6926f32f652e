"""Sampling what the store lacks: requests to the engine, finished answers to the store at once.

Run again after any end, it samples only what is missing. Prompts, requests and answers are held a
portion at a time, so that memory grows little with their number.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from generate.chat import check_model, prompt_token_ids, template_hash
from generate.config import GenerateConfig
from generate.fitting import fitting
from generate.plan import Wanted, answers_each, plan
from generate.recording import Generated, Progress, Recorder
from generate.sampler import Request, Sample, Sampler, open_sampler
from generate.weights import policy_hash
from storage.prompts import portions, prompts_by_id
from storage.records import Policy, Prompt, Response
from storage.responses import response_ids_to
from storage.run_records import RunKind
from storage.runs import RunLog
from storage.store import Store, utc_now


def missing_answers(
    store: Store,
    prompt_ids: Sequence[str],
    given_by: Sequence[Policy],
    config: GenerateConfig,
    *,
    samples: int | None = None,
) -> list[Wanted]:
    """Of the answers that these policies should have given, those that are not stored."""
    have = response_ids_to(store, [p.id for p in given_by], prompt_ids)
    wanted = plan(prompt_ids, given_by, config, samples=samples)
    return [w for w in wanted if w.response_id not in have]


def sample_missing(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    prompt_ids: Sequence[str],
    given_by: Sequence[Policy],
    *,
    samples: int | None = None,
    progress: Progress | None = None,
    open_engine: Callable[[], Sampler] | None = None,
    strict: bool = False,
) -> Generated:
    """Sample the policies' answers that are not stored yet and append them as they finish.

    One engine gives the answers of several policies side by side. The result's policy is the first
    one. The engine is opened only if something is missing: loading a model takes longer than
    finding that there is nothing to do.
    samples: per temperature, where it is not the config's.
    strict: refuse to start when a prompt can't be sampled, instead of leaving it out.
    """
    result = Generated(
        policy=given_by[0],
        wanted=len(prompt_ids) * len(given_by) * answers_each(config, samples),
    )
    by_model: dict[str, list[Policy]] = {}
    for policy in given_by:
        by_model.setdefault(model_of(policy, workspace, config), []).append(policy)
    for model, some in by_model.items():
        todo = _Todo(
            store, prompt_ids, some, config.model_copy(update={"model": model}), samples=samples
        )
        if todo.missing:
            _sample_with(todo, workspace, result, progress, open_engine, strict=strict)
    return result


def model_of(policy: Policy, workspace: Path, config: GenerateConfig) -> str:
    """The weights to load: the workspace's own where the policy was fully tuned."""
    whole = workspace / policy.base_model
    return str(whole) if policy.round > 0 and whole.is_dir() else config.model


class _Todo:
    """What one base model's policies lack: how many answers to which prompt, and each when asked."""

    def __init__(
        self,
        store: Store,
        prompt_ids: Sequence[str],
        given_by: Sequence[Policy],
        config: GenerateConfig,
        *,
        samples: int | None,
    ) -> None:
        self.store = store
        self.given_by = given_by
        self.config = config
        self._samples = samples
        self.missing: dict[str, int] = {}  # answers by prompt
        for some in portions(prompt_ids):
            for want in self._look_up(some):
                self.missing[want.prompt_id] = self.missing.get(want.prompt_id, 0) + 1

    def _look_up(self, prompt_ids: Sequence[str]) -> list[Wanted]:
        return missing_answers(
            self.store, prompt_ids, self.given_by, self.config, samples=self._samples
        )

    def prompts(self) -> Iterator[Prompt]:
        """Those that have an answer missing."""
        for some in portions(list(self.missing)):
            found = prompts_by_id(self.store, some)
            yield from (found[prompt_id] for prompt_id in some)

    def answers(self) -> Iterator[tuple[Prompt, list[Wanted]]]:
        """Each of these prompts with what is missing of it, in the order of sampling."""
        for some in portions(list(self.missing)):
            with self.store.connected():
                found = prompts_by_id(self.store, some)
                wanted: dict[str, list[Wanted]] = {}
                for want in self._look_up(some):
                    wanted.setdefault(want.prompt_id, []).append(want)
            for prompt_id, missing in wanted.items():
                yield found[prompt_id], missing


def _sample_with(
    todo: _Todo,
    workspace: Path,
    result: Generated,
    progress: Progress | None,
    open_engine: Callable[[], Sampler] | None,
    *,
    strict: bool,
) -> None:
    """Sample what one base model's policies lack."""
    config = todo.config
    check_model(config.model)
    adapters = {p.id: workspace / p.adapter if p.adapter else None for p in todo.given_by}
    with ThreadPoolExecutor(1) as hashing:  # reads the weights while the engine loads them
        hashes = {
            p.id: hashing.submit(policy_hash, replace(p, base_model=config.model))
            for p in todo.given_by
        }
        engine = (
            open_engine()
            if open_engine
            else open_sampler(config, adapters=[a for a in adapters.values() if a])
        )
        try:
            refused = fitting(todo.prompts(), engine, config, strict=strict)
            for prompt_id, why in refused.items():
                result.left_out[why] += 1
                del todo.missing[prompt_id]
            flying: dict[str, Wanted] = {}
            run = RunLog(
                todo.store,
                RunKind.GENERATE,
                number=result.policy.round,
                config=config.model_dump(mode="json"),
            )
            template = "" if engine.tokenizer is None else template_hash(engine.tokenizer)
            total = sum(todo.missing.values())
            with run.failing(), Recorder(todo.store, run, result, total, progress) as recorder:
                for sample in engine.sample(_requests(todo, engine, adapters, flying)):
                    want = flying.pop(sample.key)
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


def _requests(
    todo: _Todo,
    engine: Sampler,
    adapters: Mapping[str, Path | None],
    flying: dict[str, Wanted],
) -> Iterator[Request]:
    """What to ask the engine for, one by one; flying takes up what was asked for."""
    for prompt, missing in todo.answers():
        ids = None
        if engine.tokenizer is not None:
            ids = prompt_token_ids(engine.tokenizer, prompt.messages)
        for want in missing:
            flying[want.response_id] = want
            yield Request(
                key=want.response_id,
                messages=prompt.messages,
                prompt_token_ids=ids,
                sampling=want.sampling,
                adapter=adapters[want.policy.id],
            )


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
        prompt_id=want.prompt_id,
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
