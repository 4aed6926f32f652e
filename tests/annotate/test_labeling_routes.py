"""The routes the labeling page uses: blind cards, judgments, undo."""

import json

import pytest
from web import Server, decision

from storage import judgments as judging


def test_a_card_is_blind(server):
    """No model, setting, score, stored order or other person's vote leaves the server."""
    client = server.client("bob")
    pairs = client.get("/api/pairs", params={"count": 4}).json()["pairs"]
    assert set(pairs[0]) == {
        "presentation",
        "prompt_html",
        "left_html",
        "right_html",
        "prompt_text",
        "left_text",
        "right_text",
        "qualification",
    }
    everything = "".join(
        client.get(path).text
        for path in ("/api/pairs", "/api/progress", "/api/me", "/api/guidelines", "/label/config")
    ) + json.dumps(pairs)
    ids = [r.id for r in server.filled.responses] + [p.id for p in server.filled.pairs]
    secrets = [server.filled.policy.id, server.filled.policy.base_model, "temperature", "logprob"]
    for secret in ids + secrets:
        assert secret not in everything


def test_the_two_sides_differ_between_people_somewhere(server):
    def left_of(name):
        client = server.client(name)
        cards = client.get("/api/pairs", params={"count": 12}).json()["pairs"]
        return {card["prompt_text"]: card["left_text"] for card in cards}

    ann, bob = left_of("ann"), left_of("bob")
    shared = ann.keys() & bob.keys()
    assert shared
    assert len({ann[p] == bob[p] for p in shared}) == 2


def test_a_judgment_is_stored_in_the_order_of_the_pair(own):
    client = own.client("ann")
    texts = {r.id: r.text for r in own.filled.responses}
    for card in client.get("/api/pairs", params={"count": 8}).json()["pairs"]:
        answer = client.post("/api/judgments", json=decision(card))
        assert answer.status_code == 200
        row = judging.judgments(own.store)[-1]
        pair = next(p for p in own.filled.pairs if p.id == row.pair_id)
        preferred = pair.first if row.verdict == "first" else pair.second
        assert texts[preferred] == card["left_text"]
        assert (row.strength, row.labeler, row.seconds) == ("clear", "ann", 2.5)
    assert answer.json()["progress"]["judged"] == 8
    assert {row.presentation_id for row in judging.judgments(own.store)}


def test_the_same_key_again_changes_nothing(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    for _ in range(3):
        assert client.post("/api/judgments", json=decision(card)).status_code == 200
    assert len(judging.judgment_events(own.store)) == 1


def test_another_persons_card_cannot_be_judged(own):
    card = own.client("ann").get("/api/pairs").json()["pairs"][0]
    answer = own.client("bob").post("/api/judgments", json=decision(card))
    assert answer.status_code == 409
    assert answer.json()["detail"]
    assert judging.judgment_events(own.store) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"choice": "first"},
        {"choice": "LEFT"},
        {"strength": "huge"},
        {"seconds": -1},
        {"seconds": "NaN"},
        {"seconds": 1e9},
        {"key": "short"},
        {"key": "x" * 65},
        {"key": "a b c d e f"},
        {"choice": "tie"},
        {"rationale": "x" * 4001},
        {"flags": ["<script>"]},
        {"flags": ["a"] * 9},
        {"labeler": "bob"},
        {"presentation": ""},
        {"presentation": None},
    ],
)
def test_what_is_not_a_judgment_is_refused(server, changes):
    client = server.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    answer = client.post("/api/judgments", json=decision(card) | changes)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert "<script>" not in answer.text
    assert judging.judgment_events(server.store) == []


def test_notes_and_flags_are_kept(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    note = 'the "left" one\n\u05e9\u05dc\u05d5\u05dd <b>'
    body = decision(card, rationale=note, flags=["unsafe", "unclear_prompt"])
    client.post("/api/judgments", json=body)
    row = judging.judgments(own.store)[0]
    assert (row.rationale, row.flags) == (note, ("unsafe", "unclear_prompt"))


def test_undo_gives_the_card_back(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    client.post("/api/judgments", json=decision(card))
    answer = client.post("/api/undo", json={"key": "undo-key-1"}).json()
    assert answer["pair"] == card
    assert answer["progress"]["judged"] == 0
    assert judging.judgments(own.store) == []
    again = client.post("/api/judgments", json=decision(card, key="second-key", choice="right"))
    assert again.json()["progress"]["judged"] == 1
    assert len(judging.judgment_events(own.store)) == 3


def test_undo_with_nothing_to_undo(own):
    answer = own.client("ann").post("/api/undo", json={"key": "undo-key-1"})
    assert answer.json()["pair"] is None


def test_cards_the_browser_has_are_not_sent_again(own):
    client = own.client("ann")
    first = [c["presentation"] for c in client.get("/api/pairs?count=4").json()["pairs"]]
    more = client.get("/api/pairs", params={"count": 4, "have": ",".join(first)}).json()["pairs"]
    assert len(first) == len(more) == 4
    assert not set(first) & {c["presentation"] for c in more}


@pytest.mark.parametrize("query", ["count=0", "count=999", "count=x", "have=" + "x" * 9000])
def test_odd_queries_are_refused(server, query):
    answer = server.client("ann").get(f"/api/pairs?{query}")
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_guidelines_are_rendered_and_recorded_with_what_is_shown(own):
    client = own.client("ann")
    answer = client.get("/api/guidelines").json()
    assert "<em>fair</em>" in answer["html"]
    assert "<script>" not in answer["html"]
    client.get("/api/pairs")
    shown = judging.presentations_of(own.store, "ann")
    assert {row.guideline for row in shown} == {answer["version"]}


def test_guidelines_come_from_the_workspace_only(tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    (tmp_path / "ws_evil").mkdir()
    (tmp_path / "ws_evil" / "secret.md").write_text("secret")
    (tmp_path / "ws").mkdir()
    made = Server(tmp_path / "ws", guidelines="../ws_evil/secret.md")
    assert "secret" not in made.client("ann").get("/api/guidelines").text
    made.store.close()


def test_the_notice_is_passed_as_text(server):
    me = server.client("ann").get("/api/me").json()
    assert (me["name"], me["role"], me["notice"]) == ("ann", "labeler", "a <b>micro</b> model")
    assert "micro" not in server.client("ann").get("/label/config").text
