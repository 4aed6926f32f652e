"""What the Distribution tab says of each setting: its meaning, and where its value comes from."""

from collections.abc import Mapping

from annotate.admin_html import Raw, moment, pick, section, table, text
from annotate.config import AnnotateConfig, Distribution
from annotate.settings import OFF
from storage.team_records import Setting

TITLES: Mapping[str, tuple[str, str]] = {
    "votes_per_pair": (
        "Votes per pair",
        "Of different people, on every pair that gets overlap.",
    ),
    "overlap_share": (
        "Share of pairs with overlap",
        (
            "From 0 to 1; the others get one vote. Which ones is drawn by hash: a larger share keeps "
            "every pair a smaller one had. About 350 pairs with two votes tell agreement to 5 points."
        ),
    ),
    "tie_breaker": (
        "A further vote where the first ones differ",
        (
            "Two votes, then a third only where they differ: the same majorities as always three, for "
            "a fifth to a quarter fewer votes."
        ),
    ),
    "evaluation_votes": (
        "Votes on comparisons of policies",
        "One is usual here: more pairs tell more than more votes.",
    ),
    "stop_at": (
        "Stop once this sure",
        (
            "Between 0.5 and 1; empty for off: plain majority. Votes are asked for until one verdict is "
            "this probable."
        ),
    ),
    "max_votes": ("Votes at most", "With “stop once this sure”."),
    "vote_accuracy": (
        "How often one vote is right",
        (
            "Between 0.5 and 1, for “stop once this sure”, and for everything while there are few "
            "votes. Where two people agree on 73 % of pairs, one vote is right about 84 % of the time."
        ),
    ),
    "consensus": (
        "What settles a pair",
        (
            "Majority counts heads. Dawid and Skene's model weighs people by how they vote on the pairs "
            "they share; it begins with 50 pairs that have two votes."
        ),
    ),
    "settle_at": (
        "Settle once this sure",
        "Between 0.5 and 1, with Dawid and Skene's model: a less probable verdict stays unsettled.",
    ),
    "gold_share": (
        "Share of gold pairs",
        "From 0 to 1, of what somebody is shown, while there are hidden gold pairs left for them.",
    ),
    "repeat_share": (
        "Share of repeats",
        "From 0 to 1: own earlier pairs with the sides swapped, not announced.",
    ),
    "sentinel_share": (
        "Share of sentinels",
        "From 0 to 1: the same kind of pair all through, so that a drift in taste shows.",
    ),
    "qualification_pass": (
        "Qualification needs",
        "From 0 to 1: the share of qualification pairs to get right before other pairs come.",
    ),
    "daily_limit": (
        "Judgments per person and day",
        "Empty for off: no limit. A limit of somebody's own goes before it.",
    ),
    "show_own_agreement": (
        "Tell labelers their own agreement",
        "On pairs they have judged; nobody learns what others said before their own vote.",
    ),
}
assert set(TITLES) == set(Distribution.model_fields), "every setting is explained"


def settings_html(
    config: AnnotateConfig, in_force: AnnotateConfig, changes: Mapping[str, Setting]
) -> str:
    """Every setting with its value and where that comes from."""
    rows = []
    for key, (title, _) in TITLES.items():
        row = changes.get(key)
        changed = row is not None and row.value != "null"
        source = (
            Raw(f"changed by {text(row.author)}, {moment(row.created_at)}")
            if row is not None and changed
            else Raw(f"<code>annotate.{key}</code> in pairloop.toml, or its default")
        )
        rows.append(
            [
                title,
                _value(getattr(in_force, key)),
                _value(getattr(config, key)),
                source,
                pick(key, "Back to file", action="back") if changed else Raw(""),
            ]
        )
    head = ["Setting", "In force", "In the file", "Where it comes from", ""]
    return section("<h2>In force now</h2>", table(head, rows, name="Settings in force"))


def meaning_html(before: int, after: int) -> str:
    """What a change does to the work that is left."""
    if before == after:
        return section(f'<p class="said">Votes still wanted: {before:,}, as before.</p>')
    more = "more" if after > before else "fewer"
    return section(
        f'<p class="said">Votes still wanted: {before:,} now, {after:,} after the change: '
        f"{abs(after - before):,} {more}. Votes that are in stay.</p>"
    )


def _value(value: object) -> str:
    match value:
        case None:
            return OFF
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
