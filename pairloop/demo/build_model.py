"""Trains the bundled micro model from nothing: conversations in, the folder model/ out.

    python -m pairloop.demo.build_model

Measured on two CPU cores that other work shared: 1500 steps, 17 minutes (about 11 at the speed of
its undisturbed stretches), held-out loss 0.349 per answer token. A GPU is used where there is one.
The result is a Llama of 1.8 million float32 weights with its own tokenizer and chat template.
Only the assistant's tokens are trained on, the end-of-turn token among them.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pairloop.demo.instructions import Message, bundled_prompts, conversations

MODEL_DIR = Path(__file__).with_name("model")
PAD, BOS, START, END = SPECIAL_TOKENS = ("<|pad|>", "<|bos|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 2048
CONTEXT = 512
IGNORED = -100
EVAL_SEED_SHIFT = 1_000_003
# The newline that parts two turns stands at the head of the later one, so an answer ends with END.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{%- if not loop.first %}{{- '\\n' }}{% endif %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}
{%- else %}{{- message['content'] + '<|im_end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '\\n<|im_start|>assistant\\n' }}{% endif %}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the model is trained."""

    steps: int
    seed: int
    device: str
    tokens_per_batch: int = 3072
    peak_rate: float = 4e-3
    warmup: int = 60


def train_tokenizer(*, seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the generated text; it adds no special token of its own."""
    core = Tokenizer(models.BPE())
    # A newline is always a token by itself, so no answer can merge with the turn's heading.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (turn["content"] for talk in conversations(8000, seed=seed) for turn in talk)
    roles = ("system\n", "user\n", "assistant\n")
    core.train_from_iterator((*texts, *(roles * 2000)), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama small enough that the whole folder stays below eight megabytes."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


def encode(
    talk: Sequence[Message], tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[int]]:
    """Token ids of a conversation and its labels: the answers with their END, the rest ignored."""
    newline = _ids("\n", tokenizer)
    ids, labels = [tokenizer.bos_token_id], [IGNORED]
    for index, turn in enumerate(talk):
        heading = (newline if index else []) + _ids(f"{START}{turn['role']}\n", tokenizer)
        content = [*_ids(turn["content"], tokenizer), tokenizer.eos_token_id]
        ids += heading + content
        labels += [IGNORED] * len(heading)
        labels += content if turn["role"] == "assistant" else [IGNORED] * len(content)
    return ids, labels


def batches(
    talks: Iterator[list[Message]],
    tokenizer: PreTrainedTokenizerFast,
    *,
    tokens_per_batch: int,
    rng: random.Random,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Padded (ids, labels) batches of conversations of similar length, in random order."""
    pool_size = 16 * tokens_per_batch // 60
    while pool := [encode(talk, tokenizer) for talk in islice(talks, pool_size)]:
        pool.sort(key=lambda row: len(row[0]))
        ready: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in pool:
            if ready[-1] and (len(ready[-1]) + 1) * len(row[0]) > tokens_per_batch:
                ready.append([])
            ready[-1].append(row)
        rng.shuffle(ready)
        for rows in ready:
            width = len(rows[-1][0])
            yield (
                torch.tensor([_padded(ids, width, tokenizer.pad_token_id) for ids, _ in rows]),
                torch.tensor([_padded(labels, width, IGNORED) for _, labels in rows]),
            )


def answer_loss(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of the labelled tokens; padding on the right needs no mask."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    wanted = targets != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[wanted]), targets[wanted])


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, plan: Plan) -> None:
    """Train in place with AdamW, a short warm-up and a cosine to a twentieth of the peak rate."""
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    plain = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98))
    feed = batches(
        conversations(plan.steps * plan.tokens_per_batch // 20, seed=plan.seed),
        tokenizer,
        tokens_per_batch=plan.tokens_per_batch,
        rng=random.Random(plan.seed),
    )
    model.train()
    began, seen, smooth = time.monotonic(), 0, math.log(VOCABULARY)
    for step in range(plan.steps):
        ids, labels = (part.to(plan.device) for part in next(feed))
        for group in optimizer.param_groups:
            group["lr"] = plan.peak_rate * _rate_share(step, plan=plan)
        loss = answer_loss(model, ids, labels)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += ids.numel()
        smooth = 0.95 * smooth + 0.05 * loss.item()
        if step % 50 == 49 or step + 1 == plan.steps:
            seconds = time.monotonic() - began
            _log(
                f"train step={step + 1}/{plan.steps} loss={smooth:.3f} "
                f"tokens_per_s={seen / seconds:.0f} seconds={seconds:.0f}"
            )
    model.eval()


@torch.no_grad()
def evaluate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, plan: Plan, count: int = 512
) -> float:
    """Mean loss per answer token on conversations of another seed."""
    talks = conversations(count, seed=plan.seed + EVAL_SEED_SHIFT)
    total, tokens = 0.0, 0
    for ids, labels in batches(
        talks, tokenizer, tokens_per_batch=plan.tokens_per_batch, rng=random.Random(0)
    ):
        wanted = int((labels[:, 1:] != IGNORED).sum())
        total += answer_loss(model, ids.to(plan.device), labels.to(plan.device)).item() * wanted
        tokens += wanted
    return total / tokens


@torch.no_grad()
def sample(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Message],
    *,
    temperature: float,
    max_tokens: int = 96,
) -> str:
    """One answer to the messages; temperature 0 takes the likeliest token each time."""
    inputs = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
    made = model.generate(**inputs, max_new_tokens=max_tokens, **(how or {"do_sample": False}))
    return str(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, out: Path) -> None:
    """Write weights, configuration and tokenizer in the Hugging Face layout."""
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def build(plan: Plan, *, out: Path) -> float:
    """Train tokenizer and model, save both, and return the held-out loss."""
    torch.manual_seed(plan.seed)
    tokenizer = train_tokenizer(seed=plan.seed)
    model = new_model(tokenizer).to(plan.device)
    _log(f"model parameters={model.num_parameters()} vocabulary={len(tokenizer)}")
    train(model, tokenizer, plan=plan)
    loss = evaluate(model, tokenizer, plan=plan)
    save(model, tokenizer, out=out)
    _log(f"saved eval_loss={loss:.4f} out={out}")
    prompts = bundled_prompts()
    for temperature in (0.7, 1.0, 1.3):
        for row in prompts[::48]:
            text = sample(model, tokenizer, row["messages"], temperature=temperature)
            print(f"[{temperature}] {row['messages'][-1]['content']}\n      {text}")
    return loss


def _ids(text: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _padded(row: list[int], width: int, filler: int) -> list[int]:
    return row + [filler] * (width - len(row))


def _rate_share(step: int, *, plan: Plan) -> float:
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    through = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * through))


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Train the bundled micro model; needs no network and no GPU."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=MODEL_DIR)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, ...")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.monotonic()
    plan = Plan(steps=arguments.steps, seed=arguments.seed, device=device)
    loss = build(plan, out=arguments.out)
    _log(f"done seconds={time.monotonic() - began:.0f} eval_loss={loss:.4f} out={arguments.out}")


if __name__ == "__main__":
    main()
