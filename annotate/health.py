"""Whether the server should be given requests, and if not, why: in words that anybody may read."""

import logging
import shutil
from pathlib import Path

from annotate.timed import Timed
from storage.errors import PairloopError
from storage.store import Store

log = logging.getLogger(__name__)

STORE_SECONDS = 2.0  # how long the store may take to answer
_KEEP_SECONDS = 1.0  # the store is asked no more often, whoever asks
STOPPING = "The server is stopping."
NO_ANSWER = f"The store has not answered within {STORE_SECONDS:g} seconds."
FAILED = "The store refuses to answer; the server's log says why."
DISK_FULL = "The workspace's disk is nearly full."


class Health:
    """One per server. Its readiness asks the store a real question and looks at the disk."""

    def __init__(self, store: Store, workspace: Path, *, min_free_mb: int) -> None:
        self.stopping = False  # set as soon as the server is told to end
        self._workspace = workspace
        self._min_free_bytes = min_free_mb * 1024**2
        self._store = store
        self._free = Timed(self._look, limit_seconds=STORE_SECONDS, keep_seconds=_KEEP_SECONDS)
        self._said = ""

    async def refusal(self) -> str:
        """Why requests should go elsewhere; "" while the server is ready."""
        why = STOPPING if self.stopping else await self._now()
        if why != self._said:
            self._said = why
            log.log(logging.WARNING if why else logging.INFO, why or "The server is ready again.")
        return why

    def free_bytes(self) -> int:
        """What may still be written to the workspace's disk."""
        return shutil.disk_usage(self._workspace).free

    def _look(self) -> int:
        self._store.query("pair_count")
        return self.free_bytes()

    async def _now(self) -> str:
        try:
            free = await self._free.answer()
        except TimeoutError:
            return NO_ANSWER
        except PairloopError as error:
            log.warning("the store refused the readiness query: %s", error)
            return FAILED
        except Exception:  # whatever it is, this server can't store judgments
            log.exception("the readiness query failed")
            return FAILED
        return DISK_FULL if free < self._min_free_bytes else ""
