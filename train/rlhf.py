"""TRL's GRPO and RLOO on exact token ids, with a reward model of ours as the reward.

The trainers are TRL's own. A prompt goes in as the ids that the sampler would read, and what the
policy writes is scored as those very ids: no text is put through a template again. With equal
policy and reference, before the first step:

grpo  the ratio is 1 and the KL 0, so the loss is minus the advantages' mean over all tokens;
      advantages are (r - mean of the group) / (its standard deviation + 1e-4)
      (Shao et al. 2024, section 4.1; token mean: Yu et al. 2025, section 3.3)
rloo  advantages are r minus the mean of the group's other rewards (Ahmadian et al. 2024, eq. 8),
      r being score - beta KL of the whole answer; over whole groups their mean, the loss, is 0
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer.utils import add_fused_lm_head

from train.asked import Asked, filled_up
from train.config import Method, TrainConfig, Tuning
from train.exact_trainer import shared_arguments
from train.rewards import scores_by_model
from train.trl_methods import Setup
from train.weights import Weights, as_reference, reference_model, starts_equal

STD_FLOOR = 1e-4  # TRL's, added to a group's standard deviation


@dataclass(kw_only=True)
class Scores:
    """The reward function: what a reward model says of prompts and answers, as ids."""

    model: Any
    pad_id: int
    last: list[float] = field(default_factory=list)
    __name__ = "reward_model"  # TRL names its metrics so

    def __call__(
        self, prompts: list[list[int]], completion_ids: list[list[int]], **_: Any
    ) -> list[float]:
        whole = [tuple(p) + tuple(c) for p, c in zip(prompts, completion_ids, strict=True)]
        self.last = scores_by_model(whole, self.model, pad_id=self.pad_id)
        return self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A step without an update. sequences: (prompt, answer) of its answers, group by group.

    scores, advantages: of all of them; the loss is of the first `part`.
    """

    sequences: list[tuple[tuple[int, ...], tuple[int, ...]]]
    scores: list[float]
    advantages: list[float]
    part: int
    loss: float
    kl: float  # TRL's metric


class _Exact:
    """A prompt is ids already, and in the order of training."""

    order = None
    args: Any
    model: Any
    accelerator: Any
    state: Any
    num_generations: int
    reward_funcs: list[Any]
    compute_loss: Any
    _metrics: Any
    _generate_and_score_completions: Any

    def _tokenize_prompts(
        self, prompts: list[list[int]]
    ) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Without the reference's adapter: of a checkpoint that holds it in a folder beside the
        trained one, transformers 5.19 loads that folder alone, and training begins anew.
        """
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        shutil.rmtree(Path(output_dir or self.args.output_dir) / "ref", ignore_errors=True)

    def try_generation(self, prompts: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Answers to the prompts, scored, as a step takes them; the random numbers are put back."""
        rows = [{"prompt": list(ids)} for ids in prompts for _ in range(self.num_generations)]
        self.model.train()
        with torch.random.fork_rng():
            batch: dict[str, Any] = self._generate_and_score_completions(rows)
        return batch

    def try_loss(self, batch: dict[str, Any]) -> Tried:
        """Forward and backward of as many answers as the device takes; nothing is updated."""
        n, part = len(batch["advantages"]), self.args.per_device_train_batch_size
        self.current_gradient_accumulation_steps = self.args.steps_per_generation
        loss = self.compute_loss(
            self.model,
            {k: v[:part] if v.dim() and len(v) == n else v for k, v in batch.items()},
        )
        self.accelerator.backward(loss)
        self.model.zero_grad(set_to_none=True)
        kl = self._metrics["train"]["kl"][-1]
        self._metrics["train"].clear()
        self.state.num_input_tokens_seen = 0
        return Tried(
            sequences=[
                (_seen(p, m), _seen(c, d))
                for p, m, c, d in zip(
                    *(
                        batch[f"{side}_{what}"]
                        for side in ("prompt", "completion")
                        for what in ("ids", "mask")
                    ),
                    strict=True,
                )
            ],
            scores=self.reward_funcs[0].last,
            advantages=batch["advantages"].tolist(),
            part=part,
            loss=float(loss.detach()),
            kl=kl,
        )


class ExactGRPOTrainer(_Exact, GRPOTrainer):  # type: ignore[misc]
    """GRPO on rows of prompt_rows."""


class ExactRLOOTrainer(_Exact, RLOOTrainer):  # type: ignore[misc]
    """RLOO on rows of prompt_rows."""


def _seen(ids_T: torch.Tensor, mask_T: torch.Tensor) -> tuple[int, ...]:
    return tuple(ids_T[mask_T.bool()].tolist())


def prompt_rows(asked: Sequence[Asked]) -> Dataset:
    """A prompt is a list of ids where TRL expects a text or turns."""
    return Dataset.from_dict({"prompt": [list(a.prompt_ids) for a in asked]})


def rlhf_trainer(setup: Setup, asked: Sequence[Asked], scorer: Any) -> Any:
    """The trainer of setup.config.method. scorer: the reward model, to be asked."""
    config = setup.config
    rows = filled_up(asked, config)
    arguments = shared_arguments(
        config,
        len(rows) * config.num_generations,
        work=setup.work,
        bf16=setup.bf16,
        grouped=False,
    )
    named = {
        "beta": config.beta,
        "num_generations": config.num_generations,
        "max_completion_length": config.max_completion_length,
        "temperature": config.temperature,
        "shuffle_dataset": False,
        "top_p": 1.0,
        "top_k": 0,  # answers come from the very distribution whose log-probabilities are trained
        **arguments,
    }
    grpo = config.method is Method.GRPO
    trainer = (ExactGRPOTrainer if grpo else ExactRLOOTrainer)(
        model=setup.model,
        reward_funcs=Scores(model=scorer, pad_id=setup.tokenizer.pad_token_id),
        args=GRPOConfig(**named) if grpo else RLOOConfig(**named),
        train_dataset=prompt_rows(rows),
        processing_class=setup.tokenizer,
        peft_config=setup.peft_config,
    )
    scorer.to(trainer.accelerator.device)
    return trainer


def hold_near(
    trainer: Any, reference: Weights, policy: Weights, config: TrainConfig, dtype: Any
) -> None:
    """Make the trainer's KL that to `reference`; TRL's own choice is what training begins as."""
    if starts_equal(policy, reference, config):
        return
    if reference.base_model == policy.base_model and config.tuning is not Tuning.FULL:
        model = trainer.model
        if "ref" in model.peft_config:
            model.delete_adapter("ref")  # TRL's copy; without one the base model is the reference
        if reference.adapter is not None:
            model.load_adapter(str(reference.adapter), "ref")
            model.set_adapter("default")
        return
    other = reference_model(reference, dtype)
    inner = other.get_base_model() if hasattr(other, "get_base_model") else other
    add_fused_lm_head(inner, temperature=config.temperature)
    trainer.ref_model = trainer.accelerator.prepare_model(other, evaluation_mode=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What a step should show, worked out conversation by conversation. score_error: largest."""

    loss: float
    kl: float
    score_error: float


def apart(
    trainer: Any,
    tried: Tried,
    *,
    reference: Weights,
    policy: Weights,
    config: TrainConfig,
    dtype: Any,
) -> Apart:
    """The figures of `tried` from plain forward passes of policy, reference and reward model."""
    scores = trainer.reward_funcs[0]
    own = [
        scores_by_model([p + c], scores.model, pad_id=scores.pad_id)[0] for p, c in tried.sequences
    ]
    now = _logps(trainer.model, tried.sequences, config.temperature)
    with as_reference(trainer.model, reference, policy, config, dtype) as seen:
        held = _logps(seen, tried.sequences, config.temperature)
    error = max(abs(a - b) for a, b in zip(own, tried.scores, strict=True))
    kinds = {Method.GRPO: _grpo, Method.RLOO: _rloo}
    loss, kl = kinds[config.method](tried, now, held, config)
    return Apart(loss=loss, kl=kl, score_error=error)


_Logps = list[torch.Tensor]  # per answer, [T]


def _logps(
    model: Any, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], t: float
) -> _Logps:
    """Of each answer's tokens at temperature t, from the logits."""
    found = []
    training = model.training
    model.eval()
    for prompt, answer in sequences:
        ids_1_T = torch.tensor([prompt + answer], device=model.device)
        with torch.inference_mode():
            logits_T_V = model(input_ids=ids_1_T).logits[0, len(prompt) - 1 : -1].float() / t
            answer_T_1 = ids_1_T[0, len(prompt) :, None]
            found.append(logits_T_V.log_softmax(-1).gather(-1, answer_T_1)[:, 0].cpu())
    model.train(training)
    return found


def _grpo(tried: Tried, now: _Logps, held: _Logps, config: TrainConfig) -> tuple[float, float]:
    score_P_G = torch.tensor(tried.scores).view(-1, config.num_generations)
    centred_P_G = score_P_G - score_P_G.mean(1, keepdim=True)
    advantages = (centred_P_G / (score_P_G.std(1, keepdim=True) + STD_FLOOR)).flatten().tolist()
    kls = [(h - n).exp() - (h - n) - 1 for n, h in zip(now, held, strict=True)][: tried.part]
    tokens = sum(len(n) for n in now)
    parts = [config.beta * k - a for k, a in zip(kls, advantages, strict=False)]
    return float(sum(p.sum() for p in parts)) / tokens, float(torch.cat(kls).mean())


def _rloo(tried: Tried, now: _Logps, held: _Logps, config: TrainConfig) -> tuple[float, float]:
    kls = [n - h for n, h in zip(now, held, strict=True)]
    penalty_N = config.beta * torch.stack([k.sum() for k in kls])
    reward_P_G = (torch.tensor(tried.scores) - penalty_N).view(-1, config.num_generations)
    others_P_G = (reward_P_G.sum(1, keepdim=True) - reward_P_G) / (config.num_generations - 1)
    advantage_N = (reward_P_G - others_P_G).flatten()
    return -float(advantage_N[: tried.part].mean()), float(torch.cat(kls).mean())
