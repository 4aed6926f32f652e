"""What was found becomes rows. Pure: no store, no clock; the same file gives the same ids.

Nobody here sampled an imported answer, so most of its fields say nothing: no token ids, no
log-probability, temperature 0, seed 0. Two answers of one model to one prompt still need two ids;
the sampling index tells them apart and is taken from a hash of the text, so that the same text has
the same id in every file and on every run.

Of what there is much of, a row holds only the columns that differ: a record of every column takes
longer to make than all the rest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

from generate.prompts import split_of
from pairloop.imports.found import Answer, Choice, Vote
from storage.codec import Record
from storage.records import (
    IMPORTED_LABELER,
    IMPORTED_ROUND,
    IMPORTED_VOTES,
    FinishReason,
    Judgment,
    Labeler,
    LabelerKind,
    Message,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Purpose,
    Response,
    Role,
    Sampling,
    Side,
    Split,
    Strength,
    Verdict,
)

METHOD = "imported"
ENGINE = "import"
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False)  # as storage.codec writes its texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How prompts are split, as for every other prompt of the workspace."""

    validation: float
    test: float


class PromptRow(NamedTuple):
    """The columns in which imported prompts differ."""

    id: str
    messages: str
    source: str
    split: Split
    tags: tuple[str, ...]


class ResponseRow(NamedTuple):
    """The columns in which imported answers differ."""

    id: str
    prompt_id: str
    policy_id: str
    text: str
    sample_index: int


class PairRow(NamedTuple):
    """The columns in which imported pairs differ."""

    id: str
    prompt_id: str
    first: str
    second: str
    strategy: str


class PresentationRow(NamedTuple):
    """The columns in which imported showings differ."""

    id: str
    pair_id: str
    labeler: str
    first_side: Side
    created_at: datetime


class JudgmentRow(NamedTuple):
    """The columns in which imported judgments differ."""

    id: str
    pair_id: str
    labeler: str
    presentation_id: str
    revision: int
    verdict: Verdict
    strength: Strength | None
    criteria: str
    rationale: str
    seconds: float
    created_at: datetime


def _row_id(tag: str, *parts: str) -> str:
    """A content id of a few names: as unique as content_id, and ten times faster."""
    return f"{tag}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def labeler_name(dataset: str, annotator: str) -> str:
    """Person 7 of one data set is nobody of another."""
    return f"{IMPORTED_LABELER}{dataset}:{annotator}"


def labeler_record(name: str, kind: LabelerKind, *, now: datetime) -> Labeler:
    """Somebody who judged elsewhere: shown in statistics, never able to sign in."""
    return Labeler(
        name=name,
        revision=0,
        role=Role.LABELER,
        kind=kind,
        password_hash="",
        active=False,
        created_at=now,
    )


def prompt_row(
    messages: tuple[Message, ...], *, source: str, tags: tuple[str, ...], shares: Shares
) -> PromptRow:
    """The prompt, in the split its text has everywhere."""
    split = split_of(messages, validation_share=shares.validation, test_share=shares.test)
    turns = _JSON.encode([m.as_dict() for m in messages])
    return PromptRow(Prompt.id_of(messages), turns, source, split, tags)


def prompt_record(
    messages: tuple[Message, ...],
    *,
    source: str,
    tags: tuple[str, ...],
    shares: Shares,
    now: datetime,
) -> Prompt:
    """The whole record of an imported prompt."""
    row = prompt_row(messages, source=source, tags=tags, shares=shares)
    return Prompt(
        id=row.id, messages=messages, source=source, split=row.split, tags=tags, created_at=now
    )


def policy_record(model: str, *, now: datetime) -> Policy:
    """Where a model's imported answers come from.

    The id differs from that of a policy of this workspace on the same base model: its own answers are
    on-policy, imported ones are not.
    """
    return Policy(
        id=Policy.id_of(base_model=model, adapter_hash=METHOD, parent=None),
        round=IMPORTED_ROUND,
        base_model=model,
        adapter=None,
        adapter_hash=None,
        parent=None,
        method=METHOD,
        run_id=None,
        created_at=now,
    )


def response_row(answer: Answer, *, prompt_id: str, policy_id: str) -> ResponseRow:
    """One imported answer; see the module's docstring for its id."""
    index = int.from_bytes(hashlib.sha256(answer.text.encode()).digest()[:8]) >> 1
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=0, seed=0, index=index)
    response_id = Response.id_of(prompt_id=prompt_id, policy_id=policy_id, sampling=sampling)
    return ResponseRow(response_id, prompt_id, policy_id, answer.text, index)


def response_record(row: ResponseRow, *, now: datetime) -> Response:
    """The whole record of an imported answer."""
    return Response(
        id=row.id,
        prompt_id=row.prompt_id,
        policy_id=row.policy_id,
        text=row.text,
        prompt_token_ids=None,
        token_ids=None,
        logprob_sum=None,
        finish_reason=FinishReason.STOP,
        temperature=0.0,
        top_p=1.0,
        max_tokens=0,
        seed=0,
        sample_index=row.sample_index,
        engine=ENGINE,
        template_hash="",
        run_id="",
        created_at=now,
    )


def verdict_of(choice: Choice, *, a_is_first: bool) -> Verdict:
    """The choice in stored order."""
    match choice:
        case Choice.A:
            return Verdict.FIRST if a_is_first else Verdict.SECOND
        case Choice.B:
            return Verdict.SECOND if a_is_first else Verdict.FIRST
        case Choice.TIE:
            return Verdict.TIE
        case Choice.BOTH_BAD:
            return Verdict.BOTH_BAD
        case _:
            assert_never(choice)


def criteria_of(vote: Vote, *, a_is_first: bool) -> str:
    """The answers to further questions in stored order, as JSON text."""
    if not vote.criteria:
        return "{}"
    sides = {"a": "first", "b": "second"} if a_is_first else {"a": "second", "b": "first"}
    stored = {name: sides.get(better, better) for name, better in vote.criteria.items()}
    return _JSON.encode(stored)


def presentation_row(pair_id: str, labeler: str, side: Side, *, now: datetime) -> PresentationRow:
    """That the pair was shown with its first response on this side."""
    row_id = _row_id("s1", METHOD, pair_id, labeler, side)
    return PresentationRow(row_id, pair_id, labeler, side, now)


def judgment_row(
    vote: Vote,
    pair_id: str,
    *,
    labeler: str,
    verdict: Verdict,
    a_is_first: bool,
    number: int,
    presentation_id: str,
    now: datetime,
) -> JudgmentRow:
    """The vote; number counts the different things this labeler said about this pair in the import.

    Its id covers who, what and number, so the same file again gives the same rows.
    """
    strength = vote.strength if verdict in (Verdict.FIRST, Verdict.SECOND) else None
    return JudgmentRow(
        _row_id("i1", pair_id, labeler, str(number), verdict, strength or ""),
        pair_id,
        labeler,
        presentation_id,
        number,
        verdict,
        strength,
        criteria_of(vote, a_is_first=a_is_first),
        vote.rationale,
        vote.seconds,
        vote.created_at or now,
    )


def templates(now: datetime) -> Mapping[type[Record], Record]:
    """By kind, a record with the columns that every imported row of it has the same."""
    return {
        Prompt: Prompt(
            id="",
            messages=(Message(role="user", content="-"),),
            source="",
            split=Split.TRAIN,
            tags=(),
            created_at=now,
        ),
        Response: response_record(ResponseRow("", "", "", "", 0), now=now),
        Pair: Pair(
            id="",
            prompt_id="",
            first="",
            second="-",
            purpose=Purpose.TRAIN,
            strategy=IMPORTED_VOTES,
            round=IMPORTED_ROUND,
            created_at=now,
        ),
        Presentation: Presentation(
            id="", pair_id="", labeler="", first_side=Side.LEFT, guideline="", created_at=now
        ),
        Judgment: Judgment(
            id="",
            pair_id="",
            labeler="",
            presentation_id="",
            revision=0,
            verdict=Verdict.TIE,
            strength=None,
            withdrawn=False,
            seconds=0.0,
            created_at=now,
        ),
    }
