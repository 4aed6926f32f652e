"""Every secret that pairloop can be given, planted; then everything it says and writes is searched,
while all servers it talks to answer with what they were sent."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import httpx
import pytest
from factories import PASSWORD, fill_store, make_judgment
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from route_table import TABLE, filled
from serving import listening
from web import decision, wait_for

from pairloop.workspace import init_workspace, open_workspace
from storage.records import Verdict

pytestmark = pytest.mark.slow

IN_ENVIRONMENT = {
    "PAIRLOOP_GENERATE_KEY": "planted-generate-key-4f1c",
    "PAIRLOOP_JUDGE_KEY": "planted-judge-key-9a2e",
    "PAIRLOOP_WEBHOOK_SECRET": "planted-webhook-secret-77b0",
    "PAIRLOOP_OIDC_SECRET": "planted-oidc-secret-c3d5",
    "HF_TOKEN": "hf_plantedHubToken51e8",
}
QUERY, USER = "planted-query-key-2d6f", "planted-user-e81b"  # in the webhook's address
CONFIG = """
[generate]
model = "{model}"
engine = "openai"
temperatures = [1.0]
[generate.server]
url = "{address}/v1"
model = "m"
timeout_seconds = 5
[annotate]
votes_per_pair = 1
[[annotate.webhooks]]
url = "{with_user}/hook?key={query}"
[annotate.judge]
url = "{address}/v1"
model = "m"
timeout_seconds = 5
[annotate.oidc]
issuer = "{address}"
client_id = "pairloop"
"""


def echo():
    """Refuses everything and says all it was sent, as careless servers do."""
    app, seen = FastAPI(), Counter()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(request: Request, path: str):
        seen[path] += 1
        headers = {k: v for k, v in request.headers.items() if k != "content-length"}
        said = f"{path} {request.url.query} {headers} {(await request.body())!r}"
        return JSONResponse({"error": {"message": said}}, status_code=400)

    return app, seen


def run(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "pairloop", *words, "-w", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | IN_ENVIRONMENT | {"COLUMNS": "200"},
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_no_secret_leaves_for_a_log_a_page_a_file_or_the_store(tmp_path, micro_model):
    folder, said = tmp_path / "ws", {}
    secrets = IN_ENVIRONMENT | {"query": QUERY, "user": USER}
    app, seen = echo()
    with listening(app) as address:
        config = CONFIG.format(
            model=micro_model,
            address=address,
            with_user=address.replace("//", f"//{USER}:x@"),
            query=QUERY,
        )
        init_workspace(folder, model=micro_model, config=config)
        with open_workspace(folder).store() as store, store.connected():
            filled_with = fill_store(store, pairs=6)
            for pair in filled_with.pairs[:3]:
                store.append([make_judgment(pair, n, Verdict.FIRST) for n in ("ann", "bob")])
        child = subprocess.Popen(
            [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | IN_ENVIRONMENT,
        )
        try:
            place = child.stdout.readline().split()[-1].rstrip("/")
            with httpx.Client(base_url=place, timeout=60) as lead:
                signed = lead.post("/login", data={"name": "lead", "password": PASSWORD})
                secrets["session"] = signed.cookies["pairloop_session"]
                said["wrong password"] = httpx.post(
                    f"{place}/login", data={"name": "lead", "password": "planted-typo-0b7a"}
                ).text
                secrets["typed password"] = "planted-typo-0b7a"
                made = lead.post("/api/tokens", json={"label": "x"}).json()
                secrets["API token"] = made["token"]
                secrets["invitation"] = lead.post("/api/invitations", json={}).json()["path"][8:]
                reset = lead.post("/api/people/bob/reset").json()["path"]
                secrets["reset link"] = reset.removeprefix("/reset/")
                with httpx.Client(base_url=place, timeout=60) as ann:  # a vote settles a pair
                    ann.post("/login", data={"name": "ann", "password": PASSWORD})
                    card = ann.get("/api/pairs").json()["pairs"][0]
                    assert ann.post("/api/judgments", json=decision(card)).is_success
                wait_for(lambda: seen["hook"])
                said["single sign-on"] = lead.get("/login/oidc").text
                said["judge"] = run(folder, "judge", "--limit", "2")
                said["generate"] = run(folder, "generate")
                for (method, path), _level in TABLE.items():
                    if method == "GET":
                        said[path] = lead.get(filled(path)).text
                for page in ("/label/", "/adjudicate/", "/admin/", "/admin/config"):
                    said[page] = lead.get(page).text
                secrets["password's hash"] = "scrypt$"
        finally:
            child.send_signal(signal.SIGINT)
            said["server"] = "".join(child.communicate(timeout=60))
        said["export"] = run(folder, "export", str(tmp_path / "out"), "--format", "votes")
        said["report"] = run(folder, "agreement", "--html", str(tmp_path / "report.html"))
    assert {"hook", "v1/chat/completions", ".well-known/openid-configuration"} <= set(seen)
    for file in (*folder.rglob("*"), *(tmp_path / "out").rglob("*"), tmp_path / "report.html"):
        if file.is_file() and file.name != "pairloop.toml":
            said[str(file)] = file.read_bytes().decode("utf-8", "replace")
    hashes = {"pairloop.duckdb", "pairloop.duckdb.wal"}  # where password hashes belong
    told = {
        (what, where)
        for what, secret in secrets.items()
        for where, text in said.items()
        if secret in text or json.dumps(secret)[1:-1] in text
        if not (what == "password's hash" and where.rsplit("/", 1)[-1] in hashes)
    }
    assert told == set()
    assert len(said) > 50
