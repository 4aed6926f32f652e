"""The whole report: as JSON, as one HTML file, and as the data card's section."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from chromium import CHROMIUM, FLAGS
from factories import NOW, fill_store, make_judgment, open_store
from imported import bring_in, store_at
from playwright.sync_api import sync_playwright
from statistics_data import shared_file

from annotate.config import AnnotateConfig
from annotate.report_card import report_card
from annotate.report_data import anonymous, as_json, full_report
from annotate.report_html import report_html
from storage.records import Verdict

F, S, T, B, SKIP = Verdict
HOSTILE = "<img src=x onerror=alert(1)>|`${}"
PEOPLE = ("ann", HOSTILE, "\u202egnp.exe", "\u0645\u0631\u064a\u0645")
REAL = {
    "llmfao_votes": {"agreement": 0.5322, "alpha": 0.2906, "people": 124},
    "mtbench_human_subset_votes": {"agreement": 0.6536, "alpha": 0.4219, "people": 65},
}


class Reader(HTMLParser):
    """Tags, addresses, and the text of a page; raises where tags do not close in order."""

    EMPTY = frozenset({"meta", "br", "img", "input", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.stack: list[str] = []
        self.feed(page)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        if tag not in self.EMPTY:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Four people, one of them with a hostile name, on 60 pairs."""
    with open_store(tmp_path_factory.mktemp("report")) as store, store.connected():
        filled = fill_store(store, pairs=60, labelers=PEOPLE[:2])
        judged = [
            make_judgment(
                pair, who, (S if w == i % 7 else F) if i % 5 else (T, B, F, S)[w], minute=60 * i + w
            )
            for i, pair in enumerate(filled.pairs)
            for w, who in enumerate(PEOPLE)
        ]
        store.append([*judged, make_judgment(filled.pairs[0], "eve", SKIP)])
        yield full_report(
            store,
            AnnotateConfig(votes_per_pair=4, overlap_share=1.0, tie_breaker=False),
            now=NOW,
        )


def test_json_has_everything_and_knows_no_nan(full):
    text = json.dumps(as_json(full), allow_nan=False)
    found = json.loads(text)
    assert found["judgments"] == 240
    assert found["left_out"]["skips"] == 1
    assert {"tag", "round", "policy", "temperature", "length", "time", "guidelines"} <= set(
        found["slices"]
    )
    one = found["slices"]["time"][0]
    assert one["observed_agreement"].keys() == {"value", "low", "high", "n"}
    assert one["n"] == one["observed_agreement"]["n"]
    assert len(found["over_time"]) == 2
    assert found["disputed"][0]["excerpt"].startswith("Question")
    assert len(found["quality"]["labelers"]) == 4
    assert found["versions"].keys() == {"pairloop", "duckdb", "numpy", "python"}


def test_the_file_asks_for_nothing_and_runs_nothing(full):
    """No address but its own parts, no script, no handler, whatever people are called."""
    page = report_html(full)
    seen = Reader(page)
    assert seen.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    assert (seen.addresses, seen.handlers) == ([], [])
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    words = "".join(seen.words)
    assert HOSTILE in words
    for title in (
        "What was counted",
        "Over time",
        "Labeler by labeler",
        "Slices",
        "Labeler quality",
        "What sways people",
        "Most disputed pairs",
        "Methods",
        "1 skipped pairs",
        "Holm",
    ):
        assert title in words, title


def test_an_anonymous_report_has_nobodys_name_and_no_prompt(full):
    hidden = anonymous(full)
    page, plain = report_html(hidden), json.dumps(as_json(hidden), ensure_ascii=False)
    for name in ("ann", "onerror", "gnp", "\u0645\u0631\u064a\u0645"):
        assert re.search(rf"\b{name}\b", page + plain) is None, name
    assert "Question" not in page + plain
    found = json.loads(plain)
    assert {p["labeler"] for p in found["labelers"]} == {f"labeler {i}" for i in (1, 2, 3, 4)}
    assert set(found["matrix"]["labelers"]) == {q["labeler"] for q in found["quality"]["labelers"]}
    own = {p.labeler: p.against_rest for p in full.agreement.labelers}
    assert sorted(own.values(), key=repr) == sorted(
        (p.against_rest for p in hidden.agreement.labelers), key=repr
    )


def test_an_anonymous_matrix_is_not_in_the_order_of_the_names(full):
    """Who comes first in the alphabet gave the fewest votes here, and comes last."""
    turned = [replace(p, votes=i) for i, p in enumerate(full.agreement.labelers)]
    before = full.agreement.matrix
    after = anonymous(replace(full, agreement=replace(full.agreement, labelers=turned)))
    matrix = after.agreement.matrix
    assert matrix.labelers == [f"labeler {i}" for i in (1, 2, 3, 4)]
    assert matrix.agreement == [row[::-1] for row in before.agreement[::-1]]
    assert matrix.shared == [row[::-1] for row in before.shared[::-1]]
    assert matrix.agreement != before.agreement


def test_the_card_has_the_figures_in_tables_and_no_names_unless_asked(full):
    card = report_card(full)
    assert "### Figures" in card
    assert "### Methods" in card
    assert "| Krippendorff's alpha, nominal | " in card
    assert "labeler 1" in card
    assert "onerror" not in card
    assert "Question" not in card
    named = report_card(full, names=True)
    assert "\\<img src=x onerror=alert(1)\\>\\|\\`\\$\\{\\}" in named
    rows = [line for line in named.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) >= 3 for row in rows)
    assert "<img" not in named.replace("\\<img", "")


def test_an_empty_store_gives_a_report_that_says_so(tmp_path):
    with open_store(tmp_path) as store:
        empty = full_report(store, AnnotateConfig(), now=NOW)
    page = report_html(empty)
    Reader(page)
    assert "not enough data (0 of 10 pairs)" in page
    assert "nan" not in page.replace("finance", "")
    assert "0 labelers gave 0 judgments" in report_card(empty)
    json.dumps(as_json(empty), allow_nan=False)


@pytest.mark.parametrize("name", list(REAL))
def test_published_figures_stand_in_the_file_and_in_the_json(tmp_path, name):
    """Real people's votes: what was published of them is what the report says."""
    known = REAL[name]
    with store_at(tmp_path) as store:
        bring_in(store, "votes", shared_file(f"{name}.parquet"))
        full = full_report(store, AnnotateConfig(), now=NOW, with_quality=False)
    found = as_json(full)
    assert round(found["observed_agreement"]["value"], 4) == known["agreement"]
    assert round(found["alpha_nominal"]["value"], 4) == known["alpha"]
    words = "".join(Reader(report_html(full)).words)
    assert f"{100 * known['agreement']:.1f} % (" in words
    assert f"{known['alpha']:.3f} (" in words
    assert f"{known['people']} labelers" in words
    assert "made elsewhere and imported" in words
    policies, left_out = found["slices"]["policies"], found["slices_left_out"].get("policies", 0)
    pairs = sum(one["n"] for one in policies)
    assert pairs == found["observed_agreement"]["n"] or (left_out and pairs > 0)


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
def test_a_browser_shows_it_without_a_request_or_a_word_of_complaint(full, tmp_path):
    """Light, dark, and as narrow as a telephone: nothing sticks out and nothing is fetched."""
    file = tmp_path / "report.html"
    file.write_text(report_html(full), encoding="utf-8")
    asked, said = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(file.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="light")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        pictures = page.evaluate(
            "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height)"
        )
        browser.close()
    assert asked == [file.as_uri()]
    assert said == []
    assert wide <= 390
    assert dark != light
    assert len(pictures) >= 8
    assert min(pictures) > 40
