"""`pairloop judge` as people use it, with a server, with the local engine, and killed on its way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories import fill_store, make_judgment, open_store
from fastapi import Response
from judge_server import chat, judge_server, longer

from annotate.accounts import add_labeler
from annotate.config import Judge
from annotate.judge import Conversation
from annotate.judge_http import HttpJudge
from generate.config import EngineName, GenerateConfig
from pairloop.judge_local import LocalJudge
from storage.errors import ModelError
from storage.judgments import judgment_events, judgments, labelers
from storage.pairs import pairs as all_pairs
from storage.records import Message, Verdict
from storage.run_records import RunStatus
from storage.runs import runs

KEY = "sk-very-secret-1234567890"
CONFIG = """
[generate]
model = "{model}"
engine = "transformers"

[annotate.judge]
max_tokens = 16
{more}
"""


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "pairloop", "judge", *words, "-w", str(folder)]


def pairloop(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(folder, *words), capture_output=True, text=True, timeout=300, env=environment()
    )


def environment() -> dict[str, str]:
    return os.environ | {"COLUMNS": "200", "PAIRLOOP_JUDGE_KEY": KEY}


@pytest.fixture
def workspace(tmp_path, micro_model):
    """Makes a workspace with so many pairs; more: lines of [annotate.judge]."""

    def make(*, pairs: int = 12, more: str = "") -> Path:
        (tmp_path / "pairloop.toml").write_text(CONFIG.format(model=micro_model, more=more))
        with open_store(tmp_path) as store, store.connected():
            if pairs:
                fill_store(store, pairs=pairs, labelers=(), admin=None)
        return tmp_path

    return make


def behind(url: str) -> str:
    return f'url = "{url}"\nmodel = "m"'


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def test_pairs_are_judged_and_the_last_line_says_what_next(workspace):
    with judge_server(longer) as (url, asked):
        folder = workspace(more=behind(url))
        done = pairloop(folder)
        again = pairloop(folder, "--json")

    assert done.returncode == again.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Without a verdict: none.",
        (
            "judge (m) judged 12 of 12 pairs (0 were judged already): 12 preferences, 0 ties, "
            "0 of them because the two orders disagreed. Next: pairloop agreement"
        ),
    ]
    said = json.loads(again.stdout)
    assert (said["wanted"], said["already"], said["judged"]) == (0, 12, 0)
    assert len(asked) == 24
    assert asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_key_is_nowhere_but_in_the_request(workspace):
    def broken(asked):
        return longer(asked) if "Question 1:" in asked.conversation else Response(KEY, 400)

    with judge_server(broken) as (url, _):
        folder = workspace(pairs=5, more=behind(url))
        done = pairloop(folder)

    assert "4 HTTP 400" in done.stdout
    assert "pairloop judge again for the 4 without a verdict" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in (folder / "pairloop.duckdb").read_bytes()


def test_a_dry_run_asks_nothing(workspace):
    with judge_server(longer) as (url, asked):
        folder = workspace(pairs=6, more=behind(url))
        done = pairloop(folder, "--dry-run", "--limit", "5")
        said = json.loads(pairloop(folder, "--dry-run", "--json").stdout)

    assert "5 pairs for judge (m), 0 are judged already: 10 requests" in done.stdout
    assert (said["pairs"], said["requests"], said["reply_tokens_at_most"]) == (6, 12, 192)
    assert 12 * 200 < said["prompt_tokens_estimated"] < 12 * 800
    assert asked == []
    with open_store(folder) as store:
        assert labelers(store) == {}
        assert runs(store) == []


def test_what_is_wrong_is_said_in_one_message(workspace):
    folder = workspace(pairs=0, more='url = "http://127.0.0.1:9/v1"')
    refused(pairloop(folder), "annotate.judge.model")
    (folder / "pairloop.toml").write_text(
        (folder / "pairloop.toml").read_text() + 'model = "m"\nnam = "x"\n'
    )
    refused(pairloop(folder), "nam")
    workspace(pairs=0, more=behind("http://127.0.0.1:9/v1"))
    refused(pairloop(folder), "There are no pairs to judge")
    assert pairloop(folder, "--pairs", "none").returncode == 2
    assert pairloop(folder, "--limit", "0").returncode == 2


def test_a_kill_loses_only_what_is_in_flight_and_a_rerun_doubles_nothing(workspace):
    def slow(asked):
        time.sleep(0.05)
        return longer(asked)

    with judge_server(slow) as (url, asked):
        folder = workspace(pairs=80, more=behind(url) + "\nconcurrency = 2")
        running = subprocess.Popen(
            command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )
        wait_for(lambda: len(asked) > 90)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        with open_store(folder) as store:
            kept = {j.id: j for j in judgments(store)}
            (killed,) = runs(store)
        before = len(asked)
        done = pairloop(folder, "--json")

    assert 20 <= len(kept) < 80
    assert killed.status is RunStatus.STOPPED
    assert json.loads(done.stdout)["judged"] == 80 - len(kept)
    assert len(asked) - before == 2 * (80 - len(kept))
    with open_store(folder) as store:
        everything = judgment_events(store)
    assert len(everything) == len({j.pair_id for j in everything}) == 80
    assert {j.id: j for j in everything if j.id in kept} == kept


def test_ctrl_c_keeps_what_is_judged(workspace):
    def slow(asked):
        time.sleep(0.1)
        return longer(asked)

    with judge_server(slow) as (url, asked):
        folder = workspace(pairs=80, more=behind(url) + "\nconcurrency = 2")
        running = subprocess.Popen(
            command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        wait_for(lambda: len(asked) > 12)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)

    assert running.returncode == 130
    assert b"run the command again to go on" in errors
    assert b"Traceback" not in errors
    with open_store(folder) as store:
        assert len(judgments(store)) >= 5
        assert runs(store)[0].status is RunStatus.STOPPED


def wait_for(happened, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_micro_model_talks_nonsense_and_none_of_it_becomes_a_judgment(workspace, micro_model):
    """Its context is widened, so that the question fits and is answered."""
    folder = workspace(pairs=3, more='model = "wide"')
    shutil.copytree(micro_model, folder / "wide")
    config = json.loads((folder / "wide" / "config.json").read_text())
    config["max_position_embeddings"] = 2048
    (folder / "wide" / "config.json").write_text(json.dumps(config))

    done = pairloop(folder, "--json")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["model"], said["judged"], sum(said["drops"].values())) == ("wide", 0, 3)
    assert set(said["drops"]) <= {"no verdict line", "cut off by max_tokens", "empty reply"}
    with open_store(folder) as store:
        assert judgments(store) == []
        assert runs(store)[0].status is RunStatus.DONE


def test_a_model_whose_context_is_too_small_judges_nothing(workspace):
    said = json.loads(pairloop(workspace(pairs=2), "--json").stdout)
    assert (said["judged"], said["drops"]) == (0, {"longer than the model's context": 2})


@pytest.fixture(params=["http", "local"])
def asker(request, micro_model):
    """Both backends, for what they promise alike."""
    if request.param == "local":
        config = GenerateConfig(model=micro_model, engine=EngineName.TRANSFORMERS)
        yield LocalJudge(config, max_tokens=40)
        return
    with judge_server(lambda asked: chat(f"I see {asked.left[:9]}.")) as (url, _):
        yield HttpJudge(Judge(url=url, model="m", concurrency=3), key="")


def short(key: str, text: str) -> Conversation:
    fence = "<<<{0} c0>>>\nx\n<<<end of {0} c0>>>"
    parts = [fence.format(name) for name in ("conversation", "answer B")]
    answer = f"<<<answer A c0>>>\n{text}\n<<<end of answer A c0>>>"
    user = "\n".join(["The code of this request is c0.", *parts, answer])
    return Conversation(
        key=key,
        messages=(Message(role="system", content="Judge."), Message(role="user", content=user)),
    )


def test_both_backends_answer_every_conversation_and_repeat_themselves(asker):
    asked = [short(str(i), f"topic {i}") for i in range(7)]

    first = {r.key: (r.text, r.failure) for r in asker.ask(iter(asked))}
    second = {r.key: (r.text, r.failure) for r in asker.ask(iter(asked))}

    assert sorted(first) == [c.key for c in asked]
    assert first == second
    assert all(bool(text) != bool(failure) for text, failure in first.values())
    assert list(asker.ask(iter([]))) == []
    assert asker.name


def test_both_backends_can_be_stopped_early(asker):
    replies = asker.ask(short(str(i), "x") for i in range(5))
    next(replies)
    replies.close()
    assert len(list(asker.ask([short("again", "x")]))) == 1


def test_the_local_engine_says_what_does_not_fit(micro_model):
    config = GenerateConfig(model=micro_model, engine=EngineName.TRANSFORMERS)
    long = short("long", "tea and bread " * 2000)
    replies = {r.key: r for r in LocalJudge(config, max_tokens=8).ask([long, short("s", "x")])}
    assert replies["long"].failure == "longer than the model's context"
    assert replies["s"].failure != replies["long"].failure
    with pytest.raises(ModelError, match=r"annotate\.judge\.max_tokens = 600"):
        LocalJudge(config, max_tokens=600)


def test_a_template_without_a_system_turn_gets_one_message(micro_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(micro_model, folder)
    template = (folder / "chat_template.jinja").read_text()
    refusal = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(refusal + template)
    config = GenerateConfig(model=str(folder), engine=EngineName.TRANSFORMERS)
    (reply,) = LocalJudge(config, max_tokens=8).ask([short("s", "x")])
    assert reply.text or reply.failure


def test_agreement_compares_the_model_with_people(workspace):
    with judge_server(longer) as (url, _):
        folder = workspace(more=behind(url))
        pairloop(folder)
    with open_store(folder) as store, store.connected():
        add_labeler(store, "ann", password=None)
        store.append([make_judgment(p, "ann", Verdict.FIRST) for p in all_pairs(store)])

    words = [sys.executable, "-m", "pairloop", "agreement", "-w", str(folder)]
    text = subprocess.run(words, capture_output=True, text=True, env=environment())
    said = subprocess.run([*words, "--json"], capture_output=True, text=True, env=environment())

    assert "judge (m): 12 pairs judged, 12 of them by people too" in text.stdout, text.stderr
    assert "says the same in both orders" in text.stdout
    (row,) = json.loads(said.stdout)["models"]
    assert (row["labeler"], row["model"], row["shared"]) == ("judge", "m", 12)
    assert row["position_consistency"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 12}
    assert row["longer_share"]["value"] == 1.0
    assert json.loads(said.stdout)["judgments"] == 12
