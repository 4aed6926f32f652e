"""An S3 server of the tests' own: moto, in an environment of its own, since it needs older libraries."""

import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
from serving import wait_for


def program() -> str | None:
    """Where moto's server is: beside this environment (make s3), or on the path."""
    own = Path(sys.prefix) / "s3" / "bin" / "moto_server"
    return str(own) if own.exists() else shutil.which("moto_server")


@contextmanager
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program(), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _answers(url), seconds=60)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/moto-api/data.json").is_success
    except httpx.HTTPError:
        return False
