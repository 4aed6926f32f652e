"""The methods beside DPO: TRL's trainers on exact ids, two steps each on the micro model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from factories import (
    NOW,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)
from pydantic import ValidationError
from safetensors.torch import load_file
from training_data import TOPICS, examples_about, fill_workspace, job_of

from generate.chat import load_tokenizer
from storage.pairs import pairs_of_round
from storage.policies import newest_policy, policies
from storage.records import Consensus, Purpose, Split, Strength, Triplet, Verdict
from storage.responses import responses_by_id
from storage.tallies import Remark
from train.config import BothBad, Method, Ties, TrainConfig
from train.examples import Example, Single
from train.fit import fit
from train.gather import gather
from train.judgments_used import edits_of, margins_of
from train.plan import plan_training
from train.stage import train
from train.trl_methods import kto_answers, kto_weights

OTHERS = [Method.KTO, Method.SFT, Method.REWARD, Method.SIMPO, Method.ORPO]
MARGINS = [1.0, 1 / 3, 0.0, 2 / 3, 0.0, 0.0, 0.0, 1.0]


def config_of(method: Method, **changes) -> TrainConfig:
    named = {"learning_rate": 2e-3, "batch_size": 4, "device_batch_size": 4, "max_length": 256}
    return TrainConfig(method=method, min_triplets=4, **(named | changes))


@pytest.fixture(scope="module")
def examples(micro_model) -> list[Example]:
    return examples_about(micro_model, margins=MARGINS)


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


@pytest.mark.parametrize("run", [Method.KTO], indirect=True, ids=["kto"])
def test_a_stopped_run_goes_on_to_the_same_losses(run, tmp_path, micro_model, examples):
    method, _, _, straight = run
    seen: list[float] = []

    def named():
        return {
            "out": tmp_path / "out",
            "on_log": lambda _step, _of, logged: seen.append(logged["loss"]),
        }

    with pytest.raises(KeyboardInterrupt):
        fit(
            job_of(tmp_path, micro_model, examples, config_of(method)),
            stopping=lambda: len(seen) >= 1,
            **named(),
        )
    assert 1 <= len(seen) < len(straight)
    fit(job_of(tmp_path, micro_model, examples, config_of(method)), **named())

    assert seen == pytest.approx([s["loss"] for s in straight], abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "kto", "loss": "ipo"}, 'loss is not used by method = "kto", only by "dpo"'),
        ({"method": "sft", "beta": 0.3}, "beta is not used by method"),
        ({"method": "simpo", "reference": "sft"}, 'reference is not used by method = "simpo"'),
        ({"method": "reward", "soft_labels": True}, "soft_labels is not used by method"),
        ({"ties": "desirable"}, 'ties = "desirable" is not of method = "dpo": set "soft"'),
        ({"method": "kto", "ties": "soft"}, 'set "soft" for "dpo", "desirable" for "kto"'),
        ({"method": "sft", "ties": "soft"}, 'ties is not used by method = "sft", only by "dpo"'),
        ({"ties": "soft", "loss": "apo_down"}, "learns nothing right from a tie"),
        ({"ties": "soft", "loss": "hinge"}, '"sigmoid", "sigmoid_norm", "ipo", "robust"'),
        ({"method": "orpo", "pair_weights": False}, "pair_weights is not used by method"),
        ({"method": "sft", "temperature": 0.7}, 'only by "grpo" or "rloo"'),
        ({"method": "grpo", "edits": True}, "edits is not used by method"),
        ({"method": "grpo", "launch": {}}, 'method = "grpo" trains in one process'),
        ({"method": "grpo", "batch_size": 12}, "cannot be divided into groups of num_generations"),
        ({"method": "rloo", "num_generations": 1}, "greater than or equal to 2"),
        ({"method": "kto", "device_batch_size": 1}, "set device_batch_size and batch_size to 2"),
        ({"method": "ppo"}, "'simpo', 'orpo', 'grpo' or 'rloo'"),
    ],
)
def test_settings_of_another_method_are_refused_by_name(settings, says):
    with pytest.raises(ValidationError, match=says) as caught:
        TrainConfig.model_validate(settings)
    assert caught.value.error_count() == 1


def test_every_method_takes_its_defaults_and_comes_back_from_json():
    for method in Method:
        config = TrainConfig(method=method)
        assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    assert [TrainConfig(method=m).beta for m in ("dpo", "simpo", "grpo", "rloo")] == [
        0.1,
        2.0,
        0.04,
        0.05,
    ]
    assert TrainConfig(method=Method.SIMPO, beta=5).beta == 5


def single(number: int, *, desirable: bool) -> Single:
    return Single(pair_id="p", prompt_ids=(number,), answer_ids=(number, 9), desirable=desirable)


def test_the_rarer_kind_of_answer_is_weighed_up_to_the_other():
    answers = [single(i, desirable=i < 2) for i in range(8)]
    config = config_of(Method.KTO)

    assert kto_weights(config, answers) == (3.0, 1.0)
    assert kto_weights(config, [replace(a, desirable=not a.desirable) for a in answers]) == (1, 3)
    set_by_hand = config.model_copy(update={"undesirable_weight": 0.5})
    assert kto_weights(set_by_hand, answers) == (1.5, 0.5)


def test_each_answer_is_there_once_beside_another_of_its_batch(examples):
    """TRL's rule: the answers of a batch, turned by one."""
    config = config_of(Method.KTO)
    again = replace(examples[0], rejected_ids=examples[0].rejected_ids[:-1], edited=True)
    found = kto_answers([*examples, again], [single(0, desirable=False)], config)

    assert len(found) == 2 * len(examples) + 2
    assert len({s for s, _ in found}) == len(found)
    for start in range(0, len(found) - 2, 4):
        batch = [e for _, e in found[start : start + 4]]
        turned = [batch[-1], *batch[:-1]]
        assert [e.rejected_ids for e in batch] == [e.chosen_ids for e in turned]


def with_alike(folder, micro_model) -> None:
    """The settled round, one tie, one pair of bad answers, and an edit of a winner."""
    fill_workspace(folder, micro_model)
    policy = make_policy(base_model=micro_model)
    with open_store(folder) as store, store.connected():
        for name, verdict in (("tie", Verdict.TIE), ("bad", Verdict.BOTH_BAD)):
            prompt = make_prompt(f"What of a {name}?", split=Split.TRAIN)
            answers = [
                make_response(prompt, policy, f"{name} {i}", index=i, token_ids=None)
                for i in range(2)
            ]
            pair = make_pair(*answers)
            settled = Consensus(
                pair_id=pair.id,
                verdict=verdict,
                probability_first=0.5,
                votes=2,
                first_votes=0,
                second_votes=0,
                tie_votes=2 * (verdict is Verdict.TIE),
                both_bad_votes=2 * (verdict is Verdict.BOTH_BAD),
                method="majority",
                settled=True,
                reason="2 of 2 votes agree",
                closed=True,
                events=2,
                created_at=NOW,
            )
            for rows in ([prompt], answers, [pair], [settled]):
                store.append(rows)
        first = next(p for p in pairs_of_round(store, 0, purpose=Purpose.TRAIN) if winner(store, p))
        edit = make_judgment(first, "ann", winner(store, first), strength=Strength.STRONG)
        store.append([replace(edit, edited_text="Tea is a drink. I do like it.")])


def winner(store, pair) -> Verdict | None:
    """The side of the friendly answer, of a pair about tea."""
    texts = [responses_by_id(store, [r])[r].text for r in (pair.first, pair.second)]
    at = [i for i, text in enumerate(texts) if text == "Happy to help! I like tea."]
    return (Verdict.FIRST, Verdict.SECOND)[at[0]] if at else None


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model):
    folder = tmp_path_factory.mktemp("alike")
    with_alike(folder, micro_model)
    return folder


def test_ties_bad_pairs_and_edits_are_trained_on_by_choice(workspace):
    chosen = {"ties": Ties.DESIRABLE, "both_bad": BothBad.UNDESIRABLE, "edits": True}
    with open_store(workspace) as store, store.connected():
        plain = plan_training(store, workspace, config_of(Method.KTO), run_id="r", now=NOW)
        config = config_of(Method.KTO, **chosen)
        plan = plan_training(store, workspace, config, run_id="r", now=NOW)
        job = gather(store, workspace, plan, config, flip_rate=None).job

    assert plain.built.drops == {"tie": 1, "both_bad": 1}
    assert (plan.built.drops.total(), len(plan.built.unpaired)) == (0, 2)
    assert plain.fingerprint != plan.fingerprint
    assert sorted(s.desirable for s in job.singles) == [False, False, True, True]
    assert len(job.examples) == 12
    tokenizer = load_tokenizer(job.policy.base_model)
    over_chosen, over_rejected = [e for e in job.examples if e.edited]
    assert tokenizer.decode(over_chosen.chosen_ids).startswith("Tea is a drink. I do like it.")
    assert over_chosen.chosen_ids[-1] == tokenizer.eos_token_id
    assert over_chosen.chosen_ids == over_rejected.chosen_ids
    original = next(e for e in job.examples if e.pair_id == over_chosen.pair_id)
    assert over_chosen.rejected_ids == original.chosen_ids
    assert over_rejected.rejected_ids == original.rejected_ids


def test_a_reward_model_is_kept_and_the_policy_stays(workspace):
    with open_store(workspace) as store, store.connected():
        config = config_of(Method.REWARD, epochs=0.5)
        result = train(store, workspace, config)
        again = train(store, workspace, config, on_step=lambda *_: pytest.fail("trained twice"))
        report = json.loads((result.folder / "run.json").read_text())

        assert (result.policy, result.round) == (None, 0)
        assert newest_policy(store).round == 0
        assert again.folder == result.folder
    assert result.folder.parent == workspace / "rewards"
    assert report["method"] == "reward"
    assert report["reference"]["policy"] is None
    assert "Reward model of round 0" in (result.folder / "report.html").read_text()


def test_a_policy_is_registered_with_its_method(workspace):
    """Last of this workspace: it begins round 1."""
    config = config_of(
        Method.KTO, both_bad=BothBad.UNDESIRABLE, edits=True, epochs=0.5, batch_size=8
    )
    with open_store(workspace) as store, store.connected():
        result = train(store, workspace, config)
        assert len(policies(store)) == 2

    assert (result.policy.method, result.policy.round) == ("kto", 1)
    report = json.loads((result.folder / "run.json").read_text())
    assert (report["triplets"], report["examples"]) == (10, 12)
    assert report["unpaired"] == {"undesirable": 2}
    assert len(report["edited"]) == 1
    assert {"method", "reference", "first step"} <= {c["name"] for c in report["checks"]}
    assert "KTO" in (result.folder / "README.md").read_text()
    assert "2 undesirable" in (result.folder / "report.html").read_text()


def test_edits_and_strengths_are_those_of_the_winner():
    prompt, policy = make_prompt(), make_policy()
    pairs = [
        make_pair(*(make_response(prompt, policy, f"{n}", index=2 * n + i) for i in range(2)))
        for n in range(3)
    ]
    triplets = [
        Triplet(
            id=p.id,
            run_id="run",
            pair_id=p.id,
            prompt_id=prompt.id,
            chosen=p.second,
            rejected=p.first,
            split=Split.TRAIN,
            weight=1.0,
            probability=1.0,
            agreement=1.0,
            votes=2,
            tier="human_agreed",
            round=0,
            created_at=NOW,
        )
        for p in pairs
    ]
    said = [(0, Verdict.FIRST, "of the loser"), (1, Verdict.SECOND, "one"), (1, Verdict.SECOND, "")]
    remarks = [
        Remark(pair_id=pairs[i].id, verdict=v, edited_text=text, flags=()) for i, v, text in said
    ]
    votes = [
        (pairs[0].id, "second", "strong"),
        (pairs[0].id, "second", None),
        (pairs[0].id, "first", "strong"),
        (pairs[1].id, "second", "slight"),
        ("c1:other", "second", "strong"),
    ]

    assert edits_of(remarks, pairs, triplets) == {pairs[1].id: "one"}
    assert margins_of(votes, pairs, triplets) == {pairs[0].id: 0.5, pairs[1].id: 1 / 3}
