"""Whatever a file or an answer holds: read or refused in a sentence, and rendered to safe HTML.
`make fuzz` looks for new examples, `make fuzz-coverage` lets atheris look."""

import gzip
import json

import pytest
from hostile import PAYLOADS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe_html import check

from annotate.render import render_markdown, visible
from generate.rows import rows
from storage.errors import InputError

MARKS = "\n\n|\n|> |- |1. |```\n|~~~|$|$$|\\(|\\[|[|](|)|<|&|&#|;|\\|*|**|_|`|    |\t|\u202e|\x00|![|]: "
PIECES = st.sampled_from([text[:300] for text in PAYLOADS]) | st.sampled_from(MARKS.split("|"))
LINES = st.sampled_from(
    [
        '{"prompt": "a"}',
        "prompt,source",
        "[",
        "]",
        "{",
        '"',
        "\ufeff",
        "null",
        "1e999",
        '"\\ud800"',
        '{"prompt": ' + "[" * 500,
        "PAR1",
        "\x1f\x8b",
        "=1+1",
        "a" * 200_000,
        "\r",
        "\x00",
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=8).map("".join))
def test_hostile_pieces_in_any_order_render_to_safe_html(text):
    check(render_markdown(text))
    shown = visible(text)
    assert "\u202e" not in shown
    assert "\x00" not in shown


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "jsonl.gz", "csv.gz"])
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=300)
    | st.lists(LINES, max_size=6).map(lambda found: "\n".join(found).encode())
)
def test_any_bytes_of_a_file_are_rows_or_one_message(tmp_path, kind, data):
    file = tmp_path / f"rows.{kind}"
    for content in (
        (data, gzip.compress(data)[: len(data) + 10]) if kind.endswith("gz") else (data,)
    ):
        file.write_bytes(content)
        found, said = [], "read"
        try:
            found = list(rows(str(file)))
        except InputError as error:
            said = str(error)
        assert said.strip()
        for row in found:
            assert row.where.startswith(str(file))
            if not row.problem:
                json.dumps(dict(row.values), default=str)
