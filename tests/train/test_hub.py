"""Sending an export to the Hub, against a server that speaks its API."""

import logging

import httpx2
import pytest
from hub_server import TOKEN, Hub, hub
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http

from storage.errors import ConfigurationError, ConflictError, StoreError
from train.export_folder import MARK
from train.hub import RepoType, check_repo, push

REPO = "ann/tea"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(_http.time, "sleep", lambda _: None)
        yield found


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "out"
    for part in ("data", "disk"):
        (out / part).mkdir(parents=True)
        (out / part / "train.parquet").write_bytes(part.encode() * 100)
    (out / "data" / "validation.parquet").write_bytes(b"2" * 300)
    (out / "README.md").write_text("card")
    (out / MARK).write_text("{}")
    return out


def test_an_export_is_private_unless_asked_and_comes_whole(server: Hub, folder):
    done = push(folder, REPO, RepoType.DATASET, public=False)
    repo = server.repos["datasets/ann/tea"]
    assert (done.private, repo["private"]) == (True, True)
    assert done.url == f"{server.url}/datasets/ann/tea"
    assert sorted(repo["files"]) == [
        "README.md",
        "data/train.parquet",
        "data/validation.parquet",
        MARK,
    ]
    assert repo["files"]["data/train.parquet"] == b"data" * 100


def test_a_second_export_sends_what_is_new_and_removes_what_is_gone(server: Hub, folder):
    push(folder, REPO, RepoType.DATASET, public=False)
    sent = len(server.puts)
    (folder / "data" / "validation.parquet").unlink()
    (folder / "README.md").write_text("another card")
    push(folder, REPO, RepoType.DATASET, public=False)
    files = server.repos["datasets/ann/tea"]["files"]
    assert files["README.md"] == b"another card"
    assert "data/validation.parquet" not in files
    assert len(server.puts) == sent == 2


def test_a_broken_upload_is_taken_up_where_it_broke(server: Hub, folder):
    server.fail["/commit/"] = 500
    with pytest.raises(StoreError, match=r"answered 500.*run the same command again"):
        push(folder, REPO, RepoType.DATASET, public=False)
    server.fail.clear()
    push(folder, REPO, RepoType.DATASET, public=False)
    assert len(server.puts) == 2
    assert server.commits == 1


@pytest.mark.parametrize(
    ("at", "status", "error", "words"),
    [
        ("/api/repos/create", 403, ConfigurationError, r"may not write to ann/tea \(403\)"),
        ("/api/repos/create", 429, StoreError, r"slow down \(429\)"),
        ("/blobs/", 403, ConfigurationError, r"may not write to ann/tea \(403\)"),
    ],
)
def test_a_refusal_says_what_to_do(server: Hub, folder, at, status, error, words):
    server.fail[at] = status
    with pytest.raises(error, match=words):
        push(folder, REPO, RepoType.DATASET, public=False)


def test_a_wrong_token_is_said_and_never_shown(server: Hub, folder, monkeypatch, caplog):
    secret = "hf_this_must_stay_secret"
    monkeypatch.setenv("HF_TOKEN", secret)
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError, match="401") as found:
        push(folder, REPO, RepoType.DATASET, public=False)
    assert secret not in str(found.value) + caplog.text


def test_without_a_network_it_says_so(server: Hub, folder, monkeypatch):
    class Unplugged:
        def __init__(self, *_: object, **__: object) -> None:
            raise httpx2.ConnectError("no route")

    monkeypatch.setattr(HfApi, "dataset_info", Unplugged)
    with pytest.raises(StoreError, match=r"can't be reached \(ConnectError\)"):
        push(folder, REPO, RepoType.DATASET, public=False)


def test_what_others_keep_there_and_what_is_public_is_left_alone(server: Hub, folder):
    server.repos["datasets/ann/tea"] = {"private": True, "files": {"thesis.tex": b"years"}}
    with pytest.raises(ConflictError, match="is no export of pairloop"):
        push(folder, REPO, RepoType.DATASET, public=False)
    server.repos["datasets/ann/tea"] = {"private": False, "files": {}}
    with pytest.raises(ConflictError, match=r"is public, so nothing was sent"):
        push(folder, REPO, RepoType.DATASET, public=False)
    assert not server.puts
    assert not push(folder, REPO, RepoType.DATASET, public=True).private


def test_a_name_without_owner_and_a_missing_token_are_found_first(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(ConfigurationError, match="owner/name"):
        check_repo("tea")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="HF_TOKEN"):
        check_repo(REPO)
