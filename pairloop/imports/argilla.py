"""`argilla`: a records export with several people's responses per record.

Version 2 (`dataset.records.to_json`): responses by question, each with value and user_id.
{"fields": {"prompt": ..., "response_1": ..., "response_2": ...},
 "responses": {"preference": [{"value": "response_1", "user_id": "..."}]}}
Version 1: a list of {"user_id", "status", "values": {"preference": {"value": ...}}}.
A ranking of more than two answers is a vote on each pair of them; equal ranks are ties.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from generate.rows import Row
from pairloop.imports import fields
from pairloop.imports.fields import BadRowError
from pairloop.imports.found import Answer, Choice, Found, LeftOut, Reason, Vote
from storage.records import Message

PROMPTS = ("prompt", "instruction", "question", "input", "messages")
_ANSWER = re.compile(
    r"((response|reply|answer|completion|generation|output)s?[-_ ]?([1-9a-h])|chosen|rejected)$",
    re.IGNORECASE,
)
_REASON = re.compile(r"rationale|reason|comment|explanation|why", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one person answered to one question."""

    who: str
    question: str
    value: object
    status: str


def read_record(row: Row) -> Iterator[Found]:
    """Every submitted comparison of one record."""
    texts = fields.mapping(row.values, "fields")
    answers = sorted(name for name in texts if _ANSWER.match(name))
    if len(answers) < 2:
        have = ", ".join(map(repr, texts))
        raise BadRowError(
            f"can't tell the answers among the fields {have[:300]}; name them response_1, response_2"
        )
    said = list(_said(row.values.get("responses")))
    if not said:
        yield LeftOut(where=row.where, reason=Reason.NO_ANNOTATION)
    reasons = {
        s.who: s.value for s in said if _REASON.search(s.question) and isinstance(s.value, str)
    }
    asked = [s for s in said if not _REASON.search(s.question)]
    compared = {s.question for s in asked if _ranks(s.value, answers) is not None}
    if len(compared) > 1:
        raise BadRowError(f"several questions compare answers: {', '.join(sorted(compared))}")
    if asked and not compared:
        raise BadRowError(f"no question compares {' and '.join(answers)}")
    for one in asked:
        if one.question in compared:
            yield from _votes(row.where, texts, answers, one, reasons.get(one.who))


def _said(responses: object) -> Iterator[Said]:
    if isinstance(responses, Mapping):
        for question, given in responses.items():
            for entry in fields.objects({str(question): given}, str(question)):
                yield Said(
                    who=fields.person(entry, "user_id"),
                    question=str(question),
                    value=entry.get("value"),
                    status=fields.optional_text(entry, "status", "submitted"),
                )
    elif responses is not None:
        for entry in fields.objects({"responses": responses}, "responses"):
            who, status = fields.person(entry, "user_id"), fields.optional_text(entry, "status")
            values = entry.get("values")
            for question, given in values.items() if isinstance(values, Mapping) else ():
                value = given.get("value") if isinstance(given, Mapping) else given
                yield Said(
                    who=who, question=str(question), value=value, status=status or "submitted"
                )


def _votes(
    where: str,
    texts: Mapping[str, object],
    answers: Sequence[str],
    said: Said,
    reason: object,
) -> Iterator[Found]:
    if said.status != "submitted":
        yield LeftOut(where=where, reason=Reason.NOT_SUBMITTED)
        return
    ranks = _ranks(said.value, answers)
    if ranks is None:
        if said.value is not None and said.value != "":
            raise BadRowError(
                f"{said.question!r} is {str(said.value)[:60]!r}, which names no answer"
            )
        yield LeftOut(where=where, reason=Reason.NO_CHOICE)
        return
    prompt = _prompt(texts)
    for a, b in combinations([name for name in answers if name in ranks], 2):
        yield Vote(
            where=where,
            messages=prompt,
            a=_answer(texts, a),
            b=_answer(texts, b),
            annotator=said.who,
            choice=_choice(ranks[a], ranks[b]),
            rationale=fields.clean(reason, "rationale") if isinstance(reason, str) else "",
        )


def _choice(a: float, b: float) -> Choice:
    if a == b:
        return Choice.BOTH_BAD if a == _BAD else Choice.TIE
    return Choice.A if a < b else Choice.B


_BAD = float("inf")


def _ranks(value: object, answers: Sequence[str]) -> dict[str, float] | None:
    """Rank by answer field, 1 is best; None where the value compares nothing."""
    if isinstance(value, str):
        named = _named(value, answers)
        if named is not None:
            return (
                {name: 1.0 if name == named else 2.0 for name in answers}
                if len(answers) == 2
                else None
            )
        match fields.choice_of(value) if len(answers) == 2 else None:
            case Choice.TIE:
                return dict.fromkeys(answers, 1.0)
            case Choice.BOTH_BAD:
                return dict.fromkeys(answers, _BAD)
            case Choice.A | Choice.B as side:
                return {name: 1.0 + (i != (side is Choice.B)) for i, name in enumerate(answers)}
            case _:
                return None
    if not isinstance(value, list) or len(value) < 2:
        return None
    ranks: dict[str, float] = {}
    for place, item in enumerate(value, start=1):
        word, rank = item, float(place)
        if isinstance(item, Mapping):
            word = item.get("value")
            try:
                rank = fields.number(item, "rank") or float(place)
            except BadRowError:
                return None
        named = _named(word, answers) if isinstance(word, str) else None
        if named is None or named in ranks:
            return None
        ranks[named] = rank
    return ranks


def _named(word: str, answers: Sequence[str]) -> str | None:
    """The answer field an option means: the same name, or the same number or letter at its end."""
    plain = [re.sub(r"[\W_]+", "", name).lower() for name in answers]
    option = re.sub(r"[\W_]+", "", word).lower()
    if option in plain:
        return answers[plain.index(option)]
    if _ANSWER.match(word.strip()) and option not in ("chosen", "rejected"):
        ends = [i for i, name in enumerate(plain) if name[-1] == option[-1]]
        return answers[ends[0]] if len(ends) == 1 else None
    return None


def _answer(texts: Mapping[str, object], name: str) -> Answer:
    value = texts.get(name)
    if isinstance(value, list) and value:  # a chat field: the last turn is the answer
        return Answer(text=fields.turns(texts, name)[-1].content)
    return Answer(text=fields.text(texts, name))


def _prompt(texts: Mapping[str, object]) -> tuple[Message, ...]:
    for name in PROMPTS:
        if texts.get(name) is not None:
            key = "messages" if isinstance(texts[name], list) else "prompt"
            return fields.conversation({key: texts[name]})
    raise BadRowError(f"'fields' needs the prompt as one of {', '.join(PROMPTS)}")


read = fields.each_row(read_record)
