"""The agreement report and the whole report, shared by all pages and routes of this process.

The whole report with its models takes a while over many votes. It is worked out by a child process
that gives way to everything else, so that nobody who labels or looks on waits for it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

from annotate.agreement import AgreementReport, agreement_report
from annotate.config import Distribution
from annotate.kept import REST, Kept, PerStore
from annotate.report_child import report_from_child
from annotate.report_data import FullReport
from storage.judgments import votes_version
from storage.lake import LakeAddress
from storage.store import Store

_log = logging.getLogger(__name__)
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

    def _work(self, database: Path | LakeAddress, config: Distribution) -> None:
        began = self._clock()
        try:
            found = report_from_child(database, config)
        except OSError as error:
            found = str(error)
        with self._lock:
            self._working = False
            if isinstance(found, FullReport):
                self._report, self._problem = found, ""
            else:
                self._problem = found
                _log.error("The agreement report could not be worked out: %s", found)
            ended = self._clock()
            self._good_until = ended + max(_LEAST_REST, REST * (ended - began))


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
