"""Who is right how often, where nobody knows what is right: Dawid and Skene's model.

Each item (a pair) has one true class, each labeler a confusion matrix; both are estimated together
by EM (Dawid and Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm", section 2). A labeler may label an item more than once. The simpler `one_coin` gives each
labeler one accuracy and takes all wrong answers for equally likely.
Items differ in difficulty, which neither model knows: annotate/stats/ability.py does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import Floats, Ints

TINY = 1e-300  # a probability of 0 whose logarithm is still a number
PLAIN = 60  # rounds of EM as published before the first leap; most votes need no more


@dataclass(frozen=True, slots=True, kw_only=True)
class DawidSkene:
    """confusion_L_K_V: how often labeler l says v where k is true; its rows sum to 1.

    error_L_K_V: standard errors from the expected information of the labels: sqrt(p (1 - p) / n),
    n being the expected number of items of class k that l labeled. They leave out that the true
    classes are estimated too, so they are lower bounds; nan where n is 0.
    accuracy_L: chance of the true class, over items as they come; with its standard error.
    log_likelihood: after each round of EM; without smoothing it never falls.
    """

    posterior_P_K: Floats
    prior_K: Floats
    confusion_L_K_V: Floats
    error_L_K_V: Floats
    accuracy_L: Floats
    accuracy_error_L: Floats
    votes_L: Ints
    log_likelihood: list[float]
    converged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCoin:
    """accuracy_L: how often labeler l says what is true; nan without votes.

    error_L: standard errors from the observed information (Louis 1982, section 3), which counts
    that the true classes are not known; nan where the votes tell nothing about l.
    """

    posterior_P_K: Floats
    prior_K: Floats
    accuracy_L: Floats
    error_L: Floats
    votes_L: Ints
    log_likelihood: list[float]
    converged: bool


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels as codes, with the sums that EM needs of them."""

    item_N: Ints
    cell_N: Ints  # labeler * classes + label
    items: int
    labelers: int
    classes: int

    def prior(self, posterior_P_K: Floats) -> Floats:
        """Shares of the classes among the items that have a label; even ones if none has."""
        labeled = np.bincount(self.item_N, minlength=self.items) > 0
        even = np.full(self.classes, 1 / self.classes)
        return posterior_P_K[labeled].mean(axis=0) if labeled.any() else even

    def per_item(self, table_L_K_V: Floats) -> Floats:
        """Sum over an item's labels of table[labeler, k, label]: sums_P_K."""
        columns = [
            np.bincount(self.item_N, table_L_K_V[:, k].ravel()[self.cell_N], self.items)
            for k in range(table_L_K_V.shape[1])
        ]
        return np.column_stack(columns)

    def per_labeler(self, weight_P_K: Floats) -> Floats:
        """Sum over labels of their item's weights, by labeler, class and label: sums_L_K_V."""
        size = self.labelers * self.classes
        columns = [
            np.bincount(self.cell_N, np.ascontiguousarray(weight_P_K[:, k])[self.item_N], size)
            for k in range(weight_P_K.shape[1])
        ]
        shaped = [c.reshape(self.labelers, self.classes) for c in columns]
        return np.stack(shaped, axis=1)

    def shares(self) -> Floats:
        """The start: each item's share of labels per class; items without labels are undecided."""
        flat = np.bincount(
            self.item_N * self.classes + self.cell_N % self.classes,
            minlength=self.items * self.classes,
        ).reshape(self.items, self.classes)
        total = flat.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, flat / np.maximum(total, 1), 1 / self.classes))


def dawid_skene(
    item_N: npt.ArrayLike,
    labeler_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    *,
    classes: int,
    items: int | None = None,
    labelers: int | None = None,
    smoothing: float = 1.0,
    iterations: int = 500,
    tolerance: float = 1e-8,
) -> DawidSkene:
    """Fit the model to sparse labels given as codes from 0.

    smoothing: labels that each row of each confusion matrix is given beforehand, spread evenly over
    the classes; 0 is the paper's maximum likelihood, under which few labels look certain.
    tolerance: stop when the log-likelihood, with what smoothing adds to it, rises by less than this
    share of itself.
    """
    labels = _labels(item_N, labeler_N, label_N, classes, items, labelers)

    def maximise(posterior_P_K: Floats) -> tuple[Floats, Floats]:
        counts_L_K_V = labels.per_labeler(posterior_P_K) + smoothing / classes
        total = counts_L_K_V.sum(axis=2, keepdims=True)
        confusion = np.where(total > 0, counts_L_K_V / np.maximum(total, TINY), 1 / classes)
        return confusion, labels.prior(posterior_P_K)

    def added(confusion_L_K_V: Floats) -> float:
        return float(np.log(np.maximum(confusion_L_K_V, TINY)).sum()) * smoothing / classes

    fit = _em(labels, maximise, added, iterations=iterations, tolerance=tolerance)
    posterior_P_K, prior_K, confusion, trace, converged = fit
    n_L_K = labels.per_labeler(posterior_P_K).sum(axis=2) + smoothing
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(confusion * (1 - confusion) / n_L_K[:, :, None])
    right_L_K = np.diagonal(confusion, axis1=1, axis2=2)
    error_L_K = np.diagonal(error, axis1=1, axis2=2)
    votes_L = np.bincount(labels.cell_N // classes, minlength=labels.labelers)
    used = votes_L > 0
    return DawidSkene(
        posterior_P_K=posterior_P_K,
        prior_K=prior_K,
        confusion_L_K_V=confusion,
        error_L_K_V=np.where(n_L_K[:, :, None] > 0, error, np.nan),
        accuracy_L=np.where(used, right_L_K @ prior_K, np.nan),
        accuracy_error_L=np.where(used, np.sqrt(error_L_K**2 @ prior_K**2), np.nan),
        votes_L=votes_L,
        log_likelihood=trace,
        converged=converged,
    )


def one_coin(
    item_N: npt.ArrayLike,
    labeler_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    *,
    classes: int,
    items: int | None = None,
    labelers: int | None = None,
    smoothing: float = 1.0,
    iterations: int = 500,
    tolerance: float = 1e-8,
) -> OneCoin:
    """Fit the one-coin form (Zhang, Chen, Zhou and Jordan 2016, section 2) to labels given as codes.

    smoothing: labels that each labeler is given beforehand, of which 1 in `classes` is right.
    """
    labels = _labels(item_N, labeler_N, label_N, classes, items, labelers)
    votes_L = np.bincount(labels.cell_N // classes, minlength=labels.labelers)
    same = np.eye(classes, dtype=bool)

    def accuracies(posterior_P_K: Floats) -> Floats:
        right_L = (labels.per_labeler(posterior_P_K) * same).sum(axis=(1, 2))
        n_L = votes_L + smoothing
        known = right_L + smoothing / classes
        return np.asarray(np.where(n_L > 0, known / np.maximum(n_L, TINY), 1 / classes))

    def maximise(posterior_P_K: Floats) -> tuple[Floats, Floats]:
        right = accuracies(posterior_P_K)[:, None, None]
        wrong = (1 - right) / (classes - 1)
        return np.where(same, right, wrong), labels.prior(posterior_P_K)

    def added(confusion_L_K_V: Floats) -> float:
        first_L_V = np.log(np.maximum(confusion_L_K_V[:, 0], TINY))  # the classes' rows are alike
        return float(first_L_V.sum()) * smoothing / classes

    fit = _em(labels, maximise, added, iterations=iterations, tolerance=tolerance)
    posterior_P_K, prior_K, _, trace, converged = fit
    a = accuracies(posterior_P_K)
    right_N = posterior_P_K[labels.item_N, labels.cell_N % classes]
    who_N = labels.cell_N // classes
    right = np.bincount(who_N, right_N, labels.labelers)
    unsure = np.bincount(who_N, right_N * (1 - right_N), labels.labelers)
    with np.errstate(divide="ignore", invalid="ignore"):
        complete = (right + smoothing / classes) / a**2
        complete += (votes_L - right + smoothing * (1 - 1 / classes)) / (1 - a) ** 2
        error = 1 / np.sqrt(complete - unsure / (a * (1 - a)) ** 2)
    return OneCoin(
        posterior_P_K=posterior_P_K,
        prior_K=prior_K,
        accuracy_L=np.where(votes_L > 0, a, np.nan),
        error_L=np.where((votes_L > 0) & np.isfinite(error) & (error > 0), error, np.nan),
        votes_L=votes_L,
        log_likelihood=trace,
        converged=converged,
    )


def _labels(
    item_N: npt.ArrayLike,
    labeler_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    classes: int,
    items: int | None,
    labelers: int | None,
) -> _Labels:
    item, labeler, label = (np.asarray(a, dtype=np.int64) for a in (item_N, labeler_N, label_N))
    if classes < 2 or (len(label) and not 0 <= label.min() <= label.max() < classes):
        raise ValueError(f"labels are codes from 0 to {classes - 1}, of two classes or more")
    return _Labels(
        item,
        labeler * classes + label,
        int(item.max(initial=-1)) + 1 if items is None else items,
        int(labeler.max(initial=-1)) + 1 if labelers is None else labelers,
        classes,
    )


def _em(
    labels: _Labels,
    maximise: Callable[[Floats], tuple[Floats, Floats]],
    added: Callable[[Floats], float],
    *,
    iterations: int,
    tolerance: float,
) -> tuple[Floats, Floats, Floats, list[float], bool]:
    """Posterior, prior, confusion, log-likelihoods, and whether they came to rest.

    added: to the log-likelihood by the labels given beforehand; the sum is what never falls.
    After PLAIN rounds every two are carried further in their direction (SQUAREM: Varadhan and Roland
    2008, "Simple and Globally Convergent Methods for Accelerating the Convergence of Any EM
    Algorithm", scheme S3), and a leap is taken back where it lowers that sum.
    """
    posterior = labels.shares()
    now = maximise(posterior)
    before: list[tuple[Floats, Floats]] = []  # the last two values, oldest first
    safe: tuple[Floats, Floats] | None = None  # where to go back to from a leap
    trace: list[float] = []
    reached = -np.inf
    for _ in range(iterations):
        found, likelihood = _expect(labels, *now)
        height = likelihood + added(now[0])
        if safe is not None and not height >= reached:
            now, safe, before = safe, None, []
            continue
        rested = bool(trace) and safe is None and height - reached <= tolerance * abs(height)
        posterior, reached = found, height
        trace.append(likelihood)
        before, now, safe = [*before, now][-2:], maximise(posterior), None
        if rested:
            return posterior, now[1], now[0], trace, True
        if len(before) == 2 and len(trace) >= PLAIN:
            safe, now = now, _leap(*before, now)
            before = []
    confusion, prior = safe or now  # nobody has seen yet where a last leap leads
    return posterior, prior, confusion, trace, False


def _expect(labels: _Labels, confusion: Floats, prior: Floats) -> tuple[Floats, float]:
    """Posterior of the items' classes, and the log-likelihood."""
    joint = labels.per_item(np.log(np.maximum(confusion, TINY)))
    joint += np.log(np.maximum(prior, TINY))
    top = joint.max(axis=1, keepdims=True, initial=-np.inf)
    weight = np.exp(joint - top)
    total = weight.sum(axis=1, keepdims=True)
    return weight / total, float((np.log(total) + top).sum())


def _leap(*rounds: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Where three rounds in a row lead to; the last of them where they show no direction."""
    zero, one, two = (np.concatenate([part.ravel() for part in values]) for values in rounds)
    step = one - zero
    turn = (two - one) - step
    size = float(np.linalg.norm(turn))
    length = float(np.linalg.norm(step)) / size if size else 1.0
    if length <= 1:
        return rounds[-1]
    reached = zero + 2 * length * step + length**2 * turn
    reached = np.where(reached > 0, reached, two / 2)  # no chance is negative
    confusion, _ = rounds[-1]
    parts = reached[: confusion.size].reshape(confusion.shape), reached[confusion.size :]
    return _shares(parts[0]), _shares(parts[1])


def _shares(weights: Floats) -> Floats:
    """Probabilities along the last axis."""
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
