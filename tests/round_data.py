"""What a training and a check leave behind, for the tests of the Rounds page."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

CHECK = """
import json
check = {"name": "truncation", "light": "red", "count": 2, "finding": "2 pairs are too <b>long</b>",
         "fix": "Raise train.max_length.", "examples": ["c1:a"]}
print("loading the tokenizer")
print(json.dumps({"red": 1, "checks": [check]}))
raise SystemExit(1)
"""

HOSTILE = "<img src=x onerror=alert(1)>"


def trained(folder, rewards, *, promote=False, number=1):
    """A round's folder: rewards are (pair, chosen, rejected)."""
    made = folder / "policies" / f"round-{number}"
    made.mkdir(parents=True)
    verdict = {"promote": promote, "reason": f"it agrees on 41 % {HOSTILE}"}
    (made / "run.json").write_text(json.dumps({"round": number, "verdict": verdict}))
    (made / "report.html").write_text("<!doctype html><style>h1 {}</style><h1>Report</h1>")
    rows = [{"pair_id": p, "chosen": c, "rejected": r, "split": "train"} for p, c, r in rewards]
    pq.write_table(pa.Table.from_pylist(rows), made / "rewards.parquet")
    return made
