"""A project on whose pairs people disagree in every way, for the tests of adjudication."""

from collections.abc import Sequence
from dataclasses import replace

from factories import PASSWORD, Filled, fill_store, make_judgment

from annotate.accounts import add_labeler
from storage.records import LabelerKind, Role, Strength, Verdict
from storage.store import Store

FIRST, SECOND, TIE = Verdict.FIRST, Verdict.SECOND, Verdict.TIE
PEOPLE = ("ann", "bob", "cyd")
# What ann, bob and cyd said of the first pairs; the others have no vote.
VOTES: Sequence[Sequence[Verdict]] = [
    (FIRST, SECOND, TIE),  # no majority
    (FIRST, FIRST),  # settled, but flagged
    (FIRST, SECOND),  # a third vote is asked for
    (SECOND, FIRST, SECOND),  # settled and contested
    (SECOND, SECOND),  # settled by all
    (TIE, SECOND, FIRST),  # no majority; jo labeled it, too
]
WHY = {
    (0, "ann"): "Shorter, and it <b>runs</b>.",
    (0, "bob"): "The formula explains the step.",
    (3, "cyd"): "Code was not asked for.",
}


def fill_disputed(store: Store, *, pairs: int = 8) -> Filled:
    """`fill_store` with votes, jo the adjudicator, and a model's votes on the first two pairs."""
    filled = fill_store(store, pairs=pairs, labelers=PEOPLE)
    add_labeler(store, "jo", password=PASSWORD, role=Role.ADJUDICATOR)
    add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
    rows = []
    for at, votes in enumerate(VOTES):
        pair = filled.pairs[at]
        for who, verdict in zip(PEOPLE, votes, strict=False):
            strong = Strength.STRONG if verdict in (FIRST, SECOND) else None
            said = make_judgment(pair, who, verdict, strength=strong, minute=at)
            flags = ("unclear_prompt",) if (at, who) == (1, "bob") else ()
            rows.append(replace(said, rationale=WHY.get((at, who), ""), flags=flags))
    rows.append(make_judgment(filled.pairs[5], "jo", FIRST, minute=9))
    rows += [make_judgment(filled.pairs[at], "judge", SECOND, minute=9) for at in (0, 1)]
    store.append(rows)
    return filled
