"""Rows of files people have: JSONL, JSON, CSV, Parquet (each also .gz), or a Hub dataset.

One row is a mapping and the place it stood, for example
    Row(where="prompts.jsonl, line 3", values={"prompt": "What is tea?"})
A row that can't be read says why and the next one is read; rows come one by one, so that a large
file does not have to fit into memory.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import InputError

HUB = "hf:"
MAX_CELL_CHARS = 2**30  # Python's csv module stops at 131,072 unless told otherwise
BATCH_ROWS = 1000
READ_ERRORS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as found: where it stood, and its values or what is wrong with it.

    empty: columns of a table that hold nothing in this row.
    """

    where: str
    values: Mapping[str, Any]
    problem: str = ""
    empty: frozenset[str] = frozenset()


def rows(source: str) -> Iterator[Row]:
    """Every row of a file or Hub dataset; raises InputError where it can't be read at all."""
    if source.startswith(HUB):
        yield from _hub_rows(source.removeprefix(HUB))
        return
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"{source} is not a file. Give JSONL, JSON, CSV or Parquet, or hf:owner/name."
        )
    try:
        match kind_of(path):
            case ".jsonl" | ".ndjson":
                yield from _jsonl_rows(path)
            case ".json":
                yield from _json_rows(path)
            case ".csv":
                yield from _csv_rows(path)
            case ".parquet":
                yield from _parquet_rows(path)
            case suffix:
                raise InputError(
                    f"{source}: files of kind {suffix or 'without a suffix'} are not read. "
                    "Use .jsonl, .json, .csv or .parquet, each also with .gz."
                )
    except READ_ERRORS as error:
        raise InputError(f"{path} can't be read: {error}") from error


def kind_of(path: Path) -> str:
    """The suffix that says how a file is read, without .gz."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def parse_json(text: str) -> tuple[Any, str]:
    """The value of a JSON text, or what is wrong with it."""
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        return None, f"not JSON ({error.msg}, column {error.colno})"
    except ValueError as error:  # a number of thousands of digits
        return None, f"not usable JSON ({error})"
    except RecursionError:
        return None, "not usable JSON (nested too deeply)"


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _lines(path: Path) -> Iterator[str]:
    """The file's lines as text, each with one line feed whatever ended it in the file."""
    with _opened(path) as file:
        try:
            yield from io.TextIOWrapper(file, encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error


def _not_utf8(path: Path) -> InputError:
    """What to say about the first line that is no UTF-8."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return InputError(
                    f"{path}, line {number}: not UTF-8 text (byte 0x{line[error.start]:02x}). "
                    f"Convert it first, for example `iconv -f latin1 -t utf-8 {path.name}`."
                )
    return InputError(f"{path}: not UTF-8 text.")


def _row(where: str, values: object, problem: str) -> Row:
    if problem:
        return Row(where=where, values={}, problem=problem)
    if isinstance(values, str):
        return Row(where=where, values={"prompt": values})
    if isinstance(values, dict):
        return Row(where=where, values=values)
    return Row(where=where, values={}, problem="not an object or a string")


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield _row(f"{path}, line {number}", *parse_json(line.rstrip("\n")))


def _json_rows(path: Path) -> Iterator[Row]:
    """A JSON list of rows, as tools export it, with each row's line; else one row per line."""
    text = "".join(_lines(path))
    start = len(text) - len(text.lstrip())
    if not text.startswith("[", start):
        yield from _jsonl_rows(path)
        return
    decoder = json.JSONDecoder()
    at, line = start + 1, text.count("\n", 0, start + 1) + 1
    while True:
        begins = _skip(text, at, " \t\r\n,")
        line += text.count("\n", at, begins)
        if text.startswith("]", begins) or begins >= len(text):
            if begins >= len(text):
                yield Row(where=f"{path}, line {line}", values={}, problem="the list never ends")
            return
        where = f"{path}, line {line}"
        try:
            values, at = decoder.raw_decode(text, begins)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            yield Row(where=where, values={}, problem=f"not usable JSON ({why})")
            return
        line += text.count("\n", begins, at)
        yield _row(where, values, "")


def _skip(text: str, at: int, letters: str) -> int:
    while at < len(text) and text[at] in letters:
        at += 1
    return at


def _csv_rows(path: Path) -> Iterator[Row]:
    # Only \r and \n end a row here: splitlines() also breaks at U+2028, form feeds and the like.
    csv.field_size_limit(MAX_CELL_CHARS)
    reader = csv.reader(_lines(path), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num
        try:
            found = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Where the row begins: an open quote is noticed at the end of the file only.
            yield Row(where=f"{path}, line {line + 1}", values={}, problem=str(error))
            return
        if not found:
            continue
        if not header:
            header = found
            continue
        where = f"{path}, line {reader.line_num}"
        if len(found) > len(header):
            yield Row(where=where, values={}, problem="more cells than the header has columns")
            continue
        values = dict(zip(header, found, strict=False))
        cells: dict[str, Any] = {k: v for k, v in values.items() if v}
        if "messages" in cells:
            cells["messages"], problem = parse_json(cells["messages"])
            if problem:
                yield Row(where=where, values={}, problem=f"messages is {problem}")
                continue
        yield Row(where=where, values=cells, empty=frozenset(header) - cells.keys())


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(where=f"{path}, row {number}", values=values)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error


def _hub_rows(name: str) -> Iterator[Row]:
    """`owner/name`, optionally `owner/name/configuration` and `:split` (default train)."""
    from datasets import load_dataset

    dataset, _, split = name.partition(":")
    owner, _, rest = dataset.partition("/")
    title, _, configuration = rest.partition("/")
    dataset = f"{owner}/{title}" if title else owner
    try:
        found = load_dataset(dataset, configuration or None, split=split or "train")
    except Exception as error:
        raise InputError(
            f"The dataset {dataset!r} can't be loaded: {type(error).__name__}. Check its name, the "
            "network, and for a gated one HF_TOKEN. Where it has several configurations, name one: "
            "hf:owner/name/configuration."
        ) from error
    for number, values in enumerate(found, start=1):
        yield Row(where=f"{HUB}{name}, row {number}", values=values)
