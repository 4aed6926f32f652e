"""A labeling server that can go away, and a person at its page in real Chromium."""

import shutil
import socket
import threading
import time

import pytest
import uvicorn
from factories import PASSWORD, fill_store, open_store

from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from storage import judgments as judging

CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
READY = ".pl-app[data-state=ready]"
NOW = ".pl-view.pl-now "


class LabelingServer:
    """A labeling server that can go down and come back on the same port."""

    def __init__(self, folder, *, pairs=14, fill=fill_store, guidelines="", **config):
        self.folder = folder
        self.config = AnnotateConfig(**{"votes_per_pair": 1, "repeat_share": 0} | config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if guidelines:
            (folder / "guidelines.md").write_text(guidelines)
        with open_store(folder) as store:
            fill(store, pairs=pairs)
        self.up()

    def up(self):
        self.store = open_store(self.folder, hold=True)
        self.desk = Desk(self.store, self.config)
        app = create_app(
            desk=self.desk,
            store=self.store,
            workspace=self.folder,
            config=self.config,
            notice="a <i>micro</i> model",
        )
        settings = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_level="error", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(settings)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)

    def down(self):
        self.server.should_exit = True
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()
        self.store.close()

    def judged(self):
        return judging.judgments(self.store)


def wait_for(true, seconds=40.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


class Page:
    """A person at the labeling page; remembers what the page should never do."""

    def __init__(self, browser, server, *, name="ann", context=None, **settings):
        size = {"viewport": {"width": 1280, "height": 800}}
        self.context = context or browser.new_context(**size | settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(40_000)
        self.server = server
        self.outside, self.errors, self.dialogs = [], [], []
        self.page.on("request", self._seen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog), dialog.dismiss()))
        if context is None:
            self.sign_in(name)
        else:
            self.page.goto(f"{server.url}/")
            self.page.wait_for_selector(READY)

    def _seen(self, request):
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.outside.append(request.url)

    def sign_in(self, name):
        if "/login" not in self.page.url:
            self.page.goto(f"{self.server.url}/")
        self.page.fill("#name", name)
        self.page.fill("#password", PASSWORD)
        self.page.click("button")
        self.page.wait_for_selector(READY)

    def text(self, selector):
        return self.page.inner_text(selector)

    def prompt(self):
        return self.text(NOW + ".pl-prompt-body")

    def answer(self, side):
        return self.text(f'{NOW}[data-side="{side}"] .pl-body')

    def key(self, *keys):
        """Keys that decide nothing."""
        for key in keys:
            self.page.keyboard.press(key)

    def press(self, *keys):
        """A decision, maybe in several keys, and the next card (or none) on the screen."""
        before = self.prompt()
        self.page.wait_for_timeout(180)
        self.key(*keys)
        wait_for(lambda: not self.page.is_visible(READY) or self.prompt() != before)

    def wait_true(self, expression, argument=None):
        """Until this is true on the page. Playwright's own wait needs eval, which the pages forbid."""
        wait_for(lambda: self.page.evaluate(expression, argument))

    def wait_text(self, selector, text):
        self.wait_true(
            "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)",
            [selector, text],
        )

    def wait_saved(self):
        self.wait_true("document.querySelector('.pl-status').textContent === 'Saved'")

    def close(self):
        self.context.close()
        assert self.errors == []
        assert self.outside == []
        assert self.dialogs == []


def violations(person):
    """What axe finds on the page as it stands."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    person.page.wait_for_timeout(450)  # colours in transition are no colours
    found = axe.run(person.page).response["violations"]
    return [(v["id"], [n["html"][:160] for n in v["nodes"][:4]]) for v in found]
