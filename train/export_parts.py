"""Where the rows of settled pairs come from. What was settled is known before the first row is made,
so no later vote changes it; texts and tokens, which never change, are read portion by portion.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import assert_never

from storage.judgments import votes
from storage.pairs import pairs_of_identical_answers
from storage.records import LabelerKind, Pair, Purpose, Split, Strength, Tier, Triplet, Verdict
from storage.store import Store
from train.export_formats import Format, both_bad_rows, kto_rows, ranking_rows, reward_row
from train.export_known import Known
from train.rows import Part, Row, Texts, export_row, in_portions, texts_by_id, texts_of
from train.triplets import Built, Drop, Standing, build_triplets

SEVERAL = 8  # pairs of a prompt, as a rule at most
SPLITS = (Split.TRAIN, Split.VALIDATION)
Settled = tuple[Pair, Standing]
Ranked = tuple[str, list[tuple[Pair, float]]]  # a prompt, and how its pairs are settled


def settled_parts(
    store: Store, known: Known, shape: Format, *, judge_votes: bool, run_id: str, now: datetime
) -> tuple[dict[str, Part], Counter[Drop]]:
    """By split, without empty ones, the rows of any format but votes; and the pairs that give none."""
    built = build_triplets(
        known.pairs,
        known.consensus,
        known.splits,
        run_id=run_id,
        now=now,
        models=known.models,
        judge_votes=judge_votes,
    )
    built = _without_identical(built, pairs_of_identical_answers(store))
    match shape:
        case Format.DPO:
            parts = {s: _preferences(store, built.of(s), export_row) for s in SPLITS}
        case Format.REWARD:
            strengths = _strengths(store, known, built.triplets)

            def with_margin(triplet: Triplet, texts: Texts) -> Row:
                return reward_row(triplet, texts, strengths.get(triplet.pair_id, []))

            parts = {s: _preferences(store, built.of(s), with_margin) for s in SPLITS}
        case Format.KTO:
            bad = _undecided(known, built, Verdict.BOTH_BAD, judge_votes=judge_votes)
            parts = {s: _signs(store, built.of(s), bad[s]) for s in SPLITS}
        case Format.RANKING:
            tied = _undecided(known, built, Verdict.TIE, judge_votes=judge_votes)
            ranked = _ranked(known, built, tied)
            parts = {s: _rankings(store, ranked[s]) for s in SPLITS}
        case Format.VOTES:
            raise AssertionError("votes are no settled pairs")
        case _:
            assert_never(shape)
    return {split.value: part for split, part in parts.items() if part.rows}, built.drops


def _without_identical(built: Built, identical: set[str]) -> Built:
    """Votes there are on such pairs, but nothing to learn."""
    kept = [t for t in built.triplets if t.pair_id not in identical]
    drops = built.drops.copy()
    if equal := len(built.triplets) - len(kept):
        drops[Drop.IDENTICAL] = equal
    return Built(triplets=kept, drops=drops)


def _preferences(
    store: Store, triplets: Sequence[Triplet], row: Callable[[Triplet, Texts], Row]
) -> Part:
    def made() -> Iterator[list[Row]]:
        for some in in_portions(triplets):
            texts = texts_of(store, some)
            yield [row(t, texts) for t in some]

    return Part(rows=len(triplets), portions=made())


def _signs(store: Store, triplets: Sequence[Triplet], bad: Sequence[Settled]) -> Part:
    def made() -> Iterator[list[Row]]:
        for some in in_portions(triplets):
            texts = texts_of(store, some)
            yield [row for t in some for row in kto_rows(t, texts)]
        for both in in_portions(bad):
            texts = _texts_of_pairs(store, [pair for pair, _ in both])
            yield [row for pair, found in both for row in both_bad_rows(pair, found, texts)]

    return Part(rows=2 * (len(triplets) + len(bad)), portions=made())


def _rankings(store: Store, ranked: Sequence[Ranked]) -> Part:
    def made() -> Iterator[list[Row]]:
        for some in in_portions(ranked, each=SEVERAL):
            texts = _texts_of_pairs(store, [pair for _, settled in some for pair, _ in settled])
            yield ranking_rows(dict(some), texts)

    return Part(rows=len(ranked), portions=made())


def _texts_of_pairs(store: Store, pairs: Sequence[Pair]) -> Texts:
    return texts_by_id(
        store, [p.prompt_id for p in pairs], [i for p in pairs for i in (p.first, p.second)]
    )


def _undecided(
    known: Known, built: Built, verdict: Verdict, *, judge_votes: bool
) -> dict[Split, list[Settled]]:
    """What ties and "both bad" are good for: half a win each for a ranking, signs for kto.

    By split; they are no longer counted as dropped.
    """
    used: dict[Split, list[Settled]] = {split: [] for split in SPLITS}
    for pair in known.pairs:
        found, split = known.standing(pair), known.splits[pair.prompt_id]
        if (
            found is not None
            and found.tier
            and found.verdict is verdict
            and (found.by_people or judge_votes)
            and pair.purpose is Purpose.TRAIN
            and split in used
        ):
            used[split].append((pair, found))
    count = built.drops.pop(Drop(verdict.value), 0)  # both have one name
    assert count == sum(map(len, used.values())), "every pair is used or dropped"
    return used


def _ranked(
    known: Known, built: Built, tied: Mapping[Split, Sequence[Settled]]
) -> dict[Split, list[Ranked]]:
    """By split each prompt with its settled pairs: ties first."""
    ranked: dict[Split, dict[str, list[tuple[Pair, float]]]] = {}
    for split in SPLITS:
        chosen = {t.pair_id for t in built.of(split)}
        settled = [*tied[split]]
        settled += [(p, s) for p in known.pairs if p.id in chosen and (s := known.standing(p))]
        found = ranked.setdefault(split, {})
        for pair, standing in settled:
            found.setdefault(pair.prompt_id, []).append((pair, standing.probability_first))
    return {split: list(found.items()) for split, found in ranked.items()}


def _strengths(
    store: Store, known: Known, triplets: Sequence[Triplet]
) -> dict[str, list[Strength]]:
    """By pair how much better those who voted for its verdict said that the answer is.

    Of people, or of models where only they judged.
    """
    tiers = {t.pair_id: t.tier for t in triplets}
    verdicts = {p.id: s.verdict for p in known.pairs if p.id in tiers and (s := known.standing(p))}
    strengths: dict[str, list[Strength]] = {}
    table = votes(store, purposes=[Purpose.TRAIN])
    table = table.select(["pair_id", "verdict", "kind", "strength"])
    for some in table.to_batches(max_chunksize=8192):
        columns = (column.to_pylist() for column in some.columns)
        for pair_id, verdict, kind, strength in zip(*columns, strict=True):
            by_model = kind == LabelerKind.MODEL.value
            if (
                strength
                and verdict == verdicts.get(pair_id)
                and by_model == (tiers[pair_id] is Tier.JUDGE)
            ):
                strengths.setdefault(pair_id, []).append(Strength(strength))
    return strengths
