"""The admin pages in real Chromium, against a real server and store."""

from contextlib import contextmanager

import pytest
from browsing import LabelingServer, Page, violations, wait_for
from factories import fill_store, make_judgment

from annotate.accounts import add_labeler
from storage import judgments as judging
from storage import team
from storage.records import Verdict
from storage.team_records import GoldUse

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)>"
PICKED = {  # what the first row of a table opens
    "People": "text=8 judged, 0 skipped",
    "Queue": "#ad-story table",
    "Guidelines": ".diff ins",
}
TABS = {  # with what is there once they are drawn
    "Progress": "text=Votes saved",
    "Agreement": "text=Everybody together",
    "Rounds": "text=Next one trained on",
    "People": "text=Last 14 days",
    "Queue": "text=1 to 25 of 30 pairs",
    "Gold": "text=Sentinels: too few votes",
    "Distribution": "text=Where it comes from",
    "Guidelines": "text=version 1",
    "Activity": "text=Whom or what",
}


def fill(store, *, pairs):
    filled = fill_store(store, pairs=pairs)
    add_labeler(store, HOSTILE, password=None)
    verdicts = [Verdict.FIRST, Verdict.SECOND, Verdict.SKIP]
    store.append(
        [
            make_judgment(pair, name, verdicts[i % 3 if name == "ann" else 0], seconds=1.0)
            for i, pair in enumerate(filled.pairs[:8])
            for name in ("ann", "bob")
        ]
    )


@contextmanager
def serving(folder):
    made = LabelingServer(folder, pairs=30, fill=fill, guidelines="# Be fair", votes_per_pair=2)
    yield made
    made.down()


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """A server for those who only look."""
    with serving(tmp_path_factory.mktemp("looked-at")) as made:
        yield made


class Admin(Page):
    """A lead at the admin pages."""

    def __init__(self, browser, server, **settings):
        at = {"at": "/admin/", "ready": "text=Label round 0:"}
        super().__init__(browser, server, name="lead", **at, **settings)

    def open(self, title):
        tab = self.page.get_by_role("tab", name=title, exact=True)
        if tab.count() and tab.first.is_visible():
            tab.first.click()
        else:
            self.page.locator(".overflow-menu > button").click()
            self.page.locator(".overflow-dropdown button", has_text=title).click()
        self.page.locator(TABS[title]).locator("visible=true").first.wait_for()

    def field(self, label):
        return self.page.get_by_label(label, exact=False).locator("visible=true").first

    def choose(self, label, option):
        self.field(label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    def says(self, words):
        self.page.locator(f".said:visible:has-text('{words}')").first.wait_for()

    def column(self, number):
        cells = f".ad table:visible tbody td:nth-child({number})"
        return self.page.locator(cells).all_inner_texts()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_nothing_and_every_tab_fits(browser, looked_at, width, scheme):
    lead = Admin(browser, looked_at, viewport={"width": width, "height": 844}, color_scheme=scheme)
    found = {}
    for title in TABS:
        lead.open(title)
        if title in PICKED:
            lead.page.locator("button.pick:visible").first.click()
            lead.page.locator(PICKED[title]).locator("visible=true").first.wait_for()
        found[title] = violations(lead)
        assert lead.page.evaluate("document.documentElement.scrollWidth") <= width, title
        if width > 1000 and title in ("Queue", "People"):  # the table whole, with its times
            (region,) = lead.page.locator(".ad .scroll:visible").filter(has_text="(UTC)").all()
            assert region.evaluate("e => e.scrollWidth <= e.clientWidth"), title
    out = lead.page.locator(".ad-top >> text=Sign out").bounding_box()
    assert out["x"] + out["width"] <= width
    assert {title: v for title, v in found.items() if v} == {}
    assert lead.page.evaluate("document.querySelectorAll('h1').length") == 1
    lead.close()


def test_people_are_sorted_paused_and_invited(browser, server):
    lead = Admin(browser, server)
    lead.open("People")
    assert lead.column(1) == ["bob", "ann", HOSTILE, "lead"]
    lead.button("Name").click()
    assert lead.column(1) == sorted(["bob", "ann", HOSTILE, "lead"], reverse=True)
    lead.button("Name").click()
    assert lead.column(1)[:2] == [HOSTILE, "ann"]
    lead.button("ann").click()
    lead.page.wait_for_selector("text=6 judged, 2 skipped")
    assert lead.column(1)[:2] == [HOSTILE, "ann"]  # the order stays
    lead.choose("Person", "bob")
    lead.page.wait_for_selector("text=8 judged, 0 skipped")
    lead.choose("Person", "ann")
    lead.page.wait_for_selector("text=6 judged, 2 skipped")
    lead.button("Pause").click()
    lead.says("Saved what ann gets.")
    assert team.labeler_settings(server.store)["ann"].paused
    lead.field("Groups").fill("medics, night")
    lead.field("Judgments a day").fill("7")
    lead.button("Save changes").click()
    wait_for(lambda: team.labeler_settings(server.store)["ann"].daily_limit == 7)
    assert team.labeler_settings(server.store)["ann"].groups == ("medics", "night")
    lead.page.wait_for_selector("text=in medics, night")
    lead.button("Resume").click()
    wait_for(lambda: not team.labeler_settings(server.store)["ann"].paused)
    lead.button("Disable account").click()
    lead.says("Disabled ann")
    assert not judging.labelers(server.store)["ann"].active
    lead.button("Make an invitation").click()
    link = lead.page.locator(".link input")
    link.wait_for()
    assert link.input_value().startswith(f"{server.url}/invite/")
    lead.button("Copy").click()
    lead.page.wait_for_selector("text=Copied")
    lead.button("Revoke").click()
    lead.says("Took the invitation back.")
    (invitation,) = team.invitations(server.store).values()
    assert invitation.revoked
    lead.close()


def test_the_queue_opens_a_story_makes_gold_and_assigns(browser, server):
    lead = Admin(browser, server)
    lead.open("Queue")
    lead.page.wait_for_selector("text=1 to 25 of 30 pairs")
    lead.button("Further").click()
    lead.page.wait_for_selector("text=26 to 30 of 30 pairs")
    lead.button("Back").click()
    lead.page.wait_for_selector("text=1 to 25 of 30 pairs")
    lead.choose("Pairs that are", "skipped")
    lead.page.wait_for_selector("text=1 to 2 of 2 pairs")
    lead.choose("Pairs that are", "all")
    lead.page.wait_for_selector("text=1 to 25 of 30 pairs")
    lead.page.locator("button.pick:visible").first.click()
    lead.page.wait_for_selector("#ad-story table")
    assert "ann" in lead.text("#ad-story")
    lead.button("Make it a gold pair").click()
    lead.says("Made a gold pair of it.")
    (gold,) = team.gold_by_pair(server.store).values()
    assert (gold.use, gold.author) == (GoldUse.HIDDEN, "lead")
    lead.field("For Names or @groups").fill("ann")
    lead.field("Priority").fill("4")
    lead.button("Assign").click()
    lead.says("Assigned.")
    (assignment,) = team.assignments(server.store)
    assert (assignment.people, assignment.priority) == (("ann",), 4)
    lead.button("End").click()
    lead.says("Ended the assignment.")
    lead.open("Gold")
    lead.button("Retire").click()
    lead.says("Retired it")
    lead.open("Activity")
    assert "gold retired" in lead.column(3)
    lead.choose("What", "assigned")
    wait_for(lambda: set(lead.column(3)) == {"assigned"})
    lead.close()


def test_settings_and_guidelines_change_while_people_work(browser, server):
    lead = Admin(browser, server)
    ann = Page(browser, server)
    lead.open("Distribution")
    lead.field("Votes per pair").fill("3")
    lead.button("What would it mean?").click()
    lead.page.wait_for_selector("text=after the change")
    assert server.desk.config.votes_per_pair == 2
    lead.button("Apply").click()
    lead.says("Changed: votes per pair.")
    wait_for(lambda: server.desk.config.votes_per_pair == 3)
    lead.button("Back to file").click()
    lead.says("is as pairloop.toml says again")
    wait_for(lambda: server.desk.config.votes_per_pair == 2)
    lead.open("Guidelines")
    lead.field("Guidelines in Markdown").fill("# Be **kind**\n\n<script>alert(1)</script>")
    lead.page.wait_for_selector(".ad-preview strong")
    assert "<script>alert(1)</script>" in lead.text(".ad-preview")
    lead.button("Publish").click()
    lead.says("Version 2 is in force")
    lead.page.wait_for_selector(".diff ins")
    ann.press("1")
    ann.wait_saved()
    mine = [j for j in server.judged() if j.labeler == "ann"]
    assert mine[-1].guideline in {g.id for g in team.guidelines(server.store)}
    lead.close()
    ann.close()
