"""kill -9 of sampling, training and vLLM's engine process, and the same command again until it is done."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from annotate.consensus import settle
from benchmarks.labeling_crowd import Found
from benchmarks.labeling_workspace import fresh_key
from pairloop.demo.workspace import MODEL_DIR, PROMPTS_FILE
from pairloop.workspace import Workspace, init_workspace, open_workspace
from storage.judgments import judgments
from storage.pairs import pairs
from storage.policies import policies
from storage.records import Judgment, Verdict
from storage.responses import responses_of
from storage.run_records import RunKind, RunStatus
from storage.runs import runs
from storage.store import Store, utc_now

PROMPTS = 40
CONFIG = f"""\
[generate]
model = "{MODEL_DIR}"
engine = "transformers"
temperatures = [0.7, 1.0, 1.3]
samples_per_temperature = 4
max_tokens = 64
validation_share = 0.1
test_share = 0.0

[train]
min_triplets = 10
epochs = 4
batch_size = 4
checkpoints = 20
"""
_WAIT_SECONDS = 3600.0  # vLLM alone takes a quarter of an hour to start on a machine that is busy


def _workspace(folder: Path) -> Workspace:
    init_workspace(folder, model=str(MODEL_DIR), config=CONFIG)
    few = folder / "prompts.jsonl"
    few.write_text("".join(PROMPTS_FILE.read_text().splitlines(keepends=True)[:PROMPTS]))
    _finish(folder, "prompts", "add", str(few))
    return open_workspace(folder)


def _said(folder: Path) -> str:
    """What the last command said; a file, since what it left running could hold a pipe open."""
    return (folder / "said.log").read_text(errors="replace")


def _begin(folder: Path, *words: str, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pairloop", *words, "-w", str(folder)]
    settings = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment
    with (folder / "said.log").open("wb") as output:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output, env=settings)


def _finish(folder: Path, *words: str) -> None:
    child = _begin(folder, *words)
    child.wait(timeout=_WAIT_SECONDS)
    assert child.returncode == 0, _said(folder)[-2000:]


def _answers(space: Workspace) -> set[str]:
    with space.store() as store:
        return {r.id for p in policies(store) for r in responses_of(store, p.id)}


def _twice(store: Store, table: str) -> int:
    """Rows of content that the table has already."""
    with store.connected() as connection:
        found = connection.query(f'select count(*) - count(distinct id) as n from "{table}"', {})
    return int(found["n"][0].as_py())


def _compared(space: Workspace, told: set[str]) -> Found:
    """The answers that were seen stored before a kill, with those of the finished run."""
    found = _answers(space)
    with space.store() as store:
        twice = _twice(store, "response_rows") + len(found) - PROMPTS * 12
    return Found(
        acknowledged=len(told),
        found=len(told & found),
        lost=len(told - found),
        doubled=twice,
        wrong=0,
        refused=0,
    )


def kill_generate(folder: Path, times: int, seed: int) -> Found:
    """Killed after random numbers of answers; each is sampled once and none is missing."""
    space, chance = _workspace(folder), random.Random(seed)
    told: set[str] = set()
    for _ in range(times):
        child, enough = _begin(folder, "generate"), len(told) + chance.randint(1, 60)
        until = time.monotonic() + _WAIT_SECONDS
        while child.poll() is None and time.monotonic() < until and len(_answers(space)) < enough:
            time.sleep(0.1)
        child.kill()
        child.wait()
        told |= _answers(space)
    _finish(folder, "generate")
    return _compared(space, told)


def _judge(space: Workspace) -> None:
    """Two people who prefer the shorter answer of every pair."""
    with space.store() as store:
        texts = {r.id: r.text for p in policies(store) for r in responses_of(store, p.id)}
        votes = []
        for pair in pairs(store):
            shorter = len(texts[pair.first]) < len(texts[pair.second])
            votes += [
                Judgment(
                    id=fresh_key(),
                    pair_id=pair.id,
                    labeler=who,
                    presentation_id=f"s1:{pair.id}/{who}",
                    revision=0,
                    verdict=Verdict.FIRST if shorter else Verdict.SECOND,
                    strength=None,
                    withdrawn=False,
                    criteria={},
                    rationale="",
                    edited_text="",
                    flags=(),
                    guideline="",
                    seconds=5.0,
                    created_at=utc_now(),
                )
                for who in ("ann", "ben")
            ]
        store.append(votes)
        settle(store, space.annotate)


def kill_train(folder: Path, times: int, seed: int) -> Found:
    """Killed at random moments of training; one policy comes of it, and every judgment is there."""
    space, chance = _workspace(folder), random.Random(seed)
    _finish(folder, "generate")
    _judge(space)
    with space.store() as store:
        told = {j.id for j in judgments(store)}
    for _ in range(times):
        child = _begin(folder, "train")
        until = time.monotonic() + _WAIT_SECONDS
        while child.poll() is None and time.monotonic() < until and not _training(space):
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 4.0))
        child.kill()
        child.wait()
    _finish(folder, "train")
    with space.store() as store:
        found = {j.id for j in judgments(store)}
        made = len(policies(store))
        twice = _twice(store, "triplet_rows") + _twice(store, "judgment_rows")
    left = list((folder / "policies").glob(".work-*"))
    assert not left, f"left behind: {left}"
    assert made >= 2, "no policy was made"
    return Found(
        acknowledged=len(told),
        found=len(told & found),
        lost=len(told - found),
        doubled=twice + made - 2,
        wrong=0,
        refused=0,
    )


def _training(space: Workspace) -> bool:
    with space.store() as store:
        return any(
            state.run.kind is RunKind.TRAIN and state.status is RunStatus.RUNNING
            for state in runs(store)
        )


def kill_engine(folder: Path) -> Found:
    """vLLM's engine as a process of its own, killed amid sampling: a message, and nothing is lost."""
    space = _workspace(folder)
    words = ("generate", "--engine", "vllm")
    multi = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    child = _begin(folder, *words, **multi)
    until, engine = time.monotonic() + _WAIT_SECONDS, None
    while child.poll() is None and time.monotonic() < until:
        engine = engine or _engine_of(child.pid)
        if engine is not None and not Path(f"/proc/{engine}").exists():
            child.kill()
            raise SystemExit(f"The engine ended by itself: {_said(folder)[-2000:]}")
        if engine is not None and _answers(space):
            break
        time.sleep(0.5)
    assert engine is not None, f"no engine process was seen: {_said(folder)[-2000:]}"
    os.kill(engine, 9)
    try:
        child.wait(timeout=_WAIT_SECONDS)
    finally:
        child.kill()
    said, told = _said(folder), _answers(space)
    assert child.returncode == 1, f"exit code {child.returncode}: {said[-2000:]}"
    assert "The vLLM engine stopped" in said, said[-2000:]
    assert "Traceback" not in said.split("Error: ")[-1], said[-2000:]
    _finish(folder, *words)
    return _compared(space, told)


def _engine_of(parent: int) -> int | None:
    """The engine's process among the descendants of one."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
            pid = int(stat.parent.name)
            parents[pid] = int(rest.split()[1])
            names[pid] = head + (stat.parent / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue
    for pid, name in names.items():
        above = parents.get(pid)
        while above and above != parent:
            above = parents.get(above)
        if above == parent and "EngineCore" in name:
            return pid
    return None
