"""The report's section on slices of the votes."""

from annotate.report_parts import Rows, Section
from annotate.report_words import in_one, number
from annotate.slices import FALSE_ALARMS, Dimension, Slice, Slices, most_different
from storage.words import many

TITLES = {
    Dimension.TAG: "Tag of the prompt",
    Dimension.ROUND: "Round",
    Dimension.PURPOSE: "Purpose",
    Dimension.POLICY: "Policy",
    Dimension.POLICIES: "Policy against policy",
    Dimension.TEMPERATURE: "Temperatures",
    Dimension.LENGTH: "Length of the longer answer against the shorter",
    Dimension.LONGEST: "Length of the longest answer",
    Dimension.TIME: "Time of day",
    Dimension.GUIDELINES: "Guidelines",
}
HEAD = ["Slice", "Pairs", "Votes", "Agreement", "Without ties", "Alpha", "Against the rest"]
DIFFERENT = 12  # slices listed as the most different


def slices_section(slices: Slices) -> Section:
    """The slices that differ most, then every dimension with two slices or more."""
    several = {d: found for d, found in slices.by.items() if len(found) > 1}
    tables = [
        Rows(
            name="Least likely by chance",
            head=["By", *HEAD, "p, of this slice", "p, of all slices"],
            rows=[
                [TITLES[d], *slice_cells(one), p_text(one.p_value), p_text(one.p_adjusted)]
                for d, one in most_different(slices)[:DIFFERENT]
            ],
        )
    ]
    for d, found in several.items():
        more = slices.left_out.get(d, 0)
        name = f"{TITLES[d]} ({more:,} smaller ones not shown)" if more else TITLES[d]
        tables.append(Rows(name=name, head=HEAD, rows=[slice_cells(one) for one in found]))
    says = [caution(slices)] if slices.tested else []
    return Section(title="Slices", says=says, tables=tables)


def slice_cells(one: Slice) -> list[str]:
    """A slice's row under HEAD."""
    apart = "-" if one.difference is None else f"{100 * one.difference:+.1f} points"
    return [
        one.slice,
        f"{one.n:,}",
        f"{one.votes:,}",
        in_one(one.observed_agreement),
        in_one(one.observed_agreement_without_ties),
        number(one.alpha_nominal.value),
        f"{apart}, differs" if one.differs else apart,
    ]


def p_text(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def caution(slices: Slices) -> str:
    """What many comparisons mean, with how many slices differ."""
    differing = sum(one.differs for found in slices.by.values() for one in found)
    return (
        f"{many(slices.tested, 'slice was', 'slices were')} held against the rest. Of many some look different by "
        "chance alone, so the p-values of all slices are adjusted (Holm 1979): with probability "
        f"{100 * (1 - FALSE_ALARMS):g} % none that is marked as differing agrees as the rest do. "
        f"Marked: {differing}. Slices overlap, so that a difference in one often shows in another, "
        "and a difference is no cause."
    )
