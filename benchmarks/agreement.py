"""The statistics of a million judgments, against crowd-kit, krippendorff and pandas in the same run.

    python -m benchmarks.agreement                        # 200,000 pairs, 200 labelers, 5 votes each
    python -m benchmarks.agreement --pairs 2000 --labelers 20
    python -m benchmarks.agreement --only ours            # without the wait for the others

Each side gets the same votes as whole numbers, in a process of its own, and works out: agreement with
and without ties, alpha nominal and ordinal, Fleiss' kappa and AC1, each with a bootstrap interval of
100 resamples of the pairs; kappa of every two labelers, each labeler against the rest, agreement and
alpha of 10 slices of pairs and of 4 times of day, Dawid-Skene and its one-coin form (10 rounds each).
The others' side resamples the rows of tables it counted once, and has no intervals of slices; ours has.
The figures are compared, then seconds and peak memory printed, and the ratio. Ours also gives an
interval of 1,000 resamples with every labeler, and goes on to what the others have no counterpart for
in the same form: ability, bias, tests against the crowd, ratings. Last, the same votes in a store:
the whole report from the file to the HTML page, and the models of labeler quality apart.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.agreement_store import in_children

ROUNDS = 10
POLICIES = 8
SLICES, TIMES = 10, 4


def make(pairs: int, labelers: int, votes: int, file: Path) -> None:
    """Votes of people of known accuracy on pairs of known difficulty, with ties and both-bad."""
    rng = np.random.default_rng(0)
    ability = rng.uniform(0.5, 4, labelers)
    strength = rng.normal(size=pairs)
    pair = np.repeat(np.arange(pairs), votes)
    labeler = (rng.integers(0, labelers, pairs)[:, None] + np.arange(votes) * 7) % labelers
    labeler = labeler.ravel()
    left = rng.random(len(pair)) < 0.5
    x = ability[labeler] * strength[pair] + 0.2 * np.where(left, 1, -1)
    verdict = (rng.random(len(pair)) > 1 / (1 + np.exp(-x))).astype(int)
    draw = rng.random(len(pair))
    verdict[draw < 0.12 * np.exp(-np.abs(strength[pair]))] = 2
    verdict[draw > 0.99] = 3
    degree = np.where(verdict < 2, 1 + (np.abs(x) > 0.7) + (np.abs(x) > 2), 0)
    np.savez(
        file,
        pair=pair,
        labeler=labeler,
        verdict=verdict,
        degree=degree,
        left=left,
        style=rng.normal(size=(pairs, 5)),
        slice=rng.integers(0, SLICES, pairs),
        time=rng.integers(0, TIMES, len(pair)),
        policies=np.array([rng.permutation(POLICIES)[:2] for _ in range(pairs)]),
    )


def timed(stages: dict[str, float], name: str, work: Callable[[], object]) -> object:
    start = time.perf_counter()
    found = work()
    stages[name] = time.perf_counter() - start
    return found


def ours(data: dict[str, np.ndarray], resamples: int) -> dict[str, object]:
    from annotate.stats import ability, bias, consensus_model, matches, ratings
    from annotate.stats.coefficients import agreement_of
    from annotate.stats.dawid_skene import dawid_skene, one_coin
    from annotate.stats.labelers import against_rest, labeler_matrix
    from annotate.stats.slicing import agreement_by_part, units_of_pairs, units_of_votes
    from annotate.stats.votes import votes_of

    stages: dict[str, float] = {}
    votes = timed(
        stages,
        "votes",
        lambda: votes_of(data["pair"], data["labeler"], data["verdict"], degree_N=data["degree"]),
    )
    agreement = timed(
        stages, "coefficients with intervals", lambda: agreement_of(votes, resamples=resamples)
    )
    matrix = timed(stages, "labeler by labeler", lambda: labeler_matrix(votes, least=1))
    rest = timed(stages, "against the rest, with intervals", lambda: against_rest(votes))
    slices = timed(
        stages,
        "slices, with intervals",
        lambda: [
            *agreement_by_part(
                units_of_pairs(votes, np.arange(votes.pairs), data["slice"], SLICES)
            ),
            *agreement_by_part(units_of_votes(votes, data["time"][votes.kept_N], TIMES)),
        ],
    )
    columns = (votes.pair_N, votes.labeler_N, votes.verdict_N)
    options = {"classes": 4, "smoothing": 0, "iterations": ROUNDS, "tolerance": -1}
    skene = timed(stages, "Dawid-Skene", lambda: dawid_skene(*columns, **options))
    coin = timed(stages, "one coin", lambda: one_coin(*columns, **options))
    shared = sum(stages.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "observed_agreement": agreement.observed_agreement.value,
        "observed_agreement_without_ties": agreement.observed_agreement_without_ties.value,
        "alpha_nominal": agreement.alpha_nominal.value,
        "alpha_ordinal": agreement.alpha_ordinal.value,
        "fleiss_kappa": agreement.fleiss_kappa.value,
        "gwet_ac1": agreement.gwet_ac1.value,
        "mean_kappa": float(np.nanmean(matrix.kappa_L_L)),
        "mean_against_rest": float(np.mean([r.agreement.value for r in rest])),
        "mean_slice": float(np.mean([one.observed_agreement.value for one in slices])),
        "mean_slice_alpha": float(np.mean([one.alpha_nominal.value for one in slices])),
        "dawid_skene_first": float(skene.posterior_P_K[:, 0].sum()),
        "one_coin_first": float(coin.posterior_P_K[:, 0].sum()),
    }
    more: dict[str, float] = {}
    timed(more, "ability", lambda: ability.fit_abilities(votes))
    sided = votes.verdict_N < 2
    rows = votes.kept_N[sided]
    timed(
        more,
        "bias",
        lambda: bias.fit_bias(
            votes.verdict_N[sided] == 0,
            votes.pair_N[sided],
            votes.labeler_N[sided],
            data["left"][rows],
            style_N_F=data["style"][votes.pair_N[sided]],
            styles=("length", "headings", "lists", "bold", "code"),
        ),
    )
    timed(more, "tests", lambda: consensus_model.crowd_tests(votes, agreement=0.7))
    counts = votes.counts()
    met = matches.matches_of(
        *data["policies"].T,
        *counts[:, :3].T,
        style_M_F=data["style"],
        prompt_M=np.arange(votes.pairs) // 3,
    )
    timed(more, "ratings, 200 resamples", lambda: ratings.fit_ratings(met))
    return {
        "figures": figures,
        "seconds": shared,
        "memory": memory,
        "stages": stages,
        "more": more,
        "memory_with_more": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def others(data: dict[str, np.ndarray], resamples: int) -> dict[str, object]:
    import warnings

    import krippendorff
    import pandas as pd
    from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene

    warnings.simplefilter("ignore")
    stages: dict[str, float] = {}
    level = np.array([1, -1, 0, 0])[data["verdict"]] * data["degree"]
    frame = pd.DataFrame(
        {"task": data["pair"], "worker": data["labeler"], "label": data["verdict"], "level": level}
    )

    def values(counts: np.ndarray, levels: np.ndarray) -> dict[str, float]:
        n = counts.sum(axis=1)
        agreeing = (counts * (counts - 1)).sum(axis=1)
        sided = counts[:, :2]
        two = sided.sum(axis=1)
        within = (agreeing[n >= 2] / (n * (n - 1))[n >= 2]).mean()
        share = (counts / n[:, None]).mean(axis=0)
        chance = (share * (1 - share)).sum() / (len(share) - 1)
        return {
            "observed_agreement": agreeing.sum() / (n * (n - 1)).sum(),
            "observed_agreement_without_ties": (sided * (sided - 1)).sum()
            / (two * (two - 1)).sum(),
            "alpha_nominal": krippendorff.alpha(
                value_counts=counts, level_of_measurement="nominal"
            ),
            "alpha_ordinal": krippendorff.alpha(
                value_counts=levels,
                value_domain=list(range(-3, 4)),
                level_of_measurement="ordinal",
            ),
            "fleiss_kappa": (within - (share**2).sum()) / (1 - (share**2).sum()),
            "gwet_ac1": (within - chance) / (1 - chance),
        }

    def coefficients() -> tuple[dict[str, float], list[dict[str, float]]]:
        counts = frame.groupby(["task", "label"]).size().unstack(fill_value=0)  # noqa: PD010
        scale = frame[frame["label"] != 3]
        levels = scale.groupby(["task", "level"]).size().unstack(fill_value=0)  # noqa: PD010
        levels = levels.reindex(index=counts.index, columns=range(-3, 4), fill_value=0)
        tables = counts.to_numpy(), levels.to_numpy()
        rng = np.random.default_rng(0)
        draws = [rng.integers(0, len(counts), len(counts)) for _ in range(resamples)]
        resampled = [values(*(t[draw] for t in tables)) for draw in draws]
        found = values(*tables)
        return found, [
            {k: float(np.quantile([r[k] for r in resampled], q)) for k in found}
            for q in (0.025, 0.975)
        ]

    def kappas() -> float:
        both = frame.merge(frame, on="task")
        both = both[both["worker_x"] < both["worker_y"]]
        keys = ["worker_x", "worker_y"]
        n = both.groupby(keys).size()
        observed = (both["label_x"] == both["label_y"]).groupby([both[k] for k in keys]).mean()
        one = both.groupby([*keys, "label_x"]).size().unstack(fill_value=0)  # noqa: PD010
        other = both.groupby([*keys, "label_y"]).size().unstack(fill_value=0)  # noqa: PD010
        expected = (one * other).sum(axis=1) / n**2
        return float(((observed - expected) / (1 - expected)).mean())

    def against_rest() -> float:
        size = frame.groupby("task")["label"].transform("size")
        same = frame.groupby(["task", "label"])["label"].transform("size")
        sums = pd.DataFrame({"a": same - 1, "b": size - 1}).groupby(frame["worker"]).sum()
        return float((sums["a"] / sums["b"]).mean())

    def slices() -> tuple[float, float]:
        found = []
        by_slice = frame.assign(part=data["slice"][data["pair"]])
        by_time = frame.assign(part=data["time"])
        for one in (by_slice, by_time):
            counts = one.groupby(["part", "task", "label"]).size().unstack(fill_value=0)  # noqa: PD010
            for _, part in counts.groupby(level="part"):
                own = part.to_numpy()
                n = own.sum(axis=1)
                share = (own * (own - 1)).sum() / (n * (n - 1)).sum()
                alpha = krippendorff.alpha(value_counts=own, level_of_measurement="nominal")
                found.append((share, alpha))
        return tuple(np.mean(found, axis=0))

    figures, _ = timed(stages, "coefficients with intervals", coefficients)
    figures["mean_kappa"] = timed(stages, "labeler by labeler", kappas)
    figures["mean_against_rest"] = timed(stages, "against the rest", against_rest)
    found = timed(stages, "slices", slices)
    figures["mean_slice"], figures["mean_slice_alpha"] = found
    votes = frame[["task", "worker", "label"]]
    for name, kit in (("dawid_skene_first", DawidSkene), ("one_coin_first", OneCoinDawidSkene)):
        fit = timed(stages, kit.__name__, lambda kit=kit: kit(n_iter=ROUNDS, tol=-1).fit(votes))
        figures[name] = float(fit.probas_[0].sum())
    return {
        "figures": {k: float(v) for k, v in figures.items()},
        "seconds": sum(stages.values()),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "stages": stages,
    }


SIDES = {"ours": ours, "others": others}


def child(side: str, file: Path, resamples: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.agreement", "--child", side, "--data", str(file)]
    command += ["--resamples", str(resamples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def show(side: str, found: dict) -> None:
    print(f"{side}: {found['seconds']:.2f} s, peak memory {found['memory']:,.0f} MiB")
    for name, seconds in found["stages"].items():
        print(f"    {seconds:8.2f} s  {name}")
    for name, seconds in found.get("more", {}).items():
        print(f"    {seconds:8.2f} s  {name} (ours alone)")
    if "memory_with_more" in found:
        total = found["seconds"] + sum(found["more"].values())
        print(f"    {total:8.2f} s  all, peak memory {found['memory_with_more']:,.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--labelers", type=int, default=200)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--store", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", choices=SIDES)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with np.load(options.data) as data:
            print(json.dumps(SIDES[options.child](dict(data), options.resamples)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "votes.npz"
        make(options.pairs, options.labelers, options.votes, file)
        print(f"{options.pairs * options.votes:,} judgments, {options.pairs:,} pairs, ", end="")
        print(f"{options.labelers} labelers", flush=True)
        found = {}
        for side in [options.only] if options.only else SIDES:
            found[side] = child(side, file, options.resamples)
            show(side, found[side])
        if options.store:
            show("store to page", in_children(file))
    if len(found) == 2:
        one, other = (found[s]["figures"] for s in SIDES)
        apart = {k: abs(one[k] - other[k]) / max(1.0, abs(other[k])) for k in other}
        worst = max(apart, key=lambda k: apart[k])
        print(f"largest relative difference of a figure: {apart[worst]:.1e} ({worst})")
        ratio = found["others"]["seconds"] / found["ours"]["seconds"]
        print(f"ratio: {ratio:.1f} times faster")


if __name__ == "__main__":
    main()
