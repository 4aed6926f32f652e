"""Writing a report to a file: whole or not at all, and never over somebody's own file."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from storage.errors import ConflictError, InputError

_HEAD = 4096  # bytes in which a report says what it is


def check_place(file: Path, *, mark: str) -> None:
    """Raise unless a report may be written there; mark: what an earlier report has in its head."""
    if file.is_dir():
        raise InputError(f"{file} is a folder. Name a file in it, such as {file / 'report.html'}.")
    if not file.parent.is_dir():
        raise InputError(f"There is no folder {file.parent}. Make it, or choose another place.")
    if not file.exists():
        return
    with file.open("rb") as found:
        head = found.read(_HEAD)
    if head and mark.encode() not in head:
        raise ConflictError(
            f"{file} exists and is no earlier report, so it is not overwritten. "
            "Choose another name, or remove it first."
        )


def write_report(file: Path, text: str) -> None:
    """Put the text there at once: whoever reads meanwhile has the old file or the new one."""
    file = file.resolve()
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as partial:
            try:
                partial.write(text)
                partial.flush()
                os.fsync(partial.fileno())
                mask = os.umask(
                    0o077
                )  # a temporary file is its owner's alone; this one is for keeps
                os.umask(mask)
                Path(partial.name).chmod(0o666 & ~mask)
                Path(partial.name).replace(file)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"{file} could not be written: {error.strerror}.") from error
