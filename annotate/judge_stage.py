"""`pairloop judge`: a language model labels what is missing, both orders of each pair.

Reads pairs, prompts and responses; appends judgments of a labeler of kind model. The request
holds the conversation, the two answers and the rubric: neither policies nor people's votes.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import assert_never

from annotate import judge as judging
from annotate.accounts import add_labeler
from annotate.config import Judge
from annotate.judge import Asker, Combined, Conversation, Reading, Reply, Which
from storage import pairs as pairing
from storage import team
from storage.errors import ConfigurationError, ConflictError, ModelError, NotReadyError
from storage.judges import judged_by
from storage.judgments import labelers
from storage.prompts import prompts_by_id
from storage.records import Judgment, LabelerKind, Pair, Purpose, content_id
from storage.responses import responses_by_id
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.words import many

APPEND_SECONDS = 1.0
READ_PAIRS = 256  # their texts are read together
GIVE_UP_AFTER = 20  # requests in a row that got no reply
CHARS_PER_TOKEN = 4  # of UTF-8 bytes, roughly, for the estimate

ORDERS = ("order_1", "order_2")  # the first answer shown first, then the second one

Progress = Callable[[int, int, str], None]  # pairs done, pairs wanted, a word on how it goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What the model judges by; version as in Judgment.guideline, "" for the built-in text."""

    text: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which pairs are to be judged by whom. already: those of the choice that are judged."""

    name: str
    model: str
    rubric: Rubric
    max_tokens: int
    pairs: tuple[Pair, ...]
    already: int


@dataclass(slots=True)
class Judged:
    """What one run did. failures: pairs that stay without a judgment, by reason."""

    wanted: int
    verdicts: Counter[str] = field(default_factory=Counter)
    inconsistent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def judged(self) -> int:
        return self.verdicts.total()


def rubric_in_force(store: Store, file_text: str) -> Rubric:
    """The newest stored guidelines; before any were stored, those of the workspace's file."""
    versions = team.guidelines(store)
    text = versions[0].text if versions else file_text.replace("\r\n", "\n").strip()
    return Rubric(text=text, version=content_id("g1", text) if text else "")


def plan(
    store: Store,
    config: Judge,
    *,
    model: str,
    rubric: Rubric,
    which: Which = Which.ALL,
    round_number: int | None = None,
    limit: int | None = None,
    only: Collection[str] | None = None,
) -> Plan:
    """The pairs of a round (of the newest one without a number) that this judge has not judged.

    only: ids of the pairs to choose from, in whatever round they are.

    They come in order of their ids, which are hashes: a limit takes a random sample, and always
    the same one. Raises ConflictError when the judge's name stands for something else.
    """
    if not model:
        raise ConfigurationError(
            "annotate.judge.url is set but annotate.judge.model is not. Name the model there as "
            "the server calls it."
        )
    with store.connected():
        _check_name(store, config.name)
        done = judged_by(store, config.name)
        pairs = [
            p for p in pairing.pairs(store) if p.purpose in (Purpose.TRAIN, Purpose.EVALUATION)
        ]
        known = pairing.consensus_by_pair(store)
    for criteria in done.values():
        _check_same(config.name, criteria.get("model", ""), model, "model")
        _check_same(config.name, criteria.get("template", ""), judging.TEMPLATE, "template")
    if not pairs:
        raise NotReadyError("There are no pairs to judge. Make some with `pairloop generate`.")
    chosen_round = max(p.round for p in pairs) if round_number is None else round_number
    of_round = [p for p in pairs if (p.round == chosen_round if only is None else p.id in only)]
    if not of_round and only is None:
        numbers = ", ".join(str(n) for n in sorted({p.round for p in pairs}))
        raise NotReadyError(f"Round {chosen_round} has no pairs. Rounds with pairs: {numbers}.")
    closed = {i for i, c in known.items() if c.closed}
    settled = {i for i, c in known.items() if c.settled}
    match which:
        case Which.OPEN:
            chosen = [p for p in of_round if p.id not in closed]
        case Which.SETTLED:
            chosen = [p for p in of_round if p.id in settled]
        case Which.ALL:
            chosen = of_round
        case _:
            assert_never(which)
    missing = sorted((p for p in chosen if p.id not in done), key=lambda p: p.id)
    return Plan(
        name=config.name,
        model=model,
        rubric=rubric,
        max_tokens=config.max_tokens,
        pairs=tuple(missing[:limit]),
        already=len(chosen) - len(missing),
    )


def estimated_tokens(store: Store, todo: Plan) -> int:
    """Roughly how many tokens the requests hold; the replies come on top."""
    return sum(
        len(m.content.encode()) for c in _conversations(store, todo) for m in c.messages
    ) // (CHARS_PER_TOKEN)


def judge(
    store: Store, config: Judge, todo: Plan, asker: Asker, *, progress: Progress | None = None
) -> Judged:
    """Ask about every pair of the plan in both orders and append the judgments as they come."""
    result = Judged(wanted=len(todo.pairs))
    if not todo.pairs:
        return result
    if todo.name not in labelers(store):
        add_labeler(store, todo.name, password=None, kind=LabelerKind.MODEL)
    run = RunLog(
        store,
        RunKind.JUDGE,
        number=todo.pairs[0].round,
        config=config.model_dump(mode="json")
        | {"asked": asker.name, "template": judging.TEMPLATE, "guideline": todo.rubric.version},
    )
    pairs = {p.id: p for p in todo.pairs}
    half: dict[str, dict[str, Reply]] = {}  # of pairs whose other order is still out
    finished: list[Judgment] = []
    unanswered = 0
    began = last = time.monotonic()

    def flush() -> None:
        nonlocal last
        store.append(finished)
        finished.clear()
        last = time.monotonic()
        result.seconds = last - began
        done = result.judged + result.failures.total()
        speed = done / max(result.seconds, 1e-9)
        note = f"{result.failures.total()} without a verdict, {speed:.1f} pairs/s"
        run.event(
            f"{done} of {many(result.wanted, 'pair')}, {note}",
            progress=done / result.wanted,
            metrics={"judged": float(result.judged), "inconsistent": float(result.inconsistent)},
        )
        if progress is not None:
            progress(done, result.wanted, note)

    with run.failing(), ExitStack() as stack:
        stack.callback(flush)  # whatever ends the run
        replies = stack.enter_context(closing(asker.ask(_conversations(store, todo))))
        for reply in replies:
            lost = reply.failure and reply.failure not in judging.OF_ONE_PAIR
            unanswered = unanswered + 1 if lost else 0
            pair_id, order = reply.key.rsplit("/", 1)
            both = half.setdefault(pair_id, {})
            both[order] = reply
            if len(both) == len(ORDERS):
                del half[pair_id]
                _count(result, finished, todo, pairs[pair_id], both)
            if unanswered >= min(GIVE_UP_AFTER, len(ORDERS) * result.wanted):
                raise ModelError(
                    f"The last {many(unanswered, 'request')} to the judge got no reply "
                    f"({reply.failure}). What was judged is stored. See that {asker.name} "
                    "works, then run `pairloop judge` again."
                )
            if time.monotonic() - last > APPEND_SECONDS:
                flush()
    run.event(f"{many(result.judged, 'pair')} judged", progress=1.0, status=RunStatus.DONE)
    return result


def _check_name(store: Store, name: str) -> None:
    known = labelers(store).get(name)
    if known is None:
        return
    if known.kind is not LabelerKind.MODEL:
        raise ConflictError(
            f"{name!r} is a person's account, so a model can't judge under it. "
            "Set annotate.judge.name to another name."
        )
    if not known.active:
        raise ConflictError(
            f"The labeler {name!r} is disabled. Set annotate.judge.name to another name."
        )


def _check_same(name: str, stored: str, now: str, what: str) -> None:
    if stored != now:
        raise ConflictError(
            f"What {name!r} has judged so far was judged with another {what} ({stored[:80]!r}, now "
            f"{now[:80]!r}), so its judgments would not go together. "
            "Set annotate.judge.name to a name of its own."
        )


def _conversations(store: Store, todo: Plan) -> Iterator[Conversation]:
    """Both orders of every pair, one after the other."""
    for start in range(0, len(todo.pairs), READ_PAIRS):
        part = todo.pairs[start : start + READ_PAIRS]
        with store.connected():
            prompts = prompts_by_id(store, [p.prompt_id for p in part])
            texts = {
                r.id: r.text
                for r in responses_by_id(
                    store, [i for p in part for i in (p.first, p.second)]
                ).values()
            }
        for pair in part:
            turns = prompts[pair.prompt_id].messages
            first, second = texts[pair.first], texts[pair.second]
            for order, (left, right) in zip(
                ORDERS, ((first, second), (second, first)), strict=True
            ):
                code = secrets.token_hex(8)
                while not judging.code_is_free(code, turns, (first, second)):
                    code = secrets.token_hex(8)
                yield Conversation(
                    key=f"{pair.id}/{order}",
                    messages=judging.request(
                        turns, left, right, rubric=todo.rubric.text, code=code
                    ),
                )


def _count(
    result: Judged, finished: list[Judgment], todo: Plan, pair: Pair, both: dict[str, Reply]
) -> None:
    """Record what both orders say, or why they say nothing."""
    replies = [both[order] for order in ORDERS]
    readings: list[Reading] = []
    for reply in replies:
        reading = None if reply.failure else judging.read_reply(reply.text)
        if reading is None:
            result.failures[reply.failure or judging.NO_VERDICT] += 1
            return
        readings.append(reading)
    combined = judging.combine(*readings)
    result.verdicts[combined.verdict.value] += 1
    result.inconsistent += not combined.consistent
    finished.append(_judgment(todo, pair, combined, readings, replies))


def _judgment(
    todo: Plan,
    pair: Pair,
    combined: Combined,
    readings: Sequence[Reading],
    replies: Sequence[Reply],
) -> Judgment:
    decoding = {"temperature": 0, "max_tokens": todo.max_tokens}
    identity = [pair.id, todo.name, todo.model, judging.TEMPLATE, decoding]
    raw = {order: r.preferred.value for order, r in zip(ORDERS, readings, strict=True)}
    return Judgment(
        id=content_id("j1", identity),
        pair_id=pair.id,
        labeler=todo.name,
        presentation_id="",
        revision=0,
        verdict=combined.verdict,
        strength=combined.strength,
        withdrawn=False,
        criteria=raw | {"model": todo.model, "template": judging.TEMPLATE},
        rationale=judging.reasons(*(r.text for r in replies)),
        guideline=todo.rubric.version,
        seconds=sum(r.seconds for r in replies),
        created_at=utc_now(),
    )
