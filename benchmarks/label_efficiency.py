"""Votes spent against how often the consensus is right: fixed, 2-then-3, posterior stopping, random.

    python -m benchmarks.label_efficiency                     # real votes where they are, and synthetic ones
    python -m benchmarks.label_efficiency --plot curve.svg

Votes that people gave are replayed in a random order, as if they came in one by one; after each one
the program's own `votes_wanted` says whether another is asked for, and its own `outcome_of` what the
votes come to. Right is how often the best guess from the votes is the truth: the consensus, and for a
pair without one, any of its commonest verdicts, drawn by lot. Truth is one of:

- known: synthetic votes, each right with a probability of its pair and its labeler;
- held out: one vote of the pair, taken away before the replay. It is noisy itself, so that nothing
  can be right much more often than two people agree, but it owes nothing to the votes replayed;
- all votes: the majority of the very votes that are replayed. It flatters whoever uses most of them,
  and says only what is lost against using all.

Random gives each vote to a random pair. The saving is against fixed numbers of votes at equal
accuracy, in between by mixing (one vote on some pairs, three on the others).
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from annotate.accuracy import Accuracy
from annotate.config import Distribution
from annotate.consensus import outcome_of, planned_votes, votes_wanted
from annotate.label_model import fit_labels
from annotate.outcome import Tally
from annotate.stats.estimate import Ints
from annotate.stats.votes import VERDICTS, Votes, votes_of
from storage.records import Pair, Purpose
from storage.store import utc_now

SHARED = Path(os.environ.get("PAIRLOOP_SHARED_DATA", "shared/data"))
CHOICES = {"a": 0, "b": 1, "tie": 2}
NOBODY = -1  # a verdict's code where there is none
STOPS = (0.75, 0.9, 0.95, 0.99)
PAIR = Pair(
    id="c1:any",
    prompt_id="p1:any",
    first="r1:a",
    second="r1:b",
    purpose=Purpose.TRAIN,
    strategy="random",
    round=0,
    created_at=utc_now(),
)


@dataclass(frozen=True)
class Replay:
    """What is replayed: codes of votes per pair, and the truth where it is known beforehand."""

    name: str
    votes: list[Ints]
    truth: Ints | None = None  # None: the last vote of each shuffled pair is held out as truth

    def shuffled(self, rng: np.random.Generator) -> tuple[list[Ints], Ints]:
        orders = [rng.permutation(v) for v in self.votes]
        if self.truth is not None:
            return orders, self.truth
        return [v[:-1] for v in orders], np.array([v[-1] for v in orders])


@dataclass(frozen=True)
class Point:
    """A way of asking on one replay: mean votes per pair, shares of pairs."""

    policy: str
    votes: float
    right: float
    settled: float
    right_of_settled: float


def counted(votes: Ints) -> Tally:
    return Tally(*np.bincount(votes, minlength=len(VERDICTS)).tolist())


def guessed_right(orders: Sequence[Ints], spent: Ints, found: Ints, truth: Ints) -> float:
    """Share of pairs whose best guess is the truth; where votes are even, the chance that it is."""
    verdicts = len(np.unique(np.concatenate(orders)))
    sure = (found == truth).sum()
    lots = 0.0
    for i in np.flatnonzero(found == NOBODY):
        counts = np.bincount(orders[i][: spent[i]], minlength=verdicts)[:verdicts]
        lots += (counts[truth[i]] == counts.max()) / (counts == counts.max()).sum()
    return float(sure + lots) / len(orders)


def deciders(config: Distribution) -> tuple[Callable[[Tally], int], Callable[[Tally], int]]:
    """The program's answers to "how many votes?" and "which verdict?", remembered by tally."""

    @cache
    def wanted(tally: Tally) -> int:
        return votes_wanted(tally.votes(), PAIR, config)

    @cache
    def verdict(tally: Tally) -> int:
        found = outcome_of(
            tally,
            planned=planned_votes(PAIR.id, PAIR.purpose, PAIR.strategy, config),
            imported=False,
            config=config,
            accuracy=Accuracy.prior(config.vote_accuracy),
        ).verdict
        return NOBODY if found is None else VERDICTS.index(found)

    return wanted, verdict


def asked(orders: Sequence[Ints], config: Distribution) -> tuple[Ints, Ints]:
    """Votes spent and the verdict, per pair, when votes come as the program asks for them."""
    wanted, verdict = deciders(config)
    spent, found = [], []
    for votes in orders:
        n = 0
        while n < min(len(votes), wanted(counted(votes[:n]))):
            n += 1
        spent.append(n)
        found.append(verdict(counted(votes[:n])))
    return np.array(spent), np.array(found)


def at_random(
    orders: Sequence[Ints], per_pair: float, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """The same where each vote goes to a random pair that has one left."""
    lengths = np.array([len(v) for v in orders])
    slots = rng.permutation(np.repeat(np.arange(len(orders)), lengths))
    taken = np.bincount(slots[: round(per_pair * len(orders))], minlength=len(orders))
    majorities = [
        deciders(Distribution(votes_per_pair=max(1, n), tie_breaker=False))[1]
        for n in range(lengths.max() + 1)
    ]
    found = [majorities[n](counted(v[:n])) for v, n in zip(orders, taken, strict=True)]
    return taken, np.array(found)


def vote_accuracy(replay: Replay) -> float:
    """How often one vote is right if two agree as often as here: a² + (1 - a)² / 3, four verdicts."""
    counts = np.array([counted(v) for v in replay.votes if len(v) > 1], dtype=float)
    n = counts.sum(axis=1)
    agreement = (counts * (counts - 1)).sum() / (n * (n - 1)).sum()
    # 4 a² - 2 a + 1 = 3 agreement
    return float(np.clip((1 + np.sqrt(max(0.0, 12 * agreement - 3))) / 4, 0.51, 0.99))


def measured(replay: Replay, repeats: int) -> list[Point]:
    """Every way of asking, on the mean over shuffles of the votes."""
    most = min(5, min(len(v) for v in replay.votes) - (replay.truth is None))
    accuracy = vote_accuracy(replay)
    fixed = {
        f"fixed {n}": Distribution(votes_per_pair=n, tie_breaker=False)
        for n in sorted({1, 3, most})
    }
    sequential = {"2-then-3": Distribution(votes_per_pair=2)} | {
        f"posterior {stop:g}": Distribution(
            stop_at=stop, max_votes=most, vote_accuracy=accuracy, votes_per_pair=2
        )
        for stop in STOPS
    }
    budgets = [b for b in (1, 2, 3, 4, 5) if b <= most]
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        orders, truth = replay.shuffled(rng)
        ways = {name: asked(orders, config) for name, config in (fixed | sequential).items()}
        ways |= {f"random {b:g}": at_random(orders, b, rng) for b in budgets}
        for name, (spent, found) in ways.items():
            settled = found != NOBODY
            row = (
                spent.mean(),
                guessed_right(orders, spent, found, truth),
                settled.mean(),
                (found == truth)[settled].mean(),
            )
            rows.setdefault(name, []).append(row)
    means = {name: np.mean(found, axis=0) for name, found in rows.items()}
    return [Point(name, *map(float, mean)) for name, mean in means.items()]


def cost_at(points: Sequence[Point], kind: str, right: float) -> float | None:
    """Votes per pair at which this kind of asking is right so often; None where it never is."""
    curve = sorted((p.votes, p.right) for p in points if p.policy.startswith(kind))
    votes, rights = np.array(curve).T
    if not rights[0] <= right <= rights.max():
        return None
    return float(np.interp(right, np.maximum.accumulate(rights), votes))


def real(name: str) -> list[Replay]:
    """Replays of one file of votes: against a held-out vote, and against all votes."""
    table = pq.read_table(
        SHARED / f"{name}.parquet", columns=["item_id", "annotator_id", "choice"]
    ).to_pydict()
    latest = {
        (item, who): CHOICES[choice] for item, who, choice in zip(*table.values(), strict=True)
    }
    by_pair: dict[str, list[int]] = {}
    for (item, _), code in latest.items():
        by_pair.setdefault(item, []).append(code)
    pairs = [np.array(v) for v in by_pair.values()]
    found = []
    for least in (5, 4):
        enough = [v for v in pairs if len(v) >= least]
        if len(enough) >= 100:
            found.append(Replay(f"{name}, {len(enough)} pairs, one vote held out", enough))
            break
    else:
        print(f"{name}: fewer than 100 pairs have four votes, so none is held out.")
    least = 5 if sum(len(v) >= 5 for v in pairs) >= 100 else 3
    whole = [v for v in pairs if len(v) >= least and 2 * max(counted(v)) > len(v)]
    truth = np.array([int(np.argmax(counted(v))) for v in whole])
    found.append(Replay(f"{name}, {len(whole)} pairs with a majority, all votes", whole, truth))
    return found


def synthetic(pairs: int) -> list[Replay]:
    """Two answers of which one is better; people agree on 73 of 100 pairs in both."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, pairs)
    alike = np.full((pairs, 5), 0.839)
    strength, ability = np.abs(rng.normal(size=pairs)), rng.uniform(1, 4.6, 40)
    mixed = 1 / (1 + np.exp(-strength[:, None] * ability[rng.integers(0, 40, (pairs, 5))]))
    made = []
    for name, chance in (("all pairs equally hard", alike), ("hard and easy pairs", mixed)):
        right = rng.random((pairs, 5)) < chance
        votes = np.where(right, truth[:, None], 1 - truth[:, None])
        made.append(Replay(f"synthetic, {pairs} pairs, {name}, known truth", list(votes), truth))
    return made


def show(replay: Replay, points: Sequence[Point]) -> None:
    print(f"\n### {replay.name}\n")
    print(f"One vote is right {vote_accuracy(replay):.2f} of the time, by how often two agree.\n")
    print(
        "| asked | votes per pair | right | settled | right of the settled | saving against fixed | against random |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for p in points:
        savings = ["", ""]
        if not p.policy.startswith(("fixed", "random")):
            for i, kind in enumerate(("fixed", "random")):
                cost = cost_at(points, kind, p.right)
                savings[i] = "not reached" if cost is None else f"{1 - p.votes / cost:.0%}"
        print(
            f"| {p.policy} | {p.votes:.2f} | {p.right:.3f} | {p.settled:.3f} | "
            f"{p.right_of_settled:.3f} | {' | '.join(savings)} |"
        )


def by_rule(pairs: int) -> None:
    """The same three votes added up by majority and by Dawid and Skene's model."""
    print("\n### Who said it: three votes each of 20 people who are right in .55 to .95\n")
    print("| rule | settled | right of the settled |\n| --- | --- | --- |")
    rng = np.random.default_rng(1)
    people = rng.uniform(0.55, 0.95, 20)
    truth = rng.integers(0, 2, pairs)
    who = np.array([rng.permutation(20)[:3] for _ in range(pairs)])
    said = np.where(rng.random((pairs, 3)) < people[who], truth[:, None], 1 - truth[:, None])
    votes: Votes = votes_of(np.repeat(np.arange(pairs), 3), who.ravel(), said.ravel(), labelers=20)
    names = [f"person {i}" for i in range(20)]
    model = fit_labels(votes, names)
    assert model is not None, "there are votes enough"
    chances = model.posteriors(votes, names).tolist()
    for rule, settle_at in (
        ("majority", 0.9),
        *(("dawid_skene", s) for s in (0.51, 0.8, 0.9, 0.95)),
    ):
        config = Distribution.model_validate(
            {"votes_per_pair": 3, "tie_breaker": False, "consensus": rule, "settle_at": settle_at}
        )
        found = [
            outcome_of(
                counted(said[i]),
                planned=3,
                imported=False,
                config=config,
                accuracy=Accuracy.prior(0.8),
                chances=chances[i] if rule != "majority" else None,
            ).verdict
            for i in range(pairs)
        ]
        settled = np.array([v is not None for v in found])
        right = np.array(
            [v is not None and VERDICTS.index(v) == t for v, t in zip(found, truth, strict=True)]
        )
        name = rule if rule == "majority" else f"{rule}, settle_at {settle_at:g}"
        print(f"| {name} | {settled.mean():.3f} | {right.sum() / settled.sum():.3f} |")


def plot(found: dict[str, list[Point]], file: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "pairloop"}
    columns = 2
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
    for i, (name, points) in enumerate(found.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        for kind, style in (
            ("fixed", "o-"),
            ("random", "x:"),
            ("posterior", "s--"),
            ("2-then-3", "D"),
        ):
            curve = sorted((p.votes, p.right) for p in points if p.policy.startswith(kind))
            axes.plot(*zip(*curve, strict=True), style, label=kind, markersize=5)
        axes.set_title(name, fontsize=8)
        axes.set_xlabel("votes per pair", fontsize=8)
        axes.set_ylabel("consensus is right", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    print(f"\nThe curves are in {file}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000, help="of the synthetic projects")
    parser.add_argument("--repeats", type=int, default=10, help="shuffles of the votes")
    parser.add_argument("--plot", type=Path, help="SVG or PNG file for the curves")
    options = parser.parse_args()
    replays = synthetic(options.pairs)
    for name in ("llmfao_votes", "mtbench_human_subset_votes"):
        if (SHARED / f"{name}.parquet").is_file():
            replays += real(name)
        else:
            print(f"{SHARED / name}.parquet is not there (PAIRLOOP_SHARED_DATA); left out.")
    found = {}
    for replay in replays:
        found[replay.name] = measured(replay, options.repeats)
        show(replay, found[replay.name])
    by_rule(options.pairs)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
