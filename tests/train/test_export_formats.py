"""The other formats of an export, and the files handed to other training tools."""

import csv
import json
from math import log
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk
from factories import (
    fill_store,
    make_judgment,
    make_pair,
    make_prompt,
    make_response,
    open_store,
)
from scipy.optimize import minimize
from training_data import fill_workspace

from annotate.config import AnnotateConfig
from annotate.consensus import settle
from storage.errors import ConfigurationError
from storage.records import Strength, Verdict
from train.config import TrainConfig
from train.export import Wanted, export
from train.export_formats import Format, answer_scores, connected
from train.handoff import Handoff, Tool, check_handoff, write_handoffs
from train.handoff_verify import alternating
from train.triplets import Drop

F, S, T, B, SKIP = Verdict
MICRO_MODEL = str(Path(__file__).parents[2] / "pairloop" / "demo" / "model")


def rows_of(folder, split="train"):
    return pq.read_table(folder / "data" / f"{split}.parquet").to_pylist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One prompt with three answers in three pairs, one pair both bad, one tied, one test prompt."""
    root = tmp_path_factory.mktemp("formats")
    with open_store(root) as store, store.connected():
        filled = fill_store(store, pairs=2, labelers=("ann", "=bob"), admin=None)
        prompt = make_prompt("Rank these")
        answers = [
            make_response(prompt, filled.policy, f"answer {i}", index=i, token_ids=(4, 5, i))
            for i in range(3)
        ]
        ranked = [make_pair(answers[a], answers[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
        for rows in ([prompt], answers, ranked):
            store.append(rows)

        def said(pair, *verdicts, strength=None):
            for who, verdict in zip(("ann", "=bob"), verdicts, strict=True):
                degree = strength if verdict in (F, S) else None
                store.append([make_judgment(pair, who, verdict, strength=degree)])

        for pair, (a, b) in zip(ranked, ((0, 1), (1, 2), (0, 2)), strict=True):
            if (a, b) == (1, 2):
                said(pair, T, T)
            else:  # the earlier answer wins
                win = F if pair.first == answers[a].id else S
                said(pair, win, win, strength=Strength.CLEAR if b == 1 else None)
        said(filled.pairs[0], B, B)
        said(filled.pairs[1], SKIP, T)
        settle(store, AnnotateConfig())
    return root, answers


def test_kto_has_what_people_want_and_what_nobody_wants(folder, tmp_path):
    root, answers = folder
    with open_store(root) as store, store.connected():
        done = export(store, tmp_path / "out", agreement="", wanted=Wanted(shape=Format.KTO))
    rows = rows_of(tmp_path / "out")
    assert sorted((r["said"], r["label"]) for r in rows) == sorted(
        [("chosen", True), ("rejected", False), ("both_bad", False)] * 2
    )
    assert done.drops == {Drop.TIE: 1, Drop.UNSETTLED: 1}
    texts = {r.id: r for r in answers}
    for row in rows:
        if response := texts.get(row["response_id"]):
            assert row["completion"] == [{"role": "assistant", "content": response.text}]
            assert tuple(row["completion_ids"]) == response.token_ids
            assert row["logprob_sum"] == response.logprob_sum


def test_reward_rows_say_how_much_better_and_load_from_disk(folder, tmp_path):
    wanted = Wanted(shape=Format.REWARD, to_disk=True)
    with open_store(folder[0]) as store, store.connected():
        export(store, tmp_path / "out", agreement="", wanted=wanted)
    rows = rows_of(tmp_path / "out")
    found = sorted((r["margin"], r["strength_votes"]) for r in rows)
    assert found == [(0.0, 0), (pytest.approx(2 / 3), 2)]
    assert load_from_disk(str(tmp_path / "out" / "disk"))["train"].to_list() == rows


def test_a_ranking_orders_the_answers_of_a_prompt(folder, tmp_path):
    root, answers = folder
    with open_store(root) as store, store.connected():
        done = export(store, tmp_path / "out", agreement="", wanted=Wanted(shape=Format.RANKING))
    assert done.drops == {Drop.BOTH_BAD: 1, Drop.UNSETTLED: 1}
    (row,) = rows_of(tmp_path / "out")
    assert row["response_ids"][0] == answers[0].id
    assert row["scores"] == sorted(row["scores"], reverse=True)
    assert row["scores"][1] == pytest.approx(row["scores"][2])
    assert (row["pairs"], row["connected"]) == (3, True)
    ids = {r.id: list(r.token_ids) for r in answers}
    assert row["answer_ids"] == [ids[i] for i in row["response_ids"]]


def test_scores_are_the_maximum_of_their_posterior():
    """Against scipy's own search, from another start."""
    import numpy as np

    edges = [(0, 1, 0.9), (1, 2, 0.7), (2, 0, 0.2), (3, 4, 0.999999)]

    def loss(theta):
        fit = sum(
            p * np.logaddexp(0, theta[b] - theta[a])
            + (1 - p) * np.logaddexp(0, theta[a] - theta[b])
            for a, b, p in edges
        )
        return fit + theta @ theta / 2

    found = answer_scores(5, edges)
    best = minimize(loss, np.ones(5), options={"gtol": 1e-9})
    assert found == pytest.approx(best.x, abs=1e-6)
    assert sum(found) == pytest.approx(0)
    assert not connected(5, edges)
    assert connected(3, edges[:3])
    single = answer_scores(2, [(0, 1, 0.75)])
    assert 2 * single[0] < log(3)  # the prior pulls towards nothing known


def test_votes_hold_every_judgment_with_people_numbered_and_no_formula(folder, tmp_path):
    with open_store(folder[0]) as store, store.connected():
        done = export(store, tmp_path / "out", agreement="", wanted=Wanted(shape=Format.VOTES))
        named = Wanted(shape=Format.VOTES, names=True)
        export(store, tmp_path / "named", agreement="", wanted=named)
    rows = rows_of(tmp_path / "out")
    assert (done.rows, len(rows), not done.drops) == ({"train": 10}, 10, True)
    assert {r["labeler"] for r in rows} == {"labeler 1", "labeler 2"}
    assert sum(r["verdict"] == "skip" for r in rows) == 1
    assert "bob" not in "".join(
        f.read_text(encoding="utf-8", errors="ignore")
        for f in (tmp_path / "out").rglob("*")
        if f.is_file()
    )
    with (tmp_path / "named" / "votes" / "train.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert {r["labeler"] for r in found} == {"ann", "'=bob"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    fill_workspace(root, MICRO_MODEL, pairs=6)
    return root


def test_what_is_handed_over_is_read_as_its_tool_reads_it(plain, tmp_path):
    """TRL's own parser and loader; the other tools' from their sources. A mismatch would raise."""
    tools = [Tool.TRL, Tool.AXOLOTL, Tool.LLAMA_FACTORY, Tool.UNSLOTH]
    handoff = Handoff(tools=tools, base_model=MICRO_MODEL, config=TrainConfig())
    with open_store(plain) as store, store.connected():
        done = export(store, tmp_path / "out", agreement="", wanted=Wanted(handoff=handoff))
    assert not done.left_out
    place = tmp_path / "out" / "handoff"
    (first, *_) = (place / "axolotl" / "train.jsonl").read_text().splitlines()
    assert list(json.loads(first)) == ["messages", "chosen", "rejected"]
    assert sorted(f.name for f in place.iterdir()) == sorted(tools)


def test_rows_that_a_tool_would_read_otherwise_are_left_out_and_counted(plain, tmp_path):
    """Axolotl searches the answer's text from the start, so an answer "user" would be the header."""
    turns = [{"role": "user", "content": "Hi"}]
    one = {"prompt": turns, "chosen": [{"role": "assistant", "content": "Hello"}]}
    header = one | {"rejected": [{"role": "assistant", "content": "user"}]}
    broken = one | {"rejected": one["chosen"], "prompt": turns * 2}
    rows = {"train": [header, broken]}
    tools = [Tool.AXOLOTL, Tool.LLAMA_FACTORY]
    handoff = Handoff(tools=tools, base_model=MICRO_MODEL, config=TrainConfig())
    left = write_handoffs(tmp_path, Format.DPO, rows, handoff)
    assert left == {
        "axolotl": {"the answer would be cut elsewhere": 1},
        "llama-factory": {"turns do not alternate": 1},
    }
    assert alternating([{"role": "system"}, {"role": "user"}], whole=False)
    assert not alternating([{"role": "user"}, {"role": "assistant"}], whole=False)


def test_a_tool_that_does_not_take_a_format_is_refused():
    with pytest.raises(ConfigurationError, match="axolotl takes --format dpo, not kto"):
        check_handoff([Tool.AXOLOTL], Format.KTO)
    with pytest.raises(ConfigurationError, match="Use it with --policy"):
        check_handoff([Tool.GGUF], Format.DPO)
