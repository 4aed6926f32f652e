"""requirements.lock pins everything that is installed, each once and exactly."""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
# vLLM's CPU build asks for these and runs without them; the Makefile takes them away again, and the
# tools that build packages come with the environment.
NOT_PINNED = {"torchvision", "torchaudio", "torchcodec", "pip", "setuptools", "wheel", "pairloop"}


def locked():
    return {
        canonicalize_name(name): version for name, version in (line.split("==") for line in LINES)
    }


def test_every_line_is_one_exact_version_and_they_are_sorted():
    assert [
        line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)
    ] == []
    names = [canonicalize_name(line.split("==")[0]) for line in LINES]
    assert len(set(names)) == len(names)
    assert sorted(LINES, key=str.lower) == LINES


def test_whatever_pairloop_pulls_in_is_pinned():
    """Every dependency of every extra, to the end, as far as this environment has it."""
    pinned, seen = locked(), set()
    waiting = [("pairloop", extra) for extra in ("", "dev", "ray", "audit", "vllm-cpu")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        for line in found.requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                below = canonicalize_name(wanted.name)
                waiting += [(below, ""), *((below, more) for more in wanted.extras)]
    installed = {}
    for name in {name for name, _extra in seen} - NOT_PINNED:
        try:
            installed[name] = distribution(name).version.partition("+")[0]
        except PackageNotFoundError:
            continue
    assert len(installed) > 100
    assert {name: v for name, v in installed.items() if pinned.get(name) != v} == {}
