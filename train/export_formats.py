"""The shapes that settled pairs are exported in, beside dpo (train/rows.py) and votes.

kto      {"prompt": [...], "completion": [...], "label": true, "said": "chosen", ...}
reward   a dpo row with {"margin": 0.67, "strength_votes": 2}
ranking  {"prompt": [...], "answers": [[...], [...]], "scores": [0.8, -0.8], "pairs": 3, ...}
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import pyarrow as pa

from storage.records import IMPORTED_ROUND, Pair, Prompt, Response, Strength, Triplet
from train.rows import IDS, SCHEMA, TURNS, Row, Texts, answer, export_row
from train.triplets import Standing


class Format(StrEnum):
    """What an export's rows are."""

    DPO = "dpo"
    KTO = "kto"
    REWARD = "reward"
    RANKING = "ranking"
    VOTES = "votes"


# "Margin small" of Llama 2 (Touvron et al. 2023, table 27), without its "negligibly better".
MARGINS = {Strength.SLIGHT: 1 / 3, Strength.CLEAR: 2 / 3, Strength.STRONG: 1.0}

KTO_SCHEMA = pa.schema(
    [
        ("prompt", TURNS),
        ("completion", TURNS),
        ("label", pa.bool_()),
        ("said", pa.string()),
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("response_id", pa.string()),
        ("votes", pa.int64()),
        ("agreement", pa.float64()),
        ("tier", pa.string()),
        ("round", pa.int64()),
        ("origin", pa.string()),
        ("policy_id", pa.string()),
        ("temperature", pa.float64()),
        ("source", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("prompt_ids", IDS),
        ("completion_ids", IDS),
        ("logprob_sum", pa.float64()),
    ]
)
REWARD_SCHEMA = pa.schema([*SCHEMA, ("margin", pa.float64()), ("strength_votes", pa.int64())])
RANKING_SCHEMA = pa.schema(
    [
        ("prompt", TURNS),
        ("answers", pa.list_(TURNS)),
        ("scores", pa.list_(pa.float64())),
        ("prompt_id", pa.string()),
        ("response_ids", pa.list_(pa.string())),
        ("policy_ids", pa.list_(pa.string())),
        ("pairs", pa.int64()),
        ("connected", pa.bool_()),
        ("source", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("prompt_ids", IDS),
        ("answer_ids", pa.list_(IDS)),
        ("logprob_sums", pa.list_(pa.float64())),
    ]
)


def kto_rows(triplet: Triplet, texts: Texts) -> list[Row]:
    """The chosen answer as one people want, the rejected one as one they do not."""
    return [
        _kto_row(
            texts.responses[response],
            texts.prompts[triplet.prompt_id],
            said=said,
            pair_id=triplet.pair_id,
            votes=triplet.votes,
            agreement=triplet.agreement,
            tier=triplet.tier.value,
            number=triplet.round,
        )
        for said, response in (("chosen", triplet.chosen), ("rejected", triplet.rejected))
    ]


def both_bad_rows(pair: Pair, found: Standing, texts: Texts) -> list[Row]:
    """Two answers that nobody wants: worthless as a preference, a sign for each."""
    return [
        _kto_row(
            texts.responses[response],
            texts.prompts[pair.prompt_id],
            said="both_bad",
            pair_id=pair.id,
            votes=found.votes,
            agreement=found.agreement,
            tier=found.tier.value if found.tier else "",
            number=pair.round,
        )
        for response in (pair.first, pair.second)
    ]


def _kto_row(
    response: Response,
    prompt: Prompt,
    *,
    said: str,
    pair_id: str,
    votes: int,
    agreement: float,
    tier: str,
    number: int,
) -> Row:
    known = bool(response.prompt_token_ids and response.token_ids)
    return {
        "prompt": [m.as_dict() for m in prompt.messages],
        "completion": answer(response),
        "label": said == "chosen",
        "said": said,
        "pair_id": pair_id,
        "prompt_id": prompt.id,
        "response_id": response.id,
        "votes": votes,
        "agreement": agreement,
        "tier": tier,
        "round": number,
        "origin": "imported" if number == IMPORTED_ROUND else "sampled",
        "policy_id": response.policy_id,
        "temperature": response.temperature,
        "source": prompt.source,
        "tags": list(prompt.tags),
        "prompt_ids": list(response.prompt_token_ids or ()) if known else [],
        "completion_ids": list(response.token_ids or ()) if known else [],
        "logprob_sum": response.logprob_sum if known else None,
    }


def reward_row(triplet: Triplet, texts: Texts, strengths: Sequence[Strength]) -> Row:
    """A preference and how much better: the mean margin of the votes for it that told a strength.

    Without one the margin is 0: better, by nobody knows how much.
    """
    told = [MARGINS[s] for s in strengths]
    return export_row(triplet, texts) | {
        "margin": sum(told) / len(told) if told else 0.0,
        "strength_votes": len(told),
    }


def ranking_rows(
    judged: Mapping[str, Sequence[tuple[Pair, float]]],
    texts: Texts,
) -> list[Row]:
    """One row per prompt, its answers best first.

    judged: by prompt the settled pairs, and the probability that their first answer is better.
    """
    return [_ranking_row(texts.prompts[p], pairs, texts) for p, pairs in judged.items()]


def _ranking_row(prompt: Prompt, pairs: Sequence[tuple[Pair, float]], texts: Texts) -> Row:
    ids = sorted({i for pair, _ in pairs for i in (pair.first, pair.second)})
    place = {response: n for n, response in enumerate(ids)}
    edges = [(place[pair.first], place[pair.second], p) for pair, p in pairs]
    scores = answer_scores(len(ids), edges)
    order = sorted(range(len(ids)), key=lambda n: (-scores[n], ids[n]))
    answers = [texts.responses[ids[n]] for n in order]
    prompts = {r.prompt_token_ids for r in answers}
    known = len(prompts) == 1 and all(r.prompt_token_ids and r.token_ids for r in answers)
    return {
        "prompt": [m.as_dict() for m in prompt.messages],
        "answers": [answer(r) for r in answers],
        "scores": [scores[n] for n in order],
        "prompt_id": prompt.id,
        "response_ids": [r.id for r in answers],
        "policy_ids": [r.policy_id for r in answers],
        "pairs": len(pairs),
        "connected": connected(len(ids), edges),
        "source": prompt.source,
        "tags": list(prompt.tags),
        "prompt_ids": list(answers[0].prompt_token_ids or ()) if known else [],
        "answer_ids": [list(r.token_ids or ()) for r in answers] if known else [],
        "logprob_sums": [r.logprob_sum for r in answers] if known else [],
    }


def answer_scores(answers: int, edges: Sequence[tuple[int, int, float]]) -> list[float]:
    """Bradley-Terry scores in log-odds, of mean 0, with a standard normal prior on each.

    edges: (first, second, probability that the first is better). Newton's method on the strictly
    concave log-posterior; a step is halved while it would not ascend.
    """
    first, second = (np.array([e[side] for e in edges]) for side in (0, 1))
    p = np.array([e[2] for e in edges])
    difference = np.zeros((len(edges), answers))
    difference[np.arange(len(edges)), first] = 1
    difference[np.arange(len(edges)), second] = -1

    def objective(theta: np.ndarray) -> float:
        margin = difference @ theta
        fit = p * np.logaddexp(0, -margin) + (1 - p) * np.logaddexp(0, margin)
        return float(fit.sum() + theta @ theta / 2)

    theta = np.zeros(answers)
    for _ in range(100):
        q = 1 / (1 + np.exp(-(difference @ theta)))
        gradient = difference.T @ (q - p) + theta
        if np.abs(gradient).max() < 1e-12:
            break
        hessian = (difference.T * (q * (1 - q))) @ difference + np.eye(answers)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while objective(theta - size * step) > objective(theta) and size > 1e-6:
            size /= 2
        theta = theta - size * step
    return [float(score) for score in theta]


def connected(answers: int, edges: Sequence[tuple[int, int, float]]) -> bool:
    """Whether a chain of pairs joins every two answers; else only the prior relates some of them."""
    near: dict[int, set[int]] = defaultdict(set)
    for first, second, _ in edges:
        near[first].add(second)
        near[second].add(first)
    seen, waiting = {0}, [0]
    while waiting:
        fresh = near[waiting.pop()] - seen
        seen |= fresh
        waiting.extend(fresh)
    return len(seen) == answers
