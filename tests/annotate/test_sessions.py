"""Who is signed in, while the store is slow to say whether anything changed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from annotate.accounts import add_labeler, start_session
from annotate.web_session import _LOOK_SECONDS, Sessions
from storage import judgments as judging
from storage.errors import StoreError
from storage.store import Store, utc_now


class SlowStore(Store):
    """Gives the answer to the query of one name only once it is let."""

    def __init__(self, *words, **settings):
        super().__init__(*words, **settings)
        self.holds, self.away = "", False
        self.asked, self.answers = threading.Event(), threading.Event()

    def table(self, name, **params):
        found = super().table(name, **params)
        if self.away:
            raise StoreError("the store is away")
        if name == self.holds:
            self.asked.set()
            assert self.answers.wait(30)
        return found


@pytest.fixture
def store(tmp_path):
    with SlowStore(tmp_path / "pairloop.duckdb", hold=True) as opened:
        for name in ("ann", "bob", "cem"):
            add_labeler(opened, name, password=None)
        yield opened
        opened.answers.set()


@pytest.fixture
def later(monkeypatch):
    """Lets time pass for what is remembered."""
    from annotate import web_session

    clock = [1000.0]
    monkeypatch.setattr(web_session.time, "monotonic", lambda: clock[0])

    def pass_time(seconds):
        clock[0] += seconds

    return pass_time


def who(sessions, token):
    found = sessions.labeler(token, is_token=False)
    return found and found.name


def test_nobody_waits_for_somebody_elses_look(store, later):
    sessions = Sessions(store, hours=1)
    tokens = {name: start_session(store, name, hours=1) for name in ("ann", "bob", "cem")}
    assert [who(sessions, tokens[n]) for n in ("ann", "bob")] == ["ann", "bob"]
    later(2 * _LOOK_SECONDS)
    store.holds = "sign_in_versions"
    with ThreadPoolExecutor(3) as pool:
        looking = pool.submit(who, sessions, tokens["ann"])
        assert store.asked.wait(10)

        assert pool.submit(who, sessions, tokens["bob"]).result(timeout=10) == "bob"
        assert pool.submit(who, sessions, tokens["cem"]).result(timeout=10) == "cem"
        assert not looking.done()

        store.answers.set()
        assert looking.result(timeout=10) == "ann"


def test_a_look_that_fails_is_tried_again_by_the_next(store, later):
    sessions = Sessions(store, hours=1)
    token = start_session(store, "ann", hours=1)
    assert who(sessions, token) == "ann"
    later(2 * _LOOK_SECONDS)
    store.away = True
    with pytest.raises(StoreError, match="away"):
        who(sessions, token)
    store.away = False
    assert who(sessions, token) == "ann"


def test_who_was_looked_up_before_another_command_changed_them_is_not_remembered(store, later):
    """The look-up ends after the look that would have made everybody be forgotten."""
    sessions = Sessions(store, hours=1)
    tokens = {name: start_session(store, name, hours=1) for name in ("ann", "bob")}
    assert who(sessions, tokens["bob"]) == "bob"
    store.holds = "labeler_by_name"
    with ThreadPoolExecutor(1) as pool:
        looked_up = pool.submit(who, sessions, tokens["ann"])
        assert store.asked.wait(10)
        store.holds = ""
        ann = judging.labelers(store)["ann"]
        store.append([replace(ann, revision=ann.revision + 1, active=False, created_at=utc_now())])
        later(2 * _LOOK_SECONDS)
        assert who(sessions, tokens["bob"]) == "bob"
        store.answers.set()
        assert looked_up.result(timeout=10) == "ann"
    assert who(sessions, tokens["ann"]) is None
