"""The words and numbers of the agreement report, in whatever form it is shown."""

import math

from annotate.stats.bands import for_statistic
from annotate.stats.estimate import MIN_PAIRS, Estimate

FIGURES = {
    "observed_agreement": "observed agreement, a tie is a verdict",
    "observed_agreement_without_ties": "observed agreement, ties left out",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal in strength",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "Gwet's AC1",
}
SHARES = ("observed_agreement", "observed_agreement_without_ties", "flip_rate")
LEFT_OUT = {
    "skips": "skipped pairs",
    "withdrawn": "votes taken back",
    "gold_pairs": "answers to gold pairs, whose verdict is known",
    "hidden_repeats": "answers to hidden repeats, which tell consistency instead",
    "of_models": "votes of models",
    "tie_breaking": "tie-breaking votes, asked for only where the first ones differ",
    "of_other_rounds": "votes of other rounds",
}


def number(value: float | None, *, percent: bool = False) -> str:
    """A number or a dash; None and nan are "not known"."""
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def too_few(found: Estimate) -> str:
    """Why there is no number: too few pairs, or nothing that chance could have got wrong."""
    if found.n < MIN_PAIRS:
        return f"not enough data ({found.n} of {MIN_PAIRS} pairs)"
    return "undefined: every vote is the same"


def span(found: Estimate, *, percent: bool) -> str:
    """The interval."""
    return f"{number(found.low, percent=percent)} to {number(found.high, percent=percent)}"


def estimate_cells(found: Estimate, *, percent: bool) -> tuple[str, str]:
    """The value and the interval, or why there are none."""
    if found.value is None:
        return too_few(found), ""
    return number(found.value, percent=percent), span(found, percent=percent)


def in_one(found: Estimate, *, percent: bool = True) -> str:
    """Value and interval in one cell."""
    value, interval = estimate_cells(found, percent=percent)
    return f"{value} ({interval})" if interval else value


def published(name: str) -> str:
    """Comparable published figures, an effort's own side by side; "" where none compare."""
    shares: dict[str, list[str]] = {}
    for band in for_statistic(name):
        shares.setdefault(band.effort, []).append(f"{100 * band.value:g}")
    return ", ".join(f"{effort} {' and '.join(found)} %" for effort, found in shares.items())


def flips_in_words(flips: Estimate) -> str:
    """How often one vote is right, and wrong."""
    if flips.value is None or flips.low is None or flips.high is None:
        return f"How often one vote is right: {too_few(flips)}."
    return (
        f"One vote is right {100 * (1 - flips.value):.1f} % of the time "
        f"(95 % interval {100 * (1 - flips.high):.1f} % to {100 * (1 - flips.low):.1f} %), "
        f"wrong {100 * flips.value:.1f} % of the time (the flip rate), as far as agreement "
        "without ties tells."
    )
