"""187 odd real texts: every letter of each is on the page, and none of them does anything.

The texts may not be copied into the project. They are read from the folder shared/data beside it,
or the one PAIRLOOP_SHARED_DATA names.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from browsing import READY, Page
from factories import fill_store, make_pair, make_policy, make_prompt, make_response

from annotate.render import render_markdown, visible
from storage.records import Message

BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
FILE = Path(os.environ.get("PAIRLOOP_SHARED_DATA", BESIDE)) / "ui_samples.jsonl"

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is not on this machine")

ENTITY = re.compile(r"&#?\w{1,31};")
READ = """() => {
  const view = document.querySelector(".pl-view.pl-now");
  const links = [...view.querySelectorAll("a")].map((a) => a.title).join(" ");
  const bodies = ["left", "right"].map((s) => view.querySelector(`[data-side=${s}] .pl-body`));
  return {
    of: view.dataset.of,
    shown: view.innerText.length,
    prompt: view.querySelector(".pl-prompt-body").textContent + links,
    left: bodies[0].textContent + links,
    right: bodies[1].textContent + links,
    heights: bodies.map((b) => b.offsetHeight),
    width: document.documentElement.scrollWidth,
    strange: [...view.querySelectorAll(
      "script, style, link, iframe, object, embed, img, video, audio, svg, form, input, base, meta"
    )].map((e) => e.tagName),
    handlers: [...view.querySelectorAll("*")].flatMap((e) => [...e.attributes])
      .filter((a) => a.name.startsWith("on") || /^\\s*(javascript|data|vbscript):/i.test(a.value))
      .map((a) => a.name + "=" + a.value.slice(0, 40)),
  };
}"""


def samples():
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def turns(sample):
    """The conversation that both answers follow."""
    if "prompt" in sample:
        return [{"role": "user", "content": sample["prompt"]}]
    return sample.get("conversation") or sample["conversations"][0]


def answers(sample):
    whole = [answer["response"] for answer in sample["responses"] if "response" in answer]
    tails = [
        message["content"]
        for answer in sample["responses"]
        for message in answer.get("conversation_tail", [])
    ]
    return whole + tails


def letters(text):
    return Counter(char for char in text.lower() if char.isalpha())


def missing(source, shown):
    """Letters of the source that are not shown; those of a character's name such as &amp; may go."""
    return letters(source) - letters(shown) - letters(" ".join(ENTITY.findall(source)))


def seen(rendered):
    """Text, and the addresses of links, of rendered HTML."""
    import html

    links = re.findall(r'<a [^>]*title="([^"]*)"', rendered)
    return html.unescape(re.sub(r"<[^>]*>", "", rendered) + " ".join(links))


def test_no_text_loses_a_letter():
    texts = {
        text
        for sample in samples()
        for text in [*answers(sample), *(turn["content"] for turn in turns(sample))]
    }
    assert len(texts) > 600
    lost = {text[:60]: missing(visible(text), seen(render_markdown(text))) for text in texts}
    assert {text: gone for text, gone in lost.items() if gone} == {}


def fill(store, *, pairs):
    fill_store(store, pairs=0)
    policy = make_policy()
    prompts, responses, formed = {}, [], []
    for number, sample in enumerate(samples()[:pairs]):
        messages = tuple(Message(role=t["role"], content=t["content"]) for t in turns(sample))
        prompt = make_prompt(messages=messages)
        first, second = ([*answers(sample), "(none)", "(none as well)"])[:2]
        a = make_response(prompt, policy, first, index=2 * number)
        b = make_response(prompt, policy, second, index=2 * number + 1)
        prompts[prompt.id] = prompt
        responses += [a, b]
        formed.append(make_pair(a, b))
    for rows in (list(prompts.values()), responses, formed):
        store.append(rows)


@pytest.mark.browser
@pytest.mark.slow
def test_every_sample_is_shown_whole_and_does_nothing(browser, labeling):
    ann = Page(browser, labeling(pairs=187, fill=fill))
    cards = {}

    def keep(response):
        if "/api/pairs" in response.url and response.ok:
            cards.update({card["presentation"]: card for card in response.json()["pairs"]})

    ann.page.on("response", keep)
    ann.page.reload()  # the first cards come again, and are kept
    ann.page.wait_for_selector(READY)
    done = set()
    while len(done) < 187:
        ann.page.wait_for_timeout(170)
        page = ann.page.evaluate(READ)
        assert page["of"] not in done
        done.add(page["of"])
        card = cards[page["of"]]
        for part in ("prompt", "left", "right"):
            assert missing(card[f"{part}_text"], page[part]) == Counter(), card[part + "_text"][
                :200
            ]
        assert page["strange"] == page["handlers"] == []
        assert min(page["heights"]) > 20
        assert page["width"] <= 1280
        assert page["shown"] > 60
        ann.page.keyboard.press("4")
        ann.wait_true(
            "of => document.querySelector('.pl-app').dataset.state !== 'ready' ||"
            " (document.querySelector('.pl-view.pl-now')?.dataset.of ?? of) !== of",
            page["of"],
        )
        if len(done) < 187:
            ann.page.wait_for_selector(READY)
    ann.page.wait_for_selector("text=Nothing to label right now")
    ann.close()
