"""Which of the training processes this is, and what they tell each other.

Without a launcher there is one process, and everything here is what it says itself.
"""

import os
from collections.abc import Sequence
from typing import Any


def rank() -> int:
    """Of this process, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def world() -> int:
    """How many processes train."""
    group = _group()
    return group.get_world_size() if group else 1


def sharded() -> bool:
    """Whether no process holds all of the model while it trains (FSDP, DeepSpeed)."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name) == "true" for name in names)


def summed(values: Sequence[float]) -> list[float]:
    """Place by place, over all processes."""
    import torch

    group = _group()
    if group is None:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device(group))
    group.all_reduce(total)
    return [float(v) for v in total.tolist()]


def most(value: int) -> int:
    """The largest that any process says."""
    import torch

    group = _group()
    if group is None:
        return value
    found = torch.tensor(value, device=_device(group))
    group.all_reduce(found, op=group.ReduceOp.MAX)
    return int(found)


def first_says(value: Any) -> Any:
    """What process 0 says; what the others say is not heard."""
    group = _group()
    if group is None:
        return value
    told = [value]
    group.broadcast_object_list(told, src=0, device=_device(group))
    return told[0]


def _group() -> Any:
    """torch.distributed where there are several processes, else None."""
    import torch.distributed as group

    return group if group.is_available() and group.is_initialized() else None


def _device(group: Any) -> Any:
    """Where the processes' tensors must lie to be sent."""
    import torch

    on_gpu = "nccl" in str(group.get_backend())
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
