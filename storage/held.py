"""The database file of a labeling server: open for as long as it runs, and served to the commands.

DuckDB gives an open database up where writing back its log fails, as on a full disk: every later
statement fails until the file is opened again. So it is opened again here, by whoever comes next
once nobody uses the one that was given up; what was acknowledged is in the log and comes back.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import quack
from storage.embedded import EmbeddedConnection
from storage.errors import StoreError

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0  # what is under way gets to end, when the file is closed
AGAIN_SECONDS = 1.0  # between two attempts to open the file again


class HeldFile:
    """Usable from many threads; `connect` opens the file for this process alone."""

    def __init__(self, database: Path, connect: Callable[[Path], EmbeddedConnection]) -> None:
        self._database = database
        self._connect = connect
        self._turn = threading.Condition()
        self._own = threading.local()  # how deep this thread is inside `using`
        self._users = 0
        self._closed = False
        self._server: quack.QuackServer | None = None
        self._failed: tuple[float, StoreError] | None = None  # until when that is the answer
        self._connection: EmbeddedConnection | None = self._open()

    @contextmanager
    def using(self) -> Iterator[EmbeddedConnection]:
        """The open file; raises StoreError once it is closed, and where it can't be opened again."""
        depth = getattr(self._own, "depth", 0)
        with self._turn:
            if not depth:  # whoever is inside already would wait for themselves
                self._turn.wait_for(lambda: self._sound() or not self._users)
                if not self._sound():
                    self._open_again()
            connection = self._connection
            if self._closed or connection is None:
                raise StoreError(f"{self._database} is closed.")
            self._users += 1
        self._own.depth = depth + 1
        try:
            yield connection
        finally:
            self._own.depth = depth
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    def close(self) -> None:
        """Stop serving and give the file back, once what is under way is stored or refused.

        Closing twice does nothing.
        """
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            if not getattr(self._own, "depth", 0):
                self._turn.wait_for(lambda: not self._users, timeout=CLOSE_SECONDS)
        self._let_go()

    def _sound(self) -> bool:
        return self._closed or (self._connection is not None and not self._connection.given_up)

    def _open(self) -> EmbeddedConnection:
        held = self._connect(self._database)
        try:
            self._server = quack.serve(held.connection, self._database)
        except BaseException:
            held.close()
            raise
        return held

    def _open_again(self) -> None:
        if self._failed and time.monotonic() < self._failed[0]:
            raise self._failed[1]
        self._let_go()
        try:
            self._connection = self._open()
        except StoreError as error:
            self._failed = (time.monotonic() + AGAIN_SECONDS, error)
            raise
        self._failed = None
        log.warning("%s was opened again after DuckDB gave it up", self._database)

    def _let_go(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
