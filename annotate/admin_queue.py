"""The Queue tab: pairs by state, one pair's story, who gets which pairs, and making gold."""

from typing import Any

import gradio as gr

from annotate.admin_access import QUIET, AdminContext, attempt, picked, scroll_to
from annotate.assign import assign, unassign
from annotate.gold import make_gold
from annotate.label_page import page_file
from annotate.queue_html import (
    NAMES,
    SAYS,
    assignments_html,
    queue_html,
    states_html,
    story_html,
)
from storage import team
from storage.errors import InputError
from storage.prompts import prompts_by_id
from storage.queue_pages import pair_by_id, pair_story, queue_page
from storage.records import Verdict
from storage.responses import responses_by_id
from storage.team_records import GoldUse

ROWS = 25
ALL = "all"
FILTERS = {
    ALL: (None, None),
    **{name: (state, None) for state, name in NAMES.items()},
    "flagged by labelers": (None, "flagged"),
    "skipped": (None, "skipped"),
}
THIS, TAG, EVERY = "the pair above", "every pair with the tag", "every pair"
VERDICTS = {words: verdict for verdict, words in SAYS.items() if verdict is not Verdict.SKIP}
USES = {
    "hidden: looks like any other pair": GoldUse.HIDDEN,
    "qualification: asked first, with the explanation": GoldUse.QUALIFICATION,
    "sentinel: shows a drift in taste": GoldUse.SENTINEL,
}


def build_queue_tab(admin: AdminContext, tab: Any) -> None:
    """The tab's content and its events."""
    store, script = admin.store, page_file("admin.js")
    message = gr.HTML(apply_default_css=False, js_on_load=None)
    states = gr.HTML(apply_default_css=False, js_on_load=None)
    with gr.Row(elem_classes="ad-filter"):
        which = gr.Dropdown(list(FILTERS), value=ALL, label="Pairs that are", interactive=True)
        page = gr.Number(label="Page", value=1, precision=0, minimum=1)
    listed = gr.HTML(apply_default_css=False, js_on_load=script)
    with gr.Row(elem_classes="ad-buttons"):
        back = gr.Button("Back")
        on = gr.Button("Further")
    with gr.Column(elem_classes="ad-form"):
        story = gr.HTML(
            _CHOOSE,
            apply_default_css=False,
            elem_id="ad-story",
            elem_classes="ad-head",
            js_on_load=None,
        )
        pair = gr.Textbox(label="Pair", info="Press a prompt in the table, or paste an id.")
        with gr.Row():
            verdict = gr.Dropdown(list(VERDICTS), label="Known verdict", interactive=True)
            use = gr.Dropdown(list(USES), label="What it is for", interactive=True)
            explanation = gr.Textbox(label="Explanation", info="Shown after a qualification pair.")
        with gr.Row(elem_classes="ad-buttons"):
            make = gr.Button("Make it a gold pair", variant="primary")
    with gr.Column(elem_classes="ad-form"):
        gr.HTML(_ASSIGN, apply_default_css=False, elem_classes="ad-head", js_on_load=None)
        with gr.Row():
            scope = gr.Dropdown(
                [THIS, TAG, EVERY], value=THIS, label="Which pairs", interactive=True
            )
            tag = gr.Textbox(label="Tag of the prompts")
            people = gr.Textbox(label="For", info="Names or @groups, with commas between them.")
            priority = gr.Number(label="Priority", info="Higher is sooner.", value=0, precision=0)
        with gr.Row(elem_classes="ad-buttons"):
            give = gr.Button("Assign", variant="primary")
    assigned = gr.HTML(apply_default_css=False, js_on_load=script)

    def seen(name: str, number: float | None) -> tuple[Any, ...]:
        state, only = FILTERS.get(name, (None, None))
        here, now = max(1, int(number or 1)), admin.now
        rows, pairs = queue_page(
            store,
            state=state,
            only=only,
            votes_per_pair=now.votes_per_pair,
            evaluation_votes=now.evaluation_votes,
            count=ROWS,
            skip=(here - 1) * ROWS,
        )
        first = (here - 1) * ROWS + 1
        return (
            states_html(admin.desk.queue_states()),
            queue_html(rows, first=first, pairs=pairs),
            here,
            gr.Button(interactive=here > 1),
            gr.Button(interactive=first + len(rows) <= pairs),
        )

    def show(name: str, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return *seen(name, 1), assignments_html(team.assignments(store))

    def filtered(name: str, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(name, 1)

    def turn(name: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(name, number)

    def turn_back(name: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(name, (number or 1) - 1)

    def turn_on(name: str, number: float | None, request: gr.Request) -> tuple[Any, ...]:
        admin.admin(request)
        return seen(name, (number or 1) + 1)

    def tell(pair_id: str, author: str) -> tuple[str, str, str]:
        told: list[str] = []

        def act() -> str:
            found = pair_by_id(store, pair_id.strip())
            if found is None:
                raise InputError(f"There is no pair {pair_id!r}.")
            texts = responses_by_id(store, [found.first, found.second])
            prompt = prompts_by_id(store, [found.prompt_id])[found.prompt_id]
            said = pair_story(store, found.id)
            told.append(story_html(found, prompt, texts[found.first], texts[found.second], said))
            team.note(store, actor=author, action="read a pair's story", subject=found.id)
            return ""

        answer = attempt(act)
        return answer, told[0] if told else _CHOOSE, pair_id.strip()

    def opened(event: gr.EventData, request: gr.Request) -> tuple[str, str, str]:
        return tell(picked(event)[1], admin.admin(request))

    def pasted(pair_id: str, request: gr.Request) -> tuple[str, str, str]:
        return tell(pair_id, admin.admin(request))

    def gild(
        pair_id: str, known: str | None, purpose: str | None, why: str, request: gr.Request
    ) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            if known not in VERDICTS or purpose not in USES:
                raise InputError("Choose the known verdict and what the gold pair is for.")
            make_gold(
                store,
                pair_id.strip(),
                verdict=VERDICTS[known],
                use=USES[purpose],
                explanation=why.strip(),
                author=author,
            )
            admin.desk.refresh()
            return "Made a gold pair of it. The Gold tab lists it."

        return attempt(act), states_html(admin.desk.queue_states())

    def hand_out(
        wanted: str, of_tag: str, pair_id: str, to: str, rank: float | None, request: gr.Request
    ) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            if wanted == TAG and not of_tag.strip():
                raise InputError("Type the tag of the prompts whose pairs you mean.")
            if wanted == THIS and pair_by_id(store, pair_id.strip()) is None:
                raise InputError("Choose a pair in the table first.")
            assign(
                store,
                author=author,
                tag=of_tag.strip() if wanted == TAG else "",
                pair_ids=[pair_id.strip()] if wanted == THIS else [],
                people=[name.strip() for name in to.split(",") if name.strip()],
                priority=int(rank or 0),
            )
            admin.desk.refresh()
            return "Assigned. It holds from the next pair anybody takes."

        return attempt(act), assignments_html(team.assignments(store))

    def end(event: gr.EventData, request: gr.Request) -> tuple[str, str]:
        author = admin.admin(request)

        def act() -> str:
            unassign(store, picked(event)[1], author=author)
            admin.desk.refresh()
            return "Ended the assignment."

        return attempt(act), assignments_html(team.assignments(store))

    outputs = [states, listed, page, back, on]
    tab.select(show, [which], [*outputs, assigned], **QUIET)
    which.input(filtered, [which], outputs, **QUIET)
    page.submit(turn, [which, page], outputs, **QUIET)
    back.click(turn_back, [which, page], outputs, **QUIET)
    on.click(turn_on, [which, page], outputs, **QUIET)
    listed.click(opened, None, [message, story, pair], **QUIET).then(
        None, js=scroll_to("ad-story"), **QUIET
    )
    pair.submit(pasted, [pair], [message, story, pair], **QUIET)
    make.click(gild, [pair, verdict, use, explanation], [message, states], **QUIET)
    give.click(hand_out, [scope, tag, pair, people, priority], [message, assigned], **QUIET)
    assigned.click(end, None, [message, assigned], **QUIET)


_CHOOSE = (
    '<div class="ad"><h2>One pair</h2><p class="soft">Press a prompt in the table to read who said '
    "what of it.</p></div>"
)
_ASSIGN = (
    '<div class="ad"><h2>Who gets which pairs</h2><p class="soft">A pair is for those whom every '
    "assignment that covers it allows; the highest priority counts.</p></div>"
)
