"""The retraining rule: every condition by itself, and what it starts in a real store."""

import json
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from factories import NOW, fill_store, make_judgment, make_policy, open_store
from web import wait_for

from annotate.config import AnnotateConfig, Retrain, Step
from annotate.consensus import settle
from annotate.retrain import Facts, LastStep, Outcome, decide, rule_words
from annotate.retrain_facts import RULE, look
from annotate.retrain_watch import RetrainWatch
from annotate.rounds import RoundRunner
from storage import team
from storage.records import Verdict
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog

RULE_ON = Retrain(
    at_least=10,
    agreement_at_least=0.4,
    not_more_often_than_hours=6,
    then=("train", "generate", "evaluate"),
)
GOOD = Facts(now=NOW, running="", new_pairs=10, agreement=0.4, training_begun=None, last=None)
DONE = LastStep(verb="train", outcome=Outcome.DONE, message="", overtaken=False)


def test_it_trains_when_all_conditions_hold():
    assert decide(RULE_ON, GOOD).start is Step.TRAIN
    assert "10 pairs are newly settled" in decide(RULE_ON, GOOD).why
    six = replace(GOOD, training_begun=NOW - timedelta(hours=6))
    assert decide(RULE_ON, six).start is Step.TRAIN


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"new_pairs": 9}, "9 of 10 pairs are newly settled"),
        ({"agreement": 0.399}, "Krippendorff's alpha is 0.399, below 0.4"),
        ({"agreement": None}, "is not known: too few pairs"),
        ({"training_begun": NOW - timedelta(hours=5)}, "not again before 2026-01-02 04:04 UTC"),
        ({"running": "pairloop judge"}, "`pairloop judge` is running"),
    ],
    ids=["pairs", "agreement", "unknown", "often", "running"],
)
def test_one_condition_that_fails_is_enough_and_is_said(changes, why):
    decision = decide(RULE_ON, replace(GOOD, **changes))
    assert decision.start is None
    assert why in decision.why


def test_all_conditions_that_fail_are_said():
    why = decide(RULE_ON, replace(GOOD, new_pairs=1, agreement=None)).why
    assert "1 of 10 pairs" in why
    assert "is not known" in why


def test_without_at_least_there_is_no_rule():
    off = RULE_ON.model_copy(update={"at_least": None})
    assert decide(off, replace(GOOD, last=DONE)).start is None
    assert (Retrain().at_least, rule_words(Retrain())) == (None, "")


@pytest.mark.parametrize(
    ("verb", "outcome", "overtaken", "start"),
    [
        ("train", Outcome.DONE, False, Step.GENERATE),
        ("generate", Outcome.DONE, False, Step.EVALUATE),
        ("evaluate", Outcome.DONE, False, None),
        ("train", Outcome.DONE, True, None),
        ("train", Outcome.FAILED, False, None),
        ("generate", Outcome.STOPPED, False, None),
    ],
)
def test_the_next_step_follows_what_was_done_and_nothing_else(verb, outcome, overtaken, start):
    last = LastStep(verb=verb, outcome=outcome, message="no disk", overtaken=overtaken)
    just_trained = replace(GOOD, new_pairs=0, training_begun=NOW, last=last)
    decision = decide(RULE_ON, just_trained)
    assert decision.start is start
    assert ("(no disk)" in decision.why) is (outcome is not Outcome.DONE)


def test_one_step_is_all_that_follows_where_then_names_one():
    rule = RULE_ON.model_copy(update={"then": (Step.TRAIN,)})
    assert decide(rule, replace(GOOD, new_pairs=0, last=DONE)).start is None


def test_the_rule_is_told_in_a_sentence():
    assert rule_words(RULE_ON) == (
        "Train once 10 pairs are newly settled, Krippendorff's alpha is at least 0.4, at most every "
        "6 hours, then generate, then evaluate"
    )


@pytest.mark.parametrize(
    "then", [(), ("generate",), ("train", "train"), ("train", "sleep")], ids="-".join
)
def test_then_begins_with_training_and_names_each_step_once(then):
    with pytest.raises(ValueError, match="then"):
        Retrain(then=then)


# A child that does what the commands do to the store: a run, and after training a policy.
CHILD = """
import sys, json
from pathlib import Path
from storage.store import Store
from storage.runs import RunLog
from storage.run_records import RunKind, RunStatus
verb, folder = sys.argv[1], Path(sys.argv[3])
if (folder / "broken").exists():
    sys.exit("there are too few triplets")
with Store(folder / "pairloop.duckdb") as store:
    log = RunLog(store, RunKind(verb), number=1, config={})
    if (folder / "full").exists():
        log.event("no space left on device", status=RunStatus.FAILED)
        sys.exit(1)
    if verb == "train":
        sys.path.insert(0, json.loads((folder / "path.json").read_text()))
        from factories import make_policy
        store.append([make_policy(1, parent=make_policy())])
    log.event("finished", progress=1.0, status=RunStatus.DONE)
"""
SETTLED = 6


@pytest.fixture
def loop(tmp_path):
    """A held store with six settled pairs, and a runner of the stand-in child."""
    (tmp_path / "path.json").write_text(json.dumps(str(Path(__file__).parents[1])))
    config = AnnotateConfig()
    with open_store(tmp_path, hold=True) as store:
        filled = fill_store(store)
        vote(store, filled.pairs[:SETTLED])
        runner = RoundRunner(tmp_path, program=[sys.executable, "-c", CHILD])
        yield store, filled, runner, config


def vote(store, pairs):
    store.append([make_judgment(p, who, Verdict.FIRST) for p in pairs for who in ("ann", "bob")])
    settle(store, AnnotateConfig())


def started(store):
    entries = reversed(team.activities(store))
    return [a.subject for a in entries if (a.actor, a.action) == (RULE, "run started")]


def test_a_rule_trains_once_and_generates_and_rests(loop):
    store, _, runner, config = loop
    rule = Retrain(at_least=SETTLED, not_more_often_than_hours=0, then=("train", "generate"))
    watch = RetrainWatch(store, runner, rule, config, every_seconds=0.05)
    try:
        wait_for(lambda: started(store) == ["train", "generate"], seconds=60)
        wait_for(lambda: not runner.state().running, seconds=60)
        time.sleep(0.5)
    finally:
        watch.close()
    assert started(store) == ["train", "generate"]
    why = look(store, rule, config, runner=runner).decision.why
    assert why == f"Not now: 0 of {SETTLED} pairs are newly settled."


@pytest.mark.parametrize("trouble", ["broken", "full"])
def test_after_a_failure_it_waits_for_as_many_further_pairs(loop, trouble):
    store, filled, runner, config = loop
    (runner.workspace / trouble).touch()
    rule = Retrain(at_least=SETTLED, not_more_often_than_hours=0, then=("train", "generate"))
    failed = []
    watch = RetrainWatch(store, runner, rule, config, on_failed=failed.append, every_seconds=0.05)
    try:
        wait_for(lambda: started(store) == ["train"], seconds=60)
        wait_for(lambda: not runner.state().running, seconds=60)
        time.sleep(0.5)
        assert started(store) == ["train"]
        why = look(store, rule, config, runner=runner).decision.why
        assert f"0 of {SETTLED} pairs are newly settled" in why
        assert "`pairloop train`, which the rule started last, failed" in why
        assert ("no space left" if trouble == "full" else "see logs/train-") in why
        if trouble == "broken":
            (runner.workspace / trouble).unlink()
            (runner.workspace / "full").touch()
            vote(store, filled.pairs[SETTLED : 2 * SETTLED])
            wait_for(lambda: started(store) == ["train", "train"], seconds=60)
            wait_for(lambda: not runner.state().running, seconds=60)
    finally:
        watch.close()
    told = [(f["kind"], f["status"], f["message"]) for f in failed]
    recorded = trouble == "full"  # of recorded runs annotate.round_watch tells
    assert told == ([] if recorded else [("train", "failed", "there are too few triplets")])


def test_a_server_that_is_started_anew_goes_on_and_trains_nothing_twice(loop):
    store, _, runner, config = loop
    rule = Retrain(at_least=SETTLED, not_more_often_than_hours=0, then=("train", "generate"))
    first = look(store, rule, config, runner=runner).decision
    assert first.start is Step.TRAIN
    team.note(store, actor=RULE, action="run started", subject="train", detail="train-x.log")
    lost = look(store, rule, config, runner=runner)
    assert lost.decision.start is None
    assert lost.left_no_run is not None
    store.append([make_policy(1, parent=make_policy())])
    RunLog(store, RunKind.TRAIN, number=1, config={}).event("done", status=RunStatus.DONE)
    again = RoundRunner(runner.workspace)
    assert look(store, rule, config, runner=again).decision.start is Step.GENERATE
