"""The ways that benchmarks/generate.py compares: pairloop's, and what a user would call instead.

Each function takes one engine and returns every way's rounds. The ways take turns, every second
round the other way about, so that what else the machine does meets all of them alike.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.generate_work import (
    TEMPERATURES,
    Timed,
    config_of,
    dtype_of,
    fill,
    on_cpu,
    recorded,
    requests_of,
    timing,
)
from generate.sampler import open_sampler
from storage.prompts import prompts
from storage.store import Store

BATCH = 128

Rounds = dict[str, list[Timed]]


def in_turns(
    ways: dict[str, Callable[[], Timed]], rounds: int, before: Callable[[], object] = int
) -> Rounds:
    found: Rounds = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            before()
            found[name].append(ways[name]())
    return found


def run_vllm(options: argparse.Namespace, folder: Path) -> Rounds:
    from vllm import SamplingParams, TokensPrompt

    from generate import vllm_engine

    config = config_of(options, "vllm")
    engine = open_sampler(config, adapters=[])
    llm = engine._llm  # noqa: SLF001 - the same engine for all
    asked = requests_of(options, config, engine.tokenizer, folder)
    cached: list[tuple[int, int]] = []
    step = vllm_engine._step  # noqa: SLF001

    def counting(core):
        outputs = step(core)
        cached.extend(
            (o.num_cached_tokens or 0, len(o.prompt_token_ids)) for o in outputs if o.finished
        )
        return outputs

    def call(some, **settings: object) -> int:
        params = [
            SamplingParams(
                temperature=s.temperature,
                top_p=s.top_p,
                max_tokens=s.max_tokens,
                seed=s.seed,
                **settings,
            )
            for _, s in some
        ]
        asking = [TokensPrompt(prompt_token_ids=ids) for ids, _ in some]
        outputs = llm.generate(asking, params, use_tqdm=False)
        return sum(len(o.outputs[0].token_ids) for o in outputs)

    def bare(**settings: object) -> Timed:
        with timing() as timed:
            timed.tokens = call(asked, **settings)
        return timed

    def each_temperature() -> Timed:
        with timing() as timed:
            timed.tokens = sum(
                call([r for r in asked if r[1].temperature == t]) for t in TEMPERATURES
            )
        return timed

    def ours() -> Timed:
        cached.clear()
        vllm_engine._step = counting  # noqa: SLF001
        timed = recorded(options, config, engine, folder)
        vllm_engine._step = step  # noqa: SLF001
        timed.more["cached"] = sum(c for c, _ in cached) / sum(n for _, n in cached)
        return timed

    for settings in ({}, {"logprobs": 0}):  # the first call of each kind compiles something
        call(asked[:BATCH], **settings)
    return in_turns(
        {
            "pairloop generate, vLLM": ours,
            "LLM.generate, one call": bare,
            "LLM.generate with log-probabilities": lambda: bare(logprobs=0),
            "LLM.generate, a call per temperature": each_temperature,
        },
        options.rounds,
        before=llm.reset_prefix_cache,
    )


def run_transformers(options: argparse.Namespace, folder: Path) -> Rounds:
    import torch
    from transformers import AutoModelForCausalLM

    config = config_of(options, "transformers")
    engine = open_sampler(config, adapters=[])
    device = "cpu" if on_cpu() else "cuda"
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=config.dtype).to(device)
    asked = requests_of(options, config, engine.tokenizer, folder)
    pad, end = engine.tokenizer.pad_token_id, engine.tokenizer.eos_token_id

    def plain() -> Timed:
        """Batches of one temperature, left-padded: generate() takes one temperature a call."""
        torch.manual_seed(0)
        with timing() as timed, torch.inference_mode():
            for temperature in TEMPERATURES:
                rows = [ids for ids, s in asked if s.temperature == temperature]
                for start in range(0, len(rows), BATCH):
                    part = rows[start : start + BATCH]
                    width = max(map(len, part))
                    ids = torch.tensor([[pad] * (width - len(r)) + r for r in part])
                    output = model.generate(
                        input_ids=ids.to(device),
                        attention_mask=(ids != pad).long().to(device),
                        do_sample=True,
                        temperature=temperature,
                        top_k=0,
                        max_new_tokens=options.max_tokens,
                    )[:, width:].cpu()
                    timed.tokens += sum(
                        row.index(end) + 1 if end in row else len(row) for row in output.tolist()
                    )
        return timed

    return in_turns(
        {
            "pairloop generate, transformers": lambda: recorded(options, config, engine, folder),
            "transformers' generate": plain,
        },
        options.rounds,
    )


def run_distilabel(options: argparse.Namespace, folder: Path) -> Rounds:
    """distilabel's TextGeneration step with its vLLM model: one temperature a pass."""
    import vllm
    from distilabel.models import vLLM
    from distilabel.steps.tasks import TextGeneration

    real = vllm.SamplingParams
    # distilabel 1.5.3 passes logits_processors=None, which vLLM 0.32 no longer takes.
    vllm.SamplingParams = lambda logits_processors=None, **settings: real(**settings)  # noqa: ARG005
    with Store(folder / "prompts.duckdb") as store:
        fill(store, options.prompts, options.words)
        rows = [{"instruction": p.messages[-1].content} for p in prompts(store)]
    cpu = {"enforce_eager": True, "kv_cache_memory_bytes": 2**30, "enable_chunked_prefill": False}
    llm = vLLM(
        model=options.model,
        dtype=dtype_of(options),
        extra_kwargs=cpu if on_cpu() else {},
    )
    step = TextGeneration(llm=llm, num_generations=options.samples, input_batch_size=len(rows))
    step.load()

    def passes() -> Timed:
        with timing() as timed:
            for temperature in TEMPERATURES:
                llm.generation_kwargs = {
                    "temperature": temperature,
                    "max_new_tokens": options.max_tokens,
                }
                for made in next(step.process([dict(row) for row in rows])):
                    told = made["distilabel_metadata"]["statistics_text_generation_0"]
                    timed.tokens += sum(told["output_tokens"])
        return timed

    passes()
    return in_turns({"distilabel's vLLM step": passes}, options.rounds)
