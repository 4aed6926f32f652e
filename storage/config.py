"""pairloop.toml: reading it, and telling the user exactly what is wrong with it.

Each stage owns its section's model; this file turns a section into that model.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.errors import ConfigurationError, WorkspaceError

M = TypeVar("M", bound=BaseModel)


class StorageConfig(BaseModel):
    """The [storage] section: where the rows are. Nothing in it means the workspace's own file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = ""  # "ducklake:postgres:dbname=pairloop host=db user=pairloop"
    data: str = ""  # with it: a folder that all machines share, or s3://bucket/prefix


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; raises WorkspaceError when missing, ConfigurationError when broken."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WorkspaceError(
            f"{path} does not exist, so {path.parent} is not a pairloop workspace. "
            "Make one with `pairloop init DIR`, or name one with --workspace DIR."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8 text ({error}). Save it as UTF-8."
        ) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}. Mend that line.") from error


def check_sections(path: Path, data: Mapping[str, Any], *, known: Iterable[str]) -> None:
    """Refuse sections nobody owns, naming the nearest known one."""
    names = sorted(known)
    for name in data:
        if name not in names:
            raise ConfigurationError(
                f"{_at(path, name)}: there is no section [{name}].{_nearest(name, names)} "
                f"Known sections: {', '.join(names)}."
            )


def section(path: Path, data: Mapping[str, Any], name: str, model: type[M]) -> M:
    """One section as its stage's model; every wrong key or value is reported, with its line."""
    values = data.get(name, {})
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{_at(path, name)}: [{name}] must be a section, not a value.")
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        problems = []
        for issue in error.errors():
            key = ".".join(str(part) for part in issue["loc"])
            where = (
                _at(path, str(issue["loc"][0]), inside=name) if issue["loc"] else _at(path, name)
            )
            if issue["type"] == "extra_forbidden":
                nearest = _nearest(key, list(model.model_fields))
                problems.append(f"{where}: [{name}] has no key {key!r}.{nearest}")
            else:
                alone = bool(key) and issue["type"] != "missing"  # else the input is a section
                got = f" (got {issue['input']!r})" if alone else ""
                said = issue["msg"].removeprefix("Value error, ").rstrip(".")
                problems.append(f"{where}: {name}{'.' if key else ''}{key}: {said}{got}.")
        raise ConfigurationError("\n".join(problems)) from error


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _at(path: Path, key: str, *, inside: str = "") -> str:
    """Where a key of the section `inside` stands; without one, a section or a key above them all."""
    wanted = re.compile(rf"\s*[\"']?{re.escape(key)}\b")
    header = re.compile(r"\s*\[+\s*[\"']?(?P<name>[\w-]+)[\"']?\s*[\].]")
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if found := header.match(line):
            section = found["name"]
            if not inside and section == key:
                return f"{path}, line {number}"
        elif section == inside and wanted.match(line):
            return f"{path}, line {number}"
    return str(path)
