"""A distributed store whose rows are in S3: two processes, compacting, and keys that nobody sees."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import s3
from factories import fill_store, make_judgment, make_prompt

from pairloop import commands_store
from pairloop.workspace import init_workspace
from storage import lake
from storage.errors import StoreError
from storage.judgments import judgments
from storage.records import Prompt, Verdict
from storage.store import Store

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

SECRET = "wJalrXUtnFEMI-is-secret"
CONFIG = """\
[generate]
model = "some/model"

[storage]
store = "{store}"
data = "s3://rows/of-a-team"

[log]
level = "debug"
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, s3.server() as url:
        patch.setenv("AWS_ACCESS_KEY_ID", "the-key-id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", "eu-central-1")
        patch.setenv("AWS_ENDPOINT_URL", url)
        httpx.put(f"{url}/rows").raise_for_status()
        yield f"{url}/rows"


def pairloop(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pairloop", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def objects(bucket: str) -> list[str]:
    return httpx.get(bucket, params={"list-type": 2}).text.split("<Key>")[1:]


def test_rows_in_s3_are_written_read_and_compacted_by_several_processes(bucket, lakes, tmp_path):
    config = CONFIG.format(store=lakes.blank())
    space, _ = init_workspace(tmp_path / "space", model="some/model", config=config)
    store = space.store(hold=True)
    filled = fill_store(store, pairs=60)  # more rows than go into the catalog
    (prompts := tmp_path / "more.jsonl").write_text('{"prompt": "Why is the sky blue?"}\n')
    said = pairloop("prompts", "add", str(prompts), "-w", str(space.root))
    store.append([make_judgment(filled.pairs[0], "ann", Verdict.TIE)])
    assert len(store.read(Prompt, "prompts_all")) == 61

    commands_store.compact(workspace=space.root)
    commands_store.backup(tmp_path / "b.duckdb", workspace=space.root)
    said += pairloop("status", "--json", "-w", str(space.root))

    assert any("judgment_rows/" in name and ".parquet" in name for name in objects(bucket))
    lake.disconnect(space.database)  # as a process that starts later
    assert len(judgments(space.store())) == 1
    with Store(tmp_path / "b.duckdb") as copied:
        assert len(copied.read(Prompt, "prompts_all")) == 61
    assert SECRET not in said
    assert not list(tmp_path.rglob("*.parquet"))


def test_s3_that_does_not_answer_or_has_no_such_bucket_is_one_clear_error(
    bucket, lakes, monkeypatch
):
    address = lake.LakeAddress.of(str(lakes.blank()), "s3://no-such-bucket/rows")
    with pytest.raises(StoreError, match="Check that the bucket exists") as caught:
        Store(address).append([make_prompt()])
    assert "NoSuchBucket" in str(caught.value)
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    address = lake.LakeAddress.of(str(lakes.blank()), "s3://rows/elsewhere")
    with pytest.raises(StoreError, match=r"HTTP PUT to 'http://127.0.0.1:9") as caught:
        Store(address).append([make_prompt()])
    assert SECRET not in str(caught.value)
