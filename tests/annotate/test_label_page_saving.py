"""No decision is lost or doubled: outages, reloads, other tabs, lost sign-ins."""

import re

import pytest
from browsing import READY, Page, wait_for
from factories import make_pair, make_policy, make_prompt, make_response

from storage import judgments as judging

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def server(labeling):
    return labeling()


def test_nothing_is_lost_while_the_server_is_down(browser, server):
    ann = Page(browser, server)
    ann.press("1")
    ann.wait_saved()
    server.down()
    for key in ("2", "6", "t"):
        ann.press(key)
    ann.wait_true("document.querySelector('.pl-status').textContent === '3 unsent, retrying'")
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


def test_new_pairs_appear_by_themselves(browser, labeling):
    server = labeling(pairs=1)
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


def test_the_end_of_the_queue_is_told_at_once(browser, labeling):
    ann = Page(browser, labeling(pairs=2))
    ann.page.evaluate("""() => {
      const timer = setTimeout;
      window.setTimeout = (then, ms, ...more) => (ms >= 4000 ? 0 : timer(then, ms, ...more));
    }""")  # what is asked again after a while is never asked
    ann.press("2")
    ann.press("6")
    ann.page.wait_for_selector("text=Nothing to label right now", timeout=15_000)
    ann.close()


def test_the_clock_of_the_computer_set_back_does_not_turn_the_order_round(browser, server):
    ann = Page(browser, server)
    full = {"status": 503, "json": {"detail": "The disk of the server is full."}}
    ann.page.route("**/api/judgments", lambda route: route.fulfill(**full))
    kept = """Object.keys(localStorage).filter((k) => k.includes("outbox")).sort()
        .map((k) => JSON.parse(localStorage[k]).body.presentation)"""
    ann.press("1")
    one = ann.page.evaluate(kept)
    ann.page.evaluate("{ const now = Date.now; Date.now = () => now() - 3600 * 1000; }")
    ann.press("6")
    two = ann.page.evaluate(kept)
    ann.press("2")
    three = ann.page.evaluate(kept)
    assert (len(one), two[:1], three[:2]) == (1, one, two)
    assert len(set(three)) == 3
    # What keeps them from being stored is told once it lasts.
    ann.wait_true("document.body.innerText.includes('The disk of the server is full.')")
    ann.page.unroute("**/api/judgments")
    ann.wait_saved()
    assert len(server.judged()) == 3
    ann.close()
