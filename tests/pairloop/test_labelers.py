"""`pairloop labelers`, as a person types it, and what it opens on a real server."""

import json
import os
import subprocess
import sys

import httpx
import pytest
from factories import PASSWORD
from serving import listening

from annotate.accounts import check_password
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.passwords import use_reset
from pairloop.client import Client
from storage import team
from storage.records import Role
from storage.store import Store


@pytest.fixture
def labelers(tmp_path, micro_model):
    from pairloop.workspace import init_workspace

    init_workspace(tmp_path, model=micro_model)

    def run(*words, text="", code=0):
        done = subprocess.run(
            [sys.executable, "-m", "pairloop", "labelers", *words, "-w", str(tmp_path)],
            capture_output=True,
            text=True,
            input=text,
            timeout=120,
            env=os.environ | {"COLUMNS": "200"},
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    return run


def test_labelers_are_added_listed_paused_and_disabled(labelers, tmp_path):
    words = ("add", "ann", "--password-stdin", "--group", "medics", "--group", "night shift")
    labelers(*words, text="a long password\n")
    assert "already a labeler 'ann'" in labelers(*words, text="a long password\n", code=1)
    short = labelers("add", "bob", "--password-stdin", text="short\n", code=1)
    assert "needs 8 or more" in short
    assert "no role 'boss'" in labelers("add", "bob", "--role", "boss", code=1)
    labelers("pause", "ann")
    (row,) = json.loads(labelers("list", "--json"))["labelers"]
    assert row == {
        "name": "ann",
        "role": "labeler",
        "kind": "human",
        "active": True,
        "paused": True,
        "groups": ["medics", "night shift"],
    }
    assert "gets pairs again" in labelers("resume", "ann")
    labelers("disable", "ann")
    (row,) = json.loads(labelers("list", "--json"))["labelers"]
    assert (row["active"], row["paused"]) == (False, False)
    labelers("enable", "ann")
    assert "no labeler 'nobody'" in labelers("pause", "nobody", code=1)
    assert b"a long password" not in (tmp_path / "pairloop.duckdb").read_bytes()
    with Store(tmp_path / "pairloop.duckdb") as store:
        actors = {a.actor for a in team.activities(store)}
    assert actors == {"command line"}


def test_an_invitation_and_a_token_from_the_command_line_open_the_server(
    labelers, tmp_path, monkeypatch
):
    words = ("add", "ann", "--invite", "--role", "admin")
    assert "leave --password-stdin out" in labelers(*words, "--password-stdin", code=1)
    link, hint, *_ = labelers(*words).splitlines()
    assert link.startswith("/invite/")
    assert "7 days" in hint
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    config = AnnotateConfig()
    with Store(tmp_path / "pairloop.duckdb", hold=True) as store:
        app = create_app(desk=Desk(store, config), store=store, workspace=tmp_path, config=config)
        with listening(app) as address:
            form = {"password": PASSWORD, "again": PASSWORD}
            assert httpx.post(address + link, data=form).status_code == 303
            token = labelers("token", "ann", "--label", "nightly", "--days", "2").strip()
            with Client(address, token) as client:
                assert (client.me().name, client.me().role) == ("ann", "admin")
                assert client.tokens()[0]["label"] == "nightly"
            assert "no labeler 'nobody'" in labelers("token", "nobody", code=1)


def test_a_role_and_a_password_are_changed_from_the_command_line(labelers, tmp_path):
    labelers("add", "ann", "--password-stdin", text="a long password\n")
    assert "ann is admin now." in labelers("role", "ann", "admin")
    assert "ann is the only admin" in labelers("role", "ann", "labeler", code=1)
    assert "no role 'boss'" in labelers("role", "ann", "boss", code=1)
    assert "signs in again" in labelers(
        "password", "ann", "--password-stdin", text="new and long\n"
    )
    assert "leave --password-stdin out" in labelers(
        "password", "ann", "--link", "--password-stdin", code=1
    )
    link, hint = labelers("password", "ann", "--link").splitlines()
    assert "holds 24 hours" in hint
    with Store(tmp_path / "pairloop.duckdb") as store:
        assert check_password(store, "ann", "new and long").role is Role.ADMIN
        assert use_reset(store, link.removeprefix("/reset/"), "chosen by ann") == "ann"
        assert check_password(store, "ann", "new and long") is None
