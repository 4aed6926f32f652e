"""Real DPO of the bundled micro model with TRL, a few steps at a time."""

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from factories import make_prompt, open_store
from safetensors.torch import load_file
from training_data import TOPICS, examples_about, fill_workspace, job_of

from generate.chat import load_tokenizer
from generate.chat import prompt_token_ids as sampler_prompt_ids
from storage.errors import ModelError, NotReadyError
from storage.records import Message
from train.config import TrainConfig, Tuning
from train.examples import answer_ids, prompt_ids_of
from train.export import export
from train.fit import fit
from train.weights import Weights

MICRO_MODEL = Path(__file__).parents[2] / "pairloop" / "demo" / "model"
STEP_0_LOSS = math.log(2)
CONFIG = TrainConfig(
    learning_rate=2e-3, epochs=1, batch_size=4, device_batch_size=4, max_length=256, min_triplets=4
)


EXAMPLES = examples_about(str(MICRO_MODEL))


def trained(folder: Path, micro_model: str, *, config=CONFIG, **changes):
    steps: list[dict[str, float]] = []
    result = fit(
        job_of(folder, micro_model, EXAMPLES, config, **changes),
        out=folder / "out",
        on_log=lambda step, total, logged: steps.append({"step": step, "of": total, **logged}),
    )
    return result, steps


@pytest.fixture(scope="module")
def first_round(tmp_path_factory, micro_model):
    folder = tmp_path_factory.mktemp("round-1")
    result, steps = trained(folder, micro_model, config=CONFIG.model_copy(update={"epochs": 4}))
    return folder / "out", result, steps


def test_the_first_step_starts_at_the_known_loss_with_policy_and_reference_equal(first_round):
    _, _, steps = first_round

    assert steps[0]["loss"] == pytest.approx(STEP_0_LOSS, abs=1e-4)
    assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)
    assert steps[0]["of"] == len(steps) == 8


def test_training_moves_adapter_weights_and_makes_chosen_answers_likelier(first_round):
    folder, result, steps = first_round
    weights = load_file(folder / "adapter_model.safetensors")

    assert any(w.abs().max() > 0 for name, w in weights.items() if "lora_B" in name)
    assert steps[-1]["rewards/margins"] > 0.05
    assert result.heldout_accuracy == 1.0
    assert [r.pair_id for r in result.heldout_rewards] == TOPICS[:2]
    assert len(result.rewards) == 8
    assert [s.prompt.count("What is") for s in result.samples] == [1, 1]
    assert all(s.before and s.after for s in result.samples)


def test_the_saved_folder_is_an_adapter_with_its_tokenizer_and_no_pickle(first_round):
    names = {p.name for p in first_round[0].iterdir()}

    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pkl"))]
    assert "ref" not in names


def test_the_next_round_goes_on_from_the_adapter_and_it_is_the_reference(
    first_round, tmp_path, micro_model
):
    before = load_file(first_round[0] / "adapter_model.safetensors")

    _, steps = trained(tmp_path, micro_model, adapter=first_round[0])

    assert steps[0]["loss"] == pytest.approx(STEP_0_LOSS, abs=1e-4)
    after = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not (tmp_path / "out" / "ref").exists()


def test_the_share_of_the_chosen_answers_own_loss_is_added(tmp_path, micro_model):
    _, steps = trained(tmp_path, micro_model, config=CONFIG.model_copy(update={"sft_weight": 0.5}))

    assert steps[0]["loss"] > STEP_0_LOSS + 0.1
    assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do():
    from train.fit import _check_loss

    with pytest.raises(ModelError, match=r"became nan at step 3\. Lower train\.learning_rate"):
        _check_loss(math.nan, step=3)


def test_a_reference_that_is_not_what_it_should_be_is_caught_before_the_first_step(
    first_round, tmp_path, micro_model
):
    """The cache of another base model's log-probabilities, under this reference's name."""
    folder = tmp_path / "cache"
    (tmp_path / "good").mkdir()
    trained(tmp_path / "good", micro_model)
    (written,) = (tmp_path / "good" / "cache").iterdir()
    table = pq.read_table(written)
    wrong = [x + 0.1 * i for i, x in enumerate(table["logp"].to_pylist())]
    folder.mkdir()
    pq.write_table(pa.table({"key": table["key"], "logp": wrong}), folder / written.name)

    with pytest.raises(ModelError, match="Before the first step the loss is"):
        trained(tmp_path, micro_model)
    assert not (tmp_path / "out").exists()


def test_the_reference_may_stay_the_sft_model_while_the_adapter_goes_on(
    first_round, tmp_path, micro_model
):
    """Step 0 is then not ln 2; it is checked against log-probabilities made apart."""
    policy = Weights(policy_id="m1:one", base_model=micro_model, adapter=first_round[0])
    sft = Weights(policy_id="m1:sft", base_model=micro_model, adapter=None)
    result, steps = trained(tmp_path, micro_model, policy=policy, reference=sft)

    assert result.dry_step.expected_margin > 0.05
    assert result.dry_step.margin == pytest.approx(result.dry_step.expected_margin, abs=1e-4)
    assert steps[0]["rewards/margins"] > 0.05


def test_all_weights_can_be_trained_and_saved_whole(tmp_path, micro_model):
    full = CONFIG.model_copy(update={"tuning": Tuning.FULL, "learning_rate": 1e-4})
    result, steps = trained(tmp_path, micro_model, config=full)

    assert steps[0]["loss"] == pytest.approx(STEP_0_LOSS, abs=1e-4)
    before, after = (
        load_file(Path(folder) / "model.safetensors") for folder in (micro_model, tmp_path / "out")
    )
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert result.heldout_accuracy >= 0.5


def test_stopping_keeps_a_checkpoint_and_the_next_run_goes_on_from_it(tmp_path, micro_model):
    seen = []

    config = CONFIG.model_copy(update={"epochs": 3})

    def job(folder):
        return job_of(folder, micro_model, EXAMPLES, config, heldout=[])

    named = {"out": tmp_path / "out", "on_log": lambda step, *_: seen.append(step)}
    with pytest.raises(KeyboardInterrupt):
        fit(job(tmp_path), stopping=lambda: len(seen) >= 3, **named)
    stopped_at = seen[-1]
    fit(job(tmp_path), **named)

    assert 3 <= stopped_at < 6
    assert seen[stopped_at:] == list(range(stopped_at + 1, 7))


def test_rows_longer_than_max_length_are_refused_before_training(tmp_path, micro_model):
    config = CONFIG.model_copy(update={"max_length": 20})

    with pytest.raises(NotReadyError, match=r"longer than train\.max_length = 20"):
        trained(tmp_path, micro_model, config=config)

    assert not (tmp_path / "out").exists()


CONVERSATIONS = [
    [Message(role="user", content="What is tea?")],
    [
        Message(role="system", content="Be brief. 🙂"),
        Message(role="user", content="Tell me about maps\nplease"),
    ],
    [
        Message(role="user", content="What is bread?"),
        Message(role="assistant", content="Bread is baked."),
        Message(role="user", content="And soup?"),
    ],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_sampler_and_trainer_read_a_conversation_as_the_same_tokens(micro_model, messages):
    """A difference would train the model on something it never saw when it answered."""
    tokenizer = load_tokenizer(micro_model)
    answer = "Happy to help! It is a drink."
    sampled = (*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id)
    prompt = replace(make_prompt("x"), messages=tuple(messages))

    assert tuple(prompt_ids_of(prompt, tokenizer)) == sampler_prompt_ids(tokenizer, messages)
    assert tuple(answer_ids(prompt, answer, tokenizer)) == sampled


def test_trl_itself_tokenizes_texts_as_we_do(micro_model, tmp_path):
    """Not our copy of its rule: the ids TRL's own preparation arrives at."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    texts = ["Happy to help! I like tea.", "Look, not this again."]
    prompt, tokenizer = make_prompt("What is tea?"), load_tokenizer(micro_model)
    turns = [[{"role": "assistant", "content": text}] for text in texts]
    row = {"prompt": [m.as_dict() for m in prompt.messages], "chosen": turns[0]}
    trainer = DPOTrainer(
        model=micro_model,
        args=DPOConfig(output_dir=str(tmp_path), report_to=[], bf16=False, use_cpu=True),
        train_dataset=Dataset.from_list([row | {"rejected": turns[1]}]),
        processing_class=tokenizer,
    )

    (theirs,) = trainer.train_dataset
    assert theirs["prompt_ids"] == prompt_ids_of(prompt, tokenizer)
    for side, text in zip(("chosen", "rejected"), texts, strict=True):
        assert theirs[f"{side}_ids"] == answer_ids(prompt, text, tokenizer)


def test_the_exported_dataset_is_what_trl_takes_as_it_is(tmp_path, micro_model):
    """With its lineage columns, loaded the way a stranger would."""
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer

    fill_workspace(tmp_path, micro_model)
    with open_store(tmp_path) as store, store.connected():
        export(store, tmp_path / "out", agreement="None measured.")
    exported = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

    trainer = DPOTrainer(
        model=micro_model,
        args=DPOConfig(
            output_dir=str(tmp_path / "trl"),
            max_steps=1,
            per_device_train_batch_size=2,
            report_to=[],
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=exported["train"],
        eval_dataset=exported["validation"],
        processing_class=load_tokenizer(micro_model),
    )

    assert trainer.train().training_loss == pytest.approx(STEP_0_LOSS, abs=1e-3)
    assert (len(trainer.train_dataset), len(trainer.eval_dataset)) == (10, 2)
