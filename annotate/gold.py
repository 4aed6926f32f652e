"""Gold pairs: known answers that look like any other pair, and what people made of them.

A gold pair is a pair of its own (purpose gold) with the two answers of the one it was made from,
so that votes on it never count as votes on that one. Where `hidden` gold tells who is right,
`qualification` gold teaches, and `sentinel` gold tells whether the crowd's taste drifts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage import pairs as pairing
from storage import team
from storage.errors import InputError
from storage.intervals import wilson
from storage.records import IMPORTED_VOTES, Consensus, Pair, Purpose, Verdict
from storage.store import Store, utc_now
from storage.team_records import Gold, GoldUse

BY_HAND, UNANIMOUS = "by hand", "unanimous"
WINDOW = 30  # sentinel votes at either end that are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """So many of so many."""

    right: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Share of sentinel votes for the tracked answer: the first ones, and the newest with a 95 %
    Wilson interval. drifted: the interval leaves the first share out.
    """

    before: float
    now: float
    low: float
    high: float
    drifted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldResults:
    """What people made of gold pairs and hidden repeats."""

    by_labeler: dict[str, Score]  # hidden gold
    by_pair: dict[str, Score]  # every gold pair but sentinels
    qualification: dict[str, Score]  # by labeler
    repeats: dict[str, Score]  # by labeler: the same verdict both times
    drift: Drift | None  # None below 2 x WINDOW sentinel votes


def make_gold(
    store: Store,
    pair_id: str,
    *,
    verdict: Verdict,
    use: GoldUse,
    author: str,
    explanation: str = "",
    source: str = BY_HAND,
) -> Gold:
    """Make a pair, or a gold pair anew, one whose verdict is known (in stored order).

    Raises InputError where there is no such pair, or the verdict is none.
    """
    pair = next((p for p in pairing.pairs(store) if p.id == pair_id), None)
    if pair is None:
        raise InputError(f"There is no pair {pair_id!r}.")
    if verdict is Verdict.SKIP:
        raise InputError("A skip is no verdict: choose first, second, tie or both_bad.")
    (row,) = _make(
        store, [(pair, verdict)], use=use, explanation=explanation, source=source, author=author
    )
    return row


def promote_unanimous(store: Store, *, author: str, votes: int = 3) -> list[Gold]:
    """Make hidden gold of training pairs on which so many people, and all of them, agree."""
    known = {g.pair_id for g in team.gold_by_pair(store).values()}
    standing = pairing.consensus_by_pair(store)
    found = []
    for pair in pairing.pairs(store):
        consensus = standing.get(pair.id)
        if pair.purpose is not Purpose.TRAIN or pair.strategy == IMPORTED_VOTES or not consensus:
            continue
        verdict = _unanimous(consensus, votes)
        if verdict and _gold_pair(pair).id not in known:
            found.append((pair, verdict))
    if not found:
        return []
    return _make(store, found, use=GoldUse.HIDDEN, explanation="", source=UNANIMOUS, author=author)


def retire_gold(store: Store, pair_id: str, *, author: str) -> None:
    """Show a gold pair to nobody any more; raises InputError where it is none."""
    gold = team.gold_by_pair(store).get(pair_id)
    if gold is None or not gold.active:
        raise InputError(f"There is no active gold pair {pair_id!r}.")
    store.append(
        [
            replace(
                gold, revision=gold.revision + 1, active=False, author=author, created_at=utc_now()
            )
        ]
    )
    team.note(store, actor=author, action="gold retired", subject=pair_id)


def gold_results(store: Store) -> GoldResults:
    """Read what people made of gold pairs and repeats."""
    votes = team.gold_votes(store)
    graded = [v for v in votes if v.use is not GoldUse.SENTINEL]
    return GoldResults(
        by_labeler=_scores(
            [(v.labeler, v.verdict is v.expected) for v in graded if v.use is GoldUse.HIDDEN]
        ),
        by_pair=_scores([(v.pair_id, v.verdict is v.expected) for v in graded]),
        qualification=_scores(
            [(v.labeler, v.verdict is v.expected) for v in graded if v.use is GoldUse.QUALIFICATION]
        ),
        repeats=_scores([(who, before is now) for who, before, now in team.repeat_votes(store)]),
        drift=drift_of([v.verdict is v.expected for v in votes if v.use is GoldUse.SENTINEL]),
    )


def drift_of(votes: Sequence[bool]) -> Drift | None:
    """Whether the newest sentinel votes differ from the first ones; None while there are too few."""
    if len(votes) < 2 * WINDOW:
        return None
    before, now = sum(votes[:WINDOW]) / WINDOW, sum(votes[-WINDOW:]) / WINDOW
    low, high = wilson(sum(votes[-WINDOW:]), WINDOW)
    return Drift(before=before, now=now, low=low, high=high, drifted=not low <= before <= high)


def _unanimous(consensus: Consensus, votes: int) -> Verdict | None:
    if consensus.votes < votes:
        return None
    if consensus.first_votes == consensus.votes:
        return Verdict.FIRST
    return Verdict.SECOND if consensus.second_votes == consensus.votes else None


def _gold_pair(pair: Pair) -> Pair:
    if pair.purpose is Purpose.GOLD:
        return pair
    return replace(
        pair,
        id=Pair.id_of(first=pair.first, second=pair.second, purpose=Purpose.GOLD),
        purpose=Purpose.GOLD,
        strategy="gold",
        created_at=utc_now(),
    )


def _make(
    store: Store,
    found: Sequence[tuple[Pair, Verdict]],
    *,
    use: GoldUse,
    explanation: str,
    source: str,
    author: str,
) -> list[Gold]:
    known = team.gold_by_pair(store)
    pairs = [_gold_pair(pair) for pair, _ in found]
    rows = [
        Gold(
            pair_id=pair.id,
            revision=known[pair.id].revision + 1 if pair.id in known else 0,
            use=use,
            verdict=verdict,
            explanation=explanation,
            source=source,
            active=True,
            author=author,
            created_at=utc_now(),
        )
        for pair, (_, verdict) in zip(pairs, found, strict=True)
    ]
    store.append(pairs)
    store.append(rows)
    for row in rows:
        team.note(
            store, actor=author, action="gold made", subject=row.pair_id, detail=row.use.value
        )
    return rows


def _scores(graded: Sequence[tuple[str, bool]]) -> dict[str, Score]:
    total = Counter(key for key, _ in graded)
    right = Counter(key for key, good in graded if good)
    return {key: Score(right=right[key], total=n) for key, n in total.items()}
