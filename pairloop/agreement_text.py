"""`pairloop agreement` as people read it: the figures, one row per labeler, and slices."""

from collections.abc import Sequence

from annotate.agreement import AgreementReport, LabelerAgreement
from annotate.render import visible
from annotate.report_data import FullReport
from annotate.report_slices import HEAD, TITLES, caution, p_text, slice_cells
from annotate.report_words import (
    FIGURES,
    LEFT_OUT,
    SHARES,
    estimate_cells,
    flips_in_words,
    number,
    published,
    span,
    too_few,
)
from annotate.slices import Dimension, Slices, most_different
from annotate.stats.estimate import Estimate
from pairloop.report import table
from storage.words import many

LABELERS_SHOWN = 100  # --json has all
SLICES_SHOWN = 8


def agreement_text(full: FullReport, dimension: Dimension | None = None) -> None:
    """Print the report; dimension: what to slice by, None for the slices that differ most."""
    report = full.agreement
    table(
        "Agreement of people",
        ["figure", "value", "95 % interval", "pairs", "published, counted alike"],
        [_figure(name, words, getattr(report, name)) for name, words in FIGURES.items()],
    )
    for line in _notes(full):
        print(line)
    shown = sorted(report.labelers, key=lambda p: (-p.votes, p.labeler))[:LABELERS_SHOWN]
    table(
        "Labelers",
        ["labeler", "votes", "median seconds", "agree with the rest", "prefer left", "crowd test"],
        [_labeler(p) for p in shown],
    )
    if len(report.labelers) > len(shown):
        print(f"{many(len(report.labelers) - len(shown), 'more labeler')}: --json has everybody.")
    if dimension is None:
        _most_different(full.slices)
    else:
        _by(full.slices, dimension)


def _by(slices: Slices, dimension: Dimension) -> None:
    found = slices.by[dimension]
    if not found:
        print(f"No vote has anything to slice by {dimension.value}.")
        return
    rows = [[*map(visible, slice_cells(one)), p_text(one.p_adjusted)] for one in found]
    table(TITLES[dimension], [*(h.lower() for h in HEAD), "p"], rows)
    if more := slices.left_out.get(dimension):
        print(f"{more} more with fewer pairs.")
    if slices.tested:
        print(caution(slices))


def _most_different(slices: Slices) -> None:
    shown = most_different(slices)[:SLICES_SHOWN]
    if not shown:
        return
    rows = [[d.value, *map(visible, slice_cells(one)), p_text(one.p_adjusted)] for d, one in shown]
    table("Slices least likely by chance", ["by", *(h.lower() for h in HEAD), "p"], rows)
    print(caution(slices))


def _figure(name: str, words: str, found: Estimate) -> Sequence[object]:
    percent = name in SHARES
    return [words, *estimate_cells(found, percent=percent), found.n, published(name)]


def _notes(full: FullReport) -> list[str]:
    report: AgreementReport = full.agreement
    lines = [flips_in_words(report.flip_rate)]
    if report.both_bad:
        lines.append(f"The ordinal alpha leaves out {many(report.both_bad, 'vote')} of both bad.")
    left_out = [f"{n:,} {LEFT_OUT[reason]}" for reason, n in full.left_out.items() if n]
    if left_out:
        lines.append(f"Not counted: {'; '.join(left_out)}.")
    return lines


def _labeler(p: LabelerAgreement) -> Sequence[object]:
    rest = p.against_rest
    agreement = too_few(rest)
    if rest.value is not None:
        agreement = f"{number(rest.value, percent=True)} ({span(rest, percent=True)})"
    alarm = (
        f"ALARM after {many(p.crowd_alarm_at, 'vote')}"
        if p.crowd_alarm_at is not None
        else "no alarm"
    )
    return [
        visible(p.labeler),
        p.votes,
        "-" if p.median_seconds is None else f"{p.median_seconds:.1f}",
        agreement,
        number(p.left_share, percent=True),
        alarm if p.crowd_votes else "-",
    ]
