"""What the People tab shows: everybody in one table, side bias as a picture, invitations."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from annotate.admin_html import Key, Raw, badge, moment, pick, section, table, text
from annotate.charts import sparkline
from annotate.charts_intervals import Bar, forest
from annotate.invitations import InvitationState, state_of
from annotate.people_stats import (
    FAST_CHARS_PER_SECOND,
    FAST_SECONDS,
    FAST_SHARE,
    PACE_DAYS,
    PersonRow,
)
from storage.records import LabelerKind
from storage.team_records import Invitation

_HEAD = [
    "Name",
    "Role",
    "State",
    "Judged",
    "Today",
    f"Last {PACE_DAYS} days",
    "Median time",
    "Too fast",
    "Agreement (vote pairs)",
    "Left preferred",
    "Gold right",
    "Same on repeats",
    "Last active (UTC)",
]

HELP = (
    f"<p class='soft help'>Too fast: under {FAST_SECONDS:g} seconds and quicker than "
    f"{FAST_CHARS_PER_SECOND:g} characters a second over both answers, which nobody can read; "
    f"flagged from {FAST_SHARE:.0%} of the votes on. Slow is never rewarded and never counts "
    "against anybody: who reads again agrees more often with others. "
    "Left preferred is flagged when its 95 % interval leaves out one half. "
    "Agreement is with people's votes on the same pairs, tie-breaking votes left out.</p>"
)


def people_html(rows: Sequence[PersonRow], pace: Mapping[str, Sequence[int]]) -> str:
    """The table of everybody and the picture of side bias."""
    body = [_line(row, pace.get(row.name, ())) for row in rows]
    shown = table(_HEAD, body, empty="Nobody yet.", sortable=True, name="People")
    bars = [
        Bar(label=row.name, value=row.left_share, low=row.left_low, high=row.left_high)
        for row in rows
        if row.sided
    ]
    chart = forest(bars[:20], title="Left preferred, with 95 % interval", reference=0.5)
    return section(shown, HELP, f'<div class="charts">{chart}</div>')


def _line(row: PersonRow, pace: Sequence[int]) -> list[str | Key]:
    today = f"{row.today:,}" + (f" of {row.daily_limit:,}" if row.daily_limit else "")
    drawn = sparkline(pace, title=f"Judgments by day: {', '.join(map(str, pace))}")
    return [
        pick(row.name, row.name),
        row.role.value if row.kind is LabelerKind.HUMAN else row.kind.value,
        _state(row),
        Key(shown=f"{row.judged:,}", by=row.judged),
        Key(shown=today, by=row.today),
        Key(shown=Raw(drawn), by=sum(pace)),
        _number(
            row.median_seconds, "" if row.median_seconds is None else f"{row.median_seconds:.1f} s"
        ),
        _flagged(
            row.too_fast, "" if row.too_fast is None else f"{row.too_fast:.0%}", bad=row.hasty
        ),
        _number(row.agreement, f"{row.agreement or 0:.2f} ({row.vote_pairs:,})"),
        _flagged(row.left_share, _interval(row), bad=row.side_biased),
        _of(row.gold_right, row.gold_total),
        _of(row.repeat_same, row.repeat_total),
        _when(row.last_at),
    ]


def _state(row: PersonRow) -> Raw:
    if not row.active:
        return badge("disabled", kind="failed")
    return badge("paused", kind="late") if row.paused else badge("active", kind="done")


def _number(by: float | None, shown: str) -> Key:
    return Key(shown="" if by is None else shown, by=-1.0 if by is None else by)


def _flagged(by: float | None, shown: str, *, bad: bool) -> Key:
    if not bad:
        return _number(by, shown)
    return _number(by, Raw(f'{text(shown)} <span class="flag">look</span>'))


def _interval(row: PersonRow) -> str:
    if row.left_share is None or row.left_low is None or row.left_high is None:
        return ""
    return f"{row.left_share:.0%} ({row.left_low:.0%} to {row.left_high:.0%})"


def _of(part: int, whole: int) -> Key:
    return _number(part / whole if whole else None, f"{part:,} of {whole:,}")


def _when(at: datetime | None) -> Key:
    return Key(shown=moment(at), by=at.timestamp() if at else 0.0)


def person_html(row: PersonRow) -> str:
    """What the table has no room for."""
    said = [f"{row.judged:,} judged, {row.skipped:,} skipped, {row.flagged:,} flagged"]
    if row.groups:
        said.append("in " + ", ".join(row.groups))
    if row.qualification_total:
        said.append(f"qualification: {row.qualification_right} of {row.qualification_total} right")
    if row.qualified:
        said.append("let in past qualification")
    limits = [
        f"{limit:,} {words}"
        for limit, words in ((row.daily_limit, "a day"), (row.total_limit, "in all"))
        if limit
    ]
    said.append("limit " + " and ".join(limits) if limits else "no limit of their own")
    return section(
        f'<div class="run-line"><b>{text(row.name)}</b>{_state(row)}'
        f'<span class="soft">{text("; ".join(said))}</span></div>'
    )


def link_html(path: str, *, to: str = "one person") -> str:
    """A new link, to be copied now: only its hash is kept."""
    return section(
        f'<div class="link"><label>Send this link to {text(to)}. It is shown only now.'
        f'<input readonly data-path="{text(path)}" value="{text(path)}"></label>'
        '<button type="button" class="pick" data-copy>Copy</button></div>'
    )


def invitations_html(invitations: Sequence[Invitation]) -> str:
    """Every invitation; open ones can be taken back."""
    rows = []
    for one in invitations:
        state = state_of(one)
        is_open = state is InvitationState.OPEN
        rows.append(
            [
                one.name or "whoever has the link",
                one.role.value,
                ", ".join(one.groups),
                badge(state.value, kind="running" if is_open else "idle"),
                one.used_by,
                one.author,
                moment(one.created_at),
                moment(one.expires_at),
                pick(one.token_hash, "Revoke", action="revoke") if is_open else Raw(""),
            ]
        )
    head = ["For", "Role", "Groups", "State", "Used by", "Made by", "Made", "Ends", ""]
    return section(table(head, rows, empty="No invitation yet.", name="Invitations"))
