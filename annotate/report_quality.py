"""The report's sections on labeler quality, what sways people, ratings, and sample sizes."""

from collections.abc import Sequence

from annotate.charts_intervals import Axis, Bar, forest
from annotate.labeler_quality import LabelerQuality
from annotate.policy_ratings import PolicyRatings, Rating
from annotate.quality import Quality
from annotate.report_parts import Rows, Section
from annotate.report_words import in_one, number
from annotate.stats.bias import Effect
from annotate.stats.estimate import Measured
from annotate.stats.sizes import (
    comparisons_for_win,
    half_width,
    implied_accuracy,
    votes_for_agreement,
)
from storage.words import many

DRAWN = 40


def quality_sections(quality: Quality | None) -> list[Section]:
    """Nothing where quality was not asked for."""
    if quality is None:
        return []
    return [_quality(quality), _bias(quality), _ratings(quality.ratings), _sizes(quality)]


def _quality(quality: Quality) -> Section:
    head = ["Labeler", "Votes", "Shared", "Right on pairs of two answers", "Accuracy (Dawid-Skene)"]
    head += ["Ability", "Same on repeats", "Gold right", "Recommended weight", "In words"]
    chart = forest(
        [
            Bar(
                label=one.labeler,
                value=one.right.value if one.right else None,
                low=one.right.low if one.right else None,
                high=one.right.high if one.right else None,
            )
            for one in quality.labelers[:DRAWN]
        ],
        title="How often each prefers the better answer, with 95 % interval",
        reference=quality.typical,
    )
    return Section(
        title="Labeler quality",
        says=[
            (
                "Estimated from the votes alone, allowing for how hard each pair is (ability) or for "
                "what each labeler confuses (Dawid and Skene). The advice is to weigh votes less, never "
                "to delete them."
            )
        ]
        if quality.labelers
        else [],
        tables=[Rows(name="Reliability", head=head, rows=[_labeler(q) for q in quality.labelers])],
        charts=[chart] if chart else [],
    )


def _labeler(one: LabelerQuality) -> Sequence[str]:
    return [
        one.labeler,
        f"{one.votes:,}",
        f"{one.shared:,}",
        _measured(one.right, percent=True),
        _measured(one.accuracy, percent=True),
        _measured(one.ability, percent=False),
        in_one(one.consistency) if one.consistency.n else "-",
        in_one(one.gold) if one.gold.n else "-",
        f"{one.weight:.2f}",
        one.verdict,
    ]


def _measured(found: Measured | None, *, percent: bool) -> str:
    if found is None:
        return "-"
    error = number(found.error, percent=percent)
    return f"{number(found.value, percent=percent)} \u00b1 {error}"


def _bias(quality: Quality) -> Section:
    rows = [
        [e.name, f"{e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f})", f"{e.share:.1%}"]
        for e in quality.bias
    ]
    charts = [
        forest(
            [_effect_bar(one.labeler, getattr(one, name)) for one in quality.labelers[:DRAWN]],
            title=f"{words} by labeler: odds, with 95 % interval",
            reference=0.0,
            axis=Axis.LOG_ODDS,
        )
        for name, words in (
            ("side", "Leaning to the left"),
            ("length", "Leaning to longer answers"),
            ("formatting", "Leaning to formatting"),
        )
    ]
    head = ["Effect", "Log-odds (95 % interval)", "Share won by it alone"]
    return Section(
        title="What sways people",
        says=[
            (
                f"One regularised logistic model over {many(quality.bias_votes, 'vote')} for an answer. Length "
                "and formatting say that such answers win, not why: they may be better. Where "
                "sides are drawn by lot, as on the labeling page, the side's effect is a bias."
            )
        ]
        if rows
        else [],
        tables=[Rows(name="Everybody together", head=head, rows=rows)],
        charts=[chart for chart in charts if chart],
    )


def _effect_bar(label: str, effect: Effect | None) -> Bar:
    if effect is None:
        return Bar(label=label, value=None)
    return Bar(label=label, value=effect.value, low=effect.low, high=effect.high)


def _ratings(ratings: PolicyRatings) -> Section:
    rows = [
        [p.policy, f"{p.votes:,}", f"{p.prompts:,}", _rating(p.plain), _rating(p.styled)]
        for p in ratings.policies
    ]
    head = ["Policy", "Votes", "Prompts", "Rating", "At equal length and formatting"]
    chart = forest(
        [
            Bar(label=p.policy, value=p.plain.value, low=p.plain.low, high=p.plain.high)
            for p in ratings.policies[:DRAWN]
        ],
        title="Ratings of policies: odds against the average policy, with 95 % interval",
        reference=0.0,
        axis=Axis.LOG_ODDS,
    )
    return Section(
        title="Policies",
        says=[
            (
                "Log-odds around the mean of the policies that met (Bradley and Terry, ties after "
                "Davidson), with intervals over resampled prompts. Compare two policies by their gap, "
                "not by whether their intervals overlap."
            )
        ]
        if rows
        else [],
        tables=[Rows(name="Ratings", head=head, rows=rows)],
        charts=[chart] if chart else [],
    )


def _rating(found: Rating) -> str:
    if found.value is None:
        return "-"
    interval = "" if found.low is None else f" ({number(found.low)} to {number(found.high)})"
    return f"{found.value:+.3f}{interval}"


def _sizes(quality: Quality) -> Section:
    agreement = quality.agreement.value
    if agreement is None:
        return Section(title="How many votes")
    rows = [
        ["pairs for agreement within 5 points", f"{votes_for_agreement(agreement):,}"],
        ["pairs for agreement within 3 points", f"{votes_for_agreement(agreement, within=0.03):,}"],
        ["comparisons to see a 55/45 win", f"{comparisons_for_win(0.55):,}"],
        ["comparisons to see a 60/40 win", f"{comparisons_for_win(0.6):,}"],
        ["how often one vote is right", f"{implied_accuracy(agreement):.1%}"],
    ]
    if quality.ratings.decided:
        off = half_width(quality.ratings.decided)
        rows.append(
            [
                f"how far a win rate of {many(quality.ratings.decided, 'decided vote')} may be off",
                f"{100 * off:.1f} points",
            ]
        )
    return Section(
        title="How many votes",
        tables=[Rows(name="At this project's agreement", head=["What", "How many"], rows=rows)],
    )
