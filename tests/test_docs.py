"""What the documentation says exists, and what exists is documented."""

import re
import tomllib
from pathlib import Path

import pytest

from annotate.config import AnnotateConfig, Judge, Oidc, Retrain, Webhook
from generate.config import GenerateConfig, RayCluster, Server
from pairloop.logs import LogConfig
from storage.config import StorageConfig
from train.config import Launch, TrainConfig

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = ["init", "demo", "prompts", "generate", "annotate", "labelers", "agreement", "export"]
COMMANDS += ["import", "judge", "train", "evaluate", "status", "repair", "store"]


def registered_commands() -> set[str]:
    from pairloop.cli import app

    names = {command.name for command in app.registered_commands}
    return names | {group.name for group in app.registered_groups}


def test_the_commands_are_the_fixed_ones_and_the_readme_names_each():
    assert registered_commands() == set(COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"pairloop {command}" in readme, command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_and_link_in_the_docs_exists(page):
    text = page.read_text(encoding="utf-8")

    for name in re.findall(r"(?:^|`)\s*pairloop ([a-z]+)\b", text, re.MULTILINE):
        assert name in COMMANDS, f"{page.name}: pairloop {name}"
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    for target in re.findall(r"`make ([a-z-]+)`", text):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("## [storage]", StorageConfig),
        ("## [generate]", GenerateConfig),
        ("### [generate.server]", Server),
        ("### [generate.ray]", RayCluster),
        ("## [annotate]", AnnotateConfig),
        ("### [annotate.judge]", Judge),
        ("### [annotate.oidc]", Oidc),
        ("### [[annotate.webhooks]]", Webhook),
        ("## [train]", TrainConfig),
        ("### [train.launch]", Launch),
        ("## [retrain]", Retrain),
        ("## [log]", LogConfig),
    ],
)
def test_every_key_is_in_the_configuration_page_and_no_other(section, model):
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    part = re.split(r"\n###? ", text.split(f"\n{section}\n")[1])[0]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]

    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(model.model_fields)


def test_the_shipped_configurations_are_valid(tmp_path):
    from pairloop.demo.workspace import CONFIG
    from pairloop.workspace import TEMPLATE, open_workspace

    demo = CONFIG.format(model="m", seed=1, evaluation_votes=1, pairs_per_prompt=3, epochs=3)
    for number, text in enumerate((TEMPLATE.format(model='"owner/name"'), demo)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "pairloop.toml").write_text(text)
        assert tomllib.loads(text).keys() == {"generate", "annotate", "train"}
        assert open_workspace(folder).generate.model
