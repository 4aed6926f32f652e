"""Votes from a table: every vote arrives as it was given, or is named and counted."""

import csv
import json
from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import PASSWORD, fill_store
from hypothesis import given, settings
from hypothesis import strategies as st
from imported import bring_in, store_at, votes_table, write_jsonl

from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from annotate.queue import PairQueue
from storage.errors import InputError
from storage.imports import imported_summary
from storage.judgments import judgment_events, judgments, labelers
from storage.pairs import consensus_by_pair, pairs, pairs_of_round
from storage.policies import policies
from storage.prompts import prompts
from storage.records import IMPORTED_ROUND, IMPORTED_VOTES, LabelerKind, Purpose, Strength, Verdict
from storage.responses import responses_by_id
from storage.summaries import table_counts


def vote(choice: str = "a", who: object = "w1", **more: object) -> dict[str, object]:
    return {
        "prompt": "What is tea?",
        "response_a": "A drink.",
        "response_b": "A leaf.",
        "annotator_id": who,
        "choice": choice,
    } | more


@pytest.fixture
def store(tmp_path):
    with store_at(tmp_path / "work") as opened:
        yield opened


def verdicts_by_text(store) -> dict[tuple[str, str], str | None]:
    """Who said what: the text preferred, or the tie, by labeler."""
    known = {p.id: p for p in pairs(store)}
    found = {}
    for j in judgments(store):
        pair = known[j.pair_id]
        texts = responses_by_id(store, [pair.first, pair.second])
        match j.verdict:
            case Verdict.FIRST:
                said = texts[pair.first].text
            case Verdict.SECOND:
                said = texts[pair.second].text
            case other:
                said = other.value
        found[j.labeler, pair.id] = said
    return found


def test_a_choice_becomes_a_preference_for_that_answer_whichever_id_comes_first(store, tmp_path):
    rows = [vote("a", f"w{i}", response_a=f"left {i}", response_b=f"right {i}") for i in range(20)]
    rows += [vote("b", f"w{i}", response_a=f"x {i}", response_b=f"y {i}") for i in range(20)]

    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", *rows))

    said = Counter(text.split()[0] for text in verdicts_by_text(store).values())
    assert said == {"left": 20, "y": 20}
    assert len({j.verdict for j in judgments(store)}) == 2, "both orders of ids occur"


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("tie", Verdict.TIE),
        ("Tie", Verdict.TIE),
        ("both_bad", Verdict.BOTH_BAD),
        ("bothbad", Verdict.BOTH_BAD),
        ("tie (bothbad)", Verdict.BOTH_BAD),
    ],
)
def test_a_tie_never_becomes_a_preference(store, tmp_path, word, verdict):
    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", vote(word, strength="strong")))

    (found,) = judgments(store)
    assert (found.verdict, found.strength) == (verdict, None)
    (consensus,) = consensus_by_pair(store).values()
    assert consensus.verdict is verdict


def test_seconds_since_1970_are_a_time_in_a_csv_too(store, tmp_path):
    """A cell of a CSV is text, whatever it holds."""
    file = tmp_path / "v.csv"
    file.write_text(
        "prompt,response_a,response_b,annotator_id,choice,created_at\n"
        "Why?,A,B,1,a,1700000000\nWhy?,A,B,2,a,1700000000.5\n",
        encoding="utf-8",
    )
    bring_in(store, "votes", file)
    at = sorted(found.created_at for found in judgments(store))
    assert at == [datetime(2023, 11, 14, 22, 13, 20), datetime(2023, 11, 14, 22, 13, 20, 500_000)]


def test_everything_known_about_a_vote_is_kept(store, tmp_path):
    row = vote(
        "b",
        17,
        strength="clear",
        seconds=12.5,
        rationale="shorter",
        created_at="2026-01-02T03:04:05+01:00",
        model_a="m1",
        model_b="m2",
        source="a study",
        tags="kitchen, tea",
        system="Be brief.",
    )
    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", row), people="study")

    (found,) = judgments(store)
    assert (found.strength, found.seconds, found.rationale) == (Strength.CLEAR, 12.5, "shorter")
    assert found.created_at == datetime(2026, 1, 2, 2, 4, 5)
    assert found.labeler == "imported:study:17"
    (prompt,) = prompts(store)
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("system", "Be brief."),
        ("user", "What is tea?"),
    ]
    assert (prompt.source, prompt.tags) == ("a study", ("kitchen", "tea"))
    (pair,) = pairs(store)
    assert (pair.round, pair.strategy) == (IMPORTED_ROUND, IMPORTED_VOTES)
    assert policies(store) == [], "imported models are no policies of the loop"


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    rows = [
        {k: str(v) for k, v in vote(c, f"w{i}", response_b=f'"leaf", {i}\n\n*so*').items()}
        for i, c in enumerate(["a", "b", "tie"])
    ]
    with (tmp_path / "v.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "v.parquet")
    (tmp_path / "v.json").write_text(json.dumps(rows), encoding="utf-8")
    write_jsonl(tmp_path / "v.jsonl", *rows)
    found = []
    for kind in ("csv", "parquet", "json", "jsonl"):
        with store_at(tmp_path / kind) as store:
            bring_in(store, "votes", tmp_path / f"v.{kind}")
            found.append(sorted((j.id, j.pair_id, j.verdict) for j in judgments(store)))
    assert found == [found[0]] * 4
    assert len(found[0]) == 3


def test_importing_again_changes_nothing(store, tmp_path):
    file = write_jsonl(tmp_path / "v.jsonl", *(vote(c, f"w{i}") for i, c in enumerate("abba")))

    bring_in(store, "votes", file)
    before = table_counts(store), judgment_events(store), consensus_by_pair(store)
    again = bring_in(store, "votes", file)

    assert (table_counts(store), judgment_events(store), consensus_by_pair(store)) == before
    assert again.already_there == 4
    assert not +again.stored


def test_a_second_vote_by_the_same_person_is_a_changed_mind_and_a_repeated_one_is_nothing(
    store, tmp_path
):
    """In the order of the file, also where a row has the two answers the other way round."""
    swapped = vote("b", response_a="A leaf.", response_b="A drink.")  # still the drink
    file = write_jsonl(
        tmp_path / "v.jsonl", vote("a"), vote("a"), swapped, vote("b"), vote("a"), vote("tie", "w2")
    )
    tally = bring_in(store, "votes", file)

    assert (tally.votes, tally.duplicates, tally.changed_minds) == (6, 2, 2)
    assert len(pairs(store)) == 1
    assert set(verdicts_by_text(store).values()) == {"A drink.", "tie"}
    revisions = [j.revision for j in judgment_events(store) if j.labeler.endswith("w1")]
    assert sorted(revisions) == [0, 1, 2]


def test_a_later_file_can_change_a_mind_and_the_earlier_one_again_does_not_change_it_back(
    store, tmp_path
):
    first = write_jsonl(tmp_path / "1.jsonl", vote("a"))
    second = write_jsonl(tmp_path / "2.jsonl", vote("b"))
    for file in (first, second, first, second):
        bring_in(store, "votes", file)

    assert list(verdicts_by_text(store).values()) == ["A leaf."]
    assert len(judgment_events(store)) == 2
    (consensus,) = consensus_by_pair(store).values()
    assert consensus.votes == 1


def test_equal_answers_are_no_pair_and_those_of_two_models_count_for_agreement_only(
    store, tmp_path
):
    same = {"response_a": "Tea.", "response_b": "Tea."}
    tally = bring_in(
        store,
        "votes",
        write_jsonl(
            tmp_path / "v.jsonl", vote("a", **same), vote("a", **same, model_a="x", model_b="y")
        ),
    )
    assert tally.left_out == {"both answers are the same": 1}
    assert (tally.votes, tally.identical, len(pairs(store))) == (1, 1, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"choice": "better"}, "'choice' is 'better'; known: a, b, tie, both_bad"),
        ({"choice": "0"}, "'choice' is '0'"),
        ({"choice": None}, "needs choice; it has"),
        ({"response_a": None}, "needs response_a; it has"),
        ({"response_b": 3}, "'response_b' must be text, not int"),
        ({"annotator_id": " "}, "'annotator_id' is empty"),
        ({"annotator_id": "a\nb"}, "'annotator_id' is no name"),
        ({"prompt": None}, "needs either 'prompt'"),
        ({"prompt": " "}, "has no text"),
        ({"messages": "[{"}, "'messages' is not JSON"),
        (
            {"messages": [{"role": "assistant", "content": "Hi"}]},
            "the last turn must be the user's",
        ),
        ({"seconds": -1}, "'seconds' is less than nothing"),
        ({"seconds": "soon"}, "'seconds' is no number"),
        ({"strength": "very"}, "'strength' is 'very'"),
        ({"created_at": "yesterday"}, "'created_at' is no time"),
        ({"annotator_kind": "robot"}, "'annotator_kind' is 'robot'"),
        ({"response_a": "\ud83e"}, "half of a surrogate pair"),
        ({"tags": [1]}, "'tags' must be a list"),
    ],
    ids=str,
)
def test_a_row_that_can_not_be_used_is_named_and_nothing_is_stored(store, tmp_path, change, says):
    good, bad = vote("a", "w0"), {k: v for k, v in (vote() | change).items() if v is not None}
    file = write_jsonl(tmp_path / "v.jsonl", good, bad, good)

    with pytest.raises(InputError, match="1 row can't be used") as caught:
        bring_in(store, "votes", file)

    assert f"{file}, line 2: " in str(caught.value)
    assert says in str(caught.value)
    assert set(table_counts(store).values()) == {0}
    assert not labelers(store)


def test_every_bad_row_of_every_file_is_in_one_message(store, tmp_path):
    one = write_jsonl(tmp_path / "1.jsonl", vote(), "{", vote("?"))
    two = write_jsonl(tmp_path / "2.jsonl", *[vote("?")] * 80)
    (tmp_path / "3.csv").write_text("prompt,response_a\n", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        bring_in(store, "votes", one, two, tmp_path / "3.csv")

    text = str(caught.value)
    assert text.startswith("83 rows")
    assert f"{one}, line 2: not JSON" in text
    assert f"{two}, line 1: " in text
    assert f"{two}, line 3: " in text
    assert f"{two}, line 4: " not in text
    assert f"{tmp_path / '3.csv'}: " in text
    assert "and 77 more" in text


def test_models_vote_apart_from_people(store, tmp_path):
    rows = [vote("a", "gpt-4"), vote("b", "ann"), vote("a", "x", annotator_kind="model")]
    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", *rows))

    kinds = {name.split(":")[2]: who.kind for name, who in labelers(store).items()}
    assert kinds == {
        "gpt-4": LabelerKind.MODEL,
        "ann": LabelerKind.HUMAN,
        "x": LabelerKind.MODEL,
    }
    (consensus,) = consensus_by_pair(store).values()
    assert consensus.votes == 1
    both = [vote("a", "ann"), vote("b", "ann", annotator_kind="model")]
    file = write_jsonl(tmp_path / "w.jsonl", *both)
    with pytest.raises(InputError, match="'ann' is a person and a model"):
        bring_in(store, "votes", file)


def test_imported_people_can_not_sign_in_and_are_never_taken_for_an_account(store, tmp_path):
    file = write_jsonl(tmp_path / "v.jsonl", vote("a", "ann"))
    add_labeler(store, "ann", password=PASSWORD)
    bring_in(store, "votes", file)
    (imported,) = (p for name, p in labelers(store).items() if name != "ann")
    assert not imported.active
    assert imported.password_hash == ""

    with pytest.raises(InputError, match="people whose votes were imported"):
        add_labeler(store, "imported:study:ann", password=PASSWORD)


def test_a_pair_keeps_the_order_of_the_file_whichever_way_it_comes_again(store, tmp_path):
    """Nominal alpha depends on which answer is called first; the first row met decides."""
    first, again = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    rows = [vote("a", f"w{i}", response_a=f"x{i}", response_b=f"y{i}") for i in range(20)]
    bring_in(store, "votes", write_jsonl(first, *rows))
    assert {j.verdict for j in judgments(store)} == {Verdict.FIRST}
    swapped = [vote("a", "late", response_a=f"y{i}", response_b=f"x{i}") for i in range(20)]
    bring_in(store, "votes", write_jsonl(again, *swapped))
    late = [j for j in judgments(store) if j.labeler.endswith("late")]
    assert {j.verdict for j in late} == {Verdict.SECOND}
    assert len(pairs(store)) == 20


def test_imported_pairs_are_neither_handed_out_nor_trained_on(store, tmp_path):
    fill_store(store, pairs=3)
    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", vote("a"), vote("b", "w2")))

    queue = PairQueue(AnnotateConfig())
    queue.add(pairs(store))

    assert [p.strategy for p in pairs(store) if queue.pair(p.id)] == ["random"] * 3
    assert {p.round for p in pairs_of_round(store, 0, purpose=Purpose.TRAIN)} == {0}
    assert imported_summary(store).pairs == 1


def test_the_quick_consensus_is_the_same_as_that_of_a_whole_pass(store, tmp_path):
    rows = [
        vote(choice, who, response_b=f"leaf {n}")
        for n, said in enumerate(["aab", "ab", "ttb", "xxa", "a", "tx"])
        for who, choice in zip(
            ["A", "B", "gpt-4"],
            ({"t": "tie", "x": "both_bad"}.get(c, c) for c in said),
            strict=False,
        )
    ]
    bring_in(store, "votes", write_jsonl(tmp_path / "v.jsonl", *rows))

    assert len(consensus_by_pair(store)) == 6
    assert settle(store, AnnotateConfig()) == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": TEXT.filter(str.strip),
            "response_a": TEXT,
            "response_b": TEXT,
            "annotator_id": st.sampled_from(["w1", "w2", "w3"]),
            "choice": st.sampled_from(["a", "b", "tie", "both_bad"]),
            "model_a": st.just("m1"),
            "model_b": st.sampled_from(["m1", "m2"]),
            "seconds": st.floats(0, 1000),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25)
@given(ROWS)
def test_votes_written_out_and_imported_again_are_the_same_votes(tmp_path_factory, rows):
    """The round trip catches answers at the wrong prompt, inverted labels and ties lost."""
    folder = tmp_path_factory.mktemp("round")
    with (
        store_at(folder / "one") as one,
        store_at(folder / "two") as two,
        one.connected(),
        two.connected(),
    ):
        tally = bring_in(one, "votes", write_jsonl(folder / "v.jsonl", *rows))
        if not tally.votes:
            return
        written = votes_table(one)
        bring_in(two, "votes", write_jsonl(folder / "w.jsonl", *written))

        assert sorted(map(str, votes_table(two))) == sorted(map(str, written))
        pairs_in_file = [r for r in rows if _side(r, "a") != _side(r, "b")]
        assert {_key(r): _said(r) for r in written} == {_key(r): _said(r) for r in pairs_in_file}


def _side(row: dict, side: str) -> tuple[str, str]:
    return row[f"response_{side}"], row[f"model_{side}"]


def _key(row: dict) -> tuple:
    """Who judged what, whichever way round."""
    prompt = row["prompt"] if "prompt" in row else row["messages"][0]["content"]
    return row["annotator_id"], prompt, *sorted([_side(row, "a"), _side(row, "b")])


def _said(row: dict) -> object:
    return _side(row, row["choice"]) if row["choice"] in ("a", "b") else row["choice"]
