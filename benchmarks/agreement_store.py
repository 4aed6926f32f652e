"""The whole report of a store with a million judgments, from the file to the HTML page.

Used by benchmarks/agreement.py; on its own:

    python -m benchmarks.agreement_store --pairs 20000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

NOW = datetime.fromisoformat("2026-01-01")
POLICIES, ROUNDS, TAGS = 4, 5, 12
VERDICTS = np.array(["first", "second", "tie", "both_bad"])
STRENGTHS = np.array([None, "slight", "clear", "strong"], dtype=object)


def fill(folder: Path, data: dict[str, np.ndarray]) -> None:
    """A store of the votes, with prompts, policies and answers of some 60 to 1,500 characters."""
    from storage.store import Store

    rng = np.random.default_rng(1)
    pairs, people = int(data["pair"].max()) + 1, int(data["labeler"].max()) + 1
    number = np.arange(pairs)
    ids = np.array([f"c1:{i:032x}" for i in range(pairs)])
    policies = data["policies"] % POLICIES
    tables = {
        "policy_rows": {
            "id": [f"m1:{i}" for i in range(POLICIES)],
            "round": np.arange(POLICIES),
            "base_model": ["bench/model"] * POLICIES,
            "parent": [None, *["m1:0"] * (POLICIES - 1)],
            "method": ["sft", *["dpo"] * (POLICIES - 1)],
        },
        "prompt_rows": {
            "id": [f"p1:{i}" for i in range(pairs)],
            "messages": [f'[{{"role": "user", "content": "Question {i}?"}}]' for i in range(pairs)],
            "source": ["bench"] * pairs,
            "split": ["train"] * pairs,
            "tags": [[f"tag {t}"] for t in rng.integers(0, TAGS, pairs)],
        },
        "pair_rows": {
            "id": ids,
            "prompt_id": [f"p1:{i}" for i in range(pairs)],
            "first": [f"r1:{i}a" for i in range(pairs)],
            "second": [f"r1:{i}b" for i in range(pairs)],
            "purpose": np.where(number % 10 == 0, "evaluation", "train"),
            "strategy": ["random"] * pairs,
            "round": number * ROUNDS // pairs,
        },
        "labeler_rows": {
            "name": [f"labeler {i:03}" for i in range(people)],
            "revision": np.zeros(people, dtype=np.int64),
            "role": ["labeler"] * people,
            "kind": ["human"] * people,
            "active": [True] * people,
        },
    }
    words = rng.integers(10, 250, (pairs, 2))
    for place, half in enumerate("ab"):
        tables[f"response_rows {half}"] = {
            "id": [f"r1:{i}{half}" for i in range(pairs)],
            "prompt_id": [f"p1:{i}" for i in range(pairs)],
            "policy_id": [f"m1:{p}" for p in policies[:, place]],
            "text": ["- **word** " * (n % 9) + "words " * n for n in words[:, place].tolist()],
            "temperature": rng.choice([0.7, 1.0], pairs),
        }
    votes = len(data["pair"])
    who = np.array(tables["labeler_rows"]["name"])[data["labeler"]]
    at = np.datetime64(NOW, "us") + np.arange(votes) * np.timedelta64(20, "s")
    shown = [f"s1:{i}" for i in range(votes)]
    tables["presentation_rows"] = {
        "id": shown,
        "pair_id": ids[data["pair"]],
        "labeler": who,
        "first_side": np.where(data["left"], "left", "right"),
        "guideline": [""] * votes,
        "created_at": at,
    }
    tables["judgment_rows"] = {
        "id": [f"j1:{i}" for i in range(votes)],
        "pair_id": ids[data["pair"]],
        "labeler": who,
        "presentation_id": shown,
        "revision": np.zeros(votes, dtype=np.int64),
        "verdict": VERDICTS[data["verdict"]],
        "strength": STRENGTHS[data["degree"]],
        "withdrawn": np.zeros(votes, dtype=bool),
        "criteria": ["{}"] * votes,
        "seconds": rng.gamma(4, 6, votes),
        "created_at": at,
    }
    with Store(folder / "pairloop.duckdb") as store, store.connected() as connection:
        for name, columns in tables.items():
            rows = len(next(iter(columns.values())))
            columns.setdefault("created_at", np.full(rows, np.datetime64(NOW, "us")))
            kept = {c: pa.array(v) for c, v in columns.items()}
            connection.append(name.split()[0], pa.table(kept))


def measure(folder: Path) -> dict[str, object]:
    """Seconds and peak memory of the report without quality, then of quality."""
    from annotate.config import AnnotateConfig
    from annotate.quality import quality_of
    from annotate.report_data import as_json, full_report
    from annotate.report_html import report_html
    from storage.store import Store

    config = AnnotateConfig(
        votes_per_pair=5, evaluation_votes=5, overlap_share=1.0, tie_breaker=False
    )
    stages: dict[str, float] = {}
    with Store(folder / "pairloop.duckdb") as store:
        start = time.perf_counter()
        full = full_report(store, config, now=NOW + timedelta(days=400), with_quality=False)
        stages["read and worked out"] = time.perf_counter() - start
        start = time.perf_counter()
        page, plain = report_html(full), json.dumps(as_json(full))
        stages["HTML and JSON"] = time.perf_counter() - start
        found = {
            "seconds": sum(stages.values()),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "stages": stages,
            "judgments": full.agreement.judgments,
            "slices": full.slices.tested,
            "bytes": len(page) + len(plain),
        }
        start = time.perf_counter()
        quality_of(store, config)
        quality = {"labeler quality, bias and ratings": time.perf_counter() - start}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found | {"more": quality, "memory_with_more": memory}


def in_children(data: Path) -> dict[str, object]:
    """Fill a store in one process and measure in another, whose memory is then its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.agreement_store", "--folder", folder]
        subprocess.run([*command, "--data", str(data)], check=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    from benchmarks.agreement import make, show

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--labelers", type=int, default=200)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder and options.data:
        with np.load(options.data) as data:
            fill(options.folder, dict(data))
    elif options.folder:
        print(json.dumps(measure(options.folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "votes.npz"
            make(options.pairs, options.labelers, options.votes, file)
            show("store to page", in_children(file))


if __name__ == "__main__":
    main()
