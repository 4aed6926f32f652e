"""What training left behind, as the Rounds page and the routes give it; real files and real HTTP."""

import json

import pytest
from factories import PASSWORD, make_judgment, make_pair, make_policy, make_response
from round_data import CHECK, HOSTILE, trained
from web import finished

from annotate.accounts import add_labeler
from annotate.adjudication import Kind
from annotate.bench import Bench
from annotate.check_result import last_check
from annotate.consensus import settle
from annotate.round_files import (
    doubts,
    round_verdict,
    send_to_adjudication,
    sent_words,
    standing_verdict,
)
from annotate.rounds_html import check_html, doubts_html, policies_html, warnings_html
from storage import team
from storage.records import Purpose, Role, Verdict
from storage.run_records import RunEvent, RunStatus
from storage.store import utc_now
from storage.summaries import evaluation_outcomes
from storage.win_rate import WinRate, win_rate


@pytest.fixture
def round_one(own):
    ids = [pair.id for pair in own.filled.pairs]
    own.store.append([make_policy(1, parent=own.filled.policy)])
    trained(own.folder, [(ids[0], 0.1, 0.9), (ids[1], 1.0, 0.0), (ids[2], 0.0, 2.0)])
    return own


def test_the_labels_contradicted_most_come_first(round_one):
    ids = [pair.id for pair in round_one.filled.pairs]
    found = doubts(round_one.folder, 1)
    assert [(d.pair_id, round(d.margin, 6)) for d in found] == [(ids[2], -2.0), (ids[0], -0.8)]
    assert [d.pair_id for d in doubts(round_one.folder, 1, most=1)] == [ids[2]]
    assert doubts(round_one.folder, 2) == []
    assert round_verdict(round_one.folder, 1).word == "Do not promote"
    assert round_verdict(round_one.folder, 2) is None


def test_doubted_pairs_become_cases_once_and_show_no_vote(round_one):
    own, lead = round_one, round_one.client("lead")
    ids = {own.filled.pairs[0].id, own.filled.pairs[2].id}
    sent = lead.post("/api/rounds/1/adjudicate").json()
    assert sent == {"new": 2, "known": 0, "decided": 0, "not_cases": 0}
    assert lead.post("/api/rounds/1/adjudicate").json()["known"] == 2
    cases = lead.get("/api/adjudication/cases", params={"show": "doubted"}).json()
    assert {c["pair"] for c in cases["items"]} == ids
    assert {c["kind"] for c in cases["items"]} == {Kind.DOUBTED.value}
    assert cases["counts"]["doubted"] == 2
    assert "margin" not in json.dumps(cases)
    shown = doubts_html(own.store, 1, doubts(own.folder, 1))
    assert shown.count(">sent<") == 2
    (note,) = [a for a in team.activities(own.store) if a.action == "pairs sent to adjudication"]
    assert (note.actor, note.subject, note.detail) == ("lead", "round 1", "2 pairs")


def test_a_decided_pair_and_an_unknown_one_are_left_out_and_counted(round_one):
    own = round_one
    add_labeler(own.store, "jo", password=PASSWORD, role=Role.ADJUDICATOR)
    pair = own.filled.pairs[0].id
    send_to_adjudication(own.store, [pair], number=1, author="lead")
    jo = own.client("jo")
    view = {"key": "key-of-a-view", "choice": "left"}
    assert jo.post(f"/api/adjudication/cases/{pair}/view", json=view).status_code == 200
    decision = {"key": "key-of-a-decision", "choice": "left", "cause": "error"}
    assert jo.post(f"/api/adjudication/cases/{pair}/decision", json=decision).status_code == 200
    sent = send_to_adjudication(own.store, [pair, "c1:nothing"], number=1, author="lead")
    assert (sent.new, sent.decided, sent.not_cases) == (0, 1, 1)
    assert sent_words(sent) == (
        "Nothing new to send. Left out: 1 decided already, 1 no pair for adjudicators."
    )
    done = Bench(own.store, own.desk).cases("jo")
    assert [(c.pair_id, c.adjudication.verdict in Verdict) for c in done] == [(pair, True)]


def test_a_report_is_for_admins_and_loads_and_runs_nothing(round_one):
    answer = round_one.client("lead").get("/api/rounds/1/report")
    assert "<h1>Report</h1>" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "script" not in policy
    for who in ("ann", None):
        assert round_one.client(who).get("/api/rounds/1/report").status_code in (401, 403)


@pytest.mark.parametrize(
    "number", ["0", "2", "-1", "1%2f..%2f..", "..%2f..%2fpairloop.toml", "%2e%2e", "9" * 30]
)
def test_no_other_file_is_reached_through_a_round(round_one, number):
    (round_one.folder / "report.html").write_text("secret")
    answer = round_one.client("lead").get(f"/api/rounds/{number}/report")
    assert answer.status_code in (404, 422)
    assert "secret" not in answer.text


def test_a_link_that_leads_out_of_the_folder_is_not_followed(round_one, tmp_path):
    (tmp_path / "elsewhere.html").write_text("secret")
    report = round_one.folder / "policies" / "round-1" / "report.html"
    report.unlink()
    report.symlink_to(tmp_path / "elsewhere.html")
    answer = round_one.client("lead").get("/api/rounds/1/report")
    assert (answer.status_code, "secret" in answer.text) == (404, False)


def test_a_policy_has_its_win_rate_against_sft_and_ties_count_half(round_one):
    own, sft = round_one, round_one.filled.policy
    assert "judged" not in policies_html(own.store, own.folder)
    policy = make_policy(1, parent=sft)
    prompts = own.filled.prompts[:4]
    theirs = own.filled.responses[0:8:2]
    ours = [make_response(prompt, policy, "another answer") for prompt in prompts]
    pairs = [make_pair(a, b, purpose=Purpose.EVALUATION) for a, b in zip(ours, theirs, strict=True)]
    votes = []
    for pair, answer in zip(pairs, ours, strict=True):
        won = Verdict.FIRST if pair.first == answer.id else Verdict.SECOND
        votes.append(make_judgment(pair, "ann", won if votes else Verdict.TIE))
    own.store.append(ours)
    own.store.append(pairs)
    own.store.append(votes)
    settle(own.store, own.config)
    shown = policies_html(own.store, own.folder)
    rate = win_rate(evaluation_outcomes(own.store), policy=policy.id, against=sft.id)
    assert (rate.wins, rate.ties, rate.losses) == (3, 1, 0)
    assert "<b>88%</b>" in shown
    assert f"{rate.low:.0%} to {rate.high:.0%}, of 4 judged" in shown


@pytest.mark.parametrize(
    ("prompts", "low", "high", "word"),
    [
        (20, 0.55, 0.8, "Promote"),
        (20, 0.2, 0.45, "Do not promote"),
        (20, 0.4, 0.6, "Cannot tell yet"),
        (19, 0.55, 0.8, "Cannot tell yet"),
    ],
)
def test_people_decide_once_their_comparisons_tell(own, prompts, low, high, word):
    trained(own.folder, [], promote=None)
    rate = WinRate(
        wins=1, ties=0, losses=0, prompts=prompts, value=(low + high) / 2, low=low, high=high
    )
    found = standing_verdict(own.folder, 1, rate)
    assert found.word == word
    assert ("people prefer" in found.reason) == (word != "Cannot tell yet")


def test_verdicts_and_warnings_are_shown_as_text(round_one):
    shown = policies_html(round_one.store, round_one.folder)
    assert "Do not promote" in shown
    assert 'href="/api/rounds/1/report"' in shown
    events = [
        RunEvent(
            run_id="r",
            sequence=i,
            status=RunStatus.RUNNING,
            progress=0.1,
            message=message,
            metrics={},
            created_at=utc_now(),
        )
        for i, message in enumerate(["step 1 of 9", f"warning, entropy: {HOSTILE}"])
    ]
    shown += warnings_html(events)
    assert "entropy: &lt;img" in shown
    assert "step 1" not in shown
    assert "<img" not in shown


def test_a_check_is_read_from_its_log(tmp_path):
    runner = finished(tmp_path, "print('no result')", verb="check")
    assert last_check(runner) is None
    assert check_html(runner) == ""
    runner.last_log("check").unlink()
    runner = finished(tmp_path, CHECK, verb="check")
    assert last_check(runner).red == 1
    shown = check_html(runner)
    assert "1 red, 0 amber. Training is refused" in shown
    assert "too &lt;b&gt;long&lt;/b&gt; (c1:a)" in shown


def test_a_check_is_started_as_train_check(tmp_path):
    runner = finished(tmp_path, "import sys; print(sys.argv[1:4])", verb="check")
    assert "['train', '--check', '--json']" in runner.log_tail()
