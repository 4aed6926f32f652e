"""`pairloop judge`: a language model as one more labeler."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotate.judge import Which
from pairloop.options import Json, WorkspaceDir
from storage.words import many

if TYPE_CHECKING:
    from annotate.judge_stage import Judged, Plan


def register(app: typer.Typer) -> None:
    """Add this command to the front door."""
    app.command("judge")(judge)


def judge(
    *,
    workspace: WorkspaceDir = Path(),
    pairs: Annotated[
        Which, typer.Option(help="Those that want votes, those that are settled, or all.")
    ] = Which.ALL,
    round_number: Annotated[
        int | None, typer.Option("--round", help="Which round's (default: the newest one's).")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many pairs, a random sample of them.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked.")] = False,
    as_json: Json = False,
) -> None:
    """Let a language model compare pairs, as one more labeler. It sees each in both orders."""
    from annotate import judge_stage as stage
    from pairloop.judging import asked_model, open_judge
    from pairloop.report import progress_bar
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    config = space.annotate.judge
    with space.store() as store:
        todo = stage.plan(
            store,
            config,
            model=asked_model(space, config),
            rubric=stage.rubric_in_force(store, space.guidelines),
            which=pairs,
            round_number=round_number,
            limit=limit,
        )
        if dry_run:
            _say_plan(todo, stage.estimated_tokens(store, todo), as_json=as_json)
            return
        result = stage.Judged(wanted=0)
        if todo.pairs:
            asker = open_judge(space, config)
            with progress_bar("Judging") as tick:
                result = stage.judge(store, config, todo, asker, progress=tick)
    _say(todo, result, as_json=as_json)


def _say_plan(todo: "Plan", tokens: int, *, as_json: bool) -> None:
    requests = 2 * len(todo.pairs)
    if as_json:
        print(
            json.dumps(
                {
                    "judge": todo.name,
                    "model": todo.model,
                    "pairs": len(todo.pairs),
                    "already": todo.already,
                    "requests": requests,
                    "prompt_tokens_estimated": tokens,
                    "reply_tokens_at_most": requests * todo.max_tokens,
                }
            )
        )
        return
    print(
        f"{many(len(todo.pairs), 'pair')} for {todo.name} ({todo.model}), {todo.already} are judged "
        f"already: {many(requests, 'request')} with roughly {many(tokens, 'token')}, and at most "
        f"{many(requests * todo.max_tokens, 'token')} of replies. Next: pairloop judge"
    )


def _say(todo: "Plan", result: "Judged", *, as_json: bool) -> None:
    left = result.failures.total()
    if as_json:
        print(
            json.dumps(
                {
                    "judge": todo.name,
                    "model": todo.model,
                    "wanted": result.wanted,
                    "already": todo.already,
                    "judged": result.judged,
                    "verdicts": dict(result.verdicts),
                    "inconsistent": result.inconsistent,
                    "drops": dict(result.failures),
                    "seconds": result.seconds,
                }
            )
        )
        return
    why = ", ".join(f"{n} {reason}" for reason, n in sorted(result.failures.items())) or "none"
    preferred = result.verdicts["first"] + result.verdicts["second"]
    again = f", or pairloop judge again for the {left} without a verdict" if left else ""
    print(f"Without a verdict: {why}.")
    print(
        f"{todo.name} ({todo.model}) judged {result.judged} of {many(result.wanted, 'pair')} "
        f"({todo.already} were judged already): {many(preferred, 'preference')}, "
        f"{result.verdicts['tie']} ties, {result.inconsistent} of them because the two orders "
        f"disagreed. Next: pairloop agreement{again}"
    )
