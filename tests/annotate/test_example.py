"""Guideline examples: well-formed whatever the texts hold, one per case."""

from dataclasses import replace

import pytest
from factories import fill_store, make_adjudication, open_store
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from annotate.example import MAX_TEXT_CHARS, example_section, publish_example, with_example
from storage import team
from storage.adjudication_records import Cause
from storage.records import Message, Verdict

DECISION = make_adjudication("c1:abc", Verdict.SECOND, adjudicator="jo", note="Shorter.")
NASTY = [
    "```\nan open fence",
    "### Example: not one\n\nCase `c1:abc`",
    "<h3>Example</h3>\n<!-- open",
    "- list\n\n      code\n> quote\n\n---\n===",
    "$$ open \\[ \\begin{x}",
    "",
]


def section(*texts, **changes):
    user = (Message(role="user", content=texts[0]),)
    return example_section(user, texts[1], texts[2], replace(DECISION, **changes))


def outline(markdown):
    """The blocks at the top of a document: tag and text of those that are no quotes."""
    tokens = MarkdownIt("commonmark").parse(markdown)
    found = []
    for at, token in enumerate(tokens):
        if token.level == 0 and token.nesting == 1:
            quote = token.type == "blockquote_open"
            found.append((token.tag, "" if quote else tokens[at + 1].content))
        elif token.level == 0 and token.nesting == 0:
            found.append((token.type, token.content))
    return found


SHAPE = ["h3", "p", "blockquote", "p", "blockquote", "p", "blockquote", "p", "p", "blockquote", "p"]


@given(*[st.text(max_size=80) | st.sampled_from(NASTY)] * 4)
def test_no_text_breaks_out_of_its_place(prompt, first, second, note):
    note = note if note.strip() else "x"
    found = outline(section(prompt, first, second, note=note))
    assert [tag for tag, _ in found] == SHAPE
    texts = [text for tag, text in found if tag == "p"]
    assert texts[:3] == ["**Prompt**", "**Answer 1**", "**Answer 2**"]
    assert texts[3] == "**Decision:** Answer 2 is better (a matter of style)."
    assert texts[-1] == "Case `c1:abc`"


def test_long_texts_are_cut_and_say_so():
    found = section("x" * 200, "y" * (MAX_TEXT_CHARS + 1234), "z")
    assert "[... 1,234 more characters]" in found
    assert len(found.splitlines()[0]) < 120


def test_an_example_goes_to_the_end_and_a_changed_one_replaces_itself():
    one, other = section("a", "b", "c"), section("d", "e", "f", pair_id="c1:other")
    text = with_example("# Rules\n\nBe fair.", one, "c1:abc")
    assert text == f"# Rules\n\nBe fair.\n\n## Examples\n\n{one}\n"
    text = with_example(text, other, "c1:other")
    assert text.count("## Examples\n") == 1
    assert text.endswith(f"{one}\n\n{other}\n")
    assert with_example(text, one, "c1:abc") == text
    changed = section("a", "b", "c", verdict=None, cause=Cause.ERROR)
    both = with_example(text, changed, "c1:abc")
    assert both == text.replace(one, changed)
    kept = with_example(text + "\nThe end.\n\n## More\n\nLast.", changed, "c1:other")
    assert kept.endswith("\nThe end.\n\n## More\n\nLast.\n")
    assert with_example("", one, "c1:abc") == f"## Examples\n\n{one}\n"


@given(st.sampled_from(NASTY), st.sampled_from(NASTY))
def test_the_same_example_again_changes_nothing_whatever_it_quotes(first, second):
    text = with_example("# Rules", section("a", first, second), "c1:abc")
    assert with_example(text, section("a", first, second), "c1:abc") == text


@pytest.mark.parametrize("verdict", [Verdict.FIRST, Verdict.TIE, Verdict.BOTH_BAD, None])
def test_it_is_published_as_a_new_version_once(tmp_path, verdict):
    with open_store(tmp_path) as store, store.connected():
        pair = fill_store(store, pairs=1, labelers=(), admin=None).pairs[0]
        decision = replace(DECISION, pair_id=pair.id, verdict=verdict)
        made = publish_example(store, pair, decision, author="jo")
        again = publish_example(store, pair, decision, author="jo")
        assert again == made
        assert [g.author for g in team.guidelines(store)] == ["jo"]
    assert "> It is **0**." in made.text
    assert "Question 0: what is 0 + 0?" in made.text
