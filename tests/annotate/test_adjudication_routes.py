"""The adjudicators' routes over real HTTP: blind before the own view, everything after it."""

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest
from disputed import PEOPLE, WHY, fill_disputed
from factories import open_store
from serving import listening
from web import sign_in

from annotate.accounts import add_labeler
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.tokens import create_token
from pairloop.client import ApiError, Client
from storage import adjudications, team
from storage.records import Role, Verdict

CASES = "/api/adjudication/cases"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adjudication")
    store = open_store(folder, hold=True)
    filled = fill_disputed(store)
    config = AnnotateConfig(repeat_share=0)
    desk = Desk(store, config)
    app = create_app(desk=desk, store=store, workspace=folder, config=config)
    with pytest.MonkeyPatch.context() as patch, listening(app) as address:
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        yield store, filled, address
    store.close()


@pytest.fixture(scope="module")
def jo(live):
    return sign_in(live[2], "jo")


@pytest.fixture(scope="module")
def lead(live):
    return sign_in(live[2], "lead")


def key():
    return uuid4().hex


def give(client, pair, choice="left", **more):
    return client.post(f"{CASES}/{pair}/view", json={"key": key(), "choice": choice} | more)


def hidden(filled):
    """What must not be in an answer before the own view; what it may hold by chance is not here."""
    people = [*PEOPLE, "judge"]
    secrets = [f'"{name}"' for name in people] + list(WHY.values())
    secrets += ["Shorter", "formula explains", "unclear_prompt", "rationale", "verdict"]
    secrets += [
        "temperature",
        "logprob",
        filled.policy.id,
        filled.policy.base_model,
        '"votes"',
        '"strong"',
    ]
    return secrets + [r.id for r in filled.responses]


def test_nothing_of_the_votes_leaves_the_server_before_the_own_view(live, lead):
    _, filled, _ = live
    pair = filled.pairs[0].id
    listed = lead.get(CASES)
    opened = lead.get(f"{CASES}/{pair}")
    assert opened.status_code == listed.status_code == 200
    assert set(opened.json()) == {"pair", "labeled", "held_by", "notes", "view"}
    assert set(listed.json()["items"][0]) == {
        "pair",
        "prompt",
        "kind",
        "split",
        "dispute",
        "flags",
        "purpose",
        "round",
        "decided_by",
        "decided_at",
        "labeled",
        "held_by",
    }
    said = {"key": key(), "choice": "left", "cause": "style"}
    answers = [
        listed,
        opened,
        lead.get(f"{CASES}/{pair}/votes"),
        lead.post(f"{CASES}/{pair}/decision", json=said),
        lead.post(f"{CASES}/{pair}/undo", json={"key": key()}),
        lead.post(f"{CASES}/{pair}/gold", json={}),
        lead.post(f"{CASES}/{pair}/example"),
        lead.post(f"{CASES}/{pair}/notes", json={"key": key(), "text": "bob is right, ann not"}),
        lead.get(f"{CASES}/{pair}"),
        lead.get(CASES, params={"show": "no_majority"}),
    ]
    assert [a.status_code for a in answers[2:7]] == [409] * 5
    sent = b"".join(a.content + repr(a.headers).encode() for a in answers)
    assert [secret for secret in hidden(filled) if secret.encode() in sent] == []
    assert b"bob is right" not in sent  # what adjudicators wrote is shown after the view, too


def test_the_list_tells_how_far_people_are_apart_and_not_which_way(live, lead):
    _, filled, _ = live
    by_pair = {item["pair"]: item for item in lead.get(CASES).json()["items"]}
    contested = by_pair[filled.pairs[3].id]
    assert (contested["split"], contested["kind"]) == ([2, 1], "contested")
    counts = lead.get(CASES, params={"count": 1}).json()
    assert counts["counts"]["open"] == 5
    assert (len(counts["items"]), counts["next"]) == (1, 1)
    part = lead.get(CASES, params={"show": "flagged"}).json()["items"]
    assert [item["pair"] for item in part] == [filled.pairs[1].id]
    assert lead.get(CASES, params={"show": "secret"}).status_code == 422


def test_after_the_own_view_everything_is_shown_in_the_sides_one_sees(live, jo):
    _, filled, _ = live
    pair = filled.pairs[3]
    card = jo.get(f"{CASES}/{pair.id}").json()["pair"]
    first_is_left = card["left_text"].startswith("It is") == (
        next(r for r in filled.responses if r.id == pair.first).text.startswith("It is")
    )
    first, second = ("left", "right") if first_is_left else ("right", "left")
    found = give(jo, pair.id, strength="strong", note="Mine.", seconds=3.5).json()
    assert found["view"]["choice"] == "left"
    votes = {vote["labeler"]: vote for vote in found["votes"]}
    assert [votes[who]["choice"] for who in PEOPLE] == [second, first, second]
    assert votes["cyd"]["rationale"] == WHY[3, "cyd"]
    assert votes["cyd"]["strength"] == "strong"
    assert jo.get(f"{CASES}/{pair.id}/votes").json() == found
    jo.post(f"{CASES}/{pair.id}/notes", json={"key": key(), "text": "Hard."})
    noted = jo.get(f"{CASES}/{pair.id}/votes").json()["notes"]
    assert [(n["author"], n["text"]) for n in noted] == [("jo", "Hard.")]


def test_a_model_s_vote_is_shown_apart(live, jo):
    pair = live[1].pairs[1].id
    found = give(jo, pair, "tie").json()
    assert [(v["labeler"], v["model"]) for v in found["votes"]] == [
        ("ann", False),
        ("bob", False),
        ("judge", True),
    ]
    assert found["votes"][1]["flags"] == ["unclear_prompt"]


def test_what_is_no_view_or_decision_is_refused_with_a_sentence(live, jo):
    pair = live[1].pairs[2].id
    for body, said in [
        ({"choice": "skip"}, "A skip is no view"),
        ({"choice": "tie", "strength": "clear"}, "A strength goes with left or right"),
        ({"choice": "undecidable"}, "choice"),
        ({"choice": "left", "seconds": -1}, "seconds"),
        ({"choice": "left", "note": "x" * 4001}, "note"),
        ({"choice": "left", "verdict": "first"}, "Extra inputs"),
    ]:
        answer = jo.post(f"{CASES}/{pair}/view", json={"key": key()} | body)
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
    broken = json.dumps({"key": key(), "choice": "left", "note": "\ud800"})
    answer = jo.post(f"{CASES}/{pair}/view", content=broken)
    assert answer.status_code == 422
    for path in ("", "/votes"):
        assert jo.get(f"{CASES}/c1:nothing{path}").status_code == 404
    assert give(jo, "c1:nothing").status_code == 404
    give(jo, pair)
    for body in ({"choice": "left"}, {"choice": "left", "cause": "taste"}, {"cause": "style"}):
        answer = jo.post(f"{CASES}/{pair}/decision", json={"key": key()} | body)
        assert answer.status_code == 422


def test_a_whole_case_with_the_client(live):
    store, filled, address = live
    pair = filled.pairs[5].id  # which jo labeled
    with Client(address, create_token(store, "jo", label="test")) as client:
        listed = {case["pair"]: case for case in client.cases()}
        assert listed[pair]["labeled"]
        assert client.case(pair)["labeled"]
        with pytest.raises(ApiError, match="Give your own view") as refused:
            client.case_votes(pair)
        assert refused.value.status == 409
        seen = client.give_view(pair, "left", strength="slight", seconds=2.0)
        assert {vote["labeler"] for vote in seen["votes"]} == {*PEOPLE, "jo"}
        client.discuss(pair, "A close one.")
        decided = client.decide_case(pair, "both_bad", cause="guideline_gap", note="Neither.")
        assert decided["decision"]["choice"] == "both_bad"
        assert client.make_case_gold(pair, use="qualification")["use"] == "qualification"
        assert client.make_case_example(pair)["number"] == 1
        assert [case["pair"] for case in client.cases(show="done")] == [pair]
        again = client.withdraw_decision(pair)
        assert (again["decision"], again["gold"]) == (None, None)
        assert [one["withdrawn"] for one in again["decisions"]] == [False, True]
    golds = team.gold_by_pair(store).values()
    assert [(g.verdict, g.source, g.active) for g in golds] == [
        (Verdict.BOTH_BAD, "adjudicated", False)
    ]


def test_labelers_see_no_case(live):
    ann = sign_in(live[2], "ann")
    pair = live[1].pairs[0].id
    for path in (CASES, f"{CASES}/{pair}", f"{CASES}/{pair}/votes"):
        assert ann.get(path).status_code == 403
    assert give(ann, pair).status_code == 403


def test_another_adjudicator_cannot_take_a_case_at_the_same_time(live, jo, lead):
    listed, pair = live[1].pairs[0].id, live[1].pairs[4].id
    lead.post("/api/adjudication/release")
    jo.get(f"{CASES}/{listed}")
    held = {item["pair"]: item["held_by"] for item in lead.get(CASES).json()["items"]}
    assert held[listed] == "jo"
    assert jo.get(f"{CASES}/{pair}").json()["held_by"] == ""
    assert lead.get(f"{CASES}/{pair}").json()["held_by"] == "jo"
    answer = give(lead, pair)
    assert (answer.status_code, "jo is at this case" in answer.text) == (409, True)
    assert jo.post("/api/adjudication/release").status_code == 200
    assert give(lead, pair).status_code == 200


def test_the_block_of_the_documentation_runs(live, jo, lead, monkeypatch):
    store, filled, address = live
    for other in (jo, lead):
        other.post("/api/adjudication/release")
    add_labeler(store, "kim", password=None, role=Role.ADJUDICATOR)
    monkeypatch.setenv("PAIRLOOP", address)
    monkeypatch.setenv("TOKEN", create_token(store, "kim", label="docs"))
    page = Path(__file__).parents[2] / "docs" / "adjudication.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "docs/adjudication.md", "exec"), {})
    seen = {pair for pair, who in adjudications.own_views(store) if who == "kim"}
    assert seen == {filled.pairs[0].id, filled.pairs[5].id}
    with Client(address, create_token(store, "kim", label="docs")) as kim:
        kim.call("POST", "/api/adjudication/release")
