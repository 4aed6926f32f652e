"""A PostgreSQL server of the tests' own, and distributed stores on it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from storage import lake
from storage.lake import PREFIX, LakeAddress

_NAMES = count()


def programs() -> Path | None:
    """Where initdb and postgres are, on the path or where Debian puts them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "postgres").exists()), None)


class Postgres:
    """A server on a port of 127.0.0.1, which can be stopped and started again."""

    def __init__(self, folder: Path, networks: Sequence[str] = (), *, fsync: bool = False) -> None:
        """networks: besides this computer itself, who is let in."""
        self._fsync = "on" if fsync else "off"
        self.folder = folder
        self._listen = "*" if networks else "127.0.0.1"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        self._run(
            "initdb", "-D", "data", "-A", "trust", "-U", "pairloop", "--no-sync", "-E", "UTF8"
        )
        with (folder / "data/pg_hba.conf").open("a") as allowed:
            allowed.writelines(f"host all pairloop {network} trust\n" for network in networks)
        self.start()

    def start(self) -> None:
        settings = f"-p {self.port} -c listen_addresses={self._listen} -c fsync={self._fsync} -c max_connections=200"
        self._run(
            "pg_ctl", "-D", "data", "-w", "-l", "log", "-o",
            f"{settings} -c unix_socket_directories={self.folder}", "start",
        )  # fmt: skip

    def stop(self, *, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def crash(self) -> None:
        """As a machine that fails: nothing is flushed, and the next start has to recover."""
        self.stop(mode="immediate")

    def sql(self, text: str, *, database: str = "postgres") -> str:
        return self._run(
            "psql", "-h", str(self.folder), "-p", str(self.port), "-U", "pairloop", "-At",
            "-d", database, "-c", text,
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(programs() / program), *arguments]
        if os.getuid() == 0:  # the server refuses to run as root
            command = [
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                *command,
            ]
        # Its children keep stderr open, so a pipe would be waited for until the server ends.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command, cwd=self.folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )
            said.seek(0)
            text = said.read().decode()
        assert done.returncode == 0, text
        return text.strip()


class Lakes:
    """New distributed stores on one server, each copied from an empty one."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.data = server.folder / "rows"
        self._made = False

    def uri(self, name: str) -> str:
        return f"{PREFIX}dbname={name} host=127.0.0.1 port={self.server.port} user=pairloop"

    def blank(self) -> LakeAddress:
        """A database that nobody has opened yet."""
        name = f"blank{next(_NAMES)}"
        self.server.sql(f"create database {name}")
        return LakeAddress.of(self.uri(name), str(self.server.folder / name / "rows"))

    def new(self) -> LakeAddress:
        """An empty store. They share a folder: no file has the same name twice."""
        if not self._made:
            self.server.sql("create database template_lake")
            template = LakeAddress.of(self.uri("template_lake"), str(self.data))
            lake.connect(template)
            lake.disconnect(template)  # PostgreSQL copies only what nobody is connected to
            self._made = True
        name = f"lake{next(_NAMES)}"
        self.server.sql(f"create database {name} template template_lake")
        return LakeAddress.of(self.uri(name), str(self.data))


@contextmanager
def postgres_server(networks: Sequence[str] = (), *, fsync: bool = False):
    # Not pytest's folder, which only its owner may enter: PostgreSQL runs as another user.
    with tempfile.TemporaryDirectory(prefix="pairloop-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder), networks, fsync=fsync)
        try:
            yield server
        finally:
            server.stop(mode="immediate")
