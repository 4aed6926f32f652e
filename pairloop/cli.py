"""The `pairloop` command: verbs in the order of the loop.

Errors users can mend are one message on stderr and exit code 1; a traceback means a bug of ours.
"""

import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from pairloop import (
    commands_agreement,
    commands_data,
    commands_evaluate,
    commands_export,
    commands_import,
    commands_judge,
    commands_loop,
    commands_repair,
    commands_store,
    commands_team,
    commands_train,
)
from storage.errors import PairloopError

ORDER = ["init", "demo", "prompts", "import", "generate", "labelers", "annotate", "judge"]
ORDER += ["agreement", "train", "evaluate", "export", "status", "repair", "store"]


class InOrder(TyperGroup):
    """The commands as the loop goes, in --help too; typer would put the groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="pairloop",
    cls=InOrder,
    help="Human preferences on your own model's answers, and DPO on them, round after round.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
commands_data.register(app)
commands_export.register(app)
commands_agreement.register(app)
commands_import.register(app)
commands_team.register(app)
commands_loop.register(app)
commands_train.register(app)
commands_evaluate.register(app)
commands_judge.register(app)
commands_repair.register(app)
commands_store.register(app)


def main() -> None:
    """Run the command line; the process's exit code says how it went."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s", force=True
    )
    for chatty in (
        "httpx",
        "httpx2",
        "matplotlib",
        "datasets",
        "urllib3",
        "vllm",
        "gradio",
        "asyncio",
        "pairloop.audit",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except PairloopError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C
            print(
                "\nStopped. What was finished is stored; run the command again to go on.",
                file=sys.stderr,
            )
        raise
