"""How much labelers agree, on stored order, with ties as a verdict of their own.

Input is the votes table (one row per counting vote). A pair enters with two or more votes.
Intervals are 95 % percentile bootstrap intervals, resampling pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotate.config import Distribution
from annotate.consensus import planned_votes
from storage import judgments as judging
from storage.records import IMPORTED_VOTES, Purpose, Side, Verdict
from storage.store import Store

VERDICTS = [Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD]
MIN_PAIRS = 10  # below this there is "not enough data" instead of a number
RESAMPLES = 1000

Counts = npt.NDArray[np.float64]  # counts_P_V: votes per pair and verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic in its own unit with its interval; None where the data are too few.

    n: pairs that it rests on; where people are compared, those with two or more votes.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerAgreement:
    """One labeler against everybody else on the same pairs."""

    labeler: str
    votes: int
    median_seconds: float
    agreement: float | None  # share of vote pairs with others that agree
    vote_pairs: int
    left_share: float | None  # of the votes that prefer a side; 0.5 is unbiased


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """What `pairloop agreement` shows."""

    observed_agreement: Estimate
    observed_agreement_without_ties: Estimate
    alpha_nominal: Estimate
    judgments: int
    pairs: int
    labelers: list[LabelerAgreement]


def count_votes(table: pa.Table) -> Counts:
    """counts_P_V of the pairs in the table, columns in the order of VERDICTS."""
    if table.num_rows == 0:
        return np.zeros((0, len(VERDICTS)))
    pair = table["pair_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(pair.indices)
    columns = {v.value: i for i, v in enumerate(VERDICTS)}
    verdict = np.array([columns[v] for v in table["verdict"].to_pylist()])
    counts = np.zeros((len(pair.dictionary), len(VERDICTS)))
    np.add.at(counts, (codes, verdict), 1)
    return counts


def observed_agreement(counts_P_V: Counts) -> float:
    """Share of agreeing vote pairs among all vote pairs on the same pair; nan if there are none."""
    n_P = counts_P_V.sum(axis=1)
    agreeing = (counts_P_V * (counts_P_V - 1)).sum()
    possible = (n_P * (n_P - 1)).sum()
    return float(agreeing / possible) if possible else float("nan")


def alpha_nominal(counts_P_V: Counts) -> float:
    """Krippendorff's alpha, nominal (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability", section C).

    nan when no pair has two votes, and when every vote is the same: without variation there is
    nothing that chance could have got wrong, so the ratio is undefined.
    """
    return float(_alpha(_alpha_sums(counts_P_V).sum(axis=0)))


def _alpha_sums(counts_P_V: Counts) -> Counts:
    """Per pair: the agreeing share of its coincidences, then its pairable votes per verdict."""
    n_P = counts_P_V.sum(axis=1)
    pairable = n_P >= 2
    c, n = counts_P_V[pairable], n_P[pairable]
    agreeing = (c * (c - 1)).sum(axis=1) / (n - 1)
    return np.column_stack([agreeing, c])


def _alpha(sums: Counts) -> Counts:
    """Alpha of summed `_alpha_sums`; the last axis is [agreeing, votes per verdict...]."""
    agreeing, n_V = sums[..., 0], sums[..., 1:]
    n = n_V.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = 1 - agreeing / n
        expected = 1 - (n_V * (n_V - 1)).sum(axis=-1) / (n * (n - 1))
        result: Counts = np.where(expected > 0, 1 - observed / expected, np.nan)
    return result


def ratio(sums: Counts) -> Counts:
    """Sums of [numerator, denominator] as their ratio; the last axis is those two."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Counts = sums[..., 0] / sums[..., 1]
    return result


def estimate(
    per_pair: Counts, value_of: Callable[[Counts], Counts] = ratio, *, seed: int
) -> Estimate:
    """Point value and bootstrap interval of a function of sums over pairs."""
    n = len(per_pair)
    if n < MIN_PAIRS:
        return Estimate(value=None, low=None, high=None, n=n)
    rng = np.random.default_rng(seed)
    resampled = np.empty((RESAMPLES, per_pair.shape[1]))
    for i in range(RESAMPLES):
        weights = np.bincount(rng.integers(0, n, n), minlength=n)
        resampled[i] = weights @ per_pair
    point = float(value_of(per_pair.sum(axis=0)))
    draws = value_of(resampled)
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(point) or not len(draws):
        return Estimate(value=None, low=None, high=None, n=n)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value=point, low=float(low), high=float(high), n=n)


def agreement_estimate(counts_P_V: Counts, *, seed: int = 0) -> Estimate:
    """Observed agreement with its interval."""
    n_P = counts_P_V.sum(axis=1)
    c, n = counts_P_V[n_P >= 2], n_P[n_P >= 2]
    sums = np.column_stack([(c * (c - 1)).sum(axis=1), n * (n - 1)])
    return estimate(sums, seed=seed)


def alpha_estimate(counts_P_V: Counts, *, seed: int = 0) -> Estimate:
    """Krippendorff's nominal alpha with its interval."""
    return estimate(_alpha_sums(counts_P_V), _alpha, seed=seed)


def report_of(table: pa.Table, *, seed: int = 0) -> AgreementReport:
    """The report of a votes table (storage.judgments.votes)."""
    counts = count_votes(table)
    return AgreementReport(
        observed_agreement=agreement_estimate(counts, seed=seed),
        observed_agreement_without_ties=agreement_estimate(counts[:, :2], seed=seed),
        alpha_nominal=alpha_estimate(counts, seed=seed),
        judgments=table.num_rows,
        pairs=len(counts),
        labelers=_per_labeler(table),
    )


def agreement_report(
    store: Store, config: Distribution, *, round_number: int | None = None
) -> AgreementReport:
    """Agreement of people on training and evaluation pairs, of one round or of all.

    Tie-breaking votes are left out: they are asked for only where the first ones differ, so
    counting them would make people look less agreed than they are.
    """
    table = judging.votes(store, purposes=[Purpose.TRAIN, Purpose.EVALUATION])
    keep = np.array([kind != "model" for kind in table["kind"].to_pylist()], dtype=bool)
    if config.tie_breaker or config.stop_at is not None:
        keep &= np.asarray(table["place"]) <= _unprompted_votes(table, config)
    if round_number is not None:
        keep &= np.asarray(table["round"]) == round_number
    return report_of(table.filter(pa.array(keep, type=pa.bool_())))


def _unprompted_votes(table: pa.Table, config: Distribution) -> Counts:
    """Per vote, how many votes its pair was to get however they turned out."""
    pairs = zip(*(table[c].to_pylist() for c in ("pair_id", "purpose", "strategy")), strict=True)
    limits: list[float] = []
    for pair_id, purpose, strategy in pairs:
        if strategy == IMPORTED_VOTES:
            limits.append(np.inf)
            continue
        planned = planned_votes(pair_id, Purpose(purpose), strategy, config)
        # Stopping on the posterior asks on where votes differ: the first two are free of that.
        limits.append(min(planned, 2) if config.stop_at is not None else planned)
    return np.array(limits, dtype=np.float64)


def _per_labeler(table: pa.Table) -> list[LabelerAgreement]:
    frame = table.select(["pair_id", "labeler", "verdict", "seconds", "first_side"]).to_pandas()
    sizes = frame.groupby("pair_id")["verdict"].transform("size")
    same = frame.groupby(["pair_id", "verdict"])["verdict"].transform("size")
    frame = frame.assign(others=sizes - 1, agreeing=same - 1)
    sided = frame[frame["verdict"].isin([Verdict.FIRST.value, Verdict.SECOND.value])]
    on_left = (sided["verdict"] == Verdict.FIRST.value) == (sided["first_side"] == Side.LEFT.value)
    found = []
    for labeler, group in frame.groupby("labeler"):
        others = int(group["others"].sum())
        left = on_left[sided["labeler"] == labeler]
        found.append(
            LabelerAgreement(
                labeler=str(labeler),
                votes=len(group),
                median_seconds=float(group["seconds"].median()),
                agreement=float(group["agreeing"].sum()) / others if others else None,
                vote_pairs=others,
                left_share=float(left.mean()) if len(left) else None,
            )
        )
    return found
