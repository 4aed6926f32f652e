"""What every handler of the admin pages starts with: who asks, and whether they may.

Gradio lets whoever passes the mount call every event, so the mount's own check is not relied on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from annotate.admin_html import said
from annotate.config import AnnotateConfig, Retrain
from annotate.desk import Desk
from annotate.rounds import RoundRunner
from annotate.settings import in_force
from storage import judgments as judging
from storage.errors import PairloopError
from storage.records import Role
from storage.store import Store

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminContext:
    """What the tabs work on."""

    store: Store
    config: AnnotateConfig  # as pairloop.toml has it
    runner: RoundRunner
    desk: Desk
    rule: Retrain

    @property
    def workspace(self) -> Path:
        """The folder of pairloop.toml."""
        return self.runner.workspace

    @property
    def now(self) -> AnnotateConfig:
        """The settings in force."""
        return in_force(self.store, self.config)

    def admin(self, request: gr.Request) -> str:
        """The name of the admin who asks; everybody else is refused."""
        labeler = judging.labeler(self.store, request.username or "")
        if labeler is None or not labeler.active or labeler.role is not Role.ADMIN:
            raise gr.Error("This is for admins. Sign in as one.", print_exception=False)
        return labeler.name


def attempt(act: Callable[[], str]) -> str:
    """Do it and say what was done, or why not."""
    try:
        return said(act())
    except PairloopError as error:
        return said(str(error))


def picked(event: gr.EventData) -> tuple[str, str]:
    """The action and the value of the button that was pressed in a table; "" if none was."""
    data = event._data if isinstance(event._data, dict) else {}  # noqa: SLF001 - the only way to it
    return str(data.get("action", "")), str(data.get("pick", ""))


def scroll_to(elem_id: str) -> str:
    """JavaScript that brings a part of the page into sight, for after an event."""
    return f"() => {{ document.getElementById('{elem_id}').scrollIntoView({{ block: 'start' }}); }}"
