"""A folder that others load: it appears whole or not at all, and replaces only an earlier one of ours."""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ConflictError
from train.rows import Row

MARK = "pairloop-export.json"  # says that a folder is an export and may be replaced by a new one
# Of whatever width: a spreadsheet set to Japanese takes the wide ones as well.
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # spreadsheets run cells that begin so


@contextmanager
def new_folder(out: Path, mark: Mapping[str, object]) -> Iterator[Path]:
    """Yield a folder to fill; afterwards it is at out, or nowhere where filling it failed.

    Raises ConflictError when out holds anything that is no earlier export.
    """
    refuse_foreign(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        (partial / MARK).write_text(json.dumps(mark) + "\n", encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def refuse_foreign(out: Path) -> None:
    """Raise ConflictError when out holds anything that is no earlier export."""
    if out.exists() and not (out / MARK).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConflictError(
            f"{out} exists and is no earlier export, so it is not overwritten. "
            "Choose another folder, or remove it first."
        )


class Written:
    """The rows of one split as they lie in Parquet, read a portion at a time whenever gone through."""

    def __init__(self, folder: Path, split: str) -> None:
        self._path = folder / "data" / f"{split}.parquet"

    def __len__(self) -> int:
        rows: int = pq.read_metadata(self._path).num_rows
        return rows

    def __iter__(self) -> Iterator[Row]:
        with pq.ParquetFile(self._path) as file:
            for portion in range(file.num_row_groups):
                yield from file.read_row_group(portion).to_pylist()

    def to_arrow(self, stream: Path) -> None:
        """The same rows as `datasets` maps them into memory."""
        with (
            pq.ParquetFile(self._path) as file,
            pa.OSFile(str(stream), "wb") as sink,
            pa.ipc.new_stream(sink, file.schema_arrow) as out,
        ):
            for portion in range(file.num_row_groups):
                out.write_table(file.read_row_group(portion))


def write_split(
    folder: Path, part: str, split: str, portions: Iterable[list[Row]], schema: pa.Schema
) -> None:
    """One split as Parquet, with a row group for each portion, and as JSON lines."""
    for name in (part, "jsonl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    name = f"{split}.jsonl" if part == "data" else f"{part}-{split}.jsonl"
    with (
        pq.ParquetWriter(folder / part / f"{split}.parquet", schema) as parquet,
        (folder / "jsonl" / name).open("w", encoding="utf-8") as lines,
    ):
        for rows in portions:
            parquet.write_table(pa.Table.from_pylist(rows, schema=schema))
            lines.writelines(map(_line, rows))


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """One JSON object per line; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(_line(row))
            count += 1
    return count


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def write_csv(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """For spreadsheets: lists as JSON, and an apostrophe before what would run as a formula."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(row[c]) for c in columns] for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def save_to_disk(folder: Path, splits: Mapping[str, Written]) -> None:
    """The splits once more for datasets.load_from_disk, under disk/."""
    from datasets import Dataset, DatasetDict

    with TemporaryDirectory(prefix=".disk-", dir=folder) as place:
        streams = {split: Path(place) / f"{split}.arrow" for split in splits}
        for split, stream in streams.items():
            splits[split].to_arrow(stream)
        found = {split: Dataset.from_file(str(stream)) for split, stream in streams.items()}
        DatasetDict(found).save_to_disk(str(folder / "disk"))
