"""Published examples, real votes and random ones for the tests of the statistics."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from annotate.stats.votes import Votes, votes_of

SHARED = Path(os.environ.get("PAIRLOOP_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
REAL = ("llmfao_votes", "mtbench_human_subset_votes")


def shared_file(name: str) -> Path:
    file = SHARED / name
    if not file.is_file():
        pytest.skip(f"not on this machine: {file}")
    return file


def reference(name: str) -> dict:
    """One entry of the published examples."""
    return json.loads(shared_file("stats_reference_vectors.json").read_text())[name]


def real_table(name: str, columns: list[str]) -> dict[str, list]:
    return pq.read_table(shared_file(f"{name}.parquet"), columns=columns).to_pydict()


def codes(values: list[str]) -> np.ndarray:
    return np.unique(np.array(values), return_inverse=True)[1]


def real_votes(name: str) -> Votes:
    """People's votes on real answers; the stored order is that of the file's a and b."""
    table = real_table(name, ["item_id", "annotator_id", "choice"])
    verdict = [{"a": 0, "b": 1, "tie": 2}[c] for c in table["choice"]]
    return votes_of(codes(table["item_id"]), codes(table["annotator_id"]), verdict)


def random_votes(
    seed: int, *, pairs: int = 60, labelers: int = 7, votes: int = 4, accuracy: float = 0.75
) -> Votes:
    """Up to `votes` votes per pair, some with strength, of all four verdicts."""
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(pairs), rng.integers(1, votes + 1, pairs))
    labeler = np.concatenate([rng.permutation(labelers)[:n] for n in np.bincount(pair)])
    truth = rng.integers(0, 2, pairs)[pair]
    right = rng.random(len(pair)) < accuracy
    verdict = np.where(right, truth, rng.integers(0, 4, len(pair)))
    return votes_of(pair, labeler, verdict, degree_N=rng.integers(0, 4, len(pair)))


def swapped(votes: Votes, pairs: np.ndarray | None = None) -> Votes:
    """The same votes with the answers of all pairs, or of those given, called the other way round."""
    turn = np.isin(votes.pair_N, np.arange(votes.pairs) if pairs is None else pairs)
    verdict = np.where(turn, np.array([1, 0, 2, 3])[votes.verdict_N], votes.verdict_N)
    return votes_of(
        votes.pair_N,
        votes.labeler_N,
        verdict,
        degree_N=np.abs(votes.level_N),
        pairs=votes.pairs,
        labelers=votes.labelers,
    )


rows_of_votes = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=60,
)  # pair, labeler, verdict, degree; a labeler may come twice on a pair: the last counts


def votes_of_rows(rows: list[tuple[int, int, int, int]]) -> Votes:
    pair, labeler, verdict, degree = np.array(rows).T
    return votes_of(pair, labeler, verdict, degree_N=degree, pairs=10, labelers=5)
