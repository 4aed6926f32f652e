"""What the Agreement tab shows: how far people agree, disputed pairs, and how many votes it takes."""

from collections.abc import Sequence

from annotate.admin_html import Raw, section, table, text, tile, tiles
from annotate.agreement_kept import Looked
from annotate.charts_intervals import Moment, line_with_band
from annotate.charts_matrix import heat_map
from annotate.quality_html import charts, picture, quality_html
from annotate.report_data import FullReport
from annotate.stats.estimate import Estimate
from annotate.stats.sizes import comparisons_for_win, half_width, votes_for_agreement
from storage.errors import InputError
from storage.queue_pages import DisputedPair
from storage.words import many

BESIDE = 14  # labelers up to which the matrix has room beside another picture


def agreement_html(now: Looked) -> str:
    """The figures and pictures, or why there are none yet."""
    full = now.report
    if full is None:
        waiting = (
            f"The figures could not be worked out. {now.problem}"
            if now.problem
            else "Working the figures out. This page shows them as soon as they are there."
        )
        return section(f'<p class="next">{text(waiting)}</p>')
    matrix, wide = _matrix(full), len(full.agreement.matrix.labelers) > BESIDE
    return section(
        _freshness(now, full),
        tiles(_tiles(full)),
        '<h2 class="pictures">Agreement</h2>',
        charts([_over_time(full), "" if wide else matrix]),
        charts([matrix if wide else ""], wide=True),
        *(quality_html(full.quality) if full.quality else ()),
    )


def _freshness(now: Looked, full: FullReport) -> str:
    report = full.agreement
    said = (
        f"{many(report.judgments, 'vote')} of {len(report.labelers):,} people on {many(report.pairs, 'pair')}, "
        f"as of {full.made_at:%Y-%m-%d %H:%M} UTC."
    )
    if now.problem:
        said += f" A newer report could not be worked out: {now.problem}"
    elif now.working:
        said += " Newer figures are being worked out."
    return f'<p class="soft fresh" role="status">{text(said)}</p>'


def _tiles(full: FullReport) -> list[Raw]:
    report = full.agreement
    found = [
        _figure("Agreement", report.observed_agreement, "share of vote pairs that agree"),
        _figure("Without ties", report.observed_agreement_without_ties, "only votes for an answer"),
        _figure("Krippendorff's alpha", report.alpha_nominal, "0 is chance, 1 is perfect"),
        _figure("Wrong votes", report.flip_rate, "how often one vote is wrong, from agreement"),
    ]
    if full.quality and full.quality.typical is not None:
        found.append(
            tile(
                "A typical labeler",
                f"{full.quality.typical:.0%}",
                note="of pairs: the better answer preferred, as the votes have it",
            )
        )
    return found


def _figure(title: str, found: Estimate, note: str) -> Raw:
    if found.value is None:
        few = f"{many(found.n, 'pair')} with two votes or more"
        return tile(title, "not enough data", note=few, soft=True)
    interval = f"{found.low:.2f} to {found.high:.2f}"
    return tile(title, f"{found.value:.2f}", small=interval, note=note)


def _over_time(full: FullReport) -> str:
    moments = [
        Moment(
            x=(p.begin.timestamp() + p.end.timestamp()) / 2,
            label=f"{p.end:%Y-%m-%d}",
            value=p.agreement.value,
            low=p.agreement.low,
            high=p.agreement.high,
        )
        for p in full.over_time
    ]
    chart = line_with_band(
        moments,
        title="Agreement over time",
        x_label="when a pair had its last vote",
        reference=full.agreement.observed_agreement.value,
    )
    counted = (
        "Share of vote pairs that agree, ties included, with 95 % intervals (bootstrap by pair). Each "
        "point has equally many pairs; the dashed line is all of them. Tie-breaking votes are left out."
    )
    return picture(chart, counted, name="agreement-over-time")


def _matrix(full: FullReport) -> str:
    matrix = full.agreement.matrix
    counted = (
        "Share of shared pairs on which two people said the same. Empty where they share fewer than "
        "ten pairs."
    )
    chart = heat_map(matrix.labelers, matrix.agreement, title="Labeler by labeler")
    return picture(chart, counted, name="labeler-by-labeler")


def disputed_html(rows: Sequence[DisputedPair], *, total: int) -> str:
    """The most disputed pairs, each with the way to decide it and the way to read its story."""
    shown = [
        [
            Raw(f'<a href="/adjudicate/?pair={text(row.pair_id)}">{text(row.excerpt)}</a>'),
            _split(row),
            "settled" if row.settled else "no majority" if row.closed else "open",
            f"round {row.round}",
            Raw(f"<code>pairloop agreement --pair {text(row.pair_id)}</code>"),
        ]
        for row in rows
    ]
    more = f" The {len(rows):,} most disputed of {total:,}." if total > len(rows) else ""
    help_ = (
        '<p class="soft help">Press a prompt to adjudicate it: you give your own view before you see '
        "the votes. A click on a command selects all of it. Pairs that were adjudicated are no longer "
        f"here.{more}</p>"
    )
    return section(
        "<h2>Most disputed pairs</h2>",
        table(
            ["Prompt", "Votes", "State", "Round", "Its story"],
            shown,
            empty="No pair has votes that differ.",
            name="Most disputed pairs",
        ),
        help_ if rows else "",
    )


def _split(row: DisputedPair) -> str:
    votes = (
        ("first", row.first_votes),
        ("second", row.second_votes),
        ("tie", row.tie_votes),
        ("both bad", row.both_bad_votes),
    )
    return ", ".join(f"{n} {words}" for words, n in votes if n)


def sizes_html(full: FullReport | None, *, within: float, rate: float, power: float) -> str:
    """What agreement and a win take at the project's own figures; raises InputError."""
    if not 0 < within < 1:
        raise InputError("Agreement within: a number of points above 0 and below 100.")
    if not 0 < rate < 1 or rate == 0.5:
        raise InputError("A win rate between 0 and 100 % that is not 50 %: nothing shows that one.")
    if not 0 < power < 1:
        raise InputError("The chance of seeing it lies between 0 and 100 %.")
    quality = full.quality if full else None
    known = quality.agreement.value if quality else None
    agreement = 0.73 if known is None else known
    have = quality.agreement.n if quality else 0
    decided = quality.ratings.decided if quality else 0
    pairs, wins = (
        votes_for_agreement(agreement, within=within),
        comparisons_for_win(rate, power=power),
    )
    supposed = "that others report" if known is None else "of this project"
    off = f"; it is now known within {100 * half_width(have, agreement):.1f} points" if have else ""
    seen = f"; a rate is now known within {100 * half_width(decided):.1f} points" if decided else ""
    return section(
        tiles(
            [
                tile(
                    "Pairs with two votes",
                    f"{pairs:,}",
                    small=_missing(pairs, have),
                    note=f"for agreement within {100 * within:g} points, at the {agreement:.0%} "
                    f"{supposed}{off}",
                ),
                tile(
                    "Votes for one of two policies",
                    f"{wins:,}",
                    small=_missing(wins, decided),
                    note=f"to see a win rate of {rate:.0%} in {power:.0%} of cases{seen}",
                ),
            ]
        )
    )


def _missing(wanted: int, have: int) -> str:
    return f"{have:,} there" + (f", {wanted - have:,} to go" if wanted > have else ", enough")
