"""An export made a portion at a time: the same as made at once, in memory that its rows do not fill."""

import shutil
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
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

from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from storage.records import LabelerKind, Pair, Split, Strength, Verdict
from storage.store import Store
from train.config import TrainConfig
from train.export import Wanted, export
from train.export_formats import Format
from train.handoff import TAKES, Handoff, Tool

F, S, T, B, _ = Verdict
MICRO_MODEL = str(Path(__file__).parents[2] / "pairloop" / "demo" / "model")
PEOPLE = ("ann", "bob")
LONG = 6_000  # words of an answer, or a reason: four characters each
REWRITTEN = (Tool.AXOLOTL, Tool.LLAMA_FACTORY)  # whose files hold the rows once more
FEW, MANY = 12, 60  # pairs


@pytest.fixture
def in_small_portions(monkeypatch):
    for module in ("rows", "judged", "export_votes"):
        monkeypatch.setattr(f"train.{module}.PORTION", 4)


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """Pairs of every outcome in two splits: several of a prompt, some with identical answers."""
    with open_store(tmp_path_factory.mktemp("ready")) as store, store.connected():
        filled = fill_store(store, pairs=0, labelers=PEOPLE, admin=None)
        add_labeler(store, "model", password=None, kind=LabelerKind.MODEL)
        said = []
        for i in range(15):
            split = Split.VALIDATION if i % 3 == 0 else Split.TRAIN
            prompt = make_prompt(f"Question {i}", split=split)
            answers = [
                make_response(
                    prompt, filled.policy, "same" if i == 7 else f"{i}.{n} \u2028 🦆", index=n
                )
                for n in range(3)
            ]
            pairs = [make_pair(answers[a], answers[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
            for rows in ([prompt], answers, pairs):
                store.append(rows)
            for n, pair in enumerate(pairs):
                verdict = (F, S, T, B)[(i + n) % 4]
                strength = Strength.CLEAR if verdict in (F, S) else None
                edited = "Better" if verdict is F else ""
                said += [
                    replace(
                        make_judgment(pair, who, verdict, strength=strength), edited_text=edited
                    )
                    for who in PEOPLE
                ]
                said.append(make_judgment(pair, "model", F))
        store.append(said)
        settle(store, AnnotateConfig())
        return store.database


@pytest.fixture
def store(tmp_path, ready) -> Iterator[Store]:
    shutil.copy(ready, tmp_path)
    with open_store(tmp_path) as opened, opened.connected():
        yield opened


def rows_of(folder: Path, split: str) -> list[dict[str, object]]:
    return pq.read_table(folder / "data" / f"{split}.parquet").to_pylist()


def wanted_of(shape: Format, *tools: Tool) -> Wanted:
    """With everything that is made of the rows."""
    handoff = Handoff(tools=tools, base_model=MICRO_MODEL, config=TrainConfig())
    return Wanted(shape=shape, to_disk=True, handoff=handoff if tools else None)


def content(folder: Path) -> dict[str, object]:
    """What an export holds, by file; disk/ as it loads."""
    found: dict[str, object] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.suffix == ".parquet":
            found[name] = pq.read_table(file)
        elif file.is_file() and not name.startswith(("disk", "pairloop-export")):
            found[name] = file.read_bytes()
    disk = load_from_disk(str(folder / "disk"))
    return found | {split: (rows.features, rows.to_list()) for split, rows in disk.items()}


@pytest.mark.parametrize("shape", list(Format))
def test_portions_give_the_files_that_one_go_gives(store, tmp_path, shape, request):
    wanted = wanted_of(shape, *(tool for tool in REWRITTEN if shape in TAKES[tool]))
    at_once = export(store, tmp_path / "at once", agreement="So so.", wanted=wanted)
    request.getfixturevalue("in_small_portions")
    ticks: list[tuple[int, int]] = []
    done = export(
        store,
        tmp_path / "portions",
        agreement="So so.",
        wanted=wanted,
        progress=lambda *tick: ticks.append(tick),
    )
    assert replace(done, folder=at_once.folder) == at_once
    assert content(tmp_path / "portions") == content(tmp_path / "at once")
    total = sum(done.rows.values()) + sum(done.judged.values())
    assert ticks[-1] == (total, total)
    assert len(ticks) > 2


def test_a_vote_given_meanwhile_is_not_half_in_it(store, tmp_path, in_small_portions):
    """Neither in the rows still to be made, nor in what the card counts, nor in judged/."""
    wanted = wanted_of(Format.DPO)
    export(store, tmp_path / "before", agreement="", wanted=wanted)
    last = rows_of(tmp_path / "before", "validation")[-1]
    other = S if last["chosen_id"] < last["rejected_id"] else F
    changed = []

    def change(done: int, total: int) -> None:
        if not changed:
            changed.extend(make_judgment(last["pair_id"], w, other, revision=1) for w in PEOPLE)
            store.append(changed)
            settle(store, AnnotateConfig())

    export(store, tmp_path / "meanwhile", agreement="", wanted=wanted, progress=change)
    assert changed
    assert content(tmp_path / "meanwhile") == content(tmp_path / "before")
    export(store, tmp_path / "after", agreement="", wanted=wanted)
    after = {row["pair_id"]: row for row in rows_of(tmp_path / "after", "validation")}
    assert after[last["pair_id"]]["chosen_id"] == last["rejected_id"]


@pytest.fixture(scope="module")
def long_texts(tmp_path_factory) -> tuple[Path, list[Pair]]:
    """A database of long answers, nothing judged yet."""
    with open_store(tmp_path_factory.mktemp("long")) as store, store.connected():
        filled = fill_store(store, pairs=0, labelers=PEOPLE, admin=None)
        prompts = [make_prompt(f"Question {i}") for i in range(MANY)]
        answers = [
            [make_response(p, filled.policy, f"{n} {'tea ' * LONG}", index=n) for n in range(2)]
            for p in prompts
        ]
        pairs = [make_pair(*two) for two in answers]
        for rows in (prompts, [one for two in answers for one in two], pairs):
            store.append(rows)
        return store.database, pairs


def judge(store: Store, pairs: Sequence[Pair], verdict: Verdict, words: str) -> None:
    store.append(
        [
            replace(make_judgment(pair, who, verdict, strength=None), rationale=words)
            for pair in pairs
            for who in PEOPLE
        ]
    )
    settle(store, AnnotateConfig())


@pytest.mark.parametrize("shape", list(Format))
def test_memory_does_not_grow_with_the_rows(long_texts, tmp_path, in_small_portions, shape):
    """48 more pairs take less than a sixth of their texts: Python's memory alone, which texts fill."""
    shutil.copy(long_texts[0], tmp_path)
    words = "tea " * LONG if shape is Format.VOTES else ""
    tools = (tool for tool in REWRITTEN if shape in TAKES[tool])
    wanted = replace(wanted_of(shape, *tools), names=shape is Format.VOTES)
    peaks = []
    with open_store(tmp_path) as store, store.connected():
        pairs = long_texts[1]
        verdict = B if shape is Format.KTO else F
        judge(store, pairs[:1], F, words)
        judge(store, pairs[1:FEW], verdict, words)
        export(store, tmp_path / "out", agreement="", wanted=wanted)  # imports take memory too
        for more in ([], pairs[FEW:]):
            judge(store, more, verdict, words)
            tracemalloc.start()
            done = export(store, tmp_path / "out", agreement="", wanted=wanted)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert sum(done.rows.values()) >= MANY
    assert peaks[1] - peaks[0] < (MANY - FEW) / 6 * 2 * 4 * LONG
