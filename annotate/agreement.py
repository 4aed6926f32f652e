"""How much people agree: which votes enter, and what annotate/stats makes of them.

Votes are compared in the pair's stored order, with ties as a verdict of their own. A figure that
rests on fewer than MIN_PAIRS pairs with two votes is None.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotate.config import Distribution
from annotate.consensus import planned_votes
from annotate.stats.coefficients import agreement_of
from annotate.stats.consensus_model import crowd_tests, flip_rate
from annotate.stats.estimate import Estimate, Floats
from annotate.stats.labelers import against_rest, labeler_matrix, share_of
from annotate.stats.votes import Votes
from annotate.votes_table import VotesTable, codes_of, votes_of_table
from storage import judgments as judging
from storage.records import IMPORTED_VOTES, Purpose
from storage.store import Store

FALSE_ALARMS = 0.01  # the chance that the test against the crowd accuses anybody wrongly, in all
MATRIX_LABELERS = 100  # with more, those with the most votes


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerAgreement:
    """One labeler against everybody else on the same pairs.

    median_seconds: None where all votes were imported without a time.
    agreement: share of vote pairs with others that agree; against_rest has it with its interval,
    over the pairs shared with others, and kappa has it beyond chance.
    crowd_alarm_at: after how many of the crowd_votes tested the votes no longer passed for the
    crowd's; crowd_evidence: how many times likelier than the crowd's votes they are now.
    """

    labeler: str
    votes: int
    median_seconds: float | None
    agreement: float | None
    vote_pairs: int
    against_rest: Estimate
    kappa: float | None
    left_share: float | None  # of the votes that prefer a side; 0.5 is unbiased
    preferred_left: Estimate  # the same with its interval
    crowd_votes: int
    crowd_alarm_at: int | None
    crowd_evidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Labeler by labeler, symmetric; None on the diagonal and below MIN_PAIRS shared pairs."""

    labelers: list[str]
    shared: list[list[int]]
    agreement: list[list[float | None]]
    kappa: list[list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """What `pairloop agreement` shows.

    both_bad: votes that the ordinal alpha leaves out, because they have no place on its scale.
    flip_rate: how often one vote is wrong, from the agreement without ties.
    """

    observed_agreement: Estimate
    observed_agreement_without_ties: Estimate
    alpha_nominal: Estimate
    alpha_ordinal: Estimate
    fleiss_kappa: Estimate
    gwet_ac1: Estimate
    flip_rate: Estimate
    judgments: int
    pairs: int
    both_bad: int
    labelers: list[LabelerAgreement]
    matrix: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedVotes:
    """Rows of storage.judgments.votes that tell agreement, and how many others do not, by reason."""

    table: pa.Table
    left_out: dict[str, int]


def votes_to_count(store: Store) -> pa.Table:
    """All votes on training and evaluation pairs, of people and models (storage.judgments.votes)."""
    return judging.votes(store, purposes=[Purpose.TRAIN, Purpose.EVALUATION])


def counted_votes(
    table: pa.Table, config: Distribution, *, round_number: int | None = None
) -> CountedVotes:
    """Of those the votes of people, of one round or of all.

    Tie-breaking votes are left out: they are asked for only where the first ones differ, so
    counting them would make people look less agreed than they are.
    """
    left_out = {}

    def keep(reason: str, kept: pa.Table) -> None:
        nonlocal table
        left_out[reason] = table.num_rows - kept.num_rows
        table = kept

    keep("of_models", judging.by_people(table))
    if round_number is not None:
        keep("of_other_rounds", table.filter(pc.equal(table["round"], round_number)))
    if config.tie_breaker or config.stop_at is not None:
        unprompted = np.asarray(table["place"]) <= _unprompted_votes(table, config)
        keep("tie_breaking", table.filter(pa.array(unprompted, type=pa.bool_())))
    return CountedVotes(table=table, left_out=left_out)


def agreement_report(
    store: Store, config: Distribution, *, round_number: int | None = None
) -> AgreementReport:
    """Agreement of people on training and evaluation pairs, of one round or of all."""
    votes = votes_to_count(store)
    return report_of(counted_votes(votes, config, round_number=round_number).table)


def report_of(table: pa.Table, *, seed: int = 0) -> AgreementReport:
    """The report of a votes table (storage.judgments.votes), all of whose rows count."""
    return report_on(votes_of_table(table), table, seed=seed)


def report_on(seen: VotesTable, table: pa.Table, *, seed: int = 0) -> AgreementReport:
    """The same where the table's votes are arrays already."""
    votes, names = seen.votes, seen.labelers
    found = agreement_of(votes, seed=seed)
    return AgreementReport(
        observed_agreement=found.observed_agreement,
        observed_agreement_without_ties=found.observed_agreement_without_ties,
        alpha_nominal=found.alpha_nominal,
        alpha_ordinal=found.alpha_ordinal,
        fleiss_kappa=found.fleiss_kappa,
        gwet_ac1=found.gwet_ac1,
        flip_rate=flip_rate(found.observed_agreement_without_ties),
        judgments=found.judgments,
        pairs=found.pairs,
        both_bad=found.both_bad,
        labelers=_per_labeler(
            table, seen, project=found.observed_agreement_without_ties.value, seed=seed
        ),
        matrix=_matrix(votes, names),
    )


def _unprompted_votes(table: pa.Table, config: Distribution) -> Floats:
    """Per vote, how many votes its pair was to get however they turned out."""
    pair_N, ids = codes_of(table["pair_id"])
    _, at_P = np.unique(pair_N, return_index=True)
    about = table.select(["purpose", "strategy"]).take(at_P)
    limit_P = np.full(len(ids), np.inf)
    rows = zip(ids, about["purpose"].to_pylist(), about["strategy"].to_pylist(), strict=True)
    for p, (pair_id, purpose, strategy) in enumerate(rows):
        if strategy != IMPORTED_VOTES:
            planned = planned_votes(pair_id, Purpose(purpose), strategy, config)
            # Stopping on the posterior asks on where votes differ: the first two are free of that.
            limit_P[p] = min(planned, 2) if config.stop_at is not None else planned
    return np.asarray(limit_P[pair_N])


def _per_labeler(
    table: pa.Table, seen: VotesTable, *, project: float | None, seed: int
) -> list[LabelerAgreement]:
    """project: the agreement without ties that the test against the crowd supposes; None: no test."""
    votes, names = seen.votes, seen.labelers
    rest = against_rest(votes, seed=seed)
    made_at = np.asarray(table["created_at"].cast(pa.timestamp("us")).cast(pa.int64()))
    tests = (
        crowd_tests(
            votes,
            agreement=project,
            order_N=made_at[votes.kept_N],
            alpha=FALSE_ALARMS / max(1, len(names)),
        )
        if project is not None
        else {}
    )
    seconds_N = np.asarray(table["seconds"], dtype=np.float64)[votes.kept_N]
    strategy_N = pc.equal(table["strategy"], IMPORTED_VOTES)
    imported_N = np.asarray(strategy_N.combine_chunks(), dtype=bool)[votes.kept_N]
    timed_N = ~(imported_N & (seconds_N == 0))
    turned = np.array([1, -1, 0, 0])[votes.verdict_N]
    chosen_N = np.nan_to_num(turned * (2 * seen.first_left_N - 1))  # 1 left, -1 right
    order = np.argsort(votes.labeler_N, kind="stable")
    ends = np.cumsum(np.bincount(votes.labeler_N, minlength=votes.labelers))
    found = []
    for one in rest:
        own = order[ends[one.labeler] - one.votes : ends[one.labeler]]
        seconds, chosen = seconds_N[own][timed_N[own]], chosen_N[own]
        sided, left = int((chosen != 0).sum()), int((chosen == 1).sum())
        test = tests.get(one.labeler)
        found.append(
            LabelerAgreement(
                labeler=names[one.labeler],
                votes=one.votes,
                median_seconds=float(np.median(seconds)) if len(seconds) else None,
                agreement=one.agreeing / one.vote_pairs if one.vote_pairs else None,
                vote_pairs=one.vote_pairs,
                against_rest=one.agreement,
                kappa=one.kappa,
                left_share=left / sided if sided else None,
                preferred_left=share_of(left, sided),
                crowd_votes=len(test.log_evidence_N) if test else 0,
                crowd_alarm_at=test.alarm_at if test else None,
                crowd_evidence=test.evidence if test else None,
            )
        )
    return found


def _matrix(votes: Votes, names: list[str]) -> Matrix:
    found = labeler_matrix(votes, most=MATRIX_LABELERS)
    return Matrix(
        labelers=[names[i] for i in found.labeler_L],
        shared=found.shared_L_L.tolist(),
        agreement=_known(found.agreement_L_L),
        kappa=_known(found.kappa_L_L),
    )


def _known(values_L_L: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(x) else float(x) for x in row] for row in values_L_L]
