"""What was found becomes records. Pure: no store, no clock; the same file gives the same ids.

Nobody here sampled an imported answer, so most of its fields say nothing: no token ids, no
log-probability, temperature 0, seed 0. Two answers of one model to one prompt still need two ids;
the sampling index tells them apart and is taken from a hash of the text, so that the same text has
the same id in every file and on every run.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from generate.pairs import make_pair
from generate.prompts import split_of
from pairloop.imports.found import Answer, Choice, Vote
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
    Verdict,
)

METHOD = "imported"
ENGINE = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How prompts are split, as for every other prompt of the workspace."""

    validation: float
    test: float


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


def prompt_record(
    messages: tuple[Message, ...],
    *,
    source: str,
    tags: tuple[str, ...],
    shares: Shares,
    now: datetime,
) -> Prompt:
    """The prompt, in the split its text has everywhere."""
    return Prompt(
        id=Prompt.id_of(messages),
        messages=messages,
        source=source,
        split=split_of(messages, validation_share=shares.validation, test_share=shares.test),
        tags=tags,
        created_at=now,
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


def response_record(answer: Answer, *, prompt_id: str, policy_id: str, now: datetime) -> Response:
    """One imported answer; see the module's docstring for its id."""
    index = int.from_bytes(hashlib.sha256(answer.text.encode()).digest()[:8]) >> 1
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=0, seed=0, index=index)
    return Response(
        id=Response.id_of(prompt_id=prompt_id, policy_id=policy_id, sampling=sampling),
        prompt_id=prompt_id,
        policy_id=policy_id,
        text=answer.text,
        prompt_token_ids=None,
        token_ids=None,
        logprob_sum=None,
        finish_reason=FinishReason.STOP,
        temperature=0.0,
        top_p=1.0,
        max_tokens=0,
        seed=0,
        sample_index=index,
        engine=ENGINE,
        template_hash="",
        run_id="",
        created_at=now,
    )


def pair_record(a: Response, b: Response, *, first: str, now: datetime) -> Pair:
    """A pair that came with its votes; first: the response that is to be its first."""
    pair = make_pair(
        a, b, purpose=Purpose.TRAIN, strategy=IMPORTED_VOTES, number=IMPORTED_ROUND, now=now
    )
    return pair if pair.first == first else replace(pair, first=pair.second, second=pair.first)


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


def criteria_of(vote: Vote, *, a_is_first: bool) -> Mapping[str, str]:
    """The answers to further questions in stored order."""
    sides = {"a": "first", "b": "second"} if a_is_first else {"a": "second", "b": "first"}
    return {name: sides.get(better, better) for name, better in vote.criteria.items()}


def presentation_record(pair: Pair, labeler: str, side: Side, *, now: datetime) -> Presentation:
    """That the pair was shown with its first response on this side."""
    return Presentation(
        id=_row_id("s1", METHOD, pair.id, labeler, side.value),
        pair_id=pair.id,
        labeler=labeler,
        first_side=side,
        guideline="",
        created_at=now,
    )


def judgment_record(
    vote: Vote,
    pair: Pair,
    *,
    labeler: str,
    a_is_first: bool,
    number: int,
    shown: Presentation | None,
    now: datetime,
) -> Judgment:
    """The vote; number counts the different things this labeler said about this pair in the import.

    Its id covers who, what and number, so the same file again gives the same rows.
    """
    verdict = verdict_of(vote.choice, a_is_first=a_is_first)
    strength = vote.strength if verdict in (Verdict.FIRST, Verdict.SECOND) else None
    return Judgment(
        id=_row_id("i1", pair.id, labeler, str(number), verdict.value, strength or ""),
        pair_id=pair.id,
        labeler=labeler,
        presentation_id=shown.id if shown else "",
        revision=number,
        verdict=verdict,
        strength=strength,
        withdrawn=False,
        criteria=criteria_of(vote, a_is_first=a_is_first),
        rationale=vote.rationale,
        seconds=vote.seconds,
        created_at=vote.created_at or now,
    )
