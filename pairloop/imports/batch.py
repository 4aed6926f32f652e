"""What is found, gathered into records and appended batch by batch, parents before children.

An id is looked up in the store once, when its batch is flushed: what is stored already is left
alone, so a second import of the same file appends nothing.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from generate.config import GenerateConfig
from generate.pairs import random_pairs
from pairloop.imports import encode
from pairloop.imports.found import Answer, Candidates, Reason, Vote
from storage.codec import TABLES, Record
from storage.codec import encode as arrow_table
from storage.imports import last_revisions, unknown_ids
from storage.records import (
    IMPORTED_ROUND,
    Judgment,
    Message,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Response,
    Side,
    Split,
    Strength,
    Verdict,
)
from storage.store import Store

IMPORTED_CANDIDATES = "imported candidates"
PARENTS_FIRST = (Prompt, Policy, Response, Pair, Presentation)
MAX_IDS = 10_000  # looked up in one query
TEST_PROMPT = "candidates of test prompts, which are for comparing policies only"


@dataclass(kw_only=True)
class Tally:
    """What became of everything found.

    stored: new rows by kind. identical: votes on equal answers of two models, which count for
    agreement and are never exported.
    """

    votes: int = 0
    candidates: int = 0
    changed_minds: int = 0
    duplicates: int = 0
    identical: int = 0
    already_there: int = 0
    stored: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class Batch:
    """Records waiting to be appended. `add_*` gathers, `flush` appends all but the judgments."""

    def __init__(self, store: Store, config: GenerateConfig, *, now: datetime) -> None:
        self.tally = Tally()
        self._store = store
        self._config = config
        self._shares = encode.Shares(validation=config.validation_share, test=config.test_share)
        self._now = now
        self._seen: dict[type, set[str]] = {kind: set() for kind in PARENTS_FIRST}
        self._waiting: dict[type, list[Record]] = {kind: [] for kind in PARENTS_FIRST}
        self._judgments: list[Judgment] = []
        self._kept: list[pa.Table] = []
        self._said: dict[tuple[str, str], tuple[Verdict, Strength | None, int]] = {}
        self._policies: dict[str, Policy] = {}

    def add_vote(self, vote: Vote, *, labeler: str, source: str) -> None:
        """Take in one vote and the pair it is about."""
        if vote.a == vote.b:
            self.tally.left_out[Reason.IDENTICAL] += 1
            return
        prompt = self._prompt(vote.messages, source=vote.source or source, tags=vote.tags)
        a, b = (self._response(answer, prompt) for answer in (vote.a, vote.b))
        pair = encode.pair_record(a, b, now=self._now)
        self._take(pair)
        a_is_first = pair.first == a.id
        self.tally.votes += 1
        self.tally.identical += vote.a.text == vote.b.text
        verdict = encode.verdict_of(vote.choice, a_is_first=a_is_first)
        last = self._said.get((pair.id, labeler))
        if last and last[:2] == (verdict, vote.strength):
            self.tally.duplicates += 1
            return
        self.tally.changed_minds += last is not None
        number = last[2] + 1 if last else 0
        self._said[pair.id, labeler] = (verdict, vote.strength, number)
        shown = None
        if vote.shown:
            side = Side.LEFT if a_is_first else Side.RIGHT
            shown = encode.presentation_record(
                pair, labeler, side, now=vote.created_at or self._now
            )
            self._take(shown)
        self._judgments.append(
            encode.judgment_record(
                vote,
                pair,
                labeler=labeler,
                a_is_first=a_is_first,
                number=number,
                shown=shown,
                now=self._now,
            )
        )

    def add_candidates(self, found: Candidates, *, source: str) -> None:
        """Take in answers nobody has compared, and form pairs of them for the labelers."""
        self.tally.candidates += 1
        prompt = self._prompt(found.messages, source=found.source or source, tags=found.tags)
        answers = {r.id: r for r in (self._response(a, prompt) for a in found.answers)}
        if prompt.split is Split.TEST:
            self.tally.left_out[TEST_PROMPT] += 1
            return
        formed = random_pairs(
            {prompt.id: list(answers.values())},
            pairs_per_prompt=self._config.pairs_per_prompt,
            near_duplicate=self._config.near_duplicate,
            seed=self._config.seed,
            number=IMPORTED_ROUND,
            now=self._now,
        )
        for drop, count in formed.drops.items():
            self.tally.left_out[f"candidates: {drop.replace('_', ' ')}"] += count
        for pair in formed.pairs:
            self._take(replace(pair, strategy=IMPORTED_CANDIDATES))

    def flush(self) -> None:
        """Append what is new of everything gathered; judgments wait for `finish`."""
        for kind in PARENTS_FIRST:
            waiting = self._waiting[kind]
            new = self._unknown(kind, [_id(row) for row in waiting])
            rows = [row for row in waiting if _id(row) in new]
            self._store.append(rows)
            self.tally.stored[kind.__name__.lower()] += len(rows)
            waiting.clear()
        self._keep_judgments()

    def finish(self) -> None:
        """Append every judgment in one statement: all of them or none."""
        self.flush()
        if self._kept:
            with self._store.connected() as connection:
                connection.append(TABLES[Judgment], pa.concat_tables(self._kept))
        self._kept.clear()

    def _keep_judgments(self) -> None:
        """Encode the new judgments; an Arrow row takes a fraction of a record's memory."""
        new = self._unknown(Judgment, [j.id for j in self._judgments])
        fresh = [j for j in self._judgments if j.id in new]
        self.tally.already_there += len(self._judgments) - len(fresh)
        self._judgments.clear()
        if not fresh:
            return
        before = last_revisions(self._store, [(j.pair_id, j.labeler) for j in fresh])
        # Votes of an earlier import on the same pair stay below these.
        placed = [
            replace(j, revision=j.revision + before.get((j.pair_id, j.labeler), -1) + 1)
            for j in fresh
        ]
        self.tally.stored["judgment"] += len(placed)
        self._kept.append(arrow_table(placed))

    def _unknown(self, kind: type[Record], ids: list[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(ids), MAX_IDS):
            found |= unknown_ids(self._store, kind, ids[start : start + MAX_IDS])
        return found

    def _take(self, row: Prompt | Policy | Response | Pair | Presentation) -> None:
        kind = type(row)
        if row.id not in self._seen[kind]:
            self._seen[kind].add(row.id)
            self._waiting[kind].append(row)

    def _prompt(
        self, messages: tuple[Message, ...], *, source: str, tags: tuple[str, ...]
    ) -> Prompt:
        prompt = encode.prompt_record(
            messages, source=source, tags=tags, shares=self._shares, now=self._now
        )
        self._take(prompt)
        return prompt

    def _response(self, answer: Answer, prompt: Prompt) -> Response:
        policy = self._policies.get(answer.model)
        if policy is None:
            policy = encode.policy_record(answer.model, now=self._now)
            self._policies[answer.model] = policy
            self._take(policy)
        response = encode.response_record(
            answer, prompt_id=prompt.id, policy_id=policy.id, now=self._now
        )
        self._take(response)
        return response


def _id(row: Record) -> str:
    assert isinstance(row, Prompt | Policy | Response | Pair | Presentation), "a record with an id"
    return row.id
