"""Child processes started from the Rounds page: one at a time."""

import pytest
from web import finished, runner_of, wait_for

from annotate.rounds import RoundRunner
from storage.errors import ConflictError


def test_a_child_runs_logs_and_ends(tmp_path):
    code = "import sys; print(sys.argv[1:]); print('10%\\r20%\\r30%'); sys.exit(3)"
    runner = finished(tmp_path, code)
    state = runner.state()
    assert (state.verb, state.exit_code, state.running) == ("train", 3, False)
    assert f"['train', '--workspace', '{tmp_path}']" in runner.log_tail()
    assert runner.log_tail().endswith("30%")
    assert "10%" not in runner.log_tail()
    assert (tmp_path / "logs" / state.log).exists()


def test_a_second_child_is_refused_even_by_another_server(tmp_path):
    runner = runner_of(tmp_path, "import time; time.sleep(60)")
    started = runner.start("generate")
    other = runner_of(tmp_path, "pass")
    for refused in (runner, other):
        with pytest.raises(ConflictError, match=rf"pairloop generate` is running.*{started.pid}"):
            refused.start("train")
    assert other.state().running
    other.stop(term_after_seconds=1.0)  # starting up, a child can miss the first request
    wait_for(lambda: not runner.state().running)
    assert runner.state().exit_code != 0
    with pytest.raises(ConflictError, match="Nothing is running"):
        runner.stop()
    assert other.start("train").verb == "train"
    wait_for(lambda: not other.state().running)


def test_a_child_that_ignores_the_first_request_is_ended(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(60)"
    )
    runner = runner_of(tmp_path, code)
    runner.start("train")
    wait_for(lambda: "deaf" in runner.log_tail())
    runner.stop(term_after_seconds=0.5)
    assert runner.state().stop_asked
    wait_for(lambda: not runner.state().running)
    assert runner.state().exit_code == -15


def test_nothing_was_ever_started(tmp_path):
    state = RoundRunner(tmp_path).state()
    assert (state.verb, state.running, state.exit_code) == ("", False, None)
    assert RoundRunner(tmp_path).log_tail() == ""
