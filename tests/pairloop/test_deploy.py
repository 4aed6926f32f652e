"""The files of docs/deploy: each is read by what reads it in earnest, or at least parsed and compared
with the program.
"""

import configparser
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from factories import PASSWORD
from serving import listening, wait_for
from web import Server

from annotate.metrics import Glance, Metrics

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_every_number_that_an_alert_asks_for_is_exposed():
    metrics = Metrics()
    metrics.request("/login", "POST", 401, 0.1)
    metrics.committed(0.01, 1)
    glance = Glance(
        pairs={"waiting": 1}, active_labelers=1, runs={}, database_bytes=1, disk_free_bytes=1
    )
    body, _ = metrics.exposition(glance, ready=True, accept=None)
    exposed = set(re.findall(r"^([a-z_]+)[ {]", body.decode(), re.MULTILINE))
    rules = [r for group in yaml.safe_load(read("alerts.yml"))["groups"] for r in group["rules"]]
    asked = {n for r in rules for n in re.findall(r"\b(?:pairloop|process)_\w+", r["expr"])}
    assert len(asked) >= 10
    assert asked - exposed == set()
    assert all(rule["annotations"]["summary"] for rule in rules)
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_the_containers_can_change_nothing_but_their_workspace():
    compose = yaml.safe_load(read("compose.yaml"))
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert service["build"]["dockerfile"] == "docs/deploy/Dockerfile"
    assert all(p.startswith("127.0.0.1:") for p in compose["services"]["annotate"]["ports"])
    job = compose["services"][
        "job"
    ]  # the store is reached over loopback, by a process that is seen
    assert job["network_mode"] == job["pid"] == "service:annotate"
    assert set(yaml.safe_load(read("compose.cuda.yaml"))["services"]) <= set(compose["services"])
    for variable in re.findall(r"^ +(PAIRLOOP_\w+):", read("compose.yaml"), re.MULTILINE):
        found = subprocess.run(
            ["grep", "-rqw", variable, "--include=*.py", "."], cwd=DEPLOY.parents[1]
        )
        assert found.returncode == 0, f"{variable} is nothing that the program reads"


def test_hadolint_finds_nothing_in_the_dockerfile():
    program = Path(sys.executable).parent / "hadolint"
    found = subprocess.run([program, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_image_runs_as_nobody_in_particular_and_ends_as_ctrl_c_does():
    text = read("Dockerfile")
    final = text.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["tini", "--", "pairloop"\]$', final, re.MULTILINE)
    assert "STOPSIGNAL SIGINT" in final
    assert "/readyz" in final
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    let_in = re.findall(r"^!(\S+)$", read("Dockerfile.dockerignore"), re.MULTILINE)
    assert sorted(names) == sorted(let_in)
    for name in names:
        assert (DEPLOY.parents[1] / name).exists(), name


def test_the_unit_is_hardened_and_gives_training_time_to_end():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(read("pairloop.service"))
    unit = parser["Service"]
    assert unit["ExecStart"].endswith("/pairloop annotate")
    assert unit["KillSignal"] == "SIGINT"
    assert int(unit["TimeoutStopSec"]) >= 60
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictNamespaces"):
        assert unit[key] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""


# ---- nginx itself, before a real server ----------------------------------------------------------


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def write_certificate(folder: Path) -> None:
    """A self-signed one, for an hour."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pairs.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    signed = made.sign(key, hashes.SHA256())
    (folder / "fullchain.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, behind: str):
    """The sample as it is but for ports, files and the server's address; gives https and http."""
    write_certificate(folder)
    tls, http = free_port(), free_port()
    changes = {
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl": f"listen 127.0.0.1:{tls} ssl",
        "/etc/nginx/pairloop/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
        "http://127.0.0.1:7860": behind,
    }
    sample = read("nginx.conf")
    for old, new in changes.items():
        assert old in sample, old
        sample = sample.replace(old, new)
    (folder / "pairloop.conf").write_text(sample)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; daemon off; worker_processes 1; events {{}}\n"
        f"http {{ {folders} access_log off; include {folder}/pairloop.conf; }}\n"
    )
    command = [
        "nginx",
        "-p",
        str(folder),
        "-e",
        f"{folder}/error.log",
        "-c",
        f"{folder}/nginx.conf",
    ]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    child = subprocess.Popen(command)
    try:
        wait_for(lambda: accepts(tls) and accepts(http))
        yield f"https://127.0.0.1:{tls}", f"http://127.0.0.1:{http}"
    finally:
        child.terminate()
        child.wait(timeout=20)


@pytest.mark.nginx
def test_nginx_passes_on_what_the_server_believes_and_serves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    (tmp_path / "workspace").mkdir()
    made = Server(tmp_path / "workspace", trusted_proxies=("127.0.0.1",))
    with (
        listening(made.app) as direct,
        nginx(tmp_path, direct) as (https, http),
        httpx.Client(base_url=https, verify=False, timeout=30) as client,
    ):
        moved = httpx.get(f"{http}/label/", headers={"Host": "pairs.example"})
        assert (moved.status_code, moved.headers["location"]) == (
            301,
            "https://pairs.example/label/",
        )

        forged = {"X-Forwarded-For": "9.9.9.9", "X-Request-ID": "mine"}
        form = {"name": "ann", "password": PASSWORD}
        login = client.post("/login", data=form, headers=forged | {"Origin": https})
        assert login.status_code == 303
        assert "Secure" in login.headers["set-cookie"]
        assert login.headers["strict-transport-security"]
        assert re.fullmatch("[0-9a-f]{32}", login.headers["x-request-id"])
        log = tmp_path / "pairloop.log"  # nginx writes a line after it has answered
        wait_for(lambda: login.headers["x-request-id"] in log.read_text())
        assert client.get("/api/me").json()["name"] == "ann"
        assert client.get("/readyz").json() == {"status": "ready"}
        for name in ("lead", None):
            bearer = {"Authorization": f"Bearer {made.token(name)}"} if name else {}
            assert client.get("/metrics", headers=bearer).status_code == 404

        client.get("/login/once/token-of-ann")
        for path in ("/label../pairloop.conf", "/static../privkey.pem", "/..%2fprivkey.pem"):
            for answer in (client.get(path), raw(https, path)):
                assert answer.status_code in (400, 401, 404), path
                assert "PRIVATE KEY" not in answer.text
        too_much = client.post("/api/judgments", content=b"x" * 1_100_000)
        assert too_much.status_code == 413
        assert "token-of-ann" not in log.read_text()
    made.store.close()


def raw(https: str, path: str) -> httpx.Response:
    """Asked for without tidying the path first."""
    url = httpx.URL(https).copy_with(raw_path=path.encode())
    return httpx.get(url, verify=False)
