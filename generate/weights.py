"""What a policy's weights are, whatever its name: a hash over the files they are loaded from."""

import hashlib
import re
from pathlib import Path

from storage.records import Policy, content_id

_SHA256 = re.compile(r"[0-9a-f]{64}")
PATTERNS = ("*.safetensors", "*.bin")


def policy_hash(policy: Policy) -> str | None:
    """Name a policy by its base model's weights and its adapter's; None: no such files are here."""
    base = weights_hash(policy.base_model)
    return None if base is None else content_id("w1", [base, policy.adapter_hash])


def weights_hash(model: str) -> str | None:
    """sha256 over the names and contents of a model's weight files, in a folder or the Hub's cache.

    Reads every byte, except in the Hub's cache, where a weight file is named by its own sha256.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(model, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None
    for pattern in PATTERNS:
        if files := sorted(folder.glob(pattern)):
            whole = hashlib.sha256()
            for file in files:
                whole.update(f"{file.name}\0{_file_hash(file)}\n".encode())
            return whole.hexdigest()
    return None


def _file_hash(file: Path) -> str:
    stored = file.resolve().name
    if _SHA256.fullmatch(stored):
        return stored
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
