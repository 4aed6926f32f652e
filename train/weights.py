"""Where a policy's weights are, the model to train from them, and the model made to answer as
another policy. The only file that imports peft.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from train.config import Start, TrainConfig, Tuning


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
        return PeftModel.from_pretrained(model, policy.adapter, is_trainable=True), None
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
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        from train.exact_trainer import fuse_head

        other: Any = AutoModelForCausalLM.from_pretrained(reference.base_model, dtype=dtype)
        fuse_head(other)
        if reference.adapter is not None:
            other = PeftModel.from_pretrained(other, reference.adapter)
        yield other.to(model.device)
