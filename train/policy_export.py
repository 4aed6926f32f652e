"""A policy as a folder others load: the adapter or the whole model, its card, and a check.

OUT/README.md                     model card, with what the check found
OUT/adapter_model.safetensors     or model*.safetensors where the policy is whole or was merged
OUT/tokenizer.json ...            with the chat template
OUT/gguf/                         where asked for, the way to llama.cpp and Ollama

What was saved is loaded again and must give stored answers the log-probabilities that the policy
gives them: an adapter on another base, or a merge gone wrong, answers all the same, only worse.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from storage.policies import find_policy, policies
from storage.records import Policy
from storage.responses import responses_of
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store
from storage.words import many
from train.cards import policy_card
from train.export_folder import new_folder, refuse_foreign
from train.gather import weights_of
from train.gguf import write_gguf
from train.weights import Weights, open_policy

log = logging.getLogger(__name__)

CHECKED = 8  # stored answers
TOLERANCE = 1e-3  # nats per token
HALF_TOLERANCE = 0.03  # of a merge in 16 bits, which rounds every weight once more
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")

Answer = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPolicy:
    """What was saved. error: the largest difference per token, None where nothing could be checked.

    template: whether Ollama's form of the chat template was found, None where not asked for.
    """

    policy: Policy
    folder: Path
    merged: bool
    checked: int
    error: float | None
    template: bool | None


def export_policy(
    store: Store,
    workspace: Path,
    name: str,
    out: Path,
    *,
    merged: bool,
    gguf: bool = False,
    licence: str = "unknown",
) -> SavedPolicy:
    """Save a policy to a new folder; an earlier export there is replaced.

    Raises NotReadyError for a policy there is not, ModelError when what was saved answers
    differently, and ConflictError when the folder holds something else.
    """
    policy, out = find_policy(store, name), out.resolve()
    refuse_foreign(out)
    answers = _stored_answers(store, policy)
    weights = weights_of(workspace, policy)
    config: dict[str, object] = {"out": str(out), "policy": policy.id, "merged": merged}
    run = RunLog(store, RunKind.EXPORT, number=policy.round, config=config)
    whole = merged or weights.adapter is None
    try:
        mark = {"run_id": run.run.id, "policy": policy.id, "merged": whole}
        with new_folder(out, mark) as folder:
            before, half, tokenizer = _save(weights, policy, folder, answers, whole=whole)
            made = Weights(
                policy_id=policy.id,
                base_model=str(folder) if whole else weights.base_model,
                adapter=None if whole else folder,
            )
            after = _logps(open_policy(made), answers)
            error = _same(before, after, HALF_TOLERANCE if whole and half else TOLERANCE)
            template = (
                write_gguf(folder, tokenizer, base=policy.base_model, adapter=not whole)
                if gguf
                else None
            )
            card = policy_card(
                policy, merged=whole, licence=licence, checked=len(answers), error=error
            )
            (folder / "README.md").write_text(card, encoding="utf-8")
    except BaseException as problem:
        run.event(f"{type(problem).__name__}: {problem}"[:500], status=RunStatus.FAILED)
        raise
    run.event(f"policy of round {policy.round} exported", progress=1.0, status=RunStatus.DONE)
    return SavedPolicy(
        policy=policy,
        folder=out,
        merged=whole and weights.adapter is not None,
        checked=len(answers),
        error=error,
        template=template,
    )


def _stored_answers(store: Store, policy: Policy) -> list[Answer]:
    """Token ids of answers, the policy's own or, where it has none yet, another's."""
    for source in [policy, *reversed(policies(store))]:
        found = [
            (r.prompt_token_ids, r.token_ids)
            for r in responses_of(store, source.id)
            if r.prompt_token_ids and r.token_ids
        ]
        if found:
            return found[:: max(1, len(found) // CHECKED)][:CHECKED]
    return []


def _save(
    weights: Weights, policy: Policy, folder: Path, answers: Sequence[Answer], *, whole: bool
) -> tuple[list[float], bool, Any]:
    """Save, and say what the policy makes of the answers and whether its weights have 16 bits."""
    import torch
    from transformers import AutoTokenizer

    model = open_policy(weights)
    before = _logps(model, answers)
    tokenizer = AutoTokenizer.from_pretrained(weights.base_model)
    half = next(model.parameters()).dtype in (torch.bfloat16, torch.float16)
    if whole:
        if weights.adapter is not None:
            model = model.merge_and_unload()
        model.save_pretrained(folder)
    else:
        assert weights.adapter is not None, "a policy without an adapter is whole"
        for name in ADAPTER_FILES:
            shutil.copy(weights.adapter / name, folder)
        path = folder / ADAPTER_FILES[1]
        config = json.loads(path.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = policy.base_model
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    return before, half, tokenizer


def _logps(model: Any, answers: Sequence[Answer]) -> list[float]:
    """The mean log-probability per token of each answer, in nats."""
    import torch

    model.eval()
    found = []
    for prompt, answer in answers:
        ids_1_T = torch.tensor([[*prompt, *answer]], device=model.device)
        with torch.inference_mode():
            logits_T_V = model(input_ids=ids_1_T, use_cache=False).logits[0].double()
        logps_T_V = logits_T_V.log_softmax(dim=-1)[len(prompt) - 1 : -1]
        own = logps_T_V.gather(1, ids_1_T[0, len(prompt) :, None])
        found.append(float(own.mean()))
    return found


def _same(before: Sequence[float], after: Sequence[float], tolerance: float) -> float | None:
    """The largest difference; raises ModelError when it is more than the tolerance."""
    if not before:
        log.warning("no stored answers with token ids: what was saved could not be checked")
        return None
    error = max(abs(b - a) for b, a in zip(before, after, strict=True))
    if not error <= tolerance:
        raise ModelError(
            f"What was saved answers differently from the policy: up to {error:.4f} nats per token "
            f"on {many(len(before), 'stored answer')} ({tolerance:g} is allowed). Nothing was exported. "
            "Check that the base model is the one the policy was trained on; without --merged the "
            "adapter is saved as it is."
        )
    return error
