"""Triplets as token ids: exactly what the policy read and wrote, never a text read anew.

A text put through the template again gives other ids than were sampled: tokens merge at the
boundary, an end token is doubled or lost, the template's tail is trained. Where an answer came
without ids (imported, or from a server that tells none) its text is put through the template
once, and what the template adds after the end token is cut.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from storage.records import Prompt, Response, Triplet
from train.rows import Texts
from train.triplets import Unpaired


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One pair to train on.

    weight: relative to the other pairs; probability: that the chosen answer is the better one.
    sampled: the sampler's log-probabilities (nats) of both answers under the policy they were
    sampled from, and that policy's id; None where they are not known or of two policies.
    margin: how far a reward model should set them apart. edited: whether a person wrote the chosen
    answer from one of the pair's. even: whether people called it a tie, so neither was chosen.
    """

    pair_id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    weight: float = 1.0
    probability: float = 1.0
    sampled: tuple[str, float, float] | None = None
    margin: float = 0.0
    edited: bool = False
    even: bool = False

    @property
    def length(self) -> int:
        """Tokens of the longer of the two conversations."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    def sequences(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Prompt and chosen, prompt and rejected."""
        return self.prompt_ids + self.chosen_ids, self.prompt_ids + self.rejected_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One answer by itself, and whether it is wanted. weight: relative to the other answers."""

    pair_id: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    desirable: bool
    weight: float = 1.0

    @property
    def length(self) -> int:
        """Tokens of the conversation."""
        return len(self.prompt_ids) + len(self.answer_ids)


def examples_of(triplets: Sequence[Triplet], texts: Texts, tokenizer: Any) -> list[Example]:
    """The triplets in their order, with their weights and probabilities."""
    return [_example(t, texts, tokenizer) for t in triplets]


def _example(triplet: Triplet, texts: Texts, tokenizer: Any) -> Example:
    prompt = texts.prompts[triplet.prompt_id]
    chosen, rejected = texts.responses[triplet.chosen], texts.responses[triplet.rejected]
    prompt_ids = chosen.prompt_token_ids
    same = prompt_ids == rejected.prompt_token_ids
    if chosen.token_ids and rejected.token_ids and prompt_ids and same:
        answers = chosen.token_ids, rejected.token_ids
        sampled = _sampled(chosen, rejected)
    else:
        sampled = None  # those log-probabilities are of other token ids than these
        prompt_ids = tuple(prompt_ids_of(prompt, tokenizer))
        answers = (
            tuple(answer_ids(prompt, chosen.text, tokenizer)),
            tuple(answer_ids(prompt, rejected.text, tokenizer)),
        )
    return Example(
        pair_id=triplet.pair_id,
        prompt_ids=prompt_ids,
        chosen_ids=answers[0],
        rejected_ids=answers[1],
        weight=triplet.weight,
        probability=triplet.probability,
        sampled=sampled,
    )


def edited_examples(
    triplets: Sequence[Triplet],
    examples: Sequence[Example],
    edits: Mapping[str, str],
    texts: Texts,
    tokenizer: Any,
) -> list[Example]:
    """Edited over chosen and edited over rejected, of the pairs whose winner was edited.

    examples: of the triplets, in their order. edits: the winner's edited text by pair.
    """
    found = []
    for t, e in zip(triplets, examples, strict=True):
        if t.pair_id not in edits:
            continue
        text = edits[t.pair_id]
        ids = tuple(answer_ids(texts.prompts[t.prompt_id], text, tokenizer))
        better = replace(e, chosen_ids=ids, sampled=None, edited=True)
        found += [replace(better, rejected_ids=e.chosen_ids), better]
    return [e for e in found if e.chosen_ids != e.rejected_ids]


def singles_of(unpaired: Sequence[Unpaired], texts: Texts, tokenizer: Any) -> list[Single]:
    """Both answers of each pair, by themselves."""
    found = []
    for pair in unpaired:
        prompt = texts.prompts[pair.prompt_id]
        for answer in (texts.responses[r] for r in pair.answers):
            known = answer.prompt_token_ids and answer.token_ids
            found.append(
                Single(
                    pair_id=pair.pair_id,
                    prompt_ids=tuple(
                        (answer.prompt_token_ids if known else None)
                        or prompt_ids_of(prompt, tokenizer)
                    ),
                    answer_ids=tuple(
                        (answer.token_ids if known else None)
                        or answer_ids(prompt, answer.text, tokenizer)
                    ),
                    desirable=pair.desirable,
                )
            )
    return found


def relative_weights(weighed: Sequence[Example | Single]) -> list[float]:
    """The weights, scaled to a mean of 1: so that they do not change the learning rate."""
    mean = sum(w.weight for w in weighed) / len(weighed)
    return [w.weight / mean for w in weighed]


def _sampled(chosen: Response, rejected: Response) -> tuple[str, float, float] | None:
    if chosen.policy_id != rejected.policy_id:
        return None
    if chosen.logprob_sum is None or rejected.logprob_sum is None:
        return None
    return chosen.policy_id, chosen.logprob_sum, rejected.logprob_sum


def prompt_ids_of(prompt: Prompt, tokenizer: Any) -> list[int]:
    """The prompt as the policy's template renders it, up to where the answer begins."""
    turns = [m.as_dict() for m in prompt.messages]
    encoded = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])


def answer_ids(prompt: Prompt, text: str, tokenizer: Any) -> list[int]:
    """An answer's ids after the prompt's, with its end token and without the template's tail."""
    turns = [m.as_dict() for m in prompt.messages]
    whole = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": text}], return_dict=True
    )["input_ids"]
    start = len(prompt_ids_of(prompt, tokenizer))
    ids = list(whole[start:])
    ends = end_ids(tokenizer)
    last = max((i for i, token in enumerate(ids) if token in ends), default=len(ids) - 1)
    return ids[: last + 1]


def end_ids(tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    return frozenset(i for i in [tokenizer.eos_token_id] if i is not None)


def ids_hash(ids: Sequence[int]) -> str:
    """A name for a sequence of ids, for caches."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:32]
