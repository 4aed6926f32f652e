"""What is found becomes rows, each once: prompts, policies, answers, pairs, showings, judgments.

No store in here: the same files give the same rows. Texts are kept for one batch only; of what
came before, the ids are.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from generate.config import GenerateConfig
from generate.pair_stage import filters_of
from generate.pairs import form_pairs
from pairloop.imports import encode
from pairloop.imports.found import Answer, Candidates, Reason, Vote
from pairloop.imports.spool import Spool, rows_like
from storage.codec import encode as arrow_table
from storage.records import (
    IMPORTED_ROUND,
    Judgment,
    Message,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Purpose,
    Response,
    Side,
    Split,
    Strength,
    Verdict,
)

IMPORTED_CANDIDATES = "imported candidates"
TEST_PROMPT = "candidates of test prompts, which are for comparing policies only"
BATCH_ROWS = 5000  # answers: some 20 MB of ordinary ones
VARYING = {
    Response: ("id", "prompt_id", "policy_id", "text", "sample_index"),
    Pair: ("id", "prompt_id", "first", "second", "strategy"),
    Presentation: ("id", "pair_id", "labeler", "first_side", "created_at"),
}


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

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; dataclasses.asdict makes nonsense of a Counter."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: dict(v) if isinstance(v, Counter) else v for n, v in values.items()}


class Gatherer:
    """Rows on their way into the spool."""

    def __init__(
        self, spool: Spool, config: GenerateConfig, *, firsts: dict[str, str], now: datetime
    ) -> None:
        """firsts: the first response of each pair that was imported before."""
        self.tally = Tally()
        self._spool = spool
        self._config = config
        self._shares = encode.Shares(validation=config.validation_share, test=config.test_share)
        self._now = now
        self._seen: set[str] = set()  # ids of every kind; their tags keep them apart
        self._rows: dict[type, list[Prompt | Policy | Response | Pair | Presentation]] = (
            defaultdict(list)
        )
        self._judgments: list[Judgment] = []
        self._said: dict[tuple[str, str], tuple[Verdict, Strength | None, int]] = {}
        self._policies: dict[str, Policy] = {}
        self._prompts: dict[tuple[Message, ...], Prompt] = {}
        self._responses: dict[tuple[str, Answer], Response] = {}
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._firsts = firsts

    def add_vote(self, vote: Vote, *, labeler: str, source: str) -> None:
        """Take in one vote and the pair it is about."""
        if vote.a == vote.b:
            self.tally.left_out[Reason.IDENTICAL] += 1
            return
        self.tally.votes += 1
        self.tally.identical += vote.a.text == vote.b.text
        prompt = self._prompt(vote.messages, source=vote.source or source, tags=vote.tags)
        a, b = self._response(vote.a, prompt), self._response(vote.b, prompt)
        pair = self._pair(a, b, as_shown=vote.shown)
        a_is_first = pair.first == a.id
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
        if len(self._judgments) >= BATCH_ROWS:
            self.flush()

    def add_candidates(self, found: Candidates, *, source: str) -> None:
        """Take in answers nobody has compared, and form pairs of them for the labelers."""
        self.tally.candidates += 1
        prompt = self._prompt(found.messages, source=found.source or source, tags=found.tags)
        answers = {r.id: r for r in (self._response(a, prompt) for a in found.answers)}
        if prompt.split is Split.TEST:
            self.tally.left_out[TEST_PROMPT] += 1
            return
        formed = form_pairs(
            {prompt.id: list(answers.values())},
            pairs_per_prompt=self._config.pairs_per_prompt,
            filters=filters_of(self._config),
            seed=self._config.seed,
            number=IMPORTED_ROUND,
            now=self._now,
        )
        for drop, count in formed.drops.items():
            self.tally.left_out[f"candidates: {drop.replace('_', ' ')}"] += count
        for pair in formed.pairs:
            self._take(replace(pair, strategy=IMPORTED_CANDIDATES))
        if len(self._rows[Response]) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered to the spool and forget the texts."""
        for kind, rows in self._rows.items():
            if rows and kind in VARYING:
                columns = {name: [getattr(row, name) for row in rows] for name in VARYING[kind]}
                self._spool.write(kind, rows_like(rows[0], columns))
            elif rows:
                self._spool.write(kind, arrow_table(rows))
        if self._judgments:
            self._spool.write(Judgment, arrow_table(self._judgments))
        self._rows.clear()
        self._judgments.clear()
        self._prompts.clear()
        self._responses.clear()
        self._pairs.clear()

    def _take(self, row: Prompt | Policy | Response | Pair | Presentation) -> None:
        if row.id not in self._seen:
            self._seen.add(row.id)
            self._rows[type(row)].append(row)

    def _prompt(
        self, messages: tuple[Message, ...], *, source: str, tags: tuple[str, ...]
    ) -> Prompt:
        prompt = self._prompts.get(messages)
        if prompt is None:
            prompt = encode.prompt_record(
                messages, source=source, tags=tags, shares=self._shares, now=self._now
            )
            self._prompts[messages] = prompt
            self._take(prompt)
        return prompt

    def _response(self, answer: Answer, prompt: Prompt) -> Response:
        response = self._responses.get((prompt.id, answer))
        if response is None:
            policy = self._policies.get(answer.model)
            if policy is None:
                policy = encode.policy_record(answer.model, now=self._now)
                self._policies[answer.model] = policy
                self._take(policy)
            response = encode.response_record(
                answer, prompt_id=prompt.id, policy_id=policy.id, now=self._now
            )
            self._responses[prompt.id, answer] = response
            self._take(response)
        return response

    def _pair(self, a: Response, b: Response, *, as_shown: bool) -> Pair:
        """The pair; in the order it was first met in where that was the order people saw.

        A file whose second answer is always the rejected one has no such order: there ids decide.
        """
        pair = self._pairs.get((a.id, b.id))
        if pair is None:
            pair_id = Pair.id_of(first=a.id, second=b.id, purpose=Purpose.TRAIN)
            first = self._firsts.setdefault(pair_id, a.id if as_shown else min(a.id, b.id))
            pair = encode.pair_record(a, b, first=first, now=self._now)
            self._pairs[a.id, b.id] = pair
            self._take(pair)
        return pair
