"""`pairloop train`: look over, then train the next policy."""

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from pairloop.options import Json, WorkspaceDir
from pairloop.stopping import stopping_on_signals
from storage.errors import ConfigurationError
from storage.records import Split
from storage.words import many
from train.config import Method

if TYPE_CHECKING:
    from storage.store import Store
    from train.config import TrainConfig
    from train.plan import Plan
    from train.preflight import Check
    from train.stage import TrainResult


def register(app: typer.Typer) -> None:
    """Add the command to the front door."""
    app.command("train")(train)


def train(
    *,
    workspace: WorkspaceDir = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look for what breaks training; train nothing.")
    ] = False,
    method: Annotated[
        Method | None, typer.Option("--method", help="Instead of train.method in pairloop.toml.")
    ] = None,
    launch: Annotated[
        str | None,
        typer.Option(
            "--launch",
            help="Train by several processes: ddp, fsdp, deepspeed-zero2, deepspeed-zero3, or an "
            "accelerate config file.",
            metavar="CONFIG",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", help="Of --launch: one for each GPU.", min=1)
    ] = None,
    machine_rank: Annotated[
        int,
        typer.Option("--machine-rank", help="Of this machine; 0 leads, others join it.", min=0),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train the next policy from the newest one's settled pairs. [train] in pairloop.toml says how."""
    from annotate.agreement import agreement_report
    from annotate.consensus import settle
    from annotate.settings import in_force
    from pairloop.report import progress_bar
    from pairloop.workspace import open_workspace
    from storage.store import utc_now
    from train import stage
    from train.gather import measures_flips
    from train.plan import plan_training

    space = open_workspace(workspace, method=method)
    if machine_rank:
        _join(space.root, machine_rank)
        return
    config = _with_launch(space.train, launch, processes)
    if config.launch is None:
        _use_one_gpu()
    with space.store() as store:
        annotate = in_force(store, space.annotate)
        settle(store, annotate)
        plan = plan_training(store, space.root, config, run_id=uuid4().hex, now=utc_now())
        if dry_run:
            _say_plan(plan)
            return
        flip_rate = None
        if measures_flips(config):
            flip_rate = agreement_report(store, annotate).flip_rate.value
        if check:
            found = _checked(store, space.root, config, plan, flip_rate=flip_rate)
            _say_checks(found, as_json=as_json)
            return
        try:
            with progress_bar("Training") as tick, stopping_on_signals() as stopping:
                result = stage.train(
                    store,
                    space.root,
                    config,
                    plan=plan,
                    flip_rate=flip_rate,
                    on_step=lambda step, steps, logged: tick(
                        step, steps, f"loss {logged['loss']:.3f}"
                    ),
                    stopping=stopping,
                )
        except KeyboardInterrupt:
            print(
                "Stopped; what was trained is kept. Next: pairloop train goes on", file=sys.stderr
            )
            raise typer.Exit(130) from None
    _say_trained(result, as_json=as_json)


def _use_one_gpu() -> None:
    """Else trainers would copy the model to every GPU they see, which TRL refuses."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]


def _with_launch(config: "TrainConfig", name: str | None, processes: int | None) -> "TrainConfig":
    """With what the flags say over what pairloop.toml says."""
    from pydantic import ValidationError

    if name is None and processes is None:
        return config
    launch = config.launch.model_dump() if config.launch else {}
    launch |= {"config": name} if name is not None else {}
    launch |= {"processes": processes} if processes is not None else {}
    try:
        return type(config).model_validate(config.model_dump() | {"launch": launch})
    except ValidationError as error:
        words = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())
        raise ConfigurationError(
            f"--launch and --processes do not fit [train]: {words}."
        ) from error


def _join(workspace: Path, machine: int) -> None:
    """Lend this machine to the training that machine 0 begins."""
    from train.launch import join

    try:
        with stopping_on_signals() as stopping:
            join(workspace, machine=machine, stopping=stopping)
    except KeyboardInterrupt:
        print("Stopped this machine's part.", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"Machine {machine} has done its part; machine 0 says what was trained.")


def _checked(
    store: "Store",
    workspace: Path,
    config: "TrainConfig",
    plan: "Plan",
    *,
    flip_rate: float | None,
) -> list["Check"]:
    """Every check; those that need the model only where no other is red."""
    from train.check import model_checks
    from train.dry_step import dry_step
    from train.gather import gather
    from train.launch import look_launched
    from train.preflight import Light
    from train.prepare import prepare
    from train.trouble import told_plainly

    gathered = gather(store, workspace, plan, config, flip_rate=flip_rate)
    checks = gathered.checks()
    if all(c.light is not Light.RED for c in checks):
        if config.launch is None:
            with told_plainly(config):
                ready = prepare(gathered.job, tokenizer=gathered.data.tokenizer)
                reference, first = ready.reference, dry_step(ready)
        else:
            reference, first = look_launched(gathered.job, workspace)
        checks += model_checks(gathered.job, reference, first)
        for made in (gathered.job.work, gathered.job.work.parent):
            with suppress(OSError):  # a trainer makes its folder; one with checkpoints stays
                made.rmdir()
    return checks


def _say_plan(plan: "Plan") -> None:
    from pairloop.report import counted

    heldout = len(plan.built.of(Split.VALIDATION))
    print(
        f"Round {plan.next_round}: {plan.learns_from} to train on, {heldout} held out, "
        + (f"{many(len(plan.built.unpaired), 'pair')} alike, " if plan.built.unpaired else "")
        + (f"{many(len(plan.edits), 'edited answer')}, " if plan.edits else "")
        + f"left out: {counted(plan.built.drops)}. Next: pairloop train --check, or pairloop train"
    )


def _say_checks(checks: list["Check"], *, as_json: bool) -> None:
    """The table; exit code 1 where a light is red."""
    from pairloop.report import table
    from train.preflight import Light

    red = sum(c.light is Light.RED for c in checks)
    if as_json:
        print(json.dumps({"red": red, "checks": [asdict(c) for c in checks]}))
    else:
        table(
            "Before training",
            ["check", "", "found", "what to do"],
            [
                [
                    c.name,
                    c.light.value,
                    c.finding + _ids(c),
                    c.fix if c.light is not Light.GREEN else "",
                ]
                for c in checks
            ],
        )
        ready = "Next: pairloop train" if not red else "Mend what is red, then check again."
        print(f"{red} red, {sum(c.light is Light.AMBER for c in checks)} amber. {ready}")
    if red:
        raise typer.Exit(1)


def _ids(check: "Check") -> str:
    return f" ({', '.join(check.examples)})" if check.examples else ""


def _say_trained(result: "TrainResult", *, as_json: bool) -> None:
    if as_json:
        accuracy = None if result.heldout == 0 else result.heldout_accuracy
        print(
            json.dumps(
                {
                    "round": result.round,
                    "policy": result.policy.id if result.policy else None,
                    "folder": str(result.folder),
                    "triplets": result.triplets,
                    "heldout": result.heldout,
                    "heldout_accuracy": accuracy,
                    "drops": dict(result.drops),
                    "resumed": result.resumed,
                }
            )
        )
        return
    from pairloop.report import counted

    accuracy_text = f"{100 * result.heldout_accuracy:.1f} %" if result.heldout else "not known"
    print(f"Left out: {counted(result.drops)}.")
    if result.policy is None:
        print(
            f"Trained a reward model on {result.learned_from} to {result.folder}; it is right "
            f"in {accuracy_text} of {many(result.heldout, 'held-out pair')}. The policy is as it was."
        )
        return
    print(
        f"Trained round {result.round} on {result.learned_from} to {result.folder}; "
        f"held-out preference accuracy {accuracy_text} of {result.heldout}. "
        "Next: pairloop generate, or pairloop evaluate"
    )
