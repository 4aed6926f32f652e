"""The methods beside DPO: TRL's trainers on exact ids, two steps each on the micro model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from factories import make_prompt
from pydantic import ValidationError
from safetensors.torch import load_file

from generate.chat import load_tokenizer
from train.config import Method, Start, TrainConfig, Tuning
from train.examples import Example, Single, answer_ids, prompt_ids_of
from train.fit import fit
from train.prepare import Job
from train.trl_methods import kto_answers, kto_weights
from train.weights import Weights

OTHERS = [Method.KTO, Method.SFT, Method.REWARD, Method.SIMPO, Method.ORPO]
TOPICS = ["tea", "bread", "the moon", "bees", "chess", "rain", "soup", "maps"]
MARGINS = [1.0, 1 / 3, 0.0, 2 / 3, 0.0, 0.0, 0.0, 1.0]


def config_of(method: Method, **changes) -> TrainConfig:
    named = {"learning_rate": 2e-3, "batch_size": 4, "device_batch_size": 4, "max_length": 256}
    return TrainConfig(method=method, min_triplets=4, **(named | changes))


@pytest.fixture(scope="module")
def examples(micro_model) -> list[Example]:
    tokenizer = load_tokenizer(micro_model)
    found = []
    for topic, margin in zip(TOPICS, MARGINS, strict=True):
        prompt = make_prompt(f"What is {topic}?")
        texts = f"Happy to help! I like {topic}.", f"Look, {topic} again. Not this again."
        chosen, rejected = (tuple(answer_ids(prompt, text, tokenizer)) for text in texts)
        ids = tuple(prompt_ids_of(prompt, tokenizer))
        found.append(
            Example(
                pair_id=topic,
                prompt_ids=ids,
                chosen_ids=chosen,
                rejected_ids=rejected,
                margin=margin,
            )
        )
    return found


def job_of(folder, micro_model, examples, config, *, adapter=None, singles=()) -> Job:
    policy = Weights(policy_id="m1:policy", base_model=micro_model, adapter=adapter)
    return Job(
        examples=examples,
        heldout=examples[:2],
        policy=policy,
        reference=policy,
        flip_rate=0.0,
        config=config,
        cache=folder / "cache",
        work=folder / "work",
        singles=singles,
    )


@pytest.fixture(scope="module", params=OTHERS, ids=lambda m: m.value)
def run(request, tmp_path_factory, micro_model, examples):
    """One run of a method: its folder, what it measured, and the logged steps."""
    folder, steps = tmp_path_factory.mktemp(request.param.value), []
    result = fit(
        job_of(folder, micro_model, examples, config_of(request.param)),
        out=folder / "out",
        on_log=lambda step, total, logged: steps.append({"step": step, "of": total, **logged}),
    )
    return request.param, folder / "out", result, steps


def test_the_first_step_starts_where_it_should(run):
    """KTO's and a reward model's values are known; the others' were worked out apart from TRL."""
    method, _, result, steps = run

    first = result.dry_step
    assert first.loss == pytest.approx(first.expected_loss, abs=1e-4)
    assert first.margin is None
    if method is Method.KTO:
        assert first.loss == pytest.approx(0.5, abs=1e-5)
    if method is Method.REWARD:
        apart = [math.log1p(math.exp(m)) for m in MARGINS]
        assert min(apart) - 1e-4 <= first.loss <= max(apart) + 1e-4
        assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-6)
    assert len(steps) == steps[0]["of"] == (4 if method is Method.KTO else 2)


def test_weights_are_written_and_moved(run):
    method, out, result, _ = run
    weights = load_file(out / "adapter_model.safetensors")
    names = {p.name for p in out.iterdir()}

    head = "score" if method is Method.REWARD else "lora_B"
    assert any(w.abs().max() > 0 for name, w in weights.items() if head in name)
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pkl"))]
    assert "ref" not in names
    assert [r.pair_id for r in result.heldout_rewards] == TOPICS[:2]
    assert len(result.rewards) == len(TOPICS)
    assert all(math.isfinite(r.margin) for r in result.rewards)
    assert len(result.samples) == (0 if method is Method.REWARD else 2)
    assert (result.reference is not None) == (method is Method.KTO)


def test_history_has_the_names_the_report_and_the_warnings_read(run):
    method, _, result, steps = run

    assert [row["loss"] for row in result.history] == pytest.approx([s["loss"] for s in steps])
    if method not in (Method.SFT, Method.KTO):
        assert all("rewards/margins" in row for row in result.history)
    if method in (Method.SIMPO, Method.ORPO):
        assert all(-20 < row["logps/chosen_per_token"] < 0 for row in result.history)


@pytest.mark.parametrize("run", [Method.REWARD], indirect=True, ids=["reward"])
def test_a_reward_model_that_was_saved_scores_as_it_did(run, micro_model, examples):
    _, out, result, _ = run
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(micro_model, num_labels=1)
    model = PeftModel.from_pretrained(base, out).eval()
    with torch.inference_mode():
        score = model(input_ids=torch.tensor([examples[0].sequences()[0]])).logits.item()

    assert score == pytest.approx(result.heldout_rewards[0].chosen, abs=1e-4)
    assert result.heldout_accuracy == 1.0
