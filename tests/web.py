"""The labeling server over one filled store, and clients that are signed in."""

import sys
import time
from pathlib import Path

from factories import PASSWORD, fill_store, open_store
from fastapi.testclient import TestClient

from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.rounds import RoundRunner

ORIGIN = "http://testserver"
ADMIN_ROUTES = [
    ("GET", "/admin/"),
    ("GET", "/admin/config"),
    ("POST", "/admin/gradio_api/run/predict"),
    ("POST", "/admin/gradio_api/queue/join"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/api/agreement"),
    ("GET", "/api/status"),
    ("GET", "/api/rounds"),
    ("POST", "/api/rounds/generate"),
    ("POST", "/api/rounds/train"),
    ("POST", "/api/rounds/evaluate"),
    ("POST", "/api/rounds/stop"),
]
LABELER_ROUTES = [
    ("GET", "/label/"),
    ("GET", "/label/config"),
    ("GET", "/api/me"),
    ("GET", "/api/pairs"),
    ("GET", "/api/progress"),
    ("GET", "/api/guidelines"),
    ("POST", "/api/judgments"),
    ("POST", "/api/undo"),
]


class Server:
    """The app over one filled store, and clients that are signed in."""

    def __init__(self, folder: Path, **config):
        self.folder = folder
        self.tokens = {}  # by name: hashing a password takes its time on purpose
        self.store = open_store(folder, hold=True)
        self.filled = fill_store(self.store)
        (folder / "guidelines.md").write_text("# Be *fair* <script>alert(1)</script>")
        self.config = AnnotateConfig(**config)
        self.desk = Desk(self.store, self.config)
        self.app = create_app(
            desk=self.desk,
            store=self.store,
            workspace=folder,
            config=self.config,
            one_time_logins={"token-of-ann": "ann"},
            notice="a <b>micro</b> model",
        )

    def client(self, name: str | None = None) -> TestClient:
        client = TestClient(
            self.app, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False
        )
        if name and name not in self.tokens:
            answer = client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            self.tokens[name] = client.cookies["pairloop_session"]
        elif name:
            client.cookies.set("pairloop_session", self.tokens[name])
        return client


def decision(card, **changes):
    body = {
        "key": f"key-of-{card['presentation'][-12:]}",
        "presentation": card["presentation"],
        "choice": "left",
        "strength": "clear",
        "seconds": 2.5,
    }
    return body | changes


def runner_of(folder: Path, code: str) -> RoundRunner:
    return RoundRunner(folder, program=[sys.executable, "-c", code])


def finished(folder: Path, code: str) -> RoundRunner:
    runner = runner_of(folder, code)
    runner.start("train")
    wait_for(lambda: not runner.state().running)
    return runner


def wait_for(true, seconds=15.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
