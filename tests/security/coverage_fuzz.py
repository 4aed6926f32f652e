"""Coverage-guided fuzzing with atheris: python tests/security/coverage_fuzz.py render|rows SECONDS

render: whatever an answer holds, its HTML has no element, attribute or address but the renderer's.
rows: whatever a file holds, reading it gives rows, rows with a problem, or one message.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris (Linux and macOS).")

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

with atheris.instrument_imports(include=["annotate.render", "annotate.math_html", "generate.rows"]):
    from safe_html import check

    from annotate.render import render_markdown
    from generate.rows import rows
    from storage.errors import InputError

FOLDER = Path(tempfile.mkdtemp())
KINDS = ("jsonl", "json", "csv", "parquet", "jsonl.gz", "csv.gz")


def render(data: bytes) -> None:
    check(render_markdown(atheris.FuzzedDataProvider(data).ConsumeUnicode(4000)))


def read(data: bytes) -> None:
    file = FOLDER / f"rows.{KINDS[data[0] % len(KINDS)] if data else 'csv'}"
    file.write_bytes(data[1:])
    with contextlib.suppress(InputError):
        for row in rows(str(file)):
            assert row.where


if __name__ == "__main__":
    what, seconds = sys.argv[1:]
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", "-max_len=4000", "-timeout=20"],
        {"render": render, "rows": read}[what],
    )
    atheris.Fuzz()
