"""What a poll of the dashboard costs over a million judgments, and what labelers feel of it.

    python -m benchmarks.dashboard                      # 200,000 pairs, 5 votes each, 200 labelers
    python -m benchmarks.dashboard --pairs 2000 --labelers 20
    python -m benchmarks.dashboard --keep FOLDER        # the store stays there for the next run

Makes a store of votes by people of known accuracy, then polls the progress page as a browser does,
once more after each of a few new votes, and meanwhile stores single votes as labelers do.
"""

import argparse
import resource
import statistics
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from annotate.config import AnnotateConfig
from annotate.overview import kept_overview
from storage.records import Judgment, Verdict
from storage.store import Store, utc_now

BEGAN = datetime(2026, 1, 5, 8)  # noqa: DTZ001 stored times are naive, in UTC
POLICIES = 4


def fill(store: Store, *, pairs: int, labelers: int, votes: int) -> None:
    """Prompts, answers of four policies, pairs, people, their votes, and where the pairs stand."""
    rng = np.random.default_rng(0)
    stamp = pa.timestamp("us")

    def column(value: object, rows: int, kind: pa.DataType | None = None) -> pa.Array:
        return pa.repeat(pa.scalar(value, type=kind), rows)

    with store.connected() as connection:

        def put(table: str, **columns: object) -> None:
            connection.append(table, pa.table(columns))

        policies = [f"m1:{i}" for i in range(POLICIES)]
        put(
            "policy_rows",
            id=policies,
            round=list(range(POLICIES)),
            base_model=["benchmark/model"] * POLICIES,
            parent=[None if i == 0 else policies[i - 1] for i in range(POLICIES)],
            method=["sft" if i == 0 else "dpo" for i in range(POLICIES)],
            created_at=column(BEGAN, POLICIES, stamp),
        )
        prompts = max(1, pairs // 4)
        put(
            "prompt_rows",
            id=[f"p1:{i}" for i in range(prompts)],
            messages=[f'[{{"role":"user","content":"Question {i}?"}}]' for i in range(prompts)],
            source=column("benchmark", prompts),
            split=column("train", prompts),
            tags=column([], prompts, pa.list_(pa.string())),
            created_at=column(BEGAN, prompts, stamp),
        )
        answers = 2 * pairs
        lengths = rng.integers(2, 12, answers)
        sentence = "An **answer** says what it has to say in a sentence or two of plain words.\n"
        own = rng.permuted(np.tile(np.arange(POLICIES), (pairs, 1)), axis=1)[:, :2]
        put(
            "response_rows",
            id=[f"r1:{i}" for i in range(answers)],
            prompt_id=[f"p1:{i // 2 % prompts}" for i in range(answers)],
            policy_id=[f"m1:{p}" for p in own.ravel()],
            text=[
                ("# Head\n\n- " if i % 5 == 0 else "") + sentence * lengths[i]
                for i in range(answers)
            ],
            finish_reason=column("stop", answers),
            temperature=column(1.0, answers),
            sample_index=list(range(answers)),
            created_at=column(BEGAN, answers, stamp),
        )
        pair_ids = np.array([f"c1:{i:08}" for i in range(pairs)])
        put(
            "pair_rows",
            id=pair_ids,
            prompt_id=[f"p1:{i % prompts}" for i in range(pairs)],
            first=[f"r1:{2 * i}" for i in range(pairs)],
            second=[f"r1:{2 * i + 1}" for i in range(pairs)],
            purpose=column("train", pairs),
            strategy=column("random", pairs),
            round=(np.arange(pairs) * POLICIES) // pairs,
            created_at=column(BEGAN, pairs, stamp),
        )
        names = np.array([f"labeler-{i:03}" for i in range(labelers)])
        put(
            "labeler_rows",
            name=names,
            revision=column(0, labelers),
            role=column("labeler", labelers),
            kind=column("human", labelers),
            password_hash=column("", labelers),
            active=column(True, labelers),
            created_at=column(BEGAN, labelers, stamp),
        )
        pair = np.repeat(np.arange(pairs), votes)
        n = len(pair)
        who = (
            (rng.integers(0, labelers, pairs)[:, None] + np.arange(votes) * 7) % labelers
        ).ravel()
        right = rng.random(n) < rng.uniform(0.6, 0.95, labelers)[who]
        truth = rng.integers(0, 2, pairs)[pair]
        verdict = np.where(right, truth, 1 - truth)
        verdict[rng.random(n) < 0.08] = 2
        said = np.array(["first", "second", "tie"])[verdict]
        seconds = np.arange(n) * 0.5
        given_at = np.datetime64(BEGAN) + (seconds * 1e6).astype("timedelta64[us]")
        put(
            "presentation_rows",
            id=[f"s1:{i}" for i in range(n)],
            pair_id=pair_ids[pair],
            labeler=names[who],
            first_side=np.where(rng.random(n) < 0.5, "left", "right"),
            guideline=column("", n),
            created_at=given_at,
        )
        put(
            "judgment_rows",
            id=[f"j{i}" for i in range(n)],
            pair_id=pair_ids[pair],
            labeler=names[who],
            presentation_id=[f"s1:{i}" for i in range(n)],
            revision=column(0, n),
            verdict=said,
            strength=column(None, n, pa.string()),
            withdrawn=column(False, n),
            criteria=column("{}", n),
            rationale=column("", n),
            edited_text=column("", n),
            flags=column([], n, pa.list_(pa.string())),
            guideline=column("", n),
            seconds=rng.lognormal(3, 0.5, n),
            created_at=given_at,
        )
        counts = np.bincount(pair * 3 + verdict, minlength=3 * pairs).reshape(pairs, 3)
        settled = counts.max(axis=1) * 2 > votes
        put(
            "consensus_rows",
            pair_id=pair_ids,
            verdict=pa.array(
                np.array(["first", "second", "tie"])[counts.argmax(axis=1)], mask=~settled
            ),
            probability_first=(counts[:, 0] + counts[:, 2] / 2 + 1) / (votes + 2),
            votes=column(votes, pairs),
            first_votes=counts[:, 0],
            second_votes=counts[:, 1],
            tie_votes=counts[:, 2],
            both_bad_votes=column(0, pairs),
            method=column("majority", pairs),
            settled=settled,
            reason=column("majority", pairs),
            closed=column(True, pairs),
            events=column(votes, pairs),
            created_at=column(BEGAN, pairs, stamp),
        )


def vote(store: Store, number: int) -> None:
    """One labeler's vote on a pair, durable on return."""
    store.append(
        [
            Judgment(
                id=f"new-{time.time_ns()}-{number}",
                pair_id=f"c1:{number % 1000:08}",
                labeler=f"late-{number % 50}",
                presentation_id="s1:none",
                revision=0,
                verdict=Verdict.FIRST,
                strength=None,
                withdrawn=False,
                seconds=12.0,
                created_at=utc_now() + timedelta(microseconds=number),
            )
        ]
    )


def votes_until(store: Store, done: threading.Event, waits: list[float]) -> None:
    number = 0
    while not done.is_set():
        start = time.perf_counter()
        vote(store, number)
        waits.append(time.perf_counter() - start)
        number += 1
        done.wait(0.1)


def said(name: str, waits: list[float]) -> None:
    worst = sorted(waits)[int(0.95 * (len(waits) - 1))]
    print(
        f"{name}: median {1000 * statistics.median(waits):,.0f} ms, 95 % {1000 * worst:,.0f} ms, "
        f"worst {1000 * max(waits):,.0f} ms, of {len(waits)}"
    )


def polls(store: Store, config: AnnotateConfig, *, times: int, pause: float) -> None:
    waits: list[float] = []
    quiet: list[float] = []
    done = threading.Event()
    for _ in range(30):
        start = time.perf_counter()
        vote(store, 0)
        quiet.append(time.perf_counter() - start)
    said("a vote while nobody polls", quiet)
    voter = threading.Thread(target=votes_until, args=(store, done, waits))
    voter.start()
    seen = []
    for _ in range(times):
        start = time.perf_counter()
        kept_overview(store, config, patience=600)
        seen.append(time.perf_counter() - start)
        time.sleep(pause)
    done.set()
    voter.join()
    print(f"first poll: {seen[0]:.2f} s")
    said("later polls, new votes between any two", seen[1:])
    said("votes meanwhile", waits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--labelers", type=int, default=200)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--polls", type=int, default=8)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between polls")
    parser.add_argument("--keep", type=Path, help="folder of the store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = options.keep or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        made = (where / "pairloop.duckdb").exists()
        with Store(where / "pairloop.duckdb", hold=True) as store:
            if not made:
                fill(store, pairs=options.pairs, labelers=options.labelers, votes=options.votes)
            print(f"{options.pairs * options.votes:,} judgments on {options.pairs:,} pairs")
            polls(store, AnnotateConfig(), times=options.polls, pause=options.pause)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
