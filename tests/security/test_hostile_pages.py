"""Hostile texts in every place a text can stand, on every page, in real Chromium: nothing runs, no
address but our own is asked, nothing is covered."""

import re
from dataclasses import replace

import pytest
from browsing import READY, LabelingServer, Page
from factories import (
    NOW,
    PASSWORD,
    make_adjudication,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
)
from hostile import PAYLOADS

from annotate import guidelines
from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.report_data import full_report
from annotate.report_html import report_html
from annotate.tokens import create_token
from storage.records import Role, Verdict
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARDS = [PAYLOADS[at : at + 3] for at in range(0, len(PAYLOADS), 3)]
NAMES = [text for text in PAYLOADS if len(text) <= 78 and text.isprintable()][:12]
OURS = re.compile(
    r"/(login|logout|account|docs|openapi\.json|favicon\.ico|healthz)?(\?again)?"
    r"|/(label|adjudicate)/((config|theme\.css)(\?.*)?|(assets|static)/.*)?"
    r"|/admin/((config|theme\.css|gradio_api/(run/predict|heartbeat/\w+))(\?.*)?"
    r"|(assets|static)/.*)?"
    r"|/page/(label|adjudicate)\.js\?v=\w+"
    r"|/api/(me|pairs|judgments|undo|heartbeat|release|history|progress|guidelines|adjudication)"
    r"[\w/?=&:.%,-]*"
)
WATCH = """
window.tried = [];
addEventListener("securitypolicyviolation", (event) =>
  window.tried.push([event.effectiveDirective, event.blockedURI, event.sample]));
"""
# What Markdown becomes holds no such element, nothing that leaves its place, and no id of the page's.
TAKEOVER = """
(() => {
  const texts = [...document.querySelectorAll(".pl-md, .pl-source, .pj-vote")];
  const inside = texts.flatMap((text) => [...text.querySelectorAll("*")]);
  const bad = inside.filter((one) => {
    const style = getComputedStyle(one);
    return /^(script|style|link|img|iframe|object|embed|form|input|base|meta|svg|video|audio|dialog)$/i
        .test(one.tagName) || one.id || ["fixed", "absolute", "sticky"].includes(style.position)
      || [...one.attributes].some((a) => a.name.startsWith("on"));
  });
  return bad.map((one) => one.outerHTML.slice(0, 200));
})()
"""
COVERED = """
(() => [...document.querySelectorAll(".pl-bar button, .pl-top a, .ad-top a")].filter((button) => {
  const box = button.getBoundingClientRect();
  if (!box.width || box.top < 0 || box.bottom > innerHeight || box.right > innerWidth) return false;
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return !(button.contains(top) || top.contains(button));
}).map((one) => one.outerHTML.slice(0, 200)))()
"""

SLIP_THROUGH = """
(texts) => {
  for (const text of texts) {
    const place = document.createElement("div");
    place.innerHTML = text;
    document.body.append(place);
  }
  const [inline, foreign] = [document.createElement("script"), document.createElement("script")];
  inline.textContent = "alert('inline')";
  foreign.src = "https://evil.example/x.js";
  document.body.append(inline, foreign);
}
"""


def fill(store, *, pairs):
    """A card per three payloads; names, tags, notes, rationales and runs hold some too."""
    policy = make_policy(base_model=PAYLOADS[1])
    prompts, responses, formed = [], [], []
    for at, texts in enumerate(CARDS[:pairs]):
        prompt, left, right = (*texts, "nothing", "nothing")[:3]
        prompts.append(make_prompt(prompt, tags=(PAYLOADS[at],), source=PAYLOADS[at + 1]))
        responses.append(make_response(prompts[-1], policy, left, index=2 * at))
        responses.append(make_response(prompts[-1], policy, f"{right} ", index=2 * at + 1))
        formed.append(make_pair(responses[-2], responses[-1]))
    for rows in ([policy], prompts, responses, formed):
        store.append(rows)
    add_labeler(store, "ann", password=PASSWORD)
    add_labeler(store, "lead", password=PASSWORD, role=Role.ADMIN)
    for name in NAMES:
        add_labeler(store, name, password=None)
    said = [
        replace(
            make_judgment(pair, name, [Verdict.FIRST, Verdict.SECOND][n % 2], minute=n),
            rationale=PAYLOADS[(5 * at + n) % len(PAYLOADS)],
            edited_text=PAYLOADS[(7 * at + n) % len(PAYLOADS)] if n % 2 == 0 else "",
        )
        for at, pair in enumerate(formed[:6])
        for n, name in enumerate(NAMES[:4])
    ]
    store.append(said)
    store.append([make_adjudication(formed[5], note=PAYLOADS[2], adjudicator=NAMES[0])])
    guidelines.publish(store, "\n\n".join(PAYLOADS[:45]), author=NAMES[1])
    create_token(store, "lead", label=PAYLOADS[0])
    log = RunLog(store, RunKind.TRAIN, number=0, config={"x": PAYLOADS[3]})
    log.event(PAYLOADS[4], progress=0.5, metrics={PAYLOADS[0]: 0.5})
    log.event(PAYLOADS[5], progress=1.0, status=RunStatus.FAILED)


class Watched(Page):
    """Remembers every address that the pages ask for, and what the policy had to stop."""

    def __init__(self, browser, server, **settings):
        super().__init__(browser, server, **settings)
        self.asked = []
        self.context.add_init_script(WATCH)
        self.context.on("request", self._asks)
        self.page.reload()
        self.page.wait_for_selector(READY)

    def _asks(self, request):
        self.asked.append(request)

    def look(self, where):
        """The page as it stands is as we made it; a dialog of ours may cover the rest."""
        assert self.page.evaluate(TAKEOVER) == [], where
        if not self.page.evaluate("Boolean(document.querySelector('dialog[open]'))"):
            assert self.page.evaluate(COVERED) == [], where
        assert self.page.evaluate("window.tried") == [], where
        assert self.dialogs == [], where


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    made = LabelingServer(
        folder,
        pairs=len(CARDS),
        fill=fill,
        skip_reasons=(PAYLOADS[1],),
        reasons=(PAYLOADS[2],),
        votes_per_pair=2,
    )
    yield made
    made.down()


def test_nothing_of_a_text_runs_loads_or_covers_anything_on_any_page(browser, server, tmp_path):
    assert len(PAYLOADS) >= 80
    ann = Watched(browser, server, name="ann")
    seen = set()
    for _ in range(len(CARDS)):
        if not ann.page.is_visible(READY):
            break
        ann.page.wait_for_timeout(170)
        seen.add(ann.page.evaluate("document.querySelector('.pl-view.pl-now').dataset.of"))
        ann.look("label")
        before = ann.page.evaluate("document.querySelector('.pl-view.pl-now').dataset.of")
        ann.key("4", "Control+Enter")  # past the quick reasons, which are hostile, too
        ann.wait_true(
            "of => document.querySelector('.pl-app').dataset.state !== 'ready' ||"
            " document.querySelector('.pl-view.pl-now')?.dataset.of !== of",
            before,
        )
    assert 3 * len(seen) == 3 * (len(CARDS) - 6) > 60  # the first six are cases, below
    ann.page.click("text=Earlier pairs")
    ann.page.click("[data-action=guidelines]")
    ann.page.wait_for_selector("dialog .pl-md")
    ann.look("guidelines")

    lead = Watched(browser, server, name="lead")
    lead.page.goto(f"{server.url}/adjudicate/")
    lead.page.wait_for_selector('.pl-app[data-phase="view"]')
    lead.look("case")
    lead.page.keyboard.press("4")
    lead.page.wait_for_selector('.pl-app[data-phase="decide"]')
    assert lead.page.locator(".pj-vote").count() >= 4
    lead.look("votes")
    lead.page.goto(f"{server.url}/admin/")
    lead.page.wait_for_selector("text=Votes saved")
    for tab in ("Agreement", "Rounds", "People", "Queue", "Gold", "Guidelines", "Activity"):
        lead.page.get_by_role("tab", name=tab, exact=True).first.click()
        lead.page.wait_for_timeout(1500)
        if lead.page.locator("button.pick:visible").count():
            lead.page.locator("button.pick:visible").first.click()
        lead.page.wait_for_timeout(600)
        lead.look(tab)
    for path in ("/account", "/docs"):
        lead.page.goto(server.url + path)
        lead.look(path)
    for person in (ann, lead):
        urls = [request.url for request in person.asked]
        paths = [url.removeprefix(server.url) for url in urls if url.startswith("http")]
        strange = {p for p in paths if not OURS.fullmatch(p) or "evil" in p or "/logout" in p}
        assert strange == set()
        assert len(paths) > 50
        person.close()


def test_a_report_on_disk_runs_and_asks_nothing_either(browser, server, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(report_html(full_report(server.store, AnnotateConfig(), now=NOW)))
    context = browser.new_context()
    context.add_init_script(WATCH)
    page, asked, dialogs = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    page.goto(file.as_uri())
    assert NAMES[0][:10] in page.inner_text("body")
    assert (asked, dialogs, page.evaluate("window.tried")) == ([file.as_uri()], [], [])
    context.close()


def test_were_a_text_markup_the_policy_would_stop_it(browser, server):
    """The second wall: markup that slipped through to a page neither runs nor loads."""
    texts = [text for text in PAYLOADS if "http-equiv" not in text and len(text) < 2000]
    lead = Watched(browser, server, name="lead")
    for path in ("/label/", "/adjudicate/", "/admin/", "/account", "/docs"):
        lead.page.goto(server.url + path)
        lead.page.evaluate(SLIP_THROUGH, texts)
        lead.page.wait_for_timeout(500)
        tried = {directive for directive, _uri, _sample in lead.page.evaluate("window.tried")}
        assert {"script-src-elem", "script-src-attr", "img-src"} <= tried, path
        assert lead.dialogs == [], path
    # Chromium tells of what the policy stopped as well; it never left.
    ours = (server.url, "data:", "blob:")
    outside = [request for request in lead.asked if not request.url.startswith(ours)]
    assert outside
    assert {
        request.url for request in outside if "csp" not in str(request.failure).lower()
    } == set()
    lead.context.close()
