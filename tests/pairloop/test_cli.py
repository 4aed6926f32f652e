"""The command as people use it: what it prints, what it refuses, and how it ends."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories import fill_store, make_response, open_store

COMMANDS = [
    ["init"],
    ["prompts", "add"],
    ["prompts", "near"],
    ["import"],
    ["generate"],
    ["annotate"],
    ["labelers", "add"],
    ["labelers", "list"],
    ["labelers", "disable"],
    ["labelers", "enable"],
    ["labelers", "pause"],
    ["labelers", "resume"],
    ["labelers", "token"],
    ["judge"],
    ["agreement"],
    ["export"],
    ["train"],
    ["evaluate"],
    ["status"],
    ["demo"],
]


def pairloop(*words: str, cwd: Path | None = None, text: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pairloop", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=text,
        timeout=300,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, micro_model) -> Path:
    """What `pairloop init` makes."""
    folder = tmp_path_factory.mktemp("cli") / "work"
    assert pairloop("init", str(folder), "--model", micro_model).returncode == 0
    return folder


@pytest.fixture
def workspace(tmp_path, untouched) -> Path:
    return Path(shutil.copytree(untouched, tmp_path / "work"))


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """One message on stderr, exit code 1, no traceback, nothing on stdout."""
    assert done.returncode == 1, done.stderr
    assert sum(line.startswith("Error: ") for line in done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


HELP = """
import contextlib, io, json, sys
from pairloop.cli import main
said = {}
for words in json.loads(sys.argv[1]):
    sys.argv = ["pairloop", *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
            code = 0
        except SystemExit as done:
            code = done.code or 0
    heavy = {"torch", "vllm", "gradio", "trl", "transformers", "datasets", "duckdb"}
    said[" ".join(words)] = [code, out.getvalue(), sorted(heavy & sys.modules.keys())]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def helped() -> dict[str, tuple[int, str, list[str]]]:
    """The code, the text and the heavy modules after each command's help, all in one process."""
    command = [sys.executable, "-c", HELP, json.dumps(COMMANDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_it_loads_nothing_heavy(helped, words):
    code, text, heavy = helped[" ".join(words)]

    assert code == 0
    assert heavy == []
    usage = text.split("Usage:")[1]
    assert re.search(r"\n\n  [A-Z][^.]+\.", usage), "a sentence says what it does"


def test_help_lists_the_commands_as_the_loop_goes_and_cuts_no_sentence():
    said = pairloop("--help").stdout.split("Commands:")[1]
    named = re.findall(r"^  ([a-z]+) ", said, re.MULTILINE)

    assert named[:4] == ["init", "demo", "prompts", "import"]
    assert named.index("annotate") < named.index("train") < named.index("evaluate")
    assert "..." not in said


def test_unknown_flags_are_wrong_usage():
    assert pairloop("generate", "--no-such-flag").returncode == 2


def test_init_makes_a_workspace_and_leaves_one_alone(tmp_path, micro_model):
    first = pairloop("init", str(tmp_path / "w"), "--model", micro_model)
    config = (tmp_path / "w" / "pairloop.toml").read_text()
    again = pairloop("init", str(tmp_path / "w"), "--model", "other/model")

    assert first.returncode == again.returncode == 0
    assert "Next: pairloop prompts add" in first.stdout
    assert "left as it is" in again.stdout
    assert (tmp_path / "w" / "pairloop.toml").read_text() == config
    assert micro_model in config


def test_init_without_a_model_says_what_to_name(tmp_path):
    done = pairloop("init", str(tmp_path / "w"))
    assert done.returncode == 2
    assert "--model OWNER/NAME" in " ".join(done.stderr.split())
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("command", ["annotate", "demo"])
def test_a_port_that_no_machine_has_is_wrong_usage(command):
    done = pairloop(command, "--port", "65536")
    assert done.returncode == 2
    assert "less than or equal to 65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_pairloop_toml_is_no_workspace(tmp_path):
    refused(pairloop("status", cwd=tmp_path), "is not a pairloop workspace", "pairloop init")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("temperaturs = [1.0]", ["line", "temperaturs", "Did you mean 'temperatures'"]),
        ('max_tokens = "many"', ["line", "generate.max_tokens", "'many'"]),
        ("[generat]", ["no section [generat]", "Did you mean 'generate'"]),
        ("this is not toml", ["not valid TOML", "line"]),
    ],
)
def test_a_broken_configuration_is_named_with_its_line(workspace, line, words):
    path = workspace / "pairloop.toml"
    path.write_text(path.read_text().replace("[annotate]", f"{line}\n\n[annotate]", 1))
    path.write_text(path.read_text().replace("max_tokens = 512\n\nmax", "\nmax"))
    if "max_tokens" in line:
        path.write_text(path.read_text().replace("max_tokens = 512\n", ""))

    refused(pairloop("status", "-w", str(workspace)), *words)


def test_bad_prompt_lines_are_all_named_and_nothing_is_stored(workspace):
    file = workspace / "prompts.jsonl"
    file.write_text('{"prompt": "Good one"}\n{"prompt": \n{"text": "x"}\n{"prompt": "good  ONE"}\n')

    done = pairloop("prompts", "add", str(file), "-w", str(workspace))

    refused(done, "line 2: not JSON", "line 3:", "line 4: the same prompt as", "nothing was stored")
    status = json.loads(pairloop("status", "--json", "-w", str(workspace)).stdout)
    assert status["prompts"] == 0


def test_prompts_can_be_added_again_without_effect(workspace):
    file = workspace / "prompts.jsonl"
    file.write_text('{"prompt": "What is tea?"}\n{"prompt": "What is bread?"}\n')

    first = pairloop("prompts", "add", str(file), "-w", str(workspace))
    again = pairloop("prompts", "add", str(file), "-w", str(workspace))

    assert "Added 2 prompts" in first.stdout
    assert "Added 0 prompts" in again.stdout
    assert "2 were there already" in again.stdout


def test_a_model_path_that_does_not_exist_is_refused_before_anything_is_sampled(tmp_path):
    folder = tmp_path / "w"
    pairloop("init", str(folder), "--model", "./no/such/model")
    (folder / "p.jsonl").write_text('{"prompt": "What is tea?"}\n')
    pairloop("prompts", "add", str(folder / "p.jsonl"), "-w", str(folder))

    refused(pairloop("generate", "-w", str(folder)), "no/such/model does not exist")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate"], "There are no prompts to answer"),
        (["train"], "no policy has answered prompts yet"),
        (["export", "out"], "There is nothing to export"),
        (["evaluate"], "There is no policy 'latest'"),
        (["labelers", "disable", "nobody"], "There is no labeler 'nobody'"),
        (["annotate", "--login", "nobody", "--port", "0"], "no active labeler 'nobody'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_that_come_too_early_say_what_is_missing(workspace, words, said):
    done = pairloop(*words, "-w", str(workspace), cwd=workspace)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workspace / "out").exists()


def test_a_port_in_use_is_named(workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = pairloop("annotate", "--port", str(port), "-w", str(workspace))

    refused(done, f"Port {port}", "--port")


def test_a_store_held_by_another_program_is_named_with_its_process(workspace):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True);"
                " time.sleep(120)"
            ),
            str(workspace / "pairloop.duckdb"),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        began = time.monotonic()
        done = pairloop("status", "-w", str(workspace))
        refused(done, f"in use by process {holder.pid}", "Wait for it, or stop it")
        assert time.monotonic() - began < 60
    finally:
        holder.kill()
        holder.wait()


def test_a_workspace_of_a_newer_version_is_left_alone(workspace):
    import duckdb

    with duckdb.connect(str(workspace / "pairloop.duckdb")) as connection:
        connection.execute("insert into schema_versions values (99, now()::timestamp)")

    refused(pairloop("status", "-w", str(workspace)), "newer pairloop", "Update pairloop")


def test_pairs_can_be_formed_of_stored_answers_with_another_strategy(workspace):
    """Nothing is sampled, a repeat does nothing, and what a strategy lacks is one message."""
    with open_store(workspace) as store:
        filled = fill_store(store, pairs=3)

    def form(*words: str) -> subprocess.CompletedProcess:
        return pairloop("generate", "--pairs-only", *words, "-w", str(workspace))

    scores = workspace / "scores.csv"
    lines = [f"{r.id},{i}" for i, r in enumerate(filled.responses)]
    scores.write_text("\n".join(["response_id,score", *lines]))

    refused(form("--strategy", "uncertain"), "needs scores", "pairloop judge")
    refused(form("--scores", str(scores)), "--scores goes with --strategy uncertain")
    refused(form("--against", "sft"), "--against goes with")
    assert form("--strategy", "best").returncode == 2
    with open_store(workspace) as store:
        answer = make_response(filled.prompts[0], filled.policy, "Something else.", index=5)
        store.append([answer])
    plan = form("--strategy", "most-different", "--dry-run")
    assert "would form 1 new pair by strategy most-different, 4 in all" in plan.stdout
    first = json.loads(form("--strategy", "most-different", "--json").stdout)
    again = json.loads(form("--strategy", "most-different", "--json").stdout)
    assert (first["new_pairs"], again["new_pairs"], again["pairs"]) == (1, 0, 4)
    assert first["drops"] == {"all_such_pairs_exist": 2}
    scored = form("--strategy", "uncertain", "--scores", str(scores))
    assert "all such pairs exist │                  3" in scored.stdout


def test_prompts_near_others_are_reported_and_those_of_a_list_left_out(workspace):
    question = "Explain in simple words why the sky is blue and why the evening sky is red today"
    rows = [question, question + " please", "What is tea?", "Who painted the night watch?"]
    file, listed = workspace / "questions.jsonl", workspace / "benchmark.jsonl"
    file.write_text("\n".join(json.dumps({"question": row}) for row in rows))
    listed.write_text(json.dumps({"q": "Who painted The Night Watch", "a": "Rembrandt"}))
    where = ["-w", str(workspace)]

    mapped = ["prompts", "add", str(file), "--map", "prompt=question"]
    done = pairloop(*mapped, "--decontaminate", str(listed), *where)
    again = pairloop(*mapped, *where)
    refused(pairloop(*mapped, "--layout", "votes", *where), "leave out --map, or --layout")

    assert done.returncode == 0, done.stderr
    assert "Left out: 1 prompt in the list of --decontaminate." in done.stdout
    assert f"{listed}, line 1" in done.stdout
    assert "1 prompt nearly the same as an earlier one" in done.stdout
    assert "Added 3 prompts" in done.stdout
    assert "Added 1 prompt (" in again.stdout
    assert "nearly the same" not in again.stdout
    (near,) = json.loads(pairloop("prompts", "near", "--json", *where).stdout)
    assert {near["text"], near["earlier_text"]} == set(rows[:2])
    assert near["share"] > 0.8
    stays = pairloop(*mapped, "--decontaminate", str(listed), *where)
    assert "Stored before and in the list too: 1 prompt, kept." in stays.stdout


def test_the_diversity_report_is_a_table_json_and_a_picture(workspace):
    def report(*words: str) -> subprocess.CompletedProcess:
        return pairloop("generate", *words, "-w", str(workspace))

    refused(report("--diversity"), "There is no policy 'latest'")
    with open_store(workspace) as store:
        fill_store(store, pairs=3)
    picture = workspace / "diversity.svg"
    done = report("--plot", str(picture))
    found = json.loads(report("--diversity", "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert "self-BLEU" in done.stdout
    assert "6 answers to 3 prompts" in done.stdout
    assert [row["temperature"] for row in found["rows"]] == [0.7, 1.3]
    assert found["between"][0]["usable"] == 1
    text = picture.read_text()
    assert text.count("<svg") == 1
    assert not re.search(r'href="(?!#)', text), "nothing is loaded from elsewhere"
    refused(report("--diversity", "--plot", "x.gif"), ".svg, .png, .pdf")
    refused(report("--diversity", "--plot", "none/x.svg"), "does not exist")
