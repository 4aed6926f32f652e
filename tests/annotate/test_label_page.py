"""The labeling page in real Chromium, against a real server and store."""

import re
import shutil
import socket
import threading
import time

import pytest
import uvicorn
from factories import (
    PASSWORD,
    fill_store,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)

from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from storage import judgments as judging

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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


class Server:
    """A labeling server that can go down and come back on the same port."""

    def __init__(self, folder, *, pairs=14, fill=fill_store):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        with open_store(folder) as store:
            fill(store, pairs=pairs)
        self.up()

    def up(self):
        self.store = open_store(self.folder, hold=True)
        config = AnnotateConfig(votes_per_pair=1)
        app = create_app(
            desk=Desk(self.store, config),
            store=self.store,
            workspace=self.folder,
            config=config,
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


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.down()


class Page:
    """A person at the labeling page; remembers what the page should never do."""

    def __init__(self, browser, server, *, name="ann", **context):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(40_000)
        self.server = server
        self.outside, self.errors, self.dialogs = [], [], []
        self.page.on("request", self._seen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog), dialog.dismiss()))
        self.sign_in(name)

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
        return self.text(".pl-prompt-body")

    def press(self, key):
        """A decision, and the next card (or none) on the screen."""
        before = self.prompt()
        self.page.wait_for_timeout(180)
        self.page.keyboard.press(key)
        wait_for(lambda: self.prompt() != before or not self.page.is_visible(READY))

    def wait_saved(self):
        self.page.wait_for_function("document.querySelector('.pl-status').textContent === 'Saved'")

    def close(self):
        self.context.close()
        assert self.errors == []
        assert self.outside == []
        assert self.dialogs == []


def test_ten_pairs_by_keyboard_then_reload_and_undo(browser, server):
    ann = Page(browser, server)
    assert ann.text("h1") == "Which answer is better?"
    assert ann.text(".pl-notice") == "a <i>micro</i> model"
    keys = ["1", "2", "3", "4", "5", "6", "7", "b", "ArrowLeft", "Shift+ArrowRight"]
    seen = []
    for key in keys:
        left = ann.text('[data-side="left"] .pl-body')
        seen.append((ann.prompt(), left))
        ann.press(key)
    ann.wait_saved()
    rows = server.judged()
    assert [(row.strength, str(row.verdict) in ("first", "second")) for row in rows] == [
        ("strong", True),
        ("clear", True),
        ("slight", True),
        (None, False),
        ("slight", True),
        ("clear", True),
        ("strong", True),
        (None, False),
        ("clear", True),
        ("strong", True),
    ]
    assert [str(rows[3].verdict), str(rows[7].verdict)] == ["tie", "both_bad"]
    assert all(0 < row.seconds < 60 for row in rows)
    shown = {p.id: p for p in judging.presentations_of(server.store, "ann")}
    chose_left = [
        (row.verdict == "first") == (shown[row.presentation_id].first_side == "left")
        for row in rows
        if row.strength
    ]
    assert chose_left == [True, True, True, False, False, False, True, False]
    assert ann.text(".pl-count") == "10 judged, 4 to go"

    current = ann.prompt()
    ann.page.reload()
    ann.page.wait_for_selector(READY)
    assert ann.prompt() == current
    assert ann.text(".pl-count") == "10 judged, 4 to go"

    for back in (1, 2):
        before = ann.prompt()
        ann.page.keyboard.press("u")
        wait_for(lambda before=before: ann.prompt() != before)
        assert (ann.prompt(), ann.text('[data-side="left"] .pl-body')) == seen[-back]
    assert len(server.judged()) == 8
    ann.press("s")
    ann.press("7")
    assert ann.prompt() == current
    ann.wait_saved()
    assert len(server.judged()) == 10
    assert ann.text(".pl-count") == "9 judged, 4 to go"
    ann.close()


def test_nothing_is_lost_while_the_server_is_down(browser, server):
    ann = Page(browser, server)
    ann.press("1")
    ann.wait_saved()
    server.down()
    for key in ("2", "6", "t"):
        ann.press(key)
    ann.page.wait_for_function(
        "document.querySelector('.pl-status').textContent === '3 unsent, retrying'"
    )
    card = ann.prompt()
    ann.page.keyboard.press("u")  # the last one never left the browser: taken back at once
    wait_for(lambda: ann.prompt() != card)
    ann.press("b")
    assert ann.prompt() == card
    server.up()
    ann.wait_saved()
    rows = server.judged()
    assert len(rows) == len(judging.judgment_events(server.store)) == 4
    assert str(rows[-1].verdict) == "both_bad"
    assert ann.page.evaluate("Object.keys(localStorage).filter(k => k.includes('outbox'))") == []
    for _ in range(10):
        ann.press("2")
    ann.page.wait_for_selector(".pl-idle:visible")
    ann.wait_saved()
    assert len({row.pair_id for row in server.judged()}) == 14
    ann.close()


def test_what_was_unsent_is_sent_after_a_reload(browser, server):
    ann = Page(browser, server)
    ann.page.route("**/api/judgments", lambda route: route.abort())
    ann.press("1")
    ann.press("7")
    first = ann.prompt()
    ann.page.unroute("**/api/judgments")
    ann.page.reload()
    ann.page.wait_for_selector(READY)
    ann.wait_saved()
    wait_for(lambda: len(server.judged()) == 2)
    assert ann.prompt() == first
    ann.close()


def test_a_lost_sign_in_keeps_the_unsent_decision(browser, server):
    ann = Page(browser, server)
    ann.context.clear_cookies()
    ann.page.wait_for_timeout(200)
    ann.page.keyboard.press("1")
    ann.page.wait_for_url(re.compile(r"/login\?again$"))
    assert "What you decided is kept" in ann.text("main")
    assert server.judged() == []
    ann.sign_in("bob")
    assert server.judged() == []  # it is ann's, and stays for her
    ann.page.click("text=Sign out")
    ann.page.wait_for_url("**/login")
    ann.sign_in("ann")
    wait_for(lambda: len(server.judged()) == 1)
    assert server.judged()[0].labeler == "ann"
    ann.close()


def test_a_refused_decision_is_said_and_dropped(browser, server):
    ann = Page(browser, server)
    ann.page.evaluate(
        """localStorage.setItem("pairloop:outbox:ann:0:x", JSON.stringify({tried: false, body:
        {key: "made-up-key", presentation: "s1:nothing", choice: "tie", strength: null,
        seconds: 1}}))"""
    )
    ann.press("1")
    ann.page.wait_for_selector(".pl-errors >> text=One decision was not stored")
    ann.wait_saved()
    assert len(server.judged()) == 1
    ann.page.click(".pl-errors button")
    assert ann.text(".pl-errors") == ""
    ann.close()


def test_keys_meant_for_something_else_do_not_vote(browser, server):
    ann = Page(browser, server)
    card = ann.prompt()
    ann.page.wait_for_timeout(200)
    keyboard = ann.page.keyboard
    for key in ("Control+1", "Alt+1", "Meta+1", "8", "0", "Shift+B", "Enter", "x", "ArrowDown"):
        keyboard.press(key)
    keyboard.press("n")
    keyboard.type("1a2b3ts u")
    keyboard.press("Escape")
    assert ann.page.input_value("#pl-note-text") == "1a2b3ts u"
    ann.page.check("text=Unsafe content")
    keyboard.press("?")
    keyboard.press("1")
    keyboard.press("Escape")
    keyboard.press("g")
    keyboard.press("2")
    keyboard.press("Escape")
    assert ann.prompt() == card
    assert server.judged() == []
    keyboard.down("3")  # held: one vote, however often the key repeats
    for _ in range(20):
        keyboard.down("3")
        ann.page.wait_for_timeout(20)
    keyboard.up("3")
    ann.wait_saved()
    rows = server.judged()
    assert [(row.rationale, row.flags) for row in rows] == [("1a2b3ts u", ("unsafe",))]
    assert not ann.page.is_visible("#pl-note-text")
    ann.close()


def test_the_mouse_votes_once_and_enter_does_not_repeat_it(browser, server):
    ann = Page(browser, server)
    card = ann.prompt()
    ann.page.wait_for_timeout(200)
    ann.page.click('[data-choice="right"][data-strength="clear"]')
    wait_for(lambda: ann.prompt() != card)
    ann.page.wait_for_timeout(200)
    ann.page.keyboard.press("Enter")
    ann.page.keyboard.press("Space")
    ann.wait_saved()
    assert len(server.judged()) == 1
    ann.close()


def test_the_next_pair_does_not_wait_for_the_server(browser, server):
    ann = Page(browser, server)
    ann.press("1")
    ann.wait_saved()

    def late(route):
        time.sleep(0.5)
        route.continue_()

    ann.page.route("**/api/judgments", late)
    ann.page.wait_for_timeout(300)
    ann.page.evaluate(
        """() => addEventListener("keydown", (event) => { const before =
        document.querySelector(".pl-prompt-body").textContent; const look = () =>
        document.querySelector(".pl-prompt-body").textContent !== before
        ? (window.took = performance.now() - event.timeStamp) : setTimeout(look, 1); look(); }, true)"""
    )
    ann.page.keyboard.press("2")
    ann.page.wait_for_function("window.took !== undefined")
    assert ann.page.evaluate("window.took") < 400
    ann.wait_saved()
    ann.close()


def hostile(store, *, pairs):
    fill_store(store, pairs=1)
    policy = make_policy()
    texts = [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "${alert(1)} {{alert(1)}} `x` ![t](https://evil.example/t.png) <b id=pl-note-text>",
        "[a](javascript:alert(1)) <style>.pl-bar{display:none}</style> a\u202eb",
        "<div style='position:fixed;inset:0;background:red'>x</div>",
    ]
    for n in range(pairs):
        prompt = make_prompt(f"Question {n} {texts[n % 4]}")
        a = make_response(prompt, policy, texts[n % 4], temperature=0.5)
        b = make_response(prompt, policy, texts[(n + 1) % 4], temperature=1.0)
        store.append([prompt])
        store.append([a, b])
        store.append([make_pair(a, b)])


def test_hostile_answers_do_nothing(browser, tmp_path):
    server = Server(tmp_path, pairs=4, fill=hostile)
    ann = Page(browser, server)
    seen = ""
    for _ in range(5):
        seen += ann.text(".pl-work")
        ann.page.keyboard.press("r")
        seen += ann.text(".pl-work")
        ann.page.keyboard.press("r")
        assert ann.page.is_visible(".pl-bar")
        assert ann.page.evaluate("document.querySelectorAll('[id=pl-note-text]').length") == 1
        ann.press("4")
    for part in ("<script>alert(1)</script>", "${alert(1)} {{alert(1)}}", "\u27e6U+202E\u27e7"):
        assert part in seen
    ann.close()
    server.down()


def test_new_pairs_appear_by_themselves(browser, tmp_path):
    server = Server(tmp_path, pairs=1)
    ann = Page(browser, server)
    ann.press("1")
    ann.page.wait_for_selector("text=Nothing to label right now")
    policy = make_policy()
    prompt = make_prompt("A new question?")
    a = make_response(prompt, policy, "yes", temperature=0.5)
    b = make_response(prompt, policy, "no", temperature=1.0)
    for rows in ([prompt], [a, b], [make_pair(a, b)]):
        server.store.append(rows)
    ann.page.wait_for_selector(READY)
    assert "A new question?" in ann.prompt()
    ann.close()
    server.down()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light"), (760, "dark")])
def test_it_fits_every_screen(browser, server, width, scheme):
    ann = Page(browser, server, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert ann.page.evaluate("document.documentElement.scrollWidth") <= width
    assert ann.page.evaluate("document.querySelectorAll('h1').length") == 1
    boxes = [
        ann.page.locator(f'.pl-answer[data-side="{s}"]').bounding_box() for s in ("left", "right")
    ]
    assert (boxes[0]["y"] == boxes[1]["y"]) == (width > 760)
    ann.close()


def test_the_admin_page_shows_numbers_and_rounds(browser, server):
    lead = Page(browser, server, name="lead")
    lead.press("1")
    lead.wait_saved()
    lead.page.click("text=Admin")
    lead.page.wait_for_selector("text=Label round 0: 13 pairs still want votes.")
    assert re.search(r"lead\s+admin\s+1", lead.text(".ad"))
    lead.page.get_by_role("tab", name="Rounds").click()
    lead.page.wait_for_selector("text=Nothing was started here yet.")
    assert lead.page.get_by_role("button", name="Generate next answers").is_enabled()
    lead.close()
