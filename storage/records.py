"""The vocabulary: one frozen record per row kind, and the closed sets they use.

Prompt -> Response -> Pair -> Judgment -> Consensus -> Triplet -> Run -> Policy of the next round.
First/second is the canonical order a pair is stored in; left/right is what one person saw.
All times are naive datetimes in UTC. Ids of prompts, responses, pairs, policies and triplets are
content hashes with a version tag ("p1:0f3a..."), so storing the same thing twice is a no-op.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Self, assert_never

IMPORTED_VOTES = "imported votes"
IMPORTED_LABELER = "imported:"  # what the names of those who voted elsewhere begin with
ADJUDICATED = "adjudicated"  # the method of a consensus that an adjudicator decided
IMPORTED_ROUND = -1  # of answers and pairs that no policy of this workspace gave


class Split(StrEnum):
    """Where a prompt may be used: one split for all rounds, by hash of its text."""

    TRAIN = "train"
    VALIDATION = "validation"  # labeled, never trained on: held-out preference accuracy
    TEST = "test"  # only for comparing policies


class Purpose(StrEnum):
    """Why people are shown a pair."""

    TRAIN = "train"
    EVALUATION = "evaluation"
    GOLD = "gold"
    REPEAT = "repeat"


class Verdict(StrEnum):
    """What a labeler said, in the pair's stored order."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    BOTH_BAD = "both_bad"
    SKIP = "skip"

    def swapped(self) -> "Verdict":
        match self:
            case Verdict.FIRST:
                return Verdict.SECOND
            case Verdict.SECOND:
                return Verdict.FIRST
            case Verdict.TIE | Verdict.BOTH_BAD | Verdict.SKIP:
                return self
            case _:
                assert_never(self)


class Strength(StrEnum):
    """How much better the preferred answer is."""

    SLIGHT = "slight"
    CLEAR = "clear"
    STRONG = "strong"


class Side(StrEnum):
    """Where on the screen the pair's first response stood."""

    LEFT = "left"
    RIGHT = "right"

    def swapped(self) -> "Side":
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Role(StrEnum):
    """What a person may do on the pages."""

    LABELER = "labeler"
    ADJUDICATOR = "adjudicator"
    ADMIN = "admin"


class LabelerKind(StrEnum):
    """Who gives the judgments."""

    HUMAN = "human"
    MODEL = "model"


class Tier(StrEnum):
    """How a preference was come by, the surest first; what people said is never mixed with a model's."""

    ADJUDICATED = "adjudicated"  # decided by an adjudicator who saw the votes and their reasons
    HUMAN_AGREED = "human_agreed"  # two or more people said so
    HUMAN_SINGLE = "human_single"  # one person said so
    JUDGE = "judge"  # only language models judged it
    IMPORTED = "imported"  # it came from elsewhere with its votes


class FinishReason(StrEnum):
    """Why sampling ended: the model's own end token, the token limit, or a stop string.

    An answer that a stop string ended has no end token, so a trainer must not take it for whole.
    """

    STOP = "stop"
    LENGTH = "length"
    STOP_STRING = "stop_string"


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def content_id(tag: str, content: object) -> str:
    """Hash canonical JSON (sorted keys, no spaces) and prefix the form's version tag.

    Lone surrogates are kept apart by escaping, so every str has an id.
    """
    text = _CANONICAL.encode(content)
    return f"{tag}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; role is system, user or assistant."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A conversation that ends with the user's turn and waits for an answer."""

    id: str
    messages: tuple[Message, ...]
    source: str
    split: Split
    tags: tuple[str, ...]
    created_at: datetime

    @staticmethod
    def id_of(messages: Sequence[Message]) -> str:
        return content_id("p1", [[m.role, m.content] for m in messages])


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A model answers are sampled from: a base model, and an adapter from round 1 on.

    Where somebody else's answers come from is a policy too: method "imported", round IMPORTED_ROUND.
    """

    id: str
    round: int
    base_model: str
    adapter: str | None  # path relative to the workspace
    adapter_hash: str | None  # sha256 of adapter_model.safetensors
    parent: str | None
    method: str  # "sft" for round 0, "imported" for others' answers, else the training method
    run_id: str | None
    created_at: datetime

    def __post_init__(self) -> None:
        if (self.round <= 0) != (self.parent is None):
            raise ValueError(
                f"round {self.round} with parent {self.parent!r}: only round 0 has none"
            )

    @staticmethod
    def id_of(*, base_model: str, adapter_hash: str | None, parent: str | None) -> str:
        return content_id("m1", [base_model, adapter_hash, parent])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The settings of one request; seeds are distinct per (prompt, temperature, index).

    top_k: this many of the likeliest tokens, 0 for all. min_p: tokens at least this share as likely
    as the likeliest. stop: strings that end an answer and are left out of its text.
    """

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    index: int
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One sampled answer, with the very token ids the policy read and wrote.

    Token ids, log-probabilities and hashes are None where nobody reported them: an imported answer,
    or one from a server that tells only text.
    logprobs: of each of token_ids, in nats, under the untempered and untruncated policy, as float32.
    logprob_sum: their sum.
    template_hash: sha256 of the chat template, "" where a server rendered the prompt.
    policy_hash: sha256 over the base model's weights and the adapter's (generate/weights.py).
    """

    id: str
    prompt_id: str
    policy_id: str
    text: str
    prompt_token_ids: tuple[int, ...] | None
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None = None
    logprob_sum: float | None
    finish_reason: FinishReason
    temperature: float
    top_p: float
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    max_tokens: int
    seed: int
    sample_index: int
    engine: str
    template_hash: str
    policy_hash: str | None = None
    run_id: str
    created_at: datetime

    @staticmethod
    def id_of(*, prompt_id: str, policy_id: str, sampling: Sampling) -> str:
        """Tag r1 covers what r1 knew; r2 is for answers whose settings also truncate or stop."""
        s = sampling
        content = [prompt_id, policy_id, s.temperature, s.top_p, s.max_tokens, s.seed, s.index]
        if (s.top_k, s.min_p, s.stop) == (0, 0.0, ()):
            return content_id("r1", content)
        return content_id("r2", [*content, s.top_k, s.min_p, list(s.stop)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one prompt, in canonical order: first id < second id.

    Pairs that came with their votes keep the order of their source, so that figures published
    about them, some of which depend on it, come out again.
    """

    id: str
    prompt_id: str
    first: str
    second: str
    purpose: Purpose
    strategy: str  # why it was formed; IMPORTED_VOTES for one that came with its votes
    round: int
    created_at: datetime

    def __post_init__(self) -> None:
        ordered = self.first < self.second or self.strategy == IMPORTED_VOTES
        if not ordered or self.first == self.second:
            raise ValueError("a pair holds two different responses in ascending order of id")

    @staticmethod
    def id_of(*, first: str, second: str, purpose: Purpose) -> str:
        return content_id("c1", [*sorted([first, second]), purpose.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """That one labeler was shown one pair, and which side the first response was on."""

    id: str
    pair_id: str
    labeler: str
    first_side: Side
    guideline: str  # content id of the guideline text shown, "" if none
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """What one labeler said about one pair, in stored order.

    Append-only: a changed mind is a row with a higher revision; an undo is one with
    withdrawn=True. The highest revision per (pair, labeler) counts. id is the client's
    idempotency key, so a retried request stores nothing new.
    """

    id: str
    pair_id: str
    labeler: str
    presentation_id: str
    revision: int
    verdict: Verdict
    strength: Strength | None
    withdrawn: bool
    criteria: Mapping[str, str] = field(default_factory=dict)
    rationale: str = ""
    edited_text: str = ""
    flags: tuple[str, ...] = ()
    guideline: str = ""  # content id of the guidelines the labeler had, "" if none
    seconds: float  # from the pair being readable to the decision
    created_at: datetime

    def __post_init__(self) -> None:
        decisive = self.verdict in (Verdict.FIRST, Verdict.SECOND)
        if self.strength is not None and not decisive:
            raise ValueError(f"strength goes with a preference, not with {self.verdict}")
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"seconds must be finite and not negative, got {self.seconds}")

    def swapped(self) -> Self:
        return replace(self, verdict=self.verdict.swapped())


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeler:
    """A person or model that judges; the highest revision per name counts."""

    name: str
    revision: int
    role: Role
    kind: LabelerKind
    password_hash: str  # "" = can't sign in with a password
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in. token_hash is sha256 of the cookie; a later row with revoked=True ends it."""

    token_hash: str
    labeler: str
    revoked: bool
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What a pair's judgments add up to.

    verdict: None while unsettled, and where an adjudicator found that it cannot be decided.
    probability_first: estimated probability that the first response is the better one, in [0, 1].
    votes: effective judgments counted (skips and withdrawn ones are not).
    events: judgment rows seen, counting changes: the highest per pair is the present.
    """

    pair_id: str
    verdict: Verdict | None
    probability_first: float
    votes: int
    first_votes: int
    second_votes: int
    tie_votes: int
    both_bad_votes: int
    method: str
    settled: bool
    reason: str  # why (not) settled
    closed: bool  # no further vote is wanted, settled or not
    events: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """One training example: prompt, chosen, rejected, with where it came from.

    weight: what it should count for beside others, in (0, 1].
    """

    id: str
    run_id: str
    pair_id: str
    prompt_id: str
    chosen: str
    rejected: str
    split: Split
    weight: float
    probability: float  # that chosen is the better one
    agreement: float  # share of the votes that said so
    votes: int
    tier: Tier
    round: int
    created_at: datetime

    @staticmethod
    def id_of(*, run_id: str, pair_id: str) -> str:
        return content_id("t1", [run_id, pair_id])
