"""All commands beside a running `pairloop annotate`: real processes, one database file."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from factories import PASSWORD
from serving import wait_for

TOPICS = ["tea", "bread", "bees", "chess", "rain", "soup", "maps", "cats", "moon", "honey"]


def run(workspace: Path, *words: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pairloop", *words, "--workspace", str(workspace)],
        capture_output=True,
        text=True,
        input=text,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model) -> Path:
    folder = tmp_path_factory.mktemp("side-by-side") / "w"
    subprocess.run(
        [sys.executable, "-m", "pairloop", "init", str(folder), "--model", micro_model],
        check=True,
        capture_output=True,
    )
    path = folder / "pairloop.toml"
    config = path.read_text().replace(
        "max_tokens = 512", 'max_tokens = 64\nengine = "transformers"'
    )
    config = config.replace("[annotate]", "[annotate]\nevaluation_votes = 1")
    config = config.replace("learning_rate = 1e-5", "learning_rate = 1e-3\nmin_triplets = 4")
    config = config.replace("[generate]", "[generate]\ntest_share = 0.3\nvalidation_share = 0.2")
    path.write_text(config)
    return folder


@pytest.fixture(scope="module")
def server(workspace):
    """`pairloop annotate` on a free port; yields its address, stopped as Ctrl-C does."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(workspace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    line = child.stdout.readline()
    address = re.search(r"http://\S+", line).group()
    link = re.search(r"http://\S+", child.stdout.readline()).group()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz").is_success:
                break
        except httpx.HTTPError:
            time.sleep(0.1)
    yield address, link
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    assert "all judgments are stored" in out


def sign_in(address: str, name: str) -> httpx.Client:
    client = httpx.Client(base_url=address, timeout=60)
    answer = client.post("/login", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 303
    return client


def cards_of(client: httpx.Client) -> list[dict]:
    return client.get("/api/pairs", params={"count": 4}).json()["pairs"]


def judge_all(client: httpx.Client) -> int:
    """Prefer the longer answer: two labelers who agree, so that pairs settle."""
    judged = 0
    while cards := cards_of(client):
        for card in cards:
            sides = ("left", "right")
            longer = max(sides, key=lambda s: (len(card[f"{s}_text"]), card[f"{s}_text"]))
            body = {
                "key": str(uuid4()),
                "presentation": card["presentation"],
                "choice": longer,
                "strength": "clear",
                "seconds": 3.0,
            }
            client.post("/api/judgments", json=body).raise_for_status()
            judged += 1
    return judged


@pytest.mark.slow
def test_the_whole_loop_runs_beside_the_labeling_server(workspace, server, tmp_path):
    address, _link = server
    serving = workspace / "pairloop.duckdb.serving"
    assert serving.stat().st_mode & 0o777 == 0o600

    lines = [{"prompt": f"{ask} {t}?"} for t in TOPICS for ask in ("What is", "Why do people like")]
    (workspace / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert "Added 20 prompts" in run(workspace, "prompts", "add", str(workspace / "prompts.jsonl"))
    for name in ("ann", "bob"):
        run(workspace, "labelers", "add", name, "--password-stdin", text=f"{PASSWORD}\n")
    generated = json.loads(run(workspace, "generate", "--json"))
    assert generated["sampled"] == generated["wanted"] > 0
    people = [sign_in(address, name) for name in ("ann", "bob")]
    wait_for(lambda: cards_of(people[0]))  # the desk looks for new pairs once a second
    assert [judge_all(p) for p in people] == [generated["pairs"]] * 2

    report = json.loads(run(workspace, "agreement", "--json"))
    assert report["judgments"] == 2 * generated["pairs"]
    assert report["observed_agreement"]["value"] == 1.0
    trained = json.loads(run(workspace, "train", "--json"))
    assert trained["round"] == 1
    assert (workspace / "policies" / "round-1" / "adapter_model.safetensors").is_file()
    assert "Wrote" in run(workspace, "export", str(tmp_path / "out"))

    made = json.loads(run(workspace, "evaluate", "--json"))
    assert made["pairs"] == made["new_pairs"]
    wait_for(lambda: cards_of(people[0]) or not made["pairs"])
    assert judge_all(people[0]) == made["pairs"]
    status = json.loads(run(workspace, "status", "--json"))
    first, second = status["rounds"]
    assert (first["votes"], first["settled"]) == (2 * generated["pairs"], generated["pairs"])
    assert second["triplets"] == trained["triplets"]
    if made["pairs"]:
        assert 0 <= second["win_rate_low"] <= second["win_rate"] <= second["win_rate_high"] <= 1
    assert status["next_step"] == "pairloop generate"

    refused = subprocess.run(
        [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(workspace)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert refused.returncode == 1
    assert "already served by another `pairloop annotate`" in refused.stderr
    for person in people:
        person.close()
