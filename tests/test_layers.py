"""Who may import whom: the table of the architecture, read from the source with ast."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("storage", "generate", "annotate", "train", "pairloop")
MAY = {
    "storage": {"storage"},
    "generate": {"storage", "generate"},
    "annotate": {"storage", "annotate"},
    "train": {"storage", "train"},
    "pairloop": set(OURS),
}
STANDARD_LIBRARY_ONLY = ("storage/records.py", "storage/team_records.py", "storage/errors.py")
HEAVY = {
    "duckdb": {"storage/embedded.py", "storage/lake.py", "storage/quack.py"},
    "vllm": {"generate/vllm_engine.py"},
    "ray": {"generate/ray_engine.py"},
    "trl": {
        "train/exact_trainer.py",
        "train/trl_methods.py",
        "train/rlhf.py",
        "train/handoff_verify.py",
    },
    "peft": {"train/weights.py", "generate/transformers_engine.py"},
    "gradio": {f"annotate/{file.name}" for file in (ROOT / "annotate").glob("*.py")},
}
FILES = sorted(file for package in OURS for file in (ROOT / package).rglob("*.py"))


def imports(source: str, package: str = "") -> Iterator[str]:
    """Every module a source imports, wherever in it: `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join(filter(None, [package if level else "", module]))
                yield base
                yield from (f"{base}.{name.name}" for name in names)
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module")):
                yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant))


@cache
def roots(file: Path) -> set[str]:
    relative = file.relative_to(ROOT)
    source = file.read_text(encoding="utf-8")
    return {name.split(".")[0] for name in imports(source, ".".join(relative.parent.parts))}


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_imports_only_what_its_layer_may(file):
    """Stages never import each other: the rows in the store are their interface."""
    package = file.relative_to(ROOT).parts[0]
    assert (roots(file) & set(OURS)) - MAY[package] == set()


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_the_vocabulary_needs_nothing_but_the_standard_library(name):
    others = {i for i in imports((ROOT / name).read_text()) if not i.startswith("storage.records")}
    assert {i.split(".")[0] for i in others} - sys.stdlib_module_names == set()


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_in_its_own_file_alone(library):
    users = {name_of(file) for file in FILES if library in roots(file)}
    assert users - HEAVY[library] == set()
    assert users, f"nothing imports {library}: mend this test's table"


@pytest.mark.parametrize("package", OURS)
def test_every_package_has_files_to_read(package):
    assert any(name_of(file).startswith(f"{package}/") for file in FILES)


def test_no_form_of_import_escapes_the_reading():
    source = """
import a.b as x
def f():
    from c.d import e
    from . import g
    from .h import i
    __import__("j")
    importlib.import_module("k.l")
if TYPE_CHECKING:
    from m import n
"""
    assert set(imports(source, "pkg")) == {
        *("a.b", "c.d", "c.d.e", "pkg", "pkg.g", "pkg.h", "pkg.h.i", "j", "k.l", "m", "m.n")
    }
