"""What the Guidelines tab shows: the versions with their differences, as HTML."""

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from itertools import islice

from annotate.admin_html import Raw, badge, moment, pick, section, table, text
from storage.team_records import Guideline
from storage.words import many


def versions_html(versions: Sequence[Guideline], judgments: Mapping[str, int]) -> str:
    """Every version, newest first, with how many judgments were made by it."""
    rows = [
        [
            pick(str(one.revision), f"version {one.revision + 1}"),
            badge("in force", kind="done") if one is versions[0] else Raw(""),
            one.author,
            moment(one.created_at),
            f"{len(one.text):,}",
            f"{judgments.get(one.id, 0):,}",
        ]
        for one in versions
    ]
    head = ["Version", "", "By", "When (UTC)", "Characters", "Judgments"]
    without = judgments.get("", 0)
    note = (
        f"<p class='soft help'>{many(without, 'judgment')} without guidelines.</p>"
        if without
        else ""
    )
    shown = table(head, rows, empty="There are no guidelines yet.", name="Versions")
    return section("<h2>Versions</h2>", shown, note)


def difference_html(versions: Sequence[Guideline], revision: int) -> str:
    """What one version changed against the one before."""
    by_revision = {one.revision: one for one in versions}
    after = by_revision.get(revision)
    if after is None:
        return ""
    before = by_revision.get(revision - 1)
    lines = islice(
        unified_diff(
            (before.text if before else "").splitlines(), after.text.splitlines(), lineterm="", n=2
        ),
        2,
        None,
    )
    title = f"Version {revision + 1}" + (f" against version {revision}" if before else "")
    return section(f"<h2>{title}</h2>", f'<div class="diff">{"".join(map(_line, lines))}</div>')


def _line(line: str) -> str:
    match line[:1]:
        case "+":
            return f"<ins>{text(line[1:]) or '&nbsp;'}</ins>"
        case "-":
            return f"<del>{text(line[1:]) or '&nbsp;'}</del>"
        case "@":
            starts = line.startswith(("@@ -1,", "@@ -1 ", "@@ -0,0"))
            return "" if starts else '<span class="gap">&hellip;</span>'
        case _:
            return f"<span>{text(line[1:]) or '&nbsp;'}</span>"
