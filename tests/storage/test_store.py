"""The store: what was appended is found as it was, in this process and in another that serves it."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints
from uuid import uuid4

import duckdb
import pytest
from factories import (
    NOW,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from storage import adjudication_records, records, run_records, team_records
from storage.codec import Record
from storage.errors import StoreError, WorkspaceError
from storage.records import Message, Verdict
from storage.responses import responses_by_id, responses_of
from storage.sql_files import queries
from storage.store import Store

ROOT = Path(__file__).parents[2]
# Holds and serves the file until its input ends.
HOLDER = """
import sys
from pathlib import Path
from storage.store import Store
with Store(Path(sys.argv[1]), hold=True):
    print("ready", flush=True)
    sys.stdin.read()
"""

# How to find a record again, and the field that tells it from all others.
READ: Mapping[type, tuple[str, str, str]] = {
    records.Prompt: ("prompts_by_ids", "id", "ids"),
    records.Policy: ("policies_all", "id", ""),
    records.Response: ("responses_of_policy", "policy_id", "policy_id"),
    records.Pair: ("pairs_all", "id", ""),
    records.Presentation: ("presentation_by_id", "id", "id"),
    records.Judgment: ("judgment_events_all", "id", ""),
    records.Labeler: ("labelers_all", "name", ""),
    records.Session: ("session_by_token", "token_hash", "token_hash"),
    records.Consensus: ("consensus_all", "pair_id", ""),
    records.Triplet: ("triplets_of_run", "run_id", "run_id"),
    run_records.Run: ("runs_with_state", "id", ""),
    run_records.RunEvent: ("events_of_run", "run_id", "run_id"),
    team_records.Gold: ("gold_all", "pair_id", ""),
    team_records.LabelerSettings: ("labeler_settings_all", "name", ""),
    team_records.Assignment: ("assignments_all", "id", ""),
    team_records.Setting: ("settings_all", "key", ""),
    team_records.Guideline: ("guidelines_all", "id", ""),
    team_records.Invitation: ("invitations_all", "token_hash", ""),
    team_records.ApiToken: ("api_tokens_all", "token_hash", ""),
    team_records.Activity: ("activities_newest", "id", "count"),
    adjudication_records.OwnView: ("own_views_all", "id", ""),
    adjudication_records.Adjudication: ("adjudication_events_all", "id", ""),
    adjudication_records.DiscussionNote: ("discussion_all", "pair_id", ""),
}
texts = st.text() | st.sampled_from(
    [
        "",
        "\0",
        "a\0b",
        'it\'s "so" \\n `x` $name $$',
        "🦆👩‍👩‍👧 é e\u0301",
        "\u202eשלום\u202c مرحبا",
        "\u2028\r\n\t",
    ]
)
words = st.lists(texts, max_size=3).map(tuple)


def values_of(hint: object) -> st.SearchStrategy:
    """Anything a field of this type may hold."""
    if get_origin(hint) is UnionType:
        # What may be missing is never empty: an empty list is how older versions said "missing".
        return st.one_of(*(values_of(kind).filter(lambda v: v != ()) for kind in get_args(hint)))
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if item is int:
            return st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple)
        if item is float:
            numbers = st.floats(allow_nan=False, width=32)
            return st.lists(numbers, max_size=4).map(tuple)
        if item is Message:
            turn = st.builds(lambda r, c: Message(role=r, content=c), texts, texts)
            return st.lists(turn, min_size=1, max_size=3).map(tuple)
        return words
    if get_origin(hint) is not None:  # Mapping
        value = st.integers() if get_args(hint)[1] is object else texts
        numbers = st.floats(allow_nan=False, allow_infinity=False)
        return st.dictionaries(texts, numbers if get_args(hint)[1] is float else value, max_size=3)
    plain = {
        type(None): st.none(),
        str: texts,
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        datetime: st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),
    }
    return plain[hint] if hint in plain else st.sampled_from(hint)


def build(kind: type, data: st.DataObject) -> Record:
    hints = get_type_hints(kind)
    row = {f.name: data.draw(values_of(hints[f.name]), label=f.name) for f in fields(kind)}
    # Own keys, so that no row takes another's place, and numbers that can be counted on from.
    row |= dict.fromkeys({READ[kind][1], "id", "pair_id"} & row.keys(), uuid4().hex)
    for counted in {"round", "revision"} & row.keys():
        row[counted] = data.draw(st.integers(-1, 10**6), label=counted)
    try:
        return kind(**row)
    except ValueError:  # the record's own rules, tested in test_records.py
        assume(condition=False)
        raise


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[Store]:
    """A store of this process, open all the time."""
    store = Store(tmp_path_factory.mktemp("own") / "pairloop.duckdb")
    with store.connected():
        yield store


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Store]:
    """A store that another process holds and serves."""
    database = tmp_path_factory.mktemp("served") / "pairloop.duckdb"
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline().strip() == "ready"
        yield Store(database)
        holder.stdin.close()


@pytest.fixture(scope="module")
def distributed(lakes) -> Store:
    """A store with its catalog in PostgreSQL."""
    return Store(lakes.new())


@pytest.fixture(params=["own", pytest.param("distributed", marks=pytest.mark.postgres)])
def empty(request, tmp_path) -> Store:
    """A store with nothing in it."""
    if request.param == "own":
        return Store(tmp_path / "pairloop.duckdb")
    return Store(request.getfixturevalue("lakes").new())


PLACES = ["own", "served", pytest.param("distributed", marks=pytest.mark.postgres)]
BESIDE = PLACES[1:]  # other processes can reach them at any time


def found(store: Store, row: Record) -> list[Record]:
    """The records stored under this one's key."""
    query, key, parameter = READ[type(row)]
    value = getattr(row, key)
    given = {"ids": [value], "count": 10**6}
    params = {parameter: given.get(parameter, value)} if parameter else {}
    return [r for r in store.read(type(row), query, **params) if getattr(r, key) == value]


ANY_DATA = settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", READ, ids=lambda k: k.__name__)
@ANY_DATA
@given(data=st.data())
def test_every_kind_of_record_comes_back_as_it_was(own, kind, data):
    row = build(kind, data)
    own.append([row])
    assert found(own, row) == [row]


@pytest.mark.parametrize("where", BESIDE)
@pytest.mark.parametrize("kind", READ, ids=lambda k: k.__name__)
def test_every_kind_of_record_comes_back_from_a_store_of_many_processes(request, where, kind):
    store = request.getfixturevalue(where)

    @settings(ANY_DATA, max_examples=2)
    @given(data=st.data())
    def comes_back(data):
        row = build(kind, data)
        store.append([row])
        assert found(store, row) == [row]

    comes_back()


# Parameters that match no row, by name; those of other names are texts.
OF_NOTHING = {
    **{
        key: ["nobody"]
        for key in [
            *["ids", "pair_ids", "policy_ids", "prompt_ids"],
            *["adjudicated", "labelers", "purposes", "splits", "tags"],
        ]
    },
    **dict.fromkeys(["after", "below", "count", "skip", "part", "max_tokens"], 0),
    **dict.fromkeys(["parts"], 10),
    **dict.fromkeys(["today", "since"], datetime(2300, 1, 1)),
    **dict.fromkeys(["fast_seconds", "fast_chars", "overlap_share"], 1.0),
    **dict.fromkeys(["votes_per_pair", "evaluation_votes"], 1),
    **dict.fromkeys(["every_vote", "tokens"], False),
    "round": -5,
}
# Those that count, or list everybody, whatever they are asked about.
ABOUT_ALL = {
    "decided_since",
    "imported_summary",
    "judged_texts",
    "last_of_account",
    "mean_answer_tokens",
    "pairs_by_standing",
    "pairs_of_round_count",
    "people_tallies",
    "tallies",
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", queries())
def test_every_named_query_runs_on_what_is_not_there(request, where, name):
    store = request.getfixturevalue(where)
    parameters = set(re.findall(r"\$(\w+)", queries()[name]))
    table = store.table(name, **{p: OF_NOTHING.get(p, "nobody") for p in parameters})
    answers = not parameters or name.startswith("unknown_") or name in ABOUT_ALL
    assert table.num_rows == 0 or answers


def test_an_empty_append_does_nothing(tmp_path):
    Store(tmp_path / "pairloop.duckdb").append([])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", PLACES)
def test_records_of_two_kinds_in_one_append_are_refused_and_none_is_stored(request, where):
    store = request.getfixturevalue(where)
    prompt, policy = make_prompt("mixed"), make_policy()
    with pytest.raises(TypeError, match=r"one kind of record at a time.*Policy.*Prompt"):
        store.append([prompt, policy])
    assert found(store, prompt) == []


@pytest.mark.parametrize("where", PLACES)
def test_a_row_that_cannot_be_stored_keeps_the_whole_append_out(request, where):
    store = request.getfixturevalue(where)
    good, bad = make_prompt("good one"), make_prompt("half a pair: \ud800")
    with pytest.raises(ValueError):
        store.append([good, bad])
    assert found(store, good) == []


def test_the_same_content_stored_twice_shows_once_as_it_was_first(empty):
    store = empty
    first = make_prompt("What is tea?", source="first.jsonl")
    again = make_prompt("What is tea?", source="again.jsonl", created_at=NOW + timedelta(seconds=1))
    for row in (first, again, first):
        store.append([row])
    assert store.read(records.Prompt, "prompts_all") == [first]


def test_the_latest_revision_counts_and_a_withdrawn_judgment_disappears(empty):
    store = empty
    prompt, policy = make_prompt(), make_policy()
    pair = make_pair(*(make_response(prompt, policy, "x", index=i) for i in range(2)))
    first = make_judgment(pair, "ann", Verdict.FIRST)
    changed = make_judgment(pair, "ann", Verdict.TIE, revision=1)
    others = make_judgment(pair, "bob", Verdict.SECOND)
    undone = make_judgment(pair, "ann", Verdict.TIE, revision=2, withdrawn=True)
    anew = make_judgment(pair, "ann", Verdict.SECOND, revision=3)

    def present() -> dict[str, records.Judgment]:
        return {j.labeler: j for j in store.read(records.Judgment, "judgments_present")}

    store.append([changed, others, first])  # whatever order they arrive in
    assert present() == {"ann": changed, "bob": others}
    store.append([undone])
    assert present() == {"bob": others}
    store.append([anew])
    assert present() == {"ann": anew, "bob": others}
    assert len(store.query("judgment_events_all")) == 5


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_was(tmp_path):
    database = tmp_path / "pairloop.duckdb"
    Store(database).append([make_prompt()])
    with duckdb.connect(str(database)) as connection:
        connection.execute("insert into schema_versions values (999, now()::timestamp)")
    before = database.read_bytes()
    with pytest.raises(WorkspaceError, match=r"newer pairloop \(schema 999.*Nothing was changed"):
        Store(database).query("prompts_all")
    with pytest.raises(WorkspaceError):
        Store(database, hold=True)
    assert database.read_bytes() == before
    assert list(tmp_path.iterdir()) == [database]


@pytest.mark.parametrize("content", [b"dear diary, " * 1000, b"\0" * 8192])
def test_a_file_that_is_no_database_is_an_error_that_says_what_to_do(tmp_path, content):
    database = tmp_path / "pairloop.duckdb"
    database.write_bytes(content)
    with pytest.raises(StoreError, match=r"pairloop.duckdb can't be opened.*(copy|away)"):
        Store(database).query("prompts_all")
    assert database.read_bytes() == content


def test_answers_by_id_bring_token_ids_only_where_they_are_asked_for(empty):
    whole = make_response(
        make_prompt("One?"), make_policy(), "One.", logprobs=(-0.5, -0.25, -0.125)
    )
    empty.append([whole])
    ids = [whole.id, "r1:nobody"]
    assert responses_by_id(empty, ids) == {whole.id: replace(whole, logprobs=None)}
    bare = replace(whole, logprobs=None, token_ids=None, prompt_token_ids=None)
    assert responses_by_id(empty, ids, tokens=False) == {whole.id: bare}


def test_answers_are_written_with_bounded_memory_and_what_else_is_done_is_not(
    tmp_path, monkeypatch
):
    """DuckDB merges appends as it writes them back, which took gigabytes for long answers."""
    with open_store(tmp_path, hold=True) as store:
        answer = make_response(make_prompt("Q"), make_policy(0), "a" * 8_000_000)
        with monkeypatch.context() as patch:
            patch.setattr("storage.embedded._WRITING_BACK", 1 / 2**14)
            with pytest.raises(StoreError, match="Out of Memory"):
                store.append([answer])
            store.append([make_prompt("p" * 8_000_000)])
        store.append([answer])

        assert [r.id for r in responses_of(store, answer.policy_id)] == [answer.id]
