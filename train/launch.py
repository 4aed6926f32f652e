"""Training by several processes: `accelerate launch` as a child, followed through files.

This process keeps the store, the checks, the run's events, the Stop button and the publishing; the
children (train/launched.py) only fit, from the job that is written for them into the run's folder
of checkpoints. On several machines each runs this for its own children; the machines see the same
workspace folder, and only machine 0 opens the store.
"""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from storage import errors
from storage.errors import ConfigurationError, ModelError, PairloopError
from storage.words import many
from train.config import SHIPPED, Launch
from train.fit import OnLog, Trained
from train.job_files import Looked, read_looked, read_trained, write_job, write_json
from train.launched import EVENTS, PARENT, STOP, STOPPED, TOKEN
from train.prepare import Job

log = logging.getLogger(__name__)

CONFIGS = Path(__file__).with_name("launch_configs")
NOTE = Path("policies", ".launch.json")  # what machine 0 has begun; touched while it lives
POLL_SECONDS = 0.2
GONE_SECONDS = 300.0  # without a touch of the note; longer than a network folder's cache
TERM_SECONDS = 30.0
_KILLED = re.compile(r"exitcode: -(\d+)\) local_rank: (\d+)")  # as torch's launcher tells of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of all processes. folder: of the job, in the workspace."""

    folder: str
    token: str
    launch: Launch
    look: bool


def fit_launched(
    job: Job, workspace: Path, *, on_log: OnLog, stopping: Callable[[], bool]
) -> Trained:
    """Like train.fit.fit, into job.work/result, and without samples."""
    with _begun(job, workspace, look=False) as start:
        folder = workspace / start.folder
        steps = _Steps(folder / EVENTS, on_log)

        def beat() -> None:
            steps.tell()
            if stopping():
                (folder / STOP).touch()

        _run(workspace, start, machine=0, beat=beat)
        steps.tell()
        if (folder / STOPPED).exists():
            raise KeyboardInterrupt
        return read_trained(folder)


def look_launched(job: Job, workspace: Path) -> Looked:
    """Load the model in all processes and take one step without an update."""
    with _begun(job, workspace, look=True) as start:
        _run(workspace, start, machine=0, beat=lambda: None)
        return read_looked(workspace / start.folder)


def join(workspace: Path, *, machine: int, stopping: Callable[[], bool]) -> None:
    """Take part, as machine 1 or higher, in what machine 0 begins; raises KeyboardInterrupt if stopped."""
    log.info("waiting for machine 0 to begin")
    note = workspace / NOTE
    seen = _touched(note)
    while _touched(note) in (0.0, seen):  # one that nobody touches is of a run that was killed
        if stopping():
            raise KeyboardInterrupt
        time.sleep(POLL_SECONDS)
    facts = json.loads(note.read_text(encoding="utf-8"))
    start = Start(**facts | {"launch": Launch.model_validate(facts["launch"])})
    if not 0 < machine < start.launch.machines:
        raise ConfigurationError(
            f"Machine 0 began training on train.launch.machines = {start.launch.machines}, so "
            f"--machine-rank is 1 to {start.launch.machines - 1}, not {machine}."
        )
    last = time.monotonic()

    def beat() -> None:
        nonlocal seen, last
        if _touched(note) != seen:
            seen, last = _touched(note), time.monotonic()
        if time.monotonic() - last > GONE_SECONDS:
            raise ModelError(
                f"Machine 0 has said nothing for {GONE_SECONDS:g} seconds, so this machine ended "
                "its part. Start machine 0 and this one again: it goes on from the last checkpoint."
            )
        if stopping():
            raise KeyboardInterrupt

    _run(workspace, start, machine=machine, beat=beat)


def config_file(launch: Launch, workspace: Path) -> Path:
    """The accelerate config; raises ConfigurationError for one that accelerate does not take."""
    import yaml
    from accelerate.commands.config.config_args import load_config_from_file

    shipped = launch.config in SHIPPED
    file = CONFIGS / f"{launch.config}.yaml" if shipped else workspace / launch.config
    if not file.is_file():
        raise ConfigurationError(
            f'train.launch.config = "{launch.config}" is neither a file nor one of '
            f"{', '.join(SHIPPED)}. `accelerate config --config_file {launch.config}` writes one."
        )
    try:
        found = load_config_from_file(str(file))
    except (ValueError, TypeError, AttributeError, OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} is no accelerate config: {error}") from error
    if str(found.distributed_type).endswith("DEEPSPEED") and find_spec("deepspeed") is None:
        raise ConfigurationError(
            f'train.launch.config = "{launch.config}" needs DeepSpeed, which is not installed: '
            '`pip install deepspeed`, or set train.launch.config = "fsdp".'
        )
    return file


def command_of(start: Start, workspace: Path, *, machine: int) -> list[str]:
    """What starts this machine's processes."""
    launch = start.launch
    host, _, port = launch.main_address.rpartition(":")
    one = launch.machines == 1
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(config_file(launch, workspace))),
        *("--num_processes", str(launch.processes)),
        *("--num_machines", str(launch.machines)),
        *("--machine_rank", str(machine)),
        *("--main_process_ip", "127.0.0.1" if one else host),
        *("--main_process_port", "0" if one else port),
        *("--module", "train.launched", str(workspace / start.folder)),
        *(["--look"] if start.look else []),
    ]


@contextmanager
def _begun(job: Job, workspace: Path, *, look: bool) -> Iterator[Start]:
    launch = job.config.launch
    assert launch is not None, "asked only where there is something to launch"
    _refuse_too_many(launch)
    folder = job.work / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    write_job(folder, job)
    start = Start(
        folder=str(folder.relative_to(workspace)), token=uuid4().hex, launch=launch, look=look
    )
    facts = {"folder": start.folder, "token": start.token, "look": look}
    write_json(workspace / NOTE, facts | {"launch": launch.model_dump()})
    try:
        yield start
    finally:
        (workspace / NOTE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_too_many(launch: Launch) -> None:
    import torch

    here, wanted = torch.cuda.device_count(), launch.processes // launch.machines
    if 0 < here < wanted:
        raise ConfigurationError(
            f"train.launch.processes asks for {many(wanted, 'process', 'processes')} on this machine, which has {here} "
            "GPUs. Set it to the number of GPUs of all machines."
        )


def _run(workspace: Path, start: Start, *, machine: int, beat: Callable[[], None]) -> None:
    """Start this machine's processes and wait for their end; raises what ended them early."""
    logs = workspace / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    said = logs / f"processes-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{machine}.log"
    environment = os.environ | {PARENT: str(os.getpid()), TOKEN: start.token}
    with said.open("ab") as output:
        child = subprocess.Popen(
            command_of(start, workspace, machine=machine),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # ctrl-C is this process's to answer
            env=environment,
        )
    log.info("%s processes, their words are in %s", start.launch.processes, said)
    try:
        while child.poll() is None:
            beat()
            if machine == 0:
                (workspace / NOTE).touch()
            time.sleep(POLL_SECONDS)
    finally:
        _end(child)
    if child.returncode != 0:
        raise _why(workspace / start.folder, said, start.launch.processes)


def _end(child: subprocess.Popen[bytes]) -> None:
    """The launcher ends its processes when it is asked to; they end by themselves without it."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(TERM_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _why(folder: Path, said: Path, processes: int) -> PairloopError:
    """What ended a process before its time; the first one, since the others fail for lack of it."""
    told = [
        json.loads(file.read_text(encoding="utf-8")) | {"rank": file.stem.removeprefix("failed-")}
        for file in folder.glob("failed-*.json")
    ]
    again = (
        "Checkpoints are kept: run the same command again to go on from the last one. What the "
        f"processes said: {said}"
    )
    first = min(told, key=lambda one: one["at"], default=None)
    if first is not None and first["kind"]:
        return getattr(errors, first["kind"])(first["message"])  # type: ignore[no-any-return]
    words = said.read_text(encoding="utf-8", errors="replace")
    killed = [(int(n), rank) for n, rank in _KILLED.findall(words) if int(n) != signal.SIGTERM]
    if killed:
        number, rank = killed[0]
        name = signal.Signals(number).name
        hint = ", as the kernel does when memory runs out" if number == signal.SIGKILL else ""
        return ModelError(
            f"Training process {rank} of {processes} on this machine was killed ({name}{hint}). "
            f"{again}"
        )
    if first is not None:
        return ModelError(
            f"Training process {first['rank']} of {processes} failed: {first['message'][:500]}. "
            f"{again}"
        )
    return ModelError(f"The training processes ended without a word. {again}")


def _touched(note: Path) -> float:
    """When; 0 where there is no note."""
    try:
        return note.stat().st_mtime
    except FileNotFoundError:
        return 0.0


class _Steps:
    """Hands on what process 0 writes of each step."""

    def __init__(self, file: Path, on_log: OnLog) -> None:
        self._file, self._on_log, self._at = file, on_log, 0

    def tell(self) -> None:
        """What is new."""
        if not self._file.exists():
            return
        with self._file.open("rb") as events:
            events.seek(self._at)
            for line in events:
                if not line.endswith(b"\n"):
                    return  # half written
                self._at += len(line)
                said = json.loads(line)
                self._on_log(said["step"], said["steps"], said["metrics"])
