"""How good answers are, for the strategies that need to know: from a judge's votes, or from a file.

Pure but for read_scores. A score is any number, higher is better; only scores of one prompt's
answers are ever compared.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from generate.prompts import refusal
from generate.rows import rows
from storage.records import Consensus, Pair, Verdict

POINTS = {
    Verdict.FIRST: 1.0,
    Verdict.SECOND: 0.0,
    Verdict.TIE: 0.5,
    Verdict.BOTH_BAD: 0.5,
}


def read_scores(source: str) -> dict[str, float]:
    """response_id -> score, of a JSONL, CSV or Parquet file; raises InputError with each bad row."""
    found: dict[str, float] = {}
    problems = []
    for row in rows(source):
        problem = row.problem
        response_id, value = row.values.get("response_id"), row.values.get("score")
        try:
            score = float(str(value))
        except ValueError:
            score = math.nan
        if problem:
            pass
        elif not isinstance(response_id, str) or value is None:
            problem = "needs 'response_id' and 'score'"
        elif isinstance(value, bool) or not math.isfinite(score):
            problem = f"'score' must be a number, not {value!r}"
        elif found.get(response_id, score) != score:
            problem = f"another score of {response_id} stood before"
        if problem:
            problems.append(f"{row.where}: {problem}")
            continue
        found[str(response_id)] = score
    if problems:
        raise refusal(problems, len(problems))
    if not found:
        raise refusal([f"{Path(source).name}: the file holds no scores"], 1)
    return found


def judged_scores(
    pairs: Iterable[Pair], verdicts: Iterable[tuple[str, Verdict]]
) -> dict[str, float]:
    """Each judged answer's score: (points + 1/2) / (votes + 1), a vote won 1 and tied 1/2.

    verdicts: (pair id, what a model said of it), each model's vote counting alike.
    """
    by_id = {pair.id: pair for pair in pairs}
    points: dict[str, float] = defaultdict(float)
    votes: Counter[str] = Counter()
    for pair_id, verdict in verdicts:
        pair = by_id.get(pair_id)
        if pair is None or verdict not in POINTS:
            continue
        points[pair.first] += POINTS[verdict]
        points[pair.second] += 1 - POINTS[verdict]
        votes.update((pair.first, pair.second))
    return {answer: (points[answer] + 0.5) / (n + 1) for answer, n in votes.items()}


def points_of(consensus: Mapping[str, Consensus]) -> dict[str, float]:
    """By id of a pair that wants no more votes: the first answer's points, a tie where undecided."""
    return {
        pair_id: POINTS.get(found.verdict, 0.5) if found.verdict else 0.5
        for pair_id, found in consensus.items()
        if found.settled or found.closed
    }
