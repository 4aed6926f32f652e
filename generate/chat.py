"""The model's own tokenizer and chat template: what the sampler reads and the trainer trains on."""

import hashlib
import json
from collections.abc import Iterator, Sequence
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
        raise loading_failed(model, error) from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"{model!r} has no chat template, so a conversation can't be turned into its input. "
            "Use the instruction-tuned (SFT) model, or add chat_template.jinja to its folder."
        )
    return tokenizer


def loading_failed(model: str, error: BaseException, *, hint: str = "") -> ModelError:
    """Why a model can't be loaded, and what to do: gated, not on the Hub, not reachable, broken."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    for cause in _causes(error):
        match cause:
            case GatedRepoError():
                return ModelError(
                    f"{model} is gated: its owner lets in only who accepted its licence. Accept it "
                    f"at https://huggingface.co/{model} , then set HF_TOKEN to a token of that "
                    "account."
                )
            case RepositoryNotFoundError():
                return ModelError(
                    f"There is no model {model!r} on the Hub that you may read, and no folder of "
                    "that name. Check generate.model; a private model needs HF_TOKEN."
                )
            case LocalEntryNotFoundError():
                return ModelError(
                    f"{model!r} is not on this machine and the Hub can't be reached. Check the "
                    "network (and HF_HUB_OFFLINE), or point generate.model at a folder."
                )
    advice = f"Check generate.model. {hint}".strip()
    return ModelError(f"{model!r} can't be loaded ({first_line(error)}). {advice}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


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


def first_line(error: BaseException) -> str:
    """What an error says, without the lines below."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
