"""A training job and what became of it as files, for the processes of a launcher.

    {"examples": [{"pair_id": "...", "prompt_ids": [1, 5], ...}], "policy": {...}, "config": {...}}

The processes read and write nothing else of the workspace but checkpoints, weights and the cache of
the reference's log-probabilities: never the store.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from train.dry_step import DryStep
from train.fit import Trained
from train.prepare import Job
from train.reference import Reference

JOB, TRAINED, LOOKED = "job.json", "trained.json", "looked.json"
Looked = tuple[Reference | None, DryStep]


def write_job(folder: Path, job: Job) -> None:
    """For the processes to read."""
    _write(folder / JOB, Job, job)


def read_job(folder: Path) -> Job:
    """As it was written."""
    return _read(folder / JOB, Job)  # type: ignore[no-any-return]


def write_trained(folder: Path, trained: Trained) -> None:
    """What a run measured; process 0 writes it when all is done."""
    _write(folder / TRAINED, Trained, trained)


def read_trained(folder: Path) -> Trained:
    """As it was written."""
    return _read(folder / TRAINED, Trained)  # type: ignore[no-any-return]


def write_looked(folder: Path, looked: Looked) -> None:
    """What was seen with the model loaded, without training."""
    _write(folder / LOOKED, Looked, looked)


def read_looked(folder: Path) -> Looked:
    """As it was written."""
    return _read(folder / LOOKED, Looked)  # type: ignore[no-any-return]


def write_json(file: Path, facts: object) -> None:
    """In one step: a reader sees all of it or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as out:
        json.dump(facts, out, default=str)  # str: of a Path
    partial.replace(file)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _write(file: Path, kind: Any, value: object) -> None:
    write_json(file, _adapter(kind).dump_python(value))


def _read(file: Path, kind: Any) -> Any:
    with file.open(encoding="utf-8") as found:
        return _adapter(kind).validate_python(json.load(found))
