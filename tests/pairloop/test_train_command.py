"""`pairloop train --check` as its users call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_data import fill_workspace
from typer.testing import CliRunner

from pairloop import commands_train
from pairloop.cli import app
from storage.errors import ConfigurationError


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model) -> Path:
    folder = tmp_path_factory.mktemp("settled")
    (folder / "pairloop.toml").write_text(
        f'[generate]\nmodel = "{micro_model}"\n'
        "[train]\nmin_triplets = 4\nmax_length = 256\nbatch_size = 4\nprice_per_hour = 3.0\n"
    )
    fill_workspace(folder, micro_model)
    return folder


def check(folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pairloop", "train", "--check", "--workspace", str(folder)]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


def test_the_check_tells_every_light_and_trains_nothing(workspace):
    done = check(workspace, "--json")
    found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["red"] == 0
    assert found["first step"]["light"] == "green"
    assert "loss 0.6931" in found["first step"]["finding"]
    assert "at 3 an hour" in found["cost"]["finding"]
    assert found["reference"]["light"] == "amber", "the made-up sampler's numbers do not hold"
    assert not (workspace / "policies").exists()


def test_a_red_light_is_exit_code_1_with_what_to_do(workspace):
    settings = workspace / "pairloop.toml"
    before = settings.read_text()
    settings.write_text(before.replace("max_length = 256", "max_length = 12"))
    try:
        done = check(workspace)
    finally:
        settings.write_text(before)

    assert done.returncode == 1
    assert "length" in done.stdout
    assert "1 red" in done.stdout
    assert "Set train.max_length to" in " ".join(done.stdout.split())


def test_a_method_may_be_given_and_what_is_missing_is_named(workspace):
    """Keys of other methods than the given one are left out, and told."""
    settings = workspace / "pairloop.toml"
    before = settings.read_text()
    settings.write_text(before + "soft_labels = true\nnum_generations = 4\n")
    try:
        done = check(workspace, "--method", "grpo")
    finally:
        settings.write_text(before)

    words = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "[train] soft_labels: not of grpo, left out" in words
    assert "Train one on the settled pairs first: `pairloop train --method reward`" in words


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--processes", "3"), "cannot be divided among launch.processes = 3"),
        (("--launch", "fdsp", "--processes", "2"), "neither a file nor one of ddp, fsdp"),
    ],
    ids=["batch", "config"],
)
def test_flags_of_several_processes_that_do_not_fit_are_refused(workspace, words, says):
    done = CliRunner().invoke(app, ["train", "--check", *words, "--workspace", str(workspace)])

    assert isinstance(done.exception, ConfigurationError)
    assert says in str(done.exception)
    assert not list((workspace / "policies").glob(".launch.json"))


@pytest.mark.parametrize(("seen", "used"), [(None, "0"), ("2,3", "2"), ("", "")])
def test_one_process_sees_one_gpu(seen, used, monkeypatch):
    if seen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    commands_train._use_one_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == used
