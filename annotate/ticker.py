"""A thread that looks at something every few seconds."""

import logging
import threading
from collections.abc import Callable

from storage.errors import PairloopError

log = logging.getLogger(__name__)


class Ticker:
    """Calls look until it is closed; a look that meets trouble is logged, and tried again."""

    def __init__(self, look: Callable[[], None], *, name: str, every_seconds: float) -> None:
        self._look, self._name, self._every = look, name, every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, name=f"pairloop-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; returns when the last look is over, or after ten seconds."""
        self._stopped.set()
        self._thread.join(timeout=10.0)

    def _tick(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self._look()
            except (PairloopError, OSError) as error:
                log.warning("%s could not be looked at: %s", self._name, error)
