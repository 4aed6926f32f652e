"""Engines that are not in this process: a vLLM server and a Ray cluster of this machine alone."""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

START_SECONDS = 240  # on a busy machine


@pytest.fixture(scope="module")
def vllm_server(micro_model, tmp_path_factory):
    """The address of a real vLLM server with the micro model.

    Not `vllm serve`, which looks for a distribution of the name vllm: the CPU build has another.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", micro_model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--no-enable-chunked-prefill"]
    command += ["--enable-lora", "--max-lora-rank", "8"]
    log = tmp_path_factory.mktemp("vllm") / "log"
    settings = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    settings |= {"VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | settings
        )
    try:
        began = time.monotonic()
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() - began < START_SECONDS, log.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def ray_cluster():
    """A Ray cluster of two CPUs on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
