"""The exported folder: what others load is what the store holds, whole or not at all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from factories import (
    Filled,
    fill_store,
    make_judgment,
    make_pair,
    make_prompt,
    make_response,
    open_store,
)

from annotate.config import AnnotateConfig
from annotate.consensus import settle
from storage.errors import ConflictError, NotReadyError
from storage.records import Message, Split, Verdict
from storage.run_records import RunKind, RunStatus
from storage.runs import runs
from storage.store import Store
from train.export import SCHEMA, export
from train.triplets import Drop

F, S, T, B, SKIP = Verdict
HARD = 'it\'s "so" 🦆 \0 \u2028 שלום\r\n\\n {x} $$'
LOAD = """
import json, sys
from datasets import load_dataset
print(json.dumps({k: d.to_list() for k, d in load_dataset(sys.argv[1]).items()}))
"""


def judge(store: Store, pairs, *verdicts: Verdict) -> None:
    store.append(
        [make_judgment(p, f"labeler {i}", v) for p in pairs for i, v in enumerate(verdicts)]
    )
    settle(store, AnnotateConfig())


def fill(store: Store) -> Filled:
    """Ten pairs settled, one tied, one unsettled; one validation and one test prompt, settled."""
    filled = fill_store(store, pairs=12, labelers=(), admin=None)
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=HARD))
    validation = make_prompt(messages=messages, split=Split.VALIDATION, tags=("a", "b"))
    for prompt in (validation, make_prompt("Test", split=Split.TEST)):
        answers = [
            make_response(prompt, filled.policy, f"{i} {HARD}", temperature=t)
            for i, t in enumerate((0.7, 1.3))
        ]
        filled.prompts.append(prompt)
        filled.responses.extend(answers)
        filled.pairs.append(make_pair(*answers))
        for rows in ([prompt], answers, [filled.pairs[-1]]):
            store.append(rows)
    judge(store, filled.pairs[:9], F, F)
    judge(store, [filled.pairs[9]], S, S)
    judge(store, [filled.pairs[10]], T, T)
    judge(store, [filled.pairs[11]], F, S)
    judge(store, filled.pairs[12:], F, S, S)
    return filled


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> tuple[Path, Filled]:
    """A database to be copied."""
    with open_store(tmp_path_factory.mktemp("ready")) as store, store.connected():
        return store.database, fill(store)


@pytest.fixture
def judged(tmp_path, ready) -> Filled:
    shutil.copy(ready[0], tmp_path)
    return ready[1]


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with open_store(tmp_path) as opened, opened.connected():
        yield opened


def parquet(folder: Path) -> dict[str, list[dict[str, object]]]:
    return {f.stem: pq.read_table(f).to_pylist() for f in sorted((folder / "data").iterdir())}


def test_every_row_says_what_was_preferred_and_where_it_came_from(judged, store, tmp_path):
    done = export(store, tmp_path / "out", agreement="They agree.")
    assert done.rows == {"train": 10, "validation": 1}
    assert done.drops == {Drop.TIE: 1, Drop.UNSETTLED: 1, Drop.TEST_PROMPT: 1}
    prompts, responses = ({x.id: x for x in xs} for xs in (judged.prompts, judged.responses))
    pairs = {p.id: p for p in judged.pairs}
    found = parquet(tmp_path / "out")
    rows = [*found["train"], *found["validation"]]
    assert len(rows) == 11
    for row in rows:
        pair, prompt = pairs[row["pair_id"]], prompts[row["prompt_id"]]
        wins = pair.second if pair in (judged.pairs[9], judged.pairs[12]) else pair.first
        loses = pair.first if wins == pair.second else pair.second
        assert row["prompt"] == [m.as_dict() for m in prompt.messages]
        for side, response in (("chosen", wins), ("rejected", loses)):
            assert row[side] == [{"role": "assistant", "content": responses[response].text}]
            assert row[f"{side}_id"] == response
            assert row[f"{side}_temperature"] == responses[response].temperature
        assert (row["policy_id"], row["source"], row["round"]) == (judged.policy.id, "test", 0)
    (held,) = found["validation"]
    assert (held["votes"], held["agreement"], held["tags"]) == (3, 2 / 3, ["a", "b"])
    assert [r.status for r in runs(store) if r.run.kind is RunKind.EXPORT] == [RunStatus.DONE]


def test_jsonl_and_parquet_hold_the_same_rows_without_missing_values(judged, store, tmp_path):
    export(store, tmp_path / "out", agreement="")
    for split, rows in parquet(tmp_path / "out").items():
        text = (tmp_path / "out" / "jsonl" / f"{split}.jsonl").read_text(encoding="utf-8")
        assert [json.loads(line) for line in text.split("\n")[:-1]] == rows
        assert all(list(row) == SCHEMA.names and None not in row.values() for row in rows)


def test_the_datasets_library_loads_the_folder_without_a_network(judged, store, tmp_path):
    out = tmp_path / "my data"
    export(store, out, agreement="They agree.")
    cache = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    cache["HF_HOME"] = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(out)],
        env=os.environ | cache,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == parquet(out)


def test_the_card_says_what_is_in_and_what_was_left_out(judged, store, tmp_path):
    export(store, tmp_path / "out", agreement="Observed agreement 72 %.")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "\n11 preference pairs" in card
    assert "| train | 10 |\n| validation | 1 |" in card
    assert "Observed agreement 72 %." in card
    assert "- 1 pairs: tie" in card
    assert f"| 0 | `{judged.policy.id}` | sft | test/model |" in card


def test_a_second_export_replaces_the_first(judged, store, tmp_path):
    out = tmp_path / "new" / "out"
    export(store, out, agreement="")
    (out / "data" / "validation.parquet").rename(out / "data" / "old.parquet")
    judge(store, [judged.pairs[11]], F, S, F)
    assert export(store, out, agreement="").rows == {"train": 11, "validation": 1}
    assert sorted(parquet(out)) == ["train", "validation"]
    assert [f.name for f in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_export_is_not_overwritten(judged, store, tmp_path, kind):
    out = tmp_path / "thesis"
    if kind == "folder":
        out.mkdir()
    mine = out / "chapter.tex" if kind == "folder" else out
    mine.write_text("years of work", encoding="utf-8")
    with pytest.raises(ConflictError, match=r"thesis exists and is no earlier export"):
        export(store, out, agreement="")
    assert mine.read_text(encoding="utf-8") == "years of work"


def test_an_empty_folder_may_be_filled(judged, store, tmp_path):
    (tmp_path / "out").mkdir()
    export(store, tmp_path / "out", agreement="")
    assert parquet(tmp_path / "out")


def test_without_a_settled_preference_nothing_is_written(store, tmp_path):
    with pytest.raises(NotReadyError, match=r"no pair is settled.*\(no pairs\)"):
        export(store, tmp_path / "out", agreement="")
    pairs = fill_store(store, pairs=3, labelers=(), admin=None).pairs
    judge(store, pairs[:2], T, T)
    with pytest.raises(NotReadyError, match=r"\(2 tie, 1 not_judged\)|\(1 not_judged, 2 tie\)"):
        export(store, tmp_path / "out", agreement="")
    assert not [f for f in tmp_path.iterdir() if f.is_dir()]


def test_validation_pairs_alone_make_an_export_too(store, tmp_path):
    filled = fill_store(store, pairs=0, labelers=(), admin=None)
    prompt = make_prompt("Held out", split=Split.VALIDATION)
    answers = [make_response(prompt, filled.policy, str(i), index=i) for i in range(2)]
    for rows in ([prompt], answers, [make_pair(*answers)]):
        store.append(rows)
    judge(store, [make_pair(*answers)], F, F)
    assert export(store, tmp_path / "out", agreement="").rows == {"validation": 1}
    assert "path: data/train.parquet" not in (tmp_path / "out/README.md").read_text(
        encoding="utf-8"
    )
