"""What is found becomes rows, each once: prompts, policies, answers, pairs, showings, judgments.

No store in here: the same files give the same rows. Texts are kept for one batch only; of what
came before, the ids are.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from datetime import datetime

from generate.config import GenerateConfig
from generate.pair_stage import filters_of
from generate.pairs import form_pairs
from pairloop.imports import encode
from pairloop.imports.encode import JudgmentRow, PairRow, PresentationRow, PromptRow, ResponseRow
from pairloop.imports.found import Answer, Candidates, Reason, Vote
from pairloop.imports.spool import Spool, rows_like
from storage.codec import Record
from storage.codec import encode as arrow_table
from storage.records import (
    IMPORTED_ROUND,
    IMPORTED_VOTES,
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
Row = PromptRow | ResponseRow | PairRow | PresentationRow | JudgmentRow


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
        self._templates = encode.templates(now)
        self._rows: dict[type[Record], list[Row]] = defaultdict(list)
        self._new_policies: list[Policy] = []
        self._said: dict[tuple[str, str], tuple[Verdict, Strength | None, int]] = {}
        self._policies: dict[str, Policy] = {}
        self._prompts: dict[tuple[Message, ...], PromptRow] = {}
        self._responses: dict[tuple[str, str, str], ResponseRow] = {}
        self._pairs: dict[tuple[str, str], PairRow] = {}
        self._firsts = firsts

    def add_vote(self, vote: Vote, *, labeler: str, source: str) -> None:
        """Take in one vote and the pair it is about."""
        if vote.a.text == vote.b.text:
            if vote.a.model == vote.b.model:
                self.tally.left_out[Reason.IDENTICAL] += 1
                return
            self.tally.identical += 1
        self.tally.votes += 1
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
        shown = ""
        if vote.shown:
            side = Side.LEFT if a_is_first else Side.RIGHT
            showing = encode.presentation_row(
                pair.id, labeler, side, now=vote.created_at or self._now
            )
            self._take(Presentation, showing)
            shown = showing.id
        self._rows[Judgment].append(
            encode.judgment_row(
                vote,
                pair.id,
                labeler=labeler,
                verdict=verdict,
                a_is_first=a_is_first,
                number=number,
                presentation_id=shown,
                now=self._now,
            )
        )
        if len(self._rows[Judgment]) >= BATCH_ROWS:
            self.flush()

    def add_candidates(self, found: Candidates, *, source: str) -> None:
        """Take in answers nobody has compared, and form pairs of them for the labelers."""
        self.tally.candidates += 1
        prompt = self._prompt(found.messages, source=found.source or source, tags=found.tags)
        rows = [self._response(answer, prompt) for answer in found.answers]
        answers = {row.id: encode.response_record(row, now=self._now) for row in rows}
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
            self._take(
                Pair,
                PairRow(pair.id, pair.prompt_id, pair.first, pair.second, IMPORTED_CANDIDATES),
            )
        if len(self._rows[Response]) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered to the spool and forget the texts."""
        for kind, rows in self._rows.items():
            if rows:
                columns = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
                self._spool.write(kind, rows_like(self._templates[kind], columns))
        if self._new_policies:
            self._spool.write(Policy, arrow_table(self._new_policies))
            self._new_policies.clear()
        self._rows.clear()
        self._prompts.clear()
        self._responses.clear()
        self._pairs.clear()

    def _take(self, kind: type[Record], row: Row) -> None:
        if row.id not in self._seen:
            self._seen.add(row.id)
            self._rows[kind].append(row)

    def _prompt(
        self, messages: tuple[Message, ...], *, source: str, tags: tuple[str, ...]
    ) -> PromptRow:
        prompt = self._prompts.get(messages)
        if prompt is None:
            prompt = encode.prompt_row(messages, source=source, tags=tags, shares=self._shares)
            self._prompts[messages] = prompt
            self._take(Prompt, prompt)
        return prompt

    def _response(self, answer: Answer, prompt: PromptRow) -> ResponseRow:
        key = (prompt.id, answer.model, answer.text)
        response = self._responses.get(key)
        if response is None:
            policy = self._policies.get(answer.model)
            if policy is None:
                policy = encode.policy_record(answer.model, now=self._now)
                self._policies[answer.model] = policy
                self._new_policies.append(policy)
            response = encode.response_row(answer, prompt_id=prompt.id, policy_id=policy.id)
            self._responses[key] = response
            self._take(Response, response)
        return response

    def _pair(self, a: ResponseRow, b: ResponseRow, *, as_shown: bool) -> PairRow:
        """The pair; in the order it was first met in where that was the order people saw.

        A file whose second answer is always the rejected one has no such order: there ids decide.
        """
        pair = self._pairs.get((a.id, b.id))
        if pair is None:
            pair_id = Pair.id_of(first=a.id, second=b.id, purpose=Purpose.TRAIN)
            first = self._firsts.setdefault(pair_id, a.id if as_shown else min(a.id, b.id))
            second = b.id if first == a.id else a.id
            pair = PairRow(pair_id, a.prompt_id, first, second, IMPORTED_VOTES)
            self._pairs[a.id, b.id] = pair
            self._take(Pair, pair)
        return pair
