"""GRPO and RLOO on a reward model of ours: two steps each of the micro model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from factories import NOW, make_pair, make_policy, make_prompt, make_response, open_store
from safetensors.torch import load_file
from training_data import TOPICS, examples_about, fill_workspace, job_of

from generate.chat import load_tokenizer
from storage.errors import ModelError, NotReadyError
from storage.records import Purpose, Split
from storage.runs import runs, triplets_of
from train.asked import Asked, LeftOut, checks_of, choose, filled_up
from train.config import Method, TrainConfig, settings_of
from train.dry_step import dry_step
from train.examples import Example
from train.fit import fit
from train.gather import gather
from train.plan import plan_training
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
    return examples_about(micro_model)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, micro_model, examples) -> ScorerWeights:
    """A reward model that likes a friendly answer."""
    folder = tmp_path_factory.mktemp("reward")
    job = job_of(folder, micro_model, examples, config_of(Method.REWARD, epochs=6))
    fit(job, out=folder / "out", on_log=lambda *_: None)
    return ScorerWeights(base_model=micro_model, folder=folder / "out")


def prompted(folder, micro_model, examples, scorer, config, **changes) -> Job:
    """Four prompts, two held-out pairs."""
    named = {
        "heldout": examples[:2],
        "asked": [Asked(prompt_id=e.pair_id, prompt_ids=e.prompt_ids) for e in examples[:4]],
        "scorer": scorer,
    }
    return job_of(folder, micro_model, [], config, **(named | changes))


@pytest.fixture(scope="module", params=BOTH, ids=lambda m: m.value)
def run(request, tmp_path_factory, micro_model, examples, scorer):
    """One run of a method: its folder, what it measured, and the logged steps."""
    folder, steps = tmp_path_factory.mktemp(request.param.value), []
    result = fit(
        prompted(folder, micro_model, examples, scorer, config_of(request.param)),
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


def test_a_reference_of_its_own_is_what_the_kl_is_to(run, tmp_path, micro_model, examples, scorer):
    """The trained adapter goes on and the base model is the reference; at another temperature."""
    method, out, _, _ = run
    base = Weights(policy_id="m1:base", base_model=micro_model, adapter=None)
    config = config_of(method, reference="sft", temperature=0.7, device_batch_size=2)
    job = prompted(tmp_path, micro_model, examples, scorer, config, adapter=out, reference=base)
    ready = prepare(job)
    first = dry_step(ready)
    others = {name: (found, expected) for name, found, expected in first.others}

    assert first.holds
    assert first.loss == pytest.approx(first.expected_loss, abs=1e-4)
    found, expected = others["KL to the reference"]
    assert found == pytest.approx(expected, abs=2e-5)
    assert abs(found) > 2e-4
    assert first.tokens == 4, "one group, though the device takes two answers at once"
    plain = scores_without_temperature(out, micro_model, examples[:2])
    assert ready.reference.chosen == pytest.approx(plain[::2], abs=1e-3)
    assert ready.reference.rejected == pytest.approx(plain[1::2], abs=1e-3)


def scores_without_temperature(out, micro_model, examples) -> list[float]:
    """Log-probabilities under the base model, from transformers alone."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(micro_model).eval()
    found = []
    for e in examples:
        for ids in e.sequences():
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids])).logits[0, len(e.prompt_ids) - 1 : -1]
            answer = torch.tensor(ids[len(e.prompt_ids) :])[:, None]
            found.append(float(logits.log_softmax(-1).gather(-1, answer).sum()))
    return found


def test_an_adapter_may_be_the_reference_of_another_one(
    run, tmp_path, micro_model, examples, scorer
):
    method, out, _, _ = run
    policy = {
        "adapter": out,
        "reference": Weights(policy_id="m1:x", base_model=micro_model, adapter=out),
    }
    config = config_of(method, start="continue")
    same = dry_step(prepare(prompted(tmp_path, micro_model, examples, scorer, config, **policy)))

    assert same.holds
    assert same.others[0] == ("KL to the reference", pytest.approx(0, abs=1e-6), 0.0)


@pytest.mark.parametrize("run", [Method.GRPO], indirect=True, ids=["grpo"])
def test_a_stopped_run_goes_on_to_the_same_rewards(run, tmp_path, micro_model, examples, scorer):
    """From the reference that began, too: its copy is in the checkpoint."""
    _, out, _, _ = run
    config = config_of(Method.GRPO, epochs=2)

    def go(folder, *, stop_after=99):
        seen = []
        fit(
            prompted(folder, micro_model, examples, scorer, config, adapter=out),
            out=folder / "out",
            on_log=lambda _step, _of, logged: seen.append((logged["reward"], logged["kl"])),
            stopping=lambda: len(seen) >= stop_after,
        )
        return seen

    straight = go(tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "stopped", stop_after=2)
    rest = go(tmp_path / "stopped")

    assert len(straight) == 4
    assert 1 <= len(rest) < 4
    assert rest == [pytest.approx(pair, abs=1e-4) for pair in straight[-len(rest) :]]
    assert {p.name for p in (tmp_path / "stopped" / "out").iterdir()} == {
        p.name for p in out.iterdir()
    }


def test_all_weights_can_be_trained(tmp_path, micro_model, examples, scorer):
    config = config_of(Method.RLOO, tuning="full", learning_rate=1e-4)
    result = fit(
        prompted(tmp_path, micro_model, examples, scorer, config),
        out=tmp_path / "out",
        on_log=lambda *_: None,
    )

    before, after = (
        load_file(f"{folder}/model.safetensors") for folder in (micro_model, tmp_path / "out")
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert result.dry_step.loss == pytest.approx(0, abs=1e-5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model):
    """Ten settled training pairs, two held out, a gold pair and a test prompt."""
    folder = tmp_path_factory.mktemp("rlhf")
    fill_workspace(folder, micro_model)
    policy = make_policy(base_model=micro_model)
    with open_store(folder) as store, store.connected():
        shown, test = (
            make_prompt("What is known?", split=Split.TRAIN),
            make_prompt("What is tested?", split=Split.TEST),
        )
        answers = [make_response(shown, policy, f"{i}", index=i, token_ids=None) for i in range(2)]
        for rows in ([shown, test], answers, [make_pair(*answers, purpose=Purpose.GOLD)]):
            store.append(rows)
    return folder


def test_without_a_reward_model_the_command_that_trains_one_is_named(workspace):
    with (
        open_store(workspace) as store,
        pytest.raises(NotReadyError, match="`pairloop train --method reward`"),
    ):
        plan_training(store, workspace, config_of(Method.GRPO), run_id="r", now=NOW)


def test_a_policy_trained_on_scores_names_its_prompts_and_its_reward_model(workspace):
    """The reward model first, then the policy; nothing that measures is asked."""
    with open_store(workspace) as store, store.connected():
        scored = train(store, workspace, config_of(Method.REWARD, epochs=2))
        config = config_of(Method.GRPO, epochs=0.7)
        plan = plan_training(store, workspace, config, run_id="r", now=NOW)
        checks = {
            c.name: c for c in gather(store, workspace, plan, config, flip_rate=None).checks()
        }
        result = train(store, workspace, config)
        (state, *_), report = runs(store), json.loads((result.folder / "run.json").read_text())
        trained_on = triplets_of(store, result.policy.run_id)

    assert plan.built.drops == {"left_to_the_reward_model": 10}
    assert "grpo of 10 prompts, 4 answers each" in checks["method"].finding
    assert "1 prompts of gold or evaluation pairs" in checks["method"].finding
    assert checks["reward model"].light is Light.AMBER, "two held-out pairs prove nothing"
    assert {t.split for t in trained_on} == {Split.VALIDATION}
    assert (result.policy.method, result.policy.round) == ("grpo", 1)
    assert result.learned_from == f"10 prompts scored by rewards/{scored.folder.name}"
    assert report["reward_model"] == state.run.config["reward_model"]
    assert report["reward_model"]["name"] == scored.folder.name
    assert len(report["reward_model"]["weights_hash"]) == 64
    assert (report["prompts"], report["heldout"], report["verdict"]["promote"]) == (10, 2, None)
    page = (result.folder / "report.html").read_text()
    assert report["reward_model"]["weights_hash"] in page
    assert "10 prompts, its answers scored by" in (result.folder / "README.md").read_text()


def test_prompts_that_anything_is_measured_by_are_never_asked():
    train_, held, test, gold, like = (
        make_prompt(text, split=split)
        for text, split in [
            ("What is tea?", Split.TRAIN),
            ("What is rain?", Split.VALIDATION),
            ("What is soup?", Split.TEST),
            ("What is gold?", Split.TRAIN),
            ("what  is RAIN?", Split.TRAIN),
        ]
    )
    answers = [make_response(gold, make_policy(), f"{i}", index=i) for i in range(2)]
    found = choose([train_, held, test, gold, like], [make_pair(*answers, purpose=Purpose.GOLD)])

    assert found.prompts == (train_,)
    assert found.left_out == dict.fromkeys(LeftOut, 1)


def asked(count: int) -> list[Asked]:
    return [Asked(prompt_id=f"p1:{i}", prompt_ids=(1, 2, i)) for i in range(count)]


@pytest.mark.parametrize(("count", "rows"), [(1, 2), (2, 2), (3, 4), (4, 4)])
def test_the_last_step_is_filled_with_prompts_asked_once_more(count, rows):
    """TRL's sampler drops what does not fill a step: 8 answers here, of 2 prompts."""
    found = filled_up(asked(count), config_of(Method.GRPO))

    assert len(found) == rows
    assert set(found) == set(asked(count))


def test_checks_of_prompts_name_what_does_not_fit():
    choice = choose([make_prompt("What is tea?", split=Split.TRAIN)], [])
    config = config_of(Method.RLOO, max_length=14, beta=1e-6)
    checks = {c.name: c for c in checks_of(asked(3), choice, config, read={"p1:1": (1, 2)})}

    assert checks["length"].light is Light.RED
    assert "Set train.max_length to 15" in checks["length"].fix
    assert checks["chat template"].examples == ("p1:1",)
    assert "lets the policy please the reward model alone" in checks["settings"].finding
    assert "1 asked once more" in checks["method"].finding


MODEL = RewardModel(
    name="round-0-ab",
    weights_hash="ab",
    base_model="owner/base",
    round=0,
    run_id="r",
    heldout=40,
    right=34,
)


@pytest.mark.parametrize(
    ("model", "newest", "light", "says"),
    [
        (MODEL, 0, Light.GREEN, ""),
        (MODEL, 1, Light.AMBER, "It never saw answers of round 1's policy"),
        (replace(MODEL, right=24), 0, Light.AMBER, "no better than chance"),
        (replace(MODEL, heldout=0, right=0), 0, Light.AMBER, "no better than chance"),
    ],
    ids=["good", "of an older round", "chance", "not judged"],
)
def test_a_reward_model_is_looked_at_before_a_policy_learns_from_it(model, newest, light, says):
    found = check_of(model, newest_round=newest)

    assert found.light is light
    assert says in found.fix


def test_a_reward_model_of_other_tokens_is_refused(micro_model):
    tokenizer, other = load_tokenizer(micro_model), load_tokenizer(micro_model)
    refuse_other_tokens(MODEL, other, tokenizer)
    other.add_tokens(["<new>"])

    with pytest.raises(ModelError, match="pairloop train --method reward"):
        refuse_other_tokens(MODEL, other, tokenizer)


def test_the_newest_reward_model_is_the_one_whose_run_began_last(tmp_path, workspace):
    """Not the one written last; a folder that no run of this store made is not taken."""
    with open_store(workspace) as store, store.connected():
        known = newest_reward_model(store, workspace)
        stranger = workspace / "rewards" / "round-9-zz"
        stranger.mkdir()
        told = json.loads((known.folder(workspace) / "run.json").read_text())
        (stranger / "run.json").write_text(json.dumps(told | {"run_id": "elsewhere"}))

        assert newest_reward_model(store, workspace) == known


def test_a_method_given_by_flag_leaves_out_the_keys_of_others():
    given = {"method": "grpo", "num_generations": 4, "beta": 0.2, "learning_rate": 1e-4}
    kept, others = settings_of(Method.REWARD, given)

    assert others == ["beta", "num_generations"]
    assert TrainConfig.model_validate(kept) == TrainConfig(method="reward", learning_rate=1e-4)
