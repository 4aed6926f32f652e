"""Verbs of the loop: generate, annotate, demo."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from generate.strategies import Strategy
from pairloop.options import Json, WorkspaceDir


def register(app: typer.Typer) -> None:
    """Add these commands to the front door."""
    app.command("generate")(generate)
    app.command("annotate")(annotate)
    app.command("demo")(demo)


def generate(
    *,
    workspace: WorkspaceDir = Path(),
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse prompts that can't be sampled, not leave them out."),
    ] = False,
    engine: Annotated[
        Literal["auto", "vllm", "transformers", "openai", "ray"] | None,
        typer.Option(help="Sample with this engine, not the configured one."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sampled.")] = False,
    pairs_only: Annotated[
        bool, typer.Option("--pairs-only", help="Sample nothing; form pairs of stored answers.")
    ] = False,
    strategy: Annotated[
        Strategy | None, typer.Option(help="Which answers meet, instead of generate.strategy.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="With policy-against-policy: sft, round-N or a policy id.")
    ] = "",
    scores: Annotated[
        str,
        typer.Option(
            help="A file of response_id and score, or implicit: for strategies that need it."
        ),
    ] = "",
    diversity: Annotated[
        bool, typer.Option("--diversity", help="Sample nothing; say how the temperatures differ.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --diversity: draw it to this SVG, PNG or PDF.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sample the newest policy's missing answers and form pairs."""
    from generate import stage
    from generate.config import EngineName
    from pairloop.diversity_report import report_diversity
    from pairloop.generated import say_generated, say_plan
    from pairloop.pair_forming import PairChoice, form
    from pairloop.report import sampling_bar
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    if diversity or plot is not None:
        report_diversity(space, plot_file=plot, as_json=as_json)
        return
    choice = PairChoice(strategy=strategy, against=against, scores=scores)
    if pairs_only:
        form(space, choice, dry_run=dry_run, as_json=as_json)
        return
    config = choice.applied(space.generate, pairs_only=False)
    if engine is not None:
        config = config.model_copy(update={"engine": EngineName(engine)})
    space = replace(space, generate=config)
    with space.store() as store:
        if dry_run:
            say_plan(stage.plan_generate(store, config), as_json=as_json)
            return
        with sampling_bar("Sampling") as tick:
            result = stage.generate(store, space.root, config, strict=strict, progress=tick)
        rows = stage.answers_sampled(store, result.policy, config)
    say_generated(result, rows, as_json=as_json)


def annotate(
    *,
    workspace: WorkspaceDir = Path(),
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")
    ] = None,
    login: Annotated[
        list[str] | None, typer.Option(help="Print a one-time sign-in link for this labeler.")
    ] = None,
) -> None:
    """Serve the labeling pages until stopped."""
    from pairloop.memory import give_memory_back

    give_memory_back()
    from pairloop.serve import serve
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    changed = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
    serve(space, config=space.annotate.model_copy(update=changed), logins=login or [])


def demo(
    *,
    directory: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Folder (default: demo-workspace).")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Run two rounds with scripted labelers.")
    ] = False,
    invert: Annotated[
        bool, typer.Option("--invert", help="With --simulate: they answer the other way round.")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of sampling, training and scripted labelers.")
    ] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the labeling page.")] = 7860,
    colleagues: Annotated[
        int, typer.Option(min=0, max=3, help="Scripted labelers who work beside you.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Try the whole loop with a bundled micro model. No GPU, no network."""
    # On many threads a micro model mostly waits for them; nothing is ever fetched.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if simulate:
        from pairloop.demo.simulate import simulate_loop

        simulate_loop(directory, seed=seed, invert=invert, as_json=as_json)
        return
    from pairloop.demo.interactive import run_demo

    run_demo(directory or Path("demo-workspace"), seed=seed, port=port, colleagues=colleagues)
