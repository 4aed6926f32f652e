"""Moving a workspace's rows between its own file and a lake, and pairloop.toml with them."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from pairloop.workspace import CONFIG_FILE, DATABASE, Workspace, open_workspace
from storage.config import StorageConfig
from storage.copying import extents, fill, same
from storage.embedded import EmbeddedConnection
from storage.errors import ConfigurationError, ConflictError
from storage.lake import LakeAddress
from storage.store import Store

ASIDE = DATABASE + ".moved"  # what the file is called once its rows are elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many rows were copied, from where and to where."""

    rows: int
    source: Path | LakeAddress
    target: Path | LakeAddress


def move(space: Workspace, place: StorageConfig) -> Moved:
    """Copy all rows to an empty store elsewhere, then let pairloop.toml name that one.

    The rows where they were stay: a file is set aside as pairloop.duckdb.moved, a lake is left alone.
    Raises ConflictError where the target holds other rows, or somebody writes to the source.
    """
    target_space = replace(space, storage=place)
    source, target = space.database, target_space.database
    if source == target:
        raise ConflictError(f"The rows are at {source} already.")
    config = space.root / CONFIG_FILE
    before = config.read_text(encoding="utf-8")
    after = with_storage(before, place)
    aside = space.root / ASIDE
    if isinstance(source, Path) and aside.exists():
        raise ConflictError(
            f"{aside} is left from an earlier move. Move it away, then run this again."
        )
    with Store(source) as here, here.connected() as rows, Store(target) as there:
        if isinstance(source, Path) and not isinstance(rows, EmbeddedConnection):
            raise ConflictError(
                f"{source} is open in a labeling server, which would go on writing to it. "
                "Stop it, then run this again."
            )
        found = extents(rows)
        count = fill(there, rows)
        if not same(extents(rows), found):
            raise ConflictError(
                f"Somebody wrote to {source} meanwhile. {target} has the rows of before; pairloop.toml "
                "was not changed. Stop every server and command, and move to an empty store again."
            )
    draft = config.with_name(f".{CONFIG_FILE}.new")
    draft.write_text(after, encoding="utf-8")
    draft.replace(config)
    if isinstance(source, Path):
        source.rename(aside)
    return Moved(rows=count, source=source, target=open_workspace(space.root).database)


def with_storage(text: str, place: StorageConfig) -> str:
    """pairloop.toml with another [storage]; every other line stays as it is."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = line.split("#")[0].strip().replace(" ", "") == "[storage]"
        if not inside:
            kept.append(line)
    found = "".join(kept).rstrip() + "\n"
    if place.store:
        found += f"\n[storage]\nstore = {_quoted(place.store)}\ndata = {_quoted(place.data)}\n"
    wanted = {k: v for k, v in tomllib.loads(text).items() if k != "storage"}
    if place.store:
        wanted["storage"] = {"store": place.store, "data": place.data}
    if tomllib.loads(found) != wanted:
        raise ConfigurationError(
            f"{CONFIG_FILE} is written in a way that can't be changed safely. Write [storage] as a "
            "section of its own, then run this again."
        )
    return found


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
