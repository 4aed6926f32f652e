"""`arena`: FastChat and Chatbot Arena, cleaned battles and the server's own vote logs.

Cleaned battles have model_a, model_b, winner, judge, conversation_a, conversation_b and turn.
A log line has type (leftvote, rightvote, tievote, bothbad_vote, else not a vote), states and ip.
"""

from collections.abc import Iterator, Mapping

from generate.rows import Row
from pairloop.imports import fields
from pairloop.imports.conversations import first_turns, parted
from pairloop.imports.fields import BadRowError
from pairloop.imports.found import UNKNOWN_MODEL, Answer, Found, LeftOut, Reason, Vote
from storage.records import Message

VOTES = ("leftvote", "rightvote", "tievote", "bothbad_vote")


def read_battle(row: Row) -> Iterator[Found]:
    """The vote of one battle, or of one line of a server's log."""
    if "states" in row.values or "winner" not in row.values:
        yield _from_log(row)
        return
    values = row.values
    if values.get("conversation_a") is None or values.get("conversation_b") is None:
        raise BadRowError(
            "needs 'conversation_a' and 'conversation_b'; battles cleaned without conversations "
            "hold no answers (clean_battle_data.py --mode conv_release keeps them)"
        )
    sides = [fields.turns(values, f"conversation_{side}") for side in "ab"]
    turn = fields.number(values, "turn")
    if turn is not None and turn >= 1:
        # MT-bench lists both turns and says which one was judged.
        sides = [first_turns(side, int(turn)) for side in sides]
    who = fields.optional_text(values, "judge", "unknown")
    models = [fields.optional_text(values, f"model_{side}", UNKNOWN_MODEL) for side in "ab"]
    yield _vote(row, sides, models, who=who, word=fields.text(values, "winner"), at="tstamp")


def _from_log(row: Row) -> Found:
    kind = fields.text(row.values, "type")
    if kind not in VOTES:
        return LeftOut(where=row.where, reason=Reason.NOT_A_VOTE)
    states = fields.objects(row.values, "states")
    if len(states) != 2:
        raise BadRowError(f"'states' must hold two conversations, not {len(states)}")
    models = [fields.optional_text(state, "model_name", UNKNOWN_MODEL) for state in states]
    who = fields.optional_text(row.values, "ip", "unknown")
    return _vote(row, [_said(s) for s in states], models, who=who, word=kind, at="tstamp")


def _said(state: Mapping[str, object]) -> tuple[Message, ...]:
    """A FastChat conversation: [role, text] pairs after `offset` examples, people first."""
    found = state.get("messages")
    offset = int(fields.number(state, "offset") or 0)
    if not isinstance(found, list) or offset < 0:
        raise BadRowError("a state needs 'messages' as a list")
    turns = []
    for at, turn in enumerate(found[offset:]):
        if not isinstance(turn, list) or len(turn) != 2 or not isinstance(turn[1], str):
            raise BadRowError(f"message {at + 1} of a state is no [role, text]")
        said = fields.clean(turn[1], "states")
        turns.append(Message(role="assistant" if at % 2 else "user", content=said))
    system = fields.optional_text(state, "system_message")
    return (Message(role="system", content=system), *turns) if system else tuple(turns)


def _vote(
    row: Row,
    sides: list[tuple[Message, ...]],
    models: list[str],
    *,
    who: str,
    word: str,
    at: str,
) -> Found:
    choice = fields.choice_of(word)
    if choice is None:
        raise BadRowError(f"'winner' is {word[:40]!r}; known: model_a, model_b, tie, tie (bothbad)")
    found = parted(*sides)
    if isinstance(found, Reason):
        return LeftOut(where=row.where, reason=found)
    prompt, a, b = found
    if not a.strip() and not b.strip():
        return LeftOut(where=row.where, reason=Reason.EMPTY)
    language = fields.optional_text(row.values, "language")
    return Vote(
        where=row.where,
        messages=prompt,
        a=Answer(text=a, model=models[0]),
        b=Answer(text=b, model=models[1]),
        annotator=fields.usable_name(who, "judge"),
        kind=fields.kind_of_labeler(who),
        choice=choice,
        shown=True,
        created_at=fields.moment(row.values, at),
        tags=(language,) if language else (),
    )


read = fields.each_row(read_battle)
