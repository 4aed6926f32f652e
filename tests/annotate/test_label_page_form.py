"""What goes with a decision: reasons to skip, flags, questions, edits, qualification."""

import pytest
from browsing import READY, Page, wait_for
from factories import fill_store

from annotate.gold import make_gold
from storage.records import Verdict
from storage.team_records import GoldUse

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUESTIONS = [
    {"name": "correct", "question": "Which one is more correct?"},
    {"name": "style", "question": "Which one reads better?"},
]


def test_skip_asks_why_and_one_more_key_answers(browser, labeling):
    server = labeling()
    ann = Page(browser, server)
    card = ann.prompt()
    ann.page.wait_for_timeout(200)
    ann.key("s")
    assert "I can't read this language" in ann.text('[data-menu="skip"]')
    assert ann.page.evaluate("document.activeElement.innerText") == "Enter\nNo particular reason"
    ann.key("Escape")
    assert not ann.page.is_visible('[data-menu="skip"]')
    assert ann.prompt() == card
    ann.press("s", "3")
    ann.press("s", "Enter")
    ann.press("s", "ArrowDown", "ArrowDown", "Enter")
    ann.press("s", "s")
    ann.page.wait_for_timeout(200)
    ann.key("s")
    ann.page.click("text=Disturbing content")
    ann.wait_saved()
    wait_for(lambda: len(server.judged()) == 5)
    rows = server.judged()
    assert [str(row.verdict) for row in rows] == ["skip"] * 5
    assert [row.criteria.get("skip_reason", "") for row in rows] == [
        "I can't read this language",
        "",
        "The prompt makes no sense",
        "",
        "Disturbing content",
    ]
    ann.close()


def test_flags_go_with_the_decision_and_not_with_the_next(browser, labeling):
    server = labeling()
    ann = Page(browser, server)
    ann.page.wait_for_timeout(200)
    ann.key("f", "1", "3", "3", "2", "f")
    assert ann.text('[data-action="flag"] .pl-badge') == "2"
    ann.press("1")
    assert not ann.page.is_visible('[data-action="flag"] .pl-badge')
    ann.press("1")
    ann.wait_saved()
    assert [sorted(row.flags) for row in server.judged()] == [["unclear_prompt", "unsafe"], []]
    ann.close()


def test_the_questions_are_answered_by_arrows_and_sent_by_enter(browser, labeling):
    server = labeling(criteria=QUESTIONS, reasons=("wrong facts", "too long"), ask_acceptable=True)
    ann = Page(browser, server)
    card = ann.prompt()
    ann.page.wait_for_timeout(200)
    ann.key("1")
    assert ann.text(".pl-extra-head b") == "Left is much better"
    assert ann.prompt() == card
    ann.key("ArrowLeft", "ArrowDown", "Space")  # left, the same, the first quick reason
    ann.key("6")  # another decision key changes the decision and keeps the answers
    assert ann.text(".pl-extra-head b") == "Right is better"
    ann.page.click(".pl-acceptable input[value=false]")
    ann.press("Enter")
    assert not ann.page.is_visible(".pl-extra")
    ann.page.wait_for_timeout(200)
    ann.key("4")
    assert not ann.page.is_visible(".pl-acceptable")  # there is no better one
    ann.key("Enter")
    assert "2 questions are open" in ann.text(".pl-open-questions")
    ann.press("Enter")
    ann.page.wait_for_timeout(200)
    ann.key("2", "Escape")
    assert not ann.page.is_visible(".pl-extra")
    ann.wait_saved()
    rows = server.judged()
    assert [row.rationale for row in rows] == ["wrong facts", ""]
    assert rows[0].criteria["acceptable"] == "no"
    assert set(rows[0].criteria) >= {"correct", "style"}
    assert rows[0].criteria["style"] == "same"
    assert rows[0].strength == "clear"
    assert str(rows[1].verdict) == "tie"
    ann.close()


def test_an_edit_of_the_better_answer_is_sent_only_if_it_changed(browser, labeling):
    server = labeling(allow_edit=True)
    ann = Page(browser, server)
    ann.page.wait_for_timeout(200)
    ann.key("2")
    ann.page.click(".pl-edit summary")
    shown = ann.page.input_value("#pl-edit-text")
    assert shown.startswith(("It is **", "Well, adding"))
    ann.page.fill("#pl-edit-text", shown + " Better.")
    ann.key("Enter")  # a new line in the field, no decision
    assert ann.page.is_visible(".pl-extra")
    ann.press("Control+Enter")
    ann.page.wait_for_timeout(200)
    ann.key("2")
    ann.page.click(".pl-edit summary")
    ann.press("Control+Enter")
    wait_for(lambda: len(server.judged()) == 2)
    edits = [row.edited_text for row in server.judged()]
    assert edits[0].startswith(shown + " Better.")
    assert edits[1] == ""
    ann.close()


def qualifying(store, *, pairs):
    filled = fill_store(store, pairs=pairs)
    for pair in filled.pairs[:2]:
        make_gold(
            store,
            pair.id,
            verdict=Verdict.TIE,
            use=GoldUse.QUALIFICATION,
            explanation="Both say the **same** <b>thing</b>.",
            author="lead",
        )


def test_a_qualification_pair_says_at_once_what_was_expected(browser, labeling):
    server = labeling(fill=qualifying, pairs=4, qualification_pass=0.5)
    ann = Page(browser, server)
    first = ann.prompt()
    assert ann.text(".pl-banner").startswith("Qualification pair")
    ann.page.wait_for_timeout(200)
    ann.key("4")
    dialog = '[data-dialog="feedback"]'
    ann.page.wait_for_selector(f"{dialog}[open]")
    assert ann.text(f"{dialog} h2") == "That's what was expected"
    assert ann.text(".pl-explained") == "Both say the same <b>thing</b>."
    assert ann.prompt() == first  # the pair stays while one reads
    ann.key("1")
    assert len(server.judged()) == 1
    ann.key("Enter")
    wait_for(lambda: ann.prompt() != first)
    ann.page.wait_for_timeout(200)
    ann.key("1")
    ann.page.wait_for_selector(f"{dialog}[open]")
    assert ann.text(f"{dialog} h2") == "Something else was expected"
    assert ann.text(".pl-expected") == "Expected: Tie: equally good."
    ann.key("Enter")
    ann.page.wait_for_selector(READY)
    wait_for(lambda: not ann.page.is_visible(".pl-banner"))
    ann.wait_saved()  # and no longer "Checking"
    assert [str(row.verdict) == "tie" for row in server.judged()] == [True, False]
    ann.close()


def test_who_does_not_qualify_is_told_so(browser, labeling):
    server = labeling(fill=qualifying, pairs=4, qualification_pass=1.0)
    ann = Page(browser, server)
    for _ in range(2):
        ann.page.wait_for_timeout(250)
        ann.key("1")
        ann.page.wait_for_selector('[data-dialog="feedback"][open]')
        ann.key("Enter")
    ann.page.wait_for_selector("text=Thank you for taking part")
    assert not ann.page.is_visible(READY)
    assert len(server.judged()) == 2  # and no other pair came
    ann.close()
