"""Machines of a test's own: network namespaces where that is allowed, else processes of this one."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Only inside this computer: every address is one end of a virtual cable. Tests of two checkouts at once
# have cables of their own.
NETWORK = f"10.{200 + os.getpid() % 50}"


class Machine:
    """Runs programs; `address` is its own, `outside` how it reaches this test and its services."""

    def __init__(self, number: int) -> None:
        self.name = f"pairloop{os.getpid()}m{number}"
        near, far = f"pl{os.getpid() % 100000}n{number}", f"pl{os.getpid() % 100000}f{number}"
        self.address = self.outside = "127.0.0.1"
        self.prefix: tuple[str, ...] = ()
        self._processes: list[subprocess.Popen] = []
        if os.getuid() == 0 and _did("ip", "netns", "add", self.name):
            self.outside, self.address = f"{NETWORK}.{number}.1", f"{NETWORK}.{number}.2"
            inside = ("ip", "netns", "exec", self.name)
            steps = [
                (
                    "ip",
                    "link",
                    "add",
                    near,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    far,
                    "netns",
                    self.name,
                ),
                ("ip", "addr", "add", f"{self.outside}/24", "dev", near),
                ("ip", "link", "set", near, "up"),
                (*inside, "ip", "addr", "add", f"{self.address}/24", "dev", far),
                (*inside, "ip", "link", "set", far, "up"),
                (*inside, "ip", "link", "set", "lo", "up"),
            ]
            if all(_did(*step) for step in steps):
                self.prefix = inside
            else:
                self.end()
                self.outside = self.address = "127.0.0.1"

    @property
    def apart(self) -> bool:
        """Whether it has a network of its own."""
        return bool(self.prefix)

    def pairloop(self, *words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "pairloop", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def annotate(self, workspace: Path) -> subprocess.Popen:
        """Start a labeling server; `address_of` waits for it."""
        words = ("annotate", "--port", "0", "--host", self.address, "-w", str(workspace))
        return self.pairloop(*words)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        _did("ip", "netns", "del", self.name)  # takes the cable with it


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines, which are gone afterwards, whatever happens in between."""
    _clear_away()
    made: list[Machine] = []
    try:
        for number in range(count):
            made.append(Machine(number))
        yield made
    finally:
        for machine in made:
            machine.end()


def _clear_away() -> None:
    """End the networks of tests that were killed: their routes would lead nowhere."""
    if shutil.which("ip") is None:
        return
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    for name, pid in re.findall(r"^(pairloop(\d+)m\d+)", listed.stdout, re.MULTILINE):
        if not Path(f"/proc/{pid}").exists():
            _did("ip", "netns", "del", name)


def address_of(server: subprocess.Popen) -> str:
    """Where a labeling server is reached, once it says so."""
    said = []
    for line in server.stdout:
        said.append(line)
        if found := re.match(r"Labeling pages: http://(\S+)", line):
            return found[1]
    raise AssertionError("".join(said))


def _did(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
