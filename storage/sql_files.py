"""Named queries from storage/sql/*.sql: `-- name: open_pairs`, then what it answers, then SQL."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """SQL text by name; a name defined twice is a mistake of ours."""
    found: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.sql")):
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            assert name not in found, f"query {name} is defined twice"
            found[name] = sql.strip()
    return found
