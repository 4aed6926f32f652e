"""Our trainer against TRL's own DPOTrainer: with weights and probabilities of 1 they are the same."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from factories import make_prompt
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from trl import DPOConfig, DPOTrainer

from generate.chat import load_tokenizer
from train.config import Loss
from train.exact_trainer import ExactDPOTrainer, dataset_of
from train.examples import Example, answer_ids, prompt_ids_of
from train.reference import Reference, Source, reference_logps, scorer

TEXTS = [
    ("tea", "Happy to help! I like tea.", "Look, tea again."),
    ("maps", "Maps show the way.", "Well, maps are maps and maps are maps, as they say of maps."),
    ("rain", "Rain is water that falls from clouds.", "No."),
    ("bees", "Bees make honey. Enjoy!", "Happy to help! Bees bees bees."),
]
LORA = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def tokenizer(micro_model):
    return load_tokenizer(micro_model)


@pytest.fixture(scope="module")
def examples(tokenizer) -> list[Example]:
    found = []
    for topic, *answers in TEXTS:
        prompt = make_prompt(f"What is {topic}?")
        chosen, rejected = (tuple(answer_ids(prompt, text, tokenizer)) for text in answers)
        ids = tuple(prompt_ids_of(prompt, tokenizer))
        found.append(
            Example(pair_id=topic, prompt_ids=ids, chosen_ids=chosen, rejected_ids=rejected)
        )
    return found


def moved_model(micro_model: str):
    """The micro model with an adapter that already answers otherwise than the base."""
    torch.manual_seed(7)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32), LoraConfig(**LORA)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    return model


def arguments(folder: Path, **changes) -> DPOConfig:
    return DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        train_sampling_strategy="sequential",
        learning_rate=1e-3,
        max_steps=3,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        beta=0.1,
        **changes,
    )


def unknown(examples) -> Reference:
    nothing = [0.0] * len(examples)
    return Reference(chosen=nothing, rejected=nothing, source=None)


def ours(micro_model, tokenizer, examples, folder, *, loss=Loss.SIGMOID, sft=0.0, flips=0.0):
    trainer = ExactDPOTrainer(
        loss=loss,
        sft_weight=sft,
        flip_rate=flips,
        model=moved_model(micro_model),
        args=arguments(folder),
        train_dataset=dataset_of(examples, unknown(examples)),
        processing_class=tokenizer,
    )
    score = scorer(trainer.model, pad_id=tokenizer.pad_token_id)

    def of_base(wanted):
        with trainer.model.disable_adapter():
            return score(wanted)

    reference = reference_logps(
        examples, policy_id="m1:base", beta=0.1, score=of_base, cache=folder / "cache.parquet"
    )
    if "ref" in trainer.model.peft_config:
        trainer.model.delete_adapter("ref")
    trainer.train_dataset = dataset_of(examples, reference)
    return trainer, reference


@pytest.fixture(scope="module")
def theirs(micro_model, tokenizer, examples, tmp_path_factory) -> DPOTrainer:
    """TRL's, on the same ids; its reference is the base, as ours."""
    from datasets import Dataset

    class OnIds(DPOTrainer):
        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    rows = Dataset.from_list([{n: list(getattr(e, n)) for n in names} for e in examples])
    trainer = OnIds(
        model=moved_model(micro_model),
        args=arguments(tmp_path_factory.mktemp("theirs")),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    if "ref" in trainer.model.peft_config:
        trainer.model.delete_adapter("ref")
    return trainer


def first_loss(trainer) -> float:
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, batch))


@pytest.mark.parametrize("loss", list(Loss))
def test_each_loss_is_what_trl_computes(micro_model, tokenizer, examples, theirs, tmp_path, loss):
    trainer, _ = ours(micro_model, tokenizer, examples, tmp_path, loss=loss, flips=0.2)
    theirs.loss_types, theirs.loss_weights, theirs.label_smoothing = [loss.value], [1.0], 0.2

    assert first_loss(trainer) == pytest.approx(first_loss(theirs), rel=1e-5)


def test_training_takes_the_same_steps_as_trl(micro_model, tokenizer, examples, theirs, tmp_path):
    theirs.loss_types, theirs.loss_weights = ["sigmoid", "sft"], [1.0, 0.3]
    trainer, _ = ours(micro_model, tokenizer, examples, tmp_path, sft=0.3)

    for one in (trainer, theirs):
        one.train()

    found, expected = (
        [row for row in one.state.log_history if "loss" in row] for one in (trainer, theirs)
    )
    assert len(found) == len(expected) == 3
    for mine, his in zip(found, expected, strict=True):
        for name in ("loss", "grad_norm", "rewards/margins", "logps/chosen", "entropy"):
            assert mine[name] == pytest.approx(his[name], rel=2e-4, abs=2e-5), name


def test_a_weight_of_nought_leaves_a_pair_out_and_two_counts_it_twice(
    micro_model, tokenizer, examples, tmp_path
):
    one, other = examples[0], examples[1]
    both = [replace(one, weight=2.0), replace(other, weight=1.0)]
    twice = [one, one, other]
    weighed, counted = (
        first_loss(ours(micro_model, tokenizer, rows, tmp_path / name)[0])
        for name, rows in (("weighed", both), ("counted", twice))
    )

    assert weighed == pytest.approx(counted, rel=1e-6)


def test_at_one_half_nothing_moves(micro_model, tokenizer, examples, tmp_path):
    undecided = [replace(e, probability=0.5) for e in examples]
    trainer, _ = ours(micro_model, tokenizer, undecided, tmp_path)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.zero_()  # the policy is the reference again

    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()

    slopes = [p.grad.abs().max() for p in trainer.model.parameters() if p.grad is not None]
    assert float(loss.detach()) == pytest.approx(math.log(2), abs=1e-5)
    assert slopes
    assert float(max(slopes)) < 1e-6


def sampled(examples, reference, *, wrong=0.0):
    """As if the sampler had told its own log-probabilities, off by `wrong` on every other one."""
    return [
        replace(e, sampled=("m1:base", c + wrong * (i % 2), j))
        for i, (e, c, j) in enumerate(
            zip(examples, reference.chosen, reference.rejected, strict=True)
        )
    ]


def test_the_samplers_own_log_probabilities_serve_where_they_hold(examples, tmp_path):
    calls = []

    def score(wanted):
        calls.append(len(wanted))
        return [-1.0 * len(ids) for ids, _ in wanted]

    named = {"policy_id": "m1:base", "beta": 0.1, "score": score}
    truth = reference_logps(examples, cache=tmp_path / "truth.parquet", **named)
    told = reference_logps(sampled(examples, truth), cache=tmp_path / "told.parquet", **named)
    off = reference_logps(
        sampled(examples, truth, wrong=3.0), cache=tmp_path / "off.parquet", **named
    )

    assert truth.source is Source.SCORED
    assert (told.source, told.chosen, told.rejected) == (
        Source.SAMPLER,
        truth.chosen,
        truth.rejected,
    )
    assert off.source is Source.SCORED
    assert (off.chosen, off.error_spread) == (truth.chosen, pytest.approx(0.15))


def test_scores_are_worked_out_once_and_kept_on_disk(examples, tmp_path):
    calls = []

    def score(wanted):
        calls.append(len(wanted))
        return [-1.0 * len(ids) for ids, _ in wanted]

    named = {"policy_id": "x", "beta": 0.1, "score": score, "cache": tmp_path / "c.parquet"}
    first = reference_logps(examples[:3], **named)
    again = reference_logps(examples, **named)

    assert calls == [6, 2]
    assert again.chosen[:3] == first.chosen


def test_scores_do_not_depend_on_the_batch(micro_model, tokenizer, examples, tmp_path):
    trainer, _ = ours(micro_model, tokenizer, examples, tmp_path)
    wanted = [(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()]
    alone, together = (
        scorer(trainer.model, pad_id=tokenizer.pad_token_id, tokens_per_batch=n)(wanted)
        for n in (1, 10_000)
    )

    assert alone == pytest.approx(together, abs=1e-4)
    logits = trainer.model(input_ids=torch.tensor([wanted[0][0]])).logits[0, :-1].float()
    ids = torch.tensor(wanted[0][0][1:])
    by_hand = logits.log_softmax(-1).gather(1, ids[:, None])[wanted[0][1] - 1 :, 0].sum()
    assert alone[0] == pytest.approx(float(by_hand), abs=1e-4)
