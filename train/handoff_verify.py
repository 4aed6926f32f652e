"""Reads hand-off files again as their tool does, and raises where that gives other rows.

TRL is installed, so its own parser and loader read. The others can't be (they pin other versions of
the same libraries): what their readers do is done here, from their sources, named at each function.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pyarrow.parquet as pq

from storage.errors import ConflictError
from train.handoff_settings import kto_message_row, message_row
from train.rows import Row

DUMMY = {"role": "user", "content": "[[dummy_message]]"}  # Axolotl's


class Rows(Protocol):
    """The rows of a split, to be gone through more than once."""

    def __iter__(self) -> Iterator[Row]: ...
    def __len__(self) -> int: ...


def verify_trl(folder: Path, config: Path, command: str, rows: Mapping[str, Rows]) -> None:
    """With the parser of `trl dpo|kto|reward` and the loading of trl/scripts."""
    from importlib import import_module

    from datasets import load_dataset
    from trl.data_utils import is_conversational

    parser = import_module(f"trl.scripts.{command}").make_parser()
    script, training, _, _ = parser.parse_args_and_config(
        # the file is for a machine with a GPU; this one may have none
        args=["--config", str(config), "--use_cpu", "True"],
        fail_with_unknown_args=True,
    )
    with TemporaryDirectory() as cache, chdir(folder):
        data = load_dataset(script.dataset_name, name=script.dataset_config, cache_dir=cache)
        splits = [script.dataset_train_split]
        if training.eval_strategy != "no":
            splits.append(script.dataset_test_split)
        for split in splits:
            found = data[split]
            same = len(found) == len(rows[split])
            same = same and found[0]["prompt"] == next(iter(rows[split]))["prompt"]
            _same(config, split, same=same and is_conversational(found[0]))


class Templated:
    """A model's chat template as Axolotl uses it (prompt_strategies/dpo/chat_template.py)."""

    def __init__(self, model: str) -> None:
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self._before = self._render([DUMMY], answer_next=True)

    def _render(self, messages: Sequence[object], *, answer_next: bool = False) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=answer_next, tokenize=False
        )
        return text

    def axolotl_answer(self, answer: Any) -> str:
        """What Axolotl trains: the rendered text from where the answer's text is first found."""
        text = self._render([DUMMY, answer])
        return text[text.find(answer["content"]) :].rstrip()

    def axolotl_reads(self, row: Row) -> bool:
        """Whether that is the answer: not a word of the header, nor one the template changed."""
        return all(self._finds(row[side]) for side in ("chosen", "rejected"))

    def _finds(self, answer: Any) -> bool:
        text = self._render([DUMMY, answer])
        starts = text.startswith(self._before)
        return (
            bool(answer["content"]) and starts and text.find(answer["content"]) == len(self._before)
        )


def verify_axolotl(
    folder: Path,
    config: Path,
    rows: Mapping[str, Rows],
    kept: Mapping[str, int],
    templated: Templated,
) -> None:
    """As Axolotl's datasets of type chat_template.default do. kept: how many rows were written."""
    values = _yaml(config)
    for part in [*values["datasets"], *values.get("test_datasets", [])]:
        path = folder / part["path"]
        fields = [part[f"field_{name}"] for name in ("messages", "chosen", "rejected")]

        def reads(row: Any, fields: Sequence[str] = fields) -> bool:
            return list(row) == list(fields) and all(
                templated.axolotl_answer(row[side]).startswith(row[side]["content"].rstrip())
                for side in fields[1:]
            )

        made = map(message_row, rows[path.stem])
        _same(config, path.stem, same=_holds(path, made, kept[path.stem], reads))


def alternating(messages: object, *, whole: bool) -> bool:
    """Whether LLaMA-Factory keeps it (data/converter.py, SharegptDatasetConverter): user and
    assistant take turns after one system turn, and the user's is the last before the answer.

    whole: whether the answer is the last of these turns.
    """
    assert isinstance(messages, list), "a conversation is a list of turns"
    turns = [m["role"] for m in messages]
    turns = turns[1:] if turns[:1] == ["system"] else turns
    expected = ["user", "assistant"] * len(turns)
    return turns == expected[: len(turns)] and len(turns) % 2 == (0 if whole else 1)


def verify_llama_factory(
    folder: Path,
    config: Path,
    rows: Mapping[str, Rows],
    kept: Mapping[str, int],
    *,
    kto: bool,
) -> None:
    """As data/parser.py and data/converter.py of LLaMA-Factory do. kept: how many were written."""
    values = _yaml(config)
    place = folder / values["dataset_dir"]
    info = json.loads((place / "dataset_info.json").read_text(encoding="utf-8"))
    for name in filter(None, [values["dataset"], values.get("eval_dataset")]):
        about = info[name]

        def reads(row: Any, about: Any = about) -> bool:
            columns, tags = about["columns"], about["tags"]
            if not alternating(row[columns["messages"]], whole=kto):
                return False
            if kto:
                return isinstance(row[columns["kto_tag"]], bool)
            answers = [row[columns[side]] for side in ("chosen", "rejected")]
            return about["ranking"] and all(
                a[tags["role_tag"]] == tags["assistant_tag"] for a in answers
            )

        path = place / about["file_name"]
        made = map(kto_message_row if kto else message_row, rows[path.stem])
        same = about["formatting"] == "sharegpt" and _holds(path, made, kept[path.stem], reads)
        _same(config, path.stem, same=same)


def verify_unsloth(folder: Path, script: Path, rows: Mapping[str, Rows]) -> None:
    """The script compiles, and its files have its columns and every row."""
    names: dict[str, Any] = {}
    source = script.read_text(encoding="utf-8")
    compile(source, str(script), "exec")
    for line in source.splitlines():
        name, _, value = line.partition(" = ")
        if name in ("FILES", "COLUMNS"):
            names[name] = json.loads(value)
    for split, file in names["FILES"].items():
        table = pq.read_table(folder / file, columns=names["COLUMNS"])
        _same(script, split, same=table.num_rows == len(rows[split]))


def _yaml(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _holds(path: Path, made: Iterable[Row], count: int, reads: Callable[[Any], bool]) -> bool:
    """Whether a file has so many of the rows made, in their order, and the tool reads each as it is."""
    left = iter(made)
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            if row not in left or not reads(row):  # looking for it leaves the rows after it
                return False
            count -= 1
    return count == 0


def _same(file: Path, split: str, *, same: bool) -> None:
    if not same:
        raise ConflictError(
            f"{file.name}, read the way its tool does, does not give the rows of {split} that were "
            "written. Nothing was exported; please report this with the version of pairloop."
        )
