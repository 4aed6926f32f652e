"""Reading on the labeling page: raw text, differences, copying, guidelines, hostile and long texts."""

import time

import pytest
from browsing import NOW, Page, wait_for
from factories import fill_store, make_pair, make_policy, make_prompt, make_response

from annotate.guidelines import publish
from storage.records import Message

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAINTED = """key => new Promise(done => {
  const start = performance.now();
  addEventListener("keydown", () => requestAnimationFrame(() => requestAnimationFrame(
    () => done(performance.now() - start))), {capture: true, once: true});
  dispatchEvent(new KeyboardEvent("keydown", {key, code: "Digit" + key, bubbles: true}));
})"""


def filling(*texts):
    """A filler of a store with one pair of these two texts and `pairs` like it."""

    def fill(store, *, pairs):
        fill_store(store, pairs=1)
        policy = make_policy()
        for n in range(pairs):
            prompt = make_prompt(f"Question {n} {texts[0][:60]}")
            left, right = texts[n % len(texts)], texts[(n + 1) % len(texts)]
            a = make_response(prompt, policy, left, temperature=0.5)
            b = make_response(prompt, policy, right, temperature=1.0)
            store.append([prompt])
            store.append([a, b])
            store.append([make_pair(a, b)])

    return fill


HOSTILE = filling(
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "${alert(1)} {{alert(1)}} `x` ![t](https://evil.example/t.png) <b id=pl-note-text>",
    "[a](javascript:alert(1)) <style>.pl-bar{display:none}</style> a\u202eb",
    "<div style='position:fixed;inset:0;background:red'>x</div>",
)


CODE = "Here:\n\n```{}\ndef twice(x):\n    return 2 * x  # quick\n```"
SPANS = """[...document.querySelectorAll(".pl-view.pl-now .pl-answers .pl-code span")]
    .map((span) => [getComputedStyle(span).color, getComputedStyle(span).fontStyle].join())"""


@pytest.mark.parametrize(
    ("other", "coloured"), [("python", True), ("", False)], ids=["both", "neither"]
)
def test_code_is_coloured_in_both_answers_or_in_none(browser, labeling, other, coloured):
    fill = filling(CODE.format("python"), CODE.format(other))
    ann = Page(browser, labeling(pairs=2, fill=fill))
    if "Here" not in ann.prompt():
        ann.press("4")
    assert (len(set(ann.page.evaluate(SPANS))) > 1) is coloured
    ann.close()


def test_hostile_answers_do_nothing(browser, labeling):
    ann = Page(browser, labeling(pairs=4, fill=HOSTILE))
    seen = ""
    for _ in range(5):
        seen += ann.text(".pl-work")
        ann.key("r")
        seen += ann.text(".pl-work")
        ann.key("r", "d")
        assert ann.page.is_visible(".pl-bar")
        assert ann.page.evaluate("document.querySelectorAll('[id=pl-note-text]').length") == 1
        ann.key("d")
        ann.press("4")
    for part in ("<script>alert(1)</script>", "${alert(1)} {{alert(1)}}", "\u27e6U+202E\u27e7"):
        assert part in seen
    ann.close()


def test_the_next_pair_does_not_wait_for_the_server(browser, labeling):
    ann = Page(browser, labeling())
    ann.press("1")
    ann.wait_saved()

    def late(route):
        time.sleep(4)
        route.continue_()

    ann.page.route("**/api/judgments", late)
    ann.page.wait_for_timeout(500)
    before = ann.prompt()
    assert ann.page.evaluate(PAINTED, "2") < 3000, "painted while the server still waits"
    assert ann.prompt() != before
    ann.wait_saved()
    ann.close()


def test_waiting_pairs_are_drawn_already(browser, labeling):
    ann = Page(browser, labeling())
    wait_for(lambda: ann.page.locator(".pl-view[data-fitted=yes]").count() == 5)
    waiting = ann.page.locator(".pl-view:not(.pl-now)").first
    assert waiting.evaluate("v => v.querySelector('.pl-answer').offsetHeight") > 60
    assert not waiting.is_visible()
    following = waiting.evaluate("v => v.querySelector('.pl-prompt-body').textContent")
    ann.press("1")
    assert ann.page.locator(NOW + ".pl-prompt-body").evaluate("p => p.textContent") == following
    ann.close()


LONG = "\n\n".join(
    f"Paragraph {n} of a very long answer, **bold** and `code`." for n in range(2500)
)


def fastest_paint(ann):
    took = []
    for _ in range(4):
        ann.page.wait_for_timeout(600)
        took.append(ann.page.evaluate(PAINTED, "2"))
    return min(took)


def test_a_very_long_answer_does_not_stall(browser, labeling):
    """Two frames, as for a short one: waiting answers are drawn while the one before is read."""
    short = Page(browser, labeling(pairs=6, fill=filling("One.", "Other.")))
    usual = fastest_paint(short)
    short.close()
    ann = Page(browser, labeling(pairs=6, fill=filling(LONG, LONG + " The end.")))
    ann.page.wait_for_timeout(1500)
    assert fastest_paint(ann) < 10 * usual + 100
    ann.key("d")
    ann.page.wait_for_selector(".pl-toast >> text=Differences marked")
    ann.key("d", "r")
    assert "Paragraph 2499" in ann.page.locator(NOW + "[data-side=left]").evaluate(
        "s => s.textContent"
    )
    ann.close()


ONE = "The quick brown fox jumps.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
OTHER = "The slow brown fox jumps.\n\n- one\n- three\n\n| a | b |\n|---|---|\n| 1 | 9 |"


def marks(ann, side):
    return ann.page.locator(f'{NOW}[data-side="{side}"] .pl-own').all_inner_texts()


def test_differences_are_marked_word_by_word(browser, labeling):
    ann = Page(browser, labeling(pairs=3, fill=filling(ONE, OTHER)))
    while "brown" not in ann.answer("left"):
        ann.press("4")
    plain = ann.answer("left")
    ann.key("d")
    own = {"quick": ["quick", "two", "2"], "slow": ["slow", "three", "9"]}
    for side in ("left", "right"):
        assert marks(ann, side) == own["quick" if "quick" in ann.answer(side) else "slow"]
    assert "3 words only in the left answer, 3 only in the right" in ann.text(".pl-toast")
    style = ann.page.locator(NOW + ".pl-own").first.evaluate(
        "m => getComputedStyle(m).textDecorationLine"
    )
    assert style == "underline"  # not by colour alone
    ann.key("r")
    assert marks(ann, "left") in own.values()
    ann.key("d", "r")
    assert marks(ann, "left") == []
    assert ann.answer("left") == plain
    ann.close()


def test_everything_can_be_copied(browser, labeling):
    server = labeling(pairs=3, fill=filling(ONE, OTHER))
    ann = Page(browser, server, permissions=["clipboard-read", "clipboard-write"])
    while "brown" not in ann.answer("left"):
        ann.press("4")
    ann.key("c")
    ann.page.wait_for_selector(".pl-toast >> text=copied")
    copied = ann.page.evaluate("navigator.clipboard.readText()")
    for part in ("Question", "[left]", "[right]", "| a | b |"):
        assert part in copied
    ann.page.click(NOW + '[data-copy="left"]')
    ann.page.wait_for_selector(".pl-toast >> text=The left answer is copied")
    assert ann.page.evaluate("navigator.clipboard.readText()") in (ONE, OTHER)
    ann.close()


def test_guidelines_stand_beside_the_answers_and_say_when_they_change(browser, labeling):
    server = labeling(guidelines="# Rules\n\nPrefer what is **right**.")
    wide = {"width": 1500, "height": 850}
    ann = Page(browser, server, viewport=wide)
    ann.page.wait_for_selector(".pl-guide[open]")  # at the first visit by themselves
    assert "Prefer what is right." in ann.text(".pl-guide")
    box = ann.page.locator(NOW + ".pl-answer").last.bounding_box()
    assert box["x"] + box["width"] <= wide["width"] - 380
    ann.press("1")  # keys go on deciding
    ann.page.reload()
    ann.page.wait_for_selector(".pl-guide[open]")
    publish(server.store, "# Rules\n\nPrefer what is short.", author="lead")
    server.desk.refresh()
    ann.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    ann.page.wait_for_selector(".pl-nav .pl-badge >> text=changed")
    assert "Prefer what is short." in ann.text(".pl-guide")
    ann.press("1")
    ann.wait_saved()
    assert len({row.guideline for row in server.judged()}) == 2
    ann.key("g")
    assert not ann.page.is_visible(".pl-guide")
    ann.page.wait_for_selector(".pl-nav .pl-badge", state="hidden")  # a dialog tells a moment later
    ann.page.reload()
    ann.page.wait_for_selector(NOW + ".pl-answer")
    ann.page.wait_for_timeout(400)
    assert not ann.page.is_visible(".pl-guide")  # closed by hand it stays closed
    ann.close()


def talking(store, *, pairs):
    fill_store(store, pairs=0)
    policy = make_policy()
    turns = [Message(role="system", content="Be brief.")]
    for n in range(9):
        turns += [
            Message(role="user", content=f"Turn {n}: and then?"),
            Message(role="assistant", content="It went on. " * 20),
        ]
    prompt = make_prompt(messages=tuple(turns[:-1]))
    a = make_response(prompt, policy, "yes " * 600, temperature=0.5)
    b = make_response(prompt, policy, "no", temperature=1.0)
    for rows in ([prompt], [a, b], [make_pair(a, b)]):
        store.append(rows)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_prompt_stays_in_sight_and_unfolds(browser, labeling, width):
    ann = Page(browser, labeling(pairs=1, fill=talking), viewport={"width": width, "height": 800})
    last = ann.page.locator(NOW + ".pl-turn").last
    wait_for(lambda: ann.page.is_visible(NOW + '[data-do="more"]'))
    ann.page.mouse.wheel(0, 3000)
    wait_for(lambda: ann.page.evaluate("scrollY") > 200)
    box = last.bounding_box()
    assert 0 <= box["y"] + box["height"] <= 300
    ann.page.click(NOW + '[data-do="more"]')
    ann.page.evaluate("scrollTo(0, 0)")
    assert ann.text(NOW + ".pl-turn-system").endswith("Be brief.")
    assert ann.page.locator(NOW + ".pl-turn").first.bounding_box()["y"] > 0
    ann.close()
