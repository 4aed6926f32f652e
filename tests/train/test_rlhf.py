"""GRPO and RLOO on a reward model of ours: two steps each of the micro model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from factories import NOW, make_pair, make_policy, make_prompt, make_response, open_store
from pydantic import ValidationError
from safetensors.torch import load_file
from training_data import TOPICS, fill_workspace

from generate.chat import load_tokenizer
from storage.errors import ModelError, NotReadyError
from storage.records import Purpose, Split
from storage.runs import runs, triplets_of
from train.asked import Asked, LeftOut, checks_of, choose, filled_up
from train.config import Method, TrainConfig, settings_of
from train.dry_step import dry_step
from train.examples import Example, answer_ids, prompt_ids_of
from train.fit import fit
from train.plan import gather, plan_training
from train.preflight import Light
from train.prepare import Job, prepare
from train.reward_model import RewardModel, check_of, newest_reward_model, refuse_other_tokens
from train.stage import train
from train.weights import ScorerWeights, Weights

BOTH = [Method.GRPO, Method.RLOO]
SMALL = {
    "num_generations": 4,
    "max_completion_length": 12,
    "batch_size": 8,
    "device_batch_size": 8,
    "max_length": 256,
    "min_triplets": 4,
    "learning_rate": 2e-3,
}


def config_of(method: Method, **changes) -> TrainConfig:
    named = SMALL if method in BOTH else {k: SMALL[k] for k in list(SMALL)[2:]}
    return TrainConfig(method=method, **(named | changes))


@pytest.fixture(scope="module")
def examples(micro_model) -> list[Example]:
    tokenizer = load_tokenizer(micro_model)
    found = []
    for topic in TOPICS:
        prompt = make_prompt(f"What is {topic}?")
        texts = f"Happy to help! I like {topic}.", f"Look, {topic} again. Not this again."
        chosen, rejected = (tuple(answer_ids(prompt, text, tokenizer)) for text in texts)
        ids = tuple(prompt_ids_of(prompt, tokenizer))
        found.append(
            Example(pair_id=topic, prompt_ids=ids, chosen_ids=chosen, rejected_ids=rejected)
        )
    return found


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, micro_model, examples) -> ScorerWeights:
    """A reward model that likes a friendly answer."""
    folder = tmp_path_factory.mktemp("reward")
    config = config_of(Method.REWARD, epochs=6)
    base = Weights(policy_id="m1:base", base_model=micro_model, adapter=None)
    fit(
        Job(
            examples=examples,
            heldout=[],
            policy=base,
            reference=base,
            flip_rate=0.0,
            config=config,
            cache=folder / "cache",
            work=folder / "work",
        ),
        out=folder / "out",
        on_log=lambda *_: None,
    )
    return ScorerWeights(base_model=micro_model, folder=folder / "out")


def job_of(folder, micro_model, examples, scorer, config, *, adapter=None, reference=None) -> Job:
    policy = Weights(policy_id="m1:policy", base_model=micro_model, adapter=adapter)
    return Job(
        examples=[],
        heldout=examples[:2],
        policy=policy,
        reference=reference or policy,
        flip_rate=0.0,
        config=config,
        cache=folder / "cache",
        work=folder / "work",
        asked=[Asked(prompt_id=e.pair_id, prompt_ids=e.prompt_ids) for e in examples[:4]],
        scorer=scorer,
    )


@pytest.fixture(scope="module", params=BOTH, ids=lambda m: m.value)
def run(request, tmp_path_factory, micro_model, examples, scorer):
    """One run of a method: its folder, what it measured, and the logged steps."""
    folder, steps = tmp_path_factory.mktemp(request.param.value), []
    result = fit(
        job_of(folder, micro_model, examples, scorer, config_of(request.param)),
        out=folder / "out",
        on_log=lambda step, total, logged: steps.append({"step": step, "of": total, **logged}),
    )
    return request.param, folder / "out", result, steps


def test_the_first_step_is_what_it_should_be(run):
    """KL 0; RLOO's advantages have no mean; scores are the reward model's own."""
    method, _, result, steps = run
    first = result.dry_step
    others = {name: (found, expected) for name, found, expected in first.others}

    assert first.loss == pytest.approx(first.expected_loss, abs=1e-5)
    if method is Method.RLOO:
        assert first.loss == pytest.approx(0, abs=1e-5)
    assert others["KL to the reference"] == pytest.approx((0, 0), abs=1e-6)
    assert others["largest error of a score"] == pytest.approx((0, 0), abs=1e-4)
    assert others["largest sum of a group's advantages"] == pytest.approx((0, 0), abs=1e-4)
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert [s["step"] for s in steps] == [1, 2] == [1, steps[0]["of"]]


def test_the_adapter_moved_and_the_figures_are_there(run):
    _, out, result, steps = run
    weights = load_file(out / "adapter_model.safetensors")
    names = {p.name for p in out.iterdir()}

    assert any(w.abs().max() > 0 for name, w in weights.items() if "lora_B" in name)
    assert "ref" not in names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pkl"))]
    for name in ("loss", "reward", "reward_std", "kl", "entropy", "completions/mean_length"):
        assert all(math.isfinite(s[name]) for s in steps), name
    assert json.loads(json.dumps(result.history, allow_nan=False))[1]["reward"]
    assert [r.pair_id for r in result.heldout_rewards] == TOPICS[:2]
    assert len(result.samples) == 2
