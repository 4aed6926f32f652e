"""Two whole conversations become one prompt and two answers: what they share is the prompt.

They must part at the very last answer. Where they part earlier, the answers are to different
prompts, and no pair can hold them.
"""

import re
from collections.abc import Sequence

from pairloop.imports.fields import BadRowError
from pairloop.imports.found import Reason
from storage.records import Message

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def transcript(text: str, name: str) -> tuple[Message, ...]:
    """The turns of a "Human: ... Assistant: ..." transcript, as HH-RLHF writes them."""
    before, *parts = _TURN.split("\n\n" + text.lstrip("\n"))
    if before.strip() or not parts:
        raise BadRowError(f"{name!r} is no transcript: it must begin with 'Human: '")
    return tuple(
        Message(role=_ROLES[who], content=said.strip())
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    )


def parted(
    a: Sequence[Message], b: Sequence[Message]
) -> tuple[tuple[Message, ...], str, str] | Reason:
    """The shared prompt and the two answers, or why there are none."""
    if not a or not b or a[-1].role != "assistant" or b[-1].role != "assistant":
        return Reason.NO_ANSWER
    if len(a) != len(b) or tuple(a[:-1]) != tuple(b[:-1]):
        return Reason.EARLIER
    prompt = tuple(a[:-1])
    if not prompt or prompt[-1].role != "user":
        return Reason.NO_ANSWER
    if not all(turn.content.strip() for turn in prompt):
        return Reason.EMPTY
    return prompt, a[-1].content, b[-1].content


def first_turns(turns: Sequence[Message], count: int) -> tuple[Message, ...]:
    """The conversation up to the answer to its count-th user turn."""
    asked = 0
    for at, turn in enumerate(turns):
        asked += turn.role == "user"
        if asked > count:
            return tuple(turns[:at])
    return tuple(turns)
