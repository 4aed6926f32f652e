"""Webhooks, delivered to a real receiver."""

import hashlib
import hmac
import json
import logging
import time

import pytest
from factories import fill_store, open_store
from receiver import Receiver
from serving import listening, wait_for
from web import decision

from annotate.cards import Choice, Submission
from annotate.config import AnnotateConfig, Webhook
from annotate.desk import Desk
from annotate.round_watch import RoundWatch
from annotate.webhooks import PAIR_SETTLED, ROUND_READY, Webhooks
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog


@pytest.fixture
def receiver():
    made = Receiver()
    with listening(made.app) as address:
        made.address = address
        yield made


@pytest.fixture
def hooks_to(receiver):
    opened = []

    def make(*, events=(PAIR_SETTLED, ROUND_READY), path="/hook", **named):
        hook = Webhook(url=receiver.address + path, events=events)
        opened.append(Webhooks([hook], **({"waits_seconds": (0.05, 0.05)} | named)))
        return opened[-1]

    yield make
    for hooks in opened:
        hooks.close()


def test_a_receiver_gets_the_event_signed(receiver, hooks_to):
    hooks_to(secret="s3cret").notify(ROUND_READY, {"kind": "train", "text": "é"})
    wait_for(lambda: receiver.got)
    headers, body = receiver.got[0]
    told = json.loads(body)
    assert (told["event"], told["data"]) == (ROUND_READY, {"kind": "train", "text": "é"})
    assert headers["x-pairloop-event"] == ROUND_READY
    assert headers["x-pairloop-delivery"] == told["id"]
    stamp = headers["x-pairloop-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    right = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-pairloop-signature"] == f"sha256={right}"


def test_without_a_secret_nothing_is_signed(receiver, hooks_to):
    hooks_to().notify(ROUND_READY, {})
    wait_for(lambda: receiver.got)
    assert "x-pairloop-signature" not in receiver.got[0][0]


def test_only_what_is_wanted_is_told(receiver, hooks_to):
    hooks = hooks_to(events=(ROUND_READY,))
    assert hooks.wants(ROUND_READY)
    assert not hooks.wants(PAIR_SETTLED)
    hooks.notify(PAIR_SETTLED, {"pair_id": "x"})
    hooks.notify(ROUND_READY, {})
    wait_for(lambda: receiver.got)
    time.sleep(0.3)
    assert [h["x-pairloop-event"] for h, _ in receiver.got] == [ROUND_READY]


def test_a_failed_delivery_is_tried_again_as_the_same_one(receiver, hooks_to):
    receiver.answers = [500, 503]
    failures = []
    hooks_to(on_failure=lambda *told: failures.append(told)).notify(ROUND_READY, {})
    wait_for(lambda: len(receiver.got) == 3)
    assert len({h["x-pairloop-delivery"] for h, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    time.sleep(0.3)
    assert failures == []
    assert len(receiver.got) == 3


def test_what_cannot_be_delivered_is_given_up_and_told(receiver, hooks_to, caplog):
    """Neither the log nor the trail holds what the receiver answered, or a key in the address."""
    receiver.answers = [500] * 10
    failures = []
    hooks = hooks_to(path="/hook?key=abc", on_failure=lambda *told: failures.append(told))
    with caplog.at_level(logging.DEBUG):
        hooks.notify(ROUND_READY, {})
        wait_for(lambda: failures)
    assert failures == [(ROUND_READY, f"{receiver.address}/hook", "status 500")]
    assert len(receiver.got) == 3
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("annotate")]
    assert ours
    assert "private words" not in caplog.text
    assert "key=abc" not in " ".join(ours)


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_not_followed(receiver, hooks_to, status):
    receiver.answers = [status] * 3
    failures = []
    hooks_to(on_failure=lambda *told: failures.append(told)).notify(ROUND_READY, {})
    wait_for(lambda: failures)
    assert failures[0][2] == f"status {status}"
    assert receiver.elsewhere == 0


def test_nobody_waits_for_a_receiver_that_is_slow_or_gone(receiver, monkeypatch):
    monkeypatch.setattr("annotate.webhooks._WAITING", 5)
    receiver.delay = 1.5  # fifty of them would be over a minute
    failures = []
    gone = Webhook(url="http://127.0.0.1:9/gone")
    slow = Webhook(url=receiver.address + "/hook")
    hooks = Webhooks(
        [gone, slow], waits_seconds=(0.05,), on_failure=lambda *told: failures.append(told)
    )
    begun = time.monotonic()
    for number in range(50):
        hooks.notify(ROUND_READY, {"number": number})
    assert time.monotonic() - begun < 5
    wait_for(lambda: receiver.got)
    wait_for(lambda: any(why == "ConnectError" for _, _, why in failures))
    assert any(why.startswith("5 deliveries wait") for _, _, why in failures)
    begun = time.monotonic()
    hooks.close(seconds=1.0)
    assert time.monotonic() - begun < 4  # those that wait would take six more


def test_a_failure_that_cannot_be_noted_stops_nothing(receiver, hooks_to):
    receiver.answers = [500] * 3
    hooks = hooks_to(on_failure=lambda *_told: 1 / 0)
    hooks.notify(ROUND_READY, {"number": 1})
    hooks.notify(ROUND_READY, {"number": 2})
    wait_for(lambda: len(receiver.got) == 4)


def test_a_pair_that_settles_is_told_once(receiver, hooks_to, tmp_path):
    with open_store(tmp_path, hold=True) as store:
        fill_store(store, pairs=1)
        hooks = hooks_to()
        desk = Desk(store, AnnotateConfig(), on_settled=hooks.pair_settled)
        for who in ("ann", "bob"):
            (card,) = desk.cards(who, count=1, have=())
            body = decision({"presentation": card.presentation}, choice=Choice.TIE, strength=None)
            desk.submit(who, Submission(**body))
        wait_for(lambda: receiver.got)
        time.sleep(0.3)
    assert len(receiver.got) == 1
    data = json.loads(receiver.got[0][1])["data"]
    assert (data["verdict"], data["votes"]) == ("tie", 2)
    assert not {"labeler", "labelers", "text", "prompt"} & set(data)


def test_runs_that_finish_from_now_on_are_told_once(tmp_path):
    told = []
    with open_store(tmp_path, hold=True) as store:
        before = RunLog(store, RunKind.TRAIN, number=0, config={})
        before.event("done", progress=1.0, status=RunStatus.DONE)
        fell = []
        watch = RoundWatch(store, told.append, on_failed=fell.append, every_seconds=0.05)
        logs = [RunLog(store, kind, number=1, config={}) for kind in RunKind]
        for log in logs:
            log.event("half", progress=0.5)
        time.sleep(0.3)
        assert told == []
        for log in logs:
            failed = log.run.kind is RunKind.EVALUATE
            log.event("end", status=RunStatus.FAILED if failed else RunStatus.DONE)
        wait_for(lambda: len(told) == 2 and len(fell) == 1)
        time.sleep(0.3)
        watch.close()
    assert [(f["kind"], f["status"]) for f in fell] == [("evaluate", "failed")]
    assert {t["kind"] for t in told} == {"generate", "train"}
    assert {t["round"] for t in told} == {1}
