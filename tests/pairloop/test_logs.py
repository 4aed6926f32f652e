"""What the labeling server writes: lines that programs read, and nothing that should not travel."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from factories import PASSWORD, fill_store, open_store
from hypothesis import given
from hypothesis import strategies as st
from serving import wait_for

from annotate.accounts import start_session
from pairloop.logs import LogConfig, configure
from pairloop.workspace import init_workspace

CONFIG = """
[generate]
model = "none"

[annotate]
trusted_proxies = ["127.0.0.1"]

[log]
format = "json"
level = "debug"
"""
RATIONALE = "the second one greets me by my name, Eleonora"
METRICS = "metrics-token-0123456789"
PLANTED = (PASSWORD, "Eleonora", METRICS, "Question 3", "wordy", "adding 3 to 3", "s3cr3t-of-hooks")


class Annotating:
    """`pairloop annotate` as its own process; its log goes to a file."""

    def __init__(self, folder: Path) -> None:
        init_workspace(folder, model="none", config=CONFIG)
        with open_store(folder) as store:
            fill_store(store)
            self.cookie = start_session(store, "ann", hours=1)
        self.log = folder / "server.err"
        secrets = {"PAIRLOOP_METRICS_TOKEN": METRICS, "PAIRLOOP_WEBHOOK_SECRET": "s3cr3t-of-hooks"}
        with self.log.open("wb") as errors:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(folder)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | secrets | {"PYTHONUNBUFFERED": "1"},
            )
        line = self.child.stdout.readline()
        assert line, self.log.read_text()
        self.address = re.search(r"http://\S+", line).group()

    def end(self) -> None:
        self.child.send_signal(signal.SIGINT)
        self.child.communicate(timeout=60)


def act(server: Annotating) -> dict[str, httpx.Response]:
    """A person's morning, with a secret or somebody's words in each request."""
    cookie = {"Cookie": f"pairloop_session={server.cookie}"}
    with httpx.Client(base_url=server.address, timeout=60) as http:
        card = http.get("/api/pairs", headers=cookie).json()["pairs"][0]
        body = {
            "key": "k" * 12,
            "presentation": card["presentation"],
            "choice": "left",
            "seconds": 1.0,
            "rationale": RATIONALE,
        }
        return {
            "judged": http.post("/api/judgments", json=body, headers=cookie),
            "refused": http.post(
                "/api/judgments", json=body | {"choice": RATIONALE}, headers=cookie
            ),
            "login": http.post("/login", data={"name": "ann", "password": PASSWORD}),
            "wrong": http.post("/login", data={"name": "ann", "password": f"{PASSWORD}!"}),
            "typed": http.post("/login", data={"name": PASSWORD, "password": "x"}),
            "link": http.get("/login/once/token-in-a-path?token=token-in-a-query"),
            "invite": http.get("/invite/token-in-a-path", params={"q": RATIONALE}),
            "nothing": http.get(f"/{RATIONALE}", headers=cookie),
            "metrics": http.get("/metrics", headers={"Authorization": f"Bearer {METRICS}"}),
            "bearer": http.get("/api/me", headers={"Authorization": "Bearer pairloop_" + "q" * 43}),
            "given": http.get("/api/me", headers=cookie | {"X-Request-ID": "from-the-proxy-7"}),
            "forged": http.get("/api/me", headers=cookie | {"X-Request-ID": "a\tb{evil}"}),
        }


@pytest.mark.slow
def test_a_planted_secret_or_text_never_reaches_the_log(tmp_path):
    server = Annotating(tmp_path)
    try:
        answers = act(server)
        wait_for(lambda: "from-the-proxy-7" in server.log.read_text())
    finally:
        server.end()
    assert answers["judged"].status_code == 200
    assert answers["metrics"].status_code == 200
    text = server.log.read_text()
    tokens = (server.cookie, "token-in-a-path", "token-in-a-query", "q" * 43, "{evil}")
    for planted in (*PLANTED, *tokens):
        assert planted not in text, planted
    assert answers["given"].headers["x-request-id"] == "from-the-proxy-7"
    assert re.fullmatch("[0-9a-f]{32}", answers["forged"].headers["x-request-id"])
    assert "Traceback" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    by_id = {x["request_id"]: x for x in lines if x["event"] == "request"}
    told = {what: by_id[answer.headers["x-request-id"]] for what, answer in answers.items()}
    assert [told[k]["status"] for k in ("judged", "refused", "wrong", "bearer")] == [
        200,
        422,
        401,
        401,
    ]
    assert told["link"]["route"] == "/login/once/{token}"
    assert "route" not in told["nothing"]
    assert told["judged"]["ms"] > 0
    assert not any("ann" in str(x.get("actor")) for x in by_id.values())
    signed_in = [x for x in lines if x.get("action") == "signed in"]
    assert [(x["actor"], x["request_id"]) for x in signed_in] == [
        ("ann", answers["login"].headers["x-request-id"])
    ]
    assert [x["actor"] for x in lines if x.get("action") == "sign-in failed"] == ["ann"]


# ---- the lines themselves --------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch):
    """Configures logging onto a string, and puts back what was there."""
    root, out = logging.getLogger(), io.StringIO()
    names = (None, "pairloop", "pairloop.audit", "annotate", "generate", "storage", "train")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = root.handlers[:]

    def start(**config):
        monkeypatch.setattr(sys, "stderr", out)
        configure(LogConfig(**config))
        return out

    yield start
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def failing(words):
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("annotate.x").exception("request failed", extra={"route": "/a"})


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_unexpected_errors_own_words_are_for_level_debug(written, form):
    out = written(format=form, level="info")
    failing("Eleonora's password")
    text = out.getvalue()
    assert "Eleonora" not in text
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert text.count("\n") == 1
    out = written(format=form, level="debug")
    failing("Eleonora's password")
    assert "Eleonora's password" in out.getvalue()


def test_libraries_say_warnings_only_whatever_the_level(written):
    out = written(level="debug")
    logging.getLogger("httpx").info("GET https://x/?key=secret")
    logging.getLogger("annotate.x").debug("ours")
    logging.getLogger("httpx").warning("careful")
    assert [line.split()[2:] for line in out.getvalue().splitlines()] == [
        ["annotate.x", "ours"],
        ["httpx", "careful"],
    ]


def test_a_request_reads_well_as_text(written):
    out = written(level="info")
    fields = {"method": "POST", "route": "/api/judgments", "status": 200, "ms": 6.1}
    logging.getLogger("annotate.observe").info("request", extra=fields)
    logging.getLogger("pairloop.audit").info("audit", extra={"actor": "ann lee", "action": "x\ny"})
    request, audit = out.getvalue().splitlines()
    assert re.fullmatch(
        r"20\S+Z info annotate.observe request method=POST route=/api/judgments status=200 ms=6.1",
        request,
    )
    assert audit.endswith(' info pairloop.audit audit actor="ann lee" action="x\\ny"')


def test_extras_that_are_not_listed_stay_out(written):
    out = written(format="json")
    logging.getLogger("annotate").warning("x", extra={"password": "p", "route": "/a"})
    assert json.loads(out.getvalue()).keys() == {"time", "level", "logger", "event", "route"}


@given(st.text(), st.text(min_size=1), st.sampled_from(["json", "text"]))
def test_one_record_is_one_line_whatever_it_holds(event, subject, form):
    from pairloop.logs import Lines

    record = logging.makeLogRecord(
        {"name": "pairloop.audit", "levelname": "INFO", "msg": "%s", "args": (event,)}
        | {"subject": subject}
    )
    line = Lines(LogConfig(format=form)).format(record)
    assert len(line.splitlines()) == 1
    if form == "json":
        assert json.loads(line)["subject"] == subject
