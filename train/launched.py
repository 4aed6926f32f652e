"""One of the processes that `accelerate launch` starts: python -m train.launched FOLDER [--look].

It reads the job that train/launch.py wrote, trains together with the others, and says what happens
in files of the folder:

events.jsonl   {"step": 3, "steps": 40, "metrics": {"loss": 0.61, ...}}   process 0
trained.json   what was measured   process 0, at the end
stopped        process 0, where it was asked to stop and has kept a checkpoint
failed-1.json  {"kind": "ModelError", "message": "..."}   a process that could not go on
"""

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import ConfigurationError, ModelError, PairloopError
from storage.processes import process_alive
from storage.words import many

if TYPE_CHECKING:
    from train.prepare import Job

EVENTS, STOP, STOPPED = "events.jsonl", "stop", "stopped"
PARENT = "PAIRLOOP_PARENT"  # process id of the `pairloop train` that started the launcher
TOKEN = "PAIRLOOP_LAUNCH"  # noqa: S105 - names one start of all processes, no secret


def main(folder: Path, *, look: bool) -> int:
    """Train, or only look; the exit code."""
    from train.ranks import rank

    _end_with(int(os.environ[PARENT]))
    try:
        _meet()
        if look:
            _look(folder)
        else:
            _train(folder)
    except KeyboardInterrupt:
        if rank() == 0:
            (folder / STOPPED).touch()
    except Exception as error:  # noqa: BLE001 - told to the parent, which cannot see it otherwise
        traceback.print_exc()
        _tell(folder, int(os.environ.get("RANK", "0")), error)
        return 1
    return 0


def _meet() -> None:
    """Find the other processes, and make sure that they are of the same start."""
    import torch
    from accelerate import PartialState

    from train.ranks import first_says

    PartialState(cpu=not torch.cuda.is_available())
    ours = os.environ[TOKEN]
    if first_says(ours) != ours:
        raise ModelError(
            "This machine and machine 0 are of two different starts. Stop both, then start machine "
            "0 and this one again."
        )


def _job(folder: Path) -> "Job":
    from train.job_files import read_job
    from train.ranks import world

    job = read_job(folder)
    if world() != job.config.processes:
        raise ConfigurationError(
            f"The launcher started {many(world(), 'process', 'processes')} together, train.launch.processes is "
            f"{job.config.processes}: let train.launch.config name a config of distributed training."
        )
    return job


def _train(folder: Path) -> None:
    from train.fit import fit
    from train.job_files import write_trained
    from train.ranks import rank

    job = _job(folder)
    with (folder / EVENTS).open("a", encoding="utf-8") as events:

        def on_log(step: int, steps: int, metrics: Mapping[str, float]) -> None:
            if rank() == 0:
                said = {"step": step, "steps": steps, "metrics": dict(metrics)}
                events.write(json.dumps(said) + "\n")
                events.flush()

        stop = folder / STOP
        trained = fit(job, out=job.work / "result", on_log=on_log, stopping=stop.exists)
    if rank() == 0:
        write_trained(folder, trained)


def _look(folder: Path) -> None:
    from train.dry_step import dry_step
    from train.job_files import write_looked
    from train.prepare import prepare
    from train.ranks import rank
    from train.trouble import told_plainly

    job = _job(folder)
    with told_plainly(job.config):
        ready = prepare(job)
        looked = ready.reference, dry_step(ready)
    if rank() == 0:
        write_looked(folder, looked)


def _tell(folder: Path, rank: int, error: Exception) -> None:
    kind = type(error).__name__ if isinstance(error, PairloopError) else ""
    words = str(error) if kind else f"{type(error).__name__}: {error}"
    said = json.dumps({"kind": kind, "message": words, "at": time.time()})
    (folder / f"failed-{rank}.json").write_text(said, encoding="utf-8")


def _end_with(parent: int) -> None:
    """Let this process end when the launcher, or the command that started it, is gone.

    A rerun would otherwise train beside processes that nobody follows any more.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher and process_alive(parent):
            time.sleep(1.0)
        os._exit(3)

    threading.Thread(target=watch, name="pairloop-parent", daemon=True).start()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    sys.exit(main(Path(sys.argv[1]), look="--look" in sys.argv))
