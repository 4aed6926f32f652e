"""Sampling with everything recorded, against what a user would call instead.

    python -m benchmarks.generate                                # CPU: bundled micro model
    python -m benchmarks.generate --prompts 50 --growth 100 1000 # smaller
    python -m benchmarks.generate --llama 1b --max-tokens 256 --prompts 256     # a GPU: random weights
    python -m benchmarks.generate --write benchmarks/results/generate.md

One process per engine; in it the ways take turns, round after round, on the same requests and, where
it is vLLM, on the same engine with its prefix cache emptied before each. Timed is the sampling,
without loading the model. "pairloop generate" reads, renders and checks the prompts, samples, keeps
token ids and log-probabilities, appends to a real store and forms pairs.
Ratios are medians over the rounds. On a busy machine CPU seconds say more than seconds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.generate_growth import ANSWER_TOKENS, READY_TOKENS, run_growth
from benchmarks.generate_ways import run_distilabel, run_transformers, run_vllm
from benchmarks.generate_work import LLAMAS, MICRO, TEMPERATURES, make_llama, on_cpu
from storage.store import utc_now

ENGINES = ("vllm", "transformers", "distilabel")
RUNS = {
    "vllm": run_vllm,
    "transformers": run_transformers,
    "distilabel": run_distilabel,
    "growth": run_growth,
}
UNITS = ("seconds", "cpu_seconds")


def child(what: str, options: argparse.Namespace, **changes: object) -> dict | None:
    """Run one part in a process of its own; None and a word why where it can't."""
    values = vars(options) | {"child": what, "write": None} | changes
    command = [sys.executable, "-m", "benchmarks.generate", "--child", json.dumps(values)]
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    if on_cpu():
        quiet |= {"OMP_NUM_THREADS": str(options.threads), "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        last = next((line for line in reversed(lines) if "Error" in line), lines[-1])
        print(f"{what}: not measured: {last[:300]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def ways_table(options: argparse.Namespace, rows: dict[str, list[dict]]) -> list[str]:
    """Every way's speed, and pairloop's as a share of it round by round."""
    lines = [
        (
            f"{options.prompts} prompts of about {options.words} words, {len(TEMPERATURES)} temperatures "
            f"x {options.samples} samples, at most {options.max_tokens} tokens, {options.rounds} rounds."
        ),
        "",
        "| way | tokens/s | tokens per CPU second | pairloop's share of it, time | CPU time |",
        "| --- | --- | --- | --- | --- |",
    ]
    first = next(iter(rows.values()))
    for name, rounds in rows.items():
        cells = [name]
        cells += [f"{_median(r['tokens'] / r[unit] for r in rounds):,.0f}" for unit in UNITS]
        for unit in UNITS:
            shares = sorted(
                f["tokens"] / f[unit] * r[unit] / r["tokens"]
                for r, f in zip(rounds, first, strict=True)
            )
            spread = f" ({shares[0]:.2f} to {shares[-1]:.2f})" if rounds is not first else ""
            cells.append(f"{_median(shares):.2f}{spread}")
        lines.append(f"| {' | '.join(cells)} |")
    ours = [r["more"] for r in first]
    lines.append("")
    if "cached" in ours[0]:
        cached = _median(o["cached"] for o in ours)
        lines.append(f"Prompt tokens read from the prefix cache: {100 * cached:.0f} %.")
    resume, size = (_median(o[what] for o in ours) for what in ("resume", "bytes"))
    lines.append(
        f"A second run finds its {ours[0]['answers']:,} answers and their pairs done in {resume:.2f} s. "
        f"The store's file grew by {size:,.0f} bytes an answer, pairs included."
    )
    return lines


def growth_table(growth: Iterable[dict], about: str) -> list[str]:
    lines = [
        "",
        f"Growth, {about}:",
        "",
        "| prompts | seconds | ms per prompt | CPU ms per prompt | memory rose by, MiB | kB per prompt | second run, s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return lines + [
        f"| {g['prompts']:,} | {g['seconds']:.1f} | {1000 * g['seconds'] / g['prompts']:.2f} | "
        f"{1000 * g['cpu_seconds'] / g['prompts']:.2f} | {g['grown']:.0f} over {g['memory']:.0f} | "
        f"{1024 * g['grown'] / g['prompts']:.0f} | {g['resume']:.2f} |"
        for g in growth
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--words", type=int, default=150, help="of a prompt")
    parser.add_argument("--samples", type=int, default=2, help="per temperature")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--ready", action="store_true", help="growth with a stand-in engine")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU engine")
    parser.add_argument("--llama", choices=LLAMAS, help="random weights instead of the micro model")
    parser.add_argument("--model", default=str(MICRO), help="another model's folder")
    parser.add_argument("--only", choices=ENGINES, nargs="*", default=ENGINES)
    parser.add_argument("--write", type=Path, help="put the tables into this file too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = options_of()
    if options.child:
        options = argparse.Namespace(**json.loads(options.child))
        with tempfile.TemporaryDirectory() as folder:
            found = RUNS[options.child](options, Path(folder))
        print(json.dumps(found, default=vars))
        return
    load = os.getloadavg()[0]
    rows: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.llama:
            options.model = make_llama(options.llama, Path(folder))
        for name in options.only:
            if find_spec(name):
                rows |= child(name, options) or {}
            else:
                print(f"{name}: not measured: it is not installed", file=sys.stderr)
        grown = [child("growth", options, prompts=number) for number in options.growth]
    lines = ways_table(options, rows) if rows else []
    if growth := [g for g in grown if g]:
        about = f"one answer of at most {ANSWER_TOKENS} tokens a prompt"
        if options.ready:
            about = f"{options.samples} ready answers of {READY_TOKENS} tokens a prompt, no engine"
        lines += growth_table(growth, about)
    if not lines:
        raise SystemExit("nothing could be measured")
    lines += ["", f"Load average {load:.1f} when it began, {os.getloadavg()[0]:.1f} at its end."]
    text = "\n".join(lines)
    print(text)
    if options.write:
        options.write.write_text(f"# Sampling, measured\n\n{about_run()}\n\n{text}\n", "utf-8")


def about_run() -> str:
    """The command and the machine."""
    import torch

    device = "CPU" if on_cpu() else torch.cuda.get_device_name()
    command = " ".join(["python -m benchmarks.generate", *sys.argv[1:]])
    return (
        f"`{command}`, {device}, {os.cpu_count()} cores ({platform.machine()}), "
        f"{utc_now():%Y-%m-%d}."
    )


if __name__ == "__main__":
    main()
