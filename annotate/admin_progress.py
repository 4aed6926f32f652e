"""The first tab: how far labeling is, how much people agree, and what to do next."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext
from annotate.admin_html import Raw, badge, code, section, share_bar, span, table, tile, tiles
from annotate.charts import interval_bars, line_chart
from annotate.charts_intervals import Bar
from annotate.forecast import Forecast
from annotate.overview import Overview, kept_overview
from annotate.queue_counts import PLACES
from annotate.stats.estimate import Estimate
from storage.intervals import wilson
from storage.records import LabelerKind
from storage.summaries import RoundSummary
from storage.words import many

PATIENCE_SECONDS = 1.0  # then what is known at once is shown
_SHOWN = 15  # people in the agreement chart
_LISTED = 30  # people in the table
_ALWAYS = 8  # columns of the rounds table shown even while they are empty


def build_progress_tab(admin: AdminContext, blocks: Any) -> None:
    """The tab's content and its events."""
    waiting = '<div class="ad"><p class="soft">Reading the votes</p></div>'
    seen = gr.HTML(waiting, apply_default_css=False, js_on_load=None)

    def show(request: gr.Request) -> str:
        admin.admin(request)
        overview = kept_overview(admin.store, admin.now, patience=PATIENCE_SECONDS)
        return progress_html(overview, admin.desk.queue_states())

    blocks.load(show, None, [seen], **QUIET)
    gr.Timer(10.0).tick(show, None, [seen], **QUIET)


def progress_html(seen: Overview | None, states: dict[str, int]) -> str:
    """The whole tab; without an overview what the desk knows by itself."""
    if seen is None:
        return section(
            '<p class="next" role="status">Working the other figures out of all votes. This page '
            "shows them as soon as they are there.</p>",
            tiles(
                [_votes_tile(states, note="of people"), _pairs_tile(states), _saved_tile(states)]
            ),
        )
    report = seen.agreement
    parts = [
        _estimate_tile(
            "Agreement", report.observed_agreement, "share of vote pairs that agree, ties included"
        ),
        _estimate_tile(
            "Without ties",
            report.observed_agreement_without_ties,
            "only votes that prefer a side; never compare it with the share that counts ties",
        ),
        _estimate_tile("Krippendorff's alpha", report.alpha_nominal, "0 is chance, 1 is perfect"),
        _votes_tile(
            states,
            note=f"of people; {report.judgments:,} tell agreement, on {many(report.pairs, 'pair')}",
        ),
        _saved_tile(states),
        _forecast_tile(seen.forecast),
    ]
    observed = report.observed_agreement.value
    bars = [
        Bar(label=row.name, value=row.agreement, low=low, high=high, note="no shared pairs yet")
        for row in seen.people
        if row.judged
        for low, high in [
            wilson(round((row.agreement or 0) * row.vote_pairs), row.vote_pairs)
            if row.vote_pairs
            else (None, None)
        ]
    ]
    charts = interval_bars(bars[:_SHOWN], title="Agreement with others", reference=observed)
    hours = seen.votes_by_hour[-1][0] if seen.votes_by_hour else 0.0
    charts += line_chart(
        {"votes": [(x, float(y)) for x, y in seen.votes_by_hour]},
        title="Votes so far",
        ends=("first vote", f"{span(hours * 3600)} later"),
        from_zero=True,
    )
    return section(
        next_html(seen.next_step),
        tiles(parts),
        f"<h2>Rounds</h2>{rounds_table(seen)}",
        f'<div class="charts">{charts}</div>',
        f"<h2>Labelers</h2>{labelers_table(seen)}",
    )


def next_html(step: str) -> str:
    """The line that says what to do."""
    return f'<p class="next"><b>Next</b> {code(step)}</p>'


def rounds_table(seen: Overview) -> Raw:
    """Counts per round, with the win rate against the SFT model where it was evaluated."""
    against_sft = {c.newer: c for c in seen.comparisons if c.older == 0}
    rows = []
    for s in seen.rounds:
        rate = ""
        if met := against_sft.get(s.round):
            judged = met.wins + met.ties + met.losses
            rate = f"{(met.wins + met.ties / 2) / judged:.0%} of {judged:,}"
        compared = (
            share_bar(s.evaluation_closed, s.evaluation_pairs) if s.evaluation_pairs else Raw("")
        )
        rows.append(
            [
                f"round {s.round}",
                _state(s, newest=s is seen.rounds[-1]),
                f"{s.prompts:,}",
                f"{s.responses:,}",
                f"{s.votes:,}",
                share_bar(s.settled, s.pairs),
                f"{s.closed - s.settled:,}",
                f"{s.decided:,}",
                compared,
                f"{s.triplets:,}" if s.triplets else "",
                rate,
            ]
        )
    head = [
        "Round",
        "State",
        "Prompts",
        "Answers",
        "Votes",
        "Pairs settled",
        "No majority",
        "With a preference",
        "Comparisons judged",
        "Triplets trained on",
        "Win rate against SFT",
    ]
    used = [i for i in range(len(head)) if i < _ALWAYS or any(row[i] for row in rows)]
    return table(
        [head[i] for i in used],
        [[row[i] for i in used] for row in rows],
        empty="No answers yet.",
        name="Rounds",
    )


def _state(s: RoundSummary, *, newest: bool) -> Raw:
    if s.evaluation_pairs > s.evaluation_closed:
        return badge("comparing", kind="running")
    if s.triplets:
        return badge("trained on", kind="done")
    if s.pairs > s.closed:
        return badge("labeling", kind="running")
    if not s.pairs:
        return badge("no pairs", kind="idle")
    return badge("labeled", kind="done" if newest else "idle")


def labelers_table(seen: Overview) -> Raw:
    """The work of who judged most, in short; the People tab has everybody and the rest."""
    rows = [
        [
            row.name if row.active else f"{row.name} (disabled)",
            row.kind.value if row.kind is LabelerKind.MODEL else row.role.value,
            f"{row.judged:,}",
            f"{row.median_seconds:.1f} s" if row.median_seconds is not None else "",
            f"{row.agreement:.2f} ({row.vote_pairs:,})" if row.agreement is not None else "",
            f"{row.left_share:.0%}" if row.left_share is not None else "",
        ]
        for row in seen.people[:_LISTED]
    ]
    listed = table(
        ["Name", "Role", "Judged", "Median time", "Agreement (vote pairs)", "Left preferred"],
        rows,
        empty="Nobody yet.",
        name="Labelers",
    )
    more = len(seen.people) - len(rows)
    if not more:
        return listed
    said = f"{many(more, 'more labeler is', 'more labelers are')} in the People tab."
    return Raw(f'{listed}<p class="soft">{said}</p>')


def _estimate_tile(title: str, estimate: Estimate, note: str) -> Raw:
    if estimate.value is None:
        few = f"{many(estimate.n, 'pair')} with two votes or more"
        return tile(title, "not enough data", note=few, soft=True)
    interval = f"{estimate.low:.2f} to {estimate.high:.2f}"
    return tile(title, f"{estimate.value:.2f}", small=interval, note=note)


def _votes_tile(states: dict[str, int], *, note: str) -> Raw:
    return tile("Votes", f"{states['votes']:,}", note=note)


def _pairs_tile(states: dict[str, int]) -> Raw:
    pairs = sum(states[place] for place in PLACES)
    return tile(
        "Pairs settled", f"{states['settled']:,}", note=f"of {many(pairs, 'pair')} to label"
    )


def _saved_tile(states: dict[str, int]) -> Raw:
    votes, saved = states["votes"], states["votes_saved"]
    share = saved / (votes + saved) if votes + saved else 0.0
    return tile(
        "Votes saved",
        f"{saved:,}",
        small=f"{share:.0%}" if saved else "",
        note="against asking for the tie-breaking vote on every pair",
    )


def _forecast_tile(found: Forecast) -> Raw:
    if not found.wanted:
        return tile("Finished", "nothing to do", note="no pair wants a vote", soft=True)
    if found.hours is None:
        note = f"{many(found.wanted, 'vote')} wanted; nobody voted in the last day"
        return tile("Finished in", "no pace yet", note=note, soft=True)
    pace = (
        f"{found.per_hour:,.0f} an hour"
        if found.per_hour >= 10
        else f"{found.per_hour * 24:,.0f} a day"
    )
    note = f"{many(found.wanted, 'vote')} wanted, {pace} at the present pace"
    return tile("Finished in", span(found.hours * 3600), note=note)
