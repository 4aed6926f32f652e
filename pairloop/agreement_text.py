"""`pairloop agreement` as people read it: the figures, and one row per labeler."""

from collections.abc import Sequence

from annotate.agreement import AgreementReport, LabelerAgreement
from annotate.render import visible
from annotate.stats.bands import for_statistic
from annotate.stats.estimate import Estimate
from pairloop.report import estimate_cells, number, span, table, too_few

FIGURES = {
    "observed_agreement": "observed agreement, a tie is a verdict",
    "observed_agreement_without_ties": "observed agreement, ties left out",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal in strength",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "Gwet's AC1",
}
_SHARES = ("observed_agreement", "observed_agreement_without_ties", "flip_rate")
LABELERS_SHOWN = 100  # --json has all


def agreement_text(report: AgreementReport) -> None:
    """Print the report."""
    table(
        "Agreement of people",
        ["figure", "value", "95 % interval", "pairs", "published, counted alike"],
        [_figure(name, words, getattr(report, name)) for name, words in FIGURES.items()],
    )
    for line in _notes(report):
        print(line)
    shown = sorted(report.labelers, key=lambda p: (-p.votes, p.labeler))[:LABELERS_SHOWN]
    table(
        "Labelers",
        ["labeler", "votes", "median seconds", "agree with the rest", "prefer left", "crowd test"],
        [_labeler(p) for p in shown],
    )
    if len(report.labelers) > len(shown):
        print(f"{len(report.labelers) - len(shown)} more labelers: --json has everybody.")


def agreement_lines(report: AgreementReport) -> list[str]:
    """The same figures, one a line, for a data card."""
    found = {words: (name, getattr(report, name)) for name, words in FIGURES.items()}
    found["flip rate (how often one vote is wrong)"] = ("flip_rate", report.flip_rate)
    return [
        f"{words[0].upper()}{words[1:]}: {_in_words(estimate, percent=name in _SHARES)}"
        for words, (name, estimate) in found.items()
    ]


def _figure(name: str, words: str, found: Estimate) -> Sequence[object]:
    percent = name in _SHARES
    return [words, *estimate_cells(found, percent=percent), found.n, _published(name)]


def _published(name: str) -> str:
    """Comparable published figures, an effort's own side by side; "" where none compare."""
    shares: dict[str, list[str]] = {}
    for band in for_statistic(name):
        shares.setdefault(band.effort, []).append(f"{100 * band.value:g}")
    return ", ".join(f"{effort} {' and '.join(found)} %" for effort, found in shares.items())


def _notes(report: AgreementReport) -> list[str]:
    flips = report.flip_rate
    if flips.value is None or flips.low is None or flips.high is None:
        lines = [f"How often one vote is right: {too_few(flips)}."]
    else:
        lines = [
            (
                f"One vote is right {100 * (1 - flips.value):.1f} % of the time "
                f"(95 % interval {100 * (1 - flips.high):.1f} % to {100 * (1 - flips.low):.1f} %), "
                f"wrong {100 * flips.value:.1f} % of the time (the flip rate), as far as agreement "
                "without ties tells."
            )
        ]
    if report.both_bad:
        lines.append(f"The ordinal alpha leaves out {report.both_bad} votes of both bad.")
    return lines


def _labeler(p: LabelerAgreement) -> Sequence[object]:
    rest = p.against_rest
    agreement = too_few(rest)
    if rest.value is not None:
        agreement = f"{number(rest.value, percent=True)} ({span(rest, percent=True)})"
    alarm = f"ALARM after {p.crowd_alarm_at} votes" if p.crowd_alarm_at is not None else "no alarm"
    return [
        visible(p.labeler),
        p.votes,
        "-" if p.median_seconds is None else f"{p.median_seconds:.1f}",
        agreement,
        number(p.left_share, percent=True),
        alarm if p.crowd_votes else "-",
    ]


def _in_words(found: Estimate, *, percent: bool) -> str:
    if found.value is None:
        return too_few(found)
    value = number(found.value, percent=percent)
    return f"{value} (95 % interval {span(found, percent=percent)}, {found.n} pairs)"
