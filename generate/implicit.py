"""Implicit rewards: how much likelier the policy finds an answer than its reference does.

DPO's reward of an answer is beta (log p_policy - log p_reference) (Rafailov et al. 2023, section 4);
beta is left out, since only a prompt's rewards are compared. Both terms come from one engine at one
precision: their difference is small beside either.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from generate.chat import check_model
from storage.errors import ModelError
from storage.records import Response

BATCH_TOKENS = 4096  # a batch's rows times its longest row

Progress = Callable[[int, int], None]  # answers done, answers in all, both models together


def implicit_rewards(
    responses: Sequence[Response],
    *,
    model: str,
    dtype: str,
    adapter: Path | None,
    reference_adapter: Path | None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """By response id, in nats; answers whose token ids are not known have none.

    adapter: the policy's, reference_adapter: its parent's; None is the base model.
    """
    known = [r for r in responses if r.prompt_token_ids and r.token_ids]
    done = 0
    found: list[dict[str, float]] = []
    for folder in (adapter, reference_adapter):
        logps = {}
        for response_id, logp in log_probabilities(known, model=model, dtype=dtype, adapter=folder):
            logps[response_id] = logp
            done += 1
            if progress is not None:
                progress(done, 2 * len(known))
        found.append(logps)
    policy, reference = found
    return {r.id: policy[r.id] - reference[r.id] for r in known}


def log_probabilities(
    responses: Sequence[Response], *, model: str, dtype: str, adapter: Path | None
) -> Iterator[tuple[str, float]]:
    """(response id, log-probability of its answer after its prompt in nats), the shortest first."""
    import torch
    from transformers import AutoModelForCausalLM

    check_model(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        if adapter is not None:
            loaded.load_adapter(str(adapter))
        loaded.to(device).eval()
    except (OSError, ValueError, torch.OutOfMemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(f"{model!r} can't be loaded to score answers: {reason}") from error
    try:
        for rows in _batches(sorted(responses, key=lambda r: (_length(r), r.id))):
            yield from _batch(loaded, rows, device)
    finally:
        del loaded
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def _batch(model: Any, rows: Sequence[Response], device: str) -> list[tuple[str, float]]:
    import torch

    width = max(map(_length, rows))
    ids_B_T = torch.zeros((len(rows), width), dtype=torch.long)
    mask_B_T = torch.zeros_like(ids_B_T)
    for i, row in enumerate(rows):
        ids_B_T[i, : _length(row)] = torch.tensor(_ids(row))
        mask_B_T[i, : _length(row)] = 1
    ids_B_T = ids_B_T.to(device)
    with torch.inference_mode():
        scores_B_T_V = model(input_ids=ids_B_T, attention_mask=mask_B_T.to(device)).logits
        found = []
        for i, row in enumerate(rows):
            start, end = len(row.prompt_token_ids or ()), _length(row)
            loss = torch.nn.functional.cross_entropy(
                scores_B_T_V[i, start - 1 : end - 1].float(), ids_B_T[i, start:end], reduction="sum"
            )
            found.append((row.id, -float(loss)))
    return found


def _batches(ordered: Sequence[Response]) -> Iterator[list[Response]]:
    batch: list[Response] = []
    for row in ordered:
        if batch and (len(batch) + 1) * _length(row) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _length(response: Response) -> int:
    return len(_ids(response))


def _ids(response: Response) -> list[int]:
    return [*(response.prompt_token_ids or ()), *(response.token_ids or ())]
