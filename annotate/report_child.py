"""Works the whole report out in a process of its own: `python -m annotate.report_child FILE SETTINGS`.

It gives way to everything else on the machine, writes the pickled report to stdout, and ends with
whoever started it, whose end shows at stdin.
"""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

from annotate.config import Distribution
from annotate.report_data import FullReport, full_report
from storage.lake import LakeAddress
from storage.store import Store, from_text, to_text, utc_now

_NICE = 10


def report_from_child(database: Path | LakeAddress, config: Distribution) -> FullReport | str:
    """Start such a process and wait for its report; or why there is none."""
    command = [sys.executable, "-m", "annotate.report_child", to_text(database)]
    command.append(config.model_dump_json(include=set(Distribution.model_fields)))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        out, err = child.stdout, child.stderr
        assert out is not None
        assert err is not None
        told: list[bytes] = []
        listening = Thread(target=lambda: told.append(err.read()))
        listening.start()
        pickled = out.read()
        listening.join()
    if child.returncode:
        said = told[0].decode(errors="replace").strip()
        return said.rpartition("\n")[2] or f"it ended with {child.returncode}"
    found: FullReport = pickle.loads(pickled)  # noqa: S301 - our own process wrote it
    return found


def _end_with_the_parent() -> None:
    os.read(0, 1)  # not sys.stdin, which this process waits for when it ends
    os._exit(1)


def main() -> None:
    database, settings = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, and ends this one too
    os.nice(_NICE)
    Thread(target=_end_with_the_parent, daemon=True).start()
    with Store(from_text(database)) as store:
        found = full_report(store, Distribution.model_validate_json(settings), now=utc_now())
    sys.stdout.buffer.write(pickle.dumps(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
