"""A folder that others load: it appears whole or not at all, and replaces only an earlier one of ours."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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


def write_split(
    folder: Path, part: str, split: str, rows: Sequence[Row], schema: pa.Schema
) -> None:
    """One split as Parquet, and as JSON lines."""
    for name in (part, "jsonl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pq.write_table(table, folder / part / f"{split}.parquet")
    name = f"{split}.jsonl" if part == "data" else f"{part}-{split}.jsonl"
    write_jsonl(folder / "jsonl" / name, rows)


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """One JSON object per line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
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


def save_to_disk(folder: Path, rows: Mapping[str, Sequence[Row]], schema: pa.Schema) -> None:
    """The splits once more for datasets.load_from_disk, under disk/."""
    from datasets import Dataset, DatasetDict

    splits = {
        split: Dataset(pa.Table.from_pylist(list(found), schema=schema))
        for split, found in rows.items()
    }
    DatasetDict(splits).save_to_disk(str(folder / "disk"))
