"""Quality of labelers, what sways people and ratings of policies, as the Agreement tab shows them.

Each picture can be saved and says below what it shows and how that was counted.
"""

from collections.abc import Sequence

from annotate.admin_html import Key, Raw, table, text
from annotate.charts_intervals import Axis, Bar, forest
from annotate.labeler_quality import LabelerQuality
from annotate.policy_ratings import PolicyRatings, Rating
from annotate.quality import Quality
from annotate.stats.bias import Effect
from annotate.stats.estimate import Estimate, Measured
from storage.words import many

DRAWN = 30  # labelers in a picture; the table has everybody
_NONE = "-"


def quality_html(quality: Quality) -> list[str]:
    """The sections on labelers, on what sways people, and on policies."""
    return [
        "<h2>Labelers</h2>",
        _table(quality),
        (
            '<p class="soft help">Right: how often the better of two answers is preferred, allowing for how '
            "hard each pair is; accuracy: how often the verdict is the true one, ties included (Dawid and "
            "Skene); both estimated from the votes alone, from 20 shared votes on, with standard errors. "
            "The weight is advice: votes are weighed less, never deleted, and only for what is beyond "
            "chance. Press a heading to sort.</p>"
        ),
        "<h2>What sways people</h2>",
        charts([_overall(quality), *(_leaning(quality, *which) for which in _LEANINGS)]),
        "<h2>Policies</h2>",
        _policies(quality.ratings),
    ]


_HEAD = ["Name", "Weight", "In words", "Votes", "Right", "Accuracy", "Ability", "With the rest"]
_HEAD += ["Same on repeats", "Gold right", "Median time", "Test against the crowd"]


def _table(quality: Quality) -> str:
    rows = [_row(one) for one in quality.labelers]
    return table(_HEAD, rows, empty="Nobody voted yet.", sortable=True, name="Labeler quality")


def _row(one: LabelerQuality) -> list[str | Key]:
    flagged = Raw(f'{one.weight:.2f} <span class="flag">look</span>')
    alarm = f"alarm after {one.crowd_alarm_at:,}" if one.crowd_alarm_at is not None else "no alarm"
    return [
        one.labeler,
        Key(shown=flagged if one.weight < 1 else f"{one.weight:.2f}", by=one.weight),
        Raw(f'<span class="sentence">{text(one.verdict)}</span>'),
        Key(shown=f"{one.votes:,}", by=one.votes),
        _measured(one.right, percent=True),
        _measured(one.accuracy, percent=True),
        _measured(one.ability, percent=False),
        _share(one.against_rest),
        _share(one.consistency),
        _share(one.gold),
        Key(
            shown=_NONE if one.median_seconds is None else f"{one.median_seconds:.1f} s",
            by=-1.0 if one.median_seconds is None else one.median_seconds,
        ),
        Key(
            shown=alarm if one.crowd_votes else _NONE,
            by=float(one.crowd_alarm_at or 0),
        ),
    ]


def _measured(found: Measured | None, *, percent: bool) -> Key:
    if found is None:
        return Key(shown=_NONE, by=-99.0)
    if percent:
        shown = f"{100 * found.value:.0f} \u00b1 {100 * found.error:.0f} %"
    else:
        shown = f"{found.value:.2f} \u00b1 {found.error:.2f}"
    return Key(shown=shown, by=found.value)


def _share(found: Estimate) -> Key:
    if found.value is None:
        return Key(shown=f"{_NONE} ({found.n:,})" if found.n else _NONE, by=-1.0)
    interval = f"{found.low:.0%} to {found.high:.0%}"
    return Key(shown=f"{found.value:.0%} ({interval})", by=found.value)


_LEANINGS = (
    ("side", "Leaning to the left", "an answer on the left wins against an equal one"),
    ("length", "Leaning to longer answers", "the typically longer answer wins"),
    (
        "formatting",
        "Leaning to formatting",
        "the one with typically more headings, lists and code wins",
    ),
)


def _overall(quality: Quality) -> str:
    chart = forest(
        [_bar(effect.name, effect) for effect in quality.bias],
        title="Everybody together",
        reference=0.0,
        axis=Axis.LOG_ODDS,
    )
    counted = (
        f"Odds of winning by side, length and formatting alone, with 95 % intervals, from one logistic "
        f"model over {many(quality.bias_votes, 'vote')} for an answer. The side is drawn by lot, so its "
        "effect is a bias; long and formatted answers may win because they are better."
    )
    return picture(chart, counted, name="what-sways-everybody")


def _leaning(quality: Quality, name: str, title: str, wins: str) -> str:
    effects: list[tuple[str, Effect | None]] = [
        (one.labeler, getattr(one, name)) for one in quality.labelers
    ]
    drawn = [_bar(who, effect) for who, effect in effects if effect is not None][:DRAWN]
    everybody = next((e.value for e in quality.bias if e.name == name), 0.0)
    chart = forest(
        drawn,
        title=title,
        reference=0.0 if name == "side" else everybody,
        axis=Axis.LOG_ODDS,
    )
    held = "even odds" if name == "side" else "everybody's"
    counted = (
        f"Odds that {wins}, by labeler, with 95 % intervals; the dashed line is {held}. People with few "
        "votes are drawn towards everybody's."
    )
    return picture(chart, counted, name=f"leaning-{name}")


def _bar(label: str, effect: Effect) -> Bar:
    return Bar(label=label, value=effect.value, low=effect.low, high=effect.high)


def _policies(ratings: PolicyRatings) -> str:
    if not ratings.policies:
        return (
            '<p class="soft">No votes on answers of different policies yet: <code>pairloop evaluate'
            "</code> asks for some.</p>"
        )
    rests = (
        f"Bradley and Terry's model, ties after Davidson, on {many(ratings.votes, 'vote')} for pairs of two "
        f"policies' answers to {many(ratings.prompts, 'prompt')}. Odds of winning against the average policy; "
        "95 % intervals by resampling prompts, none below ten."
    )
    groups = {p.group for p in ratings.policies}
    if len(groups) > 1:
        rests += " Policies that never met, not even through others, are not comparable."
    drawn = [
        picture(
            forest(
                [_rated(p.policy, getattr(p, which)) for p in ratings.policies[:DRAWN]],
                title=title,
                reference=0.0,
                axis=Axis.LOG_ODDS,
            ),
            f"{rests}{more}",
            name=name,
        )
        for which, title, more, name in (
            ("plain", "Ratings of policies", "", "ratings-of-policies"),
            (
                "styled",
                "Ratings at equal style",
                " As if all answers were equally long and equally formatted.",
                "ratings-at-equal-style",
            ),
        )
    ]
    return charts(drawn)


def _rated(label: str, rating: Rating) -> Bar:
    return Bar(label=label, value=rating.value, low=rating.low, high=rating.high)


def picture(chart: str, caption: str, *, name: str) -> str:
    """A chart with what it says and how it was counted, and a button that saves it as a file."""
    if not chart:
        return ""
    save = (
        f'<button type="button" class="pick save" data-save="{text(name)}.svg">Save picture'
        f'<span class="hidden"> of {text(name.replace("-", " "))}</span></button>'
    )
    below = f'<p class="soft caption">{text(caption)}</p>{save}</figure>'
    return chart.removesuffix("</figure>") + below


def charts(pictures: Sequence[str], *, wide: bool = False) -> str:
    """Pictures side by side; nothing where there are none."""
    shown = "".join(pictures)
    kind = "charts wide" if wide else "charts"
    return f'<div class="{kind}">{shown}</div>' if shown else ""
