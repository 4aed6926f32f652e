"""What can go wrong, as users meet it.

    PairloopError
    ├── ConfigurationError   pairloop.toml or a flag is wrong (also a ValueError)
    ├── InputError           a file or record the user gave is wrong (also a ValueError)
    ├── WorkspaceError       the folder is no workspace, or not one this version can use (OSError)
    ├── StoreError           the database can't be opened, reached or written (RuntimeError)
    │   ├── DiskFullError    there is no room to write
    │   └── DamagedError     the log beside the database is damaged
    ├── ModelError           a model or adapter can't be loaded or used (RuntimeError)
    ├── NotReadyError        an earlier stage has not produced what this one needs (RuntimeError)
    └── ConflictError        the request clashes with what is stored (RuntimeError)

A message says what happened, why, and what to do. The command prints it and exits with 1.
"""


class PairloopError(Exception):
    """Base of every error a user may see."""


class ConfigurationError(PairloopError, ValueError):
    """Raised when pairloop.toml or a flag holds an unknown key or a wrong value."""


class InputError(PairloopError, ValueError):
    """Raised when a file or a record given by the user is not usable."""


class WorkspaceError(PairloopError, OSError):
    """Raised when a folder is not a workspace, or belongs to a newer version."""


class StoreError(PairloopError, RuntimeError):
    """Raised when the database can't be opened, reached or written."""


class DiskFullError(StoreError):
    """Raised when the disk, a quota or a limit on the size of files leaves no room."""


class DamagedError(StoreError):
    """Raised when the log beside the database can't be read to its end; `at` is the first bad byte."""

    def __init__(self, message: str, *, at: int) -> None:
        super().__init__(message)
        self.at = at


class ModelError(PairloopError, RuntimeError):
    """Raised when a model, adapter or tokenizer can't be loaded or used."""


class NotReadyError(PairloopError, RuntimeError):
    """Raised when an earlier stage has not produced what this one needs."""


class ConflictError(PairloopError, RuntimeError):
    """Raised when a request clashes with what is already stored."""
