"""Memory and disk that run out, and adapters of another model: one message, and nothing lost."""

import json
import resource
import signal
from dataclasses import replace

import pytest
import torch
from factories import NOW, open_store
from peft import LoraConfig, get_peft_model
from training_data import fill_workspace
from transformers import AutoConfig, AutoModelForCausalLM

from storage.errors import ModelError
from train.checks_adapter import adapter
from train.config import Launch, TrainConfig, Tuning
from train.fit import fit, last_checkpoint
from train.gather import gather
from train.plan import plan_training
from train.preflight import Light
from train.trouble import is_full, is_out_of_memory, remedies, told_plainly
from train.weights import Weights, open_model

CONFIG = TrainConfig(
    learning_rate=1e-3,
    epochs=2,
    batch_size=4,
    device_batch_size=4,
    max_length=256,
    min_triplets=4,
    checkpoints=6,
)
ROOM = 100_000  # bytes a file may have: less than a checkpoint's, more than a log's


@pytest.fixture(scope="module")
def job(tmp_path_factory, micro_model):
    folder = tmp_path_factory.mktemp("settled")
    fill_workspace(folder, micro_model, pairs=14)
    with open_store(folder) as store:
        plan = plan_training(store, folder, CONFIG, run_id="run", now=NOW)
        return gather(store, folder, plan, CONFIG, flip_rate=None).job


def test_what_ran_out_in_the_middle_is_told_and_the_run_goes_on_from_the_last_good_checkpoint(job):
    """First the disk (files may not grow), then the GPU's memory, then nothing."""
    steps, out = [], job.work / "result"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def no_more_room(step, *_):
        steps.append(step)
        if step == 2:  # its checkpoint is the first one that finds no room
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[1]))

    try:
        with pytest.raises(ModelError, match=r"The disk is full .* the last checkpoint .* is kept"):
            fit(job, out=out, on_log=no_more_room)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert steps == [1, 2]
    assert not out.exists()

    def no_more_memory(step, *_):
        steps.append(step)
        if step == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    with pytest.raises(ModelError, match=r"CUDA out of memory.*train\.device_batch_size = 2"):
        fit(job, out=out, on_log=no_more_memory)
    assert steps == [1, 2, 2, 3, 4]
    assert not out.exists()

    fit(job, out=out, on_log=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 2, 3, 4, 4, 5, 6]
    assert (out / "adapter_model.safetensors").exists()


def test_a_checkpoint_that_was_not_written_to_its_end_is_removed(tmp_path):
    for name, state in (("5", '{"global_step": 5}'), ("10", '{"global'), ("15", None)):
        (tmp_path / f"checkpoint-{name}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{name}" / "trainer_state.json").write_text(state)

    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
    assert [c.name for c in tmp_path.iterdir()] == ["checkpoint-5"]
    assert last_checkpoint(tmp_path / "none") is None


def test_memory_of_the_machine_that_runs_out_is_told_too():
    says = pytest.raises(ModelError, match=r"Memory ran out while training .*allocate memory")
    with says, told_plainly(CONFIG):
        torch.empty(2**50)  # floats: four pebibytes


def test_other_errors_are_left_as_they_are():
    for error in (RuntimeError("shapes differ"), OSError(2, "No such file"), ValueError("memory")):
        assert not is_full(error)
        assert not is_out_of_memory(error)
        with pytest.raises(type(error)), told_plainly(CONFIG):
            raise error


@pytest.mark.parametrize(
    ("changes", "first", "lacks"),
    [
        ({}, "train.device_batch_size = 2 ", "lora"),
        ({"device_batch_size": 1}, "train.gradient_checkpointing = true", "device_batch"),
        (
            {"device_batch_size": 1, "gradient_checkpointing": True, "tuning": Tuning.FULL},
            'train.tuning = "lora"',
            "qlora",
        ),
        (
            {
                "device_batch_size": 1,
                "gradient_checkpointing": True,
                "launch": Launch(config="fsdp", processes=2),
            },
            "a lower generate.max_tokens",
            "fsdp",
        ),
    ],
    ids=["batch", "checkpointing", "full", "sharded"],
)
def test_the_setting_that_costs_least_is_named_first(changes, first, lacks):
    said = remedies(CONFIG.model_copy(update=changes))

    assert said.startswith(f"Set, in this order, until it fits: {first}")
    assert lacks not in said.replace("qlora", "" if lacks == "lora" else "qlora")


@pytest.fixture(scope="module")
def wider(tmp_path_factory, micro_model) -> Weights:
    """An adapter of a model like the micro model, with wider layers, said to be the micro model's."""
    folder = tmp_path_factory.mktemp("wider")
    config = AutoConfig.from_pretrained(micro_model)
    config.intermediate_size *= 2
    model = get_peft_model(
        AutoModelForCausalLM.from_config(config), LoraConfig(target_modules="all-linear", r=2)
    )
    model.save_pretrained(folder)
    return Weights(policy_id="m1:wider", base_model=micro_model, adapter=folder)


def test_an_adapter_of_another_model_is_red_before_any_weights_are_loaded(job, wider):
    found = adapter(replace(job, policy=wider))

    assert found.light is Light.RED
    assert "of policy m1:wider does not fit" in found.finding
    assert any("mlp" in layer and "inputs" in layer for layer in found.examples)
    assert "Put that model back" in found.fix
    assert adapter(job).light is Light.GREEN


def test_an_adapter_that_fits_but_names_another_base_is_amber(job, wider, micro_model, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(micro_model)
    get_peft_model(model, LoraConfig(target_modules="all-linear", r=2)).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "adapter_config.json").read_text())
    fits = replace(wider, adapter=tmp_path)
    assert adapter(replace(job, policy=fits)).light is Light.GREEN

    said["base_model_name_or_path"] = "/moved/away"
    (tmp_path / "adapter_config.json").write_text(json.dumps(said))
    found = adapter(replace(job, policy=fits))
    assert (found.light, "/moved/away" in found.finding) == (Light.AMBER, True)


def test_an_adapter_of_another_model_is_refused_in_a_sentence_where_it_is_loaded(wider):
    with pytest.raises(ModelError, match=r"does not fit .*size mismatch.*train --check"):
        open_model(wider, CONFIG, torch.float32)
