"""Every handler of the admin pages asks who is there; and what the tabs do, without a browser."""

import inspect
import sys
from dataclasses import replace

import gradio as gr
import pytest
from pages import pages_built_once
from web import decision

from annotate import guidelines
from annotate.accounts import add_labeler, disable_labeler
from annotate.admin_access import AdminContext, attempt, picked
from annotate.admin_html import Raw, code, pick, table
from annotate.admin_page import build_admin_page
from annotate.config import AnnotateConfig, Retrain
from annotate.guidelines_html import difference_html, versions_html
from annotate.passwords import whose_reset
from annotate.people_html import people_html, person_html
from annotate.people_stats import people_rows
from annotate.queue_html import assignments_html, queue_html, story_html
from annotate.rounds import RoundRunner
from annotate.settings_html import TITLES, settings_html
from storage import judgments as judging
from storage import team
from storage.activity import activities_page, activity_kinds
from storage.queue_pages import gold_rows, pair_by_id, pair_story, queue_page
from storage.records import LabelerKind, Role
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.team_records import GoldUse

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def blocks(own):
    with pages_built_once():
        return build_admin_page(own.store, own.config, RoundRunner(own.folder), own.desk, Retrain())


def call(blocks, name, *values, who="lead", event=None, tab=""):
    """Run one handler as somebody, whatever it asks for beyond values."""
    (handler,) = {
        f.fn
        for f in blocks.fns.values()
        if f.fn is not None and f.fn.__name__ == name and tab in f.fn.__module__
    }
    return run(handler, *values, who=who, event=event)


def run(handler, *values, who, event=None):
    given = list(values)
    arguments = []
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.annotation is gr.Request:
            arguments.append(gr.Request(username=who))
        elif parameter.annotation is gr.EventData:
            arguments.append(gr.EventData(None, event))
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            arguments += given
        else:
            arguments.append(given.pop(0) if given else None)
    return handler(*arguments)


def test_every_handler_refuses_whoever_is_no_admin(own, blocks):
    add_labeler(own.store, "judy", password=None, role=Role.ADJUDICATOR)
    add_labeler(own.store, "gone", password=None, role=Role.ADMIN)
    disable_labeler(own.store, "gone")
    handlers = [f.fn for f in blocks.fns.values() if f.fn is not None]
    assert len(handlers) > 30
    before = len(team.activities(own.store)), len(team.invitations(own.store))
    for handler in handlers:
        for who in ("ann", "judy", "gone", "nobody", "", None):
            with pytest.raises(gr.Error, match="for admins"):
                run(handler, who=who)
    assert (len(team.activities(own.store)), len(team.invitations(own.store))) == before


def test_no_event_waits_in_a_queue_or_is_offered_as_an_api(blocks):
    assert all(f.queue is False for f in blocks.fns.values())
    assert all(f.api_visibility == "private" for f in blocks.fns.values())


def test_a_person_is_paused_limited_let_in_and_disabled(own, blocks):
    def about(*, paused, groups=(), daily=None, qualified=False):
        row = next(r for r in people_rows(own.store, own.config) if r.name == "ann")
        assert (row.paused, row.groups, row.daily_limit, row.qualified) == (
            paused,
            groups,
            daily,
            qualified,
        )

    changes = [f.fn for f in blocks.fns.values() if f.fn and f.fn.__name__ == "handler"]
    pause, resume, let_in, must_qualify = changes
    assert "Saved what ann gets." in run(pause, "ann", who="lead")[0]
    about(paused=True)
    run(resume, "ann", who="lead")
    run(let_in, "ann", who="lead")
    about(paused=False, qualified=True)
    run(must_qualify, "ann", who="lead")
    call(blocks, "save_all", "ann", "labeler", "medics, night shift", 5.0, None)
    about(paused=False, groups=("medics", "night shift"), daily=5)
    assert "There is no labeler" in run(pause, "nobody", who="lead")[0]
    call(blocks, "lock", "ann")
    assert not judging.labelers(own.store)["ann"].active
    call(blocks, "unlock", "ann")
    assert judging.labelers(own.store)["ann"].active
    assert "your own account" in call(blocks, "lock", "lead")[0]


def test_a_role_is_changed_with_what_else_is_saved_and_not_halfway(own, blocks):
    assert "Saved" in call(blocks, "save_all", "ann", "adjudicator", "medics", None, None)[0]
    assert judging.labelers(own.store)["ann"].role is Role.ADJUDICATOR
    said = call(blocks, "save_all", "lead", "labeler", "medics", None, None)[0]
    assert "your own role" in said
    assert judging.labelers(own.store)["lead"].role is Role.ADMIN
    assert set(team.labeler_settings(own.store)) == {"ann"}
    assert "Choose a person first" in call(blocks, "save_all", None, None, "", None, None)[0]


def test_a_password_link_is_shown_once_and_gone_with_the_next_person(own, blocks):
    said, link = call(blocks, "make_password_link", "ann")
    assert said == ""
    token = link.split("/reset/")[1].split('"')[0]
    assert whose_reset(own.store, token) == "ann"
    assert "Send this link to ann." in link
    *_, left = call(blocks, "choose", "bob", tab="people")
    assert left == ""
    said, link = call(blocks, "make_password_link", None)
    assert "There is no labeler" in said
    assert link == ""
    add_labeler(own.store, "judge", password=None, kind=LabelerKind.MODEL)
    _, role, *_, button, _, _, _ = call(blocks, "choose", "judge", tab="people")
    assert (role.interactive, button.interactive) == (False, False)


def test_an_invitation_is_shown_once_and_can_be_taken_back(own, blocks):
    said, link, listed = call(blocks, "make_link", "labeler", "eve", "medics", 7)
    assert said == ""
    token = link.split("/invite/")[1].split('"')[0]
    (token_hash,) = team.invitations(own.store)
    assert token not in listed
    assert token_hash in listed
    said, listed = call(blocks, "take_back", event={"action": "revoke", "pick": token_hash})
    assert "Took the invitation back." in said
    assert "revoked" in listed
    assert "holds up to" in call(blocks, "make_link", "labeler", "", "", 0)[0]


def test_settings_change_at_once_for_people_at_work(own, blocks):
    keys = list(TITLES)
    values = {key: getattr(own.config, key) for key in keys}
    wanted = [(values | {"votes_per_pair": 3, "overlap_share": 1}).get(key) for key in keys]
    problem, meaning = call(blocks, "mean", *wanted)
    assert problem == ""
    assert "24 now, 36 after the change: 12 more" in meaning
    assert own.desk.config.votes_per_pair == 2
    said, *_ = call(blocks, "put", *wanted)
    assert "Changed: votes per pair." in said
    assert own.desk.config.votes_per_pair == 3
    (setting,) = team.settings(own.store).values()
    assert (setting.key, setting.value, setting.author) == ("votes_per_pair", "3", "lead")
    assert "Nothing differs" in call(blocks, "put", *wanted)[0]
    bad = [(values | {"overlap_share": 1.5}).get(key) for key in keys]
    assert "Share of pairs with overlap" in call(blocks, "mean", *bad)[0]
    assert "were not changed" in call(blocks, "put", *bad)[0]
    _, _, shown, *fields = call(
        blocks, "back", tab="settings", event={"action": "back", "pick": "votes_per_pair"}
    )
    assert own.desk.config.votes_per_pair == 2
    assert fields[keys.index("votes_per_pair")] == 2
    assert "Back to file" not in shown
    assert "There is no setting" in call(blocks, "back", tab="settings", event={"pick": "port"})[0]


@pytest.mark.parametrize("own", [{"stop_at": 0.9, "daily_limit": 50}], indirect=True)
def test_an_emptied_field_is_off_and_back_to_the_file_is_a_button(own, blocks):
    keys = list(TITLES)
    values = {key: getattr(own.config, key) for key in keys} | {"stop_at": None}
    problem, meaning = call(blocks, "mean", *values.values())
    assert problem == ""
    assert "Votes still wanted" in meaning
    said, _, shown, *fields = call(blocks, "put", *values.values())
    assert "Changed: stop once this sure." in said
    assert fields[keys.index("stop_at")] is None
    assert own.desk.config.stop_at is None
    assert own.desk.config.daily_limit == 50
    assert "<td>Stop once this sure</td><td>off</td><td>0.9</td>" in shown
    call(blocks, "back", tab="settings", event={"action": "back", "pick": "stop_at"})
    assert own.desk.config.stop_at == 0.9
    emptied = values | {"stop_at": 0.9, "votes_per_pair": None}
    assert "votes_per_pair can" in call(blocks, "put", *emptied.values())[0]
    assert own.desk.config.votes_per_pair == 2


def test_gold_is_made_of_a_pair_and_retired(own, blocks):
    pair = own.filled.pairs[0]
    shown = "hidden: looks like any other pair"
    assert "Choose the known verdict" in call(blocks, "gild", pair.id, None, shown, "")[0]
    said, states = call(blocks, "gild", pair.id, "first is better", shown, "because")
    assert "Made a gold pair" in said
    assert '<p class="big">1</p>' in states
    (row,) = gold_rows(own.store)
    assert (row.use, row.active, row.answers) == (GoldUse.HIDDEN, True, 0)
    said, _ = call(blocks, "retired", event={"pick": row.pair_id})
    assert "Retired it" in said
    assert not gold_rows(own.store)[0].active
    assert "No further pair" in call(blocks, "promoted", 3)[0]


def test_pairs_are_assigned_and_given_back_to_everybody(own, blocks):
    pair = own.filled.pairs[0]
    assert (
        "Type the tag" in call(blocks, "hand_out", "every pair with the tag", "", "", "ann", 0)[0]
    )
    assert "Choose a pair" in call(blocks, "hand_out", "the pair above", "", "c1:x", "ann", 0)[0]
    assert "no labeler or group" in call(blocks, "hand_out", "every pair", "", "", "eve", 0)[0]
    said, listed = call(blocks, "hand_out", "the pair above", "", pair.id, "bob", 2)
    assert "Assigned." in said
    assert "1 chosen pair<" in listed
    (row,) = team.assignments(own.store)
    assert (row.pair_ids, row.people, row.priority) == ((pair.id,), ("bob",), 2)
    call(blocks, "end", event={"action": "end", "pick": row.id})
    assert not team.assignments(own.store)[0].active


def test_a_story_tells_who_said_what_and_reading_it_is_noted(own, blocks):
    card = own.client("ann").get("/api/pairs", params={"count": 1}).json()["pairs"][0]
    answer = own.client("ann").post(
        "/api/judgments", json=decision(card, rationale=HOSTILE, flags=["unsafe"])
    )
    assert answer.status_code == 200
    (judgment,) = judging.judgments(own.store)
    _, story, shown = call(blocks, "opened", event={"action": "open", "pick": judgment.pair_id})
    assert shown == judgment.pair_id
    for words in ("ann", "left", "2.5 s", "version 1", "flag: unsafe", "is better (clear)"):
        assert words in story
    assert "&lt;img" in story
    assert "<img" not in story
    assert team.activities(own.store)[0].action == "read a pair's story"
    assert "There is no pair" in call(blocks, "pasted", "c1:none")[0]


def test_the_queue_is_filtered_and_paged(own, blocks):
    client = own.client("ann")
    cards = client.get("/api/pairs", params={"count": 3}).json()["pairs"]
    client.post("/api/judgments", json=decision(cards[0], flags=["unsafe"]))
    skip = {"choice": "skip", "strength": None, "skip_reason": "Disturbing content"}
    client.post("/api/judgments", json=decision(cards[1], **skip))
    counts = {"votes_per_pair": 2, "evaluation_votes": 1, "count": 5, "skip": 0}

    def found(state=None, only=None, **changes):
        return queue_page(own.store, state=state, only=only, **counts | changes)

    rows, pairs = found()
    assert (len(rows), pairs) == (5, 12)
    assert len(found(skip=10)[0]) == 2
    assert found("begun")[1] == 1
    assert found("waiting")[1] == 11
    (flagged,) = found(only="flagged")[0]
    assert (flagged.flags, flagged.votes, flagged.state) == (("unsafe",), 1, "begun")
    (skipped,) = found(only="skipped")[0]
    assert (skipped.skips, skipped.reasons) == (1, ("Disturbing content",))
    assert "unclear prompt" in queue_html(
        [replace(flagged, flags=("unclear_prompt",))], first=1, pairs=1
    )
    listed = call(blocks, "filtered", "skipped")[1]
    assert "1: Disturbing content" in listed
    bob = own.client("bob")
    card = next(
        c
        for c in bob.get("/api/pairs", params={"count": 12}).json()["pairs"]
        if c["prompt_text"] == cards[0]["prompt_text"]
    )
    bob.post("/api/judgments", json=decision(card, choice="both_bad", strength=None))
    assert found("tie_break")[1] == own.desk.queue_states()["tie_break"] == 1


def test_guidelines_are_published_compared_and_counted(own, blocks):
    said, _listed, _ = call(blocks, "published", "# Be fair\n\nRead **both**.")
    assert "Version 2 is in force" in said
    said, listed, difference = call(blocks, "published", "# Be fair\n\nRead *both* twice.")
    assert "Version 3 is in force" in said
    assert "<del>Read **both**.</del>" in difference
    assert "<ins>Read *both* twice.</ins>" in difference
    assert "nothing changed" in call(blocks, "published", "# Be fair\n\nRead *both* twice.")[0]
    assert "empty" in call(blocks, "published", " ")[0]
    assert own.desk.guideline == guidelines.current(own.store).id
    kept = call(blocks, "show", "what I type", tab="guidelines")
    assert kept[0] == "what I type"
    assert "<em>both</em>" in call(blocks, "forget")[1]
    assert call(blocks, "compare", event={"pick": "no number"}) == ""
    assert "version 3" in listed


def test_the_trail_is_filtered_by_person_and_kind(own, blocks):
    team.note(own.store, actor=HOSTILE, action="paused", subject=HOSTILE)
    team.note(own.store, actor="lead", action="resumed", subject="ann")
    actors, actions = activity_kinds(own.store)
    assert HOSTILE in actors
    assert "resumed" in actions
    mine = activities_page(own.store, actor="lead", action=None, count=10, skip=0)
    assert mine[0].action == "resumed"
    trail, page, newer, older = call(blocks, "first", HOSTILE, "everything")
    assert trail.count("<tr>") == 2
    assert "&lt;img" in trail
    assert "<img" not in trail
    assert (page, newer.interactive, older.interactive) == (1, False, False)


def test_names_and_texts_are_shown_as_text(own):
    add_labeler(own.store, HOSTILE, password=None, kind=LabelerKind.MODEL)
    rows = people_rows(own.store, own.config)
    shown = people_html(rows, {HOSTILE: [1, 2]}) + "".join(map(person_html, rows))
    pair = own.filled.pairs[0]
    texts = own.filled.responses
    story = story_html(
        pair_by_id(own.store, pair.id),
        own.filled.prompts[0],
        texts[0],
        texts[1],
        pair_story(own.store, pair.id),
    )
    assert "Nobody judged it yet." in story
    assert "&lt;img" in shown
    for html in (shown, pick(HOSTILE, HOSTILE), code(HOSTILE), table([HOSTILE], [[HOSTILE]])):
        assert "<img" not in html
    assert table(["a"], [[Raw("<b>ours</b>")]]).count("<b>ours</b>") == 1
    assert "\u202e" not in code("\u202eabc")


def test_empty_tables_say_what_is_missing():
    assert "Every pair is for everybody." in assignments_html([])
    assert "No pair is like this." in queue_html([], first=1, pairs=0)
    assert "There are no guidelines yet." in versions_html([], {})
    assert difference_html([], 0) == ""
    config = AnnotateConfig()
    assert settings_html(config, config, {}).count("<tr>") == 1 + len(TITLES)


def test_a_press_without_a_button_picks_nothing():
    for data in (None, {}, [], "x", {"other": 1}):
        assert picked(gr.EventData(None, data)) == ("", "")


def test_the_settings_in_force_are_read_at_each_use(own):
    admin = AdminContext(
        store=own.store,
        config=own.config,
        runner=RoundRunner(own.folder),
        desk=own.desk,
        rule=Retrain(),
    )
    assert admin.now == own.config
    assert attempt(lambda: "") == ""


def test_where_the_next_policy_learns_from_scores_a_reward_model_comes_first(own):
    """grpo and rloo have nothing to learn from before one was trained, and the page says so."""
    plain = build_admin_page(own.store, own.config, RoundRunner(own.folder), own.desk, Retrain())
    assert call(plain, "show", tab="admin_rounds")[1] == ""
    assert not named(plain, "Train reward model").visible

    runner = RoundRunner(
        own.folder, program=[sys.executable, "-c", "pass"], learns_from_scores=True
    )
    page = build_admin_page(own.store, own.config, runner, own.desk, Retrain())
    assert named(page, "Train reward model").visible
    assert "Train a reward model first" in call(page, "show", tab="admin_rounds")[1]
    message, _ = call(page, "press_reward")
    assert "pairloop train --method reward" in message

    run = RunLog(own.store, RunKind.TRAIN, number=1, config={"method": "reward"})
    run.event("kept", progress=1.0, status=RunStatus.DONE)
    assert "the reward model of round 0's pairs" in call(page, "show", tab="admin_rounds")[1]


def named(blocks, words):
    """The button that says so."""
    (button,) = [b for b in blocks.blocks.values() if getattr(b, "value", None) == words]
    return button
