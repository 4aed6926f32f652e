"""Dawid and Skene's model of a project's people: who says what when what is true.

Which answer of a pair is called the first is arbitrary, so every pair is fitted together with its
mirror image: nobody is then taken to favour first answers, and calling the answers of any pairs the
other way round changes nothing but the names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotate.stats.dawid_skene import TINY, dawid_skene
from annotate.stats.estimate import Floats
from annotate.stats.votes import VERDICTS, Votes
from storage.records import Verdict

MODEL_PAIRS = 50  # with two votes or more; with fewer the model knows nobody well enough
FIT_PAIRS = 20_000  # at most, by id, which is a hash: more make nobody much better known
TOLERANCE = 1e-7  # of the log-likelihood; posteriors then rest to the third digit
CODES: Mapping[Verdict, int] = {v: i for i, v in enumerate(VERDICTS)}
_MIRROR = np.array([1, 0, 2, 3])  # each verdict's code once the answers change places


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelModel:
    """Verdicts in the order of VERDICTS.

    confusion: per labeler, [true, said]; anybody: everybody's together, for people it does not know.
    """

    prior_K: Floats
    confusion: Mapping[str, Floats]
    anybody: Floats

    def posterior(self, said: Iterable[tuple[str, Verdict]]) -> Floats:
        """How probable each verdict is after these labelers' votes on one pair."""
        rows = sorted((who, CODES[verdict]) for who, verdict in said)  # one order, one sum
        likely = [self.confusion.get(who, self.anybody)[:, code] for who, code in rows]
        return np.asarray(_shares(_log(np.stack([self.prior_K, *likely])).sum(axis=0)[None])[0])

    def posteriors(self, votes: Votes, labelers: Sequence[str]) -> Floats:
        """The same for all pairs at once: posterior_P_K. labelers: the names behind the codes."""
        if not labelers:
            return np.tile(self.prior_K, (votes.pairs, 1))
        log_L_K_V = _log(np.stack([self.confusion.get(who, self.anybody) for who in labelers]))
        sums = [
            np.bincount(votes.pair_N, log_L_K_V[votes.labeler_N, k, votes.verdict_N], votes.pairs)
            for k in range(len(VERDICTS))
        ]
        return _shares(np.column_stack(sums) + _log(self.prior_K))


def fit_labels(votes: Votes, labelers: Sequence[str]) -> LabelModel | None:
    """The model of these votes; None where fewer than MODEL_PAIRS pairs have two."""
    several = np.bincount(votes.pair_N, minlength=votes.pairs) > 1
    if several.sum() < MODEL_PAIRS:
        return None
    several &= np.cumsum(several) <= FIT_PAIRS
    used = votes.only(several[votes.pair_N])
    pair_N = (np.cumsum(several) - 1)[used.pair_N]
    pairs = int(several.sum())
    fit = dawid_skene(
        np.concatenate([pair_N, pair_N + pairs]),
        np.tile(used.labeler_N, 2),
        np.concatenate([used.verdict_N, _MIRROR[used.verdict_N]]),
        classes=len(VERDICTS),
        items=2 * pairs,
        labelers=len(labelers),
        tolerance=TOLERANCE,
    )
    known = fit.votes_L > 0
    return LabelModel(
        prior_K=fit.prior_K,
        confusion={labelers[i]: fit.confusion_L_K_V[i] for i in np.flatnonzero(known)},
        anybody=np.average(fit.confusion_L_K_V[known], axis=0, weights=fit.votes_L[known]),
    )


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, TINY)))


def _shares(log_P_K: Floats) -> Floats:
    weight = np.exp(log_P_K - log_P_K.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
