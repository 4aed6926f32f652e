"""Triplets as the rows TRL and the export read: conversations with explicit prompt.

{"prompt": [{"role": "user", "content": "What is tea?"}],
 "chosen": [{"role": "assistant", "content": "..."}], "rejected": [...], "pair_id": "c1:..."}
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from storage.prompts import portions, prompts_by_id
from storage.records import IMPORTED_ROUND, Prompt, Response, Triplet
from storage.responses import responses_by_id
from storage.store import Store
from train.triplets import Unpaired

T = TypeVar("T")
Row = dict[str, object]

PORTION = 2048  # pairs whose texts and tokens an export holds at once

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
IDS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("prompt", TURNS),
        ("chosen", TURNS),
        ("rejected", TURNS),
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("chosen_id", pa.string()),
        ("rejected_id", pa.string()),
        ("votes", pa.int64()),
        ("agreement", pa.float64()),
        ("probability", pa.float64()),
        ("weight", pa.float64()),
        ("tier", pa.string()),
        ("round", pa.int64()),
        ("origin", pa.string()),
        ("policy_id", pa.string()),
        ("rejected_policy_id", pa.string()),
        ("chosen_temperature", pa.float64()),
        ("rejected_temperature", pa.float64()),
        ("source", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("prompt_ids", IDS),
        ("chosen_ids", IDS),
        ("rejected_ids", IDS),
        ("chosen_logprob_sum", pa.float64()),
        ("rejected_logprob_sum", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What a set of triplets refers to, by id."""

    prompts: Mapping[str, Prompt]
    responses: Mapping[str, Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one split, made when they are asked for, a portion at a time, and only once."""

    rows: int
    portions: Iterator[list[Row]]


def in_portions(items: Sequence[T], *, each: int = 1) -> Iterator[Sequence[T]]:
    """The same items, as many at a time as an export holds. each: how many pairs an item has."""
    return portions(items, max(1, PORTION // each))


def texts_by_id(
    store: Store, prompts: Iterable[str], responses: Iterable[str], *, tokens: bool = True
) -> Texts:
    """Fetch these prompts and responses. tokens: with the ids of their tokens."""
    with store.connected():
        return Texts(
            prompts=prompts_by_id(store, list(prompts)),
            responses=responses_by_id(store, list(responses), tokens=tokens),
        )


def texts_of(store: Store, triplets: Sequence[Triplet], unpaired: Sequence[Unpaired] = ()) -> Texts:
    """Fetch prompts and responses of the triplets, and of answers alike."""
    paired = [r for t in triplets for r in (t.chosen, t.rejected)]
    return texts_by_id(
        store,
        [*(t.prompt_id for t in triplets), *(u.prompt_id for u in unpaired)],
        [*paired, *(r for u in unpaired for r in u.answers)],
    )


def training_row(triplet: Triplet, texts: Texts) -> Row:
    """One row for the trainer: the conversation and where it came from."""
    return {
        "prompt": [m.as_dict() for m in texts.prompts[triplet.prompt_id].messages],
        "chosen": answer(texts.responses[triplet.chosen]),
        "rejected": answer(texts.responses[triplet.rejected]),
        "pair_id": triplet.pair_id,
    }


def export_row(triplet: Triplet, texts: Texts) -> Row:
    """One row for other people: also votes, agreement, lineage and token ids.

    Flat. Where the exact ids are not known of both answers, they are empty and the
    log-probabilities missing; nothing else ever is.
    """
    chosen, rejected = texts.responses[triplet.chosen], texts.responses[triplet.rejected]
    return training_row(triplet, texts) | {
        "prompt_id": triplet.prompt_id,
        "chosen_id": chosen.id,
        "rejected_id": rejected.id,
        "votes": triplet.votes,
        "agreement": triplet.agreement,
        "probability": triplet.probability,
        "weight": triplet.weight,
        "tier": triplet.tier.value,
        "round": triplet.round,
        "origin": "imported" if triplet.round == IMPORTED_ROUND else "sampled",
        "policy_id": chosen.policy_id,
        "rejected_policy_id": rejected.policy_id,
        "chosen_temperature": chosen.temperature,
        "rejected_temperature": rejected.temperature,
        "source": texts.prompts[triplet.prompt_id].source,
        "tags": list(texts.prompts[triplet.prompt_id].tags),
        **_tokens(chosen, rejected),
    }


def _tokens(chosen: Response, rejected: Response) -> Row:
    """What the policy read and wrote, token by token, where both answers follow the same ids."""
    same = chosen.prompt_token_ids == rejected.prompt_token_ids
    known = same and chosen.prompt_token_ids and chosen.token_ids and rejected.token_ids
    return {
        "prompt_ids": list(chosen.prompt_token_ids or ()) if known else [],
        "chosen_ids": list(chosen.token_ids or ()) if known else [],
        "rejected_ids": list(rejected.token_ids or ()) if known else [],
        "chosen_logprob_sum": chosen.logprob_sum if known else None,
        "rejected_logprob_sum": rejected.logprob_sum if known else None,
    }


def answer(response: Response) -> list[dict[str, str]]:
    """A response as the end of a conversation."""
    return [{"role": "assistant", "content": response.text}]
