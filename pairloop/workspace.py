"""A workspace: the folder with pairloop.toml, the database, policies, exports and logs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from annotate.config import AnnotateConfig, Retrain
from generate.config import GenerateConfig
from pairloop.logs import LogConfig
from storage.config import StorageConfig, check_sections, read_toml, section
from storage.errors import ConfigurationError
from train.config import Method, TrainConfig, settings_of

if TYPE_CHECKING:
    from storage.lake import LakeAddress
    from storage.store import Store

log = logging.getLogger(__name__)

CONFIG_FILE = "pairloop.toml"
DATABASE = "pairloop.duckdb"
SECTIONS = ("storage", "generate", "annotate", "train", "retrain", "log")

TEMPLATE = """\
# A pairloop workspace. Every key that is not here has its default; see docs/configuration.md.

[generate]
model = {model}                   # the SFT model: a Hub id (owner/name) or a path
temperatures = [0.7, 1.0, 1.3]
samples_per_temperature = 2
max_tokens = 512

[annotate]
votes_per_pair = 2                # a third vote is asked for where the first two differ

[train]
beta = 0.1
learning_rate = 1e-5
"""

GUIDELINES = """\
# Which answer is better?

Prefer the answer that you would rather get if you had asked the question.

1. **Right and on topic** comes first: it answers what was asked, and what it says is true.
2. **Helpful** comes next: it says what is needed, clearly, and no more.
3. **Pleasant** comes last: courteous, easy to read.

Say *tie* when you would not mind which one you got, and *both bad* when neither is acceptable.
*Skip* a pair that you can't judge.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder and its checked configuration."""

    root: Path
    generate: GenerateConfig
    annotate: AnnotateConfig
    train: TrainConfig
    retrain: Retrain
    log: LogConfig
    storage: StorageConfig

    @property
    def database(self) -> Path | LakeAddress:
        """Where the rows are; raises ConfigurationError where [storage] says no usable place."""
        if not self.storage.store:
            if self.storage.data:
                raise ConfigurationError(
                    f"{self.root / CONFIG_FILE}: storage.data is for a distributed store, and there "
                    "is no storage.store. Give both or neither; see docs/many-machines.md."
                )
            return self.root / DATABASE
        from storage.lake import LakeAddress

        data = self.storage.data
        if data and "://" not in data:
            data = str((self.root / Path(data).expanduser()).resolve())
        return LakeAddress.of(self.storage.store, data)

    def store(self, *, hold: bool = False) -> Store:
        """The database; hold=True keeps the file and serves it (the labeling server)."""
        from storage.store import Store

        return Store(self.database, hold=hold)

    @property
    def guidelines(self) -> str:
        """The guidelines' Markdown, "" where the file does not exist."""
        path = self.root / self.annotate.guidelines
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def open_workspace(root: Path, *, method: Method | None = None) -> Workspace:
    """Read and check pairloop.toml; raises WorkspaceError or ConfigurationError.

    method: instead of train.method; keys of [train] that are only other methods' are left out, and
    told.
    """
    path = root / CONFIG_FILE
    data = read_toml(path)
    check_sections(path, data, known=SECTIONS)
    if method is not None and isinstance(given := data.get("train", {}), Mapping):
        data["train"], others = settings_of(method, given)
        if others:
            log.warning("[train] %s: not of %s, left out", ", ".join(others), method.value)
    generate = section(path, data, "generate", GenerateConfig)
    if generate.validation_share + generate.test_share >= 1:
        raise ConfigurationError(
            f"{path}: generate.validation_share + generate.test_share is "
            f"{generate.validation_share + generate.test_share:g}; it must leave something to train on."
        )
    model = Path(generate.model).expanduser()
    if not model.is_absolute() and (root / model).is_dir():
        generate = generate.model_copy(update={"model": str((root / model).resolve())})
    return Workspace(
        root=root.resolve(),
        generate=generate,
        annotate=section(path, data, "annotate", AnnotateConfig),
        train=section(path, data, "train", TrainConfig),
        retrain=section(path, data, "retrain", Retrain),
        log=section(path, data, "log", LogConfig),
        storage=section(path, data, "storage", StorageConfig),
    )


def init_workspace(root: Path, *, model: str, config: str | None = None) -> tuple[Workspace, bool]:
    """Make what is missing of a workspace; True when it was new.

    config: the text of pairloop.toml, where it is not the template's.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / CONFIG_FILE
    new = not path.exists()
    if new:
        quoted = '"' + model.replace("\\", "\\\\").replace('"', '\\"') + '"'
        path.write_text(config or TEMPLATE.format(model=quoted), encoding="utf-8")
    if not (root / "guidelines.md").exists():
        (root / "guidelines.md").write_text(GUIDELINES, encoding="utf-8")
    for folder in ("policies", "exports", "logs"):
        (root / folder).mkdir(exist_ok=True)
    workspace = open_workspace(root)
    with workspace.store() as store, store.connected():
        pass  # makes the database, or brings it up to date
    return workspace, new
