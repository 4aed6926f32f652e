"""Results as people read them in a terminal (stdout)."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from annotate.report_words import estimate_cells, number
from storage.words import many

if TYPE_CHECKING:  # these bring pandas and the database, which a --help need not wait for
    from annotate.judge_agreement import ModelRow
    from pairloop.status import LoopStatus


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers stand right. Without rows there is nothing to print."""
    if not rows:
        return
    made = Table(title=Text(title), title_justify="left")
    for i, column in enumerate(columns):
        numeric = isinstance(rows[0][i], int | float) and not isinstance(rows[0][i], bool)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As Text: brackets in a name are no markup.
        made.add_row(*[Text(_word(cell)) for cell in row])
    # Where nobody's window sets the width, nothing is cut.
    Console(width=None if sys.stdout.isatty() else 160).print(made)


def _word(cell: object) -> str:
    match cell:
        case True:
            return "yes"
        case False:
            return "no"
        case _:
            return str(cell)


def counted(drops: Mapping[Any, int]) -> str:
    """What was left out, by reason."""
    found = sorted((str(why).replace("_", " "), n) for why, n in drops.items())
    return ", ".join(f"{n} {why}" for why, n in found) or "none"


_MODEL_FIGURES = {
    "majority_agreement": "agrees with people's majority",
    "majority_agreement_without_ties": "the same, ties left out",
    "vote_agreement": "agrees with one person",
    "vote_agreement_without_ties": "the same, ties left out",
    "people_agreement": "people with each other, on the same pairs",
    "people_agreement_without_ties": "the same, ties left out",
    "kappa": "Cohen's kappa with people's majority",
    "position_consistency": "says the same in both orders",
    "left_share": "prefers what is shown first (50 %: no bias)",
    "longer_share": "prefers the longer answer",
    "people_longer_share": "people prefer the longer answer",
}


def model_table(row: "ModelRow") -> None:
    """One model that judges: how far it agrees with people, and its biases."""
    rows = []
    for name, words in _MODEL_FIGURES.items():
        found = getattr(row, name)
        percent = name != "kappa"
        rows.append([words, *estimate_cells(found, percent=percent), found.n])
    model = f" ({row.model})" if row.model else ""
    title = f"{row.labeler}{model}: {many(row.judged, 'pair')} judged, {row.shared} of them by people too"
    table(title, ["figure", "value", "95 % interval", "pairs"], rows)


def status_table(state: "LoopStatus") -> None:
    """One row per round."""
    columns = ["round", "prompts", "responses", "pairs", "votes", "settled", "preferred"]
    columns += ["trained on", "held-out accuracy", "win rate against SFT"]
    rows = []
    for r in state.rounds:
        rate = number(r.win_rate, percent=True)
        if r.win_rate is not None:
            low, high = number(r.win_rate_low, percent=True), number(r.win_rate_high, percent=True)
            rate += f" ({low} to {high})"
        counts = [
            r.round,
            r.prompts,
            r.responses,
            r.pairs,
            r.votes,
            r.settled,
            r.decided,
            r.triplets,
        ]
        rows.append([*counts, number(r.heldout_accuracy, percent=True), rate])
    table("Rounds", columns, rows)
    if state.imported is not None:
        found = state.imported
        print(
            f"Imported, apart from the rounds: {many(found.responses, 'answer')} to "
            f"{many(found.prompts, 'prompt')}, {many(found.pairs, 'pair')} ({found.for_labeling:,} came without votes), "
            f"{many(found.votes, 'vote')}, {found.settled} settled."
        )


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on stderr: call it with done, total and a word on how it goes."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, note="starting")

        def tick(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield tick


@contextmanager
def sampling_bar(label: str) -> Iterator[Callable[[int, int, float, float], None]]:
    """The same for sampling: call it with answers done and wanted, and answers and tokens a second."""
    with progress_bar(label) as tick:
        yield lambda done, total, answers, tokens: tick(
            done, total, f"{answers:.1f} answers/s, {tokens:.0f} tokens/s"
        )
