"""How far each labeler's votes can be relied on, what sways them, and how strong the policies are.

All of it comes from the votes of people on training and evaluation pairs, tie-breaking votes among
them: which pairs get those follows from votes that count already, so the models' likelihood stands.
Agreement with others and the test against the crowd are the agreement report's, which leaves them
out. The models are fitted anew each time (seconds over a million votes): pages ask
annotate/agreement_kept.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from annotate.agreement import (
    FALSE_ALARMS,
    AgreementReport,
    LabelerAgreement,
    counted_votes,
    report_of,
    votes_to_count,
)
from annotate.config import Distribution
from annotate.labeler_quality import LabelerQuality, judged
from annotate.people_stats import PersonRow, people_rows
from annotate.policy_ratings import PolicyRatings, rate_policies
from annotate.quality_words import LEAST_VOTES
from annotate.stats.ability import fit_abilities
from annotate.stats.bias import Bias, Effect, fit_bias
from annotate.stats.dawid_skene import dawid_skene
from annotate.stats.estimate import Estimate, Floats, Measured
from annotate.stats.labelers import Consistency, consistency_of, share_of
from annotate.stats.style import in_typical_units, style_differences, styles_of
from annotate.stats.votes import FIRST, SECOND, Votes, verdict_codes
from annotate.votes_table import VotesTable, codes_of, votes_of_table
from storage import judgments as judging
from storage.imports import imported_policies
from storage.policies import policies
from storage.quality import judged_pairs, judged_texts, repeat_verdicts
from storage.records import IMPORTED_ROUND
from storage.store import Store

STYLES = ("length", "formatting")  # formatting: headings, list items, bold passages, code blocks
EASED = 1e-7  # tolerance of the model fit: accuracies are off by less than half their error
TEXTS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """bias: side, length, formatting over all votes for an answer, of which there are bias_votes.

    typical: how often a typical labeler prefers the better answer; None while nobody can tell.
    agreement: without ties; with the ratings' decided votes it is what sample sizes go by
    (annotate/stats/sizes.py).
    """

    labelers: list[LabelerQuality]
    typical: float | None
    bias: tuple[Effect, ...]
    bias_votes: int
    ratings: PolicyRatings
    agreement: Estimate
    votes: int
    pairs: int


def quality_of(
    store: Store, config: Distribution, *, known: tuple[pa.Table, AgreementReport] | None = None
) -> Quality:
    """Quality of a store's labelers under these settings.

    known: votes_to_count and the report on agreement, where they were read already.
    """
    with store.connected():
        answers = judged_pairs(store)
        if known is None:
            votes = votes_to_count(store)
            known = votes, report_of(counted_votes(votes, config).table)
        votes, report = known
        return quality_from(
            votes_of_table(judging.by_people(votes)),
            report=report,
            people={row.name: row for row in people_rows(store, config)},
            repeats=repeat_verdicts(store),
            answers=answers,
            counts=style_counts(store, answers=2 * answers.num_rows),
            policy_names=policy_names(store),
        )


def quality_from(
    table: VotesTable,
    *,
    report: AgreementReport,
    people: Mapping[str, PersonRow],
    repeats: pa.Table,
    answers: pa.Table,
    counts: tuple[list[str], Floats],
    policy_names: Mapping[str, str],
) -> Quality:
    """Pure: quality from what `quality_of` read.

    answers: storage.quality.judged_pairs. counts: answers' ids and style_of their texts.
    """
    votes = table.votes
    style_P_F, policies_P = _about_pairs(table.pair_ids, answers, counts)
    bias = _bias(table, style_P_F)
    accuracy_L, ability_L, right_L, shared_L = _reliability(votes)
    enough = [
        r.value
        for r, n in zip(right_L, shared_L, strict=True)
        if r is not None and n >= LEAST_VOTES
    ]
    typical = float(np.median(enough)) if enough else None
    effects = {b.labeler: b.effects for b in bias.by_labeler}
    sided = {int(i) for i in votes.labeler_N[~np.isnan(table.first_left_N)]}
    agreed = {a.labeler: a for a in report.labelers}
    again = _consistency(repeats)
    z = NormalDist().inv_cdf(1 - FALSE_ALARMS / 2 / max(1, len(table.labelers)))
    found = []
    votes_L = np.bincount(votes.labeler_N, minlength=votes.labelers)
    for i, name in enumerate(table.labelers):
        side, *own = effects.get(i, (None, None, None))
        known = _Known(agreed.get(name), people.get(name), again.get(name))
        one = LabelerQuality(
            labeler=name,
            votes=int(votes_L[i]),
            shared=int(shared_L[i]),
            median_seconds=known.agreed.median_seconds if known.agreed else None,
            too_fast=known.person.too_fast if known.person else None,
            against_rest=known.agreed.against_rest if known.agreed else Estimate.none(0),
            accuracy=accuracy_L[i],
            ability=ability_L[i],
            right=right_L[i],
            side=side if i in sided else None,
            length=own[0],
            formatting=own[1],
            consistency=known.again.same if known.again else Estimate.none(0),
            repeats_turned=known.again.turned if known.again else 0,
            gold=share_of(known.person.gold_right, known.person.gold_total)
            if known.person
            else Estimate.none(0),
            crowd_votes=known.agreed.crowd_votes if known.agreed else 0,
            crowd_alarm_at=known.agreed.crowd_alarm_at if known.agreed else None,
            findings=(),
            weight=1.0,
            verdict="",
        )
        hasty = known.person is not None and known.person.hasty
        found.append(judged(one, overall=bias.overall, typical=typical, hasty=hasty, z=z))
    return Quality(
        labelers=sorted(found, key=lambda q: (-q.votes, q.labeler)),
        typical=typical,
        bias=bias.overall if bias.votes else (),
        bias_votes=bias.votes,
        ratings=_ratings(votes, style_P_F, policies_P, policy_names),
        agreement=report.observed_agreement_without_ties,
        votes=len(votes),
        pairs=votes.pairs,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a labeler elsewhere."""

    agreed: LabelerAgreement | None
    person: PersonRow | None
    again: Consistency | None


def _reliability(
    votes: Votes,
) -> tuple[list[Measured | None], list[Measured | None], list[Measured | None], list[int]]:
    """Accuracy, ability, chance of being right, and the votes they rest on, by labeler.

    Pairs with one vote tell nothing of who gave it and are left out.
    """
    on_pair = np.bincount(votes.pair_N, minlength=votes.pairs)
    shared = votes.only(on_pair[votes.pair_N] > 1)
    met, pair_N = np.unique(shared.pair_N, return_inverse=True)
    if not len(met):
        nothing: list[Measured | None] = [None] * votes.labelers
        return nothing, nothing, nothing, [0] * votes.labelers
    shared = replace(shared, pair_N=pair_N, pairs=len(met))
    skene = dawid_skene(
        pair_N,
        shared.labeler_N,
        shared.verdict_N,
        classes=4,
        labelers=votes.labelers,
        tolerance=EASED,
    )
    fit = fit_abilities(shared)
    enough_L = skene.votes_L >= LEAST_VOTES
    return (
        _measured(np.where(enough_L, skene.accuracy_L, np.nan), skene.accuracy_error_L),
        _measured(np.where(enough_L, fit.ability_L, np.nan), fit.error_L),
        _measured(np.where(enough_L, fit.accuracy_L, np.nan), fit.accuracy_error_L),
        [int(n) for n in skene.votes_L],
    )


def _measured(value_L: Floats, error_L: Floats) -> list[Measured | None]:
    return [
        Measured(value=float(v), error=float(e)) if np.isfinite(v) and np.isfinite(e) else None
        for v, e in zip(value_L, error_L, strict=True)
    ]


def _bias(table: VotesTable, style_P_F: Floats) -> Bias:
    votes = table.votes
    sided = votes.verdict_N <= SECOND
    return fit_bias(
        votes.verdict_N[sided] == FIRST,
        votes.pair_N[sided],
        votes.labeler_N[sided],
        table.first_left_N[sided],
        style_N_F=style_P_F[votes.pair_N[sided]],
        styles=STYLES,
        own_styles=len(STYLES),
    )


def _consistency(repeats: pa.Table) -> dict[str, Consistency]:
    labeler_R, names = codes_of(repeats["labeler"])
    before, now = (verdict_codes(repeats[c].to_pylist()) for c in ("before", "now"))
    return {names[c.labeler]: c for c in consistency_of(labeler_R, before, now)}


def _about_pairs(
    pair_ids: Sequence[str], answers: pa.Table, counts: tuple[list[str], Floats]
) -> tuple[Floats, list[tuple[str, str, str]]]:
    """Style differences in typical units, and (prompt, first policy, second policy), by pair."""
    ids, counted = counts
    row_of = {answer: i for i, answer in enumerate(ids)}
    columns = ("pair_id", "prompt_id", "first", "second", "first_policy", "second_policy")
    rows = zip(*(answers[c].to_pylist() for c in columns), strict=True)
    about = {pair_id: rest for pair_id, *rest in rows}
    ordered = [about[pair_id] for pair_id in pair_ids]
    first, second = (
        counted[np.array([row_of[r[k]] for r in ordered], dtype=np.int64)] for k in (1, 2)
    )
    differences = style_differences(first, second)
    return in_typical_units(differences)[0], [(r[0], r[3], r[4]) for r in ordered]


def _ratings(
    votes: Votes,
    style_P_F: Floats,
    about_P: Sequence[tuple[str, str, str]],
    names: Mapping[str, str],
) -> PolicyRatings:
    known = sorted({p for _, *both in about_P for p in both})
    place = {p: i for i, p in enumerate(known)}
    prompts = {p: i for i, p in enumerate(dict.fromkeys(prompt for prompt, *_ in about_P))}
    columns = np.array(
        [(place[f], place[s], prompts[p]) for p, f, s in about_P], dtype=np.int64
    ).reshape(-1, 3)
    first, second, prompt = columns.T
    return rate_policies(
        [names.get(p, p) for p in known],
        first,
        second,
        votes.counts(),
        prompt,
        style_P_F,
        styles=STYLES,
    )


def style_counts(store: Store, *, answers: int) -> tuple[list[str], Floats]:
    """Ids of the answers people judged, and their length and number of formatting marks.

    answers: how many there are at most.
    """
    ids: list[str] = []
    counts: list[Floats] = [np.empty((0, 2))]
    for own, texts in judged_texts(store, parts=1 + answers // TEXTS_AT_ONCE):
        ids += own
        found = styles_of(texts)
        counts.append(np.column_stack([found[:, 0], found[:, 1:].sum(axis=1)]))
    return ids, np.concatenate(counts)


def policy_names(store: Store) -> dict[str, str]:
    """What people call each policy, by id."""
    return {
        p.id: p.base_model if p.round == IMPORTED_ROUND else f"round {p.round}"
        for p in [*policies(store), *imported_policies(store)]
    }
