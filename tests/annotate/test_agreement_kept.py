"""The report that pages share: new when something changed, the same object otherwise."""

import gc
import weakref
from threading import Event

import pytest
from browsing import wait_for
from factories import fill_store, make_judgment, open_store

from annotate.accounts import add_labeler
from annotate.agreement import agreement_report
from annotate.agreement_kept import KeptFullReport, kept_report
from annotate.config import AnnotateConfig
from annotate.kept import REST, SLOW_SECONDS, Kept
from annotate.report_child import report_from_child
from storage.errors import StoreError
from storage.judgments import votes_version
from storage.records import LabelerKind, Verdict

FIRST = Verdict.FIRST


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as opened:
        yield opened


def test_the_report_is_kept_until_a_vote_a_labeler_or_the_settings_change(store):
    pairs = fill_store(store, pairs=12, labelers=(), admin=None).pairs
    config = AnnotateConfig()
    store.append([make_judgment(p, "ann", FIRST) for p in pairs])
    kept = Kept(agreement_report, votes_version, clock=lambda: 0.0)  # no report is slow
    first = kept.value(store, config)
    assert kept.value(store, AnnotateConfig()) is first
    store.append([make_judgment(p, "bob", FIRST, minute=1) for p in pairs])
    second = kept.value(store, config)
    assert (first.judgments, second.judgments) == (12, 24)
    store.append([make_judgment(pairs[0], "bob", FIRST, minute=2, revision=1, withdrawn=True)])
    assert kept.value(store, config).judgments == 23
    store.append([make_judgment(p, "cem", FIRST, minute=3) for p in pairs])
    assert kept.value(store, config).judgments == 24, "cem's are tie-breaking but on pair 0"
    free = AnnotateConfig(tie_breaker=False)
    assert kept.value(store, free).judgments == 35
    add_labeler(store, "cem", password=None, kind=LabelerKind.MODEL)
    assert kept.value(store, free).judgments == 23
    assert kept.value(store, free) == agreement_report(store, free)


def test_a_slow_report_rests_while_votes_come_in_but_not_when_settings_change(store):
    now = [0.0]

    def clock():
        """Every look at it is a second later."""
        now[0] += 1.0
        return now[0]

    kept = Kept(agreement_report, votes_version, clock=clock)
    pairs = fill_store(store, pairs=3, labelers=(), admin=None).pairs
    first = kept.value(store, AnnotateConfig())
    store.append([make_judgment(pairs[0], "ann", FIRST)])
    assert kept.value(store, AnnotateConfig()) is first
    assert kept.value(store, AnnotateConfig(tie_breaker=False)).judgments == 1
    store.append([make_judgment(pairs[1], "ann", FIRST)])
    assert kept.value(store, AnnotateConfig(tie_breaker=False)).judgments == 1
    assert SLOW_SECONDS < 1
    now[0] += REST
    wait_for(lambda: kept.value(store, AnnotateConfig(tie_breaker=False)).judgments == 2)


def test_nobody_waits_while_a_slow_answer_is_worked_out_anew(store):
    now, go = [0.0], Event()
    go.set()

    def work(_, config):
        assert go.wait(30)
        now[0] += 2 * SLOW_SECONDS
        if config.tie_breaker:
            return now[0]
        raise StoreError("it is closed")

    kept = Kept(work, lambda _: (int(now[0] * 1000),), clock=lambda: now[0])
    first = kept.value(store, AnnotateConfig())
    go.clear()
    now[0] += REST
    assert [kept.value(store, AnnotateConfig()) for _ in range(3)] == [first] * 3
    go.set()
    wait_for(lambda: kept.value(store, AnnotateConfig()) > first)
    with pytest.raises(StoreError, match="closed"):
        kept.value(store, AnnotateConfig(tie_breaker=False))


def test_who_is_in_a_hurry_gets_the_first_answer_once_it_is_there(store):
    asked, go = [], Event()

    def work(_, config):
        asked.append(config.tie_breaker)
        assert go.wait(30)
        return config.tie_breaker

    kept = Kept(work, lambda _: (1,))
    assert [kept.soon(store, AnnotateConfig(), patience=0.05) for _ in range(3)] == [None] * 3
    other = AnnotateConfig(tie_breaker=False)
    assert kept.soon(store, other, patience=0.05) is None, "one answer is worked out at a time"
    go.set()
    wait_for(lambda: kept.soon(store, AnnotateConfig(), patience=0.05) is True)
    assert kept.soon(store, other, patience=30) is False
    assert asked == [True, False]


def test_who_is_in_a_hurry_hears_why_there_is_no_answer(store):
    broken = [True]

    def work(_, __):
        if broken[0]:
            raise StoreError("The store is away.")
        return 1

    kept = Kept(work, lambda _: (1,))
    with pytest.raises(StoreError, match="away"):
        kept.soon(store, AnnotateConfig(), patience=30)
    broken[0] = False
    assert kept.soon(store, AnnotateConfig(), patience=30) == 1


def test_an_answer_that_fails_behind_is_asked_for_again_later(store, caplog):
    now, broken = [0.0], [False]

    def work(_, __):
        now[0] += 2 * SLOW_SECONDS
        if broken[0]:
            raise StoreError("The store is away.")
        return now[0]

    kept = Kept(work, lambda _: (int(now[0] * 1000),), clock=lambda: now[0])
    first = kept.value(store, AnnotateConfig())
    broken[0] = True
    now[0] += REST
    assert kept.value(store, AnnotateConfig()) == first
    wait_for(lambda: "The store is away." in caplog.text)
    broken[0] = False
    now[0] += REST
    wait_for(lambda: kept.value(store, AnnotateConfig()) > first)


def test_a_closed_store_is_not_held(tmp_path):
    opened = open_store(tmp_path)
    kept_report(opened, AnnotateConfig())
    opened.close()
    gone = weakref.ref(opened)
    del opened
    gc.collect()
    assert gone() is None


def test_the_whole_report_comes_from_a_child_and_nobody_waits_for_it(store):
    pairs = fill_store(store, pairs=12, labelers=(), admin=None).pairs
    store.append([make_judgment(p, who, FIRST) for p in pairs for who in ("ann", "bob")])
    kept = KeptFullReport()
    assert kept.look(store, AnnotateConfig()).report is None

    def done():
        looked = kept.look(store, AnnotateConfig())
        assert looked.problem == ""
        return looked.report

    wait_for(done)
    full = done()
    assert full.agreement == agreement_report(store, AnnotateConfig())
    assert full.quality.votes == 24
    store.append([make_judgment(pairs[0], "cem", FIRST, minute=1)])
    looked = kept.look(store, AnnotateConfig())
    assert (looked.report, looked.working) == (full, False), "it rests before it follows"
    assert kept.look(store, AnnotateConfig(tie_breaker=False)).working


def test_what_goes_wrong_in_the_child_is_said(tmp_path):
    (tmp_path / "broken.duckdb").write_bytes(b"no database at all")
    problem = report_from_child(tmp_path / "broken.duckdb", AnnotateConfig())
    assert problem.startswith("storage.errors.StoreError: ")
