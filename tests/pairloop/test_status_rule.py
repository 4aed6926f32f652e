"""`pairloop status` says what is next, what runs, and what the retraining rule waits for."""

import json

from factories import fill_store
from typer.testing import CliRunner

from pairloop.cli import app
from pairloop.workspace import init_workspace, open_workspace
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog


def told(folder):
    answer = CliRunner().invoke(app, ["status", "--json", "--workspace", str(folder)])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_the_rule_and_a_run_under_way_are_told(tmp_path, micro_model):
    space, _ = init_workspace(tmp_path, model=micro_model)
    with space.store() as store:
        fill_store(store)
    assert told(tmp_path)["rule"] == ""
    with (tmp_path / "pairloop.toml").open("a") as toml:
        toml.write('[retrain]\nat_least = 30\nthen = ["train", "generate"]\n')
    state = told(tmp_path)
    assert state["rule"] == (
        "Train once 30 pairs are newly settled, at most every 24 hours, then generate. "
        "Not now: 0 of 30 pairs are newly settled."
    )
    assert state["next_step"].startswith("pairloop annotate (12 pairs of round 0 are open")
    with open_workspace(tmp_path).store() as store:
        log = RunLog(store, RunKind.TRAIN, number=1, config={})
        log.event("step 2 of 9", progress=0.2)
        state = told(tmp_path)
        assert state["next_step"] == "wait, pairloop train is running: step 2 of 9"
        assert "`pairloop train` is running." in state["rule"]
        log.event("no disk", status=RunStatus.FAILED)
    assert told(tmp_path)["next_step"].startswith("pairloop annotate")
