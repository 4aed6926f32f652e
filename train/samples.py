"""A few answers to held-out prompts, before and after training, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.config import Method, Tuning
from train.examples import end_ids
from train.prepare import Job
from train.weights import Weights, open_policy

PROMPTS = 4
TOKENS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What the policy said to a held-out prompt, likeliest token by token."""

    prompt: str
    before: str
    after: str


def sampled(job: Job, out: Path, tokenizer: Any) -> list[Sampled]:
    """Before, by the policy trained from, and after, by the weights in `out`."""
    import torch

    asks = (
        [] if job.config.method is Method.REWARD else [e.prompt_ids for e in job.heldout[:PROMPTS]]
    )
    if not asks:
        return []
    whole = job.config.tuning is Tuning.FULL
    base = str(out) if whole else job.policy.base_model
    after = Weights(policy_id="", base_model=base, adapter=None if whole else out)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    said = [
        answers(open_policy(weights).to(device), tokenizer, asks) for weights in (job.policy, after)
    ]
    return [
        Sampled(prompt=tokenizer.decode(ids, skip_special_tokens=True), before=before, after=later)
        for ids, before, later in zip(asks, *said, strict=True)
    ]


def answers(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]]) -> list[str]:
    """The model's likeliest answer to each prompt's ids, cut after TOKENS."""
    import torch

    training = model.training
    model.eval()
    found = []
    for ids in prompts:
        ids_1_T = torch.tensor([list(ids)], device=model.device)
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids_1_T,
                attention_mask=torch.ones_like(ids_1_T),
                max_new_tokens=TOKENS,
                do_sample=False,
                eos_token_id=sorted(end_ids(tokenizer)) or None,
                pad_token_id=tokenizer.pad_token_id,
            )
        found.append(tokenizer.decode(made[0, len(ids) :], skip_special_tokens=True))
    model.train(training)
    return found
