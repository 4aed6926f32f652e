"""Deciding on the labeling page, in real Chromium against a real server and store."""

import pytest
from browsing import READY, Page, wait_for

from storage import judgments as judging

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def server(labeling):
    return labeling()


def test_ten_pairs_by_keyboard_then_reload_and_undo(browser, server):
    ann = Page(browser, server)
    assert ann.text("h1") == "Which answer is better?"
    assert ann.text(".pl-notice") == "a <i>micro</i> model"
    keys = ["1", "2", "3", "4", "5", "6", "7", "b", "ArrowLeft", "Shift+ArrowRight"]
    seen = []
    for key in keys:
        left = ann.answer("left")
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
        assert (ann.prompt(), ann.answer("left")) == seen[-back]
    assert len(server.judged()) == 8
    ann.press("s", "s")
    ann.press("7")
    assert ann.prompt() == current
    ann.wait_saved()
    assert len(server.judged()) == 10
    assert ann.text(".pl-count") == "9 judged, 4 to go"
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
    ann.key("Escape", "f", "2", "Enter")
    assert ann.text('[data-action="flag"] .pl-badge') == "1"
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
