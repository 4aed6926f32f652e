"""What a trainer's library says when memory or disk runs out, told so that it can be mended."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import ModelError, PairloopError
from train.config import TrainConfig, Tuning

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = re.compile(
    r"No space left|Disk quota exceeded|File too large|PytorchStreamWriter failed writing",
    re.IGNORECASE,
)
_MEMORY_WORDS = re.compile(
    r"out of memory|can't allocate memory|Cannot allocate memory", re.IGNORECASE
)


@contextmanager
def told_plainly(config: TrainConfig) -> Iterator[None]:
    """Raise ModelError, with the settings to change, where memory or disk ran out."""
    try:
        yield
    except PairloopError:
        raise
    except Exception as error:
        if is_full(error):
            raise ModelError(
                f"The disk is full ({error}). Nothing was published, and the last checkpoint that "
                "was written whole is kept: make room, then run `pairloop train` again, which goes "
                "on from it. A lower train.checkpoints writes less often."
            ) from error
        if is_out_of_memory(error):
            raise ModelError(
                f"Memory ran out while training ({_first_line(error)}). {remedies(config)} The same "
                "command goes on from the last checkpoint."
            ) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether it says that a file could not be written for want of room."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return bool(_FULL_WORDS.search(str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that a GPU's memory, or the machine's, is used up."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and bool(_MEMORY_WORDS.search(str(error)))


def remedies(config: TrainConfig) -> str:
    """The settings that take less memory, the one that costs least first."""
    found = []
    if config.at_once > 1:
        found.append(
            f"train.device_batch_size = {config.at_once // 2} (it is {config.at_once}; what is "
            "learned stays the same)"
        )
    if not config.gradient_checkpointing:
        found.append("train.gradient_checkpointing = true (slower by a fifth or so)")
    if config.tuning is Tuning.FULL:
        found.append('train.tuning = "lora"')
    elif config.tuning is Tuning.LORA and config.launch is None:
        found.append('train.tuning = "qlora"')
    if config.launch is None or config.launch.config == "ddp":
        found.append('train.launch.config = "fsdp" over several GPUs')
    found.append(
        "a lower generate.max_tokens for the next round (pairs longer than train.max_length are "
        "refused, not cut)"
    )
    return f"Set, in this order, until it fits: {'; '.join(found)}."


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n", maxsplit=1)[0][:300]
