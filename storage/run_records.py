"""Runs of the commands: one record per execution, and its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RunKind(StrEnum):
    """The commands that leave a run behind."""

    GENERATE = "generate"
    PAIRS = "pairs"  # a step of generate, or alone with --pairs-only
    JUDGE = "judge"
    TRAIN = "train"
    EVALUATE = "evaluate"
    EXPORT = "export"


class RunStatus(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a command, with its resolved configuration and library versions."""

    id: str
    kind: RunKind
    round: int
    config: Mapping[str, object]
    versions: Mapping[str, str]
    pid: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """A step of a run: its status, how far it is (0..1) and what it measured."""

    run_id: str
    sequence: int
    status: RunStatus
    progress: float
    message: str
    metrics: Mapping[str, float]
    created_at: datetime
