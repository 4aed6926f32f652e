"""Seconds per step and peak memory of pairloop's DPO against a plain TRL script with TRL's defaults,
on the same pairs at the same rate and batch size: python -m benchmarks.train [--gpu]

The plain script gives DPOTrainer the model's name, texts and a LoRA config. Both sides run in a
process of their own, by turns, and pairloop also with pairs in the plain script's order; the first and the last step are left out of the seconds per step.
On the CPU it is the bundled micro model on one thread; --gpu builds a Llama of about a billion
random weights, where the held-out loss says only that both sides compute the same.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

MICRO = Path(__file__).parents[1] / "pairloop" / "demo" / "model"
RATE, BATCH, RANK, SEED = 2e-4, 8, 16, 42  # the seed is TRL's default
PLAIN, OURS, RANDOM = "plain TRL", "pairloop", "pairloop, pairs in TRL's order"
WORDS = [
    "tea",
    "bread",
    "moon",
    "bees",
    "chess",
    "rain",
    "soup",
    "maps",
    "like",
    "help",
    "happy",
    "look",
    "again",
    "good",
    "it",
    "is",
    "the",
    "a",
]


def pairs(count: int, *, long: int) -> list[dict[str, Any]]:
    """Conversations whose answers differ in length as people's do: log-normal, up to `long` words."""
    rng, made = random.Random(0), []
    for number in range(count):
        asked = f"{number}: what of " + " ".join(rng.choices(WORDS, k=rng.randint(4, 24))) + "?"
        sides = [
            " ".join(rng.choices(WORDS, k=min(long, 3 + int(rng.lognormvariate(2.5, 0.9)))))
            for _ in range(2)
        ]
        answers = [f"Happy to help! {sides[0]}.", f"Look, {sides[1]}."]
        row = {"prompt": [{"role": "user", "content": asked}]}
        for name, text in zip(("chosen", "rejected"), answers, strict=True):
            row[name] = [{"role": "assistant", "content": text}]
        made.append(row)
    return made


class Clock:
    """Wall and processor seconds of each logged step."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def tick(self) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())

    def per_step(self) -> dict[str, float]:
        """Between the end of the first and the end of the one before the last."""
        steps = len(self.wall) - 2
        return {
            "steps": len(self.wall),
            "seconds": (self.wall[-2] - self.wall[0]) / steps,
            "processor": (self.processor[-2] - self.processor[0]) / steps,
        }


def ours(
    model: str,
    train: list[dict[str, Any]],
    held: list[dict[str, Any]],
    out: Path,
    *,
    grouped: bool,
) -> Any:
    from datetime import datetime

    from transformers import AutoTokenizer

    from storage.records import Message, Prompt, Split
    from train.config import TrainConfig
    from train.examples import Example, answer_ids, prompt_ids_of
    from train.fit import fit
    from train.prepare import Job
    from train.weights import Weights

    tokenizer = AutoTokenizer.from_pretrained(model)

    def example(row: dict[str, Any]) -> Example:
        messages = tuple(Message(**m) for m in row["prompt"])
        prompt = Prompt(
            id=Prompt.id_of(messages),
            messages=messages,
            source="",
            split=Split.TRAIN,
            tags=(),
            created_at=datetime(2026, 1, 1),  # noqa: DTZ001 - UTC, as everywhere in the store
        )
        chosen, rejected = (
            tuple(answer_ids(prompt, row[side][0]["content"], tokenizer))
            for side in ("chosen", "rejected")
        )
        return Example(
            pair_id=prompt.id,
            prompt_ids=tuple(prompt_ids_of(prompt, tokenizer)),
            chosen_ids=chosen,
            rejected_ids=rejected,
        )

    policy = Weights(policy_id="m1:policy", base_model=model, adapter=None)
    clock = Clock()
    config = TrainConfig(
        learning_rate=RATE,
        batch_size=BATCH,
        device_batch_size=BATCH,
        lora_rank=RANK,
        group_by_length=grouped,
        seed=SEED,
    )
    result = fit(
        Job(
            examples=[example(row) for row in train],
            heldout=[example(row) for row in held],
            policy=policy,
            reference=policy,
            flip_rate=0.0,
            config=config,
            cache=out / "cache",
            work=out / "work",
        ),
        out=out / "result",
        on_log=lambda *_: clock.tick(),
    )
    losses = [math.log1p(math.exp(-r.margin)) for r in result.heldout_rewards]
    return clock.per_step() | {"loss": sum(losses) / len(losses)}


def plain(model: str, train: list[dict[str, Any]], held: list[dict[str, Any]], out: Path) -> Any:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    clock = Clock()

    class Tick(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    on_gpu = torch.cuda.is_available()
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(out),
            learning_rate=RATE,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            warmup_steps=0.1,
            lr_scheduler_type="cosine",
            disable_tqdm=True,
            **({} if on_gpu else {"bf16": False, "use_cpu": True}),
        ),
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(held),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", target_modules="all-linear", r=RANK, lora_alpha=2 * RANK
        ),
        callbacks=[Tick()],
    )
    trainer.train()
    trainer.save_model(str(out / "result"))
    return clock.per_step() | {"loss": trainer.evaluate()["eval_loss"]}


def one(side: str, model: str, sizes: tuple[int, int], *, long: int) -> dict[str, float]:
    """Run one side here and say what it cost."""
    import torch

    gpu = torch.cuda.is_available()
    if not gpu:
        torch.set_num_threads(1)
    rows = pairs(sum(sizes), long=long)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        given = model, rows[: sizes[0]], rows[sizes[0] :], Path(folder)
        found = plain(*given) if side == PLAIN else ours(*given, grouped=side == OURS)
    whole = time.perf_counter() - began
    on_host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated() if gpu else on_host
    return {**found, "whole": whole, "gib": peak / 2**30}


def build_llama(folder: Path) -> str:
    """A Llama of 1.24 billion random weights in bfloat16, with the micro model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(MICRO)
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="a Llama of a billion random weights")
    parser.add_argument("--pairs", type=int, default=160)
    parser.add_argument("--heldout", type=int, default=32)
    parser.add_argument("--longest", type=int, default=90, help="words of an answer")
    parser.add_argument("--turns", type=int, default=1, help="of each side")
    parser.add_argument("--side", choices=[PLAIN, OURS, RANDOM], help=argparse.SUPPRESS)
    parser.add_argument("--model", default=str(MICRO))
    given = parser.parse_args()
    if given.side:
        sizes = (given.pairs, given.heldout)
        print("\n" + json.dumps(one(given.side, given.model, sizes, long=given.longest)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = build_llama(Path(folder)) if given.gpu else given.model
        found: dict[str, list[dict[str, float]]] = {PLAIN: [], OURS: [], RANDOM: []}
        for _ in range(given.turns):
            for side, results in found.items():
                command = [sys.executable, "-m", "benchmarks.train", "--side", side]
                command += ["--model", model, "--pairs", str(given.pairs)]
                command += ["--heldout", str(given.heldout), "--longest", str(given.longest)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                results.append(json.loads(done.stdout.splitlines()[-1]))
    head = ["", "s/step", "processor s/step", "peak GiB", "whole run s", "held-out loss", "steps"]
    print("| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|")
    for side, results in found.items():
        names = ["seconds", "processor", "gib", "whole", "loss", "steps"]
        middle = {name: median(r[name] for r in results) for name in names}
        cells = [f"{middle[n]:.3f}" for n in names[:3]]
        cells += [f"{middle['whole']:.1f}", f"{middle['loss']:.4f}", f"{middle['steps']:.0f}"]
        print(f"| {side} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
