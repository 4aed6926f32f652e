"""Rows of files: lists as tools export them, compressed files, long cells, and nothing that breaks it."""

import gzip
import json
import resource
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generate.room import free_bytes, room
from generate.rows import MAX_ROW_CHARS, Row, rows
from storage.errors import InputError


def found(path) -> list[tuple[str, dict, str]]:
    return [(r.where.removeprefix(f"{path}, "), dict(r.values), r.problem) for r in rows(str(path))]


def test_a_json_list_is_read_with_the_line_of_each_row(tmp_path):
    path = tmp_path / "export.json"
    path.write_text('\n[\n {"a": 1},\n {"b":\n  2}, "text"\n, 3]\n', encoding="utf-8")

    assert found(path) == [
        ("line 3", {"a": 1}, ""),
        ("line 4", {"b": 2}, ""),
        ("line 5", {"prompt": "text"}, ""),
        ("line 6", {}, "not an object or a string"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, {"b": }]', "not usable JSON"),
        ('[{"a": 1},\n', "the list never ends"),
        ("[" * 100_000, "not usable JSON"),
    ],
)
def test_a_broken_json_list_is_named_where_it_breaks(tmp_path, text, says):
    path = tmp_path / "export.json"
    path.write_text(text, encoding="utf-8")

    assert says in found(path)[-1][2]


def test_a_json_file_of_lines_is_read_line_by_line(tmp_path):
    path = tmp_path / "lines.json"
    path.write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")

    assert [values for _, values, _ in found(path)] == [{"a": 1}, {"a": 2}]


def test_compressed_files_are_read_as_what_they_hold(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    not_gzip = tmp_path / "none.csv.gz"
    not_gzip.write_bytes(b"a,b\n1,2\n")

    assert found(path) == [("line 1", {"a": 1}, "")]
    for broken in (cut, not_gzip):
        with pytest.raises(InputError, match="can't be read"):
            list(rows(str(broken)))


def test_csv_cells_may_be_long_and_empty_ones_are_told_from_missing_ones(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"a,b\n{'x' * 200_000},\n", encoding="utf-8")

    (row,) = rows(str(path))

    assert row == Row(where=f"{path}, line 2", values={"a": "x" * 200_000}, empty=frozenset({"b"}))


def test_a_table_longer_than_a_batch_keeps_its_row_numbers(tmp_path):
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"n": range(1, 2502)}), path)

    assert [(w, v["n"]) for w, v, _ in found(path)] == [(f"row {n}", n) for n in range(1, 2502)]


@pytest.mark.parametrize(
    ("name", "begins", "piece"),
    [
        ("line.jsonl.gz", '{"prompt": "', "a"),
        ("cell.csv.gz", 'prompt\n"', "a" * 9999 + "\n"),
    ],
)
def test_a_row_that_unpacks_to_more_than_a_row_may_hold_is_named(tmp_path, name, begins, piece):
    path = tmp_path / name
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(begins)
        for _ in range(MAX_ROW_CHARS // 2**20 + 1):
            file.write(piece * (2**20 // len(piece) + 1))
    assert path.stat().st_size < 2**20

    problem = ""
    try:
        problem = next(rows(str(path))).problem
    except InputError as error:
        problem = str(error)
    assert f"longer than {MAX_ROW_CHARS} characters" in problem


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_what_unpacks_to_more_than_the_free_memory_is_refused(tmp_path):
    """Before it is taken, so that the kernel has no reason to end a process; the limit goes again."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(InputError, match="more memory than is free"), room("bomb.parquet"):
        bytearray(int(0.9 * free_bytes()))  # never touched: without a limit it would be granted
    assert resource.getrlimit(resource.RLIMIT_DATA) == before

    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["a" * 2**22])
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"prompt": text}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 10_000
    with room("with little room"):
        own = resource.getrlimit(resource.RLIMIT_DATA)[0] - int(0.75 * free_bytes())
    resource.setrlimit(resource.RLIMIT_DATA, (own + 2**29, before[1]))
    try:
        with pytest.raises(InputError, match=r"bomb\.parquet can't be read: .* more memory"):
            list(rows(str(path)))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@given(st.binary(max_size=300), st.sampled_from(["jsonl", "json", "csv", "parquet", "jsonl.gz"]))
def test_no_bytes_make_a_traceback(tmp_path_factory, data, suffix):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{suffix}"
    path.write_bytes(data)
    said = []
    try:
        said += [row.where for row in rows(str(path))]
    except InputError as error:
        said.append(str(error))
    assert all(str(path) in where for where in said)


@given(
    st.recursive(
        st.none() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_list_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps([{"v": value}] * 2, indent=1), encoding="utf-8")

    assert [repr(values) for _, values, _ in found(path)] == [repr({"v": value})] * 2
