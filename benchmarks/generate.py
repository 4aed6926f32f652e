"""Sampling with everything recorded, against what a user would call instead.

    python -m benchmarks.generate                                # CPU: bundled micro model
    python -m benchmarks.generate --prompts 50 --growth 100 1000 # smaller
    python -m benchmarks.generate --llama 1b --max-tokens 256 --prompts 256     # a GPU: random weights
    python -m benchmarks.generate --write benchmarks/results/generate.md

One process per engine; in it the ways take turns, round after round, on the same requests and, where
it is vLLM, on the same engine with its prefix cache emptied before each. Timed is the sampling,
without loading the model. "pairloop generate" renders and checks the prompts, hashes the weights,
samples, keeps token ids and log-probabilities, appends to a real store and forms pairs.
Ratios are medians over the rounds. CPU seconds are this process's own: on a busy machine they say
more than seconds. Growth is measured with one short answer per prompt, in a process per size.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

MICRO = Path(__file__).parent.parent / "pairloop" / "demo" / "model"
TEMPERATURES = (0.7, 1.0, 1.3)
BATCH = 128
LLAMAS = {  # layers, width, feed-forward width, heads, key-value heads, vocabulary
    "tiny": (2, 64, 128, 4, 2, 4096),
    "1b": (16, 2048, 8192, 32, 8, 128256),
}
GROWTH_TOKENS = 8
ENGINES = ("vllm", "transformers", "distilabel")


@dataclass(kw_only=True)
class Timed:
    """One way's tokens and time in one round."""

    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    more: dict[str, float] | None = None


@contextmanager
def timing() -> Iterator[Timed]:
    found = Timed()
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found.seconds, found.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def make_llama(size: str, folder: Path) -> str:
    """A Llama of random weights, with the micro model's tokenizer grown to its vocabulary."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    layers, width, inner, heads, kv_heads, vocabulary = LLAMAS[size]
    tokenizer = AutoTokenizer.from_pretrained(MICRO)
    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    words = said["model"]["vocab"]
    known = {*words.values(), *(token["id"] for token in said["added_tokens"])}
    words |= {f"x{i}": i for i in range(vocabulary) if i not in known}
    file.write_text(json.dumps(said), encoding="utf-8")
    return str(folder)


def fill(store, number: int, words: int) -> None:
    """Prompts of about `words` words each, all different from the first word on."""
    from storage.records import Message, Prompt, Split

    known = json.loads((MICRO / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    nouns = sorted(word[1:] for word in known if word[1:].isalpha() and len(word) > 4)
    rng = random.Random(0)
    made = []
    for i in range(number):
        text = f"{i}: {' '.join(rng.choices(nouns, k=words))}?"
        messages = (Message(role="user", content=text),)
        made.append(
            Prompt(
                id=Prompt.id_of(messages),
                messages=messages,
                source="benchmark",
                split=Split.TRAIN,
                tags=(),
                created_at=NOW(),
            )
        )
    store.append(made)


def NOW():  # noqa: N802
    from storage.store import utc_now

    return utc_now()


def config_of(options: argparse.Namespace, engine: str, **changes):
    from generate.config import GenerateConfig

    values = {
        "model": options.model,
        "engine": engine,
        "dtype": "float32" if options.model == str(MICRO) else "auto",
        "temperatures": TEMPERATURES,
        "samples_per_temperature": options.samples,
        "max_tokens": options.max_tokens,
    }
    return GenerateConfig(**values | changes)


class Kept:
    """An engine that stays open between two runs."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.name, self.context_tokens = engine.name, engine.context_tokens
        self.tokenizer, self.sample = engine.tokenizer, engine.sample

    def close(self) -> None:
        pass


def recorded(options, config, engine, folder: Path) -> Timed:
    """`pairloop generate`'s own work on an open engine, and a second run that finds all done."""
    from generate import stage
    from generate.pair_stage import form_training_pairs
    from generate.sampling import sample_missing
    from storage.store import Store

    with Store(folder / f"{time.monotonic_ns()}.duckdb") as store:
        fill(store, options.prompts, options.words)
        policy = stage.current_policy(store, config)
        with timing() as timed:
            wanted = stage.wanted_answers(store, policy, config)
            result = sample_missing(store, folder, config, wanted, open_engine=lambda: Kept(engine))
            form_training_pairs(store, policy, config)
        timed.tokens = result.tokens
        assert result.sampled == len(wanted)
        with timing() as again:
            wanted = stage.wanted_answers(store, policy, config)
            sample_missing(store, folder, config, wanted, open_engine=lambda: Kept(engine))
        timed.more = {"resume": again.seconds, "answers": len(wanted)}
    return timed


def requests_of(options, config, tokenizer, folder: Path) -> list[tuple[list[int], object]]:
    """The very requests `pairloop generate` makes: prompt token ids and sampling settings."""
    from generate import stage
    from generate.chat import prompt_token_ids
    from storage.store import Store

    with Store(folder / f"{time.monotonic_ns()}.duckdb") as store:
        fill(store, options.prompts, options.words)
        wanted = stage.wanted_answers(store, stage.current_policy(store, config), config)
    return [(list(prompt_token_ids(tokenizer, w.prompt.messages)), w.sampling) for w in wanted]


def run_vllm(options, folder: Path) -> dict[str, list[Timed]]:
    from vllm import SamplingParams, TokensPrompt

    from generate import vllm_engine
    from generate.sampler import open_sampler

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

    def bare(*, logprobs: int | None = None) -> Timed:
        with timing() as timed:
            timed.tokens = call(asked, logprobs)
        return timed

    def call(some, logprobs: int | None = None) -> int:
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids, _ in some]
        params = [
            SamplingParams(
                temperature=s.temperature,
                top_p=s.top_p,
                max_tokens=s.max_tokens,
                seed=s.seed,
                logprobs=logprobs,
            )
            for _, s in some
        ]
        outputs = llm.generate(prompts, params, use_tqdm=False)
        return sum(len(o.outputs[0].token_ids) for o in outputs)

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

    for logprobs in (None, 0):  # the first call of each kind compiles something
        call(asked[:BATCH], logprobs)
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


def run_transformers(options, folder: Path) -> dict[str, list[Timed]]:
    import torch
    from transformers import AutoModelForCausalLM

    from generate.sampler import open_sampler

    config = config_of(options, "transformers")
    engine = open_sampler(config, adapters=[])
    device = "cuda" if torch.cuda.is_available() else "cpu"
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


def run_distilabel(options, folder: Path) -> dict[str, list[Timed]]:
    """distilabel's TextGeneration step with its vLLM model: one temperature a pass."""
    from distilabel.models import vLLM
    from distilabel.steps.tasks import TextGeneration

    from storage.prompts import prompts
    from storage.store import Store

    with Store(folder / "prompts.duckdb") as store:
        fill(store, options.prompts, options.words)
        rows = [{"instruction": p.messages[-1].content} for p in prompts(store)]
    on_cpu = {"enforce_eager": True, "kv_cache_memory_bytes": 2**30}
    llm = vLLM(
        model=options.model,
        dtype="float32" if options.model == str(MICRO) else "auto",
        extra_kwargs={"enable_chunked_prefill": False, **on_cpu} if _on_cpu() else {},
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
                    statistics_ = made["distilabel_metadata"]["statistics_text_generation_0"]
                    timed.tokens += sum(statistics_["output_tokens"])
        return timed

    return in_turns({"distilabel's vLLM step": passes}, options.rounds)


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def in_turns(
    ways: dict[str, Callable[[], Timed]], rounds: int, before: Callable[[], object] = int
) -> dict[str, list[Timed]]:
    found: dict[str, list[Timed]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            before()
            found[name].append(ways[name]())
    return found


def run_growth(options, folder: Path) -> dict[str, float]:
    """One size: seconds per prompt and what memory grew by while sampling it."""
    from generate.sampler import open_sampler

    engine_name = "vllm" if find_spec("vllm") else "transformers"
    config = config_of(
        options,
        engine_name,
        temperatures=(1.0,),
        samples_per_temperature=1,
        max_tokens=GROWTH_TOKENS,
    )
    engine = open_sampler(config, adapters=[])
    whole, options.prompts = options.prompts, BATCH
    recorded(options, config, engine, folder)  # whatever is loaded with the first answers
    options.prompts = whole
    before = _peak()
    timed = recorded(options, config, engine, folder)
    return {
        "prompts": whole,
        "seconds": timed.seconds,
        "cpu_seconds": timed.cpu_seconds,
        "resume": timed.more["resume"],
        "memory": before,
        "grown": _peak() - before,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


RUNS = {
    "vllm": run_vllm,
    "transformers": run_transformers,
    "distilabel": run_distilabel,
    "growth": run_growth,
}


def child(what: str, options: argparse.Namespace, **changes: object) -> object:
    """Run one part in a process of its own; None and a word why where it can't."""
    values = vars(options) | {"child": what, "write": None} | changes
    command = [sys.executable, "-m", "benchmarks.generate", "--child", json.dumps(values)]
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    if _on_cpu():
        quiet |= {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        last = next((line for line in reversed(lines) if "Error" in line), lines[-1])
        print(f"{what}: not measured: {last[:300]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def report(options, measured: dict[str, dict], growth: list[dict], started: float) -> str:
    rows = {name: rounds for part in measured.values() for name, rounds in part.items()}
    lines = [
        (
            f"{options.prompts} prompts of about {options.words} words, {len(TEMPERATURES)} temperatures "
            f"x {options.samples} samples, at most {options.max_tokens} tokens, {options.rounds} rounds."
        ),
        "",
        "| way | tokens/s | tokens per CPU second | of the first, time | of the first, CPU time |",
        "| --- | --- | --- | --- | --- |",
    ]
    first = next(iter(rows.values()))
    for name, rounds in rows.items():
        cells = [name]
        cells += [f"{_median(r['tokens'] / r[unit] for r in rounds):,.0f}" for unit in UNITS]
        cells += [
            f"{_median(r['tokens'] / r[u] * f[u] / f['tokens'] for r, f in zip(rounds, first, strict=True)):.2f}"
            for u in UNITS
        ]
        lines.append(f"| {' | '.join(cells)} |")
    ours = next(iter(rows.values()))[-1]["more"]
    lines.append("")
    if "cached" in ours:
        lines.append(f"Prompt tokens read from the prefix cache: {100 * ours['cached']:.0f} %.")
    lines.append(
        f"A second run finds its {ours['answers']:,} answers done in {ours['resume']:.2f} s."
    )
    if growth:
        lines += [
            "",
            f"Growth, one answer of at most {GROWTH_TOKENS} tokens per prompt:",
            "",
            "| prompts | seconds | ms per prompt | CPU ms per prompt | peak memory grew by, MiB | second run, s |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {g['prompts']:,} | {g['seconds']:.1f} | {1000 * g['seconds'] / g['prompts']:.2f} | "
            f"{1000 * g['cpu_seconds'] / g['prompts']:.2f} | {g['grown']:.0f} of {g['memory'] + g['grown']:.0f} | "
            f"{g['resume']:.2f} |"
            for g in growth
        ]
    lines += ["", f"Load average {started:.1f} when it began, {os.getloadavg()[0]:.1f} at its end."]
    return "\n".join(lines)


UNITS = ("seconds", "cpu_seconds")


def _median(values) -> float:
    return statistics.median(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--words", type=int, default=150, help="of a prompt")
    parser.add_argument("--samples", type=int, default=2, help="per temperature")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--threads", type=int, default=1, help="of a CPU engine")
    parser.add_argument("--llama", choices=LLAMAS, help="random weights instead of the micro model")
    parser.add_argument("--model", default=str(MICRO), help="another model's folder")
    parser.add_argument("--only", choices=ENGINES, nargs="*", default=ENGINES)
    parser.add_argument("--write", type=Path, help="put the tables into this file too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        options = argparse.Namespace(**json.loads(options.child))
        with tempfile.TemporaryDirectory() as folder:
            found = RUNS[options.child](options, Path(folder))
        print(json.dumps(found, default=vars))
        return
    started = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        if options.llama:
            options.model = make_llama(options.llama, Path(folder))
        measured = {name: child(name, options) for name in options.only if find_spec(name)}
        for name in set(options.only) - measured.keys():
            print(f"{name}: not measured: it is not installed", file=sys.stderr)
        growth = [child("growth", options, prompts=number) for number in options.growth]
    kept = {name: found for name, found in measured.items() if found}
    if not kept:
        raise SystemExit("nothing could be measured")
    text = report(options, kept, [g for g in growth if g], started)
    print(text)
    if options.write:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        command = " ".join(a for a in sys.argv[1:] if a)
        head = f"# Sampling, measured\n\n`python -m benchmarks.generate {command}`, {device}, "
        head += f"{os.cpu_count()} cores ({platform.machine()}), {NOW():%Y-%m-%d}.\n\n"
        options.write.write_text(head + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
