"""`votes`: a plain table of comparisons, one row per vote.

prompt,response_a,response_b,annotator_id,choice
What is tea?,A drink.,Tea.,w17,a

Also read: messages (JSON turns, instead of or beside prompt), system, model_a, model_b, strength
(slight, clear, strong), seconds, rationale, created_at, annotator_kind (human, model), source,
tags. a is what stood on the left.
"""

from collections.abc import Iterator

from generate.prompts import tags_of
from generate.rows import Row
from pairloop.imports import fields
from pairloop.imports.fields import BadRowError
from pairloop.imports.found import UNKNOWN_MODEL, Answer, Found, Vote

COLUMNS = frozenset({"response_a", "response_b", "annotator_id", "choice"})


def read_vote(row: Row) -> Iterator[Found]:
    """The vote of one row."""
    values = row.values
    if not values.keys() >= COLUMNS:
        empty = {name: "" for name in ("response_a", "response_b") if name in row.empty}
        values = empty | dict(values)
        if missing := sorted(COLUMNS - values.keys()):
            have = ", ".join(values) or "nothing"
            raise BadRowError(f"needs {', '.join(missing)}; it has {have[:300]}")
    who = fields.person(values, "annotator_id")
    chosen = fields.choice(values, "choice")
    tags, problem = tags_of(values.get("tags"))
    if problem:
        raise BadRowError(problem)
    yield Vote(
        where=row.where,
        messages=fields.conversation(values),
        a=Answer(
            text=fields.text(values, "response_a"),
            model=fields.optional_text(values, "model_a", UNKNOWN_MODEL),
        ),
        b=Answer(
            text=fields.text(values, "response_b"),
            model=fields.optional_text(values, "model_b", UNKNOWN_MODEL),
        ),
        annotator=who,
        kind=fields.kind_of_labeler(who, fields.optional_text(values, "annotator_kind")),
        choice=chosen,
        shown=True,
        strength=fields.strength(values, "strength", chosen),
        seconds=fields.seconds(values, "seconds"),
        rationale=fields.optional_text(values, "rationale"),
        created_at=fields.moment(values, "created_at"),
        source=fields.optional_text(values, "source"),
        tags=tags,
    )


read = fields.each_row(read_vote)
