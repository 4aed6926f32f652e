"""Own earlier pairs, other tabs, and the states in which there is nothing to do."""

import pytest
from browsing import READY, Page, wait_for

from annotate.people import change_settings
from storage import judgments as judging

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOKED_AT = "document.dispatchEvent(new Event('visibilitychange'))"  # brings a heartbeat
ROW = ".pl-earlier li button"


def test_an_earlier_pair_can_be_seen_and_changed(browser, labeling):
    server = labeling()
    ann = Page(browser, server)
    seen = []
    for key in ("1", "4", "6"):
        seen.append(ann.prompt())
        ann.press(key)
    current = ann.prompt()
    ann.key("h")
    ann.page.wait_for_selector(ROW)
    assert ann.page.locator(".pl-earlier-choice").all_inner_texts() == [
        "Right is better",
        "Tie: equally good",
        "Left is much better",
    ]
    ann.key("ArrowDown", "Enter")
    wait_for(lambda: ann.prompt() == seen[1])
    assert "You said: Tie: equally good" in ann.text(".pl-banner")
    ann.key("Escape")
    assert ann.prompt() == current
    assert len(judging.judgment_events(server.store)) == 3

    ann.key("Enter")
    wait_for(lambda: ann.prompt() == seen[1])
    ann.press("b")
    assert ann.prompt() == current
    assert ann.page.locator(".pl-earlier-choice").nth(1).inner_text() == "Both are bad (changed)"
    ann.wait_saved()
    assert [str(row.verdict) for row in server.judged()].count("both_bad") == 1
    assert (len(server.judged()), len(judging.judgment_events(server.store))) == (3, 4)
    assert ann.text(".pl-count") == "3 judged, 11 to go"
    ann.key("Escape")
    assert not ann.page.is_visible(".pl-earlier")
    assert ann.prompt() == current
    ann.close()


def test_the_list_goes_on_page_by_page(browser, labeling):
    server = labeling(pairs=25)
    ann = Page(browser, server)
    for _ in range(23):
        ann.press("2")
    ann.wait_saved()
    ann.page.click("text=Earlier pairs")
    ann.page.wait_for_selector(ROW)
    assert ann.page.locator(ROW).count() == 20
    ann.page.click("text=Show older ones")
    wait_for(lambda: ann.page.locator(ROW).count() == 23)
    assert not ann.page.is_visible("text=Show older ones")
    ann.page.locator(ROW).last.click()
    ann.page.wait_for_selector(".pl-banner >> text=You said: Left is better")
    ann.page.click("text=Back to the current pair")
    wait_for(lambda: not ann.page.is_visible(".pl-banner"))
    ann.close()


def test_another_tab_drops_a_judged_pair_at_once(browser, labeling):
    server = labeling(pairs=6)
    one = Page(browser, server)
    two = Page(browser, server, context=one.context)
    assert one.prompt() == two.prompt()
    before = two.prompt()
    one.press("1")
    wait_for(lambda: two.prompt() != before)
    assert "judged in another tab" in two.text(".pl-toast")
    two.key("n")
    two.page.keyboard.type("a thought")
    kept = two.prompt()
    two.key("Escape")
    one.press("1")
    one.wait_saved()
    assert two.prompt() == kept  # it was begun
    two.press("7")  # and counts as a changed mind
    two.wait_saved()
    assert len(server.judged()) == 2
    for _ in range(4):
        two.press("2")
    two.page.wait_for_selector(".pl-idle:visible")
    two.wait_saved()
    assert len({row.pair_id for row in server.judged()}) == 6
    two.page.close()
    one.close()


def test_a_second_device_hears_by_heartbeat(browser, labeling):
    server = labeling(pairs=6)
    one, two = Page(browser, server), Page(browser, server)
    before = two.prompt()
    assert one.prompt() == before
    one.press("1")
    one.wait_saved()
    two.page.evaluate(LOOKED_AT)
    wait_for(lambda: two.prompt() != before)
    assert [j.labeler for j in server.judged()] == ["ann"]
    two.close()
    one.close()


def test_a_closed_page_gives_its_pairs_back(browser, labeling):
    server = labeling(pairs=3)
    ann = Page(browser, server)
    ann.page.goto("about:blank")
    bob = Page(browser, server, name="bob")
    wait_for(lambda: bob.text(".pl-count") == "0 judged, 3 to go")
    for _ in range(3):
        bob.page.wait_for_selector(READY)  # a pair that was given back may come a moment later
        bob.press("1")
    wait_for(lambda: [j.labeler for j in server.judged()] == ["bob"] * 3)
    bob.close()
    ann.context.close()


def test_paused_people_and_those_at_their_limit_are_told_why(browser, labeling):
    server = labeling(daily_limit=3)
    ann = Page(browser, server)
    for _ in range(3):
        ann.press("1")
    ann.page.wait_for_selector("text=That's all for now")
    assert len(server.judged()) == 3
    ann.close()
    bob = Page(browser, server, name="bob")
    change_settings(server.store, "bob", author="lead", paused=True)
    server.desk.refresh()
    bob.page.evaluate(LOOKED_AT)
    bob.page.wait_for_selector("text=You are paused")
    assert not bob.page.is_visible(READY)
    change_settings(server.store, "bob", author="lead", paused=False)
    server.desk.refresh()
    bob.page.wait_for_selector(READY)
    bob.close()
