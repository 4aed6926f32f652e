"""pairloop.client against the real server, over real HTTP."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from factories import PASSWORD
from fastapi import FastAPI
from fastapi.responses import RedirectResponse, Response
from serving import listening
from web import Server

from annotate.accounts import add_labeler
from pairloop.client import ApiError, Client, UnreachableError
from storage.judgments import judgments
from storage.records import Role


@dataclass
class Site:
    server: Server
    address: str

    def client(self, name):
        return Client(self.address + "/", self.server.token(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        server = Server(tmp_path_factory.mktemp("client"), gold_share=0.0, repeat_share=0.0)
    add_labeler(server.store, "jo", password=PASSWORD, role=Role.ADJUDICATOR)
    with listening(server.app) as address:
        yield Site(server, address)
    server.store.close()


def test_a_labelers_work_from_the_first_pair_to_the_last(site):
    with site.client("ann") as client:
        assert (client.me().name, client.me().role) == ("ann", "labeler")
        assert "skip_reasons" in client.me().form
        pairs = client.pairs(count=3)
        assert len(pairs) == 3
        assert "Question" in pairs[0].prompt
        assert "**" in pairs[0].left + pairs[0].right  # text, not HTML
        first = client.judge(pairs[0], "left", strength="clear", seconds=3.0, key="key-of-ann")
        assert first.progress.judged == 1
        assert first.feedback is None
        client.judge(pairs[0], "left", strength="clear", seconds=3.0, key="key-of-ann")
        client.judge(pairs[1].presentation, "tie", seconds=1.0, rationale="the same")
        client.judge(pairs[0], "right", seconds=1.0)
        told = list(client.history())
        assert [d.choice for d in told] == ["right", "tie"]
        assert told[0].changed
        assert len(list(client.history(count=1))) == 1
        back = client.undo()
        assert back is not None
        assert back.presentation in (pairs[0].presentation, pairs[1].presentation)
        assert client.progress().judged == 1
        while more := client.pairs(count=16):
            for pair in more:
                client.judge(pair, "skip", skip_reason="Disturbing content")
        assert client.progress().left == 0
        assert len(list(client.history())) == 12
        assert client.guidelines()["version"]
    mine = [j for j in judgments(site.server.store) if j.labeler == "ann"]
    assert len(mine) == 12


def test_what_is_not_allowed_is_told_in_the_servers_words(site):
    with site.client("bob") as bob:
        with pytest.raises(ApiError, match="This is for admins") as refused:
            bob.people()
        assert refused.value.status == 403
        with pytest.raises(ApiError, match="adjudicators and admins"):
            bob.queue()
        with pytest.raises(ApiError, match="not shown to you") as conflict:
            bob.judge("s1:nothing", "left")
        assert conflict.value.status == 409
        with pytest.raises(ApiError, match="strength"):
            bob.judge(bob.pairs(count=1)[0], "tie", strength="slight")
    with Client(site.address, "pairloop_wrong") as nobody:
        with pytest.raises(ApiError, match="API token is unknown") as unknown:
            nobody.me()
        assert unknown.value.status == 401
    with site.client("jo") as jo:
        assert jo.queue()["waiting"] >= 0
        with pytest.raises(ApiError, match="This is for admins"):
            jo.settings()


def test_a_lead_steers_the_team(site):
    with site.client("lead") as lead:
        link = lead.invite("kim/é", role="labeler", groups=["medics"], days=2)
        browser = httpx.Client()
        browser.post(link, data={"password": PASSWORD, "again": PASSWORD})
        people = {p.name: p for p in lead.people()}
        assert people["kim/é"].groups == ("medics",)
        assert lead.invitations()[0]["state"] == "used"
        assert browser.get(site.address + "/api/pairs").json()["pairs"]
        assert lead.pause("kim/é").paused
        assert browser.get(site.address + "/api/pairs").json()["state"] == "paused"
        assert not lead.resume("kim/é").paused
        changed = lead.change_person("kim/é", daily_limit=5, groups=[], qualified=True)
        assert (changed.daily_limit, changed.groups, changed.qualified) == (5, (), True)
        assert lead.change_person("kim/é", daily_limit=None).daily_limit is None
        assert not lead.disable("kim/é").active
        assert browser.get(site.address + "/api/pairs").status_code == 401
        assert lead.enable("kim/é").active

        lead.invite("later")
        open_one = lead.invitations()[0]
        lead.revoke_invitation(open_one["id"])
        assert lead.invitations()[0]["state"] == "revoked"
        with pytest.raises(ApiError, match="no such open invitation") as gone:
            lead.revoke_invitation(open_one["id"])
        assert gone.value.status == 404
        assert lead.change_role("ann", "adjudicator").role == "adjudicator"
        assert lead.change_role("ann", "labeler").role == "labeler"
        assert "/reset/" in lead.reset_password("ann")
        with pytest.raises(ApiError, match="your own role"):
            lead.change_role("lead", "labeler")
        with pytest.raises(ApiError, match="your own account"):
            lead.disable("lead")
        with pytest.raises(ApiError, match="no labeler 'nobody'"):
            lead.pause("nobody")


def test_a_lead_steers_the_work(site):
    with site.client("lead") as lead:
        version = lead.set_guidelines("# Newer\n\nBe fair.")
        assert lead.guidelines()["version"] == version
        assert "Be fair" in lead.guidelines()["html"]
        assert lead.change_settings(votes_per_pair=3, stop_at=0.9)["values"]["votes_per_pair"] == 3
        assert lead.settings()["changed"]["stop_at"]["author"] == "lead"
        assert lead.settings()["file"]["votes_per_pair"] == 2
        assert lead.change_settings(stop_at="off")["values"]["stop_at"] is None
        lead.change_settings(votes_per_pair=None, stop_at=None)
        assert lead.settings()["values"]["votes_per_pair"] == 2
        for wrong in ({"votes_per_pair": 99}, {"host": 1}, {"votes_per_pair": 1, "nonsense": 1}):
            with pytest.raises(ApiError) as refused:
                lead.change_settings(**wrong)
            assert refused.value.status == 422
        assert lead.settings()["values"]["votes_per_pair"] == 2
        assigned = lead.assign(people=["ann"], tag="medicine", priority=2)
        lead.unassign(assigned)
        with pytest.raises(ApiError, match="no active assignment"):
            lead.unassign(assigned)
        assert lead.status()["next"]
        assert "judgments" in lead.agreement()
        assert lead.rounds()["child"]["running"] is False
        with pytest.raises(ApiError, match="nothing to stop"):
            lead.stop()
        actions = [entry["action"] for entry in lead.activity()]
        assert {"guidelines changed", "setting changed", "assigned"} <= set(actions)


def test_long_lists_come_page_by_page(site):
    token = {"Authorization": f"Bearer {site.server.token('lead')}"}
    whole = httpx.get(f"{site.address}/api/activity?count=500", headers=token).json()
    skip, found = 0, []
    while skip is not None:
        path = f"{site.address}/api/activity?count=3&skip={skip}"
        page = httpx.get(path, headers=token).json()
        assert len(page["items"]) <= 3
        found += page["items"]
        skip = page["next"]
    assert found == whole["items"]
    for wrong in ("count=0", "count=501", "skip=-1", "count=x"):
        answer = httpx.get(f"{site.address}/api/activity?{wrong}", headers=token)
        assert answer.status_code == 422


def test_own_tokens_are_listed_and_ended(site):
    with site.client("bob") as bob:
        newest = bob.tokens()[0]
        assert newest["active"]
        bob.revoke_token(newest["id"])
        with pytest.raises(ApiError, match="revoked") as out:
            bob.me()
        assert out.value.status == 401


def test_a_judgment_is_tried_again_with_the_same_key_and_stored_once(site, monkeypatch):
    """The answer is lost after the judgment was stored: the worst case."""
    monkeypatch.setattr("pairloop.calls._WAITS_SECONDS", (0.01, 0.01))
    with site.client("jo") as jo:
        pair = jo.pairs(count=1)[0]
        real, calls = jo._http.request, []

        def lossy(method, path, **named):
            answer = real(method, path, **named)
            calls.append(named["json"]["key"])
            if len(calls) == 1:
                raise httpx.ReadTimeout("lost")
            return Response503 if len(calls) == 2 else answer

        Response503 = httpx.Response(503, json={"detail": "try again"})
        monkeypatch.setattr(jo._http, "request", lossy)
        assert jo.judge(pair, "left").progress.judged == 1
        assert len(calls) == 3
        assert len(set(calls)) == 1
    assert len([j for j in judgments(site.server.store) if j.labeler == "jo"]) == 1


def test_no_server_and_strangers_are_told_apart():
    gone = Client("http://127.0.0.1:9", "x")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 gives no answer"):
        gone.me()
    gone.close()
    stranger, carried = FastAPI(), []

    @stranger.get("/api/me")
    def moved():
        return RedirectResponse("/elsewhere")

    @stranger.get("/elsewhere")
    def elsewhere():
        carried.append(1)

    @stranger.get("/api/status")
    def page():
        return Response("<html>")

    with listening(stranger) as address, Client(address, "x") as client:
        for call in (client.me, client.status):
            with pytest.raises(ApiError, match="Is the address right"):
                call()
    assert carried == []


def test_the_documentation_shows_every_route_with_who_may_and_an_example(site):
    token = {"Authorization": f"Bearer {site.server.token('lead')}"}
    schema = httpx.get(f"{site.address}/openapi.json", headers=token).json()
    page = httpx.get(f"{site.address}/docs", headers=token).text
    assert len(schema["paths"]) > 30
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}<" in page
            assert operation["x-access"] in page
            assert operation.get("description"), path
    assert "Authorization: Bearer $TOKEN" in page
    body = json.dumps({"label": "...", "days": None})
    assert "POST /api/tokens" in page
    assert "&#x27;{&quot;label&quot;" in page, body
    assert "http://" not in page
    assert "<script" not in page


def test_the_examples_of_the_documentation_run(site, monkeypatch, capsys):
    monkeypatch.setenv("PAIRLOOP", site.address)
    monkeypatch.setenv("TOKEN", site.server.token("lead"))
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    told = capsys.readouterr().out
    assert told.startswith("lead admin\n")
    assert "422 There is no labeler" in told
