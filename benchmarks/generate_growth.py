"""How `pairloop generate` grows with the number of prompts: time for each of them, and memory.

One size to a process. With the real engine one short answer a prompt; with a stand-in that has its
answers ready, long answers, so that what is measured is everything but the engine.
"""

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.generate_work import config_of, on_cpu, recorded
from generate.chat import load_tokenizer
from generate.sampler import Request, Sample, open_sampler
from storage.records import FinishReason

ANSWER_TOKENS = 8
READY_TOKENS = 300
WARM_PROMPTS = 512
CACHE_SHARE = 0.01  # of a CPU machine's memory: full before anything is measured


class Ready:
    """An engine that has its answers ready: slices of one long text of random words."""

    name = "ready"
    context_tokens = 4096

    def __init__(self, model: str) -> None:
        self.tokenizer = load_tokenizer(model)
        rng = random.Random(0)
        self._ids = [rng.randrange(4096) for _ in range(100_000)]
        self._logprobs = [-rng.expovariate(1.0) for _ in self._ids]

    def sample(self, requests: Sequence[Request]) -> Iterator[Sample]:
        for request in requests:
            at = request.sampling.seed % (len(self._ids) - READY_TOKENS)
            ids = tuple(self._ids[at : at + READY_TOKENS])
            yield Sample(
                key=request.key,
                text=" ".join(f"w{i}" for i in ids),
                finish_reason=FinishReason.STOP,
                prompt_token_ids=request.prompt_token_ids,
                token_ids=ids,
                logprobs=tuple(self._logprobs[at : at + READY_TOKENS]),
            )


def run_growth(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One size: seconds and how far memory rose above what it was when the run began."""
    if options.ready:
        config = config_of(options, "vllm", temperatures=(1.0,), max_tokens=READY_TOKENS)
        engine = Ready(options.model)
    else:
        config = config_of(
            options,
            "vllm" if find_spec("vllm") else "transformers",
            temperatures=(1.0,),
            samples_per_temperature=1,
            max_tokens=ANSWER_TOKENS,
            gpu_memory_utilization=CACHE_SHARE if on_cpu() else None,
        )
        engine = open_sampler(config, adapters=[])
    whole, options.prompts = options.prompts, WARM_PROMPTS
    recorded(options, config, engine, folder)  # loads whatever the first answers load
    options.prompts = whole
    before = _mebibytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: forget the peak
    timed = recorded(options, config, engine, folder)
    return {
        "prompts": whole,
        "seconds": timed.seconds,
        "cpu_seconds": timed.cpu_seconds,
        "resume": timed.more["resume"],
        "memory": before,
        "grown": _mebibytes("VmHWM") - before,
    }


def _mebibytes(name: str) -> float:
    said = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"{name}:\s+(\d+) kB", said)[1]) / 1024
