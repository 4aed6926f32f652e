"""Several engines side by side, each in a process of its own with its own GPUs.

generate.data_parallel_size copies of the model answer a share of the prompts each;
generate.tensor_parallel_size GPUs hold one copy. vLLM's own data parallelism is for models whose
experts are spread over the copies; copies that share nothing need only be started apart.
"""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generate.chat import load_tokenizer
from generate.config import GenerateConfig
from generate.sampler import Request, Sample, blocks, open_sampler
from storage.errors import ConfigurationError, ModelError, PairloopError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


@dataclass(frozen=True, slots=True)
class _Ready:
    name: str
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str


class _Done:
    """The share that was sent is sampled."""


class ParallelSampler:
    """The configured engine, config.data_parallel_size times."""

    def __init__(self, config: GenerateConfig, *, adapters: Sequence[Path]) -> None:
        self.tokenizer: Any = load_tokenizer(config.model)
        shares = gpu_shares(
            visible_gpus(), copies=config.data_parallel_size, each=config.tensor_parallel_size
        )
        alone = config.model_copy(update={"data_parallel_size": 1})
        self._processes: dict[Connection, BaseProcess] = {}
        context = get_context("spawn")  # CUDA can't be used in a fork
        try:
            for gpus in shares:
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_serve, args=(theirs, alone, tuple(adapters), gpus), name="engine"
                )
                process.start()
                theirs.close()
                self._processes[ours] = process
            ready = [self._receive(connection) for connection in self._processes]
        except BaseException:
            self.close()
            raise
        self.name: str = ready[0].name
        self.context_tokens: int | None = ready[0].context_tokens

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        for block in blocks(requests):
            yield from self._block(block)

    def _block(self, requests: Sequence[Request]) -> Iterator[Sample]:
        busy = set(self._processes)
        try:
            for connection, share in zip(
                self._processes, shares_of(requests, len(self._processes)), strict=True
            ):
                self._send(connection, share)
            while busy:
                for connection in [c for c in wait(list(busy)) if isinstance(c, Connection)]:
                    match self._receive(connection):
                        case _Done():
                            busy.discard(connection)
                        case sample:
                            yield sample
        finally:
            if busy:  # what the others were asked for would come up in the next call
                self.close()

    def close(self) -> None:
        for connection, process in self._processes.items():
            connection.close()
            process.terminate()
        for process in self._processes.values():
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
        self._processes.clear()

    def _send(self, connection: Connection, share: list[Request]) -> None:
        try:
            connection.send(share)
        except OSError as error:
            raise self._gone(connection) from error

    def _receive(self, connection: Connection) -> Any:
        try:
            message = connection.recv()
        except (EOFError, OSError) as error:
            raise self._gone(connection) from error
        if isinstance(message, _Failed):
            raise ModelError(message.message)
        return message

    def _gone(self, connection: Connection) -> ModelError:
        process = self._processes[connection]
        process.join(timeout=5)
        number = list(self._processes).index(connection) + 1
        code = process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else "ended"
        return ModelError(
            f"Engine process {number} of {len(self._processes)} {how} (exit code {code}). Finished "
            "answers are stored; run this again to go on. If the machine's memory ran out, lower "
            "generate.data_parallel_size or generate.gpu_memory_utilization."
        )


def shares_of(requests: Sequence[Request], copies: int) -> list[list[Request]]:
    """Deal the prompts out in turn; a prompt's requests stay together, so that it is read once."""
    prompts = list(dict.fromkeys(r.messages for r in requests))
    place = {messages: i % copies for i, messages in enumerate(prompts)}
    shares: list[list[Request]] = [[] for _ in range(copies)]
    for request in requests:
        shares[place[request.messages]].append(request)
    return shares


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return named.split(",")[:count] if named else [str(i) for i in range(count)]


def gpu_shares(gpus: Sequence[str], *, copies: int, each: int) -> list[list[str]]:
    """Which GPUs each copy takes; without any GPU the copies share the CPU."""
    if not gpus:
        return [[] for _ in range(copies)]
    if len(gpus) < copies * each:
        raise ConfigurationError(
            f"generate.data_parallel_size = {copies} times generate.tensor_parallel_size = {each} "
            f"takes {copies * each} GPUs, and {len(gpus)} can be used here. Lower one of them."
        )
    return [list(gpus[i * each : (i + 1) * each]) for i in range(copies)]


def _serve(
    connection: Connection, config: GenerateConfig, adapters: Sequence[Path], gpus: Sequence[str]
) -> None:
    """One copy: sample every share that is sent, until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    try:
        engine = open_sampler(config, adapters=adapters)
        connection.send(_Ready(engine.name, engine.context_tokens))
        while True:
            for sample in engine.sample(connection.recv()):
                connection.send(sample)
            connection.send(_Done())
    except PairloopError as error:
        connection.send(_Failed(str(error)))
    except (EOFError, BrokenPipeError):
        return
