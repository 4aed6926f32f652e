"""The exported folder: what others load is what the store holds, whole or not at all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from factories import (
    Filled,
    fill_store,
    make_adjudication,
    make_judgment,
    make_pair,
    make_prompt,
    make_response,
    open_store,
)

from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from storage.adjudication_records import Cause
from storage.errors import ConflictError, NotReadyError
from storage.records import LabelerKind, Message, Split, Verdict
from storage.run_records import RunKind, RunStatus
from storage.runs import runs
from storage.store import Store
from train.export import Wanted, export
from train.judged import JUDGED_SCHEMA
from train.rows import SCHEMA
from train.triplets import Drop

F, S, T, B, SKIP = Verdict
HARD = 'it\'s "so" 🦆 \0 \u2028 שלום\r\n\\n {x} $$'
LOAD = """
import json, sys
from datasets import load_dataset
found = {"data": load_dataset(sys.argv[1]), "judged": load_dataset(sys.argv[1], "judged")}
print(json.dumps({c: {k: d.to_list() for k, d in s.items()} for c, s in found.items()}))
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


def parquet(folder: Path, part: str = "data") -> dict[str, list[dict[str, object]]]:
    return {f.stem: pq.read_table(f).to_pylist() for f in sorted((folder / part).iterdir())}


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


def test_every_judged_pair_is_there_whatever_was_said_of_it(judged, store, tmp_path):
    """Also ties, pairs without a verdict and comparisons of policies; skips, flags and edits too."""
    plain, tied, differing = judged.pairs[0], judged.pairs[10], judged.pairs[11]
    skip = make_judgment(tied, "picky", SKIP)
    flagged = replace(make_judgment(tied, "cy", T), flags=("wrong", "unsafe"))
    edited = replace(make_judgment(plain, "dee", F), edited_text=HARD, flags=("wrong",))
    store.append([skip, flagged, edited])
    add_labeler(store, "model", password=None, kind=LabelerKind.MODEL)
    store.append([make_judgment(tied, "model", S)])
    decision = make_adjudication(differing, None, cause=Cause.UNDERSPECIFIED_PROMPT)
    store.append([decision])
    settle(store, AnnotateConfig())
    done = export(store, tmp_path / "out", agreement="")
    assert done.judged == {"train": 12, "validation": 1, "test": 1}
    assert done.drops == {Drop.TIE: 1, Drop.UNDECIDABLE: 1, Drop.TEST_PROMPT: 1}
    found = parquet(tmp_path / "out", "judged")
    assert {split: len(rows) for split, rows in found.items()} == done.judged
    rows = {row["pair_id"]: row for part in found.values() for row in part}
    texts = {r.id: r for r in judged.responses}
    for pair in judged.pairs:
        row = rows[pair.id]
        for side, response in (("first", pair.first), ("second", pair.second)):
            assert row[side] == [{"role": "assistant", "content": texts[response].text}]
            assert row[f"{side}_id"] == response
            assert row[f"{side}_temperature"] == texts[response].temperature
        counts = [row[f"{v.value}_votes"] for v in (F, S, T, B)]
        assert sum(counts) == row["votes"] > 0
        assert row["settled"] == bool(row["tier"])
    tie = rows[tied.id]
    assert (tie["verdict"], tie["tier"], tie["tie_votes"], tie["skips"]) == (
        "tie",
        "human_agreed",
        3,
        1,
    )
    assert (tie["probability_first"], tie["agreement"]) == (0.5, 1.0)
    assert (tie["judge_second_votes"], tie["votes"]) == (1, 3)
    assert tie["flags"] == [{"flag": "unsafe", "count": 1}, {"flag": "wrong", "count": 1}]
    assert rows[plain.id]["edits"] == [{"answer": "first", "text": HARD}]
    open_question = rows[differing.id]
    assert (open_question["verdict"], open_question["tier"]) == ("", "adjudicated")
    assert open_question["adjudication_cause"] == "underspecified_prompt"


def test_pairs_only_a_model_judged_are_a_tier_of_their_own_and_only_where_asked_for(
    judged, store, tmp_path
):
    add_labeler(store, "model", password=None, kind=LabelerKind.MODEL)
    prompt = make_prompt("Nobody but a model")
    answers = [make_response(prompt, judged.policy, str(i), index=i) for i in range(2)]
    pair = make_pair(*answers)
    for rows in ([prompt], answers, [pair]):
        store.append(rows)
    store.append([make_judgment(pair, "model", S)])
    without = export(store, tmp_path / "out", agreement="")
    assert without.drops[Drop.JUDGE_ONLY] == 1
    with_judge = export(store, tmp_path / "more", agreement="", wanted=Wanted(judge_votes=True))
    assert with_judge.drops[Drop.JUDGE_ONLY] == 0
    (row,) = [r for r in parquet(tmp_path / "more")["train"] if r["pair_id"] == pair.id]
    assert (row["tier"], row["chosen_id"], row["weight"]) == ("judge", pair.second, 0.5)
    card = (tmp_path / "more" / "README.md").read_text(encoding="utf-8")
    assert "| `judge` | only language models judged it | 1 |" in card
    (seen,) = [r for r in parquet(tmp_path / "out", "judged")["train"] if r["pair_id"] == pair.id]
    assert (seen["votes"], seen["judge_second_votes"], seen["verdict"]) == (0, 1, "second")
    assert (seen["tier"], seen["method"], seen["reason"]) == (
        "judge",
        "judge",
        "judged by models only",
    )


def test_jsonl_and_parquet_hold_the_same_rows_without_missing_values(judged, store, tmp_path):
    export(store, tmp_path / "out", agreement="")
    for part, before, schema in (("data", "", SCHEMA), ("judged", "judged-", JUDGED_SCHEMA)):
        for split, rows in parquet(tmp_path / "out", part).items():
            file = tmp_path / "out" / "jsonl" / f"{before}{split}.jsonl"
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
            assert [json.loads(line) for line in lines] == rows
            assert all(list(row) == schema.names and None not in row.values() for row in rows)


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
    assert json.loads(done.stdout) == {part: parquet(out, part) for part in ("data", "judged")}


def test_the_card_says_what_is_in_and_what_was_left_out(judged, store, tmp_path):
    export(store, tmp_path / "out", agreement="Observed agreement 72 %.")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "\n11 preference pairs" in card
    assert "| train | 10 | 12 |\n| validation | 1 | 1 |\n| test | 0 | 1 |" in card
    assert "| `human_agreed` | two or more people said so | 11 |" in card
    assert "`judge`" not in card
    assert "Observed agreement 72 %." in card
    assert "- 1 pair: tie" in card
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
