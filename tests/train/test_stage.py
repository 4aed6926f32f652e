"""`train`, the verb: a settled workspace in, a registered policy with its report out."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from factories import NOW, open_store
from safetensors.torch import load_file
from training_data import fill_workspace

from storage.errors import NotReadyError
from storage.policies import newest_policy, policies
from storage.records import Split
from storage.run_records import RunStatus
from storage.runs import run_events, runs, triplets_of
from train.config import TrainConfig
from train.stage import train

STEP_0_LOSS = math.log(2)
CONFIG = TrainConfig(
    learning_rate=2e-3, epochs=1, batch_size=4, device_batch_size=4, max_length=256, min_triplets=4
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, micro_model):
    """A workspace, and what one training in it gave; to look at, not to change."""
    folder = tmp_path_factory.mktemp("trained")
    fill_workspace(folder, micro_model)
    with open_store(folder) as store:
        return folder, train(store, folder, CONFIG)


def test_train_registers_the_next_policy_with_everything_it_came_from(trained):
    folder, result = trained
    with open_store(folder) as store:
        policy = newest_policy(store)
        (state,) = runs(store)
        events = run_events(store, state.run.id)
        trained_on = triplets_of(store, policy.run_id)

    assert (policy.round, policy.adapter, policy.method) == (1, "policies/round-1", "dpo")
    assert (result.triplets, result.heldout) == (10, 2)
    assert Counter(t.split for t in trained_on) == {Split.TRAIN: 10, Split.VALIDATION: 2}
    assert state.status is RunStatus.DONE
    assert next(e.metrics["loss"] for e in events if "loss" in e.metrics) == pytest.approx(
        STEP_0_LOSS, abs=1e-4
    )
    report = json.loads((result.folder / "run.json").read_text())
    assert report["triplets"] == 10
    assert (result.folder / "loss.png").stat().st_size > 1000
    assert "round 1" in (result.folder / "README.md").read_text()
    page = (result.folder / "report.html").read_text()
    assert "Cannot tell yet" in page
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert set(re.findall(r"https?://([^/\"]+)", page)) <= {
        "www.w3.org",
        "purl.org",
        "creativecommons.org",
        "matplotlib.org",
        "matplotlib.org,",
    }, "namespaces only, nothing is loaded"
    assert pq.read_table(result.folder / "rewards.parquet").num_rows == 12
    assert not list((folder / "policies").glob(".work-*"))


def test_too_few_settled_pairs_are_refused_with_the_numbers_and_leave_nothing(
    tmp_path, micro_model
):
    fill_workspace(tmp_path, micro_model)
    config = CONFIG.model_copy(update={"min_triplets": 50})

    with open_store(tmp_path) as store:
        with pytest.raises(NotReadyError, match=r"10 of 12 pairs .* train\.min_triplets is 50"):
            train(store, tmp_path, config)
        assert len(policies(store)) == 1
        assert runs(store) == []
    assert not (tmp_path / "policies").exists()


def test_a_policy_without_pairs_is_sent_to_generate(trained):
    folder, _ = trained
    with (
        open_store(folder) as store,
        pytest.raises(NotReadyError, match="round 1 has no pairs yet"),
    ):
        train(store, folder, CONFIG)


SLOW = CONFIG.model_copy(update={"epochs": 10, "checkpoints": 10})
CHILD = """
import sys
from pathlib import Path
from storage.store import Store
from train.config import TrainConfig
from train.stage import train
folder = Path(sys.argv[1])
config = TrainConfig.model_validate_json(sys.argv[2])
with Store(folder / "pairloop.duckdb") as store:
    train(store, folder, config, on_step=lambda step, steps, logged: print(step, flush=True))
"""


@pytest.mark.slow
def test_a_run_killed_half_way_goes_on_to_the_same_weights(tmp_path, micro_model):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
        fill_workspace(folder, micro_model)
    with open_store(straight) as store:
        train(store, straight, SLOW)

    command = [sys.executable, "-c", CHILD, str(killed), SLOW.model_dump_json()]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
    )
    deadline = time.monotonic() + 120
    for line in child.stdout:
        if int(line) >= 7 or time.monotonic() > deadline:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    with open_store(killed) as store:
        assert len(policies(store)) == 1
        result = train(store, killed, SLOW)

    assert result.resumed
    expected = load_file(straight / "policies/round-1/adapter_model.safetensors")
    found = load_file(killed / "policies/round-1/adapter_model.safetensors")
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=1e-4)


def test_a_policy_published_but_not_registered_is_registered_by_the_next_run(
    tmp_path, micro_model, trained
):
    """Killed between the folder's rename and the row: nothing is trained twice."""
    _, first = trained
    fill_workspace(tmp_path, micro_model)
    shutil.copytree(first.folder, tmp_path / "policies" / "round-1")

    with open_store(tmp_path) as store:
        steps = []
        again = train(store, tmp_path, CONFIG, on_step=lambda *a: steps.append(a))

    assert steps == []
    assert replace(again.policy, run_id=None, created_at=NOW) == replace(
        first.policy, run_id=None, created_at=NOW
    )
