"""`pairloop import` as people use it, and what the other commands make of imported pairs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from imported import write_jsonl
from layout_examples import ARENA, EXAMPLES, HH, ULTRAFEEDBACK


def pairloop(*words: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pairloop", *words, "-w", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.fixture
def workspace(tmp_path, micro_model) -> Path:
    from pairloop.workspace import init_workspace

    init_workspace(tmp_path / "work", model=micro_model)
    return tmp_path / "work"


def test_votes_are_imported_shown_apart_and_exported_with_their_origin(workspace, tmp_path):
    rows = [
        EXAMPLES["votes"][0] | {"prompt": f"What is tea number {i}?", "annotator_id": who}
        for i in range(20)
        for who in ("w1", "w2")
    ]
    equal = {"response_a": "Tea.", "response_b": "Tea.", "model_a": "x", "model_b": "y"}
    rows += [EXAMPLES["votes"][0] | equal | {"prompt": f"Equal {i}?"} for i in range(9)]
    file = write_jsonl(tmp_path / "votes.jsonl", *rows)

    done = pairloop("import", "votes", str(file), folder=workspace)

    assert done.returncode == 0, done.stderr
    assert "Imported 49 votes of 2 new labelers, 29 pairs" in done.stdout
    assert "9 votes are on equal answers of two models" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("Next: pairloop agreement")

    again = json.loads(pairloop("import", "auto", str(file), "--json", folder=workspace).stdout)
    assert (again["already_there"], again["settled"]) == (49, 0)

    status = pairloop("status", folder=workspace)
    assert "29 pairs (0 came without votes), 49 votes, 29 settled" in status.stdout.replace(
        "\n", " "
    )
    state = json.loads(pairloop("status", "--json", folder=workspace).stdout)
    assert state["rounds"] == []
    assert state["imported"]["votes"] == 49

    out = tmp_path / "out"
    exported = subprocess.run(
        [sys.executable, "-m", "pairloop", "export", str(out), "-w", str(workspace)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert exported.returncode == 0, exported.stderr
    assert "identical answers" in exported.stdout
    written = [
        row for path in (out / "data").glob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    assert {row["origin"] for row in written} == {"imported"}
    assert {row["chosen"][0]["content"] for row in written} == {"A drink."}
    assert "imported from elsewhere" in (out / "README.md").read_text(encoding="utf-8")


def test_bad_rows_are_one_message_and_nothing_is_stored(workspace, tmp_path):
    file = write_jsonl(tmp_path / "arena.jsonl", ARENA, ARENA | {"winner": "me"}, "{")

    done = pairloop("import", "arena", str(file), folder=workspace)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert f"{file}, line 2: 'winner' is 'me'" in done.stderr
    assert f"{file}, line 3: not JSON" in done.stderr
    state = json.loads(pairloop("status", "--json", folder=workspace).stdout)
    assert (state["prompts"], state["imported"]) == (0, None)


def test_candidates_are_for_the_labelers_and_prompts_can_be_added_alone(workspace, tmp_path):
    rows = [ULTRAFEEDBACK | {"instruction": f"What is tea number {i}?"} for i in range(10)]
    file = write_jsonl(tmp_path / "uf.jsonl", *rows)

    done = pairloop("import", "ultrafeedback", str(file), folder=workspace)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("Next: pairloop annotate")
    state = json.loads(pairloop("status", "--json", folder=workspace).stdout)
    assert state["imported"]["for_labeling"] == state["imported"]["pairs"] > 0

    hh = write_jsonl(tmp_path / "hh.jsonl", HH, HH)
    added = pairloop("prompts", "add", str(hh), "--layout", "hh-rlhf", folder=workspace)
    assert "Added 1 prompt (" in added.stdout
