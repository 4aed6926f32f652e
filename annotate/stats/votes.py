"""The votes as arrays: one row per labeler and pair, in the pair's stored order.

pair  labeler  verdict  level
0     2        FIRST    +3      strongly for the first answer
0     5        TIE       0
1     2        SECOND   -2      strength not said: taken as clear
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import Floats, Ints
from storage.records import Strength, Verdict

VERDICTS = (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD)
FIRST, SECOND, TIE, BOTH_BAD = range(4)
DEGREE = {Strength.SLIGHT: 1, Strength.CLEAR: 2, Strength.STRONG: 3}
NOT_SAID = 2  # a missing strength counts as clear
LEVELS = 7  # -3 .. +3


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Votes sorted by pair, then labeler; codes count from 0.

    level_N: -3 strongly second .. 0 tie .. +3 strongly first; 0 too for both-bad, which has none.
    kept_N: which of the rows given each vote is, to bring other columns along.
    repeated: rows left out because their labeler has a later one on the same pair.
    """

    pair_N: npt.NDArray[np.int64]
    labeler_N: npt.NDArray[np.int64]
    verdict_N: npt.NDArray[np.int64]
    level_N: npt.NDArray[np.int64]
    kept_N: npt.NDArray[np.int64]
    pairs: int
    labelers: int
    repeated: int

    def __len__(self) -> int:
        return len(self.pair_N)

    def only(self, keep_N: npt.NDArray[np.bool_]) -> "Votes":
        """A slice of the votes, with the same codes of pairs and labelers."""
        return replace(
            self,
            pair_N=self.pair_N[keep_N],
            labeler_N=self.labeler_N[keep_N],
            verdict_N=self.verdict_N[keep_N],
            level_N=self.level_N[keep_N],
            kept_N=self.kept_N[keep_N],
        )

    def counts(self) -> Floats:
        """counts_P_V: votes per pair and verdict, columns in the order of VERDICTS."""
        flat = np.bincount(self.pair_N * 4 + self.verdict_N, minlength=self.pairs * 4)
        return flat.reshape(self.pairs, 4).astype(np.float64)

    def level_counts(self) -> Floats:
        """counts_P_7: votes per pair and level -3 .. +3; both-bad has no level and is left out."""
        has = self.verdict_N != BOTH_BAD
        cell = self.pair_N[has] * LEVELS + self.level_N[has] + 3
        flat = np.bincount(cell, minlength=self.pairs * LEVELS)
        return flat.reshape(self.pairs, LEVELS).astype(np.float64)


def votes_of(
    pair_N: npt.ArrayLike,
    labeler_N: npt.ArrayLike,
    verdict_N: npt.ArrayLike,
    *,
    degree_N: npt.ArrayLike | None = None,
    pairs: int | None = None,
    labelers: int | None = None,
) -> Votes:
    """Votes of codes; of several rows of one labeler on one pair the last given counts.

    verdict_N: places in VERDICTS. degree_N: 1 slight, 2 clear, 3 strong, 0 not said.
    pairs, labelers: how many there are, where some of them have no vote.
    """
    pair, labeler, verdict = (np.asarray(a, dtype=np.int64) for a in (pair_N, labeler_N, verdict_N))
    pairs = int(pair.max(initial=-1)) + 1 if pairs is None else pairs
    labelers = int(labeler.max(initial=-1)) + 1 if labelers is None else labelers
    order = np.argsort(pair * max(labelers, 1) + labeler, kind="stable")
    key = (pair * max(labelers, 1) + labeler)[order]
    last = np.append(key[1:] != key[:-1], [True] * bool(len(key))).astype(bool)
    kept = order[last]
    pair, labeler, verdict = pair[kept], labeler[kept], verdict[kept]
    degree = np.full(len(kept), NOT_SAID)
    if degree_N is not None:
        said = np.asarray(degree_N, dtype=np.int64)[kept]
        degree = np.where(said > 0, said, NOT_SAID)
    side = np.array([1, -1, 0, 0])[verdict]
    return Votes(
        pair_N=pair,
        labeler_N=labeler,
        verdict_N=verdict,
        level_N=side * degree,
        kept_N=kept,
        pairs=pairs,
        labelers=labelers,
        repeated=len(order) - len(kept),
    )


def verdict_codes(verdicts: Sequence[str]) -> Ints:
    """Places in VERDICTS; a skip is none and raises KeyError."""
    places = {v.value: i for i, v in enumerate(VERDICTS)}
    return np.array([places[v] for v in verdicts], dtype=np.int64)


def degree_codes(strengths: Sequence[str | None]) -> Ints:
    """1 slight, 2 clear, 3 strong, 0 not said."""
    degrees: dict[str | None, int] = {s.value: d for s, d in DEGREE.items()}
    return np.array([degrees.get(s, 0) for s in strengths], dtype=np.int64)


def meeting_votes(pair_N: Ints) -> tuple[Ints, Ints]:
    """Every two votes on the same pair once, as row numbers: earlier_M, later_M.

    pair_N is sorted. A pair with n votes gives n (n - 1) / 2 rows.
    """
    earlier, later = [], []
    at = np.arange(len(pair_N), dtype=np.int64)
    for step in range(1, len(pair_N)):
        at = at[at + step < len(pair_N)]
        at = at[pair_N[at] == pair_N[at + step]]
        if not len(at):
            break
        earlier.append(at)
        later.append(at + step)
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *earlier]), np.concatenate([empty, *later])
