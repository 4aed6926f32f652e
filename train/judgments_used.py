"""What judgments hold beside a verdict that training can use: edits and strengths. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from storage.records import Pair, Strength, Triplet, Verdict
from storage.tallies import Remark

# Llama 2's small margins (Touvron et al. 2023, table 27); a strength not said asks for none.
MARGINS = {Strength.STRONG: 1.0, Strength.CLEAR: 2 / 3, Strength.SLIGHT: 1 / 3}


def edits_of(
    remarks: Iterable[Remark], pairs: Sequence[Pair], triplets: Sequence[Triplet]
) -> dict[str, str]:
    """The edited text of each triplet's chosen answer, by pair; of several edits the last one.

    Edits of an answer that did not become the chosen one are not used.
    """
    chosen = {t.pair_id: t.chosen for t in triplets}
    sides = {p.id: {Verdict.FIRST: p.first, Verdict.SECOND: p.second} for p in pairs}
    return {
        r.pair_id: r.edited_text
        for r in remarks
        if r.edited_text.strip()
        and r.pair_id in chosen
        and sides[r.pair_id].get(r.verdict) == chosen[r.pair_id]
    }


def margins_of(
    votes: Iterable[tuple[str, str, str | None]], pairs: Sequence[Pair], triplets: Sequence[Triplet]
) -> dict[str, float]:
    """Mean margin of the votes for each triplet's chosen answer, by pair.

    votes: pair, verdict and strength of each counting vote.
    """
    chosen = {t.pair_id: t.chosen for t in triplets}
    first: Mapping[str, str] = {p.id: p.first for p in pairs}
    found: dict[str, list[float]] = {}
    for pair, verdict, strength in votes:
        if pair not in chosen:
            continue
        wanted = Verdict.FIRST if chosen[pair] == first[pair] else Verdict.SECOND
        if verdict == wanted.value:
            found.setdefault(pair, []).append(MARGINS[Strength(strength)] if strength else 0.0)
    return {pair: sum(margins) / len(margins) for pair, margins in found.items()}
