"""Sampling on a cluster: an engine's process is killed, and every answer comes once."""

import os
import signal
from pathlib import Path

import pytest
from factories import make_prompt, open_store

from generate import ray_engine, stage
from generate.config import EngineName, GenerateConfig
from generate.sampling import sample_missing
from storage.errors import ConfigurationError, ModelError
from storage.policies import find_policy
from storage.responses import response_ids_to, responses_of


def config_for(model: str, **changes) -> GenerateConfig:
    values = {"model": model, "engine": EngineName.RAY, "max_tokens": 48, "temperatures": (1.0,)}
    values |= {"ray": {"actors": 2, "engine": "transformers"}, "dtype": "float32"}
    return GenerateConfig(**values | changes)


def engines() -> list[int]:
    """The processes of the cluster's engines on this machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_text()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            grandparent = int(
                Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:
            continue
        if title.startswith("ray::_Engine") and grandparent == os.getpid():
            found.append(int(folder.name))
    return found


@pytest.mark.ray
@pytest.mark.slow
def test_what_a_killed_engine_had_left_is_sampled_elsewhere_and_nothing_twice(
    ray_cluster, tmp_path, micro_model, monkeypatch
):
    monkeypatch.setattr(ray_engine, "SMALLEST", 16)
    config = config_for(micro_model, samples_per_temperature=32)
    killed = []

    class Watched(ray_engine.RaySampler):
        def sample(self, requests):
            for number, sample in enumerate(super().sample(requests)):
                if number == 5:
                    before = engines()
                    assert len(before) == 2
                    os.kill(before[0], signal.SIGKILL)
                    killed.append(before[0])
                yield sample

    with open_store(tmp_path) as store:
        store.append([make_prompt(f"What is {t}?") for t in ("tea", "bread", "rain", "chess")])
        policy = stage.current_policy(store, config)
        chosen = stage.prompts_to_answer(store)
        result = sample_missing(
            store,
            tmp_path,
            config,
            chosen,
            [policy],
            open_engine=lambda: Watched(config, adapters=[]),
        )
        answers = responses_of(store, find_policy(store, "sft").id)
        raw = response_ids_to(store, [policy.id], chosen)

    assert len(killed) == 1
    assert result.sampled == len(raw) == len(answers) == len({a.id for a in answers}) == 128
    assert {a.engine.split(",")[0].split()[0] for a in answers} == {"ray"}
    assert all(a.token_ids and len(a.logprobs) == len(a.token_ids) for a in answers)


@pytest.mark.ray
@pytest.mark.slow
def test_an_engine_that_cannot_load_says_why_in_its_own_words(ray_cluster, micro_model, tmp_path):
    import shutil

    broken = tmp_path / "model"
    shutil.copytree(micro_model, broken)
    (broken / "model.safetensors").write_bytes(b"")
    config = config_for(str(broken), ray={"actors": 1, "engine": "transformers"})

    with pytest.raises(ModelError, match="An engine of the Ray cluster"):
        ray_engine.RaySampler(config, adapters=[])


@pytest.mark.ray
@pytest.mark.slow
def test_more_engines_than_fit_are_refused(ray_cluster, micro_model):
    config = config_for(micro_model, ray={"actors": 3})

    with pytest.raises(ConfigurationError, match="3 engines do not fit into the cluster's 2 CPUs"):
        ray_engine.RaySampler(config, adapters=[])


def test_an_address_of_ray_client_is_refused(micro_model):
    pytest.importorskip("ray")
    config = config_for(micro_model, ray={"address": "ray://head:10001"})

    with pytest.raises(ConfigurationError, match="Run this on a machine of the cluster"):
        ray_engine.RaySampler(config, adapters=[])


@pytest.mark.parametrize(
    ("machines", "settings", "places"),
    [
        ([{"CPU": 8, "GPU": 4}, {"CPU": 8, "GPU": 4}], {}, (8, {"num_gpus": 1, "num_cpus": 1})),
        (
            [{"CPU": 8, "GPU": 3}, {"CPU": 8, "GPU": 3}],
            {"tensor_parallel_size": 2},
            (2, {"num_gpus": 2, "num_cpus": 1}),
        ),
        (
            [{"CPU": 8, "GPU": 4}, {"CPU": 2}],
            {"ray": {"actors": 2}},
            (2, {"num_gpus": 1, "num_cpus": 1}),
        ),
        ([{"CPU": 8}, {"CPU": 4}], {}, (2, {"num_cpus": 4})),
        ([{"CPU": 8}], {"ray": {"actors": 3}}, (3, {"num_cpus": 2})),
    ],
    ids=["one per GPU", "two GPUs each", "fewer", "one per machine", "shared"],
)
def test_each_engine_gets_a_place_that_exists(micro_model, machines, settings, places):
    config = config_for(micro_model, **{"ray": {}} | settings)

    assert ray_engine._places(config, machines) == places
