"""The Rounds tab in real Chromium: a finished training with its warnings, verdict and doubts."""

import math
from dataclasses import replace

import pytest
from browsing import LabelingServer, Page, violations, wait_for
from factories import fill_store, make_policy
from round_data import CHECK, trained
from web import finished

from storage import adjudications as adjudicating
from storage.run_records import RunEvent, RunKind, RunStatus
from storage.runs import RunLog
from storage.store import utc_now

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STEPS = 30
WARNED = "warning, displacement: chosen answers are becoming less likely (-1.10 to -1.61)"


def events(run_id):
    for step in range(STEPS):
        done = step / STEPS
        metrics = {
            "loss": math.log(2) - 0.4 * done,
            "rewards/margins": 2 * done,
            "rewards/accuracies": 0.5 + 0.4 * done,
            "logps/chosen_per_token": -1.1 - 0.5 * done,
            "entropy": 2.0 - done,
        }
        yield step, f"step {step + 1} of {STEPS}", metrics, RunStatus.RUNNING
    yield STEPS, WARNED, {}, RunStatus.RUNNING
    yield STEPS + 1, "policy of round 1 registered", {}, RunStatus.DONE


@pytest.fixture
def server(tmp_path):
    def fill(store, *, pairs):
        filled = fill_store(store, pairs=pairs)
        rewards = [(p.id, 0.1, 0.4 + i / 10) for i, p in enumerate(filled.pairs[:4])]
        trained(tmp_path, rewards)
        finished(tmp_path, CHECK, verb="check")
        runner = finished(tmp_path, "print('Trained round 1')")
        store.append([make_policy(1, parent=filled.policy)])
        log = RunLog(store, RunKind.TRAIN, number=1, config={})
        store.append([replace(log.run, id="of-the-child", pid=runner.state().pid)])
        store.append(
            [
                RunEvent(
                    run_id="of-the-child",
                    sequence=at,
                    status=status,
                    progress=at / STEPS,
                    message=message,
                    metrics=metrics,
                    created_at=utc_now(),
                )
                for at, message, metrics, status in events("of-the-child")
            ]
        )

    made = LabelingServer(tmp_path, fill=fill)
    yield made
    made.down()


def test_a_training_is_seen_with_its_verdict_and_its_doubts_are_sent(browser, server):
    size = {"width": 1280, "height": 900}
    at = {"at": "/admin/", "ready": "text=Progress"}
    lead = Page(browser, server, name="lead", viewport=size, **at)
    page = lead.page
    page.get_by_role("tab", name="Rounds").click()
    page.locator("td:visible", has_text="Do not promote").first.wait_for()
    page.locator(".warnings li:visible", has_text="less likely").wait_for()
    titles = page.locator(".run .chart figcaption").all_inner_texts()
    drawn = ["Loss", "Reward margin", "Preferred answer", "Chosen answers", "Entropy"]
    assert [t.startswith(name) for t, name in zip(titles, drawn, strict=True)] == [True] * 5
    page.locator("td:visible", has_text="Do not promote").wait_for()
    page.locator(".ad:visible", has_text="1 red, 0 amber").first.wait_for()
    assert violations(lead) == []
    page.get_by_role("button", name="Send these to adjudication").click()
    page.locator(".said:visible", has_text="4 pairs are cases").wait_for()
    wait_for(lambda: len(adjudicating.case_requests(server.store)) == 4)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report of round 1").click()
    opened.value.wait_for_selector("h1:has-text('Report')")
    lead.close()
