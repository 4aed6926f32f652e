"""What the Queue and Gold tabs show: pairs by state, one pair's story, assignments, gold pairs."""

from collections.abc import Mapping, Sequence

from annotate.admin_html import Key, Raw, badge, moment, pick, section, table, text, tile, tiles
from annotate.gold import Drift
from annotate.render import plain_messages
from storage.queue_pages import GoldRow, QueueRow, Said
from storage.records import LabelerKind, Pair, Prompt, Response, Side, Verdict
from storage.team_records import Assignment, GoldUse
from storage.words import many

NAMES: Mapping[str, str] = {
    "waiting": "waiting",
    "begun": "begun",
    "tie_break": "wants a tie-break",
    "settled": "settled",
    "no_majority": "no majority",
}
_KINDS = {"waiting": "idle", "begun": "running", "tie_break": "late", "settled": "done"}
SAYS: Mapping[Verdict, str] = {
    Verdict.FIRST: "first is better",
    Verdict.SECOND: "second is better",
    Verdict.TIE: "tie",
    Verdict.BOTH_BAD: "both bad",
    Verdict.SKIP: "skipped",
}


def states_html(states: Mapping[str, int]) -> str:
    """How many pairs are where."""
    shown = [
        tile("Waiting", f"{states['waiting']:,}", note="no vote yet"),
        tile("Begun", f"{states['begun']:,}", note="some votes, more to come"),
        tile("Want a tie-break", f"{states['tie_break']:,}", note="the first votes differ"),
        tile("Settled", f"{states['settled']:,}", note="a majority said the same"),
        tile("No majority", f"{states['no_majority']:,}", note="no more votes are asked for"),
        tile("In somebody's hands", f"{states['held']:,}", note="held until judged or given back"),
        tile(
            "Votes saved",
            f"{states['votes_saved']:,}",
            note=f"{states['votes']:,} given, {states['extra_votes']:,} more than wanted",
        ),
        tile("Gold pairs", f"{states['gold']:,}", note=f"{states['repeats']:,} hidden repeats"),
    ]
    return section(tiles(shown))


def queue_html(rows: Sequence[QueueRow], *, first: int, pairs: int) -> str:
    """A page of pairs; each opens its story."""
    body = [
        [
            pick(row.id, row.excerpt or "(empty)"),
            str(row.round),
            "comparison" if row.purpose.value == "evaluation" else row.purpose.value,
            badge(NAMES[row.state], kind=_KINDS.get(row.state, "failed")),
            f"{row.votes:,}",
            ", ".join(flag.replace("_", " ") for flag in row.flags),
            _skips(row),
            moment(row.last_at),
        ]
        for row in rows
    ]
    head = ["Prompt", "Round", "For", "State", "Votes", "Flags", "Skipped", "Last judged (UTC)"]
    last = first + len(rows) - 1
    line = (
        f"<p class='soft help'>{first:,} to {last:,} of {many(pairs, 'pair')}</p>" if rows else ""
    )
    return section(table(head, body, empty="No pair is like this.", name="Pairs"), line)


def _skips(row: QueueRow) -> str:
    if not row.skips:
        return ""
    return f"{row.skips:,}" + (f": {'; '.join(row.reasons)}" if row.reasons else "")


def story_html(
    pair: Pair, prompt: Prompt, first: Response, second: Response, said: Sequence[Said]
) -> str:
    """One pair with its two answers in stored order, and all that was said about it."""
    rows = [
        [
            one.labeler,
            "model" if one.kind is LabelerKind.MODEL else "",
            "took it back" if one.withdrawn else verdict_words(one),
            chosen_side(one),
            f"{one.seconds:.1f} s",
            f"version {one.guideline}" if one.guideline else "",
            remarks(one),
            moment(one.created_at),
        ]
        for one in said
    ]
    head = ["Who", "", "Said", "Chose", "Took", "Guidelines", "Remarks", "When (UTC)"]
    tags = ", ".join(prompt.tags) or "no tags"
    about = f"round {pair.round}, {pair.purpose.value}, {pair.strategy}, {tags}"
    return section(
        "<h2>One pair</h2>",
        f'<p class="soft">{text(about)}. Who has read this is no blind judge of it any more.</p>',
        _box("Prompt", plain_messages(prompt.messages)),
        '<div class="both">',
        _box(f"First answer, temperature {first.temperature:g}", first.text),
        _box(f"Second answer, temperature {second.temperature:g}", second.text),
        "</div>",
        table(head, rows, empty="Nobody judged it yet.", name="What was said"),
    )


def _box(title: str, content: str) -> str:
    return (
        f'<div class="box"><h3>{text(title)}</h3>'
        f'<div class="plain" dir="auto" tabindex="0">{text(content)}</div></div>'
    )


def verdict_words(one: Said) -> str:
    """What somebody said of a pair, in stored order."""
    return SAYS[one.verdict] + (f" ({one.strength.value})" if one.strength else "")


def chosen_side(one: Said) -> str:
    """The side of the screen of the answer that was preferred; "" for none, or where it is not known."""
    if one.first_side is None or one.verdict not in (Verdict.FIRST, Verdict.SECOND):
        return ""
    side: Side = one.first_side if one.verdict is Verdict.FIRST else one.first_side.swapped()
    return side.value


def remarks(one: Said) -> str:
    """Answers to the further questions, flags, rationale and edited text."""
    parts = [f"{name}: {value}" for name, value in one.criteria.items()]
    parts += [f"flag: {flag.replace('_', ' ')}" for flag in one.flags]
    if one.rationale:
        parts.append(f"“{one.rationale}”")
    if one.edited_text:
        parts.append(f"edited into “{one.edited_text[:400]}”")
    return "; ".join(parts)


def assignments_html(assignments: Sequence[Assignment]) -> str:
    """The assignments in force."""
    rows = [
        [
            _covered(one),
            ", ".join(one.people) or "everybody",
            str(one.priority),
            one.author,
            moment(one.created_at),
            pick(one.id, "End", action="end"),
        ]
        for one in assignments
        if one.active
    ]
    head = ["Pairs", "For", "Priority", "Made by", "Since", ""]
    shown = table(head, rows, empty="Every pair is for everybody.", name="Assignments")
    return section("<h2>Assignments</h2>", shown)


def _covered(one: Assignment) -> str:
    if one.tag:
        return f"tag {one.tag}"
    n = len(one.pair_ids)
    return f"{n:,} chosen pair{'' if n == 1 else 's'}" if n else "every pair"


def gold_html(rows: Sequence[GoldRow], drift: Drift | None) -> str:
    """Gold pairs with how often each is failed, and whether the crowd's taste drifts."""
    body = [
        [
            row.excerpt or "(empty)",
            row.use.value,
            SAYS[row.verdict],
            row.source,
            row.explanation,
            _failed(row),
            badge("active", kind="done") if row.active else badge("retired", kind="idle"),
            moment(row.created_at),
            pick(row.pair_id, "Retire", action="retire") if row.active else Raw(""),
        ]
        for row in rows
    ]
    head = ["Prompt", "Use", "Known", "Made", "Explanation", "Failed", "State", "Since", ""]
    shown = table(head, body, empty="There is no gold yet.", sortable=True, name="Gold pairs")
    return section("<h2>Gold pairs</h2>", shown, _drift(drift))


def _failed(row: GoldRow) -> Key:
    if row.use is GoldUse.SENTINEL:
        return Key(shown=many(row.answers, "answer"), by=-1.0)
    if not row.answers:
        return Key(shown="", by=-1.0)
    share = row.failed / row.answers
    shown = f"{row.failed:,} of {row.answers:,}"
    doubtful = row.answers >= 4 and share > 0.5
    return Key(
        shown=Raw(f'{shown} <span class="flag">look</span>') if doubtful else shown, by=share
    )


def _drift(drift: Drift | None) -> str:
    if drift is None:
        return '<p class="soft help">Sentinels: too few votes to tell a drift.</p>'
    words = (
        f"Sentinels: the tracked answer was preferred by {drift.before:.0%} at first, "
        f"{drift.now:.0%} lately ({drift.low:.0%} to {drift.high:.0%})."
    )
    flag = ' <span class="flag">drifts</span>' if drift.drifted else ""
    return f'<p class="soft help">{text(words)}{flag}</p>'
