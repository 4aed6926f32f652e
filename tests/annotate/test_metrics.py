"""The numbers Prometheus reads are those of what was really done over HTTP, and blind."""

import re
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from serving import listening
from web import Server, decision, sign_in

from annotate.web_health import METRICS_TOKEN, metrics_token
from storage.errors import ConfigurationError, StoreError
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog

TOKEN = "0123456789abcdef-metrics"
# What Prometheus 3 sends.
PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        patch.setenv(METRICS_TOKEN, TOKEN)
        made = Server(tmp_path_factory.mktemp("metrics"), votes_per_pair=1, repeat_share=0)
    with listening(made.app) as address:
        yield made, address
    made.store.close()


def scrape(address, **headers):
    answer = httpx.get(f"{address}/metrics", headers=BEARER | headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def samples(address):
    """Every sample by name and labels' values, as prometheus_client's own parser reads them."""
    found = {}
    for family in parse(scrape(address).text):
        for sample in family.samples:
            found[sample.name, *(v for k, v in sorted(sample.labels.items()))] = sample.value
    return found


def test_what_was_done_is_what_is_counted(live):
    server, address = live
    before = samples(address)
    assert before["pairloop_pairs", "waiting"] == 12
    assert before["pairloop_labelers_active",] == 0
    assert before["pairloop_judgments_refused_total", "conflict"] == 0

    with closing(sign_in(address, "ann")) as ann, closing(sign_in(address, "bob")) as bob:
        cards = ann.get("/api/pairs", params={"count": 4}).json()["pairs"]
        other = bob.get("/api/pairs", params={"count": 1}).json()["pairs"][0]
        for card in cards[:3]:
            for _ in range(2):  # a retry is acknowledged and stored once
                assert ann.post("/api/judgments", json=decision(card)).is_success
        assert ann.post("/api/undo", json={"key": "k" * 8}).is_success
        assert ann.post("/api/judgments", json=decision(other)).status_code == 409
        assert ann.post("/api/judgments", json={"choice": "both"}).status_code == 422
        nobody = httpx.post(f"{address}/api/judgments", json={})
        assert nobody.status_code == 401
        assert ann.request("PROPFIND", "/api/pairs").status_code == 405
        ann.get("/api/no-such-thing")
        now = samples(address)

    counted = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
    assert counted["pairloop_judgments_acknowledged_total",] == 6
    assert counted["pairloop_judgments_stored_total",] == 4  # the undo is one
    refused = {k[1]: v for k, v in counted.items() if k[0] == "pairloop_judgments_refused_total"}
    assert refused == {"conflict": 1, "malformed": 1, "signed_out": 1}
    assert counted["pairloop_requests_total", "POST", "/api/judgments", "200"] == 6
    assert counted["pairloop_requests_total", "POST", "/api/judgments", "401"] == 1
    assert counted["pairloop_requests_total", "other", "/api/pairs", "405"] == 1
    assert counted["pairloop_requests_total", "GET", "none", "404"] == 1
    assert counted["pairloop_request_duration_seconds_count", "POST", "/api/judgments"] == 9
    assert counted["pairloop_store_commit_duration_seconds_count",] == 4
    # Two of three judgments stand; ann holds the one taken back and one more, bob holds one.
    states = {k[1]: v for k, v in now.items() if k[0] == "pairloop_pairs"}
    assert states == {"waiting": 7, "leased": 3, "settled": 2, "unsettled": 0}
    desk = server.desk.queue_states()
    assert states["settled"] == desk["settled"]
    assert states["waiting"] + states["leased"] == desk["waiting"]
    assert now["pairloop_labelers_active",] == 2
    assert now["pairloop_store_up",] == now["pairloop_ready",] == 1
    assert now["pairloop_database_bytes",] > 10_000
    assert now["process_resident_memory_bytes",] > 10_000_000
    assert now["process_cpu_seconds_total",] > 0


def test_runs_are_counted_by_kind_and_state_even_if_killed(live):
    server, address = live
    done = RunLog(server.store, RunKind.TRAIN, number=1, config={})
    RunLog(server.store, RunKind.GENERATE, number=1, config={})
    assert samples(address)["pairloop_runs", "train", "running"] == 1
    done.event("done", status=RunStatus.DONE)
    now = {k[1:]: v for k, v in samples(address).items() if k[0] == "pairloop_runs" and v}
    assert now == {("train", "done"): 1, ("generate", "running"): 1}


def test_a_scrape_reads_no_pair_however_many_there_are(live, monkeypatch):
    """Only counts that are kept: each query of a scrape answers with a single row."""
    server, address = live
    samples(address)
    table, sizes = server.store.table, []

    def watched(name, **params):
        found = table(name, **params)
        sizes.append((name, found.num_rows))
        return found

    monkeypatch.setattr(server.store, "table", watched)
    monkeypatch.setattr(server.desk._floor.queue, "counts", lambda **_: pytest.fail("a full scan"))
    samples(address)
    assert {rows for _, rows in sizes} == {1}, sizes


def test_a_store_that_fails_leaves_out_what_it_would_say(live, monkeypatch):
    server, address = live

    def fail(*_args, **_named):
        raise StoreError("gone")

    monkeypatch.setattr(server.desk, "glance", fail)
    now = samples(address)
    assert now["pairloop_store_up",] == 0
    assert not any(name[0] in ("pairloop_pairs", "pairloop_runs") for name in now)
    assert now["pairloop_requests_total", "GET", "/metrics", "200"] >= 0


def test_both_formats_are_read_by_their_parsers(live):
    _, address = live
    samples(address)
    answer = scrape(address, Accept=PROMETHEUS_ACCEPTS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {f.name for f in parse_openmetrics(answer.text)} >= {
        "pairloop_requests",
        "pairloop_pairs",
    }
    for plain in ("*/*", "text/plain", ""):
        found = scrape(address, Accept=plain).headers["content-type"]
        assert found.startswith("text/plain; version="), plain


def test_the_scrape_configuration_of_the_docs_reads_the_numbers(live, tmp_path):
    """With the defaults that Prometheus has for what it leaves out: the path, and Bearer."""
    _, address = live
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    (block,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", text, re.DOTALL)
    (job,) = yaml.safe_load(block)["scrape_configs"]
    assert job.keys() == {"job_name", "authorization", "static_configs"}
    assert job["static_configs"] == [{"targets": ["127.0.0.1:7860"]}]
    (name,) = job["authorization"].keys()
    (tmp_path / "token").write_text(f"{TOKEN}\n")  # as `openssl rand -hex 32 > FILE` leaves it
    assert name == "credentials_file"
    bearer = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
    assert httpx.get(f"{address}/metrics", headers=bearer, timeout=30).is_success


def test_the_numbers_name_nobody_and_no_model(live):
    server, address = live
    with closing(sign_in(address, "ann")) as ann:
        card = ann.get("/api/pairs", params={"count": 1}).json()["pairs"][0]
        ann.post("/api/judgments", json=decision(card))
        ann.get("/login/once/token-of-ann")
    text = scrape(address).text
    policy, response = server.filled.policy, server.filled.responses[0]
    for secret in ("ann", "bob", "lead", policy.base_model, policy.id, response.id, "token-of"):
        assert f'"{secret}"' not in text
        assert secret not in text.replace("annotate", "").replace("scanned", ""), secret
    assert "temperature" not in text


def test_the_numbers_are_for_admins_and_the_token(live):
    server, _ = live
    own = {name: f"Bearer {server.token(name)}" for name in ("ann", "lead")}
    wrong = (None, "Bearer x", f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}", own["ann"])
    for name in (None, "ann"):
        for bearer in wrong:
            headers = {"Authorization": bearer} if bearer is not None else {}
            answer = server.client(name).get("/metrics", headers=headers)
            assert answer.status_code in (401, 403), (name, bearer)
            assert set(answer.json()) == {"detail"}
    assert server.client("lead").get("/metrics").is_success
    assert server.client().get("/metrics", headers={"Authorization": own["lead"]}).is_success


def test_the_metrics_token_opens_nothing_else(live):
    server, _ = live
    for path in ("/api/people", "/api/me", "/docs", "/openapi.json", "/metrics/", "/admin/"):
        assert server.client().get(path, headers=BEARER).status_code in (401, 403, 404), path


@pytest.mark.parametrize("token", ["short", "x" * 201])
def test_a_token_that_can_be_guessed_stops_the_start(monkeypatch, token):
    monkeypatch.setenv(METRICS_TOKEN, token)
    with pytest.raises(ConfigurationError, match="it needs 16 to 200"):
        metrics_token()
