"""The agreement report and the whole report, shared by all pages and routes of this process.

The whole report with its models takes a while over many votes. It is worked out by a child process
that gives way to everything else, so that nobody who labels or looks on waits for it.
"""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

from annotate.agreement import AgreementReport, agreement_report
from annotate.config import Distribution
from annotate.kept import REST, Kept, PerStore
from annotate.report_data import FullReport, full_report
from storage.judgments import votes_version
from storage.store import Store, utc_now

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_log = logging.getLogger(__name__)
_NICE = 10
_LEAST_REST = 10.0  # seconds between two reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The newest whole report, whether a newer one is being worked out, and what went wrong."""

    report: FullReport | None
    working: bool
    problem: str


class KeptFullReport:
    """The whole report of one store; asking never waits for it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._asked: tuple[tuple[int, ...], Distribution] | None = None
        self._report: FullReport | None = None
        self._working = False
        self._problem = ""
        self._good_until = 0.0

    def look(self, store: Store, config: Distribution) -> Looked:
        """What there is; starts a newer one where votes or settings changed since."""
        plain = Distribution.model_validate(
            config.model_dump(include=set(Distribution.model_fields))
        )
        asked = (votes_version(store), plain)
        with self._lock:
            other = self._asked is None or self._asked[1] != plain
            stale = asked != self._asked and (other or self._clock() >= self._good_until)
            if stale and not self._working:
                self._asked, self._working = asked, True
                Thread(target=self._work, args=(store.database, plain), daemon=True).start()
            return Looked(report=self._report, working=self._working, problem=self._problem)

    def _work(self, database: Path, config: Distribution) -> None:
        began = self._clock()
        found = _in_child(database, config)
        with self._lock:
            self._working = False
            if isinstance(found, FullReport):
                self._report, self._problem = found, ""
            else:
                self._problem = found
                _log.error("The agreement report could not be worked out: %s", found)
            ended = self._clock()
            self._good_until = ended + max(_LEAST_REST, REST * (ended - began))


def _in_child(database: Path, config: Distribution) -> FullReport | str:
    """The report, or why there is none."""
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(database, config, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        found: FullReport | str = ours.recv()
    except EOFError:
        found = "the process that works it out ended early"
    finally:
        ours.close()
        child.join()
    return found


def _child(database: Path, config: Distribution, pipe: "Connection[object, object]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends this process when it ends
    os.nice(_NICE)
    try:
        with Store(database) as store:
            pipe.send(full_report(store, config, now=utc_now()))
    except Exception as error:  # noqa: BLE001 - told to the server, which says so
        pipe.send(f"{type(error).__name__}: {error}")


_reports: PerStore[Kept[AgreementReport, Distribution]] = PerStore(
    lambda: Kept(agreement_report, votes_version)
)
_full_reports: PerStore[KeptFullReport] = PerStore(KeptFullReport)


def kept_report(store: Store, config: Distribution) -> AgreementReport:
    """The agreement report of an open store."""
    return _reports.of(store).value(store, config)


def kept_full_report(store: Store, config: Distribution) -> Looked:
    """The whole report of an open store, as far as it is."""
    return _full_reports.of(store).look(store, config)
