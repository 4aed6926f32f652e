"""`pairloop generate` as typed: the plan, what is left out or refused, the table in the end."""

import json
import sys

import pytest

from pairloop.cli import main
from pairloop.workspace import init_workspace

CONFIG = """
[generate]
model = "{model}"
engine = "transformers"
max_tokens = 24
temperatures = [0.7, 1.3]
validation_share = 0
test_share = 0
"""


@pytest.fixture
def typed(tmp_path, micro_model, monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr."""
    folder = tmp_path / "w"
    init_workspace(folder, model=micro_model, config=CONFIG.format(model=micro_model))
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pairloop", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_generate_plans_samples_and_shows_the_answers_by_temperature(typed, tmp_path):
    file = tmp_path / "prompts.jsonl"
    asked = ("What is tea?", "What is bread?", "tea and bread " * 300)
    file.write_text("\n".join(json.dumps({"prompt": p}) for p in asked))
    assert typed("prompts", "add", str(file))[0] == 0

    _, plan, _ = typed("generate", "--dry-run")
    assert "3 prompts, 12 answers wanted, 0 stored, 12 to sample." in plan
    assert "At most 288 tokens" in plan
    code, out, err = typed("generate", "--strict")
    assert (code, out) == (1, "")
    assert "1 prompt is longer than the" in err
    assert "not giving --strict" in err

    code, out, err = typed("generate")
    assert code == 0, err
    for words in ("temperature", "mean tokens", "cut off", "duplicates", "1 too long"):
        assert words in out
    assert "sampled 8 of 12 answers" in out

    _, plan, _ = typed("generate", "--dry-run", "--json")
    again = json.loads(plan)
    assert (again["done"], again["missing"]) == (8, 4)
    assert again["expected_seconds"] > 0
