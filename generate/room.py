"""Room for what a file unpacks to: of a file of a few hundred bytes, Parquet and gzip can make more
than a machine has, and then the kernel ends processes, the labeling server's perhaps.

Linux only: other systems do not count a process's own memory against a limit.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import InputError

SHARE = 0.75  # of the memory that is free when reading begins


@contextmanager
def room(source: str) -> Iterator[None]:
    """Let this process grow by a share of the free memory; raises InputError where more is needed."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = _own_bytes() + int(SHARE * free_bytes())
    if before[0] != resource.RLIM_INFINITY:
        most = min(most, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{source} can't be read: what it holds takes more memory than is free here. "
            "Split it, or shorten its longest rows, then run this again."
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def free_bytes() -> int:
    """What processes could still take: of this machine, or of the container where it has a limit."""
    found = [1024 * _number(Path("/proc/meminfo"), "MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").is_file():
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            found.append(max(0, int(limit) - _number(group / "memory.stat", "anon")))
    return min(found)


def _own_bytes() -> int:
    return 1024 * _number(Path("/proc/self/status"), "VmData:")


def _number(file: Path, name: str) -> int:
    """The number after a name that begins a line; 0 where none does."""
    for line in file.read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return int(words[1])
    return 0
