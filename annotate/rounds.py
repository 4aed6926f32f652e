"""Starts `pairloop generate`, `train` (a policy, a reward model, or only the check) and `evaluate` as
child processes, one at a time.

The child holds an open lock file for as long as it lives, so that a second one is refused even
after the labeling server was restarted; a training run outlives the server that started it.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from storage import team
from storage.errors import ConflictError
from storage.store import Store

Verb = Literal["generate", "train", "evaluate", "check", "reward"]
_COMMANDS: Mapping[str, Sequence[str]] = {
    "check": ("train", "--check", "--json"),
    "reward": ("train", "--method", "reward"),
}
TRAINING = ("train", "reward")
TERM_AFTER_SECONDS = 20.0
TRAIN_TERM_AFTER_SECONDS = 600.0  # a step of a large model and its checkpoint take minutes
_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildState:
    """What the last child did. exit_code is None while it runs, and where it is not known."""

    verb: str  # "" if none was ever started here
    pid: int
    running: bool
    stop_asked: bool
    exit_code: int | None
    seconds: float  # since it was started
    log: str  # file name in the workspace's logs folder


class RoundRunner:
    """One child process at a time for one workspace.

    learns_from_scores: `train` learns from a reward model's, so the pages offer to train one.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        program: Sequence[str] | None = None,
        learns_from_scores: bool = False,
    ) -> None:
        self.workspace = workspace
        self.learns_from_scores = learns_from_scores
        self._logs = workspace / "logs"
        self._program = list(program or [sys.executable, "-m", "pairloop"])
        self._guard = threading.RLock()  # asking takes the file lock for a moment too
        self._child: subprocess.Popen[bytes] | None = None
        self._stop_asked = False

    def start(self, verb: Verb) -> ChildState:
        """Start `pairloop VERB`, or the check before training; raises ConflictError while one is running."""
        with self._guard:
            self._logs.mkdir(parents=True, exist_ok=True)
            with self._open_lock() as lock:
                if not _take(lock):
                    note = self._note()
                    raise ConflictError(
                        f"`{command_of(str(note.get('verb', '?')))}` is running (process "
                        f"{note.get('pid', '?')}). Wait for it, or stop it, then start this."
                    )
                stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
                log = self._logs / f"{verb}-{stamp}.log"
                words = _COMMANDS.get(verb, (verb,))
                command = [*self._program, *words, "--workspace", str(self.workspace)]
                with log.open("ab") as output:
                    self._child = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        pass_fds=[lock.fileno()],
                        env=os.environ | {"PYTHONUNBUFFERED": "1"},
                    )
                note = {
                    "verb": verb,
                    "pid": self._child.pid,
                    "log": log.name,
                    "started": time.time(),
                }
                self._stop_asked = False
                lock.truncate(0)
                lock.write(json.dumps(note))
                lock.flush()
        return self.state()

    def state(self) -> ChildState:
        """What the last child is doing, whichever server started it."""
        with self._guard:
            note = self._note()
            running = self._running()
            ours = self._child is not None and self._child.pid == note.get("pid")
            code = self._child.poll() if self._child is not None and ours else None
        return ChildState(
            verb=str(note.get("verb", "")),
            pid=int(str(note.get("pid", 0))),
            running=running,
            stop_asked=self._stop_asked,
            exit_code=None if running else code,
            seconds=max(0.0, time.time() - float(str(note.get("started", time.time())))),
            log=str(note.get("log", "")),
        )

    def stop(self, *, term_after_seconds: float | None = None) -> ChildState:
        """Ask the child to end (SIGINT), and insist after some seconds (SIGTERM).

        Training ends after its present step, with a checkpoint; asked twice, it ends at once.
        """
        state = self.state()
        if not state.running:
            raise ConflictError("Nothing is running, so there is nothing to stop.")
        self._stop_asked = True
        if term_after_seconds is None:
            slow = state.verb in TRAINING
            term_after_seconds = TRAIN_TERM_AFTER_SECONDS if slow else TERM_AFTER_SECONDS
        _signal_group(state.pid, signal.SIGINT)

        def insist() -> None:
            end = time.monotonic() + term_after_seconds
            while time.monotonic() < end:
                time.sleep(0.1)
                now = self.state()
                if not now.running or now.pid != state.pid:
                    return
            _signal_group(state.pid, signal.SIGTERM)

        threading.Thread(target=insist, name="pairloop-stop", daemon=True).start()
        return state

    def last_log(self, verb: Verb) -> Path | None:
        """The newest log of this verb's children; None before there was one."""
        return max(self._logs.glob(f"{verb}-*.log"), default=None, key=lambda log: log.name)

    def log_tail(self, *, lines: int = 40) -> str:
        """The last lines of the last child's log."""
        name = str(self._note().get("log", ""))
        if not name:
            return ""
        try:
            with (self._logs / Path(name).name).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        # A progress bar rewrites its line with \r: only what stood last matters.
        kept = [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]
        return "\n".join(kept[-lines:]).strip()

    def _open_lock(self) -> IO[str]:
        return (self._logs / "running.json").open("a+", encoding="utf-8")

    def _note(self) -> dict[str, object]:
        try:
            found = json.loads((self._logs / "running.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _running(self) -> bool:
        if self._child is not None:
            self._child.poll()  # a finished child must be waited for
        if not (self._logs / "running.json").exists():
            return False
        with self._open_lock() as lock:
            return not _take(lock)


def command_of(verb: str) -> str:
    """What a person would type for it."""
    words = _COMMANDS.get(verb, (verb,))
    return f"pairloop {' '.join(word for word in words if word != '--json')}"


def start_run(runner: RoundRunner, store: Store, verb: Verb, *, author: str) -> ChildState:
    """Start it, and leave that in the trail."""
    state = runner.start(verb)
    team.note(store, actor=author, action="run started", subject=verb, detail=state.log)
    return state


def stop_run(runner: RoundRunner, store: Store, *, author: str) -> ChildState:
    """Stop it, and leave that in the trail."""
    state = runner.stop()
    team.note(store, actor=author, action="run stopped", subject=state.verb, detail=state.log)
    return state


def _take(lock: IO[str]) -> bool:
    """True if nobody holds the lock; it is given back when the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
