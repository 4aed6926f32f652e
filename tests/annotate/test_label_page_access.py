"""The labeling page for every screen, by keyboard alone and with a screen reader; own keys."""

import re

import pytest
from browsing import NOW, READY, LabelingServer, Page, violations
from factories import fill_store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FILL_PACE = """(parts) => {
  const spans = parts.map((text) => {
    const span = document.createElement("span");
    span.textContent = text;
    return span;
  });
  document.querySelector(".pl-pace").replaceChildren(...spans);
}"""
QUESTION = [{"name": "correct", "question": "Which one is more correct?"}]


SCREENS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def asking_all(tmp_path_factory):
    """A server whose page shows all it can, with a labeler for each screen."""
    names = [f"{scheme} {width}" for width, scheme in SCREENS]
    made = LabelingServer(
        tmp_path_factory.mktemp("asking-all"),
        fill=lambda store, pairs: fill_store(store, pairs=pairs, labelers=names),
        criteria=QUESTION,
        reasons=("wrong facts",),
        ask_acceptable=True,
        allow_edit=True,
        guidelines="# Rules\n\nPrefer what is **right**.",
        votes_per_pair=len(SCREENS),
    )
    yield made
    made.down()


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing(browser, asking_all, width, scheme):
    who = f"{scheme} {width}"
    ann = Page(
        browser, asking_all, name=who, viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    found = {"pair": violations(ann)}
    ann.page.wait_for_timeout(200)
    ann.key("2")
    ann.page.click(".pl-edit summary")
    found["questions"] = violations(ann)
    ann.key("Escape")
    ann.press("2", "Enter", "Enter")
    ann.wait_saved()
    for name, key in (("skip", "s"), ("flags", "f"), ("raw", "r"), ("marks", "d")):
        ann.key(key)
        found[name] = violations(ann)
        ann.key("Escape")
    ann.key("?")
    ann.page.wait_for_selector('[data-dialog="help"][open]')
    found["keys"] = violations(ann)
    ann.page.click("dialog[open] >> text=Close")
    if width < 1360:  # else they stand beside the answers already
        ann.key("g")
    ann.page.wait_for_selector(".pl-guide[open]")
    found["guidelines"] = violations(ann)
    ann.page.click("dialog[open] >> text=Close")
    ann.key("h")
    ann.page.wait_for_selector(".pl-earlier li button")
    found["earlier"] = violations(ann)
    ann.key("Enter")
    ann.page.wait_for_selector(".pl-banner")
    found["earlier pair"] = violations(ann)
    assert {name: v for name, v in found.items() if v} == {}
    ann.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light"), (760, "dark")])
def test_it_fits_every_screen(browser, labeling, width, scheme):
    server = labeling(criteria=QUESTION, reasons=("wrong facts",), allow_edit=True)
    size = {"width": width, "height": 800}
    ann = Page(browser, server, name="lead", viewport=size, color_scheme=scheme)  # the longest menu

    def fits():
        whole = ann.page.evaluate("document.documentElement.scrollWidth") <= width
        menu = ann.page.locator(".pl-nav").bounding_box()
        status = ann.page.locator(".pl-count").bounding_box()
        beside = status["x"] + status["width"] <= menu["x"]
        beside |= menu["y"] >= status["y"] + status["height"]
        beside |= status["y"] >= menu["y"] + menu["height"]
        return whole and beside and menu["x"] + menu["width"] <= width

    assert fits()
    assert ann.page.evaluate("document.querySelectorAll('h1').length") == 1
    boxes = [
        ann.page.locator(f'{NOW}.pl-answer[data-side="{s}"]').bounding_box()
        for s in ("left", "right")
    ]
    assert (boxes[0]["y"] == boxes[1]["y"]) == (width > 760)
    ann.page.wait_for_timeout(200)
    for key in ("2", "Escape", "s", "Escape", "h", "Escape", "?", "Escape"):
        ann.key(key)
        if key == "h":
            ann.page.wait_for_selector(".pl-earlier:visible")
        assert fits(), key
    parts = ["1,234 today", "about 88 min left", "you agree with others in 72 %"]
    ann.page.evaluate(FILL_PACE, parts)
    assert fits()
    line = ann.page.locator(".pl-pace").bounding_box()
    for part in ann.page.locator(".pl-pace span").all():  # whole, or on a line that is not shown
        box = part.bounding_box()
        below = box["y"] >= line["y"] + line["height"] - 1
        assert below or box["x"] + box["width"] <= line["x"] + line["width"] + 1
    if width > 760:  # the same window at 200 %: most of it is for the texts
        ann.page.set_viewport_size({"width": 640, "height": 400})
        assert ann.page.locator(".pl-bar").bounding_box()["height"] <= 0.28 * 400
        assert ann.page.evaluate("document.documentElement.scrollWidth") <= 640
    ann.close()


def test_keys_can_be_changed_and_stay_changed(browser, labeling):
    server = labeling()
    ann = Page(browser, server)
    ann.key("?")
    ann.page.click('[data-change="left-clear"]')
    ann.key("7")
    assert "7 is already \u201cRight is much better\u201d" in ann.text(".pl-keys-said")
    ann.key("Tab")
    assert "need this key" in ann.text(".pl-keys-said")
    ann.key("q")
    assert ann.text(".pl-keys-said") == "Q is now \u201cLeft is better\u201d."
    ann.key("Escape")
    assert ann.text('.pl-bar [data-action="left-clear"] kbd') == "Q"
    card = ann.prompt()
    ann.page.wait_for_timeout(200)
    ann.key("2", "ArrowLeft")
    assert ann.prompt() == card
    ann.press("q")
    ann.page.reload()
    ann.page.wait_for_selector(READY)
    ann.press("q")
    ann.wait_saved()
    assert [row.strength for row in server.judged()] == ["clear", "clear"]
    bob = Page(browser, server, name="bob")
    assert bob.text('.pl-bar [data-action="left-clear"] kbd') == "2"  # they are ann's own
    bob.close()
    ann.key("?")
    ann.page.click("text=Use the usual keys")
    ann.key("Escape")
    ann.press("2")
    ann.close()


def test_help_names_every_key_that_works(browser, labeling):
    ann = Page(browser, labeling())
    shown = ann.page.locator(".pl-bar [aria-keyshortcuts]").evaluate_all(
        "all => all.map(b => b.getAttribute('aria-keyshortcuts'))"
    )
    ann.key("?")
    caps = set(ann.page.locator(".pl-keys kbd").all_inner_texts())
    for keys in shown:
        first = keys.split()[0].upper()
        assert first in caps
    assert {"\u2190", "\u2192", "H", "G", "?"} <= caps
    ann.close()


def test_the_tab_key_reaches_everything_in_order(browser, labeling):
    ann = Page(browser, labeling())
    ann.page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(40):
        ann.key("Tab")
        seen.append(
            ann.page.evaluate(
                "(e => e.dataset.action ?? e.dataset.copy ?? e.dataset.do ?? e.tagName)"
                "(document.activeElement)"
            )
        )
    order = ["history", "guidelines", "help", "prompt", "left", "right", "left-strong", "tie"]
    order += ["right-strong", "both-bad", "skip", "undo", "note", "flag", "raw", "marks", "copy"]
    assert [name for name in seen if name in order][: len(order)] == order
    ann.close()


def test_the_admin_page_shows_numbers_and_rounds(browser, labeling):
    lead = Page(browser, labeling(), name="lead")
    lead.press("1")
    lead.wait_saved()
    lead.page.click("text=Admin")
    lead.page.wait_for_selector("text=Label round 0: 13 pairs still want votes.")
    assert re.search(r"lead\s+admin\s+1", lead.text(".ad"))
    lead.page.get_by_role("tab", name="Rounds").click()
    lead.page.wait_for_selector("text=Nothing was started here yet.")
    assert lead.page.get_by_role("button", name="Generate next answers").is_enabled()
    lead.close()
