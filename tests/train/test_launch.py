"""Training by two processes that `accelerate launch` starts, on the CPU (gloo), against one process."""

import json
import os
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from factories import NOW, open_store
from pydantic import ValidationError
from training_data import fill_workspace

from storage.errors import ConfigurationError, ModelError, NotReadyError
from storage.policies import newest_policy
from storage.run_records import RunStatus
from storage.runs import runs
from train.asked import Asked
from train.config import SHIPPED, Launch, Method, TrainConfig
from train.dry_step import DryStep
from train.examples import Example, Single
from train.fit import Trained, fit
from train.gather import gather
from train.job_files import read_job, read_trained, write_job, write_trained
from train.launch import CONFIGS, NOTE, _why, config_file, fit_launched, join
from train.order import Order
from train.plan import plan_training
from train.prepare import Job
from train.reference import Reference, Source
from train.rewards import Reward
from train.stage import train
from train.weights import ScorerWeights, Weights

ONE = TrainConfig(
    learning_rate=1e-3,
    epochs=4,
    batch_size=4,
    device_batch_size=2,
    max_length=256,
    min_triplets=4,
    checkpoints=12,
)
PAIRS = 14  # 12 to train on: 3 steps an epoch, the last one full


def together(**named) -> TrainConfig:
    return ONE.model_copy(update={"launch": Launch(processes=2, **named)})


def job_of(folder: Path, micro_model: str, config: TrainConfig) -> Job:
    fill_workspace(folder, micro_model, pairs=PAIRS)
    with open_store(folder) as store:
        plan = plan_training(store, folder, config, run_id="run", now=NOW)
        return gather(store, folder, plan, config, flip_rate=None).job


@pytest.fixture(scope="module")
def alone(tmp_path_factory, micro_model) -> Trained:
    """The same training by one process."""
    folder = tmp_path_factory.mktemp("alone")
    return fit(job_of(folder, micro_model, ONE), out=folder / "out", on_log=lambda *_: None)


def figures(history, *names):
    return [[row[name] for name in names] for row in history]


def same_training(history, rewards, alone: Trained) -> None:
    names = ("step", "loss", "grad_norm", "rewards/margins", "logps/chosen", "entropy")
    assert len(history) == 12
    for found, expected in zip(
        figures(history, *names), figures(alone.history, *names), strict=True
    ):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    found = {r.pair_id: r.margin for r in rewards}
    assert found == pytest.approx({r.pair_id: r.margin for r in alone.rewards}, abs=2e-3)


@pytest.mark.slow
def test_a_killed_process_is_told_and_two_machines_go_on_to_the_losses_of_one_process(
    tmp_path, micro_model, alone
):
    """Both machines are this one; machine 1 never opens the store."""
    fill_workspace(tmp_path, micro_model, pairs=PAIRS)
    seen = []

    def kill_one(step, *_):
        seen.append(step)
        if step == 5:
            os.kill(process_of_rank(1), signal.SIGKILL)

    with open_store(tmp_path) as store:
        with pytest.raises(ModelError, match=r"process 1 of 2 .* killed \(SIGKILL, as the kernel"):
            train(store, tmp_path, together(), on_step=kill_one)
        (state,) = runs(store)
        assert state.status is RunStatus.FAILED
        assert not (tmp_path / NOTE).exists()
        last = max(seen)

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        other = threading.Thread(
            target=join, args=(tmp_path,), kwargs={"machine": 1, "stopping": lambda: False}
        )
        other.start()
        seen.clear()
        result = train(
            store,
            tmp_path,
            together(machines=2, main_address=address),
            on_step=lambda step, *_: seen.append(step),
        )
        other.join(60)
        assert not other.is_alive()
        assert newest_policy(store).round == 1

    assert result.resumed
    assert 1 < seen[0] <= last + 1
    assert seen[-1] == 12
    report = json.loads((result.folder / "run.json").read_text())
    rewards = [Reward(**row) for row in report_rewards(result.folder)]
    same_training(report["history"], rewards, alone)
    assert "What is" in (result.folder / "report.html").read_text(), "samples before and after"
    assert not list((tmp_path / "policies").glob(".*"))


@pytest.mark.slow
def test_sharded_training_stops_with_a_checkpoint_and_goes_on_to_the_losses_of_one_process(
    tmp_path, micro_model, alone
):
    """FSDP2: each process holds half of every layer."""
    job, seen = job_of(tmp_path, micro_model, together(config="fsdp")), []
    named = {"on_log": lambda step, *_: seen.append(step)}

    with pytest.raises(KeyboardInterrupt):
        fit_launched(job, tmp_path, stopping=lambda: len(seen) >= 4, **named)
    stopped_at = seen[-1]
    trained = fit_launched(job, tmp_path, stopping=lambda: False, **named)

    assert 4 <= stopped_at < 12
    assert seen[stopped_at:] == list(range(stopped_at + 1, 13))
    same_training(trained.history, trained.rewards, alone)
    assert (job.work / "result" / "adapter_model.safetensors").exists()


def process_of_rank(rank: int) -> int:
    """Of the processes that this one's launcher started."""
    marks = {f"PAIRLOOP_PARENT={os.getpid()}".encode(), f"LOCAL_RANK={rank}".encode()}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((folder / "environ").read_bytes().split(b"\0")):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError(f"no process of rank {rank}")


def report_rewards(folder: Path):
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "rewards.parquet").to_pylist()
    return [
        {k: row[k] for k in ("pair_id", "chosen", "rejected")}
        for row in rows
        if row["split"] == "train"
    ]


def test_a_job_and_its_outcome_are_read_as_they_were_written(tmp_path):
    example = Example(
        pair_id="p",
        prompt_ids=(1, 2),
        chosen_ids=(3,),
        rejected_ids=(4, 5),
        weight=0.5,
        probability=0.75,
        sampled=("m1:a", -1.5, -2.5),
        margin=1 / 3,
        edited=True,
    )
    policy = Weights(policy_id="m1:a", base_model="hub/name", adapter=tmp_path / "adapter")
    job = Job(
        examples=[example, replace(example, sampled=None)],
        heldout=[example],
        policy=policy,
        reference=replace(policy, adapter=None),
        flip_rate=0.1,
        config=together(config="fsdp"),
        cache=tmp_path / "cache",
        work=tmp_path / "work",
        singles=[Single(pair_id="q", prompt_ids=(1,), answer_ids=(2,), desirable=True)],
        asked=[Asked(prompt_id="x", prompt_ids=(1, 2))],
        scorer=ScorerWeights(base_model="hub/name", folder=tmp_path / "rewards"),
    )
    trained = Trained(
        metrics={"train_loss": 0.5},
        history=[{"loss": 0.7, "step": 1.0}],
        reference=Reference(chosen=[-1.0], rejected=[-2.0], source=Source.SCORED),
        dry_step=DryStep(
            loss=0.69,
            expected_loss=0.69,
            margin=None,
            expected_margin=None,
            seconds=0.1,
            tokens=9,
            peak_bytes=0,
        ),
        rewards=[Reward(pair_id="p", chosen=0.1, rejected=float("nan"))],
        heldout_rewards=[],
        samples=[],
    )

    write_job(tmp_path, job)
    write_trained(tmp_path, trained)

    assert read_job(tmp_path) == job
    assert repr(read_trained(tmp_path)) == repr(trained)  # nan differs from itself


@pytest.mark.parametrize("name", SHIPPED)
def test_accelerate_takes_the_shipped_configs(name, tmp_path):
    """DeepSpeed is not installed here: its configs are read by accelerate, and never run."""
    found = load_config_from_file(str(CONFIGS / f"{name}.yaml"))

    kind = {"ddp": "MULTI_GPU", "fsdp": "FSDP"}.get(name, "DEEPSPEED")
    assert found.distributed_type.value == kind
    assert (found.fsdp_config or {}).get("fsdp_version") == (2 if name == "fsdp" else None)
    assert (found.deepspeed_config or {}).get("zero_stage") == (
        int(name[-1]) if kind == "DEEPSPEED" else None
    )
    if kind == "DEEPSPEED":
        with pytest.raises(ConfigurationError, match="pip install deepspeed"):
            config_file(Launch(config=name), tmp_path)
    else:
        assert config_file(Launch(config=name), tmp_path).name == f"{name}.yaml"


def test_a_config_of_ones_own_is_found_in_the_workspace_or_refused(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text((CONFIGS / "ddp.yaml").read_text())
    assert config_file(Launch(config="own.yaml"), tmp_path) == own

    own.write_text("distributed_type: MULTI_GPU\nnum_procesess: 2\n")
    with pytest.raises(ConfigurationError, match=r"own\.yaml is no accelerate config.*num_proces"):
        config_file(Launch(config="own.yaml"), tmp_path)
    with pytest.raises(ConfigurationError, match="neither a file nor one of ddp, fsdp"):
        config_file(Launch(config="fdsp"), tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"launch": {"processes": 3}}, "cannot be divided among launch.processes = 3"),
        ({"launch": {"processes": 4, "machines": 3}}, "not the same number on each of 3"),
        ({"launch": {"processes": 4, "machines": 2}}, "set main_address to the HOST:PORT"),
        ({"tuning": "qlora", "launch": {"config": "fsdp"}}, 'launch.config = "ddp"'),
        ({"method": "kto", "batch_size": 4, "launch": {"processes": 4}}, "an even number for each"),
    ],
    ids=["batch", "machines", "address", "qlora", "kto"],
)
def test_settings_that_do_not_fit_are_refused(settings, says):
    with pytest.raises(ValidationError, match=says):
        TrainConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("batch", "device", "processes", "at_once"),
    [(32, 8, 1, 8), (32, 8, 8, 4), (10, 4, 1, 2), (12, 8, 2, 6), (4, 8, 4, 1)],
)
def test_a_step_is_divided_evenly(batch, device, processes, at_once):
    launch = Launch(processes=processes) if processes > 1 else None
    config = TrainConfig(batch_size=batch, device_batch_size=device, launch=launch)
    assert config.at_once == at_once


def test_the_first_failure_is_the_one_that_is_told(tmp_path):
    said = tmp_path / "said.log"
    said.write_text("words")
    for rank, (kind, message, at) in enumerate(
        [("", "RuntimeError: Connection closed by peer", 2.0), ("NotReadyError", "Too long.", 1.0)]
    ):
        facts = {"kind": kind, "message": message, "at": at}
        (tmp_path / f"failed-{rank}.json").write_text(json.dumps(facts))

    found = _why(tmp_path, said, 2)
    assert (type(found), str(found)) == (NotReadyError, "Too long.")
    (tmp_path / "failed-1.json").unlink()
    assert str(_why(tmp_path, said, 2)).startswith(
        "Training process 0 of 2 failed: RuntimeError: Connection closed by peer. Checkpoints are "
    )
    (tmp_path / "failed-0.json").unlink()
    assert "ended without a word" in str(_why(tmp_path, said, 2))


@pytest.mark.parametrize("grouped", [True, False], ids=["by length", "shuffled"])
def test_an_order_takes_every_row_once_and_another_one_each_epoch(grouped):
    lengths = [(7 * i) % 23 for i in range(50)]
    order = Order(lengths, batch=4, seed=1, grouped=grouped)
    first = list(order)
    order.epoch = 1
    second = list(order)

    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert list(Order(lengths, batch=4, seed=1, grouped=grouped)) == first
    assert (order.steps, len(order)) == (13, 50)
    if grouped:
        assert lengths[first[0]] == max(lengths)
        spreads = [max(found) - min(found) for found in batches(lengths, first)]
        by_chance = [max(found) - min(found) for found in batches(lengths, sorted(first))]
        assert sum(spreads) < sum(by_chance) / 2


def batches(lengths, places):
    return [[lengths[i] for i in places[at : at + 4]] for at in range(0, 48, 4)]


def test_only_dpo_like_methods_go_on_with_another_device_batch(tmp_path, micro_model):
    """What a device takes at once changes nothing that is learned, but KTO's divergence."""
    fill_workspace(tmp_path, micro_model, pairs=5)
    with open_store(tmp_path) as store:

        def fingerprint(**changes):
            config = TrainConfig.model_validate({**ONE.model_dump(), **changes})
            return plan_training(store, tmp_path, config, run_id="run", now=NOW).fingerprint

        kto = {"method": Method.KTO}
        assert fingerprint() == fingerprint(device_batch_size=4, gradient_checkpointing=True)
        assert fingerprint() != fingerprint(learning_rate=1e-4)
        assert fingerprint(**kto) != fingerprint(**kto, device_batch_size=4)
