"""The labeling server under load, killed, cut off, stopped, without room: nothing acknowledged is lost.

The long form with its table is `make chaos` (benchmarks/chaos.py).
"""

import os
import signal
import time

import pytest

from benchmarks import chaos
from benchmarks.labeling_crowd import Found
from storage.damage import log_file

SEED = int(os.environ.get("PAIRLOOP_CHAOS_SEED", "7"))
pytestmark = pytest.mark.chaos


def whole(found: Found) -> bool:
    return found.acknowledged > 0 and found.lost == found.doubled == found.wrong == 0


@pytest.mark.parametrize("name", ["kills", "power-cuts", "disk-full"])
def test_nothing_acknowledged_is_lost_or_doubled(name, tmp_path):
    found = chaos.SCENARIOS[name](tmp_path / "workspace", chaos.QUICK, SEED)
    assert whole(found), found


def test_a_stop_answers_or_refuses_what_is_under_way_and_is_over_within_seconds(tmp_path):
    folder = tmp_path / "workspace"
    with chaos.at_work(folder, seed=SEED) as (server, crowd):
        time.sleep(1.0)
        code, seconds = server.stop(signal.SIGTERM)
        assert code == 0, server.log.read_text()
        assert seconds < 30  # on a busy machine; 1 or 2 on a quiet one
        assert "all judgments are stored" in server.log.read_text()
        assert not (folder / "pairloop.duckdb.serving").exists()
        assert not log_file(folder / "pairloop.duckdb").exists(), "the file was closed properly"
        unsure = len(crowd.diary.sent) - len(crowd.diary.acknowledged)
        server.start()
        server.wait()
    assert unsure <= chaos.PEOPLE, "each labeler has one decision under way"
    assert len(crowd.diary.acknowledged) == len(crowd.diary.sent), "the outboxes were emptied"
    assert whole(chaos.found_in(folder, crowd.diary))
