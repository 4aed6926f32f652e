"""docs/security.md names a test for everything that went wrong elsewhere, and each test exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_exists(file, name):
    tree = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert name in {node.name for node in tree if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_test():
    """28 rows of holes and 14 of mistakes; a row without a test would not be counted."""
    tables = [line for line in PAGE.splitlines() if line.startswith("| ")]
    holes = tables.index("| What went wrong | Test |")
    rows = [line for line in tables[holes:] if not line.startswith(("| What", "| ---"))]
    assert rows == ROWS
    assert len(rows) == 47
