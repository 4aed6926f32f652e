"""Where a policy's weights are, the model to train from them, and the model made to answer as
another policy. The only file that imports peft.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from train.config import Start, TrainConfig, Tuning

ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where a policy's weights are: a model, seen through an adapter or as it is."""

    policy_id: str
    base_model: str
    adapter: Path | None


def tokenizer_of(policy: Weights) -> Any:
    """The policy's tokenizer, with a token to pad with."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(policy.base_model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_model(policy: Weights, config: TrainConfig, dtype: Any) -> tuple[Any, Any]:
    """The model to train, and the adapter to add where it has none yet."""
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        policy.base_model, dtype=dtype, **_four_bits(config)
    )
    if config.tuning is Tuning.FULL:
        if policy.adapter is not None:
            raise ModelError(
                f"The policy {policy.policy_id} is an adapter; full fine-tuning begins from whole "
                'weights. Go on with train.tuning = "lora", or merge it first '
                "(pairloop export --policy latest --merged)."
            )
        return model, None
    if policy.adapter is not None and config.start is Start.CONTINUE:
        try:
            return PeftModel.from_pretrained(model, policy.adapter, is_trainable=True), None
        except (RuntimeError, ValueError) as error:  # sizes or layers of another model
            raise ModelError(
                f"The adapter {policy.adapter} of policy {policy.policy_id} does not fit "
                f"{policy.base_model}: {' '.join(str(error).split())[:300]}. `pairloop train --check` names the "
                "layers; put back the base model that it was trained on."
            ) from error
    return model, LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
    )


def open_policy(policy: Weights) -> Any:
    """The policy to answer, not to train, in the precision that its weights are kept in."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(policy.base_model, dtype="auto")
    return model if policy.adapter is None else PeftModel.from_pretrained(model, policy.adapter)


def open_scorer(policy: Weights, config: TrainConfig, dtype: Any) -> tuple[Any, Any]:
    """A model with one output on the policy's base weights, and the adapter to add.

    The output's weights begin at 0, so every answer scores 0 before the first step.
    """
    from peft import LoraConfig
    from torch.nn.init import zeros_
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(
        policy.base_model, num_labels=1, dtype=dtype, **_four_bits(config)
    )
    zeros_(model.score.weight)
    if config.tuning is Tuning.FULL:
        return model, None
    return model, LoraConfig(
        task_type="SEQ_CLS",
        target_modules="all-linear",
        modules_to_save=["score"],
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerWeights:
    """Where a reward model's weights are: a folder of rewards/, an adapter there on a base model."""

    base_model: str
    folder: Path


def open_reward_model(scorer: ScorerWeights, *, pad_id: int, dtype: Any) -> Any:
    """To be asked, not to train. pad_id: what it is to see past in a padded conversation."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    whole = not (scorer.folder / ADAPTER).is_file()
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        str(scorer.folder) if whole else scorer.base_model, num_labels=1, dtype=dtype
    )
    model.config.get_text_config().pad_token_id = pad_id
    return (model if whole else PeftModel.from_pretrained(model, scorer.folder)).eval()


def weights_hash(folder: Path) -> str:
    """SHA-256 of an adapter's file, or of a whole model's; raises ModelError without either."""
    files = [folder / ADAPTER] if (folder / ADAPTER).is_file() else []
    files = files or sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{folder} has no trained weights; move it away and train again.")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while block := content.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def _four_bits(config: TrainConfig) -> dict[str, Any]:
    if config.tuning is not Tuning.QLORA:
        return {}
    import torch

    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise ModelError(
            'train.tuning = "qlora" needs a GPU and bitsandbytes (`pip install bitsandbytes`). '
            'Use train.tuning = "lora".'
        )
    from transformers import BitsAndBytesConfig

    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": four}


def starts_equal(policy: Weights, reference: Weights, config: TrainConfig) -> bool:
    """Whether training starts with the policy equal to its reference."""
    adapter = policy.adapter if config.start is Start.CONTINUE else None
    return (policy.base_model, adapter) == (reference.base_model, reference.adapter)


@contextmanager
def as_reference(
    model: Any, reference: Weights, policy: Weights, config: TrainConfig, dtype: Any
) -> Iterator[Any]:
    """The model to be trained, not yet trained, made to answer as the reference."""
    if starts_equal(policy, reference, config):
        yield model
    elif reference.base_model == policy.base_model and config.tuning is not Tuning.FULL:
        if reference.adapter is None:
            with model.disable_adapter():
                yield model
            return
        model.load_adapter(str(reference.adapter), "reference")
        model.set_adapter("reference")
        try:
            yield model
        finally:
            model.set_adapter("default")
            model.delete_adapter("reference")
    else:
        yield reference_model(reference, dtype).to(model.device)


def reference_model(reference: Weights, dtype: Any) -> Any:
    """A reference that is no other view of the policy's own weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from train.exact_trainer import fuse_head

    model: Any = AutoModelForCausalLM.from_pretrained(reference.base_model, dtype=dtype)
    fuse_head(model)
    return (
        model if reference.adapter is None else PeftModel.from_pretrained(model, reference.adapter)
    )
