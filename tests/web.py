"""The labeling server over one filled store, and clients that are signed in."""

import sys
from itertools import count
from pathlib import Path

import httpx
from factories import PASSWORD, fill_store, open_store
from fastapi.testclient import TestClient
from pages import pages_built_once
from serving import wait_for

from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.rounds import RoundRunner, Verb
from annotate.tokens import create_token

_ADDRESSES = count()
ORIGIN = "http://testserver"


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
        with pages_built_once():
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

    def token(self, name: str) -> str:
        """A new API token of this person."""
        return create_token(self.store, name, label="test")


def sign_in(address: str, name: str, password: str = PASSWORD) -> httpx.Client:
    """A browser that is signed in; behind a trusted proxy, each has an address of its own."""
    number = next(_ADDRESSES)
    seen_from = {"X-Forwarded-For": f"10.0.{number // 250}.{number % 250 + 1}"}
    client = httpx.Client(base_url=address, headers=seen_from, follow_redirects=False, timeout=30)
    answer = client.post("/login", data={"name": name, "password": password})
    assert answer.status_code == 303, answer.text
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


def finished(folder: Path, code: str, *, verb: Verb = "train") -> RoundRunner:
    runner = runner_of(folder, code)
    runner.start(verb)
    wait_for(lambda: not runner.state().running)
    return runner
