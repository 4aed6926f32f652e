"""A labeling server that can go away, and a person at its page in real Chromium."""

import socket
import threading
import time
from collections import defaultdict
from weakref import WeakKeyDictionary

import pytest
import uvicorn
from factories import PASSWORD, fill_store, open_store
from pages import pages_built_once

from annotate.accounts import start_session
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from storage import judgments as judging

READY = ".pl-app[data-state=ready]"
NOW = ".pl-view.pl-now "
STILL = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))).then(
    () => document.getAnimations().every(
        (a) => a.playState !== "running" || a.effect.getComputedTiming().endTime === Infinity))"""
SAVED = """document.querySelector('.pl-status').textContent === 'Saved' &&
    !Object.keys(localStorage).some((name) => name.startsWith('pairloop:outbox:'))"""
_PORTS = []  # of this process' servers
_CONTEXTS = WeakKeyDictionary()  # by browser: contexts to use again, by their settings


class LabelingServer:
    """A labeling server that can go down and come back on the same port."""

    def __init__(self, folder, *, pairs=14, fill=fill_store, guidelines="", **config):
        self.folder = folder
        self.config = AnnotateConfig(**{"votes_per_pair": 1, "repeat_share": 0} | config)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        if guidelines:
            (folder / "guidelines.md").write_text(guidelines)
        with open_store(folder) as store, store.connected():
            fill(store, pairs=pairs)
        self.up()

    def up(self):
        self.store = open_store(self.folder, hold=True)
        self.desk = Desk(self.store, self.config)
        with pages_built_once():
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


def _free_port():
    """The port of the server before, where it is free again: a browser then knows the files by heart."""
    for port in _PORTS:
        with socket.socket() as taken:
            if taken.connect_ex(("127.0.0.1", port)) != 0:
                return port
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _PORTS.append(free.getsockname()[1])
    return _PORTS[-1]


def wait_for(true, seconds=40.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class Page:
    """A person at the labeling page; remembers what the page should never do.

    They are signed in. Contexts are used again, emptied of all but the browser's cache of files:
    loading Gradio's takes a page most of its time.
    """

    def __init__(
        self, browser, server, *, name="ann", at="/label/", ready=READY, context=None, **settings
    ):
        self.server, self.shared = server, context is None
        settings = {"viewport": {"width": 1280, "height": 800}} | settings
        kept = _CONTEXTS.setdefault(browser, defaultdict(list))[repr(sorted(settings.items()))]
        if context is None:
            context = kept.pop() if kept else browser.new_context(**settings)
            token = start_session(server.store, name, hours=1)
            cookie = {"name": "pairloop_session", "value": token, "url": server.url}
            context.add_cookies([cookie | {"httpOnly": True, "sameSite": "Lax"}])
        self._kept, self._context = kept, context
        self.page = context.new_page()
        self.page.set_default_timeout(40_000)
        self.outside, self.errors, self.dialogs = [], [], []
        self.page.on("request", self._seen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog), dialog.dismiss()))
        self.page.goto(server.url + at)
        self.page.wait_for_selector(ready, timeout=90_000)  # nothing is cached yet

    @property
    def context(self):
        """The browser's context, which is not used again: the test may do anything with it."""
        self.shared = False
        return self._context

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

    def still(self):
        """Until nothing moves: colours in transition are no colours."""
        self.wait_true(STILL)

    def wait_saved(self):
        """Until the page says so of every decision: it may still say so of the one before the last."""
        self.wait_true(SAVED)

    def close(self):
        if self.shared:
            self._empty()
        else:
            self._context.close()
        assert self.errors == []
        assert self.outside == []
        assert self.dialogs == []

    def _empty(self):
        self.page.goto("about:blank")  # its last words are sent with the cookie
        tools = self._context.new_cdp_session(self.page)
        where = {"origin": self.server.url, "storageTypes": "all"}
        tools.send("Storage.clearDataForOrigin", where)
        self.page.close()
        self._context.clear_cookies()
        self._kept.append(self._context)


def violations(person):
    """What axe finds on the page as it stands."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    person.still()
    found = axe.run(person.page).response["violations"]
    return [(v["id"], [n["html"][:160] for n in v["nodes"][:4]]) for v in found]
