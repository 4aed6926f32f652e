"""The sections of the report on disagreement, in the order they are read."""

from collections.abc import Sequence

from annotate.agreement import AgreementReport, LabelerAgreement
from annotate.charts_intervals import Bar, Moment, forest, line_with_band
from annotate.charts_matrix import heat_map
from annotate.report_data import FullReport
from annotate.report_methods import methods_section
from annotate.report_parts import Rows, Section
from annotate.report_quality import quality_sections
from annotate.report_slices import slices_section
from annotate.report_words import (
    FIGURES,
    LEFT_OUT,
    SHARES,
    flips_in_words,
    in_one,
    number,
    published,
)
from annotate.stats.bands import Counted as Way
from annotate.stats.bands import Who, comparable
from annotate.stats.estimate import Estimate
from storage.records import IMPORTED_ROUND
from storage.slices import Standing
from storage.words import many

DRAWN = 40  # labelers in a chart; the tables have everybody
BESIDE = 8  # labelers whose matrix is no wider than half the page


def sections_of(full: FullReport) -> list[Section]:
    """All of them; those without anything to show are left out."""
    found = [
        _figures(full.agreement),
        _counted(full),
        _over_time(full),
        _labelers(full.agreement, imported=full.imported > 0),
        _matrix(full.agreement),
        slices_section(full.slices),
        _consensus(full),
        *quality_sections(full.quality),
        _models(full),
        _disputed(full),
        methods_section(full),
    ]
    return [s for s in found if s.says or s.charts or s.wide or any(t.rows for t in s.tables)]


def _figures(report: AgreementReport) -> Section:
    rows = [
        (
            f"{words[0].upper()}{words[1:]}",
            in_one(estimate, percent=name in SHARES),
            f"{estimate.n:,}",
            published(name),
        )
        for name, words in FIGURES.items()
        for estimate in [getattr(report, name)]
    ]
    head = ["Figure", "Value (95 % interval)", "Pairs", "Published, counted alike"]
    return Section(
        title="Figures",
        says=[
            flips_in_words(report.flip_rate),
            (
                "Figures with ties and without are two different statistics and are never compared "
                "with each other. Coefficients beyond chance have no published figure beside them: "
                "those rest on other verdicts in other shares."
            ),
        ],
        tables=[Rows(name="Agreement of people", head=head, rows=rows)],
        charts=[
            _against_published(report.observed_agreement, Way.WITH_TIES),
            _against_published(report.observed_agreement_without_ties, Way.WITHOUT_TIES),
        ],
    )


def _against_published(found: Estimate, way: Way) -> str:
    if found.value is None:
        return ""
    bars = [Bar(label="this project", value=found.value, low=found.low, high=found.high)]
    for band in comparable(way, Who.LABELERS):
        error = band.error or 0.0
        label = f"{band.effort}, {band.task.split(';')[0].split(',')[-1].strip()}"
        bars.append(
            Bar(
                label=label if band.effort == "MT-bench" else band.effort,
                value=band.value,
                low=band.value - error if band.error else None,
                high=band.value + error if band.error else None,
            )
        )
    return forest(bars, title=f"Agreement {way.value}, beside published work", reference=None)


def _counted(full: FullReport) -> Section:
    report = full.agreement
    rows = [
        ("judgments that count", f"{report.judgments:,}"),
        ("pairs with such a judgment", f"{report.pairs:,}"),
        ("pairs with two or more", f"{report.observed_agreement.n:,}"),
        ("labelers", f"{len(report.labelers):,}"),
    ]
    left_out = [(LEFT_OUT[reason], f"{n:,}") for reason, n in full.left_out.items() if n]
    if report.both_bad:
        left_out.append(("votes of both bad (from the ordinal alpha only)", f"{report.both_bad:,}"))
    return Section(
        title="What was counted",
        tables=[
            Rows(name="Counted", head=["What", "How many"], rows=rows),
            Rows(name="Left out", head=["What", "How many"], rows=left_out),
        ],
    )


def _over_time(full: FullReport) -> Section:
    periods = full.over_time
    moments = [
        Moment(
            x=p.begin.timestamp() / 2 + p.end.timestamp() / 2,
            label=f"{p.end:%Y-%m-%d}",
            value=p.agreement.value,
            low=p.agreement.low,
            high=p.agreement.high,
        )
        for p in periods
    ]
    chart = line_with_band(
        moments,
        title="Agreement over time, with 95 % interval",
        x_label="when a pair had its last vote",
        reference=full.agreement.observed_agreement.value,
    )
    rows = [
        (
            f"{p.begin:%Y-%m-%d %H:%M} to {p.end:%Y-%m-%d %H:%M}",
            f"{p.agreement.n:,}",
            in_one(p.agreement),
            in_one(p.agreement_without_ties),
        )
        for p in periods
    ]
    head = ["Last vote (UTC)", "Pairs", "Agreement", "Without ties"]
    return Section(
        title="Over time",
        tables=[Rows(name="Equal numbers of pairs, one after the other", head=head, rows=rows)],
        wide=[chart] if chart else [],
    )


def _labelers(report: AgreementReport, *, imported: bool) -> Section:
    shown = sorted(report.labelers, key=lambda p: (-p.votes, p.labeler))
    head = ["Labeler", "Votes", "Median seconds", "Agrees with the rest", "Beyond chance"]
    head += ["Prefers the left", "Test against the crowd"]
    rest = forest(
        [_bar(p.labeler, p.against_rest) for p in shown[:DRAWN]],
        title="Agreement with the rest",
        reference=report.observed_agreement.value,
    )
    left = forest(
        [_bar(p.labeler, p.preferred_left) for p in shown[:DRAWN]],
        title="Answers preferred on the left",
        reference=0.5,
    )
    says = []
    if any(p.crowd_alarm_at is not None for p in shown):
        says.append(
            "An alarm of the test against the crowd is a reason to look, not to delete: it says "
            "that somebody's votes no longer pass for the others'."
        )
    if imported:
        says.append(
            "Imported votes stand on the sides that their source has, which need not be drawn by lot."
        )
    return Section(
        title="Labelers",
        says=says,
        tables=[Rows(name="Each against the rest", head=head, rows=[_labeler(p) for p in shown])],
        charts=[c for c in (rest, left) if c],
    )


def _labeler(p: LabelerAgreement) -> Sequence[str]:
    alarm = (
        f"alarm after {many(p.crowd_alarm_at, 'vote')}"
        if p.crowd_alarm_at is not None
        else "no alarm"
    )
    return [
        p.labeler,
        f"{p.votes:,}",
        "-" if p.median_seconds is None else f"{p.median_seconds:.1f}",
        in_one(p.against_rest),
        number(p.kappa),
        in_one(p.preferred_left) if p.preferred_left.n else "-",
        alarm if p.crowd_votes else "-",
    ]


def _bar(label: str, found: Estimate) -> Bar:
    note = f"not enough data ({found.n})"
    return Bar(label=label, value=found.value, low=found.low, high=found.high, note=note)


def _matrix(report: AgreementReport) -> Section:
    matrix = report.matrix
    met = [sum(v is not None for v in row) for row in matrix.agreement]
    some = sorted((i for i, n in enumerate(met) if n), key=lambda i: (-met[i], i))
    shown = sorted(some[:DRAWN])
    picture = heat_map(
        [matrix.labelers[i] for i in shown],
        [[matrix.agreement[i][j] for j in shown] for i in shown],
        title="Agreement of every two labelers on the pairs they share",
    )
    if not picture:
        return Section(title="Labeler by labeler")
    people = len(report.labelers)
    says = (
        [f"The {len(shown)} of {many(people, 'labeler')} who share enough pairs with most others."]
        if people > len(shown)
        else []
    )
    small = len(shown) <= BESIDE
    return Section(
        title="Labeler by labeler",
        says=says,
        charts=[picture] if small else [],
        wide=[] if small else [picture],
        in_card=False,
    )


def _consensus(full: FullReport) -> Section:
    rows = [(_standing(s), s.method, f"{s.pairs:,}") for s in full.standings]
    settled = sum(s.pairs for s in full.standings if s.settled)
    total = sum(s.pairs for s in full.standings)
    says = (
        [f"{settled:,} of {total:,} judged pairs are settled ({settled / total:.1%})."]
        if total
        else []
    )
    return Section(
        title="Consensus",
        says=says,
        tables=[Rows(name="Judged pairs", head=["Standing", "Method", "Pairs"], rows=rows)],
    )


def _standing(s: Standing) -> str:
    if s.settled:
        return f"settled: {(s.verdict or '').replace('_', ' ')}"
    return "no majority" if s.closed else "votes still wanted"


def _models(full: FullReport) -> Section:
    head = ["Model", "Pairs judged", "With people's majority", "With one person"]
    head += ["People with each other", "Same in both orders"]
    rows = [
        (
            f"{m.labeler} ({m.model})" if m.model else m.labeler,
            f"{m.judged:,}",
            in_one(m.majority_agreement),
            in_one(m.vote_agreement),
            in_one(m.people_agreement),
            in_one(m.position_consistency),
        )
        for m in full.models
    ]
    return Section(
        title="Models that judge",
        tables=[Rows(name="Agreement, ties counted", head=head, rows=rows)],
    )


def _disputed(full: FullReport) -> Section:
    words = any(d.excerpt for d in full.disputed)
    head = ["Pair", "Round", "First", "Second", "Tie", "Both bad"]
    rows = [
        [
            d.pair_id,
            "imported" if d.round == IMPORTED_ROUND else f"{d.round}",
            f"{d.first:,}",
            f"{d.second:,}",
            f"{d.tie:,}",
            f"{d.both_bad:,}",
            *([d.excerpt] if words else []),
        ]
        for d in full.disputed
    ]
    if words:
        head.append("Prompt begins")
    return Section(
        title="Most disputed pairs",
        says=["`pairloop agreement --pair ID` tells one pair's story."] if rows else [],
        tables=[Rows(name="Votes of pairs that people differ on most", head=head, rows=rows)],
        in_card=False,
    )
