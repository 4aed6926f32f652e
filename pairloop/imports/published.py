"""Published preference datasets: hh-rlhf, ultrafeedback, helpsteer2, helpsteer3, summarize.

None says who judged but summarize; the others' votes go to one labeler, "crowd". Which answer stood on which
side is not published either, so no side is recorded.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial

from generate.rows import Row
from pairloop.imports import fields
from pairloop.imports.conversations import parted, transcript
from pairloop.imports.fields import BadRowError
from pairloop.imports.found import (
    Answer,
    Candidates,
    Choice,
    Found,
    LeftOut,
    Reason,
    Vote,
)
from storage.records import Message, Strength

CROWD = "crowd"
ATTRIBUTES: Mapping[str, float] = {
    # NVIDIA's weights for one score per answer (HelpSteer2, section 4.2).
    "helpfulness": 0.65,
    "correctness": 0.8,
    "coherence": 0.45,
    "complexity": 0.55,
    "verbosity": -0.4,
}
_STRENGTHS = {1: Strength.SLIGHT, 2: Strength.CLEAR, 3: Strength.STRONG}
_HELPSTEER_TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")


def read_hh(row: Row) -> Iterator[Found]:
    """hh-rlhf: `chosen` and `rejected` are transcripts (or lists of turns) that part at the end."""
    sides = []
    for name in ("chosen", "rejected"):
        if isinstance(row.values.get(name), list):
            sides.append(fields.turns(row.values, name))
        else:
            sides.append(transcript(fields.text(row.values, name), name))
    found = parted(*sides)
    if isinstance(found, Reason):
        yield LeftOut(where=row.where, reason=found)
        return
    prompt, chosen, rejected = found
    yield _vote(row, prompt, chosen, rejected, Choice.A)


def read_ultrafeedback(row: Row) -> Iterator[Found]:
    """ultrafeedback: every completion is a candidate; GPT-4's scores are left behind."""
    answers = tuple(
        Answer(text=fields.text(c, "response"), model=fields.optional_text(c, "model", "unknown"))
        for c in fields.objects(row.values, "completions")
    )
    source = fields.optional_text(row.values, "source")
    yield Candidates(
        where=row.where,
        messages=_user(row.values, "instruction"),
        answers=answers,
        tags=(source,) if source else (),
    )


def read_helpsteer2(found: Iterator[Row]) -> Iterator[Found]:
    """helpsteer2: two rows with the same prompt are a pair; its five attributes are criteria."""
    waiting: dict[str, Row] = {}
    for row in found:
        if problem := next(iter(fields.safely(_check_ratings, row)), None):
            yield problem
            continue
        prompt = str(row.values["prompt"])
        other = waiting.pop(prompt, None)
        if other is None:
            waiting[prompt] = row
        else:
            yield from fields.safely(partial(_rated, other), row)
    for row in waiting.values():
        yield LeftOut(where=row.where, reason=Reason.NO_PARTNER)


def read_helpsteer3(row: Row) -> Iterator[Found]:
    """helpsteer3: overall_preference from -3 (response1) to 3 (response2), 0 is a tie."""
    value = fields.number(row.values, "overall_preference")
    if value is None or value != int(value) or abs(value) > 3:
        raise BadRowError(f"'overall_preference' must be a whole number from -3 to 3, not {value}")
    told = row.values.get("individual_preference") or []
    if not isinstance(told, list):
        raise BadRowError(f"'individual_preference' must be a list, not {type(told).__name__}")
    reasons = [f"{r.get('score')}: {r.get('reasoning')}" for r in told if isinstance(r, Mapping)]
    tags = tuple(
        tag for name in ("domain", "language") if (tag := fields.optional_text(row.values, name))
    )
    context = row.values.get("context")
    prompt = {"messages": context} if isinstance(context, list) else {"prompt": context}
    choice = Choice.TIE if value == 0 else Choice.A if value < 0 else Choice.B
    yield _vote(
        row,
        fields.conversation(prompt),
        fields.text(row.values, "response1"),
        fields.text(row.values, "response2"),
        choice,
        strength=_STRENGTHS.get(abs(int(value))),
        rationale=fields.clean("\n".join(reasons), "individual_preference"),
        tags=tags,
    )


def read_summarize(row: Row) -> Iterator[Found]:
    """summarize: comparisons of summarize-from-feedback, with the worker who chose."""
    info = fields.mapping(row.values, "info")
    summaries = fields.objects(row.values, "summaries")
    if len(summaries) != 2:
        raise BadRowError(f"'summaries' must hold two summaries, not {len(summaries)}")
    choice = fields.number(row.values, "choice")
    if choice not in (0, 1):
        raise BadRowError(f"'choice' must be 0 or 1, not {row.values.get('choice')}")
    a, b = (
        Answer(
            text=fields.text(s, "text").strip(), model=fields.optional_text(s, "policy", "unknown")
        )
        for s in summaries
    )
    extra = row.values.get("extra")
    confidence = fields.number(extra, "confidence") if isinstance(extra, Mapping) else None
    notes = [fields.optional_text(s, "note") for s in summaries]
    if confidence is not None:
        notes.append(f"confidence {confidence:g}")
    if not (a.text and b.text):
        yield LeftOut(where=row.where, reason=Reason.EMPTY)
        return
    yield Vote(
        where=row.where,
        messages=(Message(role="user", content=_post(info)),),
        a=a,
        b=b,
        annotator=fields.person(row.values, "worker"),
        choice=Choice.A if choice == 0 else Choice.B,
        rationale="\n".join(filter(None, notes)),
    )


def _post(info: Mapping[str, object]) -> str:
    """The post as the paper's policies were asked (Stiennon et al. 2020, appendix B.2)."""
    parts = [("SUBREDDIT: r/", "subreddit"), ("TITLE: ", "title"), ("POST: ", "post")]
    name = "post" if info.get("post") else "article"
    if not fields.text(info, name).strip():
        raise BadRowError(f"'info' has an empty {name!r}")
    if name == "article":
        parts = [("TITLE: ", "title"), ("ARTICLE: ", "article")]
    said = [label + value for label, key in parts if (value := fields.optional_text(info, key))]
    return "\n\n".join([*said, "TL;DR:"])


def _vote(
    row: Row,
    prompt: tuple[Message, ...],
    a: str,
    b: str,
    choice: Choice,
    *,
    strength: Strength | None = None,
    rationale: str = "",
    tags: tuple[str, ...] = (),
    criteria: Mapping[str, str] | None = None,
) -> Found:
    if not (a.strip() and b.strip()):
        return LeftOut(where=row.where, reason=Reason.EMPTY)
    return Vote(
        where=row.where,
        messages=prompt,
        a=Answer(text=a),
        b=Answer(text=b),
        annotator=CROWD,
        choice=choice,
        strength=strength,
        rationale=rationale,
        criteria=criteria or {},
        tags=tags,
    )


def _user(values: Mapping[str, object], name: str) -> tuple[Message, ...]:
    return fields.conversation({"prompt": fields.text(values, name)})


def _check_ratings(row: Row) -> list[Found]:
    """A Problem where a helpsteer2 row lacks something, found before it waits for its partner."""
    fields.text(row.values, "response")
    _helpsteer_prompt(fields.text(row.values, "prompt"))
    for name in ATTRIBUTES:
        if fields.number(row.values, name) is None:
            raise BadRowError(f"needs {name!r}, one of the five attributes")
    return []


def _rated(first: Row, second: Row) -> list[Found]:
    """The pair of two rated answers to one prompt."""
    ratings = [{n: fields.number(r.values, n) or 0.0 for n in ATTRIBUTES} for r in (first, second)]
    scores = [round(sum(w * rating[n] for n, w in ATTRIBUTES.items()), 6) for rating in ratings]
    criteria = {n: _better(ratings[0][n], ratings[1][n]) for n in ATTRIBUTES}
    told = ", ".join(f"{n} {ratings[0][n]:g} and {ratings[1][n]:g}" for n in ATTRIBUTES)
    better = _better(scores[0], scores[1])
    return [
        _vote(
            second,
            _helpsteer_prompt(str(first.values["prompt"])),
            str(first.values["response"]),
            str(second.values["response"]),
            Choice.TIE if better == "same" else Choice(better),
            rationale=told,
            criteria=criteria,
        )
    ]


def _better(a: float, b: float) -> str:
    return "same" if a == b else "a" if a > b else "b"


def _helpsteer_prompt(text: str) -> tuple[Message, ...]:
    """The prompt; multi-turn ones mark each further turn with <extra_id_1>."""
    opening, *parts = _HELPSTEER_TURN.split(text)
    turns = [{"role": "user", "content": opening}] if opening.strip() else []
    turns += [
        {"role": who.lower(), "content": said}
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    return fields.conversation({"messages": turns})
