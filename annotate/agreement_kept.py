"""The agreement report for pages that ask again and again: worked out anew only when it must be."""

import time
from collections.abc import Callable
from threading import Lock
from weakref import WeakKeyDictionary

from annotate.agreement import AgreementReport, agreement_report
from annotate.config import Distribution
from storage.judgments import votes_version
from storage.store import Store

SLOW_SECONDS = 0.5  # reports that take longer are kept for a while even though votes come in
REST = 20  # times what a slow report took: at most a twentieth of the time goes into reports

_Version = tuple[tuple[int, ...], Distribution]


class KeptAgreement:
    """The report of all rounds of one store; safe to ask from several threads.

    It is the same object until a judgment, a labeler, a pair or the settings change.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._kept: tuple[_Version, AgreementReport] | None = None
        self._good_until = 0.0

    def report(self, store: Store, config: Distribution) -> AgreementReport:
        """The report under these settings."""
        with self._lock:  # whoever asks meanwhile waits for the one report
            # Read before the votes: what comes in between makes the report new again, not old.
            version = (votes_version(store), config)
            if self._kept is not None:
                known, report = self._kept
                resting = known[1] == config and self._clock() < self._good_until
                if known == version or resting:
                    return report
            began = self._clock()
            report = agreement_report(store, config)
            ended = self._clock()
            took = ended - began
            self._kept = (version, report)
            self._good_until = ended + REST * took if took > SLOW_SECONDS else ended
            return report


_by_store: WeakKeyDictionary[Store, KeptAgreement] = WeakKeyDictionary()
_making = Lock()


def kept_report(store: Store, config: Distribution) -> AgreementReport:
    """The report of an open store, shared by all pages and routes of this process."""
    with _making:
        kept = _by_store.setdefault(store, KeptAgreement())
    return kept.report(store, config)
