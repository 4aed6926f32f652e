"""The catalog goes away under people at work, for longer than it is waited for, and comes back."""

import time
from collections import Counter
from contextlib import closing
from threading import Thread

import httpx
import pytest
from factories import fill_store
from serving import listening, wait_for
from web import decision, sign_in

import storage.lake
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.health import FAILED, NO_ANSWER
from storage.errors import StoreError
from storage.judgments import judgment_events
from storage.lake import LakeAddress
from storage.store import Store

pytestmark = pytest.mark.postgres
PEOPLE = ("ann", "bob", "cem", "dee")


def label(
    address: str, who: str, acknowledged: list[str], answers: Counter[int], stop: list[bool]
) -> None:
    """As the page does: what was not acknowledged is sent again, with the same key."""
    with closing(sign_in(address, who)) as client:
        while not stop:
            hand = client.get("/api/pairs", params={"count": 1})
            answers[hand.status_code] += 1
            cards = hand.json()["pairs"] if hand.is_success else []
            for card in cards:
                body = decision(card, key=f"{who}-{card['presentation'][3:]}"[:64])
                while not stop:
                    answer = client.post("/api/judgments", json=body)
                    answers[answer.status_code] += 1
                    if answer.is_success:
                        acknowledged.append(body["key"])
                        break
                    assert "does not answer (request " in answer.json()["detail"]
            time.sleep(0.1)


def test_a_server_whose_catalog_was_away_goes_on_by_itself_and_has_lost_nothing(
    lakes, tmp_path, monkeypatch
):
    """The outage is four times as long as it is waited for, as forty seconds would be."""
    monkeypatch.setattr(storage.lake, "_WAIT_SECONDS", 1.0)
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    store, config = Store(lakes.new(), hold=True), AnnotateConfig(votes_per_pair=4)
    fill_store(store, pairs=200, labelers=PEOPLE)
    desk = Desk(store, config)
    app = create_app(desk=desk, store=store, workspace=tmp_path, config=config)
    acknowledged: list[str] = []
    answers: Counter[int] = Counter()
    stop: list[bool] = []
    with listening(app) as address:
        threads = [
            Thread(target=label, args=(address, who, acknowledged, answers, stop)) for who in PEOPLE
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) >= 8, seconds=60)
        lakes.server.crash()
        try:
            time.sleep(4.0)
            answer = httpx.get(f"{address}/readyz", timeout=30)
            assert (answer.status_code, answer.json()["detail"] in (FAILED, NO_ANSWER)) == (
                503,
                True,
            )
            assert httpx.get(f"{address}/healthz").is_success
        finally:
            lakes.server.start()
        before, back = len(acknowledged), time.monotonic()
        wait_for(lambda: len(acknowledged) >= before + 12, seconds=60)
        wait_for(lambda: httpx.get(f"{address}/readyz", timeout=30).is_success)
        print(f"{answers}, at work {time.monotonic() - back:.1f} s after it was back")
        stop.append(True)
        for thread in threads:
            thread.join()
    assert set(answers) == {200, 503}
    stored = [event.id for event in judgment_events(store)]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_a_catalog_without_a_free_connection_is_one_message_that_says_so(lakes, monkeypatch):
    monkeypatch.setattr(storage.lake, "_WAIT_SECONDS", 0.3)
    sql = lakes.server.sql
    sql("create role few login connection limit 1")
    sql("create database few owner few")
    address = LakeAddress.of(
        lakes.uri("few").replace("user=pairloop", "user=few"), str(lakes.data / "few")
    )
    with pytest.raises(StoreError) as caught:
        Store(address).query("prompts_all")
    assert "too many connections" in str(caught.value)
    assert "max_connections" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
