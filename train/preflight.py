"""What a check before training says, and everything the checks look at.

Each check is a pure function of the data: a light, how many pairs it is about, some of their ids,
what was found and what to do. A red one stops the run; amber ones are told and kept in run.json.
All of them, in order: train/check.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from storage.records import Prompt, Response, Triplet
from train.config import TrainConfig
from train.examples import Example, Single
from train.rows import Texts

EXAMPLES = 5  # ids told with each check


class Light(StrEnum):
    """Green: nothing to do. Amber: read it. Red: training would not do what it says."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table. count: of pairs (or votes, prompts) the finding is about."""

    name: str
    light: Light
    count: int
    finding: str
    fix: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Everything the checks look at; train and heldout are in the order of their triplets."""

    triplets: Sequence[Triplet]
    held: Sequence[Triplet]
    train: Sequence[Example]
    heldout: Sequence[Example]
    texts: Texts
    votes: pa.Table  # storage.judgments.votes of people
    tokenizer: Any
    config: TrainConfig
    extra: Sequence[Example] = ()  # edited answers over the pair's own, and ties
    singles: Sequence[Single] = ()  # answers of ties and both-bad pairs

    def pairs(self) -> Iterator[tuple[Triplet, Example, Response, Response]]:
        """The training pairs with their responses."""
        for t, e in zip(self.triplets, self.train, strict=True):
            yield t, e, self.texts.responses[t.chosen], self.texts.responses[t.rejected]

    def prompt(self, triplet: Triplet) -> Prompt:
        return self.texts.prompts[triplet.prompt_id]


def check_of(
    name: str,
    ids: Sequence[str],
    finding: str,
    *,
    fix: str,
    red: str = "",
    amber: str = "",
) -> Check:
    """Green unless there are ids."""
    if not ids:
        return Check(name=name, light=Light.GREEN, count=0, finding=finding)
    return Check(
        name=name,
        light=Light.RED if red else Light.AMBER,
        count=len(ids),
        finding=red or amber,
        fix=fix,
        examples=tuple(ids[:EXAMPLES]),
    )
