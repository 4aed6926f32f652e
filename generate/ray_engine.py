"""The engine that is many machines: one actor per GPU of a Ray cluster, each with its own sampler.

The requests of a run are cut into portions, an actor samples one after the other, and finished
answers come back to this process, which alone appends to the store. When an actor is lost, with
its process, GPU or machine, what it had not handed over goes back among the waiting requests and
another actor takes its place; an answer that comes twice is taken once.

These are plain actors and not Ray Data's: Ray Data 2.60 hands rows over by the block, so a kill
would lose a whole portion's answers, and gives a lost actor's work to its own restart alone.
The only file that imports ray.
"""

import math
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from generate.chat import adapter_rank, first_line, load_tokenizer
from generate.config import GenerateConfig
from generate.sampler import Request, Sample, Sampler, open_sampler
from storage.errors import ConfigurationError, ModelError
from storage.words import many

SMALLEST, LARGEST = 32, 4096  # requests in a portion
HAND_OVER_SECONDS = 0.5  # finished answers wait at most this long in an actor
MOST_LOSSES = 3  # actors lost one after the other without an answer between


@dataclass(kw_only=True)
class _Portion:
    """What one actor is sampling, without what it has handed over."""

    actor: Any
    open: dict[str, Request]


class RaySampler:
    """As many actors as config.ray says, one per GPU by default (one per machine without GPUs)."""

    def __init__(self, config: GenerateConfig, *, adapters: Sequence[Path]) -> None:
        if find_spec("ray") is None:
            raise ModelError(
                "generate.engine is 'ray' but Ray is not installed. Run "
                "`pip install 'pairloop[ray]'` on every machine of the cluster."
            )
        self.tokenizer: Any = load_tokenizer(config.model)
        for adapter in adapters:
            adapter_rank(adapter)  # before any machine starts an engine
        self._joined = _connect(config.ray.address)
        self._config = config.model_copy(update={"engine": config.ray.engine})
        self._adapters = [adapter.resolve() for adapter in adapters]
        self._actors: list[Any] = []
        machines = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
        self._count, self._resources = _places(config, machines)
        self._fill_up()
        try:
            engine, self.context_tokens = self._first_words()
        except BaseException:
            self.close()
            raise
        self.name = f"ray {_ray().__version__}, {engine}"

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        ray = _ray()
        self._fill_up()
        stream, waiting, idle = iter(requests), deque[Request](), deque(self._actors)
        portions: dict[Any, _Portion] = {}  # by the stream of its answers
        losses = 0
        try:
            while True:
                # Enough to see whether the end is near: portions are smaller there.
                room = 2 * LARGEST * self._count - len(waiting)
                waiting.extend(islice(stream, max(0, room)))
                while waiting and idle:
                    portion = _portion(waiting, idle.popleft(), len(self._actors))
                    answers = portion.actor.sample.options(num_returns="streaming").remote(
                        list(portion.open.values())
                    )
                    portions[answers] = portion
                if not portions:
                    return
                (answers,), _ = ray.wait(list(portions), num_returns=1)
                portion = portions[answers]
                try:
                    samples = ray.get(next(answers))
                except StopIteration:
                    assert not portion.open, "an engine answers every request or raises"
                    del portions[answers]
                    idle.append(portion.actor)
                except ray.exceptions.RayActorError as error:
                    del portions[answers]
                    losses += 1
                    if losses >= MOST_LOSSES:
                        raise ModelError(
                            f"{losses} engines of the cluster were lost one after the other, the "
                            f"last one so: {first_line(error)} Finished answers are stored; run "
                            "this again to go on. If memory ran out, lower "
                            "generate.gpu_memory_utilization or generate.max_tokens."
                        ) from error
                    waiting.extendleft(reversed(portion.open.values()))
                    self._dismiss(portion.actor)
                    idle.extend(self._fill_up())
                except ray.exceptions.RayTaskError as error:
                    raise _told(error) from error
                else:
                    for sample in samples:
                        if portion.open.pop(sample.key, None) is not None:
                            losses = 0
                            yield sample
        finally:
            # Left alone, an actor would go on with the abandoned portion.
            for portion in portions.values():
                self._dismiss(portion.actor)

    def close(self) -> None:
        for actor in list(self._actors):
            self._dismiss(actor)
        if self._joined:
            _ray().shutdown()

    def _fill_up(self) -> list[Any]:
        """Start the actors that are missing; returns those. Each waits for a free place."""
        ray = _ray()
        actor = ray.remote(_Engine).options(max_restarts=0, **self._resources)
        new = [
            actor.remote(self._config, self._adapters)
            for _ in range(self._count - len(self._actors))
        ]
        self._actors += new
        return new

    def _dismiss(self, actor: Any) -> None:
        self._actors.remove(actor)
        _ray().kill(actor)

    def _first_words(self) -> tuple[str, int | None]:
        """Name and context of the first engine that is ready."""
        ray = _ray()
        (first,), _ = ray.wait([a.about.remote() for a in self._actors], num_returns=1)
        try:
            engine, context_tokens = ray.get(first)
        except ray.exceptions.RayTaskError as error:
            raise _told(error) from error
        except ray.exceptions.RayActorError as error:
            raise ModelError(
                f"An engine of the Ray cluster ended while it loaded {self._config.model!r}: "
                f"{first_line(error)} If memory ran out, lower "
                "generate.gpu_memory_utilization or generate.ray.actors."
            ) from error
        return engine, context_tokens


class _Engine:
    """One actor: an engine on some machine of the cluster, loaded with its first call."""

    def __init__(self, config: GenerateConfig, adapters: Sequence[Path]) -> None:
        self._config = config
        self._adapters = adapters
        self._sampler: Sampler | None = None

    def about(self) -> tuple[str, int | None]:
        sampler = self._loaded()
        return sampler.name, sampler.context_tokens

    def sample(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        finished: list[Sample] = []
        last = time.monotonic()
        for sample in self._loaded().sample(requests):
            finished.append(sample)
            if time.monotonic() - last > HAND_OVER_SECONDS:
                yield finished
                finished, last = [], time.monotonic()
        yield finished

    def _loaded(self) -> Sampler:
        if self._sampler is None:
            self._sampler = open_sampler(self._config, adapters=self._adapters)
        return self._sampler


def _ray() -> Any:
    import ray

    return ray


def _connect(address: str | None) -> bool:
    """Join the cluster; False: this process belongs to it already."""
    where = address or os.environ.get("RAY_ADDRESS", "")
    if where.startswith("ray://"):
        raise ConfigurationError(
            f"{where} is an address of Ray Client, which can't hand answers over as they finish. "
            'Run this on a machine of the cluster, with generate.ray.address = "auto".'
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _ray()
    if ray.is_initialized():
        return False
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        raise ConfigurationError(
            f"No Ray cluster answers at {where!r}: {first_line(error)} Start one with `ray start "
            "--head` and join the other machines to it, or correct generate.ray.address."
        ) from error
    return True


def _places(
    config: GenerateConfig, machines: Sequence[dict[str, float]]
) -> tuple[int, dict[str, float]]:
    """How many actors, and what of a machine each takes."""
    gpus = sum(machine.get("GPU", 0) for machine in machines)
    each = config.tensor_parallel_size
    if gpus:
        most = sum(int(machine.get("GPU", 0) // each) for machine in machines)
        count = config.ray.actors or most
        if not 0 < count <= most:
            raise ConfigurationError(
                f"generate.ray.actors = {many(count, 'engine')} of {many(each, 'GPU')} do not fit into the "
                f"cluster's {gpus:.0f} GPUs on {many(len(machines), 'machine')}: {most} do."
            )
        return count, {"num_gpus": each, "num_cpus": 1}
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    count = config.ray.actors or sum(c > 0 for c in cpus)
    if not 0 < count <= sum(cpus):
        raise ConfigurationError(
            f"generate.ray.actors = {count} engines do not fit into the cluster's {sum(cpus)} CPUs."
        )
    fitting = next(n for n in range(max(cpus), 0, -1) if sum(c // n for c in cpus) >= count)
    return count, {"num_cpus": fitting}


def _portion(waiting: deque[Request], actor: Any, actors: int) -> _Portion:
    """The next requests for an actor: large portions first, small ones last, so all end together."""
    size = min(max(math.ceil(len(waiting) / (2 * actors)), SMALLEST), LARGEST, len(waiting))
    taken = [waiting.popleft() for _ in range(size)]
    return _Portion(actor=actor, open={request.key: request for request in taken})


def _told(error: Any) -> ModelError:
    """What an engine raised on its machine, as its own message."""
    cause = error.cause
    if isinstance(cause, ModelError):
        return ModelError(
            f"{cause} (An engine of the Ray cluster said so: models and adapters have to be "
            "readable under the same path on every machine.)"
        )
    return ModelError(
        f"An engine of the Ray cluster failed: {type(cause).__name__}: {first_line(cause)}"
    )
