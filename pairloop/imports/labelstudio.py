"""`labelstudio`: a Label Studio JSON export of a Pairwise (or Choices) project.

{"data": {"prompt": ..., "answer1": ..., "answer2": ...},
 "annotations": [{"completed_by": 7, "was_cancelled": false, "lead_time": 31.2, "result":
   [{"type": "pairwise", "to_name": "answer1,answer2", "value": {"selected": "left"}}]}]}
The left answer is the first that the Pairwise tag names, which is where it stood on the page.
"""

from collections.abc import Iterator, Mapping

from generate.rows import Row
from pairloop.imports import fields
from pairloop.imports.fields import BadRowError
from pairloop.imports.found import Answer, Choice, Found, LeftOut, Reason, Vote
from storage.records import Message
from storage.words import many

SIDES = (
    ("answer1", "answer2"),
    ("response1", "response2"),
    ("response_a", "response_b"),
    ("answer_a", "answer_b"),
    ("text1", "text2"),
    ("left", "right"),
)
PROMPTS = ("prompt", "instruction", "question", "input", "messages")


def read_task(row: Row) -> Iterator[Found]:
    """Every annotation of one task is a vote; its predictions are no votes."""
    data = fields.mapping(row.values, "data")
    annotations = fields.objects(row.values, "annotations")
    if not annotations:
        yield LeftOut(where=row.where, reason=Reason.NO_ANNOTATION)
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            yield LeftOut(where=row.where, reason=Reason.CANCELLED)
        else:
            yield _annotation(row.where, data, annotation)


def _annotation(where: str, data: Mapping[str, object], annotation: Mapping[str, object]) -> Found:
    results = fields.objects(annotation, "result")
    compared = [r for r in results if r.get("type") in ("pairwise", "choices")]
    picked = [(r, _picked(fields.mapping(r, "value"))) for r in compared]
    picked = [(result, word) for result, word in picked if word]
    if not picked:
        return LeftOut(where=where, reason=Reason.NO_CHOICE)
    if len(picked) > 1:
        raise BadRowError(f"an annotation has {many(len(picked), 'comparison')}; one is read")
    ((result, word),) = picked
    left, right = _sides(data, fields.optional_text(result, "to_name"))
    choice = _choice(word, left, right)
    return Vote(
        where=where,
        messages=_prompt(data),
        a=Answer(text=fields.text(data, left), model=_model(data, left, "a", "1")),
        b=Answer(text=fields.text(data, right), model=_model(data, right, "b", "2")),
        annotator=_who(annotation),
        choice=choice,
        shown=True,
        seconds=fields.seconds(annotation, "lead_time"),
        rationale=_written(results),
        created_at=fields.moment(annotation, "created_at"),
    )


def _picked(value: Mapping[str, object]) -> str:
    """The side or the one option that was selected, "" for none."""
    if "selected" in value:
        return fields.optional_text(value, "selected")
    choices = value.get("choices")
    if not isinstance(choices, list) or not all(isinstance(c, str) for c in choices):
        return ""
    return choices[0] if len(choices) == 1 else ""


def _choice(word: str, left: str, right: str) -> Choice:
    known = fields.choice_of(word)
    if known is None and word in (left, right):
        known = Choice.A if word == left else Choice.B
    if known is None:
        raise BadRowError(f"selected is {word[:40]!r}; known: left, right, tie, both_bad")
    return known


def _sides(data: Mapping[str, object], to_name: str) -> tuple[str, str]:
    """The task's two answers, left one first: as the tag names them, else by their usual names."""
    named = tuple(part.strip() for part in to_name.split(","))
    if len(named) == 2 and all(name in data for name in named):
        return named[0], named[1]
    for left, right in SIDES:
        if left in data and right in data:
            return left, right
    have = ", ".join(map(repr, data))
    raise BadRowError(f"can't tell the two answers among {have[:300]}; name them answer1, answer2")


def _prompt(data: Mapping[str, object]) -> tuple[Message, ...]:
    for name in PROMPTS:
        if data.get(name) is not None:
            return fields.conversation(
                {"messages" if isinstance(data[name], list) else "prompt": data[name]}
            )
    raise BadRowError(f"'data' needs the prompt as one of {', '.join(PROMPTS)}")


def _model(data: Mapping[str, object], name: str, *ends: str) -> str:
    tried = [f"{name}_model", *(f"model{end}" for end in ends), *(f"model_{end}" for end in ends)]
    return next((m for key in tried if (m := fields.optional_text(data, key))), "unknown")


def _who(annotation: Mapping[str, object]) -> str:
    """A number, or in some exports an object with id and email."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        return fields.person(by, "email" if by.get("email") else "id")
    return fields.person(annotation, "completed_by")


def _written(results: list[Mapping[str, object]]) -> str:
    texts: list[str] = []
    for result in results:
        value = result.get("value")
        if result.get("type") == "textarea" and isinstance(value, Mapping):
            said = value.get("text")
            lines = said if isinstance(said, list) else [said]
            texts += [line for line in lines if isinstance(line, str)]
    return fields.clean("\n".join(texts), "textarea")


read = fields.each_row(read_task)
