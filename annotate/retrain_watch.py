"""Lets the retraining rule start things while `pairloop annotate` runs: one child at a time."""

import logging
from collections.abc import Callable
from contextlib import suppress

from annotate.config import AnnotateConfig, Retrain
from annotate.retrain_facts import RULE, look
from annotate.rounds import RoundRunner, start_run
from annotate.ticker import Ticker
from storage.errors import ConflictError
from storage.store import Store, utc_now

log = logging.getLogger(__name__)

EVERY_SECONDS = 15.0


class RetrainWatch:
    """A thread that asks the rule every few seconds.

    on_failed is told of what the rule started and that ended before it recorded a run; of runs that
    are recorded annotate.round_watch tells.
    """

    def __init__(
        self,
        store: Store,
        runner: RoundRunner,
        rule: Retrain,
        config: AnnotateConfig,
        *,
        on_failed: Callable[[dict[str, object]], None] = lambda _payload: None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._store, self._runner = store, runner
        self._rule, self._config = rule, config
        self._on_failed = on_failed
        self._started = ""  # of this server: only what it saw begin is told of
        self._told = ""
        self._ticker = Ticker(self._look, name="retrain", every_seconds=every_seconds)

    def close(self) -> None:
        """Start nothing more; what runs goes on."""
        self._ticker.close()

    def _look(self) -> None:
        found = look(self._store, self._rule, self._config, runner=self._runner)
        if found.left_no_run is not None:
            self._tell(*found.left_no_run)
        if found.decision.start is not None:
            with suppress(ConflictError):  # somebody was quicker
                step, why = found.decision.start, found.decision.why
                self._started = start_run(self._runner, self._store, step.value, author=RULE).log
                log.info("the retraining rule started pairloop %s: %s", step, why)

    def _tell(self, activity: str, name: str) -> None:
        if self._told == activity or self._started != name:
            return
        self._told = activity
        tail = self._runner.log_tail(lines=5).rpartition("\n")[2]
        self._on_failed(
            {
                "run_id": None,
                "kind": name.rsplit("-", 2)[0],
                "round": None,
                "status": "failed",
                "message": tail[:500] or f"see logs/{name}",
                "finished_at": utc_now().isoformat(),
            }
        )
