"""What the ways of benchmarks/generate.py share: a clock, a model, prompts, and pairloop's own work."""

import argparse
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from generate import stage
from generate.chat import prompt_token_ids
from generate.config import GenerateConfig
from generate.plan import plan
from storage.prompts import prompts
from storage.records import Message, Prompt, Sampling, Split
from storage.store import Store, utc_now

MICRO = Path(__file__).parent.parent / "pairloop" / "demo" / "model"
TEMPERATURES = (0.7, 1.0, 1.3)
LLAMAS = {  # layers, width, feed-forward width, heads, key-value heads, vocabulary
    "tiny": (2, 64, 128, 4, 2, 4096),
    "1b": (16, 2048, 8192, 32, 8, 128256),
}


@dataclass(kw_only=True)
class Timed:
    """One way's tokens and time in one round. CPU seconds: this process and its children."""

    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    more: dict[str, float] = field(default_factory=dict)


@contextmanager
def timing() -> Iterator[Timed]:
    found = Timed()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield found
    found.seconds, found.cpu_seconds = time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    """Of this process and of the engine's own processes, which outlive a round."""
    import psutil

    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children if child.is_running()]
    return time.process_time() + sum(t.user + t.system for t in times)


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
    with torch.device("cpu" if on_cpu() else "cuda"):
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


def on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def fill(store: Store, number: int, words: int) -> None:
    """Prompts of about `words` words each, all different from the first word on."""
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
                created_at=utc_now(),
            )
        )
    store.append(made)


def config_of(options: argparse.Namespace, engine: str, **changes: object) -> GenerateConfig:
    values = {
        "model": options.model,
        "engine": engine,
        "dtype": dtype_of(options),
        "temperatures": TEMPERATURES,
        "samples_per_temperature": options.samples,
        "max_tokens": options.max_tokens,
    }
    return GenerateConfig(**values | changes)


def dtype_of(options: argparse.Namespace) -> str:
    return "float32" if options.model == str(MICRO) else "auto"


class Kept:
    """An engine that stays open between two runs."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.name, self.context_tokens = engine.name, engine.context_tokens
        self.tokenizer, self.sample = engine.tokenizer, engine.sample

    def close(self) -> None:
        pass


def recorded(options: argparse.Namespace, config: GenerateConfig, engine, folder: Path) -> Timed:
    """What `pairloop generate` does, on an open engine, and a second run that finds all done."""
    file = folder / f"{time.monotonic_ns()}.duckdb"

    def work() -> tuple[int, int, int]:
        result = stage.generate(store, folder, config, open_engine=lambda: Kept(engine))
        stage.answers_sampled(store, result.policy, config)
        return result.wanted, result.sampled, result.tokens

    with Store(file) as store:
        fill(store, options.prompts, options.words)
        before = file.stat().st_size
        with timing() as timed:
            answers, sampled, timed.tokens = work()
        with timing() as again:
            _, repeated, _ = work()
    assert (sampled, repeated) == (answers, 0)
    timed.more = {"resume": again.seconds, "answers": answers}
    timed.more["bytes"] = (file.stat().st_size - before) / answers
    file.unlink()
    return timed


def requests_of(
    options: argparse.Namespace, config: GenerateConfig, tokenizer, folder: Path
) -> list[tuple[list[int], Sampling]]:
    """The very requests `pairloop generate` makes: prompt token ids and sampling settings."""
    with Store(folder / f"{time.monotonic_ns()}.duckdb") as store:
        fill(store, options.prompts, options.words)
        chosen = {p.id: p for p in prompts(store)}
        wanted = plan(list(chosen), [stage.current_policy(store, config)], config)
    return [
        (list(prompt_token_ids(tokenizer, chosen[w.prompt_id].messages)), w.sampling)
        for w in wanted
    ]
