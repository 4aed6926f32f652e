"""The model's own tokenizer and chat template: what the sampler reads and the trainer trains on."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.errors import ModelError
from storage.records import Message


def load_tokenizer(model: str) -> Any:
    """The model's tokenizer; raises ModelError when the model is missing or has no template."""
    from transformers import AutoTokenizer

    check_model(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The tokenizer of {model!r} can't be loaded ({_first_line(error)}). Check the Hub id "
            "or path in generate.model; a gated model needs HF_TOKEN."
        ) from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"{model!r} has no chat template, so a conversation can't be turned into its input. "
            "Use the instruction-tuned (SFT) model, or add chat_template.jinja to its folder."
        )
    return tokenizer


def check_model(model: str) -> None:
    """Refuse a path that is no model folder, before anything heavy is loaded."""
    path = Path(model).expanduser()
    looks_local = path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{model} is a folder without config.json, so it is no model. "
                "Point generate.model at the folder that save_pretrained wrote."
            )
    elif looks_local:
        raise ModelError(
            f"{model} does not exist. Point generate.model in pairloop.toml at a model folder "
            "or a Hub id (owner/name)."
        )


def adapter_rank(adapter: Path) -> int:
    """The rank of the LoRA adapter in this folder; raises ModelError when there is none."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{adapter} holds no adapter (adapter_config.json is missing).") from None
    return int(config["r"])


def template_hash(tokenizer: Any) -> str:
    """sha256 of the chat template: responses and training must have used the same one."""
    return hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()


def prompt_token_ids(tokenizer: Any, messages: Sequence[Message]) -> tuple[int, ...]:
    """The conversation as the model reads it, up to where its answer begins."""
    encoded = tokenizer.apply_chat_template(
        [m.as_dict() for m in messages], add_generation_prompt=True, return_dict=True
    )
    return tuple(encoded["input_ids"])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
