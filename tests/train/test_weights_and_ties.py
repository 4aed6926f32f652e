"""What a pair counts, by method, and ties at probability 0.5, against sums worked out by hand."""

import json
import math
from dataclasses import replace

import pytest
import torch
from factories import NOW, make_pair, make_policy, make_prompt, make_response, open_store
from training_data import examples_about, fill_workspace, job_of

from storage.pairs import consensus_by_pair, pairs_of_round
from storage.records import Purpose, Split, Verdict
from storage.runs import triplets_of
from train.checks_pairs import method as method_check
from train.config import EVEN, Loss, Method, Ties, TrainConfig
from train.dry_step import dry_step
from train.exact_trainer import dataset_of
from train.examples import Example
from train.gather import gather
from train.losses import pair_losses
from train.plan import plan_training
from train.prepare import Prepared, prepare
from train.reference import Reference
from train.stage import train

WEIGHTS = [0.2, 1.0, 0.6, 0.6, 0.1, 0.9, 0.5, 0.9]
MARGINS = [1.0, 1 / 3, 0.0, 2 / 3, 0.0, 0.0, 0.0, 1.0]


def config_of(method: Method, **changes) -> TrainConfig:
    named = {"learning_rate": 2e-3, "batch_size": 4, "device_batch_size": 4, "max_length": 256}
    return TrainConfig(method=method, min_triplets=4, **(named | changes))


@pytest.fixture(scope="module")
def examples(micro_model) -> list[Example]:
    found = examples_about(micro_model, margins=MARGINS)
    return [replace(e, weight=w) for e, w in zip(found, WEIGHTS, strict=True)]


@pytest.fixture(scope="module", params=[Method.KTO, Method.REWARD, Method.SIMPO])
def ready(request, tmp_path_factory, micro_model, examples) -> Prepared:
    folder = tmp_path_factory.mktemp(request.param.value)
    return prepare(job_of(folder, micro_model, examples, config_of(request.param)))


def test_each_row_counts_by_its_weight(ready):
    """The loss of a batch is the mean of each row's own, as TRL works it out, times its weight."""
    rows = ready.trainer.train_dataset
    alike = rows.remove_columns("weight").add_column("weight", [1.0] * len(rows))
    size = 4
    own = [ready.trainer.try_step(alike.select([i])) for i in range(size)]
    found = ready.trainer.try_step(rows.select(range(size)))

    assert sum(rows["weight"]) / len(rows) == pytest.approx(1)
    assert len(set(rows["weight"][:size])) > 1
    expected = sum(w * x for w, x in zip(rows["weight"][:size], own, strict=True)) / size
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_first_step_is_checked_with_the_weights(ready):
    first = dry_step(ready)

    assert first.loss == pytest.approx(first.expected_loss, abs=1e-4)


@pytest.mark.parametrize("ready", [Method.REWARD], indirect=True)
def test_a_reward_model_begins_at_the_weighed_mean_of_its_margins_losses(ready, examples):
    mean = sum(WEIGHTS) / len(WEIGHTS)
    by_hand = [w / mean * math.log1p(math.exp(m)) for w, m in zip(WEIGHTS, MARGINS, strict=True)]

    whole = ready.trainer.try_step(ready.trainer.train_dataset)
    assert whole == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)


@pytest.mark.parametrize("loss", EVEN)
def test_a_pair_labeled_one_half_pulls_its_margin_to_zero(loss):
    """From either side; sigmoid's gradient by hand is beta (s(m) - 1/2)."""
    beta, probability = 0.3, torch.tensor([0.5])
    pulls = []
    for start in (-2.0, 0.0, 2.0):
        c_B = torch.tensor([start], requires_grad=True)
        named = {"beta": beta, "probability_B": probability, "flip_rate": 0.2}
        pair_losses(loss, c_B, torch.zeros(1), **named).sum().backward()
        pulls.append(float(c_B.grad))

    assert pulls[1] == pytest.approx(0, abs=1e-6)
    assert pulls[0] == pytest.approx(-pulls[2], rel=1e-5)
    assert pulls[2] > 1e-2
    if loss is not Loss.IPO:
        by_hand = beta * (1 / (1 + math.exp(-beta * 2.0)) - 0.5)
        assert pulls[2] == pytest.approx(by_hand, rel=1e-5)


def test_the_losses_that_refuse_ties_would_pull_them_wrong():
    """apo_zero and hinge not at all at the start, apo_down both answers down."""
    pulls = {}
    for loss in set(Loss) - set(EVEN):
        sides = torch.tensor([0.4, -0.1], requires_grad=True)
        named = {"beta": 0.3, "probability_B": torch.tensor([0.5]), "flip_rate": 0.0}
        pair_losses(loss, sides[:1], sides[1:], **named).sum().backward()
        pulls[loss] = sides.grad.tolist()

    assert pulls[Loss.APO_ZERO] == pulls[Loss.HINGE] == pytest.approx([0, 0], abs=1e-7)
    assert min(pulls[Loss.APO_DOWN]) > 0.03


def test_the_trainers_gradient_of_a_tie_is_the_one_by_hand(tmp_path, micro_model, examples):
    """0 while policy and reference are equal; else beta (s(m) - 1/2) times that of log c - log j."""
    tie = replace(examples[0], probability=0.5, weight=1.0, even=True)
    ready = prepare(job_of(tmp_path, micro_model, [tie], config_of(Method.DPO)))
    trainer, model = ready.trainer, ready.trainer.model
    weight = next(p for name, p in model.named_parameters() if "lora_B" in name and p.requires_grad)
    chosen, rejected = ready.reference.chosen[0], ready.reference.rejected[0]

    def gradient(offset):
        known = Reference(chosen=[chosen - offset], rejected=[rejected], source=None)
        batch = trainer._prepare_inputs(trainer.data_collator(list(dataset_of([tie], known))))
        loss = trainer.compute_loss(model, batch)
        return float(loss), torch.autograd.grad(loss, weight)[0]

    start, still = gradient(0.0)
    off, moved = gradient(5.0)
    sums = []
    for ids in tie.sequences():
        logits = model(input_ids=torch.tensor([ids])).logits[0, len(tie.prompt_ids) - 1 : -1]
        answer = torch.tensor(ids[len(tie.prompt_ids) :])[:, None]
        sums.append(logits.log_softmax(-1).gather(-1, answer).sum())
    apart = torch.autograd.grad(sums[0] - sums[1], weight)[0]
    margin = 0.1 * 5.0

    assert start == pytest.approx(math.log(2), abs=1e-5)
    torch.testing.assert_close(still, torch.zeros_like(still), atol=1e-5, rtol=0)
    by_hand = 0.5 * (math.log1p(math.exp(-margin)) + math.log1p(math.exp(margin)))
    assert off == pytest.approx(by_hand, abs=1e-5)
    pull = 0.1 * (1 / (1 + math.exp(-margin)) - 0.5)
    torch.testing.assert_close(moved, pull * apart, atol=1e-6, rtol=1e-3)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, micro_model):
    """Twelve settled pairs and two ties, one of them on a held-out prompt."""
    folder = tmp_path_factory.mktemp("ties")
    fill_workspace(folder, micro_model)
    policy = make_policy(base_model=micro_model)
    with open_store(folder) as store, store.connected():
        some = next(iter(consensus_by_pair(store).values()))
        for split in (Split.TRAIN, Split.VALIDATION):
            prompt = make_prompt(f"What of a {split.value} tie?", split=split)
            answers = [
                make_response(prompt, policy, f"It is {i}", index=i, token_ids=None)
                for i in range(2)
            ]
            pair = make_pair(*answers)
            settled = replace(
                some,
                pair_id=pair.id,
                verdict=Verdict.TIE,
                probability_first=0.5,
                first_votes=0,
                second_votes=0,
                tie_votes=2,
            )
            for rows in ([prompt], answers, [pair], [settled]):
                store.append(rows)
    return folder


def test_a_vote_that_changes_a_weight_begins_a_new_training(workspace):
    """Where weights count; where every pair counts alike it is the same one."""

    def fingerprints(store):
        configs = [
            config_of(Method.DPO),
            config_of(Method.DPO, pair_weights=False),
            config_of(Method.SFT),
            config_of(Method.DPO, pair_weights=False, soft_labels=True),
        ]
        return [
            plan_training(store, workspace, c, run_id="r", now=NOW).fingerprint for c in configs
        ]

    with open_store(workspace) as store, store.connected():
        before = fingerprints(store)
        assert fingerprints(store) == before
        pair = pairs_of_round(store, 0, purpose=Purpose.TRAIN)[0]
        found = consensus_by_pair(store)[pair.id]
        surer = 0.9 if found.verdict is Verdict.FIRST else 0.1
        store.append([replace(found, probability_first=surer, votes=3, events=found.events + 1)])
        after = fingerprints(store)

    assert [a != b for a, b in zip(before, after, strict=True)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (config_of(Method.KTO), ", weighed by how sure the votes are"),
        (config_of(Method.KTO, pair_weights=False), "; every pair counts alike"),
        (config_of(Method.SFT), "; every pair counts alike"),
        (config_of(Method.ORPO), "; every pair counts alike"),
    ],
    ids=["kto", "kto alike", "sft", "orpo"],
)
def test_the_check_says_whether_votes_weigh(workspace, config, says):
    with open_store(workspace) as store, store.connected():
        plan = plan_training(store, workspace, config, run_id="r", now=NOW)
        data = gather(store, workspace, plan, config, flip_rate=None).data

    assert says in method_check(data).finding


def test_ties_are_trained_on_at_one_half_by_choice_and_counted(workspace):
    """Last of this workspace: it begins round 1."""
    soft = config_of(Method.DPO, ties=Ties.SOFT)
    with open_store(workspace) as store, store.connected():
        plain = plan_training(store, workspace, config_of(Method.DPO), run_id="r", now=NOW)
        plan = plan_training(store, workspace, soft, run_id="r", now=NOW)
        gathered = gather(store, workspace, plan, soft, flip_rate=None)
        result = train(store, workspace, soft)
        trained_on = triplets_of(store, result.policy.run_id)
    report = json.loads((result.folder / "run.json").read_text())

    assert plain.built.drops == {"tie": 2}
    assert plan.built.drops == {"tie": 1}, "the held-out one shows nothing of a policy"
    assert plain.fingerprint != plan.fingerprint
    (even,) = [e for e in gathered.job.examples if e.even]
    assert (even.weight, even.probability, len(gathered.job.examples)) == (1.0, 0.5, 11)
    assert "1 tie with probability 0.5, weighed by" in gathered.checks()[0].finding
    assert plan.learns_from == "10 triplets and 1 tie"
    assert min(t.probability for t in trained_on) == 0.5
    assert (report["ties"], report["triplets"], report["examples"]) == (1, 10, 11)
    first = next(c for c in report["checks"] if c["name"] == "first step")
    assert "loss 0.6931 and margin 0.0000 before the first step" in first["finding"]
