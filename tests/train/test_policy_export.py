"""A policy as a folder: what others load answers as the policy does, and the way to Ollama."""

import json
import stat
from pathlib import Path

import pytest
import torch
from factories import make_policy, open_store
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from training_data import fill_workspace
from transformers import AutoModelForCausalLM, AutoTokenizer

from storage.errors import ConflictError, ModelError
from storage.policies import newest_policy
from train.gguf import modelfile_pieces, pieces_of
from train.policy_export import export_policy

MICRO_MODEL = str(Path(__file__).parents[2] / "pairloop" / "demo" / "model")
LLAMA = (
    "{{ bos_token }}{% if messages[0].role != 'system' %}<s>Be good.</s>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
NUMBERING = "{% for m in messages %}{{ loop.index }}: {{ m.content }}\n{% endfor %}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Round 1 is an adapter with weights of its own, not trained."""
    root = tmp_path_factory.mktemp("workspace")
    fill_workspace(root, MICRO_MODEL, pairs=6)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(MICRO_MODEL)
    model = get_peft_model(
        base,
        LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False),
    )
    model.save_pretrained(root / "policies" / "round-1")
    with open_store(root) as store, store.connected():
        parent = newest_policy(store)
        store.append([make_policy(1, parent=parent, base_model=MICRO_MODEL)])
    return root


@pytest.mark.parametrize("merged", [False, True], ids=["adapter", "merged"])
def test_the_saved_policy_answers_as_the_policy_does(workspace, tmp_path, merged):
    out = tmp_path / "out"
    with open_store(workspace) as store, store.connected():
        done = export_policy(
            store, workspace, "latest", out, merged=merged, gguf=True, licence="cc-by-4.0"
        )
    assert (done.merged, done.template) == (merged, True)
    assert 0 < done.checked <= 8
    assert done.error is not None
    assert done.error < 1e-3
    ids = torch.tensor([AutoTokenizer.from_pretrained(out)("What is tea?")["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(MICRO_MODEL)
    with torch.inference_mode():
        plain = base(ids).logits
        policy = PeftModel.from_pretrained(base, workspace / "policies" / "round-1")(ids).logits
        saved = (
            AutoModelForCausalLM.from_pretrained(out)
            if merged
            else PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(MICRO_MODEL), out)
        )
        found = saved(ids).logits
    torch.testing.assert_close(found, policy, atol=1e-3, rtol=0)
    assert (found - plain).abs().max() > 0.1
    card = (out / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert f"gave {done.checked} stored answers" in card
    modelfile = (out / "gguf" / "Modelfile").read_text()
    assert ("ADAPTER ./adapter.gguf" in modelfile) is not merged
    compile((out / "gguf" / "check_template.py").read_text(), "check", "exec")


def test_an_adapter_that_was_damaged_is_found_and_nothing_is_left(workspace, tmp_path, monkeypatch):
    import train.policy_export as module

    copy = module.shutil.copy

    def damaged(source: Path, folder: Path) -> None:
        path = Path(copy(source, folder))
        if path.suffix == ".safetensors":
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
            save_file({n: t * 2 for n, t in load_file(path).items()}, path)

    monkeypatch.setattr(module.shutil, "copy", damaged)
    with (
        open_store(workspace) as store,
        store.connected(),
        pytest.raises(ModelError, match="answers differently"),
    ):
        export_policy(store, workspace, "latest", tmp_path / "out", merged=False)
    assert not list(tmp_path.iterdir())


def test_what_is_no_export_is_kept(workspace, tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with open_store(workspace) as store, store.connected(), pytest.raises(ConflictError):
        export_policy(store, workspace, "sft", tmp_path, merged=False)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_chat_template_is_taken_apart_where_it_is_made_of_fixed_pieces(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(MICRO_MODEL)
    turns = [{"role": r, "content": f"Some {r}"} for r in ("user", "assistant", "user")]
    for template in (None, LLAMA):
        tokenizer.chat_template = template or tokenizer.chat_template
        found = pieces_of(tokenizer)
        assert found is not None
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        assert found.rendered(turns) == text.removeprefix(tokenizer.bos_token or "")
    assert found.start == "<s>Be good.</s>"
    tokenizer.chat_template = NUMBERING
    assert pieces_of(tokenizer) is None


def test_the_modelfile_holds_the_pieces_and_the_end_token(workspace, tmp_path):
    with open_store(workspace) as store, store.connected():
        export_policy(store, workspace, "sft", tmp_path / "out", merged=False, gguf=True)
    tokenizer = AutoTokenizer.from_pretrained(MICRO_MODEL)
    path = tmp_path / "out" / "gguf" / "Modelfile"
    assert modelfile_pieces(path) == pieces_of(tokenizer)
    stop = path.read_text().rpartition("PARAMETER stop ")[2]
    assert json.loads(stop) == tokenizer.eos_token
