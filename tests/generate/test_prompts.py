"""Prompts from files: every layout is read, and every bad row is named before anything is stored."""

import json
import re
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.prompts import columns_of, read_prompts, split_of
from storage.errors import InputError
from storage.records import Message, Prompt, Split


def read(*files, **options) -> list[Prompt]:
    return read_prompts(
        [str(f) for f in files], validation_share=0.1, test_share=0.1, now=NOW, **options
    )


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in prompt.messages]


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


@pytest.fixture
def jsonl(tmp_path):
    """Writes rows, or raw lines, to a JSONL file."""

    def write(*lines: object, name: str = "prompts.jsonl"):
        path = tmp_path / name
        text = "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(jsonl):
    """What is said about each line of a JSONL file that is not usable."""

    def of(*lines: object) -> list[str]:
        path = jsonl(*lines)
        with pytest.raises(InputError) as caught:
            read(path)
        first, *rest = str(caught.value).splitlines()
        assert "so nothing was stored" in first
        return [line.removeprefix(f"{path}, ") for line in rest if line.startswith(f"{path}, ")]

    return of


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "What is tea?"},
]


def test_jsonl_rows_may_be_texts_prompts_conversations_and_have_systems_and_tags(jsonl):
    path = jsonl(
        '"Just a text"',
        {"prompt": "A prompt", "tags": ["kitchen", "tea"], "source": "mine"},
        "",
        {"prompt": "With a system", "system": "Be brief.", "tags": "a, b ,"},
        {"messages": CONVERSATION},
        {"prompt": CONVERSATION[1:]},
        {"prompt": "Other columns are ignored", "score": 3, "messages": None, "tags": None},
    )
    found = read(path)
    assert [turns(p) for p in found] == [
        [("user", "Just a text")],
        [("user", "A prompt")],
        [("system", "Be brief."), ("user", "With a system")],
        [(t["role"], t["content"]) for t in CONVERSATION],
        [(t["role"], t["content"]) for t in CONVERSATION[1:]],
        [("user", "Other columns are ignored")],
    ]
    assert [p.tags for p in found] == [(), ("kitchen", "tea"), ("a", "b"), (), (), ()]
    assert [p.source for p in found] == ["prompts.jsonl", "mine"] + ["prompts.jsonl"] * 4
    assert all(p.id == Prompt.id_of(p.messages) for p in found)


def test_csv_rows_are_read_with_their_quotes_line_breaks_and_unusual_characters(tmp_path):
    """U+2028 and its like end no row, though Python's splitlines thinks so."""
    path = tmp_path / "prompts.csv"
    path.write_bytes(
        b'\xef\xbb\xbfprompt,system,tags,messages\r\n"Say ""hi"",\r\nplease",Be brief.,"a,b",\r\n'
        + "one\u2028line\u0085still\x0bone\x1crow 🦆,,,\r\n".encode()
        + b'\r\n,,,"[{""role"": ""user"", ""content"": ""As JSON""}]"\r\n'
    )
    found = read(path)
    assert [turns(p) for p in found] == [
        [("system", "Be brief."), ("user", 'Say "hi",\nplease')],
        [("user", "one\u2028line\u0085still\x0bone\x1crow 🦆")],
        [("user", "As JSON")],
    ]
    assert [p.tags for p in found] == [("a", "b"), (), ()]


def test_parquet_columns_hold_texts_or_conversations(tmp_path):
    columns = {
        "prompt": ["A prompt", None],
        "messages": [None, CONVERSATION],
        "tags": [["x"], None],
    }
    pq.write_table(pa.table(columns), tmp_path / "prompts.parquet")
    found = read(tmp_path / "prompts.parquet")
    assert [turns(p)[-1][1] for p in found] == ["A prompt", "What is tea?"]
    assert [len(p.messages) for p in found] == [1, 4]
    assert [p.tags for p in found] == [("x",), ()]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"prompt": "a"', "not JSON"),
        ("[1, 2]", "not an object or a string"),
        ("[" * 100_000, "nested too deeply"),
        ('{"prompt": ' + "1" * 5000 + "}", "not usable JSON .*digits"),
        ({"question": "a"}, "needs either 'prompt' .* or 'messages' .*it has question"),
        ({}, "it has nothing"),
        ({"prompt": "a", "messages": CONVERSATION}, "needs either"),
        ({"prompt": 3}, "'prompt' must be text, not int"),
        ({"messages": "Hi"}, "'messages' must be a list of turns, not str"),
        ({"messages": [{"role": "user"}]}, "turn 1 needs 'role' and 'content'"),
        ({"messages": ["Hi"]}, "turn 1 needs 'role' and 'content'"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "role 'bot'; known roles: system, user"),
        ({"messages": CONVERSATION[:3]}, "the last turn must be the user's"),
        ({"messages": []}, "the last turn must be the user's"),
        ({"prompt": " \n\t"}, r"turn 1 \(user\) has no text"),
        ({"prompt": "a", "system": 5}, r"turn 1 \(system\) has no text"),
        ('{"prompt": "half \\ud83e of a duck"}', "half of a surrogate pair"),
        ('{"prompt": "a", "tags": ["\\ud83e"]}', "half of a surrogate pair"),
        ('{"prompt": "a", "source": "\\ud83e"}', "half of a surrogate pair"),
        ({"prompt": "a", "tags": [1]}, "'tags' must be a list of words"),
        ({"prompt": "a", "tags": {"x": 1}}, "'tags' must be a list of words"),
    ],
    ids=lambda x: str(x)[:40] if not isinstance(x, dict) else None,
)
def test_a_row_that_is_no_prompt_is_named_with_its_line_and_what_is_wrong(problems, row, says):
    (found,) = problems("", {"prompt": "a good one"}, row)
    assert re.match(f"line 3: .*{says}", found)


def test_every_bad_row_of_every_file_is_in_one_error(jsonl, tmp_path):
    one = jsonl({"prompt": "good"}, {"prompt": 1}, "{", {"prompt": "fine"}, {"prompt": ""})
    two = tmp_path / "two.csv"
    two.write_text('prompt,tags\ngood too,\n,x\na,b,c\n"open', encoding="utf-8")
    three = tmp_path / "three.parquet"
    pq.write_table(pa.table({"prompt": ["right", ""]}), three)
    with pytest.raises(InputError) as caught:
        read(one, two, three)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("7 rows can't be used")
    assert [line.split(": ")[0] for line in lines[1:8]] == [
        *(f"{one}, line {n}" for n in (2, 3, 5)),
        *(f"{two}, line {n}" for n in (3, 4, 5)),
        f"{three}, row 2",
    ]


def test_more_bad_rows_than_anyone_reads_are_counted(jsonl):
    with pytest.raises(InputError, match=r"80 rows(.*\n)+\.\.\. and 30 more") as caught:
        read(jsonl(*[" " * n + "{" for n in range(80)]))
    assert len(str(caught.value).splitlines()) == 53


def test_of_many_rows_that_are_wrong_alike_three_are_shown(jsonl):
    with pytest.raises(InputError, match=r"1,081 rows(.*\n)+\.\.\. and 1,077 more") as caught:
        read(jsonl(*["{"] * 80, {"prompt": 1}, *["{"] * 1000))
    shown = str(caught.value).splitlines()[1:-2]
    assert [re.sub(r".*, line (\d+): .*", r"\1", line) for line in shown] == ["1", "2", "3", "81"]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_prompts_is_reported(tmp_path, text):
    for name in ("empty.jsonl", "empty.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=f"{name}: the file holds no prompts"):
            read(tmp_path / name)


def test_another_encoding_is_reported_with_its_line_and_a_way_out(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"prompt": "tea"}\n{"prompt": "café"}\n'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.jsonl, line 2: not UTF-8.*0xe9.*iconv -f latin1"):
        read(path)


def test_what_is_no_readable_file_is_reported(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        read(tmp_path / "none.jsonl")
    for name, says in (("x.txt", "files of kind .txt"), ("x", "without a suffix")):
        (tmp_path / name).write_text("hello", encoding="utf-8")
        with pytest.raises(InputError, match=f"{says}.*Use .jsonl, .json, .csv or .parquet"):
            read(tmp_path / name)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(tmp_path / "x.parquet")


def test_a_repeated_prompt_is_named_with_both_places(jsonl):
    """Case, white space and Unicode form make no other prompt: its answers would be in two splits."""
    one = jsonl({"prompt": "What is tea?"}, {"prompt": "what  is TEA?\n"}, name="one.jsonl")
    two = jsonl({"prompt": "Ｗhat is tea?"}, {"prompt": "Other"}, name="two.jsonl")
    with pytest.raises(InputError, match="--skip-duplicates") as caught:
        read(one, two)
    assert str(caught.value).splitlines()[1:3] == [
        f"{one}, line 2: the same prompt as {one}, line 1",
        f"{two}, line 1: the same prompt as {one}, line 1",
    ]
    kept = read(one, two, skip_duplicates=True)
    assert [turns(p)[0][1] for p in kept] == ["What is tea?", "Other"]


def test_skipping_duplicates_does_not_skip_other_problems(jsonl):
    with pytest.raises(InputError, match="1 row"):
        read(jsonl({"prompt": "a"}, {"prompt": "a"}, {"prompt": 1}), skip_duplicates=True)


@given(st.text(st.characters(codec="ascii"), min_size=1), st.sampled_from(["  ", "\n", "\u3000"]))
def test_case_and_white_space_do_not_move_a_prompt_to_another_split(text, space):
    def split(words: str) -> Split:
        return split_of(user(words), validation_share=0.3, test_share=0.3)

    changed = space + space.join(text.split()) + space
    assert split(text) == split(text.upper()) == split(text.lower()) == split(changed)


def test_splits_have_about_the_shares_asked_for():
    """Within four standard deviations of a fair draw."""
    prompts = [user(f"Question number {i}: why?") for i in range(5000)]
    counts = Counter(split_of(p, validation_share=0.1, test_share=0.2) for p in prompts)
    for split, share in ((Split.TRAIN, 0.7), (Split.VALIDATION, 0.1), (Split.TEST, 0.2)):
        assert abs(counts[split] - 5000 * share) < 4 * (5000 * share * (1 - share)) ** 0.5


def test_more_validation_takes_no_prompt_out_of_the_test_split():
    for i in range(500):
        before = split_of(user(f"Q{i}"), validation_share=0.1, test_share=0.1)
        after = split_of(user(f"Q{i}"), validation_share=0.4, test_share=0.1)
        assert (before is Split.TEST) == (after is Split.TEST)
        assert not (before is Split.VALIDATION and after is Split.TRAIN)


@settings(max_examples=30)
@given(st.permutations([f"Question {i}" for i in range(20)]))
def test_the_split_of_a_prompt_does_not_depend_on_the_others(tmp_path_factory, order):
    path = tmp_path_factory.getbasetemp() / "permuted.jsonl"
    path.write_text("\n".join(json.dumps(text) for text in order), encoding="utf-8")
    for prompt in read(path):
        alone = split_of(prompt.messages, validation_share=0.1, test_share=0.1)
        assert prompt.split is alone


def test_columns_of_other_names_are_mapped(jsonl, tmp_path):
    path = jsonl(
        {
            "question": "What is tea?",
            "context": "Be brief.",
            "topic": "kitchen",
            "prompt": "unread",
        },
        {"question": "What is rain?", "messages": CONVERSATION},
    )
    columns = {"prompt": "question", "system": "context", "tags": "topic"}
    found = read(path, columns=columns)
    assert [turns(p) for p in found] == [
        [("system", "Be brief."), ("user", "What is tea?")],
        [("user", "What is rain?")],
    ]
    assert [p.tags for p in found] == [("kitchen",), ()]

    csv = tmp_path / "chats.csv"
    cell = json.dumps(CONVERSATION[1:]).replace('"', '""')
    csv.write_text(f'chat,kind\n"{cell}",x\n')
    assert [len(p.messages) for p in read(csv, columns={"messages": "chat"})] == [3]

    pq.write_table(pa.table({"q": ["One"], "s": ["Be kind."]}), tmp_path / "p.parquet")
    (only,) = read(tmp_path / "p.parquet", columns={"prompt": "q", "system": "s"})
    assert turns(only) == [("system", "Be kind."), ("user", "One")]


def test_a_mapped_column_that_is_not_there_is_named(jsonl, tmp_path):
    path = jsonl({"question": "What is tea?"}, {"questions": "What is rain?"})
    with pytest.raises(InputError) as caught:
        read(path, columns={"prompt": "question", "tags": "topics"})
    assert str(caught.value).splitlines()[1:3] == [
        f"{path}, line 2: has no column 'question' (--map prompt=question); it has questions",
        f"{path}: no row has the column of --map tags=topics",
    ]
    csv = tmp_path / "a.csv"
    csv.write_text("question,chat\n,x\n,{\n")
    with pytest.raises(InputError, match="needs either 'prompt'"):
        read(csv, columns={"prompt": "question"})
    with pytest.raises(InputError, match="'chat' is not JSON"):
        read(csv, columns={"messages": "chat"})


def test_conversations_in_sharegpts_form_are_read(jsonl):
    said = [("human", "Hi"), ("gpt", "Hello."), ("human", "What is tea?")]
    path = jsonl({"conversations": [{"from": who, "value": text} for who, text in said]})
    (found,) = read(path, columns={"messages": "conversations"})
    assert turns(found) == [("user", "Hi"), ("assistant", "Hello."), ("user", "What is tea?")]


@pytest.mark.parametrize(
    ("given_pairs", "says"),
    [
        (["prompt"], "KEY=COLUMN"),
        (["question=prompt"], "one of prompt, messages, system, tags, source"),
        (["prompt=a", "prompt=b"], "each KEY once"),
        (["prompt=a", "messages=b"], "not both"),
    ],
)
def test_a_map_that_says_nothing_is_refused(given_pairs, says):
    with pytest.raises(InputError, match=says):
        columns_of(given_pairs)
    assert columns_of(["prompt=a=b", "tags=c"]) == {"prompt": "a=b", "tags": "c"}
