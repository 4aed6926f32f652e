"""`pairloop evaluate` with three policies of the micro model: pairs, a judge, benchmarks' files."""

import json
from pathlib import Path

import pytest
import torch
from factories import make_judgment, make_policy, make_prompt, open_store
from judge_server import judge_server, longer
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from generate.chat import load_tokenizer, prompt_token_ids
from pairloop.cli import app
from storage.errors import ConflictError, InputError, PairloopError
from storage.pairs import pairs as all_pairs
from storage.records import Message, Purpose, Split, Verdict
from storage.responses import responses_by_id

TOPICS = ["tea", "bread", "bees", "chess", "rain", "soup"]
ASKED = ["What is {}?", "Why do people like {}?", "Tell me about {}."]
CONFIG = """
[generate]
model = "{model}"
engine = "transformers"
temperatures = [0.7]
max_tokens = 12
show_truncated = true

[annotate.judge]
url = "{url}"
model = "m"
"""
MT_BENCH = [
    {"question_id": 3, "category": "writing", "turns": ["Write about tea.", "Now shorter."]},
    {"question_id": 1, "category": "math", "turns": ["What is bread?", "And bees?"]},
    {"question_id": 2, "category": "stem", "turns": ["word " * 2000, "Why?"]},
]


def pairloop(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["evaluate", "-w", str(folder), *words])
    if done.exception:
        raise done.exception
    return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model) -> Path:
    """SFT and two rounds, each an adapter that really changes the answers; test prompts alone."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "pairloop.toml").write_text(
        CONFIG.format(model=micro_model, url="http://127.0.0.1:9/v1")
    )
    known = [make_policy(base_model=micro_model)]
    for number in (1, 2):
        path = folder / "policies" / f"round-{number}"
        torch.manual_seed(number)
        lora = LoraConfig(task_type="CAUSAL_LM", r=2 * number, init_lora_weights=False)
        model = AutoModelForCausalLM.from_pretrained(micro_model)
        get_peft_model(model, lora).save_pretrained(path)
        changes = {"base_model": micro_model, "adapter_hash": str(number) * 64}
        known.append(make_policy(number, parent=known[-1], **changes))
    with open_store(folder) as store:
        store.append(known)
        asked = [make_prompt(a.format(t), split=Split.TEST) for a in ASKED for t in TOPICS]
        store.append(asked)
    return folder


@pytest.fixture(scope="module")
def compared(workspace) -> dict:
    return json.loads(pairloop(workspace, "--json"))


def evaluation_pairs(folder: Path):
    with open_store(folder) as store:
        return [p for p in all_pairs(store) if p.purpose is Purpose.EVALUATION]


def test_the_newest_policy_meets_sft_and_the_one_before(workspace, compared):
    assert [c["against_round"] for c in compared["comparisons"]] == [0, 1]
    assert compared["pairs"] == compared["new_pairs"] == len(evaluation_pairs(workspace)) > 20
    assert all(c["people"] is None and c["judges"] == {} for c in compared["comparisons"])

    again = json.loads(pairloop(workspace, "--json"))
    assert (again["pairs"], again["new_pairs"]) == (compared["pairs"], 0)
    one = json.loads(pairloop(workspace, "--against", "previous", "--json"))
    assert [c["against_round"] for c in one["comparisons"]] == [1]


def test_people_and_the_judge_stand_side_by_side_and_are_told_apart(
    workspace, compared, micro_model
):
    with judge_server(longer) as (url, asked):
        (workspace / "pairloop.toml").write_text(CONFIG.format(model=micro_model, url=url))
        judged = json.loads(pairloop(workspace, "--judge", "big", "--against", "sft", "--json"))
        requests = len(asked)
        pairloop(workspace, "--judge", "big", "--against", "sft", "--json")
        assert len(asked) == requests == 2 * judged["comparisons"][0]["pairs"]
    (sft,) = judged["comparisons"]
    assert sft["people"] is None
    by_judge = sft["judges"]["big"]
    rate = by_judge["win_rate"]
    assert rate["wins"] + rate["ties"] + rate["losses"] == sft["pairs"]
    more = by_judge["mean_chars"] - by_judge["against_mean_chars"]
    assert more != 0
    # A judge of length alone: at equal length there is nothing left to say.
    assert by_judge["length_controlled"]["value"] is None
    assert "length alone" in by_judge["length_controlled"]["missing"]

    pairs = evaluation_pairs(workspace)
    with open_store(workspace) as store, store.connected():
        add_labeler(store, "ann", password=None)
        texts = responses_by_id(store, [i for p in pairs for i in (p.first, p.second)])
        # Ann prefers SFT's answers, whatever their length.
        sft_id = judged["comparisons"][0]["against"]
        votes = []
        for pair in pairs:
            ours = {
                texts[pair.first].policy_id: Verdict.FIRST,
                texts[pair.second].policy_id: Verdict.SECOND,
            }
            if sft_id in ours:
                votes.append(make_judgment(pair, "ann", ours[sft_id]))
        store.append(votes)
        settle(store, AnnotateConfig())
    both = json.loads(pairloop(workspace, "--against", "sft", "--json"))["comparisons"][0]
    assert both["people"]["win_rate"]["losses"] == len(votes) == sft["pairs"]
    assert both["people"]["win_rate"]["value"] == 0
    assert both["judges"]["big"] == by_judge

    shown = pairloop(workspace)
    assert "people" in shown
    assert "model: big" in shown
    assert "Next: pairloop annotate" in shown


def test_mt_bench_is_answered_in_both_turns_by_every_policy_and_goes_on_where_it_was(
    workspace, micro_model
):
    questions, out = workspace / "question.jsonl", workspace / "mt"
    questions.write_text("".join(json.dumps(q) + "\n" for q in MT_BENCH))
    words = ["--mt-bench", str(questions), "--out", str(out), "--max-tokens", "12"]
    (made,) = json.loads(pairloop(workspace, *words, "--against", "sft", "--json"))

    assert (made["answers"], made["new"]) == (6, 6)
    assert made["empty"] == {"too_long": 4}  # both turns of the question no context holds
    files = sorted((out / "model_answer").iterdir())
    assert [f.name for f in files] == ["round-2.jsonl", "sft.jsonl"]
    rows = [json.loads(line) for line in files[1].read_text().splitlines()]
    assert [row["question_id"] for row in rows] == [1, 2, 3]
    first, _long, written = (row["choices"][0]["turns"] for row in rows)
    assert len(first) == len(written) == 2
    assert all(first)
    assert first == greedy(micro_model, MT_BENCH[1]["turns"])  # math is asked at temperature 0
    assert files[0].read_text() != files[1].read_text()

    journal = out / "journal" / "mt-bench-sft.jsonl"
    before, wanted = journal.read_text(), files[1].read_text()
    kept = before.splitlines(keepends=True)
    journal.write_text("".join(kept[:-1]) + kept[-1][:20])  # killed in the middle of a line
    (again,) = json.loads(pairloop(workspace, *words, "--against", "sft", "--json"))
    assert (again["answers"], again["new"]) == (6, 1)
    turns = [
        [json.loads(x)["choices"] for x in t.splitlines()] for t in (wanted, files[1].read_text())
    ]
    assert turns[0] == turns[1]
    with pytest.raises(ConflictError, match="max_tokens 12, now 13"):
        pairloop(workspace, *words[:-1], "13", "--against", "sft")
    journal.write_text(kept[0] + "nonsense\n")
    with pytest.raises(InputError, match=r"mt-bench-sft\.jsonl, line 2"):
        pairloop(workspace, *words, "--against", "sft")


def greedy(micro_model: str, turns: list[str]) -> list[str]:
    """What transformers itself says to both turns at temperature 0, with the model's own template."""
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(micro_model),
        load_tokenizer(micro_model),
    )
    said, messages = [], []
    for turn in turns:
        messages.append(Message(role="user", content=turn))
        ids = torch.tensor([prompt_token_ids(tokenizer, messages)])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12
        )
        text = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        said.append(text)
        messages.append(Message(role="assistant", content=text))
    return said


def test_alpaca_evals_files_hold_every_test_prompt_once_per_policy(workspace):
    out = workspace / "alpaca"
    words = ["--alpaca-eval", str(out), "--max-tokens", "8", "--against", "sft"]
    shown = pairloop(workspace, *words)
    listed = {name: json.loads((out / f"{name}.json").read_text()) for name in ("round-2", "sft")}
    for name, rows in listed.items():
        assert {row["instruction"] for row in rows} == {a.format(t) for a in ASKED for t in TOPICS}
        assert {row["generator"] for row in rows} == {name}
        assert set(rows[0]) == {"instruction", "output", "generator"}
    assert "36 answers (36 new" in shown
    assert (
        f"alpaca_eval --model_outputs {out}/round-2.json --reference_outputs {out}/sft.json"
        in shown
    )
    assert "36 answers (0 new" in pairloop(workspace, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "latest"], "are the same policy"),
        (["--policy", "sft"], "nothing to compare round 0 with"),
        (["--policy", "sft", "--against", "previous"], "no round before"),
        (["--mt-bench", "q.jsonl"], "go together"),
        (["--instructions", "q.jsonl"], "goes with --alpaca-eval"),
        (["--judge", "a\nb"], "can't be a labeler's name"),
    ],
    ids=["same", "alone", "previous", "out", "instructions", "judge"],
)
def test_what_can_not_be_is_said_in_one_message(workspace, words, said):
    with pytest.raises(PairloopError, match=said):
        pairloop(workspace, *words)
