"""The adjudication page: a whole case by keyboard, in real Chromium against a real server."""

import pytest
from browsing import READY, Page, violations, wait_for
from disputed import WHY, fill_disputed

from storage import adjudications, team
from storage.adjudication_records import Cause
from storage.pairs import consensus_of_pair
from storage.records import Side, Strength, Verdict

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def phase(jo, name):
    jo.page.wait_for_selector(f'.pl-app[data-phase="{name}"]')


def test_a_case_from_the_own_view_to_gold_and_guidelines_by_keyboard(browser, labeling):
    server = labeling(fill=fill_disputed, pairs=8, votes_per_pair=2)
    jo = Page(browser, server, name="jo", viewport={"width": 1440, "height": 900})
    jo.page.click("text=Adjudicate")
    jo.page.wait_for_url("**/adjudicate/")
    phase(jo, "view")
    assert jo.text(".pl-count") == "5 open cases, 0 decided"
    assert jo.text(".pj-cases [aria-current] .pj-split") == "1 : 1 : 1"
    assert "you labeled it" in jo.text(".pj-cases li:last-child")
    found = {"view": violations(jo)}

    for told in ("Shorter", "formula explains", "bob", "judge"):
        assert told not in jo.text(".pl-app")
    jo.key("s", "5")  # neither a cause nor "can't be decided" is an own view
    assert adjudications.own_views(server.store) == {}
    jo.key("n")
    jo.page.keyboard.type("1 short one")
    jo.key("Escape", "Shift+1")
    phase(jo, "decide")
    (view,) = adjudications.own_views(server.store).values()
    assert (view.strength, view.note) == (Strength.STRONG, "1 short one")
    left = Verdict.FIRST if view.first_side is Side.LEFT else Verdict.SECOND
    assert view.verdict is left
    assert jo.page.locator(".pj-vote").count() == 4
    assert WHY[0, "ann"] in jo.text(".pj-votes")  # as text: <b> is no markup
    assert jo.text(".pj-vote:last-child header").startswith("judge")
    found["decide"] = violations(jo)

    jo.key("l")
    assert adjudications.standing(server.store) == {}
    jo.key("n")
    jo.page.keyboard.type("It answers.")
    jo.key("Escape", "2")
    phase(jo, "done")
    (decision,) = adjudications.standing(server.store).values()
    assert (decision.verdict, decision.cause) == (left.swapped(), Cause.GUIDELINE_GAP)
    assert decision.note == "It answers."
    assert consensus_of_pair(server.store, decision.pair_id).method == "adjudicated"
    jo.wait_text(".pl-count", "4 open cases, 1 decided")

    jo.key("g")
    wait_for(lambda: team.gold_by_pair(server.store))
    jo.wait_text(".pj-step", "hidden gold")
    jo.key("e")
    wait_for(lambda: team.guidelines(server.store))
    assert "> It answers." in team.guidelines(server.store)[0].text
    jo.key("m")
    jo.page.keyboard.type("Agreed with lead.")
    jo.key("Control+Enter")
    jo.wait_text(".pj-notes", "Agreed with lead.")
    jo.key("Escape")
    found["done"] = violations(jo)

    before = jo.prompt()
    jo.key("j")
    phase(jo, "view")
    assert jo.prompt() != before
    assert jo.page.is_hidden(".pj-after")
    jo.key("z")  # the case before, which was decided here
    phase(jo, "decide")
    assert jo.prompt() == before
    assert adjudications.standing(server.store) == {}
    wait_for(lambda: not any(g.active for g in team.gold_by_pair(server.store).values()))
    jo.key("?")
    found["help"] = violations(jo)
    jo.key("Escape", "f", "f", "f", "f", "f", "f")
    jo.wait_text(".pj-none", "No case is decided yet.")
    found["none"] = violations(jo)
    jo.page.reload()
    jo.page.wait_for_selector(READY)
    jo.wait_text(".pl-count", "5 open cases")
    assert {state: problems for state, problems in found.items() if problems} == {}
    jo.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "dark")])
def test_axe_finds_nothing_in_the_dark_and_on_a_phone(browser, labeling, width, scheme):
    server = labeling(fill=fill_disputed, pairs=8, votes_per_pair=2)
    size = {"width": width, "height": 844}
    lead = Page(browser, server, name="lead", viewport=size, color_scheme=scheme)
    cases = lead.page.request.get(f"{server.url}/api/adjudication/cases").json()["items"]
    lead.page.goto(f"{server.url}/adjudicate/?pair={cases[2]['pair']}")
    phase(lead, "view")
    here = lead.page.locator(".pj-cases [aria-current]")
    assert here.get_attribute("data-case") == cases[2]["pair"]
    lead.key("3")
    phase(lead, "decide")
    wide = lead.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    assert violations(lead) == []
    lead.key("p", "5")
    phase(lead, "done")
    (decision,) = adjudications.standing(server.store).values()
    assert decision.verdict is None
    assert violations(lead) == []
    if width > 760:  # the same window at 200 %: the bar waits below the texts, covering none
        lead.page.set_viewport_size({"width": 640, "height": 400})
        bar, votes = (lead.page.locator(part).bounding_box() for part in (".pl-bar", ".pj-votes"))
        assert bar["y"] >= votes["y"] + votes["height"]
    lead.close()
