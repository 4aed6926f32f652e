"""Real votes of real people: what was published about them comes out again."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from imported import bring_in, store_at, write_jsonl

from annotate.agreement import MATRIX_LABELERS, agreement_report
from annotate.config import AnnotateConfig
from storage.judgments import votes
from storage.pairs import pairs
from storage.records import Purpose, Verdict

DATA = Path(
    os.environ.get("PAIRLOOP_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)


def real(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not here (PAIRLOOP_SHARED_DATA says where to look)")
    return DATA / name


@pytest.mark.parametrize(
    ("name", "agreement", "alpha", "people"),
    [
        ("llmfao_votes.parquet", 0.5322, 0.2906, 124),
        ("mtbench_human_subset_votes.parquet", 0.6536, 0.4219, 65),
    ],
)
def test_published_agreement_comes_out_of_imported_votes(tmp_path, name, agreement, alpha, people):
    file = real(name)
    with store_at(tmp_path) as store:
        tally = bring_in(store, "votes", file)
        report = agreement_report(store, AnnotateConfig())

    assert tally.votes == tally.stored["judgment"] == pq.read_metadata(file).num_rows
    assert report.judgments == tally.votes
    assert len(report.labelers) == people
    assert round(report.observed_agreement.value, 4) == agreement
    assert round(report.alpha_nominal.value, 4) == alpha
    assert len(report.matrix.labelers) == min(people, MATRIX_LABELERS)
    assert report.flip_rate.low < report.flip_rate.value < report.flip_rate.high
    assert all(p.left_share is None or 0 <= p.left_share <= 1 for p in report.labelers)


def test_every_usable_row_of_hh_is_imported(tmp_path):
    """All but those that part before the last answer, and those with an empty one."""
    rows = pq.read_table(real("hh_harmless_test.parquet")).to_pylist()
    usable = sum(
        len(json.loads(r["continuation_a"])) == len(json.loads(r["continuation_b"])) == 1
        and bool(r["response_a"].strip() and r["response_b"].strip())
        for r in rows
    )
    who = {"user": "\n\nHuman: ", "assistant": "\n\nAssistant: "}

    def told(row: dict, side: str) -> str:
        turns = json.loads(row["context"]) + json.loads(row[f"continuation_{side}"])
        return "".join(who[t["role"]] + t["content"] for t in turns)

    lines = [{"chosen": told(r, "a"), "rejected": told(r, "b")} for r in rows]
    with store_at(tmp_path) as store:
        tally = bring_in(store, "hh-rlhf", write_jsonl(tmp_path / "hh.jsonl", *lines))
        table = votes(store, purposes=[Purpose.TRAIN])
        stored = pairs(store)

    assert tally.votes + sum(tally.left_out.values()) == len(rows)
    assert tally.votes == usable
    assert len(stored) <= tally.votes
    assert set(table["first_side"].to_pylist()) == {None}
    first = np.mean([v == Verdict.FIRST for v in table["verdict"].to_pylist()])
    assert 0.45 < first < 0.55, "ids, not the file's order, say which answer is first"
