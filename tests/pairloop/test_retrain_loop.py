"""The retraining rule from the last label to the next policy: votes, a real child, a real receiver."""

import json
from functools import partial

import pytest
from factories import make_judgment
from receiver import Receiver
from serving import listening
from training_data import fill_workspace
from typer.testing import CliRunner
from web import wait_for

from annotate.consensus import settle
from annotate.retrain_watch import RetrainWatch
from annotate.round_watch import RoundWatch
from annotate.rounds import RoundRunner
from annotate.webhooks import ROUND_FAILED, ROUND_READY, Webhooks
from pairloop.cli import app
from pairloop.workspace import init_workspace
from storage import team
from storage.policies import newest_policy
from storage.run_records import RunStatus
from storage.runs import runs

pytestmark = pytest.mark.slow

SETTINGS = """
[generate]
model = "{model}"
[train]
min_triplets = 8
max_length = 256
batch_size = 4
device_batch_size = 4
[retrain]
at_least = 6
not_more_often_than_hours = 0
then = ["train"]
[[annotate.webhooks]]
url = "{address}/hook"
"""


def status(folder) -> dict:
    answer = CliRunner().invoke(app, ["status", "--json", "--workspace", str(folder)])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_votes_that_settle_train_the_next_policy_once_and_everybody_is_told(tmp_path, micro_model):
    """Six pairs are enough for the rule and too few for training; twelve are enough for both."""
    receiver = Receiver()
    with listening(receiver.app) as address:
        settings = SETTINGS.format(model=micro_model, address=address)
        space, _ = init_workspace(tmp_path, model=micro_model, config=settings)
        pairs = fill_workspace(tmp_path, micro_model, settled=False)
        hooks = Webhooks(space.annotate.webhooks)
        failed = partial(hooks.notify, ROUND_FAILED)
        runner = RoundRunner(tmp_path)
        with space.store(hold=True) as store:

            def vote(some):
                people = ("ann", "bob", "cleo")
                store.append([make_judgment(p, who, v) for p, v in some for who in people])
                settle(store, space.annotate)

            def begun():
                return [a.subject for a in team.activities(store) if a.action == "run started"]

            every = {"every_seconds": 0.2}
            watches = [
                hooks,
                RoundWatch(store, partial(hooks.notify, ROUND_READY), on_failed=failed, **every),
                RetrainWatch(
                    store, runner, space.retrain, space.annotate, on_failed=failed, **every
                ),
            ]
            try:
                vote(pairs[:6])
                wait_for(lambda: len(receiver.got) == 1, seconds=120)
                assert begun() == ["train"]
                assert runs(store) == []
                assert (
                    "`pairloop train`, which the rule started last, failed"
                    in (status(tmp_path)["rule"])
                )
                vote(pairs[6:])
                wait_for(lambda: len(receiver.got) == 2, seconds=120)
                wait_for(lambda: not runner.state().running, seconds=60)
            finally:
                for watch in reversed(watches):
                    watch.close()
            (run,) = runs(store)
            policy = newest_policy(store)
            assert begun() == ["train", "train"]
            told = status(tmp_path)

    assert (run.status, policy.round, policy.run_id) == (RunStatus.DONE, 1, run.run.id)
    assert (tmp_path / policy.adapter / "adapter_model.safetensors").exists()
    bodies = [json.loads(body) for _, body in receiver.got]
    assert [body["event"] for body in bodies] == [ROUND_FAILED, ROUND_READY]
    assert "train.min_triplets is 8" in bodies[0]["data"]["message"]
    assert bodies[1]["data"]["run_id"] == run.run.id
    assert bodies[1]["data"]["message"] == "policy of round 1 registered"
    assert told["next_step"].startswith("pairloop generate")
    assert "0 of 6 pairs are newly settled" in told["rule"]
