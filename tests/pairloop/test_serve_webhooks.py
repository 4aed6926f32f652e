"""`pairloop annotate` with webhooks: told of runs that another command finished."""

import json
import os
import signal
import subprocess
import sys

import pytest
from receiver import Receiver
from serving import listening, wait_for

from pairloop.workspace import init_workspace, open_workspace
from storage import team
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog

pytestmark = pytest.mark.slow


def annotate(folder, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def test_a_run_of_another_command_is_told_and_signed(tmp_path, micro_model):
    receiver = Receiver()
    with listening(receiver.app) as address:
        init_workspace(tmp_path, model=micro_model)
        with (tmp_path / "pairloop.toml").open("a") as toml:
            toml.write(f'[[annotate.webhooks]]\nurl = "{address}/hook"\n')
            toml.write('[[annotate.webhooks]]\nurl = "http://127.0.0.1:9/gone?key=abc"\n')
        child = annotate(tmp_path, PAIRLOOP_WEBHOOK_SECRET="s3cret")
        try:
            assert child.stdout.readline().startswith("Labeling pages: ")
            with open_workspace(tmp_path).store() as store:
                log = RunLog(store, RunKind.TRAIN, number=1, config={})
                receiver.answers = [500]
                log.event("trained", progress=1.0, status=RunStatus.DONE)
            wait_for(lambda: len(receiver.got) == 2, seconds=60)
        finally:
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=30)
    assert "Traceback" not in errors
    headers, body = receiver.got[-1]
    assert headers["x-pairloop-signature"].startswith("sha256=")
    told = json.loads(body)["data"]
    assert (told["kind"], told["round"], told["message"]) == ("train", 1, "trained")
    with open_workspace(tmp_path).store() as store:
        noted = [(a.subject, a.detail) for a in team.activities(store) if a.actor == "webhook"]
        assert int(team.settings(store)["seed"].value) > 2**32  # nobody guesses what is shown next
    assert noted == [("round.ready", "http://127.0.0.1:9/gone: ConnectError")]


def test_an_unknown_event_stops_the_start(tmp_path, micro_model):
    init_workspace(tmp_path, model=micro_model)
    with (tmp_path / "pairloop.toml").open("a") as toml:
        toml.write('[[annotate.webhooks]]\nurl = "http://127.0.0.1:9/"\nevents = ["pair.lost"]\n')
    child = annotate(tmp_path)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert (
        "there is no event 'pair.lost'. Known: pair.settled, round.ready, round.failed." in errors
    )
    assert "Labeling pages" not in out
