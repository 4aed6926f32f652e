"""What is vLLM's own: an engine in a process of its own, and memory that runs out."""

import json
import logging
import multiprocessing
import threading
import time
from pathlib import Path

import psutil
import pytest

from generate.chat import load_tokenizer, prompt_token_ids
from generate.config import GenerateConfig
from generate.sampler import Request, open_sampler
from generate.vllm_engine import _LOOK_SECONDS, _machine_bytes, _while_engines_live
from storage.errors import ModelError
from storage.records import Message, Sampling

pytestmark = pytest.mark.vllm


def config_of(model: str, *, cache_tokens: float) -> GenerateConfig:
    """An engine with room for the keys and values of so many tokens."""
    said = json.loads((Path(model) / "config.json").read_text())
    heads = 2 * said["num_hidden_layers"] * said["num_key_value_heads"]
    share = cache_tokens * heads * said["head_dim"] * 4 / _machine_bytes()
    return GenerateConfig(model=model, engine="vllm", dtype="float32", gpu_memory_utilization=share)


def requests_of(model: str, count: int) -> list[Request]:
    messages = (Message(role="user", content="What is tea?"),)
    ids = prompt_token_ids(load_tokenizer(model), messages)
    return [
        Request(
            key=str(i),
            messages=messages,
            prompt_token_ids=ids,
            sampling=Sampling(temperature=1.3, top_p=1.0, max_tokens=100, seed=i, index=i),
        )
        for i in range(count)
    ]


def test_a_context_that_memory_does_not_hold_is_cut_and_memory_that_ends_later_is_said(
    micro_model, monkeypatch, caplog
):
    """128 tokens are a block of the cache, and one block stays empty."""
    with caplog.at_level(logging.WARNING):
        engine = open_sampler(config_of(micro_model, cache_tokens=450), adapters=[])
    assert engine.context_tokens == 256
    assert "reads up to 512 tokens, but beside its weights the memory holds 256" in caplog.text

    core = engine._llm.llm_engine
    step, came = core.step, []

    def out_of_memory_after_an_answer():
        if came:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nand more")
        return step()

    monkeypatch.setattr(core, "step", out_of_memory_after_an_answer)
    with pytest.raises(ModelError, match=r"out of memory.*lower generate.gpu_memory_utilization"):
        came.extend(engine.sample(requests_of(micro_model, 20)))
    assert came
    engine.close()


def test_memory_without_room_for_the_model_is_said_with_the_setting(micro_model):
    with pytest.raises(ModelError, match=r"raise it, set generate.dtype, or raise"):
        open_sampler(config_of(micro_model, cache_tokens=0.1), adapters=[])


@pytest.fixture
def in_a_process(monkeypatch):
    """As on a GPU, where the engine is always a process of its own."""
    from vllm import envs

    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    envs.disable_envs_cache()
    yield
    envs.disable_envs_cache()


def engine_process() -> psutil.Process:
    (core,) = [p for p in psutil.Process().children() if "EngineCore" in p.name()]
    return core


def closed(_engine, _keys):
    import zmq

    raise zmq.ZMQError(zmq.ENOTSOCK)


@pytest.mark.slow
@pytest.mark.usefixtures("in_a_process")
@pytest.mark.parametrize("own_watch", ["quick", "late"])
def test_an_engine_process_that_was_killed_is_said(micro_model, monkeypatch, own_watch):
    """vLLM itself would wait for ever. Its watch closes the socket; ours may be before it or after."""
    from vllm.v1.engine.core_client import MPClient
    from vllm.v1.engine.llm_engine import LLMEngine

    if own_watch == "quick":
        monkeypatch.setattr(LLMEngine, "abort_request", closed)
    else:
        monkeypatch.setattr(MPClient, "start_engine_core_monitor", lambda _client: None)
    engine = open_sampler(config_of(micro_model, cache_tokens=100_000), adapters=[])
    core = engine_process()
    samples = engine.sample(requests_of(micro_model, 600))
    assert next(samples).token_ids
    core.kill()

    for asked in (samples, engine.sample(requests_of(micro_model, 4))):
        with pytest.raises(ModelError, match=r"its process was killed.*run this again to go on"):
            list(asked)
    engine.close()


@pytest.mark.slow
@pytest.mark.usefixtures("in_a_process")
def test_an_engine_process_that_is_killed_when_it_has_just_loaded_is_said(micro_model, monkeypatch):
    """Here too vLLM itself would wait for ever, for the answer to its first call."""
    from vllm.v1.engine.core_client import MPClient

    watch = MPClient.start_engine_core_monitor  # what is done first once it has loaded

    def killed(client):
        engine_process().kill()
        watch(client)

    monkeypatch.setattr(MPClient, "start_engine_core_monitor", killed)
    with pytest.raises(ModelError, match=r"can't be loaded \(the engine's process was killed"):
        open_sampler(config_of(micro_model, cache_tokens=100_000), adapters=[])


def test_a_start_is_waited_for_only_while_the_engines_process_lives():
    ends = threading.Event()
    engine = multiprocessing.get_context("spawn").Process(
        target=time.sleep, args=(60,), name="EngineCore_0"
    )

    def start_and_wait_for_its_word():
        engine.start()
        time.sleep(3 * _LOOK_SECONDS)
        engine.kill()
        ends.wait(60)

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="killed while it started"):
        _while_engines_live(start_and_wait_for_its_word)
    assert time.monotonic() - began < 30
    ends.set()
    engine.join()
