"""What is acknowledged is on the disk itself, not only handed to the system: a power cut keeps it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMES = 20
APPENDER = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
with Store(Path(sys.argv[1])) as store, store.connected():
    for i in range({TIMES}):
        os.write(2, b"BEGIN\\n")
        store.append([make_judgment("c1:x", f"labeler {{i}}", Verdict.TIE)])
        os.write(2, b"STORED\\n")
"""


def traces() -> bool:
    """Whether this machine lets us watch a process's system calls."""
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not traces(), reason="system calls can't be watched here (strace)")
def test_an_append_returns_after_its_log_was_synced(tmp_path):
    trace = tmp_path / "trace"
    calls = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync,write,pwrite64", "-o", str(trace)]
    command = [*calls, sys.executable, "-c", APPENDER, str(tmp_path / "pairloop.duckdb")]
    subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=True, timeout=120)
    stored, unsynced, wrote = 0, True, False
    for line in trace.read_text(errors="replace").splitlines():
        if '"BEGIN' in line:
            unsynced, wrote = True, False
        elif ".wal>" in line:
            unsynced = "sync(" not in line
            wrote |= "write" in line
        elif '"STORED' in line:
            stored += 1
            assert wrote
            assert not unsynced
    assert stored == TIMES
