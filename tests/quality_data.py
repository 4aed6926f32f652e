"""Votes of labelers whose faults are known, as the tables that quality is worked out from."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
from factories import NOW

from annotate.agreement import report_of
from annotate.quality import quality_from
from annotate.votes_table import votes_of_table

GOOD = ("ann", "bob", "cem", "dan", "eve")
ALL = (*GOOD, "leftie", "longie", "opposed", "slow", "spammer")
PAIRS = 400


def votes_on(seed, *, pairs=PAIRS, people=ALL):
    """A votes table and the answers' style: half of the people judge each pair."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(100, 2000, (pairs, 2))
    marks = rng.integers(0, 6, (pairs, 2))
    truth = rng.integers(0, 2, pairs)
    rows = []
    for p in range(pairs):
        for who in rng.choice(people, len(people) // 2, replace=False):
            left = int(rng.integers(0, 2))  # the answer shown on the left
            chosen = truth[p] if rng.random() < 0.85 else 1 - truth[p]
            if who == "spammer":
                chosen = int(rng.integers(0, 2))
            elif who == "opposed":
                chosen = 1 - chosen
            elif who == "leftie" and rng.random() < 0.9:
                chosen = left
            elif who == "longie" and rng.random() < 0.95:
                chosen = int(lengths[p, 1] > lengths[p, 0])
            elif who == "slow":
                chosen = truth[p] if rng.random() < 0.97 else 1 - truth[p]
            verdict = "tie" if rng.random() < 0.05 else ("first", "second")[chosen]
            seconds = 240.0 if who == "slow" else 20.0
            rows.append((p, str(who), verdict, "left" if left == 0 else "right", seconds))
    text = pa.string()
    table = pa.table(
        {
            "pair_id": pa.array([f"c1:{p:05}" for p, *_ in rows]),
            "labeler": pa.array([r[1] for r in rows]),
            "verdict": pa.array([r[2] for r in rows]),
            "strength": pa.array([None] * len(rows), type=text),
            "first_side": pa.array([r[3] for r in rows]),
            "seconds": pa.array([r[4] for r in rows]),
            "strategy": pa.array(["random"] * len(rows)),
            "created_at": pa.array(
                [NOW + timedelta(minutes=i) for i in range(len(rows))], type=pa.timestamp("us")
            ),
        }
    )
    answers = pa.table(
        {
            "pair_id": [f"c1:{p:05}" for p in range(pairs)],
            "prompt_id": [f"p1:{p // 2}" for p in range(pairs)],
            "first": [f"r1:{p}:0" for p in range(pairs)],
            "second": [f"r1:{p}:1" for p in range(pairs)],
            "first_policy": ["m1:new" if t == 0 else "m1:old" for t in truth],
            "second_policy": ["m1:old" if t == 0 else "m1:new" for t in truth],
        }
    )
    ids = [f"r1:{p}:{k}" for p in range(pairs) for k in (0, 1)]
    counts = np.column_stack([lengths.ravel(), marks.ravel()]).astype(np.float64)
    return table, answers, (ids, counts)


def none_repeated():
    empty = pa.array([], type=pa.string())
    return pa.table({"labeler": empty, "before": empty, "now": empty})


def found_in(made):
    table, answers, counts = made
    return quality_from(
        votes_of_table(table),
        report=report_of(table),
        people={},
        repeats=none_repeated(),
        answers=answers,
        counts=counts,
        policy_names={"m1:new": "round 1", "m1:old": "round 0"},
    )
