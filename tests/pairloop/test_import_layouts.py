"""The layouts preference data is published and exported in, each with rows of its documented form."""

import json
from collections import Counter

import pytest
from factories import NOW
from imported import CONFIG, bring_in, store_at, votes_table, write_jsonl
from layout_examples import (
    ARENA,
    ARGILLA,
    EXAMPLES,
    HELPSTEER2,
    HELPSTEER3,
    HH,
    LABEL_STUDIO,
    LOG,
    SUMMARIZE,
    ULTRAFEEDBACK,
    talk,
)

from pairloop.imports.gather import IMPORTED_CANDIDATES
from pairloop.imports.layouts import LAYOUTS, layout_of
from pairloop.imports.prompts import read_layout_prompts
from storage.errors import InputError
from storage.judgments import judgments, labelers
from storage.pairs import pairs
from storage.prompts import prompts
from storage.records import IMPORTED_ROUND, LabelerKind, Strength, Verdict


@pytest.fixture
def store(tmp_path):
    with store_at(tmp_path / "work") as opened:
        yield opened


@pytest.fixture
def take(store, tmp_path):
    """Imports rows of a layout and returns what is said of them."""

    def of(layout: str, *rows: object):
        return bring_in(store, layout, write_jsonl(tmp_path / "rows.jsonl", *rows))

    return of


def said(store) -> list[tuple[str, str, str]]:
    """Who chose which text, or what else they said."""
    return sorted(
        (
            r["annotator_id"],
            r["choice"] if r["choice"] not in ("a", "b") else r[f"response_{r['choice']}"],
            r["rationale"],
        )
        for r in votes_table(store)
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_auto_knows_every_layout_and_importing_twice_is_once(store, tmp_path, name):
    file = write_jsonl(tmp_path / "rows.jsonl", *EXAMPLES[name])

    assert layout_of("auto", str(file)).name == name
    bring_in(store, "auto", file)
    before = votes_table(store), pairs(store), prompts(store)
    again = bring_in(store, "auto", file)

    assert (votes_table(store), pairs(store), prompts(store)) == before
    assert before[1]
    assert {p.round for p in before[1]} == {IMPORTED_ROUND}
    assert not +again.stored


def test_an_unclear_file_is_asked_about_with_its_columns(tmp_path):
    both = write_jsonl(tmp_path / "both.jsonl", HH | HELPSTEER3)
    none = write_jsonl(tmp_path / "none.jsonl", {"question": "x", "reply": "y"})
    with pytest.raises(InputError, match=r"fits hh-rlhf and helpsteer3.*Name the layout"):
        layout_of("auto", str(both))
    with pytest.raises(InputError, match="fits no layout; its columns are: question, reply"):
        layout_of("auto", str(none))
    with pytest.raises(InputError, match=r"There is no layout 'hh'\. Known: votes, hh-rlhf"):
        layout_of("hh", str(none))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_prompts_alone_can_be_read_from_every_layout(tmp_path, name):
    file = write_jsonl(tmp_path / "rows.jsonl", *EXAMPLES[name], *EXAMPLES[name])

    found = read_layout_prompts([str(file)], "auto", CONFIG, now=NOW)

    assert len(found) == len({p.id for p in found}) == (2 if name == "arena" else 1)
    assert all(p.messages[-1].role == "user" for p in found)


def test_hh_keeps_the_common_turns_as_prompt_and_records_no_side(store, take):
    """The chosen one is always first in the file: a side recorded from it would be a lie."""
    take("hh-rlhf", HH)

    (prompt,) = prompts(store)
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("user", "Is tea hot?"),
        ("assistant", "Often."),
        ("user", "Why?"),
    ]
    assert said(store) == [("crowd", "Boiled water.", "")]
    assert [j.presentation_id for j in judgments(store)] == [""]


def test_hh_rows_that_part_early_or_end_without_an_answer_are_counted(store, take):
    early = HH | {"rejected": HH["rejected"].replace("Often.", "Never.")}
    longer = HH | {"rejected": HH["rejected"] + "\n\nHuman: And?\n\nAssistant: So."}
    asks = dict.fromkeys(HH, "\n\nHuman: Is tea hot?")
    empty = HH | {"rejected": HH["rejected"].replace("Dunno.", " ")}
    same = HH | {"rejected": HH["chosen"]}
    tally = take("hh-rlhf", HH, early, longer, asks, empty, same)

    assert tally.votes == 1
    assert tally.left_out == {
        "the conversations part before the last answer": 2,
        "the conversation does not end with an answer": 1,
        "an answer is empty": 1,
        "both answers are the same": 1,
    }
    with pytest.raises(InputError, match="line 1: 'chosen' is no transcript"):
        take("hh-rlhf", HH | {"chosen": "Hello."})


def test_all_four_answers_of_ultrafeedback_become_candidates_for_the_labelers(store, take):
    tally = take("ultrafeedback", ULTRAFEEDBACK)

    assert (tally.candidates, tally.votes, tally.stored["response"]) == (1, 0, 4)
    formed = pairs(store)
    assert len(formed) == CONFIG.pairs_per_prompt
    assert {p.strategy for p in formed} == {IMPORTED_CANDIDATES}
    assert judgments(store) == []
    assert prompts(store)[0].tags == ("sharegpt",)


def test_candidates_that_say_the_same_meet_nobody(store, take):
    row = json.loads(json.dumps(ULTRAFEEDBACK))
    for completion in row["completions"][1:]:
        completion["response"] = "A hot drink made by pouring water over leaves. "
    tally = take("ultrafeedback", row)

    assert pairs(store) == []
    assert tally.left_out["candidates: duplicate"] == 3


def test_helpsteer2_rows_pair_by_prompt_wherever_they_stand_and_keep_five_attributes(store, take):
    other = [row | {"prompt": "What is milk?"} for row in HELPSTEER2]
    alone = HELPSTEER2[0] | {"prompt": "What is air?"}
    tally = take("helpsteer2", HELPSTEER2[0], other[0], alone, HELPSTEER2[1], other[1])

    assert tally.left_out == {"no second answer to the prompt": 1}
    assert [choice for _, choice, _ in said(store)] == ["A drink made of leaves."] * 2
    for found in judgments(store):
        better = "first" if found.verdict is Verdict.FIRST else "second"
        assert found.criteria == {
            "helpfulness": better,
            **dict.fromkeys(["correctness", "coherence", "complexity", "verbosity"], "same"),
        }
        assert "helpfulness 2 and 4, correctness 4 and 4" in found.rationale


def test_helpsteer2_equal_scores_are_a_tie_and_marked_turns_a_conversation(store, take):
    prompt = "Hi\n<extra_id_1>Assistant\nHello.\n<extra_id_1>User\nWhat is tea?"
    equal = [row | {"prompt": prompt, "helpfulness": 3} for row in HELPSTEER2]
    take("helpsteer2", *equal)

    assert [j.verdict for j in judgments(store)] == [Verdict.TIE]
    assert [m.role for m in prompts(store)[0].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("preference", "text", "strength"),
    [
        (-3, "A drink.", Strength.STRONG),
        (-1, "A drink.", Strength.SLIGHT),
        (0, "tie", None),
        (2, "A leaf.", Strength.CLEAR),
        (3.0, "A leaf.", Strength.STRONG),
    ],
)
def test_helpsteer3_keeps_strength_and_zero_is_a_tie(store, take, preference, text, strength):
    """A published converter trains on response_1 against itself for every tie."""
    take("helpsteer3", HELPSTEER3 | {"overall_preference": preference})

    assert [choice for _, choice, _ in said(store)] == [text]
    (found,) = judgments(store)
    assert found.strength is strength
    assert found.rationale.startswith("-2: Response 1 is right.")
    assert prompts(store)[0].tags == ("general", "english")


@pytest.mark.parametrize("value", [4, 0.5, None, "much"])
def test_helpsteer3_preferences_outside_the_scale_are_refused(take, value):
    with pytest.raises(InputError, match="line 1: 'overall_preference'"):
        take("helpsteer3", HELPSTEER3 | {"overall_preference": value})


def test_helpsteer3_reasons_that_are_no_list_are_refused(take):
    with pytest.raises(InputError, match="line 1: 'individual_preference' must be a list"):
        take("helpsteer3", HELPSTEER3 | {"individual_preference": 1e400})


def test_summaries_keep_their_worker_their_policies_and_what_they_wrote(store, take):
    news = json.loads(json.dumps(SUMMARIZE))
    news["info"] |= {"post": None, "subreddit": None, "article": "It rained."}
    news["choice"], news["worker"] = 1, "ABC"
    take("summarize", SUMMARIZE, news)

    assert said(store) == [
        ("ABC", "I like coffee.", "short\nconfidence 7"),
        ("XYZ", "Tea was cold.", "short\nconfidence 7"),
    ]
    assert sorted(p.messages[0].content for p in prompts(store)) == [
        "SUBREDDIT: r/tea\n\nTITLE: Cold tea\n\nPOST: I made tea and it was cold.\n\nTL;DR:",
        "TITLE: Cold tea\n\nARTICLE: It rained.\n\nTL;DR:",
    ]
    with pytest.raises(InputError, match="'choice' must be 0 or 1, not 2"):
        take("summarize", SUMMARIZE | {"choice": 2})


def test_argilla_records_give_a_vote_per_person_and_no_suggestion_is_a_vote(store, take):
    take("argilla", ARGILLA)

    assert said(store) == [
        ("u1", "A drink.", "It is drunk."),
        ("u2", "A leaf.", ""),
        ("u3", "tie", ""),
    ]


def test_argilla_rankings_become_votes_on_each_pair_and_drafts_are_left_out(store, take):
    fields = {f"reply-{n}": f"Answer {n}." for n in (1, 2, 3)} | {"prompt": "What is tea?"}
    ranked = [{"rank": 1, "value": "reply-2"}, {"rank": 2, "value": "reply-1"}]
    tied = [*ranked, {"rank": 2, "value": "reply-3"}]
    record = {
        "fields": fields,
        "responses": [
            {"user_id": "u1", "status": "submitted", "values": {"order": {"value": tied}}},
            {"user_id": "u2", "status": "discarded", "values": {"order": {"value": tied}}},
        ],
    }
    second = {
        "fields": fields,
        "responses": {"order": [{"user_id": "u3", "value": ["reply-3", "reply-1", "reply-2"]}]},
    }
    tally = take("argilla", record, second)

    assert tally.left_out == {"draft or discarded": 1}
    assert Counter((who, choice) for who, choice, _ in said(store)) == {
        ("u1", "Answer 2."): 2,
        ("u1", "tie"): 1,
        ("u3", "Answer 3."): 2,
        ("u3", "Answer 1."): 1,
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fields": {"prompt": "x", "text": "y"}}, "can't tell the answers"),
        ({"responses": {"score": [{"value": 3, "user_id": "u"}]}}, "no question compares"),
        ({"responses": {"preference": [{"value": "response_1"}]}}, "needs 'user_id'"),
        ({"responses": 3}, "needs 'responses' as a list of objects"),
        (
            {"responses": {q: [{"value": "response_1", "user_id": "u"}] for q in "xy"}},
            "several questions compare answers: x, y",
        ),
    ],
)
def test_argilla_records_that_are_not_understood_are_refused(take, change, says):
    with pytest.raises(InputError, match=f"line 1: .*{says}"):
        take("argilla", ARGILLA | change)


def test_label_studio_annotations_are_votes_and_cancelled_ones_are_counted(store, take):
    tally = take("labelstudio", LABEL_STUDIO)

    assert said(store) == [("7", "A drink.", "Right."), ("b@x.org", "A leaf.", "")]
    assert tally.left_out == {"cancelled or skipped": 1, "nothing was chosen": 1}
    seconds = {j.labeler: j.seconds for j in judgments(store)}
    assert seconds == {"imported:labelstudio:7": 31.2, "imported:labelstudio:b@x.org": 0.0}


def test_label_studio_left_is_what_the_tag_names_first(store, take):
    row = json.loads(json.dumps(LABEL_STUDIO))
    row["annotations"] = row["annotations"][:1]
    row["annotations"][0]["result"][0]["to_name"] = "answer2,answer1"
    take("labelstudio", row)

    assert said(store) == [("7", "A leaf.", "Right.")]


def test_arena_battles_and_server_logs_are_votes_with_their_models(store, take):
    chat = {"type": "chat", "states": [], "tstamp": 1.0}
    tally = take("arena", ARENA, LOG, chat)

    assert said(store) == [("1.2.3.4", "both_bad", ""), ("arena_user_3", "A drink.", "")]
    assert tally.left_out == {"not a vote": 1}
    assert {(r["model_a"], r["model_b"]) for r in votes_table(store)} == {
        ("vicuna-13b", "koala-13b")
    }


def test_arena_votes_on_a_turn_are_about_that_turn(store, take):
    """MT-bench rows hold both turns; where the first answers differ, the second have no common prompt."""
    two = ARENA | {
        "conversation_a": talk("What is tea?", "A leaf.", "Sure?", "No."),
        "conversation_b": talk("What is tea?", "A drink.", "Sure?", "Yes."),
    }
    tally = take("arena", two, two | {"turn": 2}, two | {"judge": "gpt4_pair", "winner": "tie"})

    assert said(store) == [("arena_user_3", "A drink.", ""), ("gpt4_pair", "tie", "")]
    assert tally.left_out == {"the conversations part before the last answer": 1}
    kinds = {name: who.kind for name, who in labelers(store).items()}
    assert kinds["imported:arena:gpt4_pair"] is LabelerKind.MODEL
    with pytest.raises(InputError, match="needs 'conversation_a' and 'conversation_b'"):
        take("arena", ARENA | {"conversation_a": None})
