"""The last `pairloop train --check` that the Rounds page started, read from its log.

Its log ends with one line of JSON:

    {"red": 0, "checks": [{"name": "truncation", "light": "green", "finding": "...", "fix": ""}]}
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from annotate.rounds import RoundRunner

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """at: when it ended, UTC. log: its file name."""

    red: int
    checks: Sequence[Mapping[str, Any]]
    at: datetime
    log: str


def last_check(runner: RoundRunner) -> CheckResult | None:
    """What the newest check found; None before there was one, and where it found nothing out."""
    log = runner.last_log("check")
    if log is None:
        return None
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        ended = datetime.fromtimestamp(log.stat().st_mtime, tz=UTC).replace(tzinfo=None)
        found = json.loads(next(line for line in reversed(lines) if line.startswith('{"red"')))
        return CheckResult(
            red=int(found["red"]), checks=list(found["checks"]), at=ended, log=log.name
        )
    except (OSError, StopIteration, ValueError, KeyError, TypeError):
        return None
