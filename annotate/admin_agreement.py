"""The Agreement tab: how far people agree, what sways them, whom to look at, and what to settle."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt
from annotate.agreement_html import agreement_html, disputed_html, sizes_html
from annotate.agreement_kept import Looked, kept_full_report
from annotate.config import Distribution
from annotate.kept import Kept, PerStore
from annotate.label_page import page_file
from storage.errors import InputError
from storage.queue_pages import DisputedPair, disputed_pairs
from storage.summaries import dashboard_version

SHOWN = 20  # disputed pairs
SECONDS = 5.0  # between two looks whether the figures are ready

_disputed: PerStore[Kept[tuple[list[DisputedPair], int], Distribution]] = PerStore(
    lambda: Kept(lambda store, _config: disputed_pairs(store, count=SHOWN), dashboard_version)
)


def build_agreement_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    script = page_file("admin.js")
    stamp = gr.State(None)  # which figures are on the page; None until the tab was opened
    waiting = '<div class="ad"><p class="soft">Reading the votes</p></div>'
    seen = gr.HTML(waiting, apply_default_css=False, js_on_load=script)
    disputes = gr.HTML(apply_default_css=False, js_on_load=script)
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(_SIZES, apply_default_css=False, elem_classes="ad-head", js_on_load=None)
        with gr.Row():
            points = gr.Number(
                label="Agreement within, in points", value=5, minimum=0.5, maximum=50
            )
            rate = gr.Number(label="See a win rate of, in %", value=55, minimum=1, maximum=99)
            power = gr.Number(label="With a chance of, in %", value=80, minimum=1, maximum=99)
        sizes = gr.HTML(apply_default_css=False, js_on_load=None)

    def looked() -> Looked:
        return kept_full_report(admin.store, admin.now)

    def said_sizes(within: float | None, win: float | None, sure: float | None) -> str:
        told: list[str] = []

        def act() -> str:
            if within is None or win is None or sure is None:
                raise InputError("Fill in all three numbers.")
            told.append(
                sizes_html(looked().report, within=within / 100, rate=win / 100, power=sure / 100)
            )
            return ""

        problem = attempt(act)
        return problem or told[0]

    def show(
        within: float | None, win: float | None, sure: float | None, request: gr.Request
    ) -> tuple[Any, ...]:
        admin.admin(request)
        now = looked()
        rows, total = _disputed_now(admin)
        return (
            agreement_html(now),
            disputed_html(rows, total=total),
            said_sizes(within, win, sure),
            _stamp(now),
        )

    def follow(
        known: str | None,
        within: float | None,
        win: float | None,
        sure: float | None,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        admin.admin(request)
        if known is None or known == (now := _stamp(looked())):
            return tuple(gr.skip() for _ in range(4))
        return (*show(within, win, sure, request)[:3], now)

    def calculate(
        within: float | None, win: float | None, sure: float | None, request: gr.Request
    ) -> str:
        admin.admin(request)
        return said_sizes(within, win, sure)

    inputs, outputs = [points, rate, power], [seen, disputes, sizes, stamp]
    tab.select(show, inputs, outputs, **QUIET)
    gr.Timer(SECONDS).tick(follow, [stamp, *inputs], outputs, **QUIET)
    for field in inputs:
        field.change(calculate, inputs, [sizes], **QUIET)


def _disputed_now(admin: AdminContext) -> tuple[list[DisputedPair], int]:
    return _disputed.of(admin.store).value(admin.store, admin.now)


def _stamp(now: Looked) -> str:
    made = now.report.made_at.isoformat() if now.report else ""
    return f"{made} {now.working} {now.problem}"


_SIZES = (
    '<div class="ad"><h2>How many votes it takes</h2><p class="soft">At this project\'s own agreement. '
    "Change a number to see what it would take.</p></div>"
)
