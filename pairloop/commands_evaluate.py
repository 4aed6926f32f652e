"""`pairloop evaluate`: a policy against others, blind; or its answers in files of known benchmarks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annotate.judge_stage import Judged
    from generate.stage import Compared
    from pairloop.answering import Answered
    from pairloop.workspace import Workspace
    from storage.records import Policy
    from storage.store import Store


def register(app: typer.Typer) -> None:
    """Add this command to the front door."""
    app.command("evaluate")(evaluate)


def evaluate(
    *,
    workspace: WorkspaceDir = Path(),
    policy: Annotated[str, typer.Option(help="latest, sft, round-N or a policy id.")] = "latest",
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="sft, previous, round-N or a policy id; may be repeated (default: sft and previous)."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Answers per test prompt and temperature.")
    ] = 1,
    judge: Annotated[
        str, typer.Option(help="Let the model of [annotate.judge] judge too, under this name.")
    ] = "",
    alpaca_eval: Annotated[
        Path | None, typer.Option(help="Write AlpacaEval's files to this folder; compare nothing.")
    ] = None,
    instructions: Annotated[
        Path | None,
        typer.Option(help="With --alpaca-eval: rows with instruction (default: the test prompts)."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="With --alpaca-eval.")] = 0.7,
    mt_bench: Annotated[
        Path | None, typer.Option(help="Answer MT-Bench's question.jsonl; compare nothing.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --mt-bench: the folder to write to.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Of an answer in these files (default: 2048 and 1024)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare policies on the test prompts, blind. Reports the win rates so far."""
    from pairloop.evaluation import opponents
    from pairloop.workspace import open_workspace
    from storage.errors import ConfigurationError
    from storage.policies import find_policy

    if (mt_bench is None) != (out is None):
        raise ConfigurationError("--mt-bench QUESTIONS and --out DIR go together. Give both.")
    if instructions is not None and alpaca_eval is None:
        raise ConfigurationError("--instructions goes with --alpaca-eval DIR. Give that too.")
    space = open_workspace(workspace)
    with space.store() as store:
        ours = find_policy(store, policy)
        others = opponents(store, ours, against or [])
        if alpaca_eval is None and mt_bench is None:
            if not others:
                raise ConfigurationError(
                    f"There is nothing to compare round {ours.round} with. "
                    "Train a policy first with `pairloop train`, or name another with --against."
                )
            _compare(space, store, ours, others, samples=samples, judge=judge, as_json=as_json)
            return
        written = _answer(
            space,
            store,
            [ours, *others],
            alpaca_eval=alpaca_eval,
            instructions=instructions,
            temperature=temperature,
            mt_bench=mt_bench,
            out=out,
            max_tokens=max_tokens,
        )
    _say_answers(written, as_json=as_json)


def _compare(
    space: "Workspace",
    store: "Store",
    ours: "Policy",
    others: "Sequence[Policy]",
    *,
    samples: int,
    judge: str,
    as_json: bool,
) -> None:
    from generate import stage
    from pairloop.evaluation import as_data, ask_judge, comparison_rows, judge_named, standings
    from pairloop.report import counted, sampling_bar, table

    config = judge_named(space, judge) if judge else None
    with sampling_bar("Sampling") as tick:
        made = stage.compare(
            store,
            space.root,
            space.generate,
            policy=ours,
            against=others,
            samples=samples,
            progress=tick,
        )
    judged = ask_judge(space, store, config, ours, others) if config else None
    found = standings(store, ours, others)
    if as_json:
        data = {
            "policy": ours.id,
            "round": ours.round,
            "pairs": sum(p.all_pairs for p in made.pairs.values()),
            "new_pairs": sum(p.new_pairs for p in made.pairs.values()),
            "drops": {
                str(why): sum(p.drops[why] for p in made.pairs.values())
                for why in sorted({w for p in made.pairs.values() for w in p.drops})
            },
            "unjudged": dict(judged.failures) if judged else {},
            "comparisons": [as_data(one, made.pairs[one.against.id]) for one in found],
        }
        print(json.dumps(data, allow_nan=False))
        return
    for other in others:
        print(f"Left out against round {other.round}: {counted(made.pairs[other.id].drops)}.")
    columns, rows = comparison_rows(found)
    if rows:
        table(f"Round {ours.round}", columns, rows)
    for one in found:
        for who, seen in one.by.items():
            if why := seen.at_equal_length.missing:
                print(f"No length-controlled rate by {who} against {one.name}: {why}.")
    _say_next(made, sum(one.settled for one in found), judged)


def _say_next(made: "Compared", settled: int, judged: "Judged | None") -> None:
    if judged is not None and judged.failures:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(judged.failures.items()))
        print(f"The judge gave no verdict: {why}; evaluate again asks about them again.")
    total = sum(p.all_pairs for p in made.pairs.values())
    new = sum(p.new_pairs for p in made.pairs.values())
    step = "pairloop annotate, then pairloop evaluate again for the win rate"
    if settled >= total:
        step = "pairloop generate, for the next round"
    print(
        f"{many(total, 'comparison')} ({new} new), {settled} of them settled by people. Next: {step}"
    )


def _answer(
    space: "Workspace",
    store: "Store",
    policies: "Sequence[Policy]",
    *,
    alpaca_eval: Path | None,
    instructions: Path | None,
    temperature: float,
    mt_bench: Path | None,
    out: Path | None,
    max_tokens: int | None,
) -> "list[Answered]":
    from generate.stage import heldout_prompts
    from pairloop import answer_files as files
    from pairloop.answering import answer_files
    from pairloop.report import progress_bar

    written = []
    with progress_bar("Answering") as tick:
        if alpaca_eval is not None:
            read = (
                files.read_instructions(instructions, temperature=temperature)
                if instructions is not None
                else files.instructions_of(heldout_prompts(store), temperature=temperature)
            )
            limit = max_tokens or files.ALPACA_EVAL_TOKENS
            form = files.AlpacaEval(alpaca_eval)
            written.append(answer_files(space, policies, read, form, max_tokens=limit, tick=tick))
        if mt_bench is not None and out is not None:
            read = files.read_questions(mt_bench)
            limit = max_tokens or files.MT_BENCH_TOKENS
            form_2 = files.MtBench(out)
            written.append(answer_files(space, policies, read, form_2, max_tokens=limit, tick=tick))
    return written


def _say_answers(written: "Sequence[Answered]", *, as_json: bool) -> None:
    from pairloop.report import counted

    if as_json:
        print(json.dumps([one.as_data() for one in written]))
        return
    for one in written:
        print(f"Left out: {counted(one.left_out)}. Answered with nothing: {counted(one.empty)}.")
        names = ", ".join(str(path) for path in one.files)
        print(
            f"Wrote {names}: {many(one.answers, 'answer')} ({one.new} new, {one.cut_off} cut off by "
            f"max-tokens). Next: {one.next_step}"
        )
