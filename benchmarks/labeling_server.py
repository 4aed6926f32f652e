"""The labeling server as a process that can be killed, and started again within a second or two.

What it imports takes longer than all it does then, so a parent process imports it once and each
server is a fork of that one; the server itself is `pairloop annotate`'s own.
"""

import multiprocessing
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pairloop.memory import give_memory_back

START_SECONDS = 120.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["benchmarks.labeling_imports"])


def _serve(root: Path, port: int, log: Path) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    from pairloop.serve import serve
    from pairloop.workspace import open_workspace

    give_memory_back()
    space = open_workspace(root)
    config = space.annotate.model_copy(update={"port": port})
    serve(space, config=config, logins=[], ready=lambda *_: None)


class LabelingServer:
    """One workspace's server, on one port for all its lives."""

    def __init__(self, root: Path, *, port: int) -> None:
        self.root = root
        self.address = f"http://127.0.0.1:{port}"
        self.log = root / "logs" / "server.log"
        self._port = port
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    def start(self) -> None:
        """Begin; `wait` says when it answers."""
        words = (self.root, self._port, self.log)
        give_memory_back()  # as `pairloop annotate` does; the first server's parent inherits it
        self._process = _CONTEXT.Process(target=_serve, args=words, daemon=True)
        self._process.start()

    def wait(self) -> float:
        """Until it answers; seconds."""
        began = time.monotonic()
        while time.monotonic() - began < START_SECONDS:
            assert self._process is not None, "it was started"
            if not self._process.is_alive():
                raise SystemExit(f"The server ended: {self.log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=5):
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"The server does not answer: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """As a crash or the kernel's out-of-memory killer would."""
        os.kill(self.pid, signal.SIGKILL)
        self._ended()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; its exit code and the seconds it took."""
        began = time.monotonic()
        os.kill(self.pid, number)
        return self._ended(), time.monotonic() - began

    def _ended(self) -> int:
        assert self._process is not None, "it was started"
        self._process.join(timeout=60)
        code = self._process.exitcode
        assert code is not None, "the server did not end within a minute"
        return code

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It does nothing meanwhile: its files are what a power cut at this moment would leave."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator["LabelingServer"]:
        self.start()
        try:
            self.wait()
            yield self
        finally:
            if self._process is not None and self._process.is_alive():
                self.stop()
