"""Flags that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

WorkspaceDir = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="Folder of the workspace (default: here).", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
