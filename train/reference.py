"""Log-probabilities of the answers under the reference: from the sampler, a cache, or worked out.

The sampler's own hold where both answers were drawn from exactly the reference's weights; a
sample of them is checked against the trainer's model first, because an engine that computes in
another precision is off by more than training can bear.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from train.examples import Example, ids_hash
from train.ranks import first_says, most, rank, summed, world

CHECKED = 64  # pairs whose sampler log-probabilities are worked out again
MAX_SPREAD = 0.05  # of beta times their error, standard deviation in reward units
MAX_BIAS = 0.02  # and mean

Score = Callable[[Sequence[tuple[tuple[int, ...], int]]], list[float]]
"""(ids, where the answer starts) -> log-probability in nats of each answer."""


class Source(StrEnum):
    """Where the reference's log-probabilities come from."""

    SAMPLER = "sampler"
    SCORED = "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Per pair, nats. error_*: of beta times (chosen minus rejected), on the pairs checked; None
    where nothing was there to check.
    """

    chosen: list[float]
    rejected: list[float]
    source: Source | None  # None: not worked out yet
    checked: int = 0
    error_mean: float | None = None
    error_spread: float | None = None

    def part(self, start: int, end: int | None) -> "Reference":
        """Of some of the pairs."""
        return replace(self, chosen=self.chosen[start:end], rejected=self.rejected[start:end])


def reference_logps(
    examples: Sequence[Example],
    *,
    policy_id: str,
    beta: float,
    score: Score,
    cache: Path,
    exact: bool = True,
) -> Reference:
    """The sampler's own where all are from policy_id and a sample holds, else score's.

    exact: whether the trainer holds the reference's weights in full precision, as a sampler does.
    cache: a Parquet file of scores of this reference in this precision; read and added to.
    """
    own = [e.sampled for e in examples if e.sampled and e.sampled[0] == policy_id]
    mean = spread = None
    checked: list[Example] = []
    if exact and own and len(own) == len(examples):
        step = max(1, len(examples) // CHECKED)
        checked = list(examples[::step][:CHECKED])
        truth = _scored(checked, score, cache)
        errors = [
            beta * ((s[1] - s[2]) - (chosen - rejected))
            for s, chosen, rejected in zip([e.sampled for e in checked], *truth, strict=True)
            if s is not None
        ]
        mean = float(np.mean(errors))
        spread = sqrt(float(np.var(errors)))
        if abs(mean) < MAX_BIAS and spread < MAX_SPREAD:
            return Reference(
                chosen=[s[1] for s in own],
                rejected=[s[2] for s in own],
                source=Source.SAMPLER,
                checked=len(checked),
                error_mean=mean,
                error_spread=spread,
            )
    chosen, rejected = _scored(examples, score, cache)
    return Reference(
        chosen=chosen,
        rejected=rejected,
        source=Source.SCORED,
        checked=len(checked),
        error_mean=mean,
        error_spread=spread,
    )


def _scored(
    examples: Sequence[Example], score: Score, cache: Path
) -> tuple[list[float], list[float]]:
    known: dict[str, float] = first_says(_read(cache) if rank() == 0 else None)
    wanted = [(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()]
    keys = [f"{ids_hash(ids)}/{start}" for ids, start in wanted]
    missing = {k: w for k, w in zip(keys, wanted, strict=True) if k not in known}
    if missing:
        known |= dict(zip(missing, score(list(missing.values())), strict=True))
        if rank() == 0:
            _write(cache, known)
    found = [known[k] for k in keys]
    return found[::2], found[1::2]


def _read(cache: Path) -> dict[str, float]:
    if not cache.is_file():
        return {}
    table = pq.read_table(cache)
    return dict(zip(table["key"].to_pylist(), table["logp"].to_pylist(), strict=True))


def _write(cache: Path, known: dict[str, float]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_suffix(".partial")
    pq.write_table(pa.table({"key": list(known), "logp": list(known.values())}), partial)
    partial.replace(cache)


def scorer(model: Any, *, pad_id: int, tokens_per_batch: int = 8192) -> Score:
    """Score with a model whose LM head is fused (trl.trainer.utils.add_fused_lm_head)."""
    import torch

    def score(wanted: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        training = model.training
        model.eval()
        found = [0.0] * len(wanted)
        order = sorted(range(len(wanted)), key=lambda i: -len(wanted[i][0]))
        mine = batches(order[rank() :: world()], wanted, tokens_per_batch)
        with torch.inference_mode():
            for i in range(most(len(mine))):
                # A sharded model answers only where all processes ask: those that are done ask
                # again for something, and do not count it.
                places = mine[i] if i < len(mine) else order[-1:]
                values = _sums([wanted[place] for place in places], model, pad_id)
                if i < len(mine):
                    for place, value in zip(places, values, strict=True):
                        found[place] = value
        model.train(training)
        return summed(found)

    return score


def _sums(rows: Sequence[tuple[tuple[int, ...], int]], model: Any, pad_id: int) -> list[float]:
    """Log-probability of each row's answer."""
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids_B_T = torch.full((len(rows), width), pad_id)
    mask_B_T, labels_B_T = torch.zeros_like(ids_B_T), torch.full_like(ids_B_T, -100)
    for row, (ids, start) in enumerate(rows):
        ids_B_T[row, : len(ids)] = torch.tensor(ids)
        mask_B_T[row, : len(ids)] = 1
        labels_B_T[row, start : len(ids)] = torch.tensor(ids[start:])
    logps_B_T = model(
        input_ids=ids_B_T.to(model.device),
        attention_mask=mask_B_T.to(model.device),
        labels=labels_B_T.to(model.device),
        use_cache=False,
        fused_lm_head=True,
    ).log_probs
    found: list[float] = logps_B_T.double().sum(dim=1).tolist()
    return found


def batches(
    order: Sequence[int], wanted: Sequence[tuple[tuple[int, ...], int]], tokens: int
) -> list[list[int]]:
    """Places in order, longest first, as many at once as fit into so many padded tokens."""
    batches: list[list[int]] = []
    width = 0
    for place in order:
        if not batches or (len(batches[-1]) + 1) * width > tokens:
            batches.append([])
            width = len(wanted[place][0])
        batches[-1].append(place)
    return batches
