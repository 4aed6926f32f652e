"""Model text becomes HTML that shows all of it and can do nothing."""

import html
import json
import os
import re
from pathlib import Path

import pytest
from hostile import PAYLOADS
from hypothesis import given
from hypothesis import strategies as st
from safe_html import check

from annotate.math_html import tex_to_html
from annotate.render import (
    highlight_css,
    plain_messages,
    render_markdown,
    render_messages,
    visible,
)
from storage.records import Message

BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
SAMPLES = Path(os.environ.get("PAIRLOOP_SHARED_DATA", BESIDE)) / "ui_samples.jsonl"


@pytest.mark.parametrize("text", PAYLOADS)
def test_hostile_text_is_shown_and_does_nothing(text):
    check(render_markdown(text))
    check(render_messages([Message(role=text, content=text), Message(role="user", content="x")]))


def test_html_in_an_answer_is_shown_as_written():
    text = "<custom-think>why</custom-think> List<int> xs; <b>bold</b> a < b && c > d"
    assert check(render_markdown(text)).strip() == text


def test_images_are_named_and_never_fetched():
    rendered = render_markdown("![a cat](https://evil.example/cat.png)")
    assert "<img" not in rendered
    assert "[image: a cat https://evil.example/cat.png]" in check(rendered)


def test_only_web_links_become_links():
    assert 'href="https://a.example/?x=1&amp;y=2"' in render_markdown(
        "[go](https://a.example/?x=1&y=2)"
    )
    for text in ("[go](/logout)", "[go](javascript:x)", "[go](mailto:a@b.example)", "[go](https:)"):
        assert "<a" not in render_markdown(text)
        assert check(render_markdown(text)).strip() == text


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and then $10.",
        "From $5, up to $20/month (US$30 abroad), or about ~$50k vs ~$60k.",
        "$1,000 in cash and $2",
        "Between $5M-$10M; pay 5$ or 10$",
        "a lone $ sign, and another $",
        r"\$5 and \$6",
    ],
)
def test_amounts_of_money_are_not_formulas(text):
    rendered = render_markdown(text)
    assert "<math" not in rendered
    assert check(rendered).strip() == text.replace("\\$", "$")


@pytest.mark.parametrize(
    ("text", "display"),
    [
        (r"so $e^{i\pi}+1=0$ holds", "inline"),
        (r"so \(e^{i\pi}\) holds", "inline"),
        ("$$\nx^2\n$$", "block"),
        (r"so $$x^2$$ holds", "block"),
        ("\\[\n- a\n= b\n\\]", "block"),
        (r"\[\begin{aligned} a &= b \\ c &= d \end{aligned}\]", "block"),
        ("1. first:\n   \\[\n   x = 1\n   \\]", "block"),
    ],
)
def test_formulas_become_mathml(text, display):
    assert f'<math display="{display}">' in render_markdown(text)


def test_tex_that_cannot_be_converted_stays_as_written():
    for source in (
        r"\(\frac{\)",
        r"$\newcommand{\x}{y}\x$",
        "$" + "{" * 200 + "x" + "}" * 200 + "$",
    ):
        assert source in html.unescape(render_markdown(source))


def test_tex_colours_and_hidden_parts_are_refused():
    """White or phantom text would let an answer hide from its judge."""
    for tex in (r"\color{white}{x}", r"\phantom{x}", r"\textcolor{white}{x}"):
        assert "<math" not in tex_to_html(tex, display=False, source=tex)


def test_an_unclosed_fence_shows_its_code():
    assert check(render_markdown("```python\nx = 1 # $y$")).strip().endswith("x = 1 # $y$")


@pytest.mark.parametrize("language", ["python", "cpp", "ts", "html", "diff", "sh", "nonsense"])
def test_code_keeps_every_character(language):
    code = "\n  a<b> && 'c' \t#$x$ ${y}\n\n"
    assert code in check(render_markdown(f"```{language}\n{code}```"))


def test_control_and_direction_characters_are_made_visible():
    rendered = render_markdown("a\u202eb\u2066c\x00d\x1b[31m\x85\ud800e")
    for hidden in "\u202e\u2066\x00\x1b\x85\ud800":
        assert hidden not in rendered
    assert "\u27e6U+202E\u27e7" in rendered
    rendered.encode()


def test_joiners_and_right_to_left_text_are_left_alone():
    family, persian = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "می\u200cخواهم"
    assert family in render_markdown(family)
    assert f'<div class="pl-md" dir="rtl"><p dir="auto">{persian}' in render_markdown(persian)
    assert 'class="pl-md" dir="ltr"' in render_markdown(f"1. one {persian}")
    assert '<ol dir="auto">\n<li>' in render_markdown(f"1. {persian}")


def test_text_the_parser_would_drop_is_shown_as_source():
    for text in (">" * 2000 + "hidden", "- " * 500 + "hidden"):
        assert "hidden" in check(render_markdown(text))
    assert "pl-source" in render_markdown(">" * 2000 + "hidden")


def test_reference_definitions_are_not_swallowed():
    assert "secret" in check(render_markdown("[secret]: https://a.example/b\n\ntext"))


def test_an_empty_answer_says_so():
    for text in ("", " \n\t"):
        assert check(render_markdown(text)) == "(empty)"


def test_a_conversation_is_marked_by_role():
    messages = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="*Hello*"),
        Message(role="user", content="Bye"),
    ]
    rendered = render_messages(messages)
    assert rendered.count("pl-turn-user") == 2
    assert re.search(r'pl-turn-system"><div class="pl-role">System</div>.*Be brief', rendered)
    assert plain_messages(messages).startswith("[system]\nBe brief.\n\n[user]\nHi")
    assert plain_messages(messages[1:2]) == "Hi"


@given(st.text(alphabet=st.sampled_from("ab1 \n\t$\\()[]{}<>`*_~#|!-=&;:/\"'.\u202e"), max_size=80))
def test_any_text_renders_to_safe_html_with_all_its_letters(text):
    shown = check(render_markdown(text))
    for letter in "ab":
        assert shown.count(letter) >= text.count(letter) * 0.9 - 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20000,
        "![[" * 5000,
        "$" * 50000,
        "$a " * 20000,
        "\\(" * 20000,
        "*" * 20000,
        "`" * 20000 + "a",
        "<" * 50000,
        ">" * 50000,
        "a**b" * 10000,
        "\\[ " * 10000,
        "a $$ " * 9000,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_repetition_is_rendered_quickly(text):
    from time import process_time

    before = process_time()
    render_markdown(text)
    assert process_time() - before < 5


def test_a_huge_answer_is_shown_as_source():
    text = "word " * 50_000
    assert check(render_markdown(text)).count("word") == 50_000


def test_visible_unifies_line_ends():
    assert visible("a\r\nb\rc\u2028d\te") == "a\nb\nc\nd\te"


def test_colours_exist_for_light_and_dark():
    css = highlight_css()
    assert ".pl-code .hl-k" in css
    assert ".dark .pl-code .hl-k" in css
    assert "url(" not in css


def test_code_without_colours_says_so():
    assert "pl-plain-code" not in render_markdown("```python\nx = 1\n```")
    for text in ("```\nx = 1\n```", "    x = 1", "```nothing-known\nx = 1\n```"):
        assert 'class="pl-code pl-plain-code"' in render_markdown(text)


def test_list_items_keep_the_numbers_they_were_written_with():
    items = re.findall(r"<li[^>]*>", render_markdown("1. a\n1. b\n2. c\n5. d"))
    assert items == ["<li>", '<li value="1">', "<li>", '<li value="5">']


def test_a_placeholder_in_dollars_is_no_formula():
    assert "<math" not in render_markdown("Hello $NAME$!")


def sample_texts():
    for line in SAMPLES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts = [row.get("prompt", "")]
        for answer in row["responses"]:
            texts.append(answer.get("response") or "")
            texts += [turn["content"] for turn in answer.get("conversation_tail", [])]
        for key in ("conversation", "conversations"):
            for turn in row.get(key, []):
                texts += (
                    [turn["content"]] if isinstance(turn, dict) else [t["content"] for t in turn]
                )
        yield row["id"], row["tags"], texts


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/data/ui_samples.jsonl is not here")
def test_real_hard_cases_are_safe_and_whole():
    """Every case renders to safe HTML, and every long word of it is there to be read."""
    seen = 0
    for case, tags, texts in sample_texts():
        for text in texts:
            rendered = render_markdown(text)
            shown = check(rendered)
            links = " ".join(html.unescape(t) for t in re.findall(r'title="([^"]*)"', rendered))
            whole = shown + links
            words = [w for w in re.findall(r"[A-Za-z]{5,}", text) if w not in whole]
            entities = {w for e in re.findall(r"&(\w+);", text) for w in re.findall(r"\w+", e)}
            assert not set(words) - entities, (case, tags, words[:5])
            seen += 1
        if "dollar-amounts-not-latex" in tags:
            assert "<math" not in render_markdown(texts[1]) or "\\" in texts[1], case
    assert seen > 400
