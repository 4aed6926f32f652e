"""Finished answers to the store, on a thread of its own: sampling never waits for an append.

Killed at any moment, a run loses the answers in flight and those of the last moment, at most
APPEND_SECONDS of them.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from generate.filters import Drop
from generate.pair_stage import PairsMade
from storage.records import Policy, Response
from storage.run_records import RunStatus
from storage.runs import RunLog
from storage.store import Store
from storage.words import many

APPEND_SECONDS = 1.0  # finished answers wait at most this long for their append
APPEND_SHARE = 0.02  # of the time at most, where one append takes longer than usual
MOST_WAITING = 1024  # answers; with more, they are appended at once, or sampling waits

# Done, wanted, answers/s, tokens/s; called on the thread that appends.
Progress = Callable[[int, int, float, float], None]


@dataclass(kw_only=True)
class Generated:
    """What one call did. Counted are answers that are stored."""

    policy: Policy
    wanted: int = 0
    sampled: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of sampling, without loading the model
    new_pairs: int = 0
    all_pairs: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)  # prompts that can't be sampled

    def take(self, made: PairsMade) -> None:
        """Note what forming pairs came to."""
        self.all_pairs, self.new_pairs, self.drops = made.all_pairs, made.new_pairs, made.drops

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


class Recorder:
    """Appends a run's answers about once a second while it is open, and the rest when it closes."""

    def __init__(
        self, store: Store, run: RunLog, result: Generated, total: int, progress: Progress | None
    ) -> None:
        self._store = store
        self._run = run
        self._result = result
        self._total = total
        self._progress = progress
        self._finished: list[Response] = []
        self._began = time.monotonic() - result.seconds
        self._sampled_before = result.sampled
        self._next = time.monotonic() + APPEND_SECONDS
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="appending")
        self._appending: Future[None] | None = None

    def add(self, response: Response) -> None:
        """Take a finished answer; raises what went wrong with an earlier one's append."""
        self._finished.append(response)
        full = len(self._finished) >= MOST_WAITING
        if time.monotonic() < self._next and not full:
            return
        if self._appending is not None:
            if not self._appending.done() and not full:
                return
            self._appending.result()
        self._appending = self._thread.submit(self._append, RunStatus.RUNNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whatever ended the run, and though an append failed before: those answers are still here.
        self._thread.shutdown()
        self._append(RunStatus.DONE if kind is None else RunStatus.RUNNING)

    def _append(self, status: RunStatus) -> None:
        start = time.monotonic()
        batch = self._finished[:]  # more may come in behind these meanwhile
        result = self._result
        with self._store.connected():
            self._store.append(batch)
            del self._finished[: len(batch)]
            result.sampled += len(batch)
            result.tokens += sum(len(r.token_ids or ()) for r in batch)
            result.finish_reasons.update(r.finish_reason.value for r in batch)
            result.seconds = start - self._began
            done = result.sampled - self._sampled_before
            self._run.event(
                f"{done:,} of {many(self._total, 'answer')}, {result.tokens_per_second:.0f} tokens/s",
                progress=done / max(self._total, 1),
                status=status,
                metrics={
                    "answers": float(result.sampled),
                    "tokens": float(result.tokens),
                    "tokens_per_second": result.tokens_per_second,
                },
            )
        now = time.monotonic()
        self._next = now + max(APPEND_SECONDS, (now - start) / APPEND_SHARE)
        if self._progress is not None:
            speed = result.sampled / max(result.seconds, 1e-9)
            self._progress(done, self._total, speed, result.tokens_per_second)
