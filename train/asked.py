"""The prompts that a policy answers while it learns from a reward model. Pure."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.prompts import normalised
from storage.records import Pair, Prompt, Purpose, Split
from storage.words import many
from train.checks_pairs import usual_settings
from train.config import TrainConfig
from train.examples import prompt_ids_of
from train.preflight import Check, Light, check_of


class LeftOut(StrEnum):
    """Why a prompt is not answered."""

    HELD_OUT = "held_out_prompts"
    TEST = "test_prompts"
    SPELLED_LIKE_HELD_OUT = "prompts_spelled_like_held_out_ones"
    MEASURING = "prompts_of_gold_or_evaluation_pairs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt as the policy reads it."""

    prompt_id: str
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The prompts to answer and what was left out, by reason; together they are all prompts."""

    prompts: tuple[Prompt, ...]
    left_out: Counter[LeftOut]


def choose(prompts: Sequence[Prompt], pairs: Sequence[Pair]) -> Choice:
    """The training prompts, without those that anything is measured by.

    pairs: all that were formed, for whatever purpose.
    """
    measuring = {p.prompt_id for p in pairs if p.purpose in (Purpose.GOLD, Purpose.EVALUATION)}
    elsewhere = {normalised(p.messages) for p in prompts if p.split is not Split.TRAIN}
    chosen: list[Prompt] = []
    left_out: Counter[LeftOut] = Counter()
    for prompt in prompts:
        if prompt.split is Split.TEST:
            left_out[LeftOut.TEST] += 1
        elif prompt.split is Split.VALIDATION:
            left_out[LeftOut.HELD_OUT] += 1
        elif prompt.id in measuring:
            left_out[LeftOut.MEASURING] += 1
        elif normalised(prompt.messages) in elsewhere:
            left_out[LeftOut.SPELLED_LIKE_HELD_OUT] += 1
        else:
            chosen.append(prompt)
    return Choice(prompts=tuple(chosen), left_out=left_out)


def asked_of(prompts: Sequence[Prompt], tokenizer: Any) -> list[Asked]:
    """The prompts' ids, as the sampler's template renders them."""
    return [Asked(prompt_id=p.id, prompt_ids=tuple(prompt_ids_of(p, tokenizer))) for p in prompts]


def filled_up(asked: Sequence[Asked], config: TrainConfig) -> list[Asked]:
    """The same in the order of training, some of them once more, so that every step is whole.

    TRL leaves out what does not fill its last step, without a word. The order is one for all
    epochs: TRL's own begins anew where a run is resumed.
    """
    shuffled = list(asked)
    random.Random(config.seed).shuffle(shuffled)
    missing = -len(shuffled) % (config.batch_size // config.num_generations)
    return [*shuffled, *(shuffled[i % len(shuffled)] for i in range(missing))]


def checks_of(
    asked: Sequence[Asked],
    choice: Choice,
    config: TrainConfig,
    *,
    read: Mapping[str, Sequence[int]],
) -> list[Check]:
    """What can be wrong with the prompts and the settings. read: a prompt's ids when it was
    answered, by prompt.
    """
    filled = len(filled_up(asked, config))
    again = filled - len(asked)
    left = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in choice.left_out.items())
    room = config.max_length - config.max_completion_length
    long = [a.prompt_id for a in asked if len(a.prompt_ids) > room]
    other = [
        a.prompt_id for a in asked if tuple(read.get(a.prompt_id, a.prompt_ids)) != a.prompt_ids
    ]
    most = max(len(a.prompt_ids) for a in asked) + config.max_completion_length
    return [
        Check(
            name="method",
            light=Light.GREEN,
            count=len(asked),
            finding=f"{config.method.value} of {many(len(asked), 'prompt')}, {config.num_generations} "
            f"answers each; left out: {left or 'none'}. The votes' weights are the reward model's"
            + (f"; {again} asked once more, to fill the last step" if again else ""),
        ),
        check_of(
            "length",
            long,
            f"prompts and answers have up to {many(most, 'token')}; train.max_length is {config.max_length}",
            red=f"{many(len(long), 'prompt leaves', 'prompts leave')} no room for answers of "
            f"{many(config.max_completion_length, 'token')} in train.max_length = {config.max_length}",
            fix=f"Set train.max_length to {most} or more, or lower train.max_completion_length.",
        ),
        check_of(
            "chat template",
            other,
            "prompts read the same now as when the answers were sampled",
            red=f"{many(len(other), 'prompt reads', 'prompts read')} as other tokens now than when "
            "answered, and the reward model learned from those",
            fix="The model's chat template or tokenizer changed. Go back to the one that sampled, "
            "or sample and judge again.",
        ),
        usual_settings(config, rows=filled * config.num_generations),
    ]
