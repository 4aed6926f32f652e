"""Whether a process of this machine still lives."""

import os
from contextlib import suppress


def process_alive(pid: int) -> bool:
    if os.name == "posix":  # elsewhere signal 0 would be delivered
        with suppress(PermissionError):  # it lives, as someone else's
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return False
    return True
