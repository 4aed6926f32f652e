"""Whether the adapters are of the base model, seen from their files without loading any weights."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from train.preflight import EXAMPLES, Check, Light
from train.prepare import Job
from train.weights import Weights

NAME = "adapter"
_PREFIX = "base_model.model."


def adapter(job: Job) -> Check:
    """Every layer of an adapter has its place in the base model, and its size."""
    used = {w.adapter: w for w in (job.policy, job.reference) if w.adapter is not None}
    if not used:
        return Check(name=NAME, light=Light.GREEN, count=0, finding="begins without an adapter")
    for weights in used.values():
        wrong = misfits(weights)
        if wrong:
            return Check(
                name=NAME,
                light=Light.RED,
                count=len(wrong),
                finding=f"the adapter {weights.adapter} of policy {weights.policy_id} does not fit "
                f"{weights.base_model}: {wrong[0]}",
                fix=f"It was made on {_made_on(weights)}. Put that model back where the policy's "
                "base model is, or train from a policy whose adapter is of this one.",
                examples=tuple(wrong[:EXAMPLES]),
            )
    others = [w for w in used.values() if _made_on(w) != w.base_model]
    return Check(
        name=NAME,
        light=Light.AMBER if others else Light.GREEN,
        count=len(others),
        finding=f"{others[0].adapter} fits, but says that it was made on {_made_on(others[0])}, not "
        f"on {others[0].base_model}"
        if others
        else "the adapter is of the base model",
        fix="Right if the model was only moved. The first step's loss tells." if others else "",
    )


def misfits(weights: Weights) -> list[str]:
    """Layers of the adapter that the base model lacks, or has in another size."""
    sizes = dict(_layers(weights.base_model))
    found = []
    assert weights.adapter is not None, "asked only of adapters"
    for name, shape in _tensors(weights.adapter / "adapter_model.safetensors"):
        layer, _, part = name.removeprefix(_PREFIX).rpartition(".lora_")
        if part not in ("A.weight", "B.weight"):
            continue
        known = sizes.get(layer)
        if known is None:
            found.append(f"{layer} is not in the model")
            continue
        at, of, is_of = (1, "inputs", known[0]) if part[0] == "A" else (0, "outputs", known[1])
        if shape[at] != is_of:
            found.append(f"{layer} has {is_of} {of}, the adapter {shape[at]}")
    return found


def _layers(base_model: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Inputs and outputs of each linear layer, by its name; no weights are read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base_model)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            yield name, (layer.in_features, layer.out_features)


def _tensors(file: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes, from the file's head."""
    with file.open("rb") as content:
        head = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    for name, facts in head.items():
        if name != "__metadata__":
            yield name, facts["shape"]


def _made_on(weights: Weights) -> str:
    assert weights.adapter is not None, "asked only of adapters"
    said = json.loads((weights.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return str(said.get("base_model_name_or_path", ""))
