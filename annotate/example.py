"""An adjudicated case as an example in the guidelines: a section of Markdown of its own.

    ### Example: What is tea?

    **Prompt**

    > What is tea?

    **Answer 1** / **Answer 2** ...

    **Decision:** Answer 1 is better (a matter of style).

    **Why:** Both are right; the first one is shorter.

    Case `c1:0f3a...`

Texts of models stand in block quotes, which nothing in them can end. The last line finds the
section again, so that a changed decision replaces its example.
"""

import re
from collections.abc import Sequence
from typing import assert_never

from annotate import guidelines
from annotate.render import plain_messages, visible
from storage.adjudication_records import Adjudication, Cause
from storage.prompts import prompts_by_id
from storage.records import Message, Pair, Verdict
from storage.responses import texts_by_id
from storage.store import Store
from storage.team_records import Guideline
from storage.words import many

MAX_TEXT_CHARS = 4000  # of the prompt, and of each answer
_TITLE_CHARS = 80
_SECTION = re.compile(r"(?m)^(?=#{1,3} )")

CAUSES = {
    Cause.UNDERSPECIFIED_PROMPT: "the prompt can be read in several ways",
    Cause.STYLE: "a matter of style",
    Cause.REFUSAL: "about declining to answer",
    Cause.ERROR: "somebody overlooked something",
    Cause.GUIDELINE_GAP: "these guidelines did not say",
}


def publish_example(store: Store, pair: Pair, decision: Adjudication, *, author: str) -> Guideline:
    """Put guidelines with this example in force; the same example again makes no new version."""
    texts = texts_by_id(store, [pair.first, pair.second])
    section = example_section(
        prompts_by_id(store, [pair.prompt_id])[pair.prompt_id].messages,
        texts[pair.first],
        texts[pair.second],
        decision,
    )
    current = guidelines.current(store)
    text = with_example(current.text if current else "", section, pair.id)
    return guidelines.publish(store, text, author=author)


def example_section(
    messages: Sequence[Message], first: str, second: str, decision: Adjudication
) -> str:
    """The section, ending with the line that names its case."""
    parts = [
        f"### Example: {_title(messages[-1].content)}",
        "**Prompt**",
        _quoted(plain_messages(messages)),
        "**Answer 1**",
        _quoted(first),
        "**Answer 2**",
        _quoted(second),
        f"**Decision:** {_decision(decision.verdict)} ({CAUSES[decision.cause]}).",
    ]
    if decision.note.strip():
        parts += ["**Why:**", _quoted(decision.note)]
    return "\n\n".join([*parts, _case(decision.pair_id)])


def with_example(text: str, section: str, pair_id: str) -> str:
    """The guidelines with the section: in place of the one about the same case, else at the end."""
    parts = _SECTION.split(text)
    ending = f"\n{_case(pair_id)}"
    for at, part in enumerate(parts):
        if part.startswith("### Example: ") and ending in part:
            parts[at] = section + part.partition(ending)[2]
            return "".join(parts).rstrip() + "\n"
    heading = "" if re.search(r"(?m)^## Examples$", text) else "## Examples\n\n"
    before = text.rstrip()
    between = "\n\n" if before else ""
    return f"{before}{between}{heading}{section}\n"


def _case(pair_id: str) -> str:
    return f"Case `{pair_id}`"


def _title(text: str) -> str:
    line = " ".join(visible(text).split())
    line = line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1].rstrip() + "\u2026"
    return re.sub(r"([\\`*_\[\]<>$#|~&!])", r"\\\1", line)


def _quoted(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        left = len(text) - MAX_TEXT_CHARS
        text = f"{text[:MAX_TEXT_CHARS]}\n\n[... {many(left, 'more character')}]"
    return "\n".join(f"> {line}".rstrip() for line in visible(text).strip().split("\n"))


def _decision(verdict: Verdict | None) -> str:
    match verdict:
        case Verdict.FIRST:
            return "Answer 1 is better"
        case Verdict.SECOND:
            return "Answer 2 is better"
        case Verdict.TIE:
            return "A tie: both are equally good"
        case Verdict.BOTH_BAD:
            return "Both are bad"
        case Verdict.SKIP | None:
            return "It cannot be decided"
        case _:
            assert_never(verdict)
